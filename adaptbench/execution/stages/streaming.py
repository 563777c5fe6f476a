"""A network on the stream of its benchmark: it adapts in a sealed process, where source and labels are closed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from adaptbench.contracts.method import Method
from adaptbench.contracts.profiles import profile
from adaptbench.contracts.stream_method import StreamMethod
from adaptbench.data import firewall
from adaptbench.data.pseudo_labels import PseudoLabels
from adaptbench.errors import PluginError
from adaptbench.execution.job_context import JobContext
from adaptbench.execution.scored_splits import ScoredSplit, StreamPlace, ranked_split, stream_places
from adaptbench.execution.stages.planned import METRICS, RESULT, PlannedStage
from adaptbench.execution.stages.progress import Progress, peak_memory
from adaptbench.execution.stages.sealing import Outside, put_out_of_reach
from adaptbench.execution.stages.weights import trained_method
from adaptbench.networks.inference import Size
from adaptbench.storage import sealed_json
from adaptbench.storage.plain_files import file_digest
from adaptbench.test_time.segmenters import Segmenter, Stream
from adaptbench.training import stream_pass
from adaptbench.training.loop import stage_seed
from adaptbench.training.stream_pass import StreamImage, StreamPass


def adapt(context: JobContext, entry: PlannedStage, stop: Callable[[], bool], outside: Outside) -> None:
    """Predicts the stream with the network that the stage starts from, which changes meanwhile.

    Of all images and labels, only the images of the stream can be opened.
    """
    before = _before(entry)
    split, places = ranked_split(context), stream_places(context)
    allowed = [place.sample.image for place in places]
    put_out_of_reach(context, allowed, outside, closed=context.source_folders)
    method = trained_method(context, before)
    segmenter = _started(method, entry, context.device)
    stream = Stream(segmenter, stage_seed(entry.hash), method.counted)
    images = [
        StreamImage(one.name, one.place.position == 0, partial(_read, context, method, split, one))
        for one in places
    ]
    every = min(profile(context.spec.profile).checkpoint_every, max(1, len(images) // 4))
    file, kept = entry.folder / "checkpoint.safetensors", PseudoLabels(entry.folder, "prediction")
    with Progress.of_parent(context.folder, entry.stage.name) as progress:
        run = StreamPass(stream, images, kept, file, every, progress.report, stop)
        run.run()
    firewall.require_intact()
    stream_pass.save(entry.last_weights, segmenter, {"stage": entry.hash, "seen": stream.seen})
    metrics = entry.folder / "metrics.jsonl"
    stream_pass.write_curve(metrics, run.losses())
    result = {
        "seconds": run.seconds,
        "seconds_per_image": run.seconds / len(images),
        "peak_memory_mib": peak_memory(context.device),
        METRICS: file_digest(metrics),
    }
    sealed_json.write(entry.folder / RESULT, result)
    file.unlink(missing_ok=True)


def adapted_network(method: Method, entry: PlannedStage, device: torch.device) -> nn.Module:
    """The network after the stream, from that before it, which ``method`` holds and which is changed."""
    segmenter = _started(method, entry, device)
    stream_pass.load(entry.last_weights, segmenter)
    return segmenter.network()


def _before(entry: PlannedStage) -> PlannedStage:
    if entry.start is None:
        raise PluginError(f"The stage {entry.stage.name!r} adapts, and needs a stage to start from.")
    return entry.start


def _started(method: Method, entry: PlannedStage, device: torch.device) -> Segmenter:
    """What predicts the stream, at its beginning."""
    adapting = entry.stage.method
    if not issubclass(adapting, StreamMethod):
        raise PluginError(f"{adapting.__name__} is to adapt to a stream, and is no StreamMethod.")
    network = method.scored_network().to(device).eval()
    return adapting.start(network, adapting.adaptation(entry.stage.settings), method.inference())


def _read(context: JobContext, method: Method, split: ScoredSplit, one: StreamPlace) -> tuple[Tensor, Size]:
    """The image as the network gets it, and the size at which it is scored, which is that of its file or stated."""
    image, stated = split.dataset.read_image(one.sample), context.label_size
    box = context.input_size(split.ref.dataset, method.settings.resolution)
    size = (image.shape[0], image.shape[1]) if stated is None else (stated[1], stated[0])
    return method.shown(image, box).to(context.device), size

"""A stream that is stopped or killed anywhere ends with the same bits."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from adaptbench.contracts.stream_method import StreamMethod
from adaptbench.data.pseudo_labels import PseudoLabels
from adaptbench.errors import DataError, InterruptedTrainingError, RunStateError
from adaptbench.networks.inference import Size, Whole
from adaptbench.test_time.segmenters import Segmenter, Stream
from adaptbench.training import checkpoint, stream_pass
from adaptbench.training.stream_pass import StreamImage, StreamPass
from methods.cotta import CoTTA
from methods.cotta_crops import CoTTACrops
from methods.norm_adapt import NormAdapt
from methods.tent import Tent
from methods.tent_hard import TentHard

IMAGES, SAVE_EVERY = 7, 3
#: So large that every image leaves a trace in what follows.
SETTINGS: dict[type[StreamMethod], dict[str, Any]] = {
    Tent: {"crop_height": 6, "crop_width": 8, "learning_rate": 0.1, "episodic": False},
    CoTTA: {"learning_rate": 0.01, "average": 0.5, "restore": 0.2, "ratios": (0.5, 0.75, 1.0)},
    CoTTACrops: {
        "crop_height": 6,
        "crop_width": 8,
        "learning_rate": 0.1,
        "average": 0.5,
        "restore": 0.2,
        "scales": (1.0, 1.5),
    },
    TentHard: {"learning_rate": 0.1},
    NormAdapt: {"alpha": 0.5},
}
EVERY = pytest.mark.parametrize("method", SETTINGS)


class KilledError(Exception):
    """Ends a process at once."""


def segmenter(method: type[StreamMethod], **changes: Any) -> Segmenter:
    torch.manual_seed(0)
    parts = {
        "encoder": nn.Conv2d(3, 4, 1),
        "norm": nn.BatchNorm2d(4),
        "dropout": nn.Dropout(0.1),
        "decode_head": nn.Conv2d(4, 3, 1),
    }
    network = nn.Sequential(OrderedDict(parts))
    return method.start(network.eval(), method.Adaptation(**{**SETTINGS[method], **changes}), Whole())


def image(number: int) -> Callable[[], tuple[Tensor, Size]]:
    drawn = torch.rand(1, 3, 8, 12, generator=torch.Generator().manual_seed(number))
    return lambda: (drawn, (8, 12))


def a_pass(folder: Path, made: Segmenter, **changes: Any) -> StreamPass:
    images = [StreamImage(f"image {n}", n % 4 == 0, image(n)) for n in range(IMAGES)]
    usual: dict[str, Any] = {"report": lambda *_: None, "should_stop": lambda: False}
    kept, file = PseudoLabels(folder), folder / "checkpoint.safetensors"
    return StreamPass(Stream(made, 5), images, kept, file, SAVE_EVERY, **{**usual, **changes})


def outcome(folder: Path, made: Segmenter) -> tuple[str, bytes, list[bytes]]:
    """Everything that a finished pass leaves."""
    stream_pass.save(folder / "weights.safetensors", made, {})
    state, _ = checkpoint.load(folder / "weights.safetensors")
    labels = [path.read_bytes() for path in sorted((folder / "labels").iterdir())]
    return checkpoint.digest(state), (folder / "labels.jsonl").read_bytes(), labels


def whole(folder: Path, method: type[StreamMethod]) -> tuple[str, bytes, list[bytes]]:
    made = segmenter(method)
    a_pass(folder, made).run()
    return outcome(folder, made)


@EVERY
@pytest.mark.parametrize("seen", [0, 1, 3, 5, 6])
def test_stopped_or_killed_after_any_image(method: type[StreamMethod], seen: int, tmp_path: Path) -> None:
    def kill(done: int, total: int, loss: float | None) -> None:
        if done == seen + 1:
            raise KilledError

    expected = whole(tmp_path / "whole", method)
    asked = iter([False] * seen + [True])
    with pytest.raises(InterruptedTrainingError, match=f"after {seen} of {IMAGES} images"):
        a_pass(tmp_path / "stopped", segmenter(method), should_stop=lambda: next(asked)).run()
    with pytest.raises(KilledError):
        a_pass(tmp_path / "killed", segmenter(method), report=kill).run()
    for name in ("stopped", "killed"):
        again = segmenter(method)
        a_pass(tmp_path / name, again).run()
        assert outcome(tmp_path / name, again) == expected


@EVERY
def test_an_image_that_was_seen_decides_what_follows(method: type[StreamMethod], tmp_path: Path) -> None:
    """Else the test above could not fail; norm adaptation alone remembers nothing."""
    complete, late = (a_pass(tmp_path / name, segmenter(method)) for name in ("complete", "late"))
    late.images = late.images[1:]
    for one in (complete, late):
        one.run()
    names = [image.name for image in late.images]
    found = [[one.kept.file(name).read_bytes() for name in names] for one in (complete, late)]
    same = found[0] == found[1] and complete.losses()[1:] == late.losses()
    assert same is (method is NormAdapt)


@pytest.mark.parametrize("method", [CoTTA, TentHard])
def test_an_optimizer_begins_anew_with_every_condition(method: type[StreamMethod], tmp_path: Path) -> None:
    made = segmenter(method)
    run = a_pass(tmp_path, made)
    run.images = run.images[:4]
    run.run()
    moments = made.parts()["optimizer"].state_dict()["state"]
    assert {int(one["step"]) for one in moments.values()} == {4}
    longer = a_pass(tmp_path / "longer", segmenter(method))
    longer.images = longer.images[:5]
    longer.run()
    renewed = longer.stream.segmenter.parts()["optimizer"].state_dict()["state"]
    assert {int(one["step"]) for one in renewed.values()} == {1}


def test_where_every_image_starts_anew_nothing_is_left(tmp_path: Path) -> None:
    made = segmenter(Tent, episodic=True)
    before = checkpoint.digest(segmenter(Tent).network().state_dict())
    a_pass(tmp_path, made).run()
    stream_pass.save(tmp_path / "state", made, {})
    assert checkpoint.digest(made.network().state_dict()) == before
    loaded = segmenter(Tent, episodic=True)
    stream_pass.load(tmp_path / "state", loaded)
    assert checkpoint.digest(loaded.network().state_dict()) == before


def test_a_loss_that_is_no_number_ends_it(tmp_path: Path) -> None:
    made = segmenter(CoTTA, learning_rate=1e30)
    with pytest.raises(RunStateError, match=r"no finite numbers|diverged"):
        a_pass(tmp_path, made).run()


def test_the_state_of_another_method_is_refused(tmp_path: Path) -> None:
    stream_pass.save(tmp_path / "state", segmenter(Tent), {})
    with pytest.raises(RunStateError, match="another adaptation"):
        stream_pass.load(tmp_path / "state", segmenter(CoTTA))


def test_predictions_that_are_gone_are_an_error(tmp_path: Path) -> None:
    asked = iter([False] * 4 + [True])
    with pytest.raises(InterruptedTrainingError):
        a_pass(tmp_path, segmenter(Tent), should_stop=lambda: next(asked)).run()
    (tmp_path / "labels.jsonl").unlink()
    with pytest.raises(DataError, match="names 0 images, and 4 were labelled"):
        a_pass(tmp_path, segmenter(Tent)).run()


def test_the_curve_has_a_line_per_image(tmp_path: Path) -> None:
    run = a_pass(tmp_path, segmenter(NormAdapt))
    run.run()
    stream_pass.write_curve(tmp_path / "metrics.jsonl", [*run.losses()[:1], 0.5])
    assert (tmp_path / "metrics.jsonl").read_text() == '{"iteration": 0}\n{"iteration": 1, "loss": 0.5}\n'

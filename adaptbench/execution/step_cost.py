"""What one training step costs: seconds, memory and operations on random images, with nothing read or written."""

from __future__ import annotations

import logging
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from adaptbench import networks
from adaptbench.contracts import plugins
from adaptbench.contracts.benchmark import Benchmark, SplitRef
from adaptbench.contracts.method import Method, Stage
from adaptbench.contracts.profiles import profile
from adaptbench.contracts.task import Task
from adaptbench.data.batch import Batch, Images, LabelledImages
from adaptbench.data.framing import WholeImages
from adaptbench.data.sampling import Sampling
from adaptbench.data.taxonomy import class_set
from adaptbench.draws import Draws
from adaptbench.evaluation.sizes import input_size
from adaptbench.execution.launch import freed_memory, processes
from adaptbench.planning import sources
from adaptbench.planning.plan import method_class
from adaptbench.records.compilation import Compilation
from adaptbench.records.jobspec import JobSpec
from adaptbench.training import precision
from adaptbench.training.accumulation import Accumulation
from adaptbench.training.loop import seed_global_generators, to_device

if TYPE_CHECKING:
    from adaptbench.training.compilation import Compiler

#: (width, height) in pixels.
Size = tuple[int, int]
#: Patches of one class on a side of a random label map.
_PATCHES = 8
#: After the warm-up of learning rate and teacher.
_FIRST_ITERATION = 500


@dataclass(frozen=True)
class StepCost:
    """The cost of a step.

    Attributes:
        seconds: of a step, the median. Units: seconds.
        first_seconds: of the first step, which also prepares kernels and memory.
        compilation: what became of --compile; None where it was not asked for.
        memory_mib: peak of the process on a CPU, of tensors on a GPU. Units: MiB.
        flops: of all passes; a multiplication and an addition are two.
        labelled, target: how many images of which size it sees, such as ``2 x 256x256``; empty = none.
    """

    seconds: float
    first_seconds: float
    memory_mib: float
    flops: float
    labelled: str
    target: str
    compilation: Compilation | None = None


def counting() -> FlopCounterMode:
    """Counts the operations of passes forwards and backwards.

    torch takes the gradient of the weights of a depthwise convolution for that of a dense one.
    """
    return FlopCounterMode(
        display=False, custom_mapping={torch.ops.aten.convolution_backward: _backward_flops}
    )


def _backward_flops(
    gradient: list[int], image: list[int], weight: list[int], *rest: Any, **options: Any
) -> int:
    """As many for each gradient as in the pass forwards; arguments are those of the operator, shapes for tensors."""
    _bias, _stride, _padding, _dilation, transposed, _output_padding, _groups, wanted = rest
    count: int = conv_flop_count(image, weight, gradient, transposed) * sum(wanted[:2])
    return count


def trainings(spec: JobSpec) -> list[int]:
    """Numbers of the stages of a job that train, each training once."""
    stages = _stages(spec)
    found = [(n, one) for n, one in enumerate(stages) if one.trains and one.settings.iterations]
    first = {(one.method, one.settings.model_dump_json()): n for n, one in reversed(found)}
    return sorted(first.values())


def stage_of(spec: JobSpec, number: int) -> Stage:
    """A stage of a job."""
    return _stages(spec)[number]


def step_cost(spec: JobSpec, number: int, steps: int) -> StepCost:
    """Measures steps of stage ``number`` of a job, after one that is not counted; changes this process for good.

    Raises:
        RunStateError: the device does not have the job's precision.
        UsageError: nothing of the training can be computed in parts.
        torch.OutOfMemoryError: there is too little memory.
    """
    processes.fix_threads(spec.threads)
    freed_memory.keep()
    device, stage = torch.device(spec.device), stage_of(spec, number)
    precision.require_available(spec.precision, device)
    task = _task(spec)
    seed_global_generators(0)
    method = stage.method(task, stage.settings).to(device)
    if spec.activation_checkpointing:
        networks.checkpoint_activations(method.student)
    compiler = _compiler(method) if spec.compiled else None
    precision.train_in(spec.precision, method, device)
    accumulation = Accumulation(method, spec.accumulate, logging.getLogger(__name__).warning)
    optimizers = precision.scaled(method.optimizers(), spec.precision, device)
    sizes = _sizes(spec, stage)
    method.train()

    def step(iteration: int) -> None:
        batch = to_device(_batch(stage, sizes, len(task.class_set), iteration), device)
        with precision.products_in(spec.precision):
            method.train_step(batch, optimizers)
        accumulation.require_turns()

    first, *seconds = (_seconds(step, _FIRST_ITERATION + n, device) for n in range(steps + 1))
    memory = _peak_memory(device)
    with nullcontext() if compiler is None else compiler.off(), counting() as counter:
        step(_FIRST_ITERATION)
    return StepCost(
        seconds=statistics.median(seconds),
        first_seconds=first,
        memory_mib=memory,
        flops=float(counter.get_total_flops()),
        labelled=_images(stage, sizes[0]),
        target=_images(stage, sizes[1]) if stage.method.uses_target_images else "",
        compilation=None if compiler is None else compiler.compilation,
    )


def _compiler(method: Method) -> Compiler:
    from adaptbench.training.compilation import Compiler  # which loads that of torch

    processes.keep_compiled_code()
    return Compiler(method, logging.getLogger(__name__).warning)


def _stages(spec: JobSpec) -> list[Stage]:
    method = method_class(plugins.discover(map(Path, spec.plugins)), spec.method)
    return method.stages(method.Settings.model_validate(spec.settings))


def _benchmark(spec: JobSpec) -> type[Benchmark]:
    plugin = plugins.discover(map(Path, spec.plugins)).find("benchmark", spec.benchmark)
    return plugins.load_subclass(plugin, Benchmark)


def _task(spec: JobSpec) -> Task:
    return Task(spec.benchmark, _benchmark(spec).setting, class_set(spec.class_set), profile(spec.profile))


def _sizes(spec: JobSpec, stage: Stage) -> tuple[Size, Size]:
    """Size of labelled and of target images of a step."""
    benchmark, sampling = _benchmark(spec), stage.method.sampling(stage.settings)
    target: Sequence[SplitRef] = benchmark.target or benchmark.source
    refs = target if stage.labels is not None else benchmark.source, target
    first, second = (_shown(spec, stage, sampling, one[0].dataset) for one in refs)
    return first, second


def _shown(spec: JobSpec, stage: Stage, sampling: Sampling, name: str) -> Size:
    framing, side = sampling.framing, stage.settings.crop
    if framing.cropped:
        return getattr(framing, "crop", None) or (side, side)
    assert isinstance(framing, WholeImages)
    dataset = sources.dataset_class(plugins.discover(map(Path, spec.plugins)), name)
    box = input_size(dataset, stage.settings.resolution, profile(spec.profile))
    return framing.size(box, box)


def _batch(stage: Stage, sizes: tuple[Size, Size], classes: int, iteration: int) -> Batch:
    """Random images, labels in patches."""
    count, random = stage.settings.batch_size, torch.Generator().manual_seed(iteration)
    names = tuple(map(str, range(count)))
    (width, height), (other_width, other_height) = sizes
    patches = torch.randint(classes, (count, 1, _PATCHES, _PATCHES), generator=random)
    label = torch.nn.functional.interpolate(patches.float(), size=(height, width), mode="nearest").long()
    labelled = LabelledImages(torch.randn(count, 3, height, width, generator=random), names, label)
    target = None
    if stage.method.uses_target_images:
        image = torch.randn(count, 3, other_height, other_width, generator=random)
        trusted = torch.ones(count, 1, other_height, other_width, dtype=torch.uint8)
        margins = stage.method.sampling(stage.settings).margins
        target = Images(image, names, trusted=None if margins is None else trusted)
    return Batch(iteration, Draws(0, iteration), labelled, target)


def _seconds(step: Callable[[int], None], iteration: int, device: torch.device) -> float:
    """Seconds until the step has ended, on the device, too."""
    _wait(device)
    started = time.perf_counter()
    step(iteration)
    _wait(device)
    return time.perf_counter() - started


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _peak_memory(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _images(stage: Stage, size: Size) -> str:
    return f"{stage.settings.batch_size} x {size[0]}x{size[1]}"


def measured(arguments: dict[str, Any]) -> StepCost:
    """`step_cost` of what another process sends."""
    return step_cost(JobSpec.model_validate(arguments["spec"]), arguments["number"], arguments["steps"])

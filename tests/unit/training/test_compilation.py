"""--compile: what runs compiled, what runs as it is and is said to, and the same bits once interrupted.

Each in a fork: otherwise forks of later tests failed in torch's backward pass (what the compiler leaves was not found).
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from forks import in_fork
from random_stream import random_stream
from torch import Tensor, nn
from torch._dynamo.backends.common import aot_autograd
from torch.fx import GraphModule

from adaptbench.contracts.method import LossGroup, Method
from adaptbench.contracts.profiles import profile
from adaptbench.contracts.settings import Settings
from adaptbench.contracts.task import Task
from adaptbench.data.batch import Batch
from adaptbench.data.taxonomy import CITYSCAPES19
from adaptbench.errors import InterruptedTrainingError
from adaptbench.records.compilation import Compilation
from adaptbench.training import checkpoint, compilation, precision
from adaptbench.training.compilation import Compiler
from adaptbench.training.loop import TrainingLoop

CPU = torch.device("cpu")
Run = Callable[..., Any]


def forked(test: Callable[..., None]) -> Callable[..., None]:
    """The test, in a fork."""

    @functools.wraps(test)
    def run(**fixtures: Any) -> None:
        in_fork(functools.partial(test, **fixtures))

    return run


class Counting:
    """Leaves graphs as they are, and counts them."""

    def __init__(self) -> None:
        self.graphs = 0

    def __call__(self, graph: GraphModule, inputs: list[Tensor]) -> Run:
        self.graphs += 1
        return cast("Run", graph.forward)


def missing(graph: GraphModule, inputs: list[Tensor]) -> Run:
    """As where there is no compiler."""
    raise RuntimeError("no working C++ compiler")


def only_forwards(graph: GraphModule, inputs: list[Tensor]) -> Run:
    """The pass backwards cannot be compiled."""
    made = aot_autograd(fw_compiler=lambda part, _: part.forward, bw_compiler=missing)
    return cast("Run", made(graph, inputs))


@pytest.fixture
def by(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Says what compiles."""
    return lambda backend: monkeypatch.setattr(compilation, "BACKEND", backend)


def small() -> nn.ModuleDict:
    """A part with running statistics and draws."""
    torch.manual_seed(0)
    part = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Conv2d(4, 2, 1))
    return nn.ModuleDict({"part": part})


def stepped(method: nn.ModuleDict, size: int = 4) -> dict[str, Tensor]:
    """State and gradients after a pass forwards and backwards."""
    torch.manual_seed(1)
    method["part"](torch.randn(2, 3, size, size)).square().mean().backward()
    gradients = {f"{name}.grad": cast("Tensor", value.grad) for name, value in method.named_parameters()}
    return {**method.state_dict(), **gradients}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


@forked
def test_parts_run_compiled_under_their_names(by: Callable[[Any], None]) -> None:
    method, counting = small(), Counting()
    said: list[str] = []
    by(counting)
    compiler = Compiler(method, said.append)
    assert compiler.compilation == Compilation(compiled=[], uncompiled=[]), "nothing ran yet"
    assert same(stepped(method), stepped(small()))
    assert (counting.graphs, said) == (1, [])
    assert compiler.compilation == Compilation(compiled=["part"], uncompiled=[])
    with compiler.off():
        stepped(method, 5)
    assert counting.graphs == 1


@pytest.mark.parametrize("backend", [missing, only_forwards])
@forked
def test_without_a_compiler_a_part_runs_as_it_is(backend: Run, by: Callable[[Any], None]) -> None:
    """Found out before any of it ran, the pass backwards, too: statistics move once."""
    method = small()
    said: list[str] = []
    by(backend)
    compiler = Compiler(method, said.append)
    assert same(stepped(method), stepped(small()))
    stepped(method, 6)
    assert (
        len(said) == 1 and said[0].startswith("part is trained uncompiled: ") and "no working C++" in said[0]
    )
    assert compiler.compilation == Compilation(compiled=[], uncompiled=["part"])


@forked
def test_a_compiler_that_was_stopped_with_the_training_is_no_reason(by: Callable[[Any], None]) -> None:
    method = small()
    said: list[str] = []
    by(missing)
    compiler = Compiler(method, said.append, should_stop=lambda: True)
    with pytest.raises(InterruptedTrainingError, match="while part was compiled"):
        stepped(method)
    assert compiler.compilation == Compilation(compiled=[], uncompiled=[]) and said == []


class Branch(nn.Module):
    """Decides by numbers, which cannot be compiled."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, image: Tensor) -> Tensor:
        return image * self.weight if image.sum() > 0 else image


@pytest.mark.parametrize("variable", ["", "TORCHDYNAMO_DISABLE"])
@forked
def test_what_torch_would_pass_over_is_said(
    variable: str, by: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    by(Counting())
    if variable:
        monkeypatch.setenv(variable, "1")
    method = nn.ModuleDict({"part": nn.Conv2d(1, 1, 1) if variable else Branch()})
    compiler = Compiler(method, said.append)
    assert method["part"](torch.ones(1, 1, 1, 1)).shape == (1, 1, 1, 1)
    assert compiler.compilation.uncompiled == ["part"]
    assert len(said) == 1 and (variable or "data-dependent") in said[0].lower().replace(
        variable.lower(), variable
    )


@forked
def test_sizes_have_a_graph_each_up_to_a_limit(
    by: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    method, counting = small(), Counting()
    said: list[str] = []
    by(counting)
    monkeypatch.setattr(compilation, "MOST_GRAPHS", 2)
    compiler = Compiler(method, said.append)
    for size in (4, 5, 4, 5, 4):
        stepped(method, size)
    assert counting.graphs == 2 and str(compiler.compilation) == "yes"
    stepped(method, 6)
    assert said == ["part is trained uncompiled: it has seen more than 2 sizes and modes"]
    assert (counting.graphs, str(compiler.compilation)) == (2, "no")


@forked
def test_networks_of_one_kind_do_not_share_hooks(by: Callable[[Any], None]) -> None:
    """One of two encoders hallucinates styles by a hook; by default torch gives it the code of the other."""
    by(Counting())
    plain, hooked = nn.Conv2d(1, 1, 1, bias=False), nn.Conv2d(1, 1, 1, bias=False)
    outer = nn.ModuleDict({"plain": nn.Sequential(plain), "hooked": nn.Sequential(hooked)})
    hooked.register_forward_hook(lambda module, inputs, output: torch.cat([output, output]))
    Compiler(outer, print)
    image = torch.ones(1, 1, 2, 2)
    assert [len(outer[name](image)) for name in ("plain", "hooked")] == [1, 2]


@forked
def test_a_copy_computes_with_its_own_weights(by: Callable[[Any], None]) -> None:
    by(Counting())
    method = nn.ModuleDict({"part": nn.Conv2d(1, 1, 1, bias=False)})
    Compiler(method, print)
    precision.train_in("bf16", method, CPU)
    image = torch.ones(1, 1, 1, 1)
    method["part"](image)
    copied = copy.deepcopy(method)
    nn.init.ones_(method["part"].weight)
    nn.init.zeros_(copied["part"].weight)
    assert [one["part"](image).item() for one in (method, copied)] == [1, 0]


class Dropping(Method):
    """A part with batch norm and dropout, whose inputs have two sizes, and a part that cannot be compiled."""

    name = "dropping"

    def build_student(self) -> nn.Module:
        return nn.ModuleDict({**small(), "branch": Branch()})

    def losses(self, batch: Batch) -> LossGroup:
        image = batch.source.image
        shown = image if batch.iteration % 2 else image[..., :3]
        return {"loss": (self.student["branch"](self.student["part"](shown)) - 1).square().mean()}


def trained(folder: Path, stop_after: int = 0, *, compiled: bool = True) -> TrainingLoop:
    """A loop that came to its end; interrupted once, and taken up again by another."""
    folder.mkdir()
    task = Task("test", "uda", CITYSCAPES19, profile("mini"))
    settings = Settings.model_validate({"iterations": 6, "warmup": 0, "optimizer": "sgd"})

    def loop() -> TrainingLoop:
        torch._dynamo.reset()
        more: dict[str, Any] = {"workers": 0, "checkpoint_every": 100, "compiled": compiled}
        return TrainingLoop(Dropping(task, settings), random_stream(), folder, device=CPU, **more)

    if stop_after:
        first = loop()
        first._should_stop = lambda: first.iter == stop_after
        with pytest.raises(InterruptedTrainingError):
            first.run()
    last = loop()
    last.run()
    return last


@forked
def test_a_compiled_training_ends_with_the_same_bits_once_interrupted(
    by: Callable[[Any], None], tmp_path: Path
) -> None:
    """After three iterations the first size that comes is the other one."""
    by("aot_eager")
    whole, parts = trained(tmp_path / "whole"), trained(tmp_path / "parts", stop_after=3)
    plain = trained(tmp_path / "plain", compiled=False)
    assert checkpoint.digest(parts.model_state()) == checkpoint.digest(whole.model_state())
    assert whole.model_state().keys() == plain.model_state().keys()
    assert parts.compilation == whole.compilation
    assert whole.compilation == Compilation(compiled=["student.part"], uncompiled=["student.branch"])
    assert plain.compilation is None

"""Mixed precision: which modules compute in a short format, and how the loss is scaled for fp16."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from random_stream import random_stream
from torch import Tensor, nn

from adaptbench.adaptation.ema import Teacher
from adaptbench.adaptation.imagenet_encoder import FrozenEncoder
from adaptbench.adaptation.parts import parts
from adaptbench.adaptation.style import StyleHallucination, hallucinate
from adaptbench.contracts.method import LossGroup, Method
from adaptbench.contracts.precision import Precision
from adaptbench.contracts.profiles import profile
from adaptbench.contracts.settings import Settings
from adaptbench.contracts.task import Task
from adaptbench.data.batch import Batch
from adaptbench.data.taxonomy import CITYSCAPES19
from adaptbench.errors import InterruptedTrainingError, RunStateError
from adaptbench.networks.hrda import HRDAOptions, build_hrda
from adaptbench.training import checkpoint, precision
from adaptbench.training.loop import TrainingLoop

CPU = torch.device("cpu")
SHORT: tuple[Precision, ...] = ("bf16", "fp16")


class Everything(nn.Module):
    """As a method is: a student, its teacher, an encoder that stays, and things without weights."""

    def __init__(self, student: nn.Module) -> None:
        super().__init__()
        self.student = student
        self.teacher = Teacher(student, 0.99)
        self.imagenet = FrozenEncoder(student.get_submodule("backbone"))
        self.discriminator = nn.Sequential(nn.Conv2d(19, 1, 1))
        self.again = self.discriminator
        self.several = nn.ModuleDict({"main": nn.ModuleList([nn.Conv2d(19, 1, 1)])})
        self.styles = StyleHallucination(4)


@pytest.fixture(scope="module")
def hrda_parts() -> list[str]:
    torch.manual_seed(0)
    student = build_hrda("daformer-mini", 19, HRDAOptions(detail_crop=(64, 64)))
    method = Everything(student)
    names = {module: name for name, module in method.named_modules()}
    return [names[part] for part in parts(method)]


def test_parts_are_what_holds_weights_between_the_arithmetic(hrda_parts: list[str]) -> None:
    """The scales of HRDA are fused outside of them, a shared module is one part, and styles are none."""
    inner = ("backbone", "decode_head.head", "decode_head.scale_attention")
    assert hrda_parts == [
        *(f"student.{name}" for name in inner),
        *(f"teacher.network.{name}" for name in inner),
        "imagenet.encoder",
        "discriminator",
        "several.main.0",
    ]


@pytest.mark.parametrize("short", SHORT)
def test_a_part_gives_float32_from_a_short_format(short: Precision) -> None:
    torch.manual_seed(0)
    method = nn.ModuleDict({"part": Nested()})
    image = torch.randn(2, 3, 5, 5)
    whole = method["part"](image, named=True)
    precision.train_in(short, method, CPU)
    found = method["part"](image, named=True)
    assert method["part"].seen == {"bf16": torch.bfloat16, "fp16": torch.float16}[short]
    assert [one.dtype for one in (*found["maps"], found["ids"])] == [torch.float32] * 2 + [torch.int64]
    assert not torch.equal(found["maps"][0], whole["maps"][0])
    torch.testing.assert_close(found["maps"][0], whole["maps"][0], atol=0.02, rtol=0.02)


class Nested(nn.Module):
    """Gives nested outputs, and notes in which format it computed."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.seen: torch.dtype | None = None

    def forward(self, image: Tensor, named: bool) -> dict[str, Any]:
        found = self.conv(image)
        self.seen = found.dtype
        return {"maps": (found, found * 2), "ids": found.argmax(1), "named": named}


def test_a_copy_of_a_part_computes_with_its_own_weights() -> None:
    method = nn.ModuleDict({"part": nn.Conv2d(1, 1, 1, bias=False)})
    precision.train_in("bf16", method, CPU)
    copied = copy.deepcopy(method)
    nn.init.ones_(method["part"].weight)
    nn.init.zeros_(copied["part"].weight)
    image = torch.ones(1, 1, 1, 1)
    assert [one["part"](image).item() for one in (method, copied)] == [1, 0]


def test_styles_are_measured_in_float32() -> None:
    """Around 100 a step of bf16 is a half, as large as the deviation."""
    torch.manual_seed(0)
    features = (100 + torch.randn(2, 3, 8, 8)).bfloat16()
    styles = StyleHallucination(3).base
    with torch.autocast("cpu", torch.bfloat16):
        found = hallucinate(features, torch.ones(2, 3) / 3, styles)
    assert found.dtype == torch.bfloat16
    expected = hallucinate(features.double(), torch.ones(2, 3, dtype=torch.float64) / 3, _double(styles))
    torch.testing.assert_close(found.double(), expected, atol=0, rtol=2**-8)


def _double(styles: Any) -> Any:
    return type(styles)(*(part.double() for part in styles))


@pytest.fixture
def flags() -> Iterator[None]:
    """Those of torch stay as they were."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@pytest.mark.parametrize("asked", ["float32", "tf32", "bf16"])
def test_tf32_is_what_was_asked_for(asked: Precision, flags: None) -> None:
    """By default cuDNN takes it for float32. What follows a step, such as the choice of a snapshot, is in float32."""
    torch.backends.cudnn.allow_tf32 = True
    with pytest.raises(ZeroDivisionError), precision.products_in(asked):
        assert _tf32() == (asked == "tf32",) * 2
        raise ZeroDivisionError
    assert _tf32() == (False, False)


def _tf32() -> tuple[bool, bool]:
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


def test_a_training_rounds_in_its_steps_alone(tmp_path: Path, flags: None) -> None:
    seen: list[tuple[bool, bool]] = []

    class Noting(Linear):
        def losses(self, batch: Batch) -> LossGroup:
            seen.append(_tf32())
            return super().losses(batch)

        def finish(self) -> None:
            seen.append(_tf32())

    settings = Settings.model_validate({"iterations": 6, "warmup": 0})
    _loop(tmp_path, Noting(Task("test", "uda", CITYSCAPES19, profile("mini")), settings), "tf32", 0).run()
    assert seen == [(True, True)] * 6 + [(False, False)]


@pytest.mark.parametrize(
    ("asked", "capability", "fits"),
    [("bf16", (7, 5), False), ("tf32", (7, 5), False), ("fp16", (7, 5), True), ("bf16", (9, 0), True)],
)
def test_a_gpu_without_the_format(
    asked: Precision, capability: tuple[int, int], fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Old GPU")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    precision.require_available(asked, CPU)
    if fits:
        precision.require_available(asked, torch.device("cuda"))
    else:
        with pytest.raises(RunStateError, match=rf"--precision {asked}: Old GPU .*7\.5.*float32 or fp16"):
            precision.require_available(asked, torch.device("cuda"))


def two() -> tuple[list[nn.Parameter], OptimWrapperDict]:
    """Two weights with an optimiser each, which one loss is for."""
    weights = [nn.Parameter(torch.tensor(1.0)), nn.Parameter(torch.tensor(2.0))]
    student, other = (OptimWrapper(torch.optim.SGD([weight], lr=0.5)) for weight in weights)
    return weights, OptimWrapperDict(student=student, discriminator=other)


def test_one_scale_is_for_all_optimisers() -> None:
    weights, plain = two()
    wrapped = precision.scaled(plain, "fp16", CPU)
    assert isinstance(wrapped, OptimWrapperDict)
    assert list(wrapped.keys()) == ["student", "discriminator"]
    wrapped["student"].backward(weights[0] * 3 + weights[1] * 4)
    assert weights[0].grad == 3 * 2**16
    for one in wrapped.values():
        one.step()
        one.zero_grad()
    assert [weight.item() for weight in weights] == [1 - 1.5, 2 - 2]

    wrapped["student"].backward(weights[0] * 1e38 * 1e38 + weights[1])
    for one in wrapped.values():
        one.step()
    assert [weight.item() for weight in weights] == [-0.5, -0.5], (
        "a gradient without end is no step of the one"
    )
    states = [one.state_dict()["loss_scaler"] for one in wrapped.values()]
    assert states[0] == states[1] and states[0]["scale"] == 2**15, "halved once"


def test_other_formats_need_no_scale() -> None:
    _, plain = two()
    assert all(precision.scaled(plain, other, CPU) is plain for other in ("float32", "tf32", "bf16"))


class Linear(Method):
    """A part with batch norm, and a loss."""

    name = "linear"

    def build_student(self) -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1))

    def losses(self, batch: Batch) -> LossGroup:
        logits = self.student(batch.source.image)
        assert logits.dtype == torch.float32
        return {"loss": (logits - 1).square().mean()}


def _trained(folder: Path, asked: Precision, stop_after: int = 0) -> str:
    """What the weights are in the end; interrupted once, and taken up again."""
    folder.mkdir()
    task = Task("test", "uda", CITYSCAPES19, profile("mini"))
    settings = Settings.model_validate({"iterations": 6, "warmup": 0, "optimizer": "sgd"})
    if stop_after:
        with pytest.raises(InterruptedTrainingError):
            _loop(folder, _linear(task, settings), asked, stop_after).run()
    loop = _loop(folder, _linear(task, settings), asked, 0)
    loop.run()
    assert all(
        value.dtype == torch.float32 for value in loop.model_state().values() if value.is_floating_point()
    )
    return checkpoint.digest(loop.model_state())


def _linear(task: Task, settings: Settings) -> Linear:
    torch.manual_seed(0)
    return Linear(task, settings)


def _loop(folder: Path, method: Method, asked: Precision, stop_after: int) -> TrainingLoop:
    loop = TrainingLoop(
        method,
        random_stream(),
        folder,
        device=CPU,
        workers=0,
        checkpoint_every=100,
        precision=asked,
        should_stop=lambda: bool(stop_after) and loop.iter == stop_after,
    )
    return loop


@pytest.mark.parametrize("asked", ["float32", *SHORT])
def test_every_format_trains_with_the_same_bits_once_interrupted(asked: Precision, tmp_path: Path) -> None:
    whole = _trained(tmp_path / "whole", asked)
    assert _trained(tmp_path / "parts", asked, stop_after=3) == whole
    assert asked == "float32" or whole != _trained(tmp_path / "float32", "float32")

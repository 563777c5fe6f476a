"""Which iterations are watched, and what is logged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from adaptbench.contracts.method import LossGroup, Method
from adaptbench.contracts.profiles import profile
from adaptbench.contracts.settings import Settings
from adaptbench.contracts.task import Task
from adaptbench.data.batch import Batch, LabelledImages
from adaptbench.data.taxonomy import CITYSCAPES19
from adaptbench.draws import Draws
from adaptbench.errors import RunStateError
from adaptbench.training import checkpoint
from adaptbench.training.loop import TrainingLoop, to_device
from adaptbench.training.watch import Shown, Watch

_TASK = Task("test", "uda", CITYSCAPES19, profile("mini"))


class Showing(Method):
    """A linear model that shows a labelling of its input."""

    name = "showing"

    def build_student(self) -> nn.Module:
        return nn.Conv2d(3, 2, 1)

    def losses(self, batch: Batch) -> LossGroup:
        label = batch.source.label
        self.observe("pseudo", label=label, confident=label == 1, weight=self.student(batch.source.image))
        return {"loss_square": self.student(batch.source.image).square().mean()}


class Stream:
    """Batches of random images without a data set."""

    stage_seed = 1
    rare_classes = None
    balanced_picks = None

    def __init__(self, length: int) -> None:
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, iteration: int) -> Batch:
        random = torch.Generator().manual_seed(iteration)
        image = torch.randn(2, 3, 4, 4, generator=random)
        label = torch.randint(2, (2, 1, 4, 4), generator=random)
        return Batch(iteration, Draws(1, iteration), LabelledImages(image, ("a", "b"), label), None)


class Note(Watch):
    """Notes what it is shown, and logs a vector."""

    def __init__(self, every: int) -> None:
        super().__init__(every)
        self.notes: list[tuple[int, list[str], int]] = []

    def use(self, runner: Any, batch: Any, log: dict[str, Tensor], shown: Shown) -> None:
        assert not any(part.requires_grad for part in shown["pseudo"].values())
        self.notes.append((runner.iter, sorted(shown["pseudo"]), len(runner.model.observers)))
        log["noted"] = torch.tensor([1 / 3, float("nan")])


def _loop(
    folder: Path,
    *hooks: Watch,
    iterations: int = 25,
    method: type[Method] = Showing,
    checkpoint_every: int = 100,
) -> TrainingLoop:
    torch.manual_seed(0)
    settings = Settings.model_validate({"iterations": iterations, "warmup": 0})
    return TrainingLoop(
        method(_TASK, settings),
        cast("Any", Stream(iterations)),
        folder,
        device=torch.device("cpu"),
        workers=0,
        checkpoint_every=checkpoint_every,
        hooks=hooks,
    )


def _lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("every", "expected"), [(1, list(range(25))), (10, [0, 10, 20, 24]), (24, [0, 24]), (99, [0, 24])]
)
def test_watched_are_one_of_every_few_and_the_last(tmp_path: Path, every: int, expected: list[int]) -> None:
    note = Note(every)
    loop = _loop(tmp_path, note)
    loop.run()
    assert [iteration for iteration, _, _ in note.notes] == expected
    assert all(parts == ["confident", "label", "weight"] for _, parts, _ in note.notes)
    assert loop.model.observers == []


def test_a_batch_on_a_device_is_still_in_memory() -> None:
    batch = Stream(1)[0]
    moved = to_device(batch, torch.device("meta"))
    assert (moved.source.image.device.type, moved.source.label.device.type) == ("meta", "meta")
    assert moved.source.on_cpu.label is batch.source.label and moved.source.names == batch.source.names
    assert to_device(batch, torch.device("cpu")) is batch and batch.source.on_cpu is batch.source


def test_shares_are_logged_with_every_line_and_by_default_nothing_else_watches(tmp_path: Path) -> None:
    loop = _loop(tmp_path)
    assert [type(hook).__name__ for hook in loop.hooks] == ["ClassShares"]
    loop.run()
    lines = _lines(tmp_path)
    assert [line["iteration"] for line in lines] == [0, 10, 20, 24]
    for line in lines:
        assert len(line["pseudo.class_share"]) == len(CITYSCAPES19)
        assert sum(line["pseudo.class_share"]) == pytest.approx(1, abs=1e-4)
        assert line["pseudo.class_share"][1] == pytest.approx(sum(line["pseudo.confident_class_share"]))


def test_what_a_hook_adds_is_logged_rounded(tmp_path: Path) -> None:
    _loop(tmp_path, Note(10)).run()
    assert [line["noted"] for line in _lines(tmp_path)] == [[0.33333, None]] * 4
    assert all(line["loss"] == line["loss_square"] for line in _lines(tmp_path))


def test_every_iteration_is_reported_with_the_losses_that_were_logged_last(tmp_path: Path) -> None:
    reported: list[tuple[Any, ...]] = []
    loop = _loop(tmp_path)
    loop._report = lambda *told: reported.append(told)
    loop.run()
    assert [(number, total) for number, total, _, _ in reported] == [(n, 25) for n in range(1, 26)]
    logged = {line["iteration"]: line["loss_square"] for line in _lines(tmp_path)}
    last = [logged[max(n for n in logged if n <= iteration)] for iteration in range(25)]
    assert [losses for _, _, _, losses in reported] == [{"loss_square": loss} for loss in last]
    assert [loss for _, _, loss, _ in reported] == last


def test_watching_changes_no_weight(tmp_path: Path) -> None:
    plain, watched = _loop(tmp_path / "a"), _loop(tmp_path / "b", Note(3), Note(1))
    for loop in (plain, watched):
        (tmp_path / "a").mkdir(exist_ok=True)
        (tmp_path / "b").mkdir(exist_ok=True)
        loop.run()
    for name, tensor in plain.model.state_dict().items():
        assert torch.equal(tensor, watched.model.state_dict()[name]), name


def _break(iteration: int, part: str) -> Any:
    """A step after which one part of the method is no number, with a finite loss."""
    usual = Showing.train_step

    def step(method: Showing, batch: Batch, optimizers: Any) -> dict[str, Tensor]:
        log = usual(method, batch, optimizers)
        if batch.iteration == iteration:
            with torch.no_grad():
                broken = "student.weight" if part == "gradients" else part
                # Finite weights of which the squares, and those of their gradients, are not.
                method.state_dict()[broken].fill_(1e30 if part == "gradients" else torch.nan)
        return log

    return step


class WithTeacher(Showing):
    """And with what is in its checkpoint beside the student."""

    def __init__(self, task: Task, settings: Settings) -> None:
        super().__init__(task, settings)
        self.register_buffer("teacher", torch.zeros(2))


_STEP = "weights are not finite after iteration 12 (counted from 0), a step on the labelled images a, b"
_OPTIMISER = "state.optimizers.student.state.0.exp_avg_sq and 1 more are not finite at iteration 20"
_BROKEN = [
    ("student.weight", _STEP),
    ("teacher", "method.teacher is not finite at iteration 20"),
    ("gradients", _OPTIMISER),
]


@pytest.mark.parametrize(("part", "said"), _BROKEN)
def test_a_training_that_diverges_stops(
    part: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its iteration, between two lines of the log and two checkpoints; else at the next checkpoint."""
    monkeypatch.setattr(WithTeacher, "train_step", _break(12, part))
    loop = _loop(tmp_path, method=WithTeacher, checkpoint_every=10)
    with pytest.raises(RunStateError) as error:
        loop.run()
    assert f"Training diverged: {said}. The last good" in str(error.value)
    assert f"The last good checkpoint is that of iteration 10: {tmp_path}/checkpoint.safetensors." in str(
        error.value
    )
    tensors, facts = checkpoint.load(tmp_path / "checkpoint.safetensors")
    assert facts["iteration"] == 10
    assert all(bool(tensor.isfinite().all()) for tensor in tensors.values())


def test_without_a_checkpoint_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WithTeacher, "train_step", _break(0, "student.weight"))
    with pytest.raises(RunStateError, match=r"after iteration 0 .*There is no checkpoint yet\."):
        _loop(tmp_path, method=WithTeacher).run()

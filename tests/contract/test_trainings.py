"""What every training stage of every method must keep. Stages that take the same steps are tested once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch.utils.checkpoint import checkpoint as recompute

from adaptbench import networks
from adaptbench.contracts.method import LossGroup, Method, Stage, total_loss
from adaptbench.data.batch import Batch
from adaptbench.data.taxonomy import CITYSCAPES19
from adaptbench.drawing.contact_sheet import GAP, MARGIN, PANEL
from adaptbench.networks import mit
from adaptbench.networks.mit import MiT
from adaptbench.training import checkpoint
from adaptbench.training.class_shares import ClassShares
from adaptbench.training.debug_images import DebugImages

from .runs import Run, run, trained
from .steps import build, step


@pytest.fixture(scope="module")
def plain(training: Stage) -> Run:
    """Two steps that nothing disturbs; its state is not to be changed."""
    return trained(training)


@dataclass(frozen=True)
class Watched:
    """The same two steps with statistics and debug images, and what was seen of them.

    Attributes:
        shown: what the method showed, as ``GROUP PART``.
        dimensions: of the total of each group that `Method.losses` gave in each step.
    """

    run: Run
    shown: set[str]
    dimensions: list[list[int]]
    images: Path


@pytest.fixture(scope="module")
def watched(training: Stage, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    method, folder, shown = build(training), tmp_path_factory.mktemp("debug"), set[str]()

    def note(group: str, parts: Mapping[str, Any]) -> None:
        shown.update(f"{group} {part}" for part in parts)

    method.observers.append(note)
    dimensions = noted_groups(method)
    made = run(method, (ClassShares(1), DebugImages(1, folder, "test")))
    assert method.observers == [note]
    return Watched(made, shown, dimensions, folder)


def noted_groups(method: Method) -> list[list[int]]:
    """The list that takes the dimensions of the total of each loss group from now on, a list per step."""
    losses, noted = method.losses, list[list[int]]()

    def watched_losses(batch: Batch) -> Iterator[LossGroup]:
        given, dimensions = losses(batch), list[int]()
        noted.append(dimensions)
        for group in [given] if isinstance(given, Mapping) else given:
            dimensions.append(total_loss(group).ndim)
            yield group

    method.losses = watched_losses  # type: ignore[method-assign]
    return noted


def test_a_step_learns_something_finite(plain: Run) -> None:
    assert all(plain.logs), "train_step() returns nothing to log"
    assert all(math.isfinite(value) for log in plain.logs for value in log.values()), plain.logs
    before, after = plain.untrained, {name: plain.after_one[f"student.{name}"] for name in plain.untrained}
    assert not before or any(not torch.equal(before[name], after[name]) for name in before)
    parameters = plain.method.student.parameters()
    assert all(bool(torch.isfinite(one).all()) for one in (*after.values(), *parameters))


def test_losses_come_in_groups_with_a_loss(training: Stage, watched: Watched) -> None:
    if training.method.train_step is Method.train_step:
        assert len(watched.dimensions) == len(watched.run.logs)
        for dimensions in watched.dimensions:
            assert dimensions, "losses() yields nothing"
            assert set(dimensions) == {0}


def test_global_random_states_are_left_alone(plain: Run) -> None:
    assert not plain.drew_globally, "random.* or np.random.* was used: draw from batch.draws"


def test_the_scored_network_gives_logits(plain: Run) -> None:
    network = plain.method.scored_network()
    modes = plain.modes()
    with torch.no_grad():
        logits = network.eval()(torch.randn(1, 3, 64, 96))
    for name, module in plain.method.named_modules():
        module.training = modes[name]
    assert logits.ndim == 4
    assert logits.shape[:2] == (1, len(CITYSCAPES19))
    assert logits.dtype == torch.float32
    assert bool(torch.isfinite(logits).all())


def test_the_state_survives_a_checkpoint(training: Stage, plain: Run, tmp_path: Path) -> None:
    tensors: dict[str, torch.Tensor] = {}
    facts = checkpoint.flatten("method", plain.after_one, tensors)
    checkpoint.save(tmp_path / "file.safetensors", tensors, {"state": facts})
    loaded, read = checkpoint.load(tmp_path / "file.safetensors")
    other = build(training, seed=1)
    other.load_state_dict(checkpoint.unflatten(read["state"], loaded))
    assert checkpoint.digest(other.state_dict()) == checkpoint.digest(plain.after_one)
    assert step(other, 1).keys() == plain.logs[1].keys()


def test_recomputing_activations_changes_no_bit(
    training: Stage, plain: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stochastic depth, dropout and hallucinated styles are drawn alike; that is why no hash knows of it."""
    recomputed = []

    def counted(*arguments: Any, **options: Any) -> Any:
        recomputed.append(arguments)
        return recompute(*arguments, **options)

    monkeypatch.setattr(mit, "checkpoint", counted)
    assert not any(getattr(module, "checkpointing", False) for module in plain.method.modules())
    if not any(isinstance(module, MiT) for module in plain.method.student.modules()):
        before = [dict(vars(module)) for module in plain.method.student.modules()]
        networks.checkpoint_activations(plain.method.student)
        assert [vars(module) for module in plain.method.student.modules()] == before, (
            "other encoders stay as they are"
        )
        return
    saving = build(training)
    networks.checkpoint_activations(saving.student)
    made = run(saving)
    assert recomputed
    for log, expected in zip(made.logs, plain.logs, strict=True):
        torch.testing.assert_close(log, expected, rtol=0, atol=0, equal_nan=True)
    assert made.digest() == plain.digest()


def test_equal_keys_give_equal_bits_and_watching_changes_none(plain: Run, watched: Watched) -> None:
    for one, other in zip(plain.numbers(), watched.run.numbers(), strict=True):
        assert one == {key: other[key] for key in one}
    assert watched.run.digest() == plain.digest(), (
        "random draws must come from batch.draws (or torch's generator, in layers); what is shown stays as it is"
    )
    assert watched.run.modes() == plain.modes()
    assert sorted(path.name for path in watched.images.iterdir()) == ["000000.png", "000001.png"]


def test_what_it_shows_can_be_drawn(training: Stage, watched: Watched) -> None:
    shown, log = watched.shown, watched.run.logs[-1]
    columns = 3 + training.method.uses_target_images
    columns += len({name for name in shown if name.split(" ")[1] not in ("weight", "confident", "mask")})
    with Image.open(watched.images / "000001.png") as sheet:
        assert sheet.width == 2 * MARGIN + columns * (PANEL + GAP) - GAP
        assert sheet.height > 2 * PANEL
    if "pseudo confident" in shown:
        share, confident = log["pseudo.class_share"], log["pseudo.confident_class_share"]
        assert share.shape == confident.shape == (len(CITYSCAPES19),)
        assert float(share.sum()) == pytest.approx(1)
        assert bool((confident <= share).all())
    else:
        assert not [key for key in log if key.startswith("pseudo.")]

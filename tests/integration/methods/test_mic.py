"""The masked pass with a teacher of its own, and sizes of blocks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_training import CROP, build, train

from adaptbench.contracts.profiles import profile
from adaptbench.contracts.settings import resolve
from adaptbench.errors import UsageError
from adaptbench.training import checkpoint
from methods.mic import MIC, MaskedConsistency
from methods.mic_daformer import MICDAFormer


def mic(**changes: Any) -> MaskedConsistency:
    made = build(MICDAFormer, pseudo_ignore_top=8, pseudo_ignore_bottom=0, **changes)
    assert isinstance(made, MaskedConsistency)
    return made


def test_published_blocks_are_as_large_in_the_scene() -> None:
    assert (MIC.Settings().mask_block, MIC.Settings().resolution) == (64, 2.0)
    assert (MICDAFormer.Settings().mask_block, MICDAFormer.Settings().resolution) == (32, 1.0)


@pytest.mark.parametrize("threshold", [0.0, 0.06])
def test_an_equal_teacher_of_its_own_changes_no_bit(threshold: float) -> None:
    """Both average the student alike, and both label with the statistics of the batch."""
    host, own = (mic(mask_teacher=teacher, pseudo_threshold=threshold) for teacher in ("host", "own"))
    assert train(host, 3) == train(own, 3)
    assert checkpoint.digest(host.student.state_dict()) == checkpoint.digest(own.student.state_dict())
    assert host.mask_teacher is None and own.mask_teacher is not None
    teachers = own.teacher.state_dict(), own.mask_teacher.state_dict()
    assert all(torch.equal(teachers[0][name], teachers[1][name]) for name in teachers[0])


def test_alpha_0_lets_the_student_label() -> None:
    made = mic(mask_teacher="own", mask_ema_alpha=0.0, warmup=0)
    assert made.mask_teacher is not None
    train(made, 2)
    before = {name: p.detach().clone() for name, p in made.student.named_parameters()}
    made.mask_teacher.update(made.student, 2)
    assert all(torch.equal(p, before[name]) for name, p in made.mask_teacher.network.named_parameters())
    made.teacher.update(made.student, 2)
    assert any(not torch.equal(p, before[name]) for name, p in made.teacher.network.named_parameters())


def test_threshold_0_trusts_everything_but_margins(monkeypatch: pytest.MonkeyPatch) -> None:
    made = mic(mask_teacher="own", mask_threshold=0.0)
    seen = {}
    train_pass = made.train_pass

    def watched(image: Any, label: Any, weight: Any, name: str, draws: Any) -> Any:
        seen[name] = weight
        return train_pass(image, label, weight, name, draws)

    monkeypatch.setattr(made, "train_pass", watched)
    train(made)
    expected = torch.ones(1, CROP, CROP)
    expected[:, :8] = 0
    assert torch.equal(seen["masked"], expected)
    assert bool((seen["mixed"] != 1).any())


def test_the_own_teacher_changes_what_masked_images_show() -> None:
    host = train(mic(pseudo_threshold=0.06, warmup=0, learning_rate=1e-3), 2)
    own = train(
        mic(pseudo_threshold=0.06, warmup=0, learning_rate=1e-3, mask_teacher="own", mask_ema_alpha=0.0), 2
    )
    assert host[0] == own[0] and host[1] != own[1]


@pytest.mark.parametrize("name", ["mask_ema_alpha", "mask_threshold"])
def test_what_nobody_would_read_is_refused(name: str) -> None:
    mini = profile("mini")
    with pytest.raises(UsageError, match=rf"--set {name}=0.5: .*is read with mask_teacher=own only"):
        resolve(MIC.Settings, mini, {}, {}, "daformer-mini", {name: 0.5})
    both = {name: 0.5, "mask_teacher": "own"}
    assert getattr(resolve(MIC.Settings, mini, {}, {}, "daformer-mini", both).settings, name) == 0.5

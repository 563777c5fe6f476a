"""The teacher against the published formula, parameter by parameter."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from adaptbench.adaptation.ema import Teacher, ema_alpha, teacher_mode, update_teacher


class DropPath(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * (torch.rand(len(x), 1, 1, 1) > 0.5) if self.training else x


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.Dropout2d(0.5),
        DropPath(),
        nn.Dropout(0.5),
        nn.Conv2d(4, 2, 1),
    )


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 5000), st.sampled_from([0.0, 0.9, 0.99, 0.999, 1.0]))
def test_update_equals_the_formula(iteration: int, cap: float) -> None:
    teacher, student = network(1), network(2)
    before = copy.deepcopy(teacher)
    update_teacher(teacher, student, iteration, cap)
    a = min(1 - 1 / (iteration + 1), cap)
    for new, old, value in zip(teacher.parameters(), before.parameters(), student.parameters(), strict=True):
        torch.testing.assert_close(new, a * old + (1 - a) * value, atol=1e-7, rtol=1e-6)
        assert iteration > 0 or torch.equal(new, value)
    for mine, initial in zip(teacher.buffers(), before.buffers(), strict=True):
        assert torch.equal(mine, initial)


def test_alpha_rises_to_the_cap() -> None:
    values = [ema_alpha(t, 0.99) for t in range(200)]
    assert values[:3] == [0.0, 0.5, pytest.approx(2 / 3)]
    assert values == sorted(values)
    assert values[-1] == 0.99


def test_teacher_mode_switches_off_only_dropout_and_drop_path() -> None:
    model = network().eval()
    teacher_mode(model)
    off = [type(part).__name__ for part in model.modules() if not part.training]
    assert off == ["Dropout2d", "DropPath", "Dropout"]


def test_teacher_uses_and_records_batch_statistics_without_gradients() -> None:
    student = network()
    teacher = Teacher(student, cap=0.99)
    image = torch.randn(2, 3, 8, 8) + 5
    teacher.train()
    logits = teacher(image)
    convolution, norm, classifier = (student[i] for i in (0, 1, 5))
    maps = convolution(image)
    spread = maps.var((0, 2, 3), unbiased=False, keepdim=True)
    expected = classifier((maps - maps.mean((0, 2, 3), keepdim=True)) / (spread + 1e-5).sqrt())
    torch.testing.assert_close(logits, expected)
    assert not logits.requires_grad
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert not norm.running_mean.any()
    assert isinstance(teacher.network, nn.Sequential)
    torch.testing.assert_close(teacher.network[1].running_mean, 0.1 * maps.mean((0, 2, 3)))


def test_teacher_copies_first_and_then_follows() -> None:
    student = network(1)
    teacher = Teacher(student, cap=0.5)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(1)
    teacher.update(student, 0)
    for mine, theirs in zip(teacher.parameters(), student.parameters(), strict=True):
        assert torch.equal(mine, theirs)
        assert mine.data_ptr() != theirs.data_ptr()
    assert all(parameter.requires_grad for parameter in student.parameters())


def test_errors() -> None:
    with pytest.raises(ValueError, match="0 or more"):
        ema_alpha(-1, 0.9)
    with pytest.raises(ValueError, match=r"0\.\.1"):
        Teacher(network(), cap=1.5)
    with pytest.raises(ValueError, match=r"weight is \(2, 3\) in the student and \(3, 2\)"):
        update_teacher(nn.Linear(2, 3), nn.Linear(3, 2), 1, 0.9)
    update_teacher(nn.ReLU(), nn.ReLU(), 1, 0.9)


def test_who_follows_at_the_end_of_an_iteration_is_never_a_copy_and_takes_buffers_along() -> None:
    student = network(2)
    teacher = Teacher(network(1), cap=0.999)
    before = copy.deepcopy(teacher.network)
    student[1].running_mean.fill_(3.0)
    teacher.follow(student, iteration=0)
    for new, old, value in zip(
        teacher.network.parameters(), before.parameters(), student.parameters(), strict=True
    ):
        torch.testing.assert_close(new, (old + value) / 2)
    assert torch.equal(teacher.network[1].running_mean, torch.full((4,), 1.5))
    assert teacher.network[1].num_batches_tracked == 0
    teacher.follow(student, iteration=5000)
    torch.testing.assert_close(teacher.network[1].running_mean, torch.full((4,), 0.999 * 1.5 + 0.001 * 3.0))

"""What is fixed under an adapter moves in no average; other frozen weights move, as published."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from adaptbench.adaptation.ema import average_buffers, average_parameters
from adaptbench.adaptation.fixed import fix, fixed_in, fixed_parts, release_changed


def network(marked: bool) -> nn.Module:
    """A frozen encoder with a trained part, and a decoder."""
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(50, 50), nn.BatchNorm1d(50), nn.Linear(50, 50))
    encoder[:2].requires_grad_(False)
    if marked:
        fix(encoder, "a network", "default", "some images")
    return nn.ModuleDict({"backbone": encoder, "decode_head": nn.Linear(50, 3)})


def averaged(student: nn.Module) -> tuple[nn.Module, nn.Module]:
    """A teacher before and after it has followed a student that was trained."""
    teacher = copy.deepcopy(student).requires_grad_(False)
    before = copy.deepcopy(teacher)
    with torch.no_grad():
        for parameter in student.parameters():
            if parameter.requires_grad:
                parameter.add_(1.0)
    for _ in range(5):
        average_parameters(teacher, student, 0.9)
        average_buffers(teacher, student, 0.9)
    return before, teacher


def moved(student: nn.Module) -> set[str]:
    before, after = averaged(student)
    old = before.state_dict()
    return {name for name, tensor in after.state_dict().items() if not torch.equal(tensor, old[name])}


def test_fixed_weights_keep_their_bits() -> None:
    student = network(marked=True)
    assert fixed_in(student) == {
        f"backbone.{name}"
        for name in student.get_submodule("backbone").state_dict()
        if not name.startswith("2.")
    }
    assert moved(student) == {f"{n}.{p}" for n in ("backbone.2", "decode_head") for p in ("weight", "bias")}


def test_other_frozen_weights_are_rounded() -> None:
    assert "backbone.0.weight" in moved(network(marked=False))


def test_what_is_trained_after_all_moves() -> None:
    """As at test time, where everything may be."""
    assert "backbone.0.weight" in moved(network(marked=True).requires_grad_(True))


def test_a_copy_takes_over_everything() -> None:
    student, other = network(marked=True), network(marked=True)
    nn.init.ones_(student.get_parameter("backbone.0.weight"))
    average_parameters(other, student, 0.0)
    assert torch.equal(other.get_parameter("backbone.0.weight"), student.get_parameter("backbone.0.weight"))


@pytest.mark.parametrize("changed", [False, True])
def test_other_weights_are_not_those_that_were_fixed(changed: bool) -> None:
    student = network(marked=True)
    if changed:
        nn.init.ones_(student.get_parameter("backbone.0.bias"))
    release_changed(student)
    assert bool(list(fixed_parts(student))) is not changed

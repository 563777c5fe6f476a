"""Recomputing activations changes no bit of a training; that is why no hash knows of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from adaptbench import networks
from adaptbench.contracts import plugins
from adaptbench.contracts.plugins import Plugin
from adaptbench.networks import mit
from adaptbench.networks.mit import MiT

from .steps import build, settings_of, step


def test_two_steps_end_with_the_same_bits(method: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stochastic depth, dropout and hallucinated styles are drawn alike."""
    recomputed = []

    def counted(*arguments: Any, **options: Any) -> Any:
        recomputed.append(arguments)
        return checkpoint(*arguments, **options)

    monkeypatch.setattr(mit, "checkpoint", counted)
    trained = plugins.load(method)
    stage = trained.stages(settings_of(trained))[-1]
    plain, saving = build(stage), build(stage)
    networks.checkpoint_activations(saving.student)
    for iteration in range(2):
        log = step(plain, iteration)
        assert not recomputed
        torch.testing.assert_close(step(saving, iteration), log, rtol=0, atol=0, equal_nan=True)
        assert bool(recomputed) == any(isinstance(module, MiT) for module in saving.student.modules())
        recomputed.clear()
    weights = plain.state_dict()
    for name, value in saving.state_dict().items():
        assert torch.equal(value, weights[name]), name


def test_other_encoders_stay_as_they_are() -> None:
    network = networks.build("deeplabv2-mini", 19)
    before = str(network)
    networks.checkpoint_activations(network)
    assert str(network) == before

"""Rein and SoMA are trained as their papers say, but on another decoder, and so claim nothing."""

from __future__ import annotations

import pytest

from adaptbench import networks
from adaptbench.contracts.method import Method
from adaptbench.contracts.profiles import profile
from adaptbench.contracts.settings import resolve
from methods.rein_dg import ReinDG
from methods.soma_dg import SoMADG


@pytest.mark.parametrize(("method", "rate", "end"), [(ReinDG, 1e-4, None), (SoMADG, 5e-5, 1e-5)])
def test_the_network_leaves_the_papers_optimiser_as_it_is(
    method: type[Method], rate: float, end: float | None
) -> None:
    network = method.Settings().network
    assert not method.published
    found = resolve(method.Settings, profile("paper"), None, networks.spec(network).recipe, network, {})
    settings = found.settings
    assert found.origin == "transferred"
    assert (settings.learning_rate, settings.weight_decay, settings.weight_decay_end) == (rate, 0.05, end)
    assert (settings.poly_power, settings.poly_after_warmup, settings.warmup) == (0.9, True, 0)

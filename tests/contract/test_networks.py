"""What every network must keep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from adaptbench import networks
from adaptbench.contracts.settings import Settings
from adaptbench.networks import NetworkSpec


@pytest.fixture(scope="module")
def image() -> Tensor:
    return torch.empty(1, 3, 64, 96, device="meta")


@pytest.fixture(scope="module", autouse=True)
def encoders_seen_once() -> Iterator[None]:
    """Several networks have the same encoder: it is built once, and shown the same image once."""
    build_part, built = networks._part, dict[str, Any]()

    def part(network: NetworkSpec, config: Mapping[str, Any]) -> Any:
        if config is not network.backbone:
            return build_part(network, config)
        if repr(config) not in built:
            encoder = build_part(network, config)
            encoder.forward = cache(encoder.forward)
            built[repr(config)] = encoder
        return built[repr(config)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "_part", part)
        yield


def test_it_builds_and_gives_logits(network: str, image: Tensor) -> None:
    with torch.device("meta"), torch.no_grad():  # shapes and types without the work
        model = networks.build(network, 19).eval()
        logits = model(image)
    assert logits.ndim == 4
    assert logits.shape[:2] == (1, 19)
    if "former" in network:  # whose decoders fuse maps at the stride of the finest
        assert logits.shape[2:] == (16, 24)
    assert logits.dtype == torch.float32
    assert all(name.startswith(("backbone.", "decode_head.")) for name in model.state_dict())
    assert {name.partition(".")[0] for name, _ in model.named_parameters()} in (
        {"backbone", "decode_head"},
        set(),
    )


def test_it_says_how_it_is_trained(network: str) -> None:
    spec = networks.spec(network)
    assert spec.name == network
    assert spec.start is None or (spec.start.data and spec.start.origin and spec.start.file)
    Settings.model_validate({**spec.recipe, "network": network})

"""What every network must keep."""

from __future__ import annotations

import pytest
import torch
from mmengine.model import BaseModule

from adaptbench import networks
from adaptbench.contracts.settings import Settings


def test_it_builds_and_gives_logits(network: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BaseModule, "init_weights", lambda module: None)  # it looks at the values
    with torch.device("meta"), torch.no_grad():  # shapes and types without the work
        model = networks.build(network, 19).eval()
        logits = model(torch.randn(1, 3, 64, 96))
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

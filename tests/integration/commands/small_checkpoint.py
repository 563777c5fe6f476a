"""A small DAFormer and a checkpoint as its authors would publish it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from adaptbench import networks

NETWORK = "daformer-mini"


def trained(classes: int = 19, seed: int = 0) -> nn.Module:
    """A small DAFormer whose weights nobody else has."""
    torch.manual_seed(seed)
    return networks.build(NETWORK, classes).eval()


def published(student: nn.Module, teacher: nn.Module) -> dict[str, Any]:
    """A checkpoint as a self-training run of the reference saves it."""
    parts: Mapping[str, nn.Module] = {"model.": student, "ema_model.": teacher, "imnet_model.": student}
    state: dict[str, Tensor] = {
        prefix + name: tensor for prefix, part in parts.items() for name, tensor in part.state_dict().items()
    }
    return {"meta": {"iter": 40_000}, "state_dict": state, "optimizer": {"state": {}, "param_groups": []}}

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from adaptbench.errors import UsageError
from adaptbench.networks.adapters.soma import SoMAOptions, split, wrap
from adaptbench.networks.adapters.split_qkv import SplitQKV


def encoder(depth: int = 2, channels: int = 6) -> nn.Module:
    model = nn.Module()
    model.blocks = nn.ModuleList(nn.ModuleDict({"fc1": nn.Linear(channels, 9)}) for _ in range(depth))
    return model


@pytest.mark.parametrize("major", [False, True])
def test_what_is_taken_out_and_what_is_left_make_the_matrix(major: bool) -> None:
    weight = torch.randn(7, 5, dtype=torch.float64)
    residual, up, down = split(weight, 2, 3.0, major)
    torch.testing.assert_close(residual + 3.0 * up @ down, weight)
    left, values = torch.linalg.svdvals(residual), torch.linalg.svdvals(weight)
    kept = values[2:] if major else values[:-2]
    torch.testing.assert_close(left, torch.cat([kept, torch.zeros(2, dtype=torch.float64)]))


def test_half_precision_is_split_in_float32() -> None:
    weight = torch.randn(7, 5).bfloat16()
    parts = split(weight, 2, 1.0)
    exact = split(weight.float(), 2, 1.0)
    for part, expected in zip(parts, exact, strict=True):
        assert part.dtype == torch.bfloat16
        assert torch.equal(part, expected.bfloat16())


def test_fused_layers_without_a_bias_are_split() -> None:
    fused = nn.Linear(4, 12, bias=False)
    features = torch.randn(3, 4)
    torch.testing.assert_close(SplitQKV(fused)(features), fused(features))


def test_the_rest_of_the_encoder_is_frozen_and_copies_are_independent() -> None:
    model = encoder()
    assert wrap(model, SoMAOptions(2, 2, 1)) == ["blocks.1.fc1"]
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert trained == [f"blocks.1.fc1.{part}" for part in ("bias", "lora_A.weight", "lora_B.weight")]
    twin = copy.deepcopy(model)
    torch.nn.init.zeros_(model.get_parameter("blocks.1.fc1.lora_A.weight"))
    assert twin.get_parameter("blocks.1.fc1.lora_A.weight").any()


def test_too_few_blocks_or_components_are_errors() -> None:
    with pytest.raises(UsageError, match="blocks from number 8 on, and the encoder has 2 blocks"):
        wrap(encoder(), SoMAOptions(first_block=8))
    untouched = encoder()
    with pytest.raises(
        UsageError, match=r"cannot train 7 components of blocks\.0\.fc1: its matrix of \(9, 6\) has 6"
    ):
        wrap(untouched, SoMAOptions(7, 7, 0))
    assert all(p.requires_grad for p in untouched.parameters())

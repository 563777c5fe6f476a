"""Plain vision transformers take images of any size; the recorded ones are in tests/conformance."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from adaptbench.networks.plain_vit import PlainViT

_SIZES = {"img_size": 32, "patch_size": 8, "embed_dim": 12, "depth": 2, "num_heads": 2}


def encoder(model: str = "vit_tiny_patch16_224", **options: Any) -> PlainViT:
    torch.manual_seed(0)
    made = PlainViT(model, _SIZES, **options)
    nn.init.normal_(made.model.pos_embed)
    return made.eval()


@pytest.mark.parametrize(
    ("scale", "size", "grid"),
    [(1.0, (32, 32), (4, 4)), (1.0, (33, 15), (5, 2)), (1.1, (32, 48), (4, 6)), (1.1, (3, 40), (1, 5))],
)
def test_sides_become_multiples_of_the_patch(
    scale: float, size: tuple[int, int], grid: tuple[int, int]
) -> None:
    made = encoder(scale=scale)
    (features,) = made(torch.rand(2, 3, *size))
    assert made.grid(size) == grid
    assert features.shape == (2, 12, *grid)


@pytest.mark.parametrize("positions", ["timm", "dinov2"])
def test_positions_of_the_table_stay_as_they_are(positions: Any) -> None:
    made = encoder(positions=positions)
    assert torch.equal(made.position_table((4, 4)), made.model.pos_embed)
    assert made.position_table((3, 7)).shape == (1, 1 + 3 * 7, 12)
    assert torch.equal(made.position_table((3, 7))[:, 0], made.model.pos_embed[:, 0])


def test_it_is_timms_network_where_nothing_is_resized() -> None:
    made, image = encoder(), torch.rand(2, 3, 32, 32)
    (features,) = made(image)
    tokens = made.model.forward_features(image)[:, made.model.num_prefix_tokens :]
    assert torch.allclose(features.flatten(2).transpose(1, 2), tokens, atol=1e-6)


@pytest.mark.parametrize("model", ["vit_small_patch14_reg4_dinov2", "vit_base_patch16_siglip_224"])
def test_registers_and_encoders_without_class_token(model: str) -> None:
    made, image = encoder(model), torch.rand(1, 3, 32, 32)
    (features,) = made(image)
    tokens = made.model.forward_features(image)[:, made.model.num_prefix_tokens :]
    assert torch.allclose(features.flatten(2).transpose(1, 2), tokens, atol=1e-6)


def test_maps_of_listed_blocks_have_no_final_norm() -> None:
    made, image = encoder(blocks=(0, 1)), torch.rand(1, 3, 32, 32)
    first, last = made(image)
    expected = made.model.forward_intermediates(image, indices=[0, 1], intermediates_only=True)
    assert torch.allclose(first, expected[0], atol=1e-6) and torch.allclose(last, expected[1], atol=1e-6)
    assert made.channels == (12, 12)


def test_hidden_tokens_are_the_mask_token_at_their_place() -> None:
    made, image = encoder(mask_token=True), torch.rand(1, 3, 32, 32)
    hidden = torch.ones(1, 16, dtype=torch.bool)
    (all_hidden,), (of_another,) = made(image, hidden), made(torch.rand(1, 3, 32, 32), hidden)
    assert torch.equal(all_hidden, of_another)
    assert not torch.allclose(all_hidden[..., 0, 0], all_hidden[..., 1, 1])  # positions are still told apart
    (none_hidden,) = made(image, ~hidden)
    assert torch.equal(none_hidden, made(image)[0])


def test_without_a_mask_token_nothing_can_be_hidden() -> None:
    with pytest.raises(ValueError, match="no mask token"):
        encoder()(torch.rand(1, 3, 32, 32), torch.ones(1, 16, dtype=torch.bool))


def test_a_copy_is_another_encoder() -> None:
    made = encoder(mask_token=True)
    other = copy.deepcopy(made)
    with torch.no_grad():
        other.model.pos_embed.zero_()
    assert not torch.equal(made.position_table((3, 3)), other.position_table((3, 3)))


@pytest.mark.parametrize("model", ["eva02_tiny_patch14_224", "vit_small_patch16_dinov3"])
def test_rotations_take_the_place_of_a_table(model: str) -> None:
    torch.manual_seed(0)
    made = PlainViT(model, {"depth": 2}).eval()
    image = torch.rand(1, 3, 4 * made.patch, 6 * made.patch)
    (features,) = made(image)
    tokens = made.model.forward_features(image)[:, made.model.num_prefix_tokens :]
    assert torch.allclose(features.flatten(2).transpose(1, 2), tokens, atol=1e-5)

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from adaptbench.errors import WeightsError
from adaptbench.networks.plain_vit import PlainViT
from adaptbench.networks.pretrained.encoders import encoder_state
from adaptbench.networks.pretrained.patch_size import resized_kernel, resized_positions

_FILE = Path("dinov2.pth")


def encoder(patch: int, side: int, width: int = 12) -> PlainViT:
    options = {"patch_size": patch, "img_size": side, "embed_dim": width, "depth": 1, "num_heads": 2}
    return PlainViT("vit_tiny_patch16_224", options)


def published(patch: int = 14, side: int = 70) -> dict[str, Tensor]:
    state = encoder(patch, side).state_dict()
    return {name.removeprefix("model."): torch.randn_like(tensor) for name, tensor in state.items()}


def test_files_are_taken_by_name_without_what_an_encoder_lacks() -> None:
    file = {**published(), "mask_token": torch.zeros(1, 12), "head.weight": torch.zeros(5, 12)}
    state = encoder_state(file, encoder(14, 70), _FILE)
    assert {name.removeprefix("model.") for name in state} == file.keys() - {"mask_token", "head.weight"}
    assert all(torch.equal(tensor, file[name.removeprefix("model.")]) for name, tensor in state.items())


def test_patches_of_another_size_are_resized() -> None:
    file = published()
    state = encoder_state(file, encoder(16, 128), _FILE)
    assert torch.equal(
        state["model.patch_embed.proj.weight"], resized_kernel(file["patch_embed.proj.weight"], 16)
    )
    assert torch.equal(state["model.pos_embed"], resized_positions(file["pos_embed"], (8, 8)))
    assert torch.equal(state["model.pos_embed"][:, 0], file["pos_embed"][:, 0])


def test_another_width_is_an_error_that_names_the_shapes() -> None:
    with pytest.raises(
        WeightsError, match=r"dinov2\.pth does not fit the encoder .*cls_token 1x1x12 instead of 1x1x16"
    ):
        encoder_state(published(), encoder(16, 128, 16), _FILE)

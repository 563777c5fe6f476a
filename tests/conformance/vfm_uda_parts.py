"""The tiny network of VFM-UDA's recorded cases, and its names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from adaptbench.data.normalisation import IMAGENET
from adaptbench.networks.plain_vit import PlainViT
from adaptbench.networks.pretrained.foundation import our_name as our_name
from adaptbench.networks.segmentor import Segmentor
from adaptbench.networks.vfm_uda import LightHead

from .case import Case

#: A model of timm that has all parts of the published encoder; the cases give the sizes.
_MODEL = "vit_small_patch14_dinov2"
PATCH = 14


class RecordedViT(PlainViT):
    """As the reference has it: the side is that of the crop, whatever comes; rows and columns of positions are swapped.

    It never sees anything but crops, which are square.
    """

    side: int | None = None

    def encoder_size(self, size: tuple[int, int]) -> tuple[int, int]:
        return super().encoder_size(size if self.side is None else (self.side, self.side))

    def position_table(self, grid: tuple[int, int]) -> Tensor:
        return super().position_table((grid[1], grid[0]))


def network_of(case: Case, **sizes: Any) -> Segmentor:
    """The network of a case without weights; ``sizes`` take the place of its own."""
    net = {**case.hyper("net"), **sizes}
    dropout = net.get("dropout_p", case.hyper("dropout_p", 0.0))
    options = {
        "img_size": net["pos_grid"] * PATCH, "embed_dim": net["width"], "depth": net["depth"],
        "num_heads": net["heads"], "init_values": 1.0, "proj_drop_rate": dropout,
    }  # fmt: skip
    encoder = RecordedViT(_MODEL, options, scale=net.get("scale", 1.1), positions="dinov2", mask_token=True)
    encoder.side = net["img_size"]
    return Segmentor(encoder, LightHead(net["width"], net["num_classes"]))


def load(case: Case, network: torch.nn.Module, prefix: str = "param/", **others: str) -> None:
    """Fills a network with recorded tensors; ``others`` are recorded elsewhere, by full names."""
    state = {our_name(name): case.tensor(prefix + name) for name in case.arrays(prefix) if _is_tensor(name)}
    network.load_state_dict({**state, **{our_name(name): case.tensor(at) for name, at in others.items()}})


def normalised(image: Tensor) -> Tensor:
    """Network input from grey levels, rounded as in the reference. Shape: ``(B, 3, H, W)``, unchanged."""
    mean, std = (torch.tensor(part).view(3, 1, 1) / 255 for part in (IMAGENET.mean, IMAGENET.std))
    return (image.float() / 255 - mean) / std


def in_grey_levels(image: Tensor) -> Tensor:
    """Grey levels from network input. Shape: ``(B, 3, H, W)``, unchanged."""
    mean, std = (torch.tensor(part).view(3, 1, 1) for part in (IMAGENET.mean, IMAGENET.std))
    return image * std + mean


def gradients(network: torch.nn.Module) -> Mapping[str, Tensor]:
    """Gradients by our names, of what has one."""
    return {name: p.grad for name, p in network.named_parameters() if p.grad is not None}


def _is_tensor(name: str) -> bool:
    return name.split(".")[0] in ("encoder", "upscale", "out")

"""A timm model as the backbone of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from adaptbench.networks.depthwise import quicken


@MODELS.register_module()
class TimmEncoder(nn.Module):
    """A timm model as a backbone: images to its feature pyramid.

    Args:
        model: timm's name.
        options: passed to timm.
        channels_last: whether it gives its feature maps as ``(B, h, w, c)``.
        skip: number of fine feature maps to leave out.
        keep: number of feature maps, from the finest one of the model on, behind which it ends; None = all.
    """

    def __init__(
        self,
        model: str,
        options: Mapping[str, Any] = MappingProxyType({}),
        channels_last: bool = False,
        skip: int = 0,
        keep: int | None = None,
    ) -> None:
        super().__init__()
        import timm

        self.channels_last = channels_last
        self.skip = skip
        ended = {} if keep is None else {"out_indices": tuple(range(keep))}
        self.model = timm.create_model(model, features_only=True, pretrained=False, **options, **ended)
        if keep is not None:
            _drop_tail(self.model)
        quicken(self.model)

    def forward(self, image: Tensor) -> Sequence[Tensor]:
        """Feature maps, fine to coarse. Shape: ``(B, 3, H, W)`` to several ``(B, c, h, w)``.

        Convolutions keep the order of their input in memory, and on a CPU they are quicker with channels last.
        """
        if image.device.type == "cpu":
            image = image.contiguous(memory_format=torch.channels_last)
        features: Sequence[Tensor] = self.model(image)[self.skip :]
        return [feature.permute(0, 3, 1, 2) for feature in features] if self.channels_last else features


def _drop_tail(model: Any) -> None:
    """Removes stages behind the last feature map, which timm's EfficientNets keep and compute."""
    container, _, last = model.feature_info.module_name()[-1].rpartition(".")
    stages = model.get_submodule(container)
    if isinstance(stages, nn.Sequential) and last.isdigit():
        del stages[int(last) + 1 :]

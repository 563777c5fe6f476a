"""A timm model as the backbone of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from adaptbench.errors import UsageError
from adaptbench.networks import frozen_norm
from adaptbench.networks.depthwise import quicken


class _ReachedError(Exception):
    """A pass has come to the map that it was run for."""

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.features = features


@MODELS.register_module()
class TimmEncoder(nn.Module):
    """A timm model as a backbone: images to its feature pyramid.

    Args:
        model: timm's name.
        options: passed to timm.
        channels_last: whether it gives its feature maps as ``(B, h, w, c)``.
        skip: number of fine feature maps to leave out.
        keep: number of feature maps, from the finest one of the model on, behind which it ends; None = all.
        keep_statistics: whether its batch norms keep the statistics they were loaded with.

    Attributes:
        style_hallucination: None, or a module behind the first map that is used, which is called in training mode and
            may enlarge the batch (SHADE). Only encoders whose maps come out of modules of their own can have one.
    """

    style_hallucination: nn.Module | None

    def __init__(
        self,
        model: str,
        options: Mapping[str, Any] = MappingProxyType({}),
        channels_last: bool = False,
        skip: int = 0,
        keep: int | None = None,
        keep_statistics: bool = False,
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
        if keep_statistics:
            frozen_norm.keep_statistics(self.model)
        self.channels = tuple(self.model.feature_info.channels())[skip:]
        self.style_hallucination = None

    def hallucinate(self, module: nn.Module) -> None:
        """Puts ``module`` behind the first map that is used.

        Raises:
            UsageError: timm does not say which module that map comes from.
        """
        self._first_module().register_forward_hook(self._restyled)
        self.style_hallucination = module

    def first_stage(self, image: Tensor) -> Tensor:
        """The first map that is used, without what is behind it. Shape: ``(B, 3, H, W)`` to ``(B, c, h, w)``."""

        def stop(module: nn.Module, inputs: Any, output: Tensor) -> None:
            raise _ReachedError(output)

        handle = self._first_module().register_forward_hook(stop, prepend=True)
        try:
            type(self).forward(self, image)  # as it is, and not for a share of the batch
        except _ReachedError as reached:
            return self._channels_first(reached.features)
        finally:
            handle.remove()
        raise AssertionError("the first map is computed in every pass")

    def _first_module(self) -> nn.Module:
        name = self.model.feature_info.module_name()[self.skip]
        modules: dict[str, nn.Module] = dict(self.model.named_modules())
        found = modules.get(name) or modules.get(name.replace(".", "_"))  # as timm joins names of most models
        if found is None:
            raise UsageError(
                "style_hallucination needs an encoder whose first feature map is the output of a module; timm's "
                f"{type(self.model).__name__} has none called {name}. Choose another encoder, or set "
                "style_hallucination=false."
            )
        return found

    def _restyled(self, module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        if not self.training or self.style_hallucination is None:
            return output
        styled: Tensor = self.style_hallucination(self._channels_first(output))
        return styled.permute(0, 2, 3, 1) if self.channels_last else styled

    def _channels_first(self, features: Tensor) -> Tensor:
        return features.permute(0, 3, 1, 2) if self.channels_last else features

    def forward(self, image: Tensor) -> Sequence[Tensor]:
        """Feature maps, fine to coarse. Shape: ``(B, 3, H, W)`` to several ``(B, c, h, w)``.

        Convolutions keep the order of their input in memory, and on a CPU they are quicker with channels last.
        """
        if image.device.type == "cpu":
            image = image.contiguous(memory_format=torch.channels_last)
        features: Sequence[Tensor] = self.model(image)[self.skip :]
        return [self._channels_first(feature) for feature in features]


def _drop_tail(model: Any) -> None:
    """Removes stages behind the last feature map, which timm's EfficientNets keep and compute."""
    container, _, last = model.feature_info.module_name()[-1].rpartition(".")
    stages = model.get_submodule(container)
    if isinstance(stages, nn.Sequential) and last.isdigit():
        del stages[int(last) + 1 :]

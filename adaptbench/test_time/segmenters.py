"""Methods of test-time adaptation by name, as they predict the images of a stream one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from adaptbench.draws import Draws, derive_seed
from adaptbench.errors import UsageError
from adaptbench.networks.inference import Mode, Size, resize, segment, taken_size
from adaptbench.test_time.decisions import Drawn
from adaptbench.test_time.norm_statistics import MixedSettings, MixedStatistics
from adaptbench.test_time.tent import CropTent, TentSettings
from adaptbench.test_time.view_cotta import ViewCotta, ViewCottaSettings, plain_and_mirrored

#: Predicts the next image. Shape: ``(1, 3, H, W)`` to train ids ``(*size,)`` uint8.
Segment = Callable[[Tensor, Size, Drawn], Tensor]


def _norm_adapt(network: nn.Module, settings: MixedSettings, mode: Mode) -> Segment:
    adapted = MixedStatistics(network, settings).network
    return lambda image, size, _: segment(adapted, image, mode, size)


def _tent(network: nn.Module, settings: TentSettings, mode: Mode) -> Segment:
    _require_taken(network, (settings.crop_height, settings.crop_width), "Choose larger crops.")
    _without_styles(network)
    tent = CropTent(network, settings)

    def predict(image: Tensor, size: Size, drawn: Drawn) -> Tensor:
        tent.learn(image, drawn)
        return segment(tent.network, image, mode, size)

    return predict


def _cotta(network: nn.Module, settings: ViewCottaSettings, mode: Mode) -> Segment:
    if not any(parameter.requires_grad for parameter in network.parameters()):
        network.requires_grad_(True)  # the average of a network, of which nothing trains
    cotta = ViewCotta(network, settings, mode)

    def predict(image: Tensor, size: Size, drawn: Drawn) -> Tensor:
        height, width = image.shape[-2:]
        _require_taken(network, (height, width), "Choose a network or a profile with larger images.")
        scaled = [(int(height * ratio), int(width * ratio)) for ratio in settings.ratios]
        views = plain_and_mirrored([resize(image, one) for one in scaled])
        return cotta(views, size, drawn).prediction.to(torch.uint8)

    return predict


def _without_styles(network: nn.Module) -> None:
    """Takes hallucinated styles out, which encoders of domain generalization add in training mode."""
    for part in network.modules():
        if getattr(part, "style_hallucination", None) is not None:
            part.register_module("style_hallucination", None)


def _require_taken(network: nn.Module, size: Size, advice: str) -> None:
    """Raises UsageError where a step would see less than the network takes; predictions alone are padded."""
    taken = taken_size(network, size)
    if taken != size:
        raise UsageError(
            f"Test-time adaptation would train the network on {size[0]}x{size[1]} pixels (height x width), and it "
            f"takes {taken[0]}x{taken[1]} or more. {advice}"
        )


@dataclass(frozen=True)
class NamedMethod:
    """A method: the class of its settings, and what starts a stream with a network that it may change."""

    settings: type[BaseModel]
    start: Callable[[nn.Module, Any, Mode], Segment]


METHODS: Mapping[str, NamedMethod] = {
    "tent": NamedMethod(TentSettings, _tent),
    "norm_adapt": NamedMethod(MixedSettings, _norm_adapt),
    "cotta": NamedMethod(ViewCottaSettings, _cotta),
}


class Stream:
    """A stream: images are predicted in the order in which they come, and nothing is forgotten between them.

    Args:
        name: of `METHODS`.
        settings: of its class.
        network: the source network; changed in place.
        mode: how it sees an image that it predicts.
    """

    def __init__(self, name: str, settings: BaseModel, network: nn.Module, mode: Mode) -> None:
        self._segment = METHODS[name].start(network, settings, mode)
        self._seed = derive_seed("test-time adaptation")
        self._seen = 0

    def segment(self, image: Tensor, size: Size) -> Tensor:
        """Train ids of the next image. Shape: ``(1, 3, H, W)`` to ``(*size,)`` uint8."""
        draws = Draws(self._seed, self._seen)
        self._seen += 1
        torch.manual_seed(draws.seed("dropout"))
        return self._segment(image, size, Drawn(draws))

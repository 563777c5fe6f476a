"""Streams: networks that predict images one after the other, and change meanwhile."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from adaptbench.draws import Draws, derive_seed
from adaptbench.errors import UsageError
from adaptbench.networks.inference import Size, taken_size
from adaptbench.test_time.decisions import Drawn


class Predicted(NamedTuple):
    """What a stream says of an image.

    Attributes:
        train_ids: the likeliest classes. Shape: uint8 ``(H, W)``.
        loss: of the last step that was made on it, without gradients; None where no step is made. Shape: scalar.
    """

    train_ids: Tensor
    loss: Tensor | None = None


class Segmenter(ABC):
    """A network that may change with every image that it predicts."""

    @abstractmethod
    def __call__(self, image: Tensor, size: Size, drawn: Drawn) -> Predicted:
        """Predicts the next image. Shape: ``(1, 3, H, W)`` to train ids ``(*size,)``."""

    @abstractmethod
    def network(self) -> nn.Module:
        """The network that would predict the next image, before it learns from it."""

    def parts(self) -> Mapping[str, nn.Module | Optimizer]:
        """All whose state decides what follows, by name. Default: the network alone."""
        return {"network": self.network()}

    def begin_condition(self) -> None:  # noqa: B027 - most have nothing to do
        """Called before the first image of every condition of a stream. Default: nothing."""


class Stream:
    """Images are predicted in the order in which they come, and nothing is forgotten between them.

    Args:
        segmenter: at its start; it is changed.
        seed: of everything that is drawn.
        counted: gives the train ids that outputs count as, where outputs are not the classes.

    Attributes:
        seen: number of images so far.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        seed: int | None = None,
        counted: Callable[[Tensor], Tensor] = lambda outputs: outputs,
    ) -> None:
        self.segmenter, self._counted = segmenter, counted
        self._seed = derive_seed("test-time adaptation") if seed is None else seed
        self.seen = 0

    def segment(self, image: Tensor, size: Size) -> Predicted:
        """The next image. Shape: ``(1, 3, H, W)`` to train ids ``(*size,)``."""
        draws = Draws(self._seed, self.seen)
        self.seen += 1
        torch.manual_seed(draws.seed("dropout"))
        found = self.segmenter(image, size, Drawn(draws))
        return found._replace(train_ids=self._counted(found.train_ids))


def without_styles(network: nn.Module) -> None:
    """Takes hallucinated styles out, which encoders of domain generalization add in training mode."""
    for part in network.modules():
        if getattr(part, "style_hallucination", None) is not None:
            part.register_module("style_hallucination", None)


def require_taken(network: nn.Module, size: Size, advice: str) -> None:
    """Raises UsageError where a step would see less than the network takes; predictions alone are padded."""
    taken = taken_size(network, size)
    if taken != size:
        raise UsageError(
            f"Test-time adaptation would train the network on {size[0]}x{size[1]} pixels (height x width), and it "
            f"takes {taken[0]}x{taken[1]} or more. {advice}"
        )


def require_inside(method: str, crop: Size, image: Size) -> None:
    """Raises UsageError where crops of a method do not fit into the images. Units: pixels, (height, width)."""
    if crop[0] > image[0] or crop[1] > image[1]:
        raise UsageError(
            f"{method}: crops of {crop[0]}x{crop[1]} pixels (height x width) do not fit into test images of "
            f"{image[0]}x{image[1]}. Set a smaller adapt_crop_height and adapt_crop_width."
        )


def let_learn(network: nn.Module) -> None:
    """Lets all parameters learn where none does, as in the average of a network; frozen parts of others stay frozen."""
    if not any(parameter.requires_grad for parameter in network.parameters()):
        network.requires_grad_(True)

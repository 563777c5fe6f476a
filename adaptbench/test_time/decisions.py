"""The random decisions of test-time adaptation, drawn outside the methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from adaptbench.draws import Draws
from adaptbench.errors import UsageError
from adaptbench.networks.inference import Size

#: Crops of an image that one step sees.
CROPS = 2


class Decisions(Protocol):
    """Everything that is drawn for one image; ``step`` counts the steps that are made on it."""

    def places(self, step: int, image: Size, crop: Size) -> Sequence[tuple[int, int]]:
        """Top and left of two crops. Units: pixels."""

    def mirrored(self, step: int, scale: int) -> Tensor:
        """Which of the two crops are mirrored at a scale, counted from 0. Shape: bool ``(2,)``."""

    def restored(self, step: int, name: str, value: Tensor, share: float) -> Tensor:
        """Which values of the parameter ``name`` go back to the source's. Shape: bool, that of ``value``."""


@dataclass(frozen=True)
class Drawn:
    """Decisions as the published code draws them: all independent, places uniform, mirrored with probability 1/2.

    Attributes:
        draws: generators of one image of the stream.
    """

    draws: Draws

    def places(self, step: int, image: Size, crop: Size) -> Sequence[tuple[int, int]]:
        """Top and left of two crops. Units: pixels.

        Raises:
            UsageError: the crop does not fit into the image.
        """
        room = (image[0] - crop[0], image[1] - crop[1])
        if min(room) < 0:
            raise UsageError(
                f"Test-time adaptation cuts crops of {crop[0]}x{crop[1]} pixels (height x width) out of every "
                f"image, and one has {image[0]}x{image[1]}. Choose a smaller crop_height and crop_width."
            )
        rng = self.draws.numpy(f"test-time crops, step {step}")
        return [(int(rng.integers(room[0] + 1)), int(rng.integers(room[1] + 1))) for _ in range(CROPS)]

    def mirrored(self, step: int, scale: int) -> Tensor:
        """Which of the two crops are mirrored. Shape: bool ``(2,)``."""
        return torch.rand(CROPS, generator=self.draws.torch(f"mirrored, step {step}, scale {scale}")) < 0.5

    def restored(self, step: int, name: str, value: Tensor, share: float) -> Tensor:
        """Which values go back. Shape: bool, that of ``value``."""
        generator = self.draws.torch(f"restored, step {step}, {name}")
        return (torch.rand(value.shape, generator=generator) < share).to(value.device)


def cut(image: Tensor, places: Sequence[tuple[int, int]], crop: Size) -> Tensor:
    """The crops of one image as a batch. Shape: ``(1, 3, H, W)`` to ``(2, 3, *crop)``."""
    return torch.cat([image[..., top : top + crop[0], left : left + crop[1]] for top, left in places])

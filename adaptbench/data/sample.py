"""One image of a dataset with its label, and what reading both takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Sample:
    """One image of a split.

    Attributes:
        name: stable identifier, unique within the split.
        label: where its label file belongs; whether the file exists is not checked here.
        tags: facts for grouping scores, for example ``{"city": "lindau"}``.
    """

    name: str
    image: Path
    label: Path
    tags: Mapping[str, str] = field(default_factory=dict)


class Reader(Protocol):
    """What batches need of a dataset (`adaptbench.contracts.dataset.Dataset`): its images and raw labels."""

    @property
    def name(self) -> str:
        """The dataset's name."""

    def read_image(self, sample: Sample) -> npt.NDArray[np.uint8]:
        """The image. Shape: ``(H, W, 3)`` RGB uint8."""

    def read_label(self, sample: Sample) -> npt.NDArray[np.uint8]:
        """Raw label ids. Shape: ``(H, W)`` uint8."""

"""Sizes in pixels of a profile: what a network is shown, and what labels are scored at."""

from __future__ import annotations

from adaptbench.contracts.benchmark import LabelSize
from adaptbench.contracts.dataset import Dataset
from adaptbench.contracts.profiles import Profile


def scored_size(stated: LabelSize, profile: Profile) -> tuple[int, int] | None:
    """A protocol's label size, (width, height) in pixels of the profile; None = that of the label files."""
    if stated == "native":
        return None
    width, height = (max(profile.length(int(side)), 1) for side in stated.split("x"))
    return width, height


def input_size(dataset: Dataset | type[Dataset], resolution: float, profile: Profile) -> tuple[int, int]:
    """Box an image of ``dataset`` is resized into, (width, height) in pixels of the profile."""
    width, height = dataset.training_size
    return (max(profile.length(int(width * resolution)), 1), max(profile.length(int(height * resolution)), 1))

"""A dataset whose labels are pseudo-labels of an earlier stage."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from adaptbench.contracts.dataset import Dataset, Sample


class PseudoLabelled(Dataset):
    """A dataset's images with pseudo-labels, whose ids are train ids."""

    name = "pseudo-labels"
    label_folders = ()

    def __init__(self, dataset: Dataset) -> None:
        super().__init__(dataset.root)
        self._dataset = dataset

    def samples(self, split: str) -> list[Sample]:
        """All samples of ``split``, without their pseudo-labels."""
        return self._dataset.samples(split)

    def read_image(self, sample: Sample) -> npt.NDArray[np.uint8]:
        """The image. Shape: ``(H, W, 3)`` RGB uint8."""
        return self._dataset.read_image(sample)

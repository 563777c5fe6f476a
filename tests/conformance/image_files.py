"""Recorded image files through the production training stream, and generators that draw as the references did."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from adaptbench.contracts.dataset import Dataset, Sample
from adaptbench.contracts.settings import Settings
from adaptbench.data import transforms
from adaptbench.data.framing import Framing
from adaptbench.data.normalisation import Normalisation
from adaptbench.data.sampling import Sampling
from adaptbench.data.stream import Domain, TrainingStream
from adaptbench.data.taxonomy import LabelMap

Size = tuple[int, int]


class _Files(Dataset):
    """Any image and index image of a folder."""

    name = "recorded"

    def samples(self, split: str) -> list[Sample]:
        raise NotImplementedError

    def read_label(self, sample: Sample) -> npt.NDArray[np.uint8]:
        """Recorded files are of several id spaces; the tables that are used with them say of which."""
        return self.decode_label(sample)


@dataclass(frozen=True)
class ImageFile:
    """A recorded image and its label file."""

    folder: Path
    image: str
    label: str

    @property
    def _sample(self) -> Sample:
        return Sample(self.image, self.folder / self.image, self.folder / self.label)

    def read(self) -> npt.NDArray[np.uint8]:
        """The image as production reads it."""
        return _Files(self.folder).read_image(self._sample)

    def read_label(self) -> npt.NDArray[np.uint8]:
        """The label as production reads it."""
        return _Files(self.folder).read_label(self._sample)

    def trained(
        self,
        box: Size,
        table: LabelMap,
        sampling: Sampling,
        values: Normalisation,
        rng: Any,
        **settings: Any,
    ) -> tuple[Tensor, Tensor]:
        """Image and label of a training batch that is drawn with ``rng``."""
        domain = Domain([(_Files(self.folder), self._sample, box, table)])
        stated = Settings.model_validate({"batch_size": 1, **settings})
        stream = TrainingStream(domain, None, stated, 0, sampling, values)
        image, label = stream._labelled_crop(0, rng, None)
        return stream._network_input([image])[0], transforms.label_input([label], stream._box)[0]

    def tested(self, box: Size, framing: Framing, values: Normalisation) -> Tensor:
        """The image as a network sees it in a test."""
        image = self.read()
        resized = framing.image(image, framing.size((image.shape[1], image.shape[0]), box))
        return transforms.normalise(resized, values)


@dataclass
class NumpyRandom:
    """The global generator of numpy that mmsegmentation draws with."""

    seed: int
    drawn: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._state = np.random.RandomState(self.seed)

    def integers(self, high: int) -> int:
        self.drawn.append(int(self._state.randint(0, high)))
        return self.drawn[-1]

    def random(self) -> float:
        return float(self._state.rand())


class PythonRandom(random.Random):
    """Python's generator, which EHTDI's loader draws with."""

    def uniform(self, a: float, b: float) -> float:
        return a + (b - a) * self.random()

"""Scores a network on one split after the other: whatever it saw, at the size and in the classes of the labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from adaptbench.data import firewall, transforms
from adaptbench.data.files import require_same_size
from adaptbench.data.taxonomy import ClassSet, label_map
from adaptbench.dataset import Dataset, Sample
from adaptbench.evaluation.confusion import PerImageConfusion, confusion_matrix
from adaptbench.evaluation.inference import probability, segment
from adaptbench.method import Method
from adaptbench.settings import Settings
from adaptbench.training.loop import InterruptedTrainingError
from adaptbench.workplace import input_size

UInt8 = npt.NDArray[np.uint8]

#: Called after every picture with the sample, its number from 0 and the predicted train ids ``(H, W)``.
Tell = Callable[[Sample, int, UInt8], None]


@dataclass(frozen=True)
class Scorer:
    """The scored network of a method, and what it may not look at.

    Attributes:
        method: has its final weights.
        settings: those it was trained with; they say how it sees a picture.
        device: where it runs.
        label_folders: out of reach while code of the method runs.
        stop: whether to end; asked before every picture.
    """

    method: Method
    settings: Settings
    device: torch.device
    label_folders: Sequence[Path]
    stop: Callable[[], bool]

    @cached_property
    def network(self) -> nn.Module:
        """The scored network, in evaluation mode on the device."""
        with firewall.closed(self.label_folders):
            return self.method.scored_network().to(self.device).eval()

    def confusion(self, dataset: Dataset, samples: Sequence[Sample], tell: Tell) -> PerImageConfusion:
        """One confusion matrix per sample.

        Raises:
            InterruptedTrainingError: asked to stop.
            DataError: there is no sample, or a picture or label cannot be used.
        """
        matrices = {}
        for number, sample in enumerate(samples):
            if self.stop():
                raise InterruptedTrainingError("Stopped during evaluation; run again to go on.")
            truth, prediction = self.segmented(dataset, sample)
            matrices[sample.name] = confusion_matrix(truth, prediction, len(self._classes))
            tell(sample, number, prediction)
        return PerImageConfusion.collect(matrices, [sample.tags for sample in samples])

    @property
    def _classes(self) -> ClassSet:
        return self.method.task.class_set

    def segmented(self, dataset: Dataset, sample: Sample) -> tuple[UInt8, UInt8]:
        """True and predicted train ids at the size of the label file. Shape: ``(H, W)`` uint8 each."""
        pixels, truth = self.shown(dataset, sample)
        with firewall.closed(self.label_folders):
            size = (truth.shape[0], truth.shape[1])
            prediction = segment(self.network, pixels, self.method.inference(), size)
        return truth, prediction.cpu().numpy()

    def believed(self, dataset: Dataset, sample: Sample) -> tuple[UInt8, npt.NDArray[np.float32]]:
        """True train ids, and the probability of every class. Shape: ``(H, W)`` uint8, ``(C, H, W)`` float32."""
        pixels, truth = self.shown(dataset, sample)
        with firewall.closed(self.label_folders):
            size = (truth.shape[0], truth.shape[1])
            found = probability(self.network, pixels, self.method.inference(), size)
        return truth, found.float().cpu().numpy()

    def shown(self, dataset: Dataset, sample: Sample) -> tuple[Tensor, UInt8]:
        """A picture as the network gets it, and its true train ids.

        Shape: float ``(1, 3, h, w)`` on the device, and ``(H, W)``, the size of the label file.

        Raises:
            DataError: the picture or its label cannot be used.
        """
        image, raw = dataset.read_image(sample), dataset.read_label(sample)
        require_same_size(image, raw, sample)
        box = input_size(dataset, self.settings.resolution, self.method.task.profile)
        with firewall.closed(self.label_folders):
            framing = self.method.sampling(self.settings).framing
            resized = framing.image(image, framing.size((image.shape[1], image.shape[0]), box))
            pixels = transforms.normalise(resized, self.method.normalisation)[None].to(self.device)
        return pixels, label_map(dataset.id_space, self._classes.name)[raw]

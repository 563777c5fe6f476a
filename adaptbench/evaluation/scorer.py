"""Scores a network on one split after the other, at the size and in the classes of the labels."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from adaptbench.contracts.benchmark import VoidRule
from adaptbench.contracts.dataset import Dataset, Sample
from adaptbench.contracts.method import Method
from adaptbench.contracts.settings import Settings
from adaptbench.data import firewall
from adaptbench.data.files import require_same_size
from adaptbench.data.framing import nearest
from adaptbench.data.label_ids import train_ids
from adaptbench.data.taxonomy import ClassSet, label_map
from adaptbench.errors import InterruptedTrainingError
from adaptbench.evaluation.confusion import confusion_matrix, confusion_with_void, predicted_on_void
from adaptbench.evaluation.reading_ahead import read_ahead
from adaptbench.evaluation.sizes import input_size
from adaptbench.networks.inference import probability, segment, segment_confidently, segment_to
from adaptbench.records.confusion_files import Matrix, PerImageConfusion

UInt8 = npt.NDArray[np.uint8]

#: (width, height) in pixels that labels are resized to before they are scored; None = as they are.
ScoredSize = tuple[int, int] | None

#: Called after every image with the sample, its number from 0 and the predicted train ids ``(H, W)``.
Tell = Callable[[Sample, int, UInt8], None]


@dataclass(frozen=True)
class Scorer:
    """The scored network of a method, and the labels that it must not read.

    Attributes:
        settings: those it was trained with; they say how it sees an image.
        label_folders: out of reach while code of the method runs.
        stop: called before every image; true = end.
        label_size: at which labels are scored.
        ignore: what void pixels of the truth are.
        readers: threads that read images and labels ahead; 0 = each is read when it is its turn.
        adapted: takes the place of the method's network, which has changed since it was trained.
    """

    method: Method
    settings: Settings
    device: torch.device
    label_folders: Sequence[Path]
    stop: Callable[[], bool]
    label_size: ScoredSize = None
    ignore: VoidRule = "drop"
    readers: int = 0
    adapted: nn.Module | None = None
    #: How long each image took, without reading and counting. Units: seconds.
    seconds: list[float] = field(default_factory=list)

    @cached_property
    def network(self) -> nn.Module:
        """The scored network, in evaluation mode on the device."""
        with firewall.closed(self.label_folders):
            network = self.method.scored_network() if self.adapted is None else self.adapted
            return network.to(self.device).eval()

    @property
    def parameters(self) -> int:
        """Of the network, counted."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    def confusion(self, dataset: Dataset, samples: Sequence[Sample], tell: Tell) -> PerImageConfusion:
        """One confusion matrix per sample, with a row for void where that counts, and beside it where it does not.

        Raises:
            InterruptedTrainingError: asked to stop.
            DataError: there is no sample, or an image or label cannot be used.
        """
        matrices, void = {}, []
        for number, (sample, image, truth) in enumerate(self._read(dataset, samples)):
            truth = reduced(truth, self.label_size)
            prediction = self._predicted_at(self._pixels(dataset, image), truth)
            matrices[sample.name], on_void = self.matrices_of(truth, prediction)
            void += [] if on_void is None else [on_void]
            tell(sample, number, prediction)
        return PerImageConfusion.collect(matrices, [sample.tags for sample in samples], void)

    def matrices_of(self, truth: UInt8, prediction: UInt8) -> tuple[Matrix, npt.NDArray[np.int64] | None]:
        """The confusion matrix of an image, and what is predicted where its truth is void, if that does not count.

        Shape: ``(H, W)`` train ids each.
        """
        beside = None if self._with_void else predicted_on_void(truth, prediction, len(self._classes))
        return self._counted(truth, prediction), beside

    def _counted(self, truth: UInt8, prediction: UInt8) -> Matrix:
        """The confusion matrix of an image. Shape: ``(H, W)`` train ids each."""
        classes = len(self._classes)
        if self._with_void:
            return confusion_with_void(truth, prediction, classes, self.ignore)
        return confusion_matrix(truth, prediction, classes)

    @property
    def _with_void(self) -> bool:
        """Whether matrices have a row and a column for void."""
        return self.ignore != "drop" or self.method.predicts_void

    def totals(
        self, dataset: Dataset, samples: Sequence[Sample], label_sizes: Sequence[ScoredSize]
    ) -> list[Matrix]:
        """Confusion matrices over all samples, one per label size; the network sees each image once."""
        side = len(self._classes) + self._with_void
        totals = [np.zeros((side, side), np.int64) for _ in label_sizes]
        for _, image, truth in self._read(dataset, samples):
            pixels = self._pixels(dataset, image)
            truths = [reduced(truth, size) for size in label_sizes]
            with firewall.closed(self.label_folders):
                sizes = [(one.shape[0], one.shape[1]) for one in truths]
                found = segment_to(self.network, pixels, self.method.inference(), sizes)
                predictions = [self.method.counted(outputs).cpu().numpy() for outputs in found]
            for total, one, prediction in zip(totals, truths, predictions, strict=True):
                total += self._counted(one, prediction)
        return totals

    def _read(self, dataset: Dataset, samples: Sequence[Sample]) -> Iterator[tuple[Sample, UInt8, UInt8]]:
        """Every sample with its image and true train ids, until it is asked to stop."""
        read = partial(read_labelled, dataset, classes=self._classes)
        with closing(read_ahead(read, samples, self.readers)) as found:
            for sample in samples:
                self.go_on()
                yield (sample, *next(found))

    def go_on(self) -> None:
        """An InterruptedTrainingError if it is asked to stop."""
        if self.stop():
            raise InterruptedTrainingError("Stopped during evaluation; run again to go on.")

    @property
    def _classes(self) -> ClassSet:
        return self.method.task.class_set

    def predict_labels(self, dataset: Dataset, sample: Sample) -> tuple[UInt8, UInt8]:
        """True and predicted train ids at the size that is scored. Shape: ``(H, W)`` uint8 each."""
        pixels, truth = self.shown(dataset, sample)
        return truth, self._predicted_at(pixels, truth)

    def _predicted_at(self, pixels: Tensor, truth: UInt8) -> UInt8:
        """Predicted train ids at the size of the true ones. Shape: float ``(1, 3, h, w)`` to ``(H, W)`` uint8."""
        with firewall.closed(self.label_folders):
            size = (truth.shape[0], truth.shape[1])
            network = self.network
            started = time.monotonic()
            prediction: UInt8 = self._segmented(network, pixels, size).cpu().numpy()
            self.seconds.append(time.monotonic() - started)
        return prediction

    def _segmented(self, network: nn.Module, pixels: Tensor, size: tuple[int, int]) -> Tensor:
        """Predicted train ids. Shape: float ``(1, 3, h, w)`` to ``(*size,)`` uint8."""
        return self.method.counted(segment(network, pixels, self.method.inference(), size))

    @property
    def images_per_second(self) -> float | None:
        """Mean over all images so far except the first, which warms up; None before the second."""
        later = self.seconds[1:]
        return len(later) / sum(later) if sum(later) > 0 else None

    def flops(self, dataset: Dataset, sample: Sample) -> float:
        """Floating-point operations of segmenting one image; a multiplication and an addition are two."""
        pixels, truth = self.shown(dataset, sample)
        with firewall.closed(self.label_folders), FlopCounterMode(display=False) as counter:
            segment(self.network, pixels, self.method.inference(), (truth.shape[0], truth.shape[1]))
        return float(counter.get_total_flops())

    def predict_probabilities(
        self, dataset: Dataset, sample: Sample
    ) -> tuple[UInt8, npt.NDArray[np.float32]]:
        """True train ids, and the probability of every class. Shape: ``(H, W)`` uint8, ``(C, H, W)`` float32."""
        pixels, truth = self.shown(dataset, sample)
        with firewall.closed(self.label_folders):
            size = (truth.shape[0], truth.shape[1])
            found = probability(self.network, pixels, self.method.inference(), size)
        return truth, found.float().cpu().numpy()

    def shown(self, dataset: Dataset, sample: Sample) -> tuple[Tensor, UInt8]:
        """An image as the network gets it, and its true train ids.

        Shape: float ``(1, 3, h, w)`` on the device, and ``(H, W)``, the size that is scored.
        """
        pixels, truth = self._seen(dataset, sample)
        return pixels, reduced(truth, self.label_size)

    def _seen(self, dataset: Dataset, sample: Sample) -> tuple[Tensor, UInt8]:
        """An image as the network gets it, and its true train ids at the size of the label file."""
        image, truth = read_labelled(dataset, sample, self._classes)
        return self._pixels(dataset, image), truth

    def _pixels(self, dataset: Dataset, image: UInt8) -> Tensor:
        """An image of a dataset as the network gets it. Shape: ``(H, W, 3)`` RGB to float ``(1, 3, h, w)``."""
        return self.framed(image, input_size(dataset, self.settings.resolution, self.method.task.profile))

    def framed(self, image: UInt8, box: tuple[int, int]) -> Tensor:
        """An image as the network gets it, on the device; it is resized into ``box``, (width, height) in pixels.

        Shape: ``(H, W, 3)`` RGB to float ``(1, 3, h, w)``.
        """
        with firewall.closed(self.label_folders):
            return self.method.shown(image, box).to(self.device)

    def predicted(self, image: UInt8, box: tuple[int, int]) -> tuple[UInt8, npt.NDArray[np.float32]]:
        """Predicted train ids of an image at its own size, and the probability of each; for ``box`` see `framed`.

        Shape: ``(H, W, 3)`` RGB to ``(H, W)`` uint8 and float32 in [0, 1].
        """
        pixels = self.framed(image, box)
        with firewall.closed(self.label_folders):
            size = (image.shape[0], image.shape[1])
            ids, confidence = segment_confidently(self.network, pixels, self.method.inference(), size)
        return ids.cpu().numpy(), confidence.float().cpu().numpy()


def read_labelled(dataset: Dataset, sample: Sample, classes: ClassSet) -> tuple[UInt8, UInt8]:
    """An image and its true train ids. Shape: ``(H, W, 3)`` RGB and ``(H, W)``.

    Raises:
        DataError: one of them cannot be used, or they are not of one size.
    """
    image, raw = dataset.read_image(sample), dataset.read_label(sample)
    require_same_size(image, raw, sample)
    return image, train_ids(raw, label_map(dataset.id_space, classes.name))


def reduced(truth: UInt8, size: ScoredSize) -> UInt8:
    """True train ids at the size that is scored. Shape: ``(H, W)`` in."""
    return truth if size is None else nearest(truth, size)

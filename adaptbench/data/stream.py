"""The stream of training batches: batch ``t`` is a pure function of (stage seed, t)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from adaptbench.data import loading, minicity, transforms
from adaptbench.data.batch import Batch, Images, LabelledImages
from adaptbench.data.class_balanced_sampling import balanced_picks
from adaptbench.data.class_statistics import Pass, class_counts, one_by_one
from adaptbench.data.files import index_image_size, require_same_size
from adaptbench.data.framing import Crops, Framing, RescaledCrops, ScaledCrops, WholeImages
from adaptbench.data.image_blur import blur, draw_blur
from adaptbench.data.image_jitter import DrawnJitter, apply_jitter, draw_jitter
from adaptbench.data.label_ids import train_ids
from adaptbench.data.normalisation import IMAGENET, Normalisation
from adaptbench.data.photometric_distortion import distort, draw_distortion
from adaptbench.data.pseudo_margins import crop_mask, trusted_pixels
from adaptbench.data.rare_class_sampling import RareClassSampler, accept_crop, rare_class_sampler
from adaptbench.data.sample import Reader, Sample
from adaptbench.data.sampling import Sampling
from adaptbench.data.synchronized_crop import synchronized
from adaptbench.data.taxonomy import LabelMap
from adaptbench.draws import Draws, derive_seed
from adaptbench.errors import DataError, UsageError

UInt8 = npt.NDArray[np.uint8]

#: Decoded and resized images are kept in memory up to this many bytes, in all processes of a training together.
CACHE_BYTES = 1 << 30


#: Dataset, sample, size to resize to as (width, height), and label map (None = unlabelled).
Item: TypeAlias = tuple[Reader, Sample, tuple[int, int], LabelMap | None]


@dataclass(frozen=True)
class Domain:
    """Images of one or several datasets that are trained on as one domain.

    Labels that are ``predicted`` are pseudo-labels, which may have another size than their images.
    """

    items: Sequence[Item]
    predicted: bool = False

    def __len__(self) -> int:
        return len(self.items)


class StreamSettings(Protocol):
    """What batches need of a training's settings (`adaptbench.contracts.settings.Settings`).

    A crop, square and of this side in pixels, is drawn again above this share of one class.
    """

    iterations: int
    batch_size: int
    crop: int
    class_share_limit: float


class _Image(NamedTuple):
    """An image at training size: RGB, train ids if labelled, and where pseudo-labels are trusted if asked for."""

    image: UInt8
    label: UInt8 | None
    trusted: UInt8 | None


class _Placement(NamedTuple):
    """A crop, and whether it is mirrored."""

    crop: tuple[slice, slice]
    flip: bool

    def of(self, array: UInt8) -> UInt8:
        """The crop of an image, a label or a mask."""
        cut = array[self.crop]
        return np.asarray(cv2.flip(cut, 1), np.uint8) if self.flip else cut


_WHOLE = _Placement((slice(None), slice(None)), flip=False)


class TrainingStream:
    """Batches by iteration number: of images trained on with labels, and of unlabelled ones of the target.

    Raises:
        UsageError: whole images of several sizes shall be in one batch.
    """

    def __init__(
        self,
        labelled: Domain,
        target: Domain | None,
        settings: StreamSettings,
        stage_seed: int,
        sampling: Sampling = Sampling(),  # noqa: B008 - it is frozen
        normalisation: Normalisation = IMAGENET,
    ) -> None:
        if not sampling.framing.cropped and settings.batch_size > 1:
            _require_one_size(labelled, target)
        self.labelled = labelled
        self.target = target
        self.settings = settings
        self.stage_seed = stage_seed
        self.sampling = sampling
        self.normalisation = normalisation
        #: (width, height) that crops are padded to; whole images are never padded.
        self._box = _padded(sampling.framing, settings.crop)
        self._cache: dict[tuple[int, int, bool], _Image] = {}
        self._cached_bytes = 0
        self._counts: list[dict[int, int]] | None = None
        #: Processes that make batches, each of which has a share of the memory.
        self.processes = 1

    def __len__(self) -> int:
        return self.settings.iterations

    def __getitem__(self, iteration: int) -> Batch:
        draws = Draws(self.stage_seed, iteration)
        chosen = self._chosen(iteration, draws)
        crops = [self._labelled_crop(*one) for one in chosen]
        labelled = LabelledImages(
            image=self._network_input([image for image, _ in crops]),
            names=tuple(self.labelled.items[index][1].name for index, _, _ in chosen),
            label=transforms.label_input([label for _, label in crops], self._box),
        )
        batch = Batch(iteration, draws, labelled, self._target(iteration, draws))
        return batch if self.sampling.part is None else synchronized(batch, self.sampling.part)

    def sizes(self) -> set[tuple[int, int]]:
        """Sizes of what is trained on, (width, height) in pixels: that of crops, or those of whole images."""
        if self.sampling.framing.cropped:
            return {self._box}
        items = [*self.labelled.items, *(self.target.items if self.target is not None else ())]
        return {self.sampling.framing.size(box, box) for box in {box for _, _, box, _ in items}}

    def require_margins(self) -> None:
        """Raises UsageError for a target image of which margins leave nothing; it reads the heads of the files."""
        if self.sampling.margins is None or self.target is None:
            return
        for _, sample, box, table in self.target.items:
            if table is None and sample.image.is_file():
                with contextlib.suppress(DataError):  # a damaged file is named when it is read
                    trusted_pixels(self.sampling.margins, index_image_size(sample.image), box)

    @property
    def needs_class_counts(self) -> bool:
        """Whether which images are drawn follows from the pixels of every class in all labels."""
        return self.sampling.rare is not None or self.sampling.balanced

    def count_classes(self, over: Pass = one_by_one) -> None:
        """Counts what `rare_classes` and `balanced_picks` follow from, in passes ``over`` all labels.

        Raises:
            DataError: a label file is missing or damaged, or none shows any class.
        """
        items = [(data, sample, table) for data, sample, _, table in self.labelled.items if table is not None]
        self._counts = class_counts(items, minicity.cache_folder() / "class-statistics", over=over)

    @cached_property
    def rare_classes(self) -> RareClassSampler | None:
        """Classes and files of rare class sampling, from the labels that are trained on; None if it is off.

        Raises:
            DataError: a label file is missing or damaged, or no class can be sampled.
        """
        rare = self.sampling.rare
        if rare is None:
            return None
        counts = self._class_counts()
        try:
            return rare_class_sampler(counts, rare.temperature, rare.min_pixels, rare.missing)
        except ValueError as error:
            raise DataError(
                f"{error}. Lower rare_class_min_pixels, or use --set rare_class_missing=drop, or "
                "rare_class_sampling=false."
            ) from error

    @cached_property
    def balanced_picks(self) -> npt.NDArray[np.int64] | None:
        """Numbers of the labelled images of all batches by class-balanced sampling, in random order; None if off.

        Raises:
            DataError: a label file is missing or damaged, or none shows any class.
        """
        if not self.sampling.balanced:
            return None
        counts = self._class_counts()
        classes = range(1 + max((c for row in counts for c in row), default=0))
        shows = np.array([[row.get(c, 0) > 0 for c in classes] for row in counts])
        queues = [np.flatnonzero(column).tolist() for column in shows.T]
        rng = np.random.default_rng(derive_seed(self.stage_seed, "class-balanced pictures"))
        try:
            picks = balanced_picks(shows, queues, len(self) * self.settings.batch_size, rng)
        except ValueError as error:
            raise DataError(str(error)) from error
        return rng.permutation(picks)

    def _class_counts(self) -> list[dict[int, int]]:
        """Pixels by class of every labelled image."""
        if self._counts is None:
            self.count_classes()
        assert self._counts is not None
        return self._counts

    def _chosen(self, iteration: int, draws: Draws) -> list[tuple[int, np.random.Generator, int | None]]:
        """Number of every labelled image of a batch, what its crop is drawn with, and a class that it has to show."""
        rare, size = self.rare_classes, self.settings.batch_size
        if rare is not None:
            generators = [draws.numpy(f"rare class {k}") for k in range(size)]
            drawn = [rare.draw(rng) for rng in generators]
            return [(one.file, rng, one.class_id) for one, rng in zip(drawn, generators, strict=True)]
        if self.balanced_picks is None:  # each epoch shows every image once
            indices = self._indices(len(self.labelled), iteration, "labelled")
        else:
            indices = self.balanced_picks[iteration * size : (iteration + 1) * size].tolist()
        return [(i, draws.numpy(f"labelled crop {k}"), None) for k, i in enumerate(indices)]

    def _target(self, iteration: int, draws: Draws) -> Images | None:
        if self.target is None:
            return None
        if self.sampling.rare is None:
            indices = self._indices(len(self.target), iteration, "target")
        else:
            numbers = range(self.settings.batch_size)
            indices = [int(draws.numpy(f"target file {k}").integers(len(self.target))) for k in numbers]
        crops = [self._target_crop(i, draws.numpy(f"target crop {k}")) for k, i in enumerate(indices)]
        masks = [mask for _, mask in crops if mask is not None]
        return Images(
            image=self._network_input([image for image, _ in crops]),
            names=tuple(self.target.items[i][1].name for i in indices),
            trusted=torch.stack(masks) if masks else None,
        )

    def _indices(self, count: int, iteration: int, purpose: str) -> list[int]:
        """Sample numbers of a batch: each epoch is one keyed permutation of all samples."""
        size = self.settings.batch_size
        places = [divmod(number, count) for number in range(iteration * size, (iteration + 1) * size)]
        seeds = [derive_seed(self.stage_seed, "order", purpose, epoch) for epoch, _ in places]
        orders = [np.random.default_rng(seed).permutation(count) for seed in seeds]
        return [int(order[place]) for order, (_, place) in zip(orders, places, strict=True)]

    def _labelled_crop(
        self, index: int, rng: np.random.Generator, rare_class: int | None
    ) -> tuple[UInt8, UInt8]:
        """A crop and its train ids. Shape: ``(H, W, 3)`` and ``(H, W)``, not padded yet."""
        mirrored = self._draw_mirrored(rng)
        frame = self._scaled(self._resized(0, self.labelled, index, mirrored), self.labelled, index, rng)
        image, label = frame.image, frame.label
        assert label is not None
        if self.sampling.jitter is not None:
            image = self._jittered(index, mirrored, draw_jitter(self.sampling.jitter, rng))
        framing = self.sampling.framing
        if isinstance(framing, ScaledCrops):
            image, label = framing.cut(image, label, framing.draw((image.shape[1], image.shape[0]), rng))
        else:
            place = self._placement(label, rng, rare_class)
            image, label = place.of(image), place.of(label)
        if self.sampling.distortion:
            image = distort(np.ascontiguousarray(image), draw_distortion(rng))
        return framing.padded(self._blurred(image, rng), self._box), label

    def _placement(self, label: UInt8, rng: np.random.Generator, rare_class: int | None) -> _Placement:
        """Draws a crop; with a class, again until it shows enough of it (the image is decoded only once)."""
        if not self.sampling.framing.cropped:
            return _WHOLE

        rare, limit = self.sampling.rare, self.settings.class_share_limit
        at_once = rare is not None and rare.with_share

        def draw() -> _Placement:
            crop = transforms.draw_labelled_crop(label, self._box, 1.0 if at_once else limit, rng)
            return _Placement(crop, bool(rng.random() < 0.5))

        def count(placement: _Placement) -> int:
            shown = label[placement.crop]
            if at_once and not transforms.is_mixed(shown, limit):
                return 0
            return int(np.count_nonzero(shown == rare_class))

        if rare is None or rare_class is None:
            return draw()
        return accept_crop(draw, count, rare.min_pixels, rare.min_crop_ratio, rare.checks).crop

    def _target_crop(self, index: int, rng: np.random.Generator) -> tuple[UInt8, Tensor | None]:
        """A crop, not padded yet, and where its pseudo-labels are trusted. Shape: ``(H, W, 3)`` and ``(1, H, W)``."""
        assert self.target is not None
        frame = self._resized(1, self.target, index, self._draw_mirrored(rng))
        image, _, trusted = self._scaled(frame, self.target, index, rng)
        place = _WHOLE
        if self.sampling.framing.cropped:
            crop = transforms.draw_crop(image.shape, self._box, rng)
            place = _Placement(crop, bool(rng.random() < 0.5))
        shown = self.sampling.framing.padded(self._blurred(place.of(image), rng), self._box)
        if trusted is None:
            return shown, None
        width, height = self._box
        mirrored = place.flip and self.sampling.margins_mirrored
        return shown, torch.from_numpy(crop_mask(trusted, place.crop, mirrored, (height, width)))[None]

    def _scaled(self, frame: _Image, images: Domain, index: int, rng: np.random.Generator) -> _Image:
        """The image at a size of its own, where such are drawn."""
        framing = self.sampling.framing
        if not isinstance(framing, RescaledCrops):
            return frame
        size = framing.draw((frame.image.shape[1], frame.image.shape[0]), images.items[index][2], rng)
        label, trusted = (None if part is None else framing.label(part, size) for part in frame[1:])
        return _Image(framing.image(frame.image, size), label, trusted)

    def _network_input(self, images: Sequence[UInt8]) -> Tensor:
        return transforms.network_input(images, self.normalisation, self._box)

    def _draw_mirrored(self, rng: np.random.Generator) -> bool:
        """Whether a whole image is mirrored; nothing is drawn where none ever is."""
        framing = self.sampling.framing
        return isinstance(framing, WholeImages) and framing.mirrored and bool(rng.random() < 0.5)

    def _blurred(self, image: UInt8, rng: np.random.Generator) -> UInt8:
        widest = self.sampling.blur
        return blur(image, draw_blur(rng, widest)) if widest else image

    def _resized(self, domain: int, images: Domain, index: int, mirrored: bool = False) -> _Image:
        """Decoded image and train ids at training size, or at that of the file where sizes are drawn.

        They are kept in memory while there is room.

        A mirrored image is another one: resizing takes other pixels of a mirrored label.
        """
        key = (domain, index, mirrored)
        if key in self._cache:
            return self._cache[key]
        dataset, sample, box, label_map = images.items[index]
        image, label = dataset.read_image(sample), None
        file_size = (image.shape[1], image.shape[0])
        framing = self.sampling.framing
        box = framing.kept_box(file_size, box)
        size = framing.size(file_size, box)
        if label_map is not None:
            raw = dataset.read_label(sample)
            if not images.predicted:
                require_same_size(image, raw, sample)
            ids = train_ids(raw, label_map)
            label = framing.label(ids[:, ::-1] if mirrored else ids, size)
        margins = self.sampling.margins if label_map is None else None
        trusted = None if margins is None else trusted_pixels(margins, file_size, box)
        image = np.ascontiguousarray(image[:, ::-1]) if mirrored else image
        frame = _Image(framing.image(image, size), label, trusted)
        self._cached_bytes += frame.image.nbytes + (0 if label is None else label.nbytes)
        if self._cached_bytes < CACHE_BYTES // self.processes:
            self._cache[key] = frame
        return frame

    def _jittered(self, index: int, mirrored: bool, jitter: DrawnJitter) -> UInt8:
        """A labelled image at training size, its colours jittered at the size of its file; never kept in memory.

        Source: docs/quirks.md#a8.
        """
        dataset, sample, box, _ = self.labelled.items[index]
        image = apply_jitter(dataset.read_image(sample), jitter)
        image = np.ascontiguousarray(image[:, ::-1]) if mirrored else image
        framing = self.sampling.framing
        return framing.image(image, framing.size((image.shape[1], image.shape[0]), box))


def _padded(framing: Framing, side: int) -> tuple[int, int]:
    if isinstance(framing, ScaledCrops | Crops) and framing.crop is not None:
        return framing.crop
    return (side, side) if framing.cropped else (0, 0)


def _require_one_size(*domains: Domain | None) -> None:
    for domain in domains:
        sizes = sorted({box for _, _, box, _ in domain.items}) if domain is not None else []
        if len(sizes) > 1:
            raise UsageError(
                f"Whole images of {len(sizes)} training sizes ({', '.join(f'{w}x{h}' for w, h in sizes)}) cannot be "
                "in one batch. Use --set batch_size=1, or a method that trains on crops."
            )


def batches(stream: TrainingStream, first: int, workers: int, *, pinned: bool = False) -> Iterator[Batch]:
    """Batches ``first`` to the last, in order, decoded by ``workers`` processes beside the training.

    ``pinned`` ones lie in memory that a GPU copies from while the CPU goes on.
    """
    _ = stream.rare_classes, stream.balanced_picks  # made once, here, and not by every worker
    stream.processes = max(1, workers)
    yield from loading.in_order(stream, range(first, len(stream)), workers, pinned=pinned)

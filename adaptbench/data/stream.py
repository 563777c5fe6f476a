"""The stream of training batches: batch ``t`` is a pure function of (stage seed, t)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from adaptbench.data import minicity, transforms
from adaptbench.data.batch import Batch, Images, LabelledImages
from adaptbench.data.class_balanced_sampling import balanced_picks
from adaptbench.data.class_statistics import class_counts
from adaptbench.data.files import require_same_size
from adaptbench.data.framing import Crops, Framing, ScaledCrops, WholeImages
from adaptbench.data.image_blur import blur, draw_blur
from adaptbench.data.image_jitter import DrawnJitter, apply_jitter, draw_jitter
from adaptbench.data.normalisation import IMAGENET, Normalisation
from adaptbench.data.photometric_distortion import distort, draw_distortion
from adaptbench.data.pseudo_margins import crop_mask, margin_mask
from adaptbench.data.rare_class_sampling import RareClassSampler, accept_crop, rare_class_sampler
from adaptbench.data.sample import Reader, Sample
from adaptbench.data.sampling import Sampling
from adaptbench.data.synchronized_crop import synchronized
from adaptbench.data.taxonomy import IGNORE, LabelMap
from adaptbench.draws import Draws, derive_seed
from adaptbench.errors import DataError, UsageError

UInt8 = npt.NDArray[np.uint8]

#: Decoded and resized images are kept in memory up to this many bytes.
CACHE_BYTES = 1 << 30


#: Dataset, sample, size to resize to as (width, height), and label map (None = unlabelled).
Item: TypeAlias = tuple[Reader, Sample, tuple[int, int], LabelMap | None]


@dataclass(frozen=True)
class Domain:
    """Images of one or several datasets that are trained on as one domain.

    Attributes:
        items: the images.
        predicted: whether the labels are pseudo-labels, which may have another size than their images.
    """

    items: Sequence[Item]
    predicted: bool = False

    def __len__(self) -> int:
        return len(self.items)


class StreamSettings(Protocol):
    """What batches need of a training's settings (`adaptbench.contracts.settings.Settings`)."""

    @property
    def iterations(self) -> int:
        """Length of the stream."""

    @property
    def batch_size(self) -> int:
        """Images per domain and batch."""

    @property
    def crop(self) -> int:
        """Side of the square crop. Units: pixels."""

    @property
    def class_share_limit(self) -> float:
        """A crop is drawn again above this share of one class."""


class _Image(NamedTuple):
    """An image at training size: RGB, train ids if labelled, and where pseudo-labels are trusted if asked for."""

    image: UInt8
    label: UInt8 | None
    trusted: UInt8 | None


class _Placement(NamedTuple):
    """A crop, and whether it is mirrored."""

    crop: tuple[slice, slice]
    flip: bool


_WHOLE = _Placement((slice(None), slice(None)), flip=False)


class TrainingStream(Dataset[Batch]):
    """Batches by iteration number.

    Args:
        labelled: images trained on with labels.
        target: unlabelled images, or None.
        settings: batch size, crop and class share limit are read.
        stage_seed: seed of the stage.
        sampling: what is shown of which images, and what comes with them.
        normalisation: of the network's input.

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
        self._margin_masks: dict[tuple[tuple[int, int], tuple[int, int]], UInt8] = {}

    def __len__(self) -> int:
        return self.settings.iterations

    def __getitem__(self, iteration: int) -> Batch:
        draws = Draws(self.stage_seed, iteration)
        chosen = self._rare(draws) if self.rare_classes else self._in_order(iteration, draws)
        labelled = LabelledImages(
            image=torch.stack([image for _, image, _ in chosen]),
            names=tuple(self.labelled.items[i][1].name for i, _, _ in chosen),
            label=torch.stack([label for _, _, label in chosen]),
        )
        batch = Batch(iteration, draws, labelled, self._target(iteration, draws))
        return batch if self.sampling.part is None else synchronized(batch, self.sampling.part)

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
            raise DataError(str(error)) from error

    @cached_property
    def balanced_picks(self) -> npt.NDArray[np.int64] | None:
        """Numbers of the labelled images of all batches by class-balanced sampling, in random order; None if off.

        Raises:
            DataError: a label file is missing or damaged, or none shows any class.
        """
        if not self.sampling.balanced:
            return None
        counts = self._class_counts()
        shows = np.zeros((len(counts), 1 + max((c for row in counts for c in row), default=0)), dtype=bool)
        for row, found in zip(shows, counts, strict=True):
            row[[c for c, pixels in found.items() if pixels > 0]] = True
        queues = [np.flatnonzero(column).tolist() for column in shows.T]
        rng = np.random.default_rng(derive_seed(self.stage_seed, "class-balanced pictures"))
        try:
            picks = balanced_picks(shows, queues, len(self) * self.settings.batch_size, rng)
        except ValueError as error:
            raise DataError(str(error)) from error
        return rng.permutation(picks)

    def _class_counts(self) -> list[dict[int, int]]:
        """Pixels by class of every labelled image."""
        items = [(data, sample, table) for data, sample, _, table in self.labelled.items if table is not None]
        return class_counts(items, minicity.cache_folder() / "class-statistics")

    def _labelled_indices(self, iteration: int) -> list[int]:
        if self.balanced_picks is None:
            return self._indices(len(self.labelled), iteration, "labelled")
        size = self.settings.batch_size
        return [int(i) for i in self.balanced_picks[iteration * size : (iteration + 1) * size]]

    def _in_order(self, iteration: int, draws: Draws) -> list[tuple[int, Tensor, Tensor]]:
        """Number, image and label of the batch's images: each epoch shows every image once."""
        indices = self._labelled_indices(iteration)
        return [
            (i, *self._labelled_crop(i, draws.numpy(f"labelled crop {k}"))) for k, i in enumerate(indices)
        ]

    def _rare(self, draws: Draws) -> list[tuple[int, Tensor, Tensor]]:
        """The same, drawn by rare class sampling."""
        assert self.rare_classes is not None
        chosen = []
        for k in range(self.settings.batch_size):
            rng = draws.numpy(f"rare class {k}")
            drawn = self.rare_classes.draw(rng)
            chosen.append((drawn.file, *self._labelled_crop(drawn.file, rng, drawn.class_id)))
        return chosen

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
            image=torch.stack([image for image, _ in crops]),
            names=tuple(self.target.items[i][1].name for i in indices),
            trusted=torch.stack(masks) if masks else None,
        )

    def _indices(self, count: int, iteration: int, purpose: str) -> list[int]:
        """Sample numbers of a batch: each epoch is one keyed permutation of all samples."""
        positions = range(iteration * self.settings.batch_size, (iteration + 1) * self.settings.batch_size)
        return [int(self._order(count, p // count, purpose)[p % count]) for p in positions]

    def _order(self, count: int, epoch: int, purpose: str) -> npt.NDArray[np.int64]:
        seed = derive_seed(self.stage_seed, "order", purpose, epoch)
        return np.random.default_rng(seed).permutation(count)

    def _labelled_crop(
        self, index: int, rng: np.random.Generator, rare_class: int | None = None
    ) -> tuple[Tensor, Tensor]:
        mirrored = self._draw_mirrored(rng)
        frame = self._resized(0, self.labelled, index, mirrored)
        image, label = frame.image, frame.label
        assert label is not None
        if self.sampling.jitter is not None:
            image = self._jittered(index, mirrored, draw_jitter(self.sampling.jitter, rng))
        framing = self.sampling.framing
        if isinstance(framing, ScaledCrops):
            image, label = framing.cut(image, label, framing.draw((image.shape[1], image.shape[0]), rng))
        else:
            crop, flip = self._placement(label, rng, rare_class)
            image, label = image[crop], label[crop]
            if flip:
                image, label = image[:, ::-1], label[:, ::-1]
        if self.sampling.distortion:
            image = distort(np.ascontiguousarray(image), draw_distortion(rng))
        image = self._blurred(image, rng)
        train_ids = torch.from_numpy(label.astype(np.int64))[None]
        return self._network_input(image), transforms.pad_to(train_ids, self._box, IGNORE)

    def _placement(self, label: UInt8, rng: np.random.Generator, rare_class: int | None) -> _Placement:
        """Draws a crop; with a class, again until it shows enough of it (the image is decoded only once)."""
        if not self.sampling.framing.cropped:
            return _WHOLE

        def draw() -> _Placement:
            limit = self.settings.class_share_limit
            crop = transforms.draw_labelled_crop(label, self._box, limit, rng)
            return _Placement(crop, bool(rng.random() < 0.5))

        rare = self.sampling.rare
        if rare is None or rare_class is None:
            return draw()
        accepted = accept_crop(
            draw,
            lambda placement: int(np.count_nonzero(label[placement.crop] == rare_class)),
            rare.min_pixels,
            rare.min_crop_ratio,
        )
        return accepted.crop

    def _target_crop(self, index: int, rng: np.random.Generator) -> tuple[Tensor, Tensor | None]:
        assert self.target is not None
        image, _, trusted = self._resized(1, self.target, index, self._draw_mirrored(rng))
        crop, flip = self._target_placement(image, rng)
        image = image[crop]
        if flip:
            image = image[:, ::-1]
        image = self._blurred(image, rng)
        if trusted is None:
            return self._network_input(image), None
        width, height = self._box
        return self._network_input(image), torch.from_numpy(crop_mask(trusted, crop, flip, (height, width)))[
            None
        ]

    def _target_placement(self, image: UInt8, rng: np.random.Generator) -> _Placement:
        if not self.sampling.framing.cropped:
            return _WHOLE
        crop = transforms.draw_crop(image.shape, self._box, rng)
        return _Placement(crop, bool(rng.random() < 0.5))

    def _network_input(self, image: UInt8) -> Tensor:
        return transforms.pad_to(transforms.normalise(image, self.normalisation), self._box, 0)

    def _draw_mirrored(self, rng: np.random.Generator) -> bool:
        """Whether a whole image is mirrored; nothing is drawn where none ever is."""
        framing = self.sampling.framing
        return isinstance(framing, WholeImages) and framing.mirrored and bool(rng.random() < 0.5)

    def _blurred(self, image: UInt8, rng: np.random.Generator) -> UInt8:
        return blur(image, draw_blur(rng)) if self.sampling.blur else image

    def _resized(self, domain: int, images: Domain, index: int, mirrored: bool = False) -> _Image:
        """Decoded image and train ids at training size, kept in memory while there is room.

        A mirrored image is another one: resizing takes other pixels of a mirrored label.
        """
        key = (domain, index, mirrored)
        if key in self._cache:
            return self._cache[key]
        dataset, sample, box, label_map = images.items[index]
        image, label = dataset.read_image(sample), None
        file_size = (image.shape[1], image.shape[0])
        framing = self.sampling.framing
        size = framing.size(file_size, box)
        if label_map is not None:
            raw = dataset.read_label(sample)
            if not images.predicted:
                require_same_size(image, raw, sample)
            label = framing.label(label_map[raw[:, ::-1] if mirrored else raw], size)
        trusted = self._trusted(file_size, box) if label_map is None else None
        image = np.ascontiguousarray(image[:, ::-1]) if mirrored else image
        frame = _Image(framing.image(image, size), label, trusted)
        self._cached_bytes += frame.image.nbytes + (0 if label is None else label.nbytes)
        if self._cached_bytes < CACHE_BYTES:
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

    def _trusted(self, file_size: tuple[int, int], box: tuple[int, int]) -> UInt8 | None:
        """Where pseudo-labels of an image are trusted; one mask serves all images of a size."""
        margins, key = self.sampling.margins, (file_size, box)
        if margins is None:
            return None
        if key not in self._margin_masks:
            self._margin_masks[key] = margin_mask(margins, file_size, box, canvas="image")
        return self._margin_masks[key]


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


def batches(stream: TrainingStream, first: int, workers: int) -> Iterator[Batch]:
    """Batches ``first`` to the last, in order, decoded by ``workers`` processes beside the training."""
    _ = stream.rare_classes, stream.balanced_picks  # made once, here, and not by every worker
    if workers == 0:
        yield from (stream[i] for i in range(first, len(stream)))
        return
    yield from DataLoader(
        stream, batch_size=None, sampler=range(first, len(stream)), num_workers=workers, prefetch_factor=2
    )

"""The stream of training batches: batch ``t`` is a pure function of (stage seed, t)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from adaptbench.data import transforms
from adaptbench.data.batch import Batch, Images, LabelledImages
from adaptbench.data.files import require_same_size
from adaptbench.data.taxonomy import IGNORE, LabelMap
from adaptbench.dataset import Dataset as SegmentationDataset
from adaptbench.dataset import Sample
from adaptbench.draws import Draws, derive_seed
from adaptbench.settings import Settings

UInt8 = npt.NDArray[np.uint8]

#: Decoded and resized pictures are kept in memory up to this many bytes.
CACHE_BYTES = 1 << 30


@dataclass(frozen=True)
class Domain:
    """Pictures of one or several datasets that are trained on as one domain.

    Attributes:
        items: dataset, sample, size to resize to as (width, height), and label map (None = unlabelled).
    """

    items: Sequence[tuple[SegmentationDataset, Sample, tuple[int, int], LabelMap | None]]

    def __len__(self) -> int:
        return len(self.items)


class TrainingStream(Dataset[Batch]):
    """Batches by iteration number.

    Args:
        labelled: pictures trained on with labels.
        target: unlabelled pictures, or None.
        settings: batch size, crop and class share limit are read.
        stage_seed: seed of the stage.
    """

    def __init__(self, labelled: Domain, target: Domain | None, settings: Settings, stage_seed: int) -> None:
        self.labelled = labelled
        self.target = target
        self.settings = settings
        self.stage_seed = stage_seed
        self._cache: dict[tuple[int, int], tuple[UInt8, UInt8 | None]] = {}
        self._cached_bytes = 0

    def __len__(self) -> int:
        return self.settings.iterations

    def __getitem__(self, iteration: int) -> Batch:
        draws = Draws(self.stage_seed, iteration)
        indices = self._indices(len(self.labelled), iteration, "labelled")
        pairs = [self._labelled_crop(i, draws.numpy(f"labelled crop {k}")) for k, i in enumerate(indices)]
        labelled = LabelledImages(
            image=torch.stack([image for image, _ in pairs]),
            names=tuple(self.labelled.items[i][1].name for i in indices),
            label=torch.stack([label for _, label in pairs]),
        )
        return Batch(iteration, draws, labelled, self._target(iteration, draws))

    def _target(self, iteration: int, draws: Draws) -> Images | None:
        if self.target is None:
            return None
        indices = self._indices(len(self.target), iteration, "target")
        crops = [self._target_crop(i, draws.numpy(f"target crop {k}")) for k, i in enumerate(indices)]
        return Images(
            image=torch.stack(crops),
            names=tuple(self.target.items[i][1].name for i in indices),
        )

    def _indices(self, count: int, iteration: int, purpose: str) -> list[int]:
        """Sample numbers of a batch: each epoch is one keyed permutation of all samples."""
        positions = range(iteration * self.settings.batch_size, (iteration + 1) * self.settings.batch_size)
        return [int(self._order(count, p // count, purpose)[p % count]) for p in positions]

    def _order(self, count: int, epoch: int, purpose: str) -> npt.NDArray[np.int64]:
        seed = derive_seed(self.stage_seed, "order", purpose, epoch)
        return np.random.default_rng(seed).permutation(count)

    def _labelled_crop(self, index: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        image, label = self._resized(0, self.labelled, index)
        assert label is not None
        side = self.settings.crop
        crop = transforms.draw_labelled_crop(label, side, self.settings.class_share_limit, rng)
        image, label = image[crop], label[crop]
        if rng.random() < 0.5:
            image, label = image[:, ::-1], label[:, ::-1]
        train_ids = torch.from_numpy(label.astype(np.int64))[None]
        return self._network_input(image), transforms.pad_to(train_ids, side, IGNORE)

    def _target_crop(self, index: int, rng: np.random.Generator) -> Tensor:
        assert self.target is not None
        image, _ = self._resized(1, self.target, index)
        image = image[transforms.draw_crop(image.shape, self.settings.crop, rng)]
        if rng.random() < 0.5:
            image = image[:, ::-1]
        return self._network_input(image)

    def _network_input(self, crop: UInt8) -> Tensor:
        return transforms.pad_to(transforms.normalise(crop), self.settings.crop, 0)

    def _resized(self, domain: int, pictures: Domain, index: int) -> tuple[UInt8, UInt8 | None]:
        """Decoded picture and train ids at training size, kept in memory while there is room."""
        if (domain, index) in self._cache:
            return self._cache[(domain, index)]
        dataset, sample, box, label_map = pictures.items[index]
        image, label = dataset.read_image(sample), None
        size = transforms.fitted_size((image.shape[1], image.shape[0]), box)
        if label_map is not None:
            raw = dataset.read_label(sample)
            require_same_size(image, raw, sample)
            label = transforms.resize_label(label_map[raw], size)
        pair = (transforms.resize_image(image, size), label)
        self._cached_bytes += pair[0].nbytes + (0 if label is None else label.nbytes)
        if self._cached_bytes < CACHE_BYTES:
            self._cache[(domain, index)] = pair
        return pair


def batches(stream: TrainingStream, first: int, workers: int) -> Iterator[Batch]:
    """Batches ``first`` to the last, in order, decoded by ``workers`` processes beside the training."""
    if workers == 0:
        yield from (stream[i] for i in range(first, len(stream)))
        return
    yield from DataLoader(
        stream, batch_size=None, sampler=range(first, len(stream)), num_workers=workers, prefetch_factor=2
    )

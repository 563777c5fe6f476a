"""Image transforms of the self-training papers: resize, crop, flip, normalise. Draw and apply are apart.

They give the bits of the papers' mmsegmentation 0.16 pipelines for equal draws (cv2 bilinear and nearest
resizing that keeps the ratio).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from adaptbench.data.label_ids import pixel_counts
from adaptbench.data.normalisation import IMAGENET, Normalisation

UInt8 = npt.NDArray[np.uint8]
Size = tuple[int, int]

MEAN, STD = IMAGENET.mean, IMAGENET.std


def fitted_size(size: tuple[int, int], box: tuple[int, int]) -> tuple[int, int]:
    """Largest (width, height) with the ratio of ``size`` whose long and short sides fit those of ``box``.

    Units: pixels, rounded half up, as mmcv rescales, but not to 0.
    """
    factor = min(max(box) / max(size), min(box) / min(size))
    return max(int(size[0] * factor + 0.5), 1), max(int(size[1] * factor + 0.5), 1)


def resize_image(image: UInt8, size: tuple[int, int]) -> UInt8:
    """Bilinear resize to ``size`` = (width, height). Shape: ``(H, W, 3)`` uint8."""
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def resize_label(label: UInt8, size: tuple[int, int]) -> UInt8:
    """Nearest resize to ``size`` = (width, height). Shape: ``(H, W)`` uint8."""
    return np.asarray(cv2.resize(label, size, interpolation=cv2.INTER_NEAREST), dtype=np.uint8)


def draw_crop(
    shape: tuple[int, ...], side: int | tuple[int, int], rng: np.random.Generator
) -> tuple[slice, slice]:
    """A crop of ``side`` pixels, or (width, height), inside ``shape`` = (height, width, ...).

    It is smaller where it does not fit.
    """
    width, height = (side, side) if isinstance(side, int) else side
    top = int(rng.integers(max(shape[0] - height, 0) + 1))
    left = int(rng.integers(max(shape[1] - width, 0) + 1))
    return slice(top, top + height), slice(left, left + width)


def draw_labelled_crop(
    label: UInt8,
    side: int | tuple[int, int],
    class_share_limit: float,
    rng: np.random.Generator,
    ignore: int = 255,
) -> tuple[slice, slice]:
    """A crop in which no class covers ``class_share_limit`` or more of the labelled pixels.

    Ten crops are tried; the last is taken as it is. A crop of a single class never passes; with a limit of 1 every
    crop does.

    Source: mmsegmentation, RandomCrop(cat_max_ratio).
    """
    crop = draw_crop(label.shape, side, rng)
    for _ in range(10 if class_share_limit < 1 else 0):
        if is_mixed(label[crop], class_share_limit, ignore):
            break
        crop = draw_crop(label.shape, side, rng)
    return crop


def is_mixed(label: UInt8, class_share_limit: float, ignore: int = 255) -> bool:
    """Whether a label has several classes, and none on ``class_share_limit`` or more of the labelled pixels."""
    counts = pixel_counts(label)
    counts[ignore] = 0
    return bool(np.count_nonzero(counts) > 1 and counts.max() / counts.sum() < class_share_limit)


def normalise(image: UInt8, values: Normalisation = IMAGENET) -> Tensor:
    """Network input, in the network's order of channels. Shape: ``(H, W, 3)`` RGB uint8 to ``(3, H, W)`` float32."""
    return network_input([image], values)[0]


def network_input(images: Sequence[UInt8], values: Normalisation = IMAGENET, box: Size = (0, 0)) -> Tensor:
    """A batch as the network gets it, padded at the right and bottom up to ``box``, (width, height) in pixels.

    Images are padded after normalisation, so that padding is the mean colour, as in the papers' pipelines.

    Shape: ``(H, W, 3)`` RGB uint8 each to ``(B, 3, H, W)`` float32.
    """
    batch = torch.empty(len(images), 3, *_padded_shape(images, box))
    for image, whole in zip(images, batch.numpy(), strict=True):
        planes = cv2.split(image[..., ::-1] if values.bgr else image)
        for plane, levels, into in zip(planes, _levels(values), _framed(whole, image, 0), strict=True):
            cv2.LUT(plane, levels, dst=into)
    return batch


def label_input(labels: Sequence[UInt8], box: Size, ignore: int = 255) -> Tensor:
    """A batch of labels, padded as their images with ``ignore``. Shape: ``(H, W)`` each to ``(B, 1, H, W)`` int64."""
    batch = torch.empty(len(labels), 1, *_padded_shape(labels, box), dtype=torch.int64)
    for label, whole in zip(labels, batch.numpy(), strict=True):
        _framed(whole, label, ignore)[0] = label
    return batch


def _padded_shape(images: Sequence[UInt8], box: Size) -> Size:
    """(height, width) of all images when they are padded; a ValueError if they differ."""
    (shape,) = {(max(image.shape[0], box[1]), max(image.shape[1], box[0])) for image in images}
    return shape


def _framed(whole: npt.NDArray[Any], image: UInt8, value: int) -> npt.NDArray[Any]:
    """The part of a padded image that the image is to fill; the rest gets ``value``. Shape: ``(C, H, W)``."""
    height, width = image.shape[:2]
    whole[:, height:] = value
    whole[:, :, width:] = value
    return whole[:, :height, :width]


@cache
def _levels(values: Normalisation) -> npt.NDArray[np.float32]:
    """What a network gets for every value of a pixel. Shape: ``(3, 256)``, in the network's order of channels."""
    mean, std = (torch.tensor(numbers).view(3, 1) for numbers in (values.mean, values.std))
    return torch.arange(256.0).repeat(3, 1).sub_(mean).div_(std).numpy()

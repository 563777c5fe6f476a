"""Image transforms of the self-training papers: resize, crop, flip, normalise. Draw and apply are apart.

They give the bits of the papers' mmsegmentation 0.16 pipelines for equal draws (cv2 bilinear and nearest
resizing that keeps the ratio).
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from adaptbench.data.normalisation import IMAGENET, Normalisation

UInt8 = npt.NDArray[np.uint8]

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
        counts = np.bincount(label[crop].ravel(), minlength=256)
        counts[ignore] = 0
        if np.count_nonzero(counts) > 1 and counts.max() / counts.sum() < class_share_limit:
            break
        crop = draw_crop(label.shape, side, rng)
    return crop


def normalise(image: UInt8, values: Normalisation = IMAGENET) -> Tensor:
    """Network input, in the network's order of channels. Shape: ``(H, W, 3)`` RGB uint8 to ``(3, H, W)`` float32."""
    channels = image[..., ::-1] if values.bgr else image
    pixels = torch.from_numpy(np.ascontiguousarray(channels.transpose(2, 0, 1))).float()
    mean = torch.tensor(values.mean).view(3, 1, 1)
    std = torch.tensor(values.std).view(3, 1, 1)
    return pixels.sub_(mean).div_(std)


def pad_to(tensor: Tensor, side: int | tuple[int, int], value: int) -> Tensor:
    """Pads the right and bottom of the last two axes up to ``side`` pixels, or (width, height), with ``value``.

    Images are padded after normalisation, so that padding is the mean colour, as in the papers' pipelines.
    """
    sides = (side, side) if isinstance(side, int) else side
    missing = [max(wanted - tensor.shape[axis], 0) for wanted, axis in zip(sides, (-1, -2), strict=True)]
    return functional.pad(tensor, (0, missing[0], 0, missing[1]), value=value) if any(missing) else tensor

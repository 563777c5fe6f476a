"""How an image file becomes what a network is shown: its size, and whether it is cropped."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from adaptbench.data import transforms

UInt8 = npt.NDArray[np.uint8]
#: (width, height) in pixels.
Size = tuple[int, int]

_FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


class _Framing:
    """What all ways have in common unless they say otherwise."""

    def kept_box(self, file: Size, box: Size) -> Size:
        """The box that a decoded training image is resized into before it is kept in memory."""
        return box

    def padded(self, image: UInt8, box: Size) -> UInt8:
        """The image up to ``box``: as it is, since padding is the mean colour. Shape: ``(H, W, 3)`` uint8."""
        return image


@dataclass(frozen=True)
class Crops(_Framing):
    """Images keep their ratio; in training, crops are drawn and half of them mirrored.

    Attributes:
        crop: (width, height) in pixels; None = squares of the training's `crop`.

    Source: pipelines of DACS and DAFormer in mmsegmentation (resizing by OpenCV).
    """

    crop: Size | None = None
    cropped = True

    def size(self, file: Size, box: Size) -> Size:
        """Size at which an image of size ``file`` is used."""
        return transforms.fitted_size(file, box)

    def image(self, image: UInt8, size: Size) -> UInt8:
        """The image at that size. Shape: ``(H, W, 3)`` uint8."""
        return transforms.resize_image(image, size)

    def label(self, label: UInt8, size: Size) -> UInt8:
        """The label at that size. Shape: ``(H, W)`` uint8."""
        return transforms.resize_label(label, size)


@dataclass(frozen=True)
class RescaledCrops(Crops):
    """Crops of images whose shorter side is that of the training size, in training times a factor drawn for each.

    Attributes:
        scales: range of the factors.

    Source: transforms of VFM-UDA; resizing by Pillow, and padding with black; docs/quirks.md#v23.
    """

    scales: tuple[float, float] = (0.9, 1.1)

    def size(self, file: Size, box: Size) -> Size:
        """Size at which a test image of size ``file`` is used."""
        return self.scaled(file, box, 1.0)

    def scaled(self, file: Size, box: Size, factor: float) -> Size:
        """Size with a factor of its own, rounded to the nearest pixel and at a half to the even one."""
        scale = min(box) / min(file) * factor
        return max(round(file[0] * scale), 1), max(round(file[1] * scale), 1)

    def kept_box(self, file: Size, box: Size) -> Size:
        """That of the file, since every size is another one."""
        return file

    def draw(self, file: Size, box: Size, rng: np.random.Generator) -> Size:
        """Draws the size of a training image."""
        lowest, highest = self.scales
        return self.scaled(file, box, lowest + float(rng.random()) * (highest - lowest))

    def image(self, image: UInt8, size: Size) -> UInt8:
        """The image at that size. Shape: ``(H, W, 3)`` uint8."""
        return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))

    def label(self, label: UInt8, size: Size) -> UInt8:
        """The label at that size. Shape: ``(H, W)`` uint8."""
        return nearest(label, size)

    def padded(self, image: UInt8, box: Size) -> UInt8:
        """The image with black at the right and bottom up to ``box``. Shape: ``(H, W, 3)`` uint8."""
        missing = (max(box[1] - image.shape[0], 0), max(box[0] - image.shape[1], 0))
        return np.pad(image, ((0, missing[0]), (0, missing[1]), (0, 0)))


def nearest(label: UInt8, size: Size) -> UInt8:
    """A label map at another size, by Pillow's nearest pixel. Shape: ``(H, W)`` uint8."""
    return np.asarray(Image.fromarray(label).resize(size, Image.Resampling.NEAREST))


@dataclass(frozen=True)
class WholeImages(_Framing):
    """Images are stretched to the training size, and not cropped.

    Attributes:
        interpolation: of images; labels take the nearest pixel.
        mirrored: whether half of all images are mirrored in training, before they are resized.
        width: of all images, whatever dataset they are of; the training size gives the ratio. None = the training
            size itself. Units: pixels.

    Source: loaders of ADVENT, IntraDA and FADA (bicubic), and of PixMatch and EHTDI (mirrored, all of one width);
        resizing by Pillow, which averages where it shrinks.
    """

    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    mirrored: bool = field(default=False, kw_only=True)
    width: int | None = field(default=None, kw_only=True)
    cropped = False

    def size(self, file: Size, box: Size) -> Size:
        """The training size, whatever the ratio of the file."""
        if self.width is None:
            return box
        return self.width, max(int(self.width * box[1] / box[0] + 0.5), 1)

    def image(self, image: UInt8, size: Size) -> UInt8:
        """The image at that size. Shape: ``(H, W, 3)`` uint8."""
        return np.asarray(Image.fromarray(image).resize(size, _FILTERS[self.interpolation]))

    def label(self, label: UInt8, size: Size) -> UInt8:
        """The label at that size. Shape: ``(H, W)`` uint8."""
        return nearest(label, size)


@dataclass(frozen=True)
class ScaledCrop:
    """The random part of a `ScaledCrops`: scale of the sides, place of the crop in the scaled image, mirroring."""

    scale: float
    top: int
    left: int
    flip: bool


@dataclass(frozen=True)
class ScaledCrops(WholeImages):
    """In training, crops of images that are scaled at random, half of them mirrored; in a test, whole images.

    Units: the crop is (width, height) in pixels; ``scales`` is the range of the factors on the image.

    Source: loader of FADA's self-distillation.
    """

    crop: Size = (1024, 512)
    scales: tuple[float, float] = (0.5, 1.5)
    cropped = True

    def scaled(self, size: Size, scale: float) -> Size:
        """Size of an image times ``scale``, rounded down, but not to 0."""
        return max(int(size[0] * scale), 1), max(int(size[1] * scale), 1)

    def draw(self, size: Size, rng: np.random.Generator) -> ScaledCrop:
        """Draws a crop of an image of ``size``; where it does not fit, it begins at the border."""
        scale = float(rng.uniform(*self.scales))
        width, height = self.scaled(size, scale)
        top = int(rng.integers(max(height - self.crop[1], 0) + 1))
        left = int(rng.integers(max(width - self.crop[0], 0) + 1))
        return ScaledCrop(scale, top, left, bool(rng.random() < 0.5))

    def cut(self, image: UInt8, label: UInt8, drawn: ScaledCrop) -> tuple[UInt8, UInt8]:
        """The crop of image and label. Shape: ``(H, W, 3)`` and ``(H, W)`` uint8, to at most ``crop``."""
        size = self.scaled((image.shape[1], image.shape[0]), drawn.scale)
        rows = slice(drawn.top, drawn.top + self.crop[1])
        columns = slice(drawn.left, drawn.left + self.crop[0])
        step = -1 if drawn.flip else 1
        image, label = self.image(image, size)[rows, columns], self.label(label, size)[rows, columns]
        return image[:, ::step], label[:, ::step]


Framing = Crops | WholeImages | ScaledCrops

"""How a picture file becomes what a network is shown: its size, and whether it is cropped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from adaptbench.data import transforms

UInt8 = npt.NDArray[np.uint8]
#: (width, height) in pixels.
Size = tuple[int, int]

_FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


@dataclass(frozen=True)
class Crops:
    """Pictures keep their ratio; in training, square crops are drawn and half of them mirrored.

    Source: pipelines of DACS and DAFormer in mmsegmentation (resizing by OpenCV).
    """

    cropped = True

    def size(self, file: Size, box: Size) -> Size:
        """Size at which a picture of size ``file`` is used."""
        return transforms.fitted_size(file, box)

    def image(self, image: UInt8, size: Size) -> UInt8:
        """The picture at that size. Shape: ``(H, W, 3)`` uint8."""
        return transforms.resize_image(image, size)

    def label(self, label: UInt8, size: Size) -> UInt8:
        """The label at that size. Shape: ``(H, W)`` uint8."""
        return transforms.resize_label(label, size)


@dataclass(frozen=True)
class WholePictures:
    """Pictures are stretched to the training size, and neither cropped nor mirrored.

    Attributes:
        interpolation: of images; labels take the nearest pixel.

    Source: loaders of ADVENT and IntraDA (bicubic) and FADA (bilinear); resizing by Pillow, which averages where
        it shrinks.
    """

    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    cropped = False

    def size(self, file: Size, box: Size) -> Size:
        """The training size, whatever the ratio of the file."""
        return box

    def image(self, image: UInt8, size: Size) -> UInt8:
        """The picture at that size. Shape: ``(H, W, 3)`` uint8."""
        return np.asarray(Image.fromarray(image).resize(size, _FILTERS[self.interpolation]))

    def label(self, label: UInt8, size: Size) -> UInt8:
        """The label at that size. Shape: ``(H, W)`` uint8."""
        return np.asarray(Image.fromarray(label).resize(size, Image.Resampling.NEAREST))


Framing = Crops | WholePictures

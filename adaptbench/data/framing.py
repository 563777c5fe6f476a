"""How a picture file becomes what a network is shown: its size, and whether it is cropped."""

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
    """Pictures are stretched to the training size, and not cropped.

    Attributes:
        interpolation: of images; labels take the nearest pixel.
        mirrored: whether half of all pictures are mirrored in training, before they are resized.
        width: of all pictures, whatever dataset they are of; the training size gives the ratio. None = the training
            size itself. Units: pixels.

    Source: loaders of ADVENT and IntraDA (bicubic) and FADA (bilinear), and of PixMatch and EHTDI (mirrored, all of one
        width); resizing by Pillow, which averages where it shrinks.
    """

    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    mirrored: bool = field(default=False, kw_only=True)
    width: int | None = field(default=None, kw_only=True)
    cropped = False

    def size(self, file: Size, box: Size) -> Size:
        """The training size, whatever the ratio of the file."""
        if self.width is None:
            return box
        return self.width, int(self.width * box[1] / box[0] + 0.5)

    def image(self, image: UInt8, size: Size) -> UInt8:
        """The picture at that size. Shape: ``(H, W, 3)`` uint8."""
        return np.asarray(Image.fromarray(image).resize(size, _FILTERS[self.interpolation]))

    def label(self, label: UInt8, size: Size) -> UInt8:
        """The label at that size. Shape: ``(H, W)`` uint8."""
        return np.asarray(Image.fromarray(label).resize(size, Image.Resampling.NEAREST))


Framing = Crops | WholePictures

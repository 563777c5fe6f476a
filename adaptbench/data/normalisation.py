"""What a network takes an image for: which channel comes first, and which values are 0 and 1."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Normalisation:
    """Input normalisation of a network: ``(pixel - mean) / std`` in its order of channels, blue first if ``bgr``.

    Units: grey levels 0..255 per channel of the network.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    bgr: bool = False

    def swapped(self, image: Tensor) -> Tensor:
        """From the network's order of channels to RGB, and back. Shape: ``(B, 3, H, W)``, unchanged."""
        return image.flip(1) if self.bgr else image

    @property
    def rgb(self) -> Normalisation:
        """The same for images whose channels are `swapped` to RGB."""
        return Normalisation(self.mean[::-1], self.std[::-1]) if self.bgr else self


#: ImageNet statistics of RGB, as every self-training paper uses them.
IMAGENET = Normalisation((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
#: Mean of the images that Caffe models were trained on; nothing is divided.
#: Source: ADVENT, arXiv 1811.12833, its configuration; docs/quirks.md#a17.
CAFFE = Normalisation((104.00698793, 116.66876762, 122.67891434), (1.0, 1.0, 1.0), bgr=True)

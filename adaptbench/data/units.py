"""Units of settings: what a number counts, so that a profile can convert it."""

from __future__ import annotations

from typing import Annotated

#: A length in full-size pixels.
Length = Annotated[int, "length"]
#: A number of full-size pixels.
PixelCount = Annotated[int, "pixel_count"]
#: Width of a module that a method trains beside the network, like a discriminator.
Channels = Annotated[int, "channels"]
#: A number of images per domain in one training iteration.
ImageCount = Annotated[int, "images"]
#: A number of training iterations, out of the published total.
Iterations = Annotated[int, "iterations"]

"""Units of settings: what a number counts, so that a profile can convert it; and settings that came later."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

#: A length in full-size pixels.
Length = Annotated[int, "length"]
#: Widths of a blur in full-size pixels, which need not be whole.
BlurWidth = Annotated[float, "blur_width"]
#: A number of full-size pixels.
PixelCount = Annotated[int, "pixel_count"]
#: Width of a module that a method trains beside the network, like a discriminator.
Channels = Annotated[int, "channels"]
#: A number of images per domain in one training iteration.
ImageCount = Annotated[int, "images"]
#: A number of training iterations, each with as many images as the batch size with the same prefix says.
Iterations = Annotated[int, "iterations"]
#: Share of itself that an average over the main training keeps in every iteration: it spans 1 / (1 - share) of them.
Decay = Annotated[float, "decay"]
#: Learning rate of what is trained beside the network, like a discriminator, for which no network states one.
SideRate = Annotated[float, "side_rate"]


def later(default: Any, **options: Any) -> Any:
    """A setting that came after its method had results: at its default it is not written, so that hashes stay.

    Args:
        default: the value with which a training has the same bits as before the setting was there.
        options: those of pydantic's ``Field``.
    """
    return Field(default, exclude_if=lambda value: value == default, **options)

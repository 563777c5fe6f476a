"""What a method may ask of the training stream beside plain crops in random order."""

from __future__ import annotations

from dataclasses import dataclass, field

from adaptbench.data.framing import Crops, Framing, Size
from adaptbench.data.image_jitter import Jitter
from adaptbench.data.pseudo_margins import Margins
from adaptbench.data.rare_class_sampling import CHECKS, MissingRule


@dataclass(frozen=True)
class RareClasses:
    """Rare class sampling of source images; the target image is then drawn uniformly.

    Attributes:
        temperature: the lower, the more often rare classes are drawn.
        min_pixels: an image is drawn for a class only if its label file has more pixels of it.
        min_crop_ratio: share of ``min_pixels`` that the crop has to show; 0 = any crop.
        checks: how many crops of an image are checked; the next one is taken as it is.
        with_share: whether a check is of the share of a single class, too, which else is another reason to draw again.
        missing: whether a class that no image shows often enough is an ``error`` or ``drop`` ped.

    Source: DAFormer, arXiv 2111.14887, section 3.3.
    """

    temperature: float = 0.01
    min_pixels: int = 3000
    min_crop_ratio: float = 0.5
    missing: MissingRule = "drop"
    checks: int = CHECKS
    with_share: bool = False


@dataclass(frozen=True)
class Sampling:
    """What is shown of which images, and what comes with them.

    Attributes:
        rare: rare class sampling; None = every image once per epoch.
        part: side of the square part that is trained on, the same one of source and target crop, in pixels; None =
            whole crops.
        margins: borders of target images, in pixels of the image file, where no pseudo-label is trusted; None
            = batches carry no mask.
        margins_mirrored: whether their mask is mirrored with its image; in VFM-UDA it is not.
        framing: crops, or whole images; the test images are resized alike.
        source_box: (width, height) in pixels that source images are resized into, whatever dataset they are of; None
            = the training size of their dataset.
        distortion: whether the colours of labelled images are distorted.
        jitter: how far they are jittered instead, as in FADA; None = not.
        balanced: whether labelled images are drawn by the classes they show; else every one is shown per epoch.
        blur: largest width, in pixels, of the blur of half of all images; 0 = none is blurred.
    """

    rare: RareClasses | None = None
    part: int | None = None
    margins: Margins | None = None
    margins_mirrored: bool = True
    framing: Framing = field(default_factory=Crops)
    source_box: Size | None = None
    distortion: bool = False
    jitter: Jitter | None = None
    balanced: bool = False
    blur: float = 0.0

"""Profiles: at which size the published definitions are run.

A method states full-size numbers, each with its unit (`Length`, `PixelCount`, `Channels`, `Iterations`, ...); the
profile converts each by what it counts (docs/concepts.md, conversions). A method never asks which profile it is in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from adaptbench.data.units import BlurWidth as BlurWidth
from adaptbench.data.units import Channels as Channels
from adaptbench.data.units import Decay as Decay
from adaptbench.data.units import ImageCount as ImageCount
from adaptbench.data.units import Iterations as Iterations
from adaptbench.data.units import Length as Length
from adaptbench.data.units import PixelCount as PixelCount
from adaptbench.data.units import SideRate as SideRate
from adaptbench.errors import unknown_name

Provenance = Literal["generated", "official"]
ProfileName = Literal["mini", "small", "paper"]


@dataclass(frozen=True)
class MainTraining:
    """The main training of a method as its paper states it.

    Attributes:
        iterations: its length.
        batch: images per domain and iteration.
    """

    iterations: int
    batch: int


@dataclass(frozen=True)
class Profile:
    """Sizes, budget and networks.

    Attributes:
        name: what users type.
        title: one line for listings.
        data: provenance of the data unless the user or the benchmark says otherwise.
        scale: linear scale of images, crops and all other lengths.
        samples: images per domain that the main training of every method sees; None = as published.
        networks: network chosen by a method or a study -> network used in its place.
        generated: generated images per ``dataset/split``.
        images: most images per domain in one iteration of a training; None = as published.
        threads: CPU threads of a training; other numbers give other bits.
        workers: data loading processes beside the training that are wanted, where cores are idle.
        checkpoint_every: iterations between two checkpoints.
        resolution: the largest factor on the training size of images that is used; None = any.
        most_rounds: how often the images of a stream come at most; None = as often as the benchmark says.
    """

    name: ProfileName
    title: str
    data: Provenance
    scale: float
    samples: int | None
    images: int | None
    threads: int
    workers: int
    checkpoint_every: int
    networks: Mapping[str, str] = field(default_factory=dict)
    generated: Mapping[str, int] = field(default_factory=dict)
    resolution: float | None = None
    most_rounds: int | None = None

    def enlarged(self, resolution: float) -> float:
        """A factor on the training size, capped where the profile caps it."""
        return resolution if self.resolution is None else min(resolution, self.resolution)

    def of_lengths(self, resolution: float) -> Profile:
        """What converts lengths in images with this factor: they shrink as the images do."""
        return replace(self, scale=self.scale * self.enlarged(resolution) / resolution)

    def length(self, pixels: int) -> int:
        """A full-size length in pixels of this profile, rounded half up."""
        return int(pixels * self.scale + 0.5)

    def blur_width(self, pixels: float) -> float:
        """A width in full-size pixels in pixels of this profile."""
        return pixels * self.scale

    def pixel_count(self, pixels: int) -> int:
        """A full-size number of pixels in pixels of this profile, rounded half up."""
        return int(pixels * self.scale**2 + 0.5)

    def channels(self, number: int) -> int:
        """A full-size number of channels in this profile, rounded half up; mini narrows with its images."""
        return max(int(number * self.scale + 0.5), 1)

    def batch(self, images: int) -> int:
        """A number of images per iteration, capped where the profile caps it."""
        return images if self.images is None else min(images, self.images)

    def rounds(self, number: int) -> int:
        """How often the images of a stream come, capped where the profile caps it."""
        return number if self.most_rounds is None else min(number, self.most_rounds)

    def iterations(self, number: int, batch: int, main: MainTraining) -> int:
        """Iterations with ``batch`` published images each: as large a part of the main training as published."""
        if self.samples is None or main.iterations == 0:
            return number
        samples = self.samples * number * batch / (main.iterations * main.batch)
        return int(samples / self.batch(batch) + 0.5)

    def decay(self, share: float, main: MainTraining) -> float:
        """Share of an average that spans as large a part of the main training as published; 0 if none."""
        if self.samples is None or share == 1 or main.iterations == 0:
            return share
        span = self._shortened(main) / (1 - share)
        return max(1 - 1 / span, 0.0) if span > 0 else 0.0

    def side_rate(self, rate: float, main: MainTraining) -> float:
        """A rate of Adam with which weights get as far as published: by the root of the iterations."""
        shortened = self._shortened(main)
        return rate / shortened**0.5 if shortened > 0 else rate

    def _shortened(self, main: MainTraining) -> float:
        """Iterations of the main training over those published."""
        used = self.iterations(main.iterations, main.batch, main)
        return used / main.iterations if main.iterations else 1.0


def _generated(trained: int, scored: int, *, heldout: int, validated: int) -> dict[str, int]:
    """Generated images of every split: trained on, or scored; of GTA5's heldout and Cityscapes' val apart."""
    sources = ("synthia/all", "synscapes/all", "urbansyn/all")
    training = (*sources, "acdc/train", "bdd100k/train", "mapillary/training", "idd/train")
    scoring = (
        "acdc/val", "dark_zurich/val", "bdd100k/val", "mapillary/validation", "idd/val", "wilddash2/public",
    )  # fmt: skip
    hours = [f"dark_zurich/train_{time}" for time in ("day", "twilight", "night")]
    cities = ("rio", "rome", "taipei", "tokyo")
    return {
        **dict.fromkeys(("gta5/all", "cityscapes/train"), trained),
        "gta5/heldout": heldout,
        "cityscapes/val": validated,
        **dict.fromkeys((*training, *hours, *(f"crosscity/{city}_train" for city in cities)), trained),
        **dict.fromkeys((*scoring, *(f"crosscity/{city}_test" for city in cities)), scored),
        "mapillary_v2/training": trained,
        "mapillary_v2/validation": scored,
    }


#: Networks with a foundation model, and the small ones that stand for them; their weights are random.
_FOUNDATION = {
    **{f"vfm_uda-dinov2_{size}": "vfm_uda-mini" for size in ("small", "base", "large")},
    **{f"daformer-dinov2_{size}": "daformer-vit-mini" for size in ("base", "large")},
}
#: Decoders around MiT that exist at both sizes.
_MIT_DECODERS = ("daformer", "daformer_aspp", "daformer_conv", "daformer_f4", "daformer_isa", "segformer")
#: DeepLabV2 on its encoders, and what it is called on a small one.
_DEEPLABS = {
    "deeplabv2-r101": "deeplabv2",
    "deeplabv2-multi-r101": "deeplabv2-multi",
    "deeplabv2-pixmatch-r101": "deeplabv2-multi",
    "deeplabv2-fada-r101": "deeplabv2",
    "deeplabv2-fada-vgg16": "deeplabv2",
}


def _small_networks(encoder: str) -> dict[str, str]:
    """The published networks, and the same decoders on a small encoder."""
    decoders = {**_DEEPLABS, **{f"{name}-mit_b5": name for name in _MIT_DECODERS}}
    return {published: f"{decoder}-{encoder}" for published, decoder in decoders.items()} | _FOUNDATION


PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            name="mini",
            title="generated world at a quarter of the size, small networks, minutes on 2 CPU cores",
            data="generated",
            scale=0.25,
            samples=800,
            images=2,
            threads=1,
            workers=0,
            checkpoint_every=100,
            networks=_small_networks("lite0"),
            most_rounds=3,
            generated=_generated(240, 48, heldout=48, validated=72),
        ),
        Profile(
            name="small",
            title="official images at half of the published lengths, small networks, on 2 CPU cores",
            data="official",
            scale=0.5,
            samples=1200,
            images=2,
            threads=1,
            workers=2,
            checkpoint_every=100,
            networks=_small_networks("lite0-half"),
            most_rounds=3,
            generated=_generated(240, 48, heldout=48, validated=72),
        ),
        Profile(
            name="paper",
            title="published sizes, networks and hyper-parameters on the official data",
            data="official",
            scale=1.0,
            samples=None,
            images=None,
            threads=8,
            workers=8,
            checkpoint_every=1000,
            generated=_generated(500, 100, heldout=50, validated=100),
        ),
    )
}


def profile(name: str) -> Profile:
    """The profile called ``name``; a UsageError if there is none."""
    if name not in PROFILES:
        raise unknown_name("profile", name, PROFILES)
    return PROFILES[name]

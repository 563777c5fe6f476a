"""What a look is, how looks blend into each other, and the two that the others are variations of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import TypeVar, cast

T = TypeVar("T")
Range = tuple[float, float]
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Paint:
    """A material.

    Attributes:
        palette: RGB colours (0..255) an object may have; every domain lists equally many.
        grain: relative contrast of fine, middle and coarse texture.
    """

    palette: tuple[Colour, ...]
    grain: tuple[float, float, float] = (0.02, 0.02, 0.02)


@dataclass(frozen=True)
class Layout:
    """Street statistics; every range is drawn uniformly per image. Lengths in metres.

    Attributes:
        left, right: distance of the kerbs from the camera.
        sidewalk: width of the sidewalks.
        setback: depth of the front yards, where there are any.
        building_height: height of the buildings.
        storey: height of a storey.
        gaps: share of the roadside without a building.
        yards: share of the buildings behind a front yard.
        signal_arm: share of traffic lights on an arm across the road.
        often: how often each object occurs per image at imbalance 1 (below 1: a probability).
    """

    left: Range
    right: Range
    sidewalk: Range
    setback: Range
    building_height: Range
    storey: Range
    gaps: float
    yards: float
    signal_arm: float
    often: Mapping[str, float]


@dataclass(frozen=True)
class Lens:
    """Camera, light and weather; every range is drawn uniformly per image.

    Attributes:
        focal: focal length in image widths.
        horizon: row of the horizon in image heights.
        elevation: height of the camera, metres.
        hood: height of the visible ego vehicle, in image heights; none is seen below 0.
        sun: darkness of cast shadows, 0..1.
        haze: loss of contrast per 100 m, and its colour.
        exposure, contrast, saturation: factors.
        white_balance: gain per RGB channel.
        vignette: darkening of the corners, 0..1.
        blur: standard deviation in pixels at 256 rows.
        noise: standard deviation in grey levels.
        wet: how much the road mirrors what stands on it, 0..1.
        glow: how much bright spots light up their surroundings.
    """

    focal: Range
    horizon: Range
    elevation: Range
    hood: Range
    sun: Range
    haze: Range
    haze_colour: Colour
    exposure: Range
    contrast: Range
    saturation: Range
    white_balance: Colour
    vignette: float
    blur: Range
    noise: Range
    wet: float = 0.0
    glow: float = 0.0


@dataclass(frozen=True)
class Look:
    """A domain: its streets, its camera and its paints."""

    layout: Layout
    lens: Lens
    paints: Mapping[str, Paint]


def blend(source: T, target: T, share: float) -> T:
    """Value between two looks (or parts of looks): 0 gives ``source``, 1 gives ``target``."""
    if isinstance(source, Mapping):
        other = cast(Mapping[str, object], target)
        return cast(T, {key: blend(value, other[key], share) for key, value in source.items()})
    if isinstance(source, tuple):
        pairs = zip(source, cast(tuple[object, ...], target), strict=True)
        return cast(T, tuple(blend(a, b, share) for a, b in pairs))
    if is_dataclass(source) and not isinstance(source, type):
        names = [field.name for field in fields(source)]
        mixed = {name: blend(getattr(source, name), getattr(target, name), share) for name in names}
        return cast(T, type(source)(**mixed))
    a, b = cast(float, source), cast(float, target)
    return cast(T, a * (1 - share) + b * share)


GTA5 = Look(
    layout=Layout(
        left=(5.2, 7.0), right=(3.2, 4.6), sidewalk=(2.2, 3.4), setback=(2.0, 4.5),
        building_height=(5.0, 24.0), storey=(3.6, 4.4), gaps=0.34, yards=0.35, signal_arm=0.7,
        often={
            "pole": 2.4, "traffic light": 1.2, "traffic sign": 1.5, "tree": 2.0, "person": 2.8,
            "car": 2.8, "truck": 0.42, "bus": 0.42, "train": 0.3, "motorcycle": 0.5, "bicycle": 0.5,
            "rider": 0.6, "wall": 0.5, "fence": 0.5, "terrain": 0.55, "bin": 0.4,
        },
    ),
    lens=Lens(
        focal=(0.56, 0.66), horizon=(0.48, 0.56), elevation=(1.5, 1.9), hood=(-0.06, 0.07), sun=(0.35, 0.6),
        haze=(0.1, 0.35), haze_colour=(206, 214, 228), exposure=(0.92, 1.12), contrast=(1.05, 1.2),
        saturation=(1.0, 1.2),
        white_balance=(1.04, 1.0, 0.95), vignette=0.1, blur=(0.25, 0.4), noise=(1.0, 2.5),
    ),
    paints={
        "sky": Paint(((92, 150, 222), (120, 172, 232), (150, 186, 226)), (0.0, 0.0, 0.06)),
        "cloud": Paint(((238, 240, 244),)),
        "road": Paint(((88, 88, 94), (104, 102, 104), (76, 78, 86)), (0.07, 0.03, 0.05)),
        "marking": Paint(((226, 206, 120), (226, 226, 220)), (0.05, 0.03, 0.02)),
        "sidewalk": Paint(((178, 170, 158), (190, 182, 168), (164, 158, 150)), (0.04, 0.04, 0.03)),
        "curb": Paint(((206, 202, 194),)),
        "terrain": Paint(((176, 156, 92), (158, 150, 84), (190, 164, 108)), (0.14, 0.1, 0.06)),
        "track": Paint(((112, 98, 88),), (0.16, 0.06, 0.02)),
        "rail": Paint(((170, 168, 166),)),
        "building": Paint(
            ((214, 194, 160), (196, 128, 96), (222, 214, 200), (150, 140, 132), (176, 152, 120)),
            (0.03, 0.03, 0.05)),
        "window": Paint(((62, 84, 110), (84, 112, 138), (44, 56, 74)), (0.02, 0.08, 0.1)),
        "roof": Paint(((120, 90, 76), (96, 92, 92))),
        "wall": Paint(((124, 112, 102), (138, 122, 108), (112, 106, 100)), (0.06, 0.06, 0.05)),
        "joint": Paint(((92, 82, 74), (104, 94, 84))),
        "fence": Paint(((48, 84, 70), (40, 72, 60), (60, 96, 80))),
        "pole": Paint(((118, 120, 122), (96, 100, 104))),
        "lamp": Paint(((236, 232, 214),)),
        "signal": Paint(((214, 168, 40), (196, 152, 44))),
        "signal_on": Paint(((255, 64, 48), (84, 255, 128), (255, 196, 48))),
        "sign": Paint(((42, 122, 70), (214, 44, 44), (236, 196, 48), (240, 240, 236))),
        "sign_mark": Paint(((240, 240, 236), (244, 240, 236), (40, 40, 40), (40, 40, 44))),
        "trunk": Paint(((112, 84, 60), (128, 102, 78)), (0.08, 0.06, 0.02)),
        "leaves": Paint(((88, 124, 48), (104, 136, 58), (76, 108, 44)), (0.22, 0.26, 0.1)),
        "shirt": Paint(((232, 84, 150), (240, 236, 226), (176, 60, 190), (60, 58, 60), (240, 120, 130))),
        "trousers": Paint(((52, 62, 92), (44, 42, 44), (142, 126, 98))),
        "skin": Paint(((224, 176, 144), (150, 104, 78), (206, 154, 120))),
        "hair": Paint(((58, 40, 30), (24, 22, 22), (178, 140, 80))),
        "helmet": Paint(((220, 40, 40), (34, 34, 38), (236, 236, 236))),
        "car": Paint((
            (190, 34, 36), (226, 228, 230), (40, 42, 48), (120, 122, 128), (160, 30, 44), (176, 178, 184)
        )),
        "glass": Paint(((46, 58, 72), (60, 76, 92)), (0.0, 0.06, 0.1)),
        "tyre": Paint(((28, 28, 30),)),
        "rear_light": Paint(((216, 32, 32),)),
        "front_light": Paint(((252, 248, 226),)),
        "cargo": Paint(((206, 120, 48), (222, 150, 70), (210, 206, 198))),
        "cab": Paint(((206, 120, 48), (240, 236, 226), (60, 96, 150))),
        "bus": Paint(((58, 136, 196), (44, 112, 180), (222, 170, 60))),
        "train": Paint(((186, 192, 200), (204, 206, 208), (178, 62, 56))),
        "stripe": Paint(((96, 60, 160), (80, 70, 176), (226, 222, 212))),
        "motorcycle": Paint(((36, 150, 70), (44, 46, 50), (196, 40, 40))),
        "bicycle": Paint(((44, 190, 196), (60, 200, 180), (170, 50, 110))),
        "bin": Paint(((60, 92, 74), (96, 98, 100))),
        "hood": Paint(((60, 62, 66),)),
    },
)  # fmt: skip

CITYSCAPES = Look(
    layout=Layout(
        left=(4.2, 5.8), right=(2.8, 3.8), sidewalk=(1.8, 2.8), setback=(1.5, 3.0),
        building_height=(10.0, 20.0), storey=(2.9, 3.4), gaps=0.26, yards=0.25, signal_arm=0.1,
        often={
            "pole": 2.8, "traffic light": 1.1, "traffic sign": 1.8, "tree": 2.4, "person": 3.4,
            "car": 3.2, "truck": 0.36, "bus": 0.4, "train": 0.34, "motorcycle": 0.42, "bicycle": 0.8,
            "rider": 0.6, "wall": 0.45, "fence": 0.5, "terrain": 0.5, "bin": 0.4,
        },
    ),
    lens=Lens(
        focal=(0.62, 0.72), horizon=(0.42, 0.49), elevation=(1.2, 1.5), hood=(0.04, 0.1), sun=(0.05, 0.25),
        haze=(0.3, 0.65), haze_colour=(206, 210, 206), exposure=(0.9, 1.06), contrast=(0.92, 1.06),
        saturation=(0.78, 1.0),
        white_balance=(0.96, 1.02, 0.98), vignette=0.3, blur=(0.45, 0.75), noise=(2.5, 5.0),
    ),
    paints={
        "sky": Paint(((226, 230, 232), (214, 220, 226), (236, 236, 232)), (0.0, 0.0, 0.03)),
        "cloud": Paint(((246, 246, 246),)),
        "road": Paint(((112, 110, 108), (98, 98, 100), (126, 122, 118)), (0.09, 0.06, 0.06)),
        "marking": Paint(((222, 222, 218), (222, 222, 218)), (0.05, 0.03, 0.02)),
        "sidewalk": Paint(((166, 156, 146), (152, 138, 128), (168, 162, 154)), (0.12, 0.06, 0.05)),
        "curb": Paint(((150, 148, 144),)),
        "terrain": Paint(((104, 126, 66), (112, 130, 70), (140, 132, 76)), (0.2, 0.16, 0.1)),
        "track": Paint(((120, 112, 108),), (0.12, 0.06, 0.02)),
        "rail": Paint(((120, 118, 116),)),
        "building": Paint(
            ((180, 162, 132), (146, 90, 70), (190, 186, 178), (124, 126, 130), (190, 168, 122)),
            (0.08, 0.08, 0.06)),
        "window": Paint(((52, 64, 78), (120, 132, 140), (54, 60, 70)), (0.02, 0.12, 0.14)),
        "roof": Paint(((138, 70, 56), (80, 76, 78))),
        "wall": Paint(((144, 100, 84), (138, 122, 108), (150, 142, 132)), (0.12, 0.08, 0.05)),
        "joint": Paint(((160, 140, 128), (104, 84, 76))),
        "fence": Paint(((146, 116, 84), (66, 88, 68), (176, 176, 172))),
        "pole": Paint(((84, 92, 86), (146, 146, 142))),
        "lamp": Paint(((210, 210, 204),)),
        "signal": Paint(((150, 122, 48), (190, 150, 50))),
        "signal_on": Paint(((250, 84, 60), (110, 240, 160), (250, 190, 70))),
        "sign": Paint(((40, 80, 168), (228, 226, 224), (206, 52, 44), (238, 206, 60))),
        "sign_mark": Paint(((236, 238, 240), (206, 40, 40), (240, 238, 236), (240, 240, 240))),
        "trunk": Paint(((84, 76, 68), (100, 92, 82)), (0.1, 0.08, 0.02)),
        "leaves": Paint(((66, 98, 54), (82, 108, 56), (112, 104, 54)), (0.28, 0.22, 0.13)),
        "shirt": Paint(((140, 100, 146), (200, 196, 188), (164, 74, 132), (48, 46, 52), (214, 108, 118))),
        "trousers": Paint(((66, 76, 100), (46, 44, 48), (92, 88, 84))),
        "skin": Paint(((222, 184, 160), (186, 140, 114), (228, 192, 168))),
        "hair": Paint(((110, 84, 56), (46, 38, 34), (170, 160, 150))),
        "helmet": Paint(((232, 232, 228), (60, 60, 66), (60, 100, 170))),
        "car": Paint((
            (62, 66, 74), (186, 188, 190), (36, 38, 44), (92, 40, 44), (128, 132, 136), (52, 66, 100)
        )),
        "glass": Paint(((64, 74, 80), (88, 98, 104)), (0.0, 0.1, 0.14)),
        "tyre": Paint(((40, 40, 42),)),
        "rear_light": Paint(((190, 40, 40),)),
        "front_light": Paint(((240, 240, 232),)),
        "cargo": Paint(((92, 112, 92), (196, 192, 184), (184, 112, 64))),
        "cab": Paint(((92, 112, 92), (226, 224, 220), (184, 112, 64))),
        "bus": Paint(((214, 178, 58), (74, 124, 168), (62, 110, 156))),
        "train": Paint(((190, 52, 48), (176, 40, 44), (196, 196, 192))),
        "stripe": Paint(((232, 230, 224), (214, 214, 206), (176, 44, 48))),
        "motorcycle": Paint(((60, 70, 150), (46, 48, 54), (52, 124, 70))),
        "bicycle": Paint(((60, 150, 160), (110, 56, 104), (56, 168, 160))),
        "bin": Paint(((84, 84, 88), (70, 84, 100))),
        "hood": Paint(((44, 46, 50),)),
    },
)  # fmt: skip

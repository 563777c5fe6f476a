"""Cut-outs to classify, from generated streets of a third look: neither the source's nor the target's.

Every image has paints, camera and street statistics of its own, drawn at random around the source look's; the
target's look is not used anywhere. They stand for the photo collection that full-size encoders are trained on.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from adaptbench.data.minicity.looks import GTA5, Colour, Lens, Look, Paint
from adaptbench.data.minicity.render import render
from adaptbench.data.minicity.scene import build
from adaptbench.data.minicity.spec import WorldSpec, image_size
from adaptbench.data.taxonomy import CITYSCAPES19, IGNORE, label_map

UInt8 = npt.NDArray[np.uint8]

#: Raised whenever any cut-out changes.
VERSION = 1
#: Key of all draws; generated worlds draw by other keys, whatever their seed.
_KEY = 0x7417D
#: Every object is about equally frequent, near and far.
_WORLD = WorldSpec(imbalance=0.0, scale=0.25)
_SMALLEST, _LARGEST = 20, 128


@dataclass(frozen=True)
class Cutouts:
    """Square pieces of images, each with the class of its centre.

    Attributes:
        frames: RGB, shape ``(N, side, side, 3)``, uint8.
        classes: train ids of cityscapes19, shape ``(N,)``, int64.
    """

    images: UInt8
    classes: npt.NDArray[np.int64]


def cutouts(split: str, frames: range, each: int, side: int) -> Cutouts:
    """``each`` cut-outs of every image, the classes an image shows drawn equally often.

    Images of two splits have nothing in common, whatever their numbers.
    """
    images, classes = [], []
    table = label_map("cityscapes", CITYSCAPES19.name)
    for number in frames:
        rng = np.random.default_rng([VERSION, _KEY, sum(map(ord, split)), number])
        look = third_look(rng)
        scene = build(_WORLD, look, image_size("gta5", _WORLD.scale), rng)
        image, raw = render(scene, look, rng)
        for _ in range(each):
            piece, name = _cut(image, table[raw], side, rng)
            images.append(piece)
            classes.append(name)
    return Cutouts(np.stack(images), np.asarray(classes, np.int64))


def third_look(rng: np.random.Generator) -> Look:
    """A look of its own for one image: hues, light and materials anywhere around the source's."""
    gaps = float(rng.uniform(0.1, 0.5))
    layout = replace(GTA5.layout, building_height=(4.0, 30.0), gaps=gaps, signal_arm=0.5)
    return Look(layout, _lens(rng), {name: _repainted(paint, rng) for name, paint in GTA5.paints.items()})


def _lens(rng: np.random.Generator) -> Lens:
    balance = rng.uniform(0.85, 1.15, 3)
    return Lens(
        focal=(0.5, 0.8), horizon=(0.38, 0.58), elevation=(1.1, 2.2), hood=(-0.06, 0.1), sun=(0.0, 0.7),
        haze=(0.0, 0.7), haze_colour=_colour(rng.uniform(150, 240, 3)), exposure=(0.75, 1.25),
        contrast=(0.8, 1.25), saturation=(0.6, 1.3), white_balance=_colour(balance),
        vignette=float(rng.uniform(0, 0.35)), blur=(0.2, 0.8), noise=(0.5, 6.0),
    )  # fmt: skip


def _repainted(paint: Paint, rng: np.random.Generator) -> Paint:
    """A material in other colours and with another texture; one turn of the hue for all its colours."""
    turn = float(rng.normal(0, 0.18))
    saturation, value = float(rng.uniform(0.4, 1.5)), float(rng.uniform(0.6, 1.3))
    fine, middle, coarse = (float(g * rng.uniform(0.4, 2.0)) for g in paint.grain)
    palette = tuple(_turned(colour, turn, saturation, value) for colour in paint.palette)
    return Paint(palette, (fine, middle, coarse))


def _turned(colour: Colour, turn: float, saturation: float, value: float) -> Colour:
    hue, s, v = colorsys.rgb_to_hsv(*(part / 255 for part in colour))
    rgb = colorsys.hsv_to_rgb((hue + turn) % 1, min(s * saturation, 1), min(v * value, 1))
    return _colour(255 * np.asarray(rgb))


def _colour(values: npt.NDArray[np.float64]) -> Colour:
    first, second, third = (float(value) for value in values)
    return first, second, third


def _cut(image: UInt8, label: UInt8, side: int, rng: np.random.Generator) -> tuple[UInt8, int]:
    """A square around a random pixel of a random class of the image, brought to ``side``."""
    shown = np.unique(label)
    name = int(rng.choice(shown[shown != IGNORE]))
    rows, columns = np.nonzero(label == name)
    pixel = int(rng.integers(len(rows)))
    size = int(np.exp(rng.uniform(np.log(_SMALLEST), np.log(_LARGEST))))
    border = size // 2 + 1
    wide = cv2.copyMakeBorder(image, border, border, border, border, cv2.BORDER_REFLECT_101)
    top, left = rows[pixel] + border - size // 2, columns[pixel] + border - size // 2
    piece = wide[top : top + size, left : left + size]
    mode = cv2.INTER_AREA if size > side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(piece, (side, side), interpolation=mode), np.uint8), name

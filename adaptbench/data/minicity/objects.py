"""Everything that stands in the street: each object is a function from a place to a `Sketch`.

Sizes are real ones, in metres. All random draws come from the generator that is passed in and decide
shape or colour choice only; how a colour looks is the domain's business (looks.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from adaptbench.data.minicity.geometry import CIRCLE, Camera, Face, Floats, Range, Sketch

#: Cityscapes label ids of everything the world can show.
LABEL: dict[str, int] = {
    "ego vehicle": 1, "static": 4, "road": 7, "sidewalk": 8, "rail track": 10, "building": 11, "wall": 12,
    "fence": 13, "pole": 17, "traffic light": 19, "traffic sign": 20, "vegetation": 21, "terrain": 22,
    "sky": 23, "person": 24, "rider": 25, "car": 26, "truck": 27, "bus": 28, "train": 31,
    "motorcycle": 32, "bicycle": 33,
}  # fmt: skip


@dataclass(frozen=True)
class Spot:
    """Where an object stands.

    Attributes:
        x, z: position of its middle (x) and its near side (z), metres.
        inward: -1 or 1, the direction of the road.
        along: lies along the street (True) or across it.
        arm: a traffic light hangs over the road.
    """

    x: float
    z: float
    inward: float = 1.0
    along: bool = True
    arm: bool = False


@dataclass(frozen=True)
class Glazing:
    """Windows on a part: their heights (0..1 of the part), and how many on the long side and the end."""

    band: Range
    long: int
    end: int
    paint: str = "glass"


@dataclass(frozen=True)
class Part:
    """Block of a vehicle.

    Attributes:
        along: where it begins and ends, 0 (rear) to 1 (front) of the vehicle's length.
        up: bottom and top, metres.
        layer: higher layers are painted over lower ones.
        slope: how far its top edge lies inside its bottom edge, metres.
        glazing: its windows and boards.
    """

    along: Range
    up: Range
    paint: str
    layer: int = 1
    slope: float = 0.0
    glazing: tuple[Glazing, ...] = ()


@dataclass(frozen=True)
class Vehicle:
    """A kind of vehicle, metres; its first part is the one that carries wheels and lamps.

    Attributes:
        wheels: where wheels are, 0..1 of the length.
        radius: of the wheels.
        lamps: bottom and top of its lamps, 0..1 of the first part.
    """

    length: float
    width: float
    parts: tuple[Part, ...]
    wheels: tuple[float, ...]
    radius: float
    lamps: Range


VEHICLES: dict[str, Vehicle] = {
    "car": Vehicle(4.3, 1.85, (
        Part((0, 1), (0.25, 0.9), "car"),
        Part((0.1, 0.74), (0.9, 1.5), "car", 2, 0.3, (Glazing((0.15, 0.85), 2, 1),)),
    ), (0.18, 0.8), 0.34, (0.45, 0.8)),
    "truck": Vehicle(7.5, 2.5, (
        Part((0, 1), (0.5, 0.9), "tyre", 0),
        Part((0, 0.72), (0.9, 3.7), "cargo"),
        Part((0.76, 1), (0.5, 2.7), "cab", 1, 0.1, (Glazing((0.5, 0.9), 1, 1),)),
    ), (0.12, 0.26, 0.86), 0.5, (0.3, 0.8)),
    "bus": Vehicle(10.5, 2.6, (
        Part((0, 1), (0.3, 3.2), "bus", 1, 0.05, (
            Glazing((0.42, 0.8), 7, 1), Glazing((0.86, 0.96), 1, 1, "tyre"))),
    ), (0.2, 0.8), 0.48, (0.05, 0.14)),
    "train": Vehicle(26.0, 2.6, (
        Part((0, 1), (0.1, 0.5), "tyre", 0),
        Part((0, 1), (0.5, 3.4), "train", 1, 0.06, (
            Glazing((0.0, 0.2), 1, 1, "stripe"), Glazing((0.45, 0.82), 16, 2))),
        Part((0.1, 0.9), (3.4, 3.7), "roof", 2),
    ), (), 0.0, (0.0, 0.0)),
}  # fmt: skip


def pieces(count: int, fill: float, margin: float = 0.06) -> list[Range]:
    """Cuts 0..1, less a margin at both ends, into ``count`` stretches that cover ``fill`` of their share."""
    step = (1 - 2 * margin) / count
    return [
        (margin + step * (i + 0.5 - fill / 2), margin + step * (i + 0.5 + fill / 2)) for i in range(count)
    ]


def bar(a: Range, b: Range, width: float) -> Floats:
    """Straight bar from ``a`` to ``b`` as four corners, shape ``(4, 2)``."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    half = width / 2 / math.sqrt(dx * dx + dy * dy)
    normal = np.array([-dy * half, dx * half])
    return np.array([a + normal, b + normal, b - normal, a - normal])


def _block(sketch: Sketch, model: Vehicle, part: Part, spot: Spot, facing: bool) -> tuple[Face, Face]:
    """Paints one part of a vehicle and returns its long face and its end."""
    rear, front = (1 - part.along[1], 1 - part.along[0]) if facing else part.along
    half = model.width / 2
    if spot.along:
        x, z = (spot.x - half, spot.x + half), (spot.z + rear * model.length, spot.z + front * model.length)
    else:
        start = spot.x - model.length / 2
        x, z = (start + rear * model.length, start + front * model.length), (spot.z, spot.z + model.width)
    near, side = sketch.box(x, part.up, z, part.paint, (part.slope / 2, part.slope))
    long, end = (side, near) if spot.along else (near, side)
    for glazing in part.glazing:
        for face, count in ((long, glazing.long), (end, glazing.end)):
            fill, margin = (1.0, 0.0) if glazing.paint == "stripe" else (0.86, 0.06)
            sketch.inlay(face, pieces(count, fill, margin), [glazing.band], glazing.paint)
    return long, end


def _undercarriage(sketch: Sketch, model: Vehicle, long: Face, end: Face, facing: bool) -> None:
    """Wheels and lamps, on the faces of the vehicle's first part."""
    bottom, top = model.parts[0].up
    height, columns = top - bottom, [(0.03, 0.22), (0.78, 0.97)]
    for at in model.wheels if long.visible else ():
        rim = CIRCLE * (model.radius / model.length, model.radius / height)
        middle = (1 - at if facing else at, (model.radius - bottom) / height)
        sketch.draw(long.points(rim + middle), "tyre", pick=0.5)
    if model.wheels:
        sketch.inlay(end, columns, [(-bottom / height, 0.0)], "tyre", pick=0.5)
        sketch.inlay(end, columns, [model.lamps], "front_light" if facing else "rear_light", pick=0.5)


def vehicle(name: str, camera: Camera, rng: np.random.Generator, spot: Spot) -> Sketch:
    """Car, truck, bus or train, built of blocks with windows, wheels and lamps."""
    model, facing = VEHICLES[name], bool(rng.random() < 0.5)
    sketch = Sketch(camera, LABEL[name], float(rng.random()), spot.z)

    def nearness(part: Part) -> tuple[int, float]:
        return part.layer, -(1 - part.along[1] if facing else part.along[0])

    faces = {part: _block(sketch, model, part, spot, facing) for part in sorted(model.parts, key=nearness)}
    _undercarriage(sketch, model, *faces[model.parts[0]], facing)
    return sketch


def person(camera: Camera, rng: np.random.Generator, spot: Spot) -> Sketch:
    """Standing or walking person."""
    sketch = Sketch(camera, LABEL["person"], float(rng.random()), spot.z)
    tall, stride = 0.88 + 0.18 * rng.random(), 0.08 + 0.22 * rng.random()
    top = float(rng.random())
    sketch.card(spot.x, bar((-0.08, 0.85 * tall), (-stride, 0.0), 0.19), "trousers")
    sketch.card(spot.x, bar((0.08, 0.85 * tall), (stride, 0.0), 0.19), "trousers", tone=0.85)
    sketch.card(spot.x, bar((-0.24, 1.4 * tall), (-0.3, 0.8 * tall), 0.13), "shirt", tone=0.85, pick=top)
    sketch.card(spot.x, bar((0.24, 1.4 * tall), (0.3, 0.8 * tall), 0.13), "shirt", tone=0.85, pick=top)
    torso = np.array([(-0.22, 0.8), (0.22, 0.8), (0.26, 1.42), (0.1, 1.5), (-0.1, 1.5), (-0.26, 1.42)])
    sketch.card(spot.x, torso * (1, tall), "shirt", pick=top)
    sketch.disc(spot.x, 1.64 * tall, (0.12, 0.16), "skin")
    sketch.disc(spot.x, 1.72 * tall, (0.125, 0.1), "hair")
    return sketch


_BICYCLE_FRAME = (
    ((-0.52, 0.36), (-0.2, 0.85)), ((-0.2, 0.85), (0.35, 0.82)), ((-0.05, 0.32), (0.35, 0.82)),
    ((-0.52, 0.36), (-0.05, 0.32)), ((-0.2, 0.85), (-0.05, 0.32)), ((0.3, 1.0), (0.52, 0.36)),
)  # fmt: skip


def _bicycle(sketch: Sketch, x: float, squeeze: float) -> None:
    """Side view of a bicycle; its wheels are labelled as discs although one sees through them."""
    shape = np.array([squeeze, 1.0])
    for wheel in (-0.52, 0.52):
        hub = np.array([wheel, 0.36])
        sketch.card(x, (CIRCLE * 0.36 + hub) * shape, "")
        for i in range(len(CIRCLE)):
            a, b = CIRCLE[i - 1] * 0.33 + hub, CIRCLE[i] * 0.33 + hub
            sketch.card(x, bar(tuple(a), tuple(b), 0.09) * shape, "tyre", pick=0.5)
    for a, b in _BICYCLE_FRAME:
        sketch.card(x, bar(a, b, 0.085) * shape, "bicycle")
    sketch.card(x, bar((-0.36, 0.94), (-0.1, 0.94), 0.1) * shape, "tyre", pick=0.5)
    sketch.card(x, bar((0.2, 1.04), (0.4, 1.02), 0.09) * shape, "tyre", pick=0.5)


def _motorcycle(sketch: Sketch, x: float, squeeze: float) -> None:
    """Side view of a motorcycle: fat wheels, closed body."""
    shape = np.array([squeeze, 1.0])
    for wheel in (-0.68, 0.68):
        sketch.card(x, (CIRCLE * 0.34 + (wheel, 0.34)) * shape, "tyre", pick=0.5)
        sketch.card(x, (CIRCLE * 0.17 + (wheel, 0.34)) * shape, "rail", pick=0.5)
    body = np.array([(-0.9, 0.78), (-0.4, 0.4), (0.4, 0.32), (0.62, 0.7), (0.56, 1.08), (-0.2, 0.82)])
    engine = np.array([(-0.4, 0.36), (0.32, 0.3), (0.28, 0.62), (-0.2, 0.66)])
    sketch.card(x, body * shape, "motorcycle")
    sketch.card(x, engine * shape, "rail", tone=0.7, pick=0.5)
    sketch.card(x, bar((-0.75, 0.88), (-0.1, 0.86), 0.14) * shape, "tyre", pick=0.5)
    sketch.card(x, bar((0.44, 1.1), (0.68, 0.4), 0.1) * shape, "rail", tone=0.8, pick=0.5)


def _squeeze(rng: np.random.Generator) -> float:
    """Foreshortening of a two-wheeler that stands askew; the sign is its direction."""
    return float((0.7 + 0.3 * rng.random()) * (1 if rng.random() < 0.5 else -1))


def _parked(name: str, camera: Camera, rng: np.random.Generator, spot: Spot) -> Sketch:
    """Parked bicycle or motorcycle."""
    sketch = Sketch(camera, LABEL[name], float(rng.random()), spot.z)
    (_bicycle if name == "bicycle" else _motorcycle)(sketch, spot.x, _squeeze(rng))
    return sketch


def rider(camera: Camera, rng: np.random.Generator, spot: Spot) -> Sketch:
    """Bicycle, or now and then a motorcycle, with its rider."""
    motor, squeeze = bool(rng.random() < 0.3), _squeeze(rng)
    sketch = Sketch(camera, LABEL["motorcycle" if motor else "bicycle"], float(rng.random()), spot.z)
    (_motorcycle if motor else _bicycle)(sketch, spot.x, squeeze)
    sketch.label, shirt, shape = LABEL["rider"], float(rng.random()), np.array([squeeze, 1.0])
    sketch.card(spot.x, bar((-0.22, 1.0), (0.16, 0.72), 0.22) * shape, "trousers")
    sketch.card(spot.x, bar((0.16, 0.76), (0.0, 0.26), 0.18) * shape, "trousers", tone=0.85)
    torso = np.array([(-0.4, 0.95), (-0.06, 0.9), (0.28, 1.46), (0.14, 1.66), (-0.12, 1.6)])
    sketch.card(spot.x, torso * shape, "shirt", pick=shirt)
    sketch.card(spot.x, bar((0.14, 1.45), (0.42, 1.06), 0.13) * shape, "shirt", tone=0.85, pick=shirt)
    sketch.card(spot.x, (CIRCLE * (0.13, 0.16) + (0.2, 1.76)) * shape, "skin")
    sketch.card(spot.x, (CIRCLE * (0.16, 0.13) + (0.18, 1.86)) * shape, "helmet")
    return sketch


def _post(sketch: Sketch, x: float, height: float, width: float = 0.17) -> None:
    sketch.card(x, bar((0, 0), (0, height), width), "pole", label=LABEL["pole"])


def pole(camera: Camera, rng: np.random.Generator, spot: Spot) -> Sketch:
    """Street lamp, or a plain post."""
    sketch = Sketch(camera, LABEL["pole"], float(rng.random()), spot.z)
    height = 5.0 + 3.0 * float(rng.random())
    _post(sketch, spot.x, height, 0.2)
    if rng.random() < 0.65:
        tip = spot.inward * 1.8
        sketch.card(spot.x, bar((0, height), (tip, height + 0.3), 0.13), "pole")
        sketch.card(spot.x, bar((tip * 0.6, height + 0.2), (tip, height + 0.3), 0.22), "lamp")
    return sketch


def traffic_light(camera: Camera, rng: np.random.Generator, spot: Spot) -> Sketch:
    """Signal head with three lamps, on its post or on an arm across the road."""
    sketch = Sketch(camera, LABEL["traffic light"], float(rng.random()), spot.z)
    height = 4.6 if spot.arm else 3.3
    reach = 2.4 * spot.inward if spot.arm else 0.0
    _post(sketch, spot.x, height)
    if spot.arm:
        sketch.card(spot.x, bar((0, height), (reach, height), 0.14), "pole", label=LABEL["pole"])
    head = height - 0.5
    sketch.card(spot.x + reach, bar((0, head - 0.65), (0, head + 0.65), 0.56), "signal")
    lit = int(rng.integers(3))
    for i in range(3):
        paint, pick = ("signal_on", (0.1, 0.9, 0.5)[i]) if i == lit else ("tyre", 0.5)
        sketch.disc(spot.x + reach, head + 0.4 - 0.4 * i, (0.17, 0.17), paint, pick=pick)
    return sketch


#: Outlines of signs within -1..1, and of the mark on them.
_SIGN_SHAPES = (
    CIRCLE,
    np.array([(-1.0, -0.8), (1.0, -0.8), (0.0, 1.0)]),
    np.array([(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]),
    np.array([(0.0, -1.0), (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0)]),
)


def traffic_sign(camera: Camera, rng: np.random.Generator, spot: Spot) -> Sketch:
    """Round, triangular, square or diamond sign on a post."""
    sketch = Sketch(camera, LABEL["traffic sign"], float(rng.random()), spot.z)
    shape, size, height = _SIGN_SHAPES[int(rng.integers(4))], 0.4 + 0.12 * float(rng.random()), 2.5
    _post(sketch, spot.x, height, 0.13)
    sketch.card(spot.x, shape * size + (0, height), "sign")
    sketch.card(spot.x, shape * (size * 0.58) + (0, height), "sign_mark")
    return sketch


def _blob(rng: np.random.Generator, middle: Range, radius: Range) -> Floats:
    """Round outline with a ragged edge, shape ``(16, 2)``."""
    raggedness = 0.72 + 0.42 * rng.random((len(CIRCLE), 1))
    return np.asarray(CIRCLE * raggedness * np.array(radius) + np.array(middle))


def tree(camera: Camera, rng: np.random.Generator, spot: Spot) -> Sketch:
    """Trunk and crown of several ragged clumps."""
    sketch = Sketch(camera, LABEL["vegetation"], float(rng.random()), spot.z)
    stem, wide, tall = 1.9 + 1.2 * rng.random(), 1.3 + 1.2 * rng.random(), 1.5 + 1.6 * rng.random()
    sketch.card(spot.x, bar((0, 0), (0, stem + tall * 0.5), 0.34), "trunk")
    sketch.card(spot.x, _blob(rng, (0, stem + tall), (wide, tall)), "leaves", tone=0.8)
    for _ in range(5):
        at = (wide * float(rng.random() - 0.5) * 1.3, stem + tall * (0.6 + 0.9 * float(rng.random())))
        clump = _blob(rng, at, (wide * 0.5, tall * 0.42))
        sketch.card(spot.x, clump, "leaves", tone=0.8 + 0.4 * float(rng.random()))
    return sketch


def litter_bin(camera: Camera, rng: np.random.Generator, spot: Spot) -> Sketch:
    """Bin beside the road: void ("static"), as in Cityscapes."""
    sketch = Sketch(camera, LABEL["static"], float(rng.random()), spot.z)
    sketch.box((spot.x - 0.3, spot.x + 0.3), (0.0, 1.0), (spot.z, spot.z + 0.6), "bin")
    return sketch


Maker = Callable[[Camera, np.random.Generator, Spot], Sketch]

SMALL: dict[str, Maker] = {
    "person": person, "rider": rider, "pole": pole, "traffic light": traffic_light, "traffic sign": traffic_sign,
    "bicycle": partial(_parked, "bicycle"), "motorcycle": partial(_parked, "motorcycle"), "tree": tree,
    "bin": litter_bin,
}  # fmt: skip


def make(name: str, camera: Camera, rng: np.random.Generator, spot: Spot) -> Sketch:
    """The object called ``name``, at a place."""
    return SMALL[name](camera, rng, spot) if name in SMALL else vehicle(name, camera, rng, spot)

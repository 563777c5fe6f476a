"""Lays out one street: camera, ground, roadside and objects, in the order in which they are painted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adaptbench.data.minicity import roadside
from adaptbench.data.minicity.geometry import CIRCLE, NEAR, Camera, Ints, Patch, Range, Sketch
from adaptbench.data.minicity.looks import Layout, Look
from adaptbench.data.minicity.objects import LABEL, VEHICLES, Spot, make
from adaptbench.data.minicity.roadside import END, Side, draw_within
from adaptbench.data.minicity.spec import WorldSpec

#: Chance or number per image of every object when imbalance is 0.
BALANCED = 0.9
#: The same when pixel_balance is 1, found by trial: each of these classes gets about 1.7 % of the pixels of gta5 and
#: cityscapes. Riders bring bicycles and motorcycles, lights and signs bring poles.
EVEN = {
    "train": 0.27, "bus": 0.6, "truck": 0.65, "motorcycle": 0.6, "rider": 2.0, "bicycle": 0.3, "traffic light": 2.3,
    "traffic sign": 4.8, "pole": 0.3, "person": 2.3, "car": 1.8, "wall": 0.42, "fence": 0.48, "terrain": 1.0,
}  # fmt: skip
#: The half of the street that they then stand in: 0 the near one, 1 the far one.
_HALF = {**dict.fromkeys(("motorcycle", "rider", "bicycle", "traffic light", "traffic sign", "person"), 0.0),
         **dict.fromkeys(("train", "bus", "truck", "pole"), 1.0)}  # fmt: skip
#: Placed in this order: what is rare finds a free place first.
ORDER = ("train", "bus", "truck", "motorcycle", "rider", "bicycle", "traffic light", "traffic sign", "pole",
         "bin", "person", "tree", "car")  # fmt: skip
#: (width, depth) of the ground an object needs, metres.
_ROOM = {"rider": (2.0, 1.5), "bicycle": (2.0, 1.2), "motorcycle": (2.2, 1.2), "tree": (1.5, 1.5)}
_SMALL_ROOM = (0.7, 0.7)
#: Share of vehicles that cross the street instead of following it.
_CROSSING = 0.3
#: An object that finds no free place after this many draws is left out.
_TRIES = 8

#: Name and place of an object.
Placed = tuple[str, Spot]
#: The x and the z range that an object covers.
Room = tuple[Range, Range]


@dataclass(frozen=True)
class Scene:
    """A street, ready to be painted.

    Attributes:
        ground: patches on the ground, in painting order.
        shadows: dark polygons on the ground, pixels.
        upright: patches of everything that stands, in painting order (far to near).
        hood: row below which the own vehicle is seen; the image's height if it is not.
    """

    camera: Camera
    ground: list[Patch]
    shadows: list[Ints]
    upright: list[Patch]
    hood: int


@dataclass(frozen=True)
class Street:
    """Both sides of the road, and where objects may stand.

    Attributes:
        far: objects stand nearer than this, metres.
        visible: x / z at the nearer edge of the image.
        signal_arm: share of traffic lights on an arm across the road.
        balance: 0 lets every object stand anywhere, 1 keeps small ones near and large ones far.
    """

    left: Side
    right: Side
    far: float
    visible: float
    signal_arm: float
    balance: float


def _camera(look: Look, rng: np.random.Generator, size: tuple[int, int]) -> Camera:
    width, height = size
    lens = look.lens
    return Camera(
        width, height,
        centre=width * (0.4 + 0.2 * float(rng.random())),
        horizon=height * draw_within(rng, lens.horizon),
        focal=width * draw_within(rng, lens.focal),
        elevation=draw_within(rng, lens.elevation),
    )  # fmt: skip


def _often(layout: Layout, name: str, spec: WorldSpec) -> float:
    """Expected number of an object per image; what a domain does not have stays away at any balance."""
    if layout.often[name] == 0:
        return 0.0
    number = BALANCED + (layout.often[name] - BALANCED) * spec.imbalance
    return number + (EVEN.get(name, number) - number) * spec.pixel_balance


def _count(rng: np.random.Generator, expected: float) -> int:
    """Number of objects: a coin below 1, else spread around the expectation."""
    draw = float(rng.random())
    return int(expected + draw) if expected < 1 else int(expected * (0.5 + draw) + 0.5)


def _sides(layout: Layout, rng: np.random.Generator, spec: WorldSpec) -> tuple[Side, Side]:
    there = {name: rng.random() < _often(layout, name, spec) for name in ("wall", "fence", "terrain")}
    barriers = [name if there[name] else "" for name in ("wall", "fence")]
    both = there["terrain"] and bool(rng.random() < 0.6 + 0.4 * spec.pixel_balance)
    greens = [there["terrain"], both]
    for features in (barriers, greens):
        if rng.random() < 0.5:
            features.reverse()
    left, right = (_side(layout, rng, sign, barriers[i], greens[i]) for i, sign in enumerate((-1.0, 1.0)))
    return left, right


def _side(layout: Layout, rng: np.random.Generator, sign: float, barrier: str, green: bool) -> Side:
    kerb = draw_within(rng, layout.left if sign < 0 else layout.right)
    path = kerb + draw_within(rng, layout.sidewalk)
    setback = draw_within(rng, layout.setback) if green or rng.random() < layout.yards else 0.0
    return Side(sign, kerb, path, path + setback + 0.5 * bool(barrier), barrier, green)


def _strip(sketch: Sketch, x: Range, z: Range, paint: str, label: str) -> None:
    points = [(x[0], 0, z[0]), (x[1], 0, z[0]), (x[1], 0, z[1]), (x[0], 0, z[1])]
    sketch.draw(points, paint, label=LABEL[label])


def _ground(camera: Camera, rng: np.random.Generator, street: Street) -> Sketch:
    """Road, lane markings, kerbs, sidewalks and front yards; ``pick`` is shared by all of them."""
    sketch = Sketch(camera, LABEL["road"], float(rng.random()))
    full = (NEAR, END + 10)
    _strip(sketch, (-200, 200), full, "sidewalk", "sidewalk")
    _strip(sketch, (-street.left.kerb, street.right.kerb), full, "road", "road")
    for side in (street.left, street.right):
        _strip(sketch, side.span(side.kerb, side.kerb + 0.2), full, "curb", "sidewalk")
        if side.green:
            _strip(sketch, side.span(side.path, side.path + 40), full, "terrain", "terrain")
    for x in (-1.8, 1.8) if street.right.kerb > 3.6 else (-1.8,):
        for i in range(10):
            _strip(sketch, (x - 0.08, x + 0.08), (2 + 5.0 * i, 4.6 + 5.0 * i), "marking", "road")
    return sketch


def _tracks(ground: Sketch, spot: Spot) -> None:
    """Rails under a train: void ("rail track"), as in Cityscapes."""
    x = (spot.x - 1.5, spot.x + 1.5) if spot.along else (-40.0, 40.0)
    z = (NEAR, END) if spot.along else (spot.z - 0.4, spot.z + 3.0)
    _strip(ground, x, z, "track", "rail track")
    for at in (-0.75, 0.75):
        rail_x = (spot.x + at - 0.06, spot.x + at + 0.06) if spot.along else x
        rail_z = z if spot.along else (spot.z + 1.3 + at, spot.z + 1.45 + at)
        _strip(ground, rail_x, rail_z, "rail", "rail track")


def _distance(name: str, rng: np.random.Generator, near: float, street: Street) -> float:
    """Distance of an object: dense near the camera, sparse far away."""
    draw = float(rng.random())
    draw += (_HALF.get(name, draw) - draw) * street.balance / 2
    return near + max(street.far - near, 2.5) * draw * (0.35 + 0.65 * draw)


def _spot(name: str, rng: np.random.Generator, street: Street) -> Spot:
    """A place where such an object may stand."""
    side = street.left if rng.random() < 0.5 else street.right
    if name in VEHICLES:
        return _vehicle_spot(name, rng, street, side)
    width = side.path - side.kerb
    if name in ("rider", "motorcycle"):
        x = side.sign * (side.kerb - 0.4 - 1.6 * float(rng.random()))
    elif name in ("pole", "traffic light", "traffic sign", "bin"):
        x = side.sign * (side.kerb + 0.4)
    elif name == "person" and rng.random() < 0.25:
        x = -street.left.kerb + (street.left.kerb + street.right.kerb) * float(rng.random())
    else:
        x = side.sign * (side.kerb + 0.4 + (width - 0.7) * float(rng.random()))
    near = max(5.0 if name != "tree" else 8.0, abs(x) / street.visible * 1.05)
    arm = bool(rng.random() < street.signal_arm)
    return Spot(x, _distance(name, rng, near, street), -side.sign, arm=arm)


def _vehicle_spot(name: str, rng: np.random.Generator, street: Street, side: Side) -> Spot:
    """A lane, the kerb, or across a junction."""
    if rng.random() < _CROSSING:
        z = _distance(name, rng, {"car": 8.0, "truck": 11.0, "bus": 13.0}.get(name, 14.0), street)
        reach = (street.visible * z * 0.75) if name != "train" else street.visible * z * 0.3
        return Spot(reach * (2 * float(rng.random()) - 1), z, along=False)
    half = VEHICLES[name].width / 2
    parked = side.sign * (side.kerb - half - 0.2)
    lanes = [parked, parked, -street.left.kerb / 2, 0.4]
    x = -street.left.kerb + 1.6 if name == "train" else lanes[int(rng.integers(4))]
    near = max(6.5 if abs(x) > 2 else 8.5, (abs(x) - half) / street.visible * 1.1)
    return Spot(x, _distance(name, rng, near, street), -side.sign, along=True)


def _room(name: str, spot: Spot) -> Room:
    """Ground that an object covers, with a margin."""
    width, depth, margin = *_ROOM.get(name, _SMALL_ROOM), 0.2
    if name in VEHICLES:
        model = VEHICLES[name]
        width, depth = (model.width, model.length) if spot.along else (model.length, model.width)
        margin = 1.0
    half = width / 2 + margin / 4
    return (spot.x - half, spot.x + half), (spot.z - margin, spot.z + depth + margin)


def _free(room: Room, taken: list[Room]) -> bool:
    """No object of ``taken`` stands where this one wants to."""
    (left, right), (near, far) = room
    return not any(left < b and a < right and near < d and c < far for (a, b), (c, d) in taken)


def _place(layout: Layout, rng: np.random.Generator, street: Street, spec: WorldSpec) -> list[Placed]:
    """Names and places of all objects, none inside another."""
    placed: list[Placed] = []
    for name in ORDER:
        for _ in range(_count(rng, _often(layout, name, spec))):
            taken = [_room(*other) for other in placed]
            spots = (_spot(name, rng, street) for _ in range(_TRIES))
            spot = next((spot for spot in spots if _free(_room(name, spot), taken)), None)
            if spot is not None:
                placed.append((name, spot))
    return placed


def _shadow(camera: Camera, name: str, spot: Spot) -> Ints:
    (x0, x1), (z0, z1) = _room(name, spot)
    middle, half = ((x0 + x1) / 2, (z0 + z1) / 2), ((x1 - x0) / 2, (z1 - z0) / 2)
    rim = CIRCLE * half * 1.15 + middle
    return camera.project(np.stack([rim[:, 0], np.zeros(len(rim)), rim[:, 1]], axis=-1))


def _house_shadow(camera: Camera, rng: np.random.Generator, street: Street) -> list[Ints]:
    """Shade of the houses on the sunny side's opposite: falls from one side across the road."""
    side = street.left if rng.random() < 0.5 else street.right
    if rng.random() < 0.5:
        return []
    reach = side.line - (side.line - side.kerb + 5) * float(rng.random())
    z = np.array([NEAR, 9, 9, 15, 15, 24, 24, END])
    inner = [reach + 3.0 * float(rng.random()) for _ in range(4)]
    rim = [(side.sign * inner[i // 2], 0.0, at) for i, at in enumerate(z)]
    return [camera.project([*rim, (side.sign * side.line, 0.0, END), (side.sign * side.line, 0.0, NEAR)])]


def build(spec: WorldSpec, look: Look, size: tuple[int, int], rng: np.random.Generator) -> Scene:
    """Draws one street; it does not depend on the image's size (width, height) in pixels.

    The look is already blended by the gap. All geometry comes from ``rng``.
    """
    camera, layout = _camera(look, rng, size), look.layout
    left, right = _sides(layout, rng, spec)
    visible = min(camera.centre, camera.width - camera.centre) / camera.focal
    far = 10.0 + 14.0 * spec.small_objects
    street = Street(left, right, far, visible, layout.signal_arm, spec.pixel_balance)
    ground = _ground(camera, rng, street)
    placed = _place(layout, rng, street, spec)
    for name, spot in placed:
        if name == "train":
            _tracks(ground, spot)
    backdrop = [*roadside.horizon(camera, rng, layout)]
    for side in (left, right):
        backdrop += roadside.blocks(camera, rng, side, layout)
        backdrop += roadside.barrier(camera, rng, side)
    objects = [make(name, camera, rng, spot) for name, spot in placed]
    objects.sort(key=lambda sketch: -sketch.depth)
    shadows = [*_house_shadow(camera, rng, street), *(_shadow(camera, name, spot) for name, spot in placed)]
    upright = [patch for sketch in (*backdrop, *objects) for patch in sketch.patches]
    hood = size[1] - max(0, int(size[1] * draw_within(rng, look.lens.hood)))
    return Scene(camera, ground.patches, shadows, upright, hood)

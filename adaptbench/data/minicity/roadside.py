"""What lines a street: buildings, trees behind the sidewalk, walls, fences, and the end of the street."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from adaptbench.data.minicity.geometry import NEAR, Camera, Range, Sketch
from adaptbench.data.minicity.looks import Layout
from adaptbench.data.minicity.objects import LABEL, Spot, pieces, tree

#: The street ends here, metres.
END = 60.0


@dataclass(frozen=True)
class Side:
    """One side of the street; all lengths in metres from the camera, outward.

    Attributes:
        sign: -1 left, 1 right.
        kerb, path, line: where the sidewalk begins, where it ends, where buildings begin.
        barrier: ``"wall"``, ``"fence"`` or nothing, along the outer edge of the sidewalk.
        green: the strip between sidewalk and buildings is terrain (else paved).
    """

    sign: float
    kerb: float
    path: float
    line: float
    barrier: str
    green: bool

    def span(self, inner: float, outer: float) -> Range:
        """Range of x between two distances from the camera."""
        return (inner, outer) if self.sign > 0 else (-outer, -inner)


def draw_within(rng: np.random.Generator, limits: Range) -> float:
    """Uniform draw from a range."""
    return limits[0] + (limits[1] - limits[0]) * float(rng.random())


def _building(camera: Camera, rng: np.random.Generator, side: Side, z: Range, layout: Layout) -> Sketch:
    sketch = Sketch(camera, LABEL["building"], float(rng.random()), z[0])
    height, storey = draw_within(rng, layout.building_height), draw_within(rng, layout.storey)
    near, facade = sketch.box(side.span(side.line, side.line + 9.0), (0.0, height), z, "building")
    glass, floors = float(rng.random()), max(1, int(height / storey))
    rows = pieces(floors, 0.52, 0.02)
    for face, length in ((facade, z[1] - z[0]), (near, 9.0)):
        columns = pieces(max(1, int(length / 3.0)), 0.5, 0.02)
        sketch.inlay(face, columns, rows, "window", tone=0.8 if face is facade else 1.0, pick=glass)
        sketch.inlay(face, [(0.0, 1.0)], [(0.975, 1.0)], "roof")
    return sketch


def _grove(camera: Camera, rng: np.random.Generator, side: Side, z: Range) -> list[Sketch]:
    """Trees behind the sidewalk, in front of a hedge."""
    hedge = Sketch(camera, LABEL["vegetation"], float(rng.random()), z[0])
    height = 1.2 + 1.6 * float(rng.random())
    hedge.box(side.span(side.line + 1.0, side.line + 9.0), (0.0, height), z, "leaves")
    trees = []
    for i in range(3):
        stem = z[1] - (z[1] - z[0]) * (i + float(rng.random())) / 3
        x = side.sign * (side.line + 0.5 + 3 * float(rng.random()))
        trees.append(tree(camera, rng, Spot(x, stem)))
    return [hedge, *trees]


def blocks(camera: Camera, rng: np.random.Generator, side: Side, layout: Layout) -> Iterator[Sketch]:
    """Buildings and groves along one side, from far to near."""
    far = END
    while far > NEAR + 1:
        near = max(far - 7.0 - 8.0 * float(rng.random()), NEAR)
        if rng.random() < layout.gaps:
            yield from _grove(camera, rng, side, (near, far))
        else:
            yield _building(camera, rng, side, (near, far), layout)
        far = near


def horizon(camera: Camera, rng: np.random.Generator, layout: Layout) -> Iterator[Sketch]:
    """Row of buildings or trees that closes the street at its far end."""
    x = -60.0
    while x < 60.0:
        width = 8.0 + 10.0 * float(rng.random())
        built, height = rng.random() > 0.45, draw_within(rng, layout.building_height)
        label, paint = ("building", "building") if built else ("vegetation", "leaves")
        sketch = Sketch(camera, LABEL[label], float(rng.random()), END)
        near, _ = sketch.box((x, x + width), (0.0, height if built else 4.0), (END, END + 9), paint)
        if built:
            sketch.inlay(near, pieces(int(width / 3), 0.5), pieces(max(1, int(height / 3.5)), 0.5), "window")
        yield sketch
        x += width


def _wall(camera: Camera, rng: np.random.Generator, side: Side, z: Range) -> Sketch:
    """Masonry wall with joints and a cap."""
    sketch = Sketch(camera, LABEL["wall"], float(rng.random()), z[0])
    height = 1.5 + 1.1 * float(rng.random())
    _, face = sketch.box(side.span(side.path, side.path + 0.4), (0.0, height), z, "wall")
    sketch.inlay(face, [(0.0, 1.0)], [(0.3, 0.34), (0.63, 0.67)], "joint", tone=0.9)
    sketch.inlay(face, pieces(max(1, int((z[1] - z[0]) / 2.2)), 0.06, 0.0), [(0.0, 0.93)], "joint", tone=0.9)
    sketch.inlay(face, [(0.0, 1.0)], [(0.92, 1.0)], "joint", tone=1.2)
    return sketch


def _fence(camera: Camera, rng: np.random.Generator, side: Side, z: Range) -> Sketch:
    """Rails and slats; what shines through is labelled fence as well, as in Cityscapes."""
    sketch = Sketch(camera, LABEL["fence"], float(rng.random()), z[0])
    height = 1.3 + 0.7 * float(rng.random())
    thin = side.span(side.path, side.path + 0.02)
    _, face = sketch.box(thin, (0.0, height), z, "")
    sketch.inlay(face, pieces(max(2, int((z[1] - z[0]) / 0.5)), 0.45, 0.0), [(0.0, 1.0)], "fence")
    sketch.inlay(face, [(0.0, 1.0)], [(0.12, 0.24), (0.78, 0.9)], "fence", tone=1.15)
    return sketch


def barrier(camera: Camera, rng: np.random.Generator, side: Side) -> Iterator[Sketch]:
    """The wall or fence of a side, cut into stretches so that objects sort between them."""
    near = 4.0 + 4.0 * float(rng.random())
    z = (near, near + 12.0 + 16.0 * float(rng.random()))
    if side.barrier:
        yield (_wall if side.barrier == "wall" else _fence)(camera, rng, side, z)

"""Camera, flat patches and the few solids that everything in the world is made of.

World axes, in metres: x to the right of the camera, y up from the road, z into the image. Only
additions, multiplications, divisions and one rounding decide where a patch lies, so label pixels are
the same on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypedDict, Unpack

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]
Range = tuple[float, float]

#: Nothing is drawn nearer than this, metres.
NEAR = 1.2
#: Pixel coordinates are kept within what the polygon filler can hold.
_LIMIT = 1 << 20
#: A circle as sixteen fixed corners: no sine may decide a label pixel.
CIRCLE = np.array(
    [(1, 0), (0.924, 0.383), (0.707, 0.707), (0.383, 0.924), (0, 1), (-0.383, 0.924), (-0.707, 0.707),
     (-0.924, 0.383), (-1, 0), (-0.924, -0.383), (-0.707, -0.707), (-0.383, -0.924), (0, -1),
     (0.383, -0.924), (0.707, -0.707), (0.924, -0.383)]
)  # fmt: skip


@dataclass(frozen=True)
class Camera:
    """Pinhole camera that looks along the street.

    Attributes:
        width, height: image size, pixels.
        centre, horizon: column and row of the vanishing point, pixels.
        focal: focal length, pixels.
        elevation: height of the camera above the road, metres.
    """

    width: int
    height: int
    centre: float
    horizon: float
    focal: float
    elevation: float

    def project(self, points: npt.ArrayLike) -> Ints:
        """Pixel position of world points; shape ``(..., 3)`` to ``(..., 2)`` (column, row)."""
        world = np.asarray(points, dtype=np.float64)
        zoom = self.focal / np.maximum(world[..., 2], NEAR)
        pixel = np.empty((*world.shape[:-1], 2))
        pixel[..., 0] = self.centre + world[..., 0] * zoom
        pixel[..., 1] = self.horizon + (self.elevation - world[..., 1]) * zoom
        return np.floor(pixel + 0.5).clip(-_LIMIT, _LIMIT).astype(np.int32)


@dataclass(frozen=True)
class Patch:
    """Polygons of one label and one paint.

    Attributes:
        polygons: shape ``(K, N, 2)``, pixels.
        label: Cityscapes label id.
        paint: name of a paint of the look; empty leaves the image as it is (see-through fences).
        pick: 0..1, chooses a colour of the paint; patches of one object share it.
        tone: brightness factor (side faces are darker).
        depth: distance for haze, metres; 0 for ground, whose distance follows from the row.
    """

    polygons: Ints
    label: int
    paint: str
    pick: float
    tone: float = 1.0
    depth: float = 0.0


@dataclass(frozen=True)
class Face:
    """Four-cornered surface in space. Shape: ``(4, 3)``: bottom left, bottom right, top right, top left."""

    corners: Floats
    visible: bool = True

    def rectangles(self, u: Sequence[Range], v: Sequence[Range]) -> Floats:
        """All rectangles u x v in the face's own 0..1 coordinates; shape ``(len(u) * len(v), 4, 3)``."""
        spots = [[(a, c), (b, c), (b, d), (a, d)] for a, b in u for c, d in v]
        return self.points(spots)

    def points(self, spots: npt.ArrayLike) -> Floats:
        """World position of face coordinates; shape ``(..., 2)`` to ``(..., 3)``."""
        place = np.asarray(spots, dtype=np.float64)[..., None, :]
        u, v = place[..., 0], place[..., 1]
        bottom_left, bottom_right, top_right, top_left = self.corners
        bottom = bottom_left + (bottom_right - bottom_left) * u
        top = top_left + (top_right - top_left) * u
        return np.asarray(bottom + (top - bottom) * v)


class Style(TypedDict, total=False):
    """Departures of one patch from its object: brightness factor, Cityscapes label id, colour choice."""

    tone: float
    label: int
    pick: float


@dataclass
class Sketch:
    """Collects the patches of one object, seen by one camera and sorted by its depth (distance in metres)."""

    camera: Camera
    label: int
    pick: float
    depth: float = 0.0
    patches: list[Patch] = field(default_factory=list)

    def draw(self, points: npt.ArrayLike, paint: str, **style: Unpack[Style]) -> None:
        """Adds polygons given in world coordinates, shape ``(N, 3)`` or ``(K, N, 3)``."""
        polygons = self.camera.project(points)
        polygons = polygons[None] if polygons.ndim == 2 else polygons
        label, pick = style.get("label", self.label), style.get("pick", self.pick)
        self.patches.append(Patch(polygons, label, paint, pick, style.get("tone", 1.0), self.depth))

    def card(self, x: float, outline: npt.ArrayLike, paint: str, **style: Unpack[Style]) -> None:
        """Adds a flat outline that faces the camera: shape ``(N, 2)``, metres right of ``x`` and up."""
        flat = np.asarray(outline, dtype=np.float64)
        points = np.full((len(flat), 3), self.depth)
        points[:, :2] = flat + np.array([x, 0.0])
        self.draw(points, paint, **style)

    def disc(self, x: float, y: float, radius: Range, paint: str, **style: Unpack[Style]) -> None:
        """Adds an upright ellipse with the given half axes, metres."""
        self.card(x, CIRCLE * np.array(radius) + (0.0, y), paint, **style)

    def inlay(
        self, face: Face, u: Sequence[Range], v: Sequence[Range], paint: str, **style: Unpack[Style]
    ) -> None:
        """Adds rectangles on a face (windows, boards), unless it faces away."""
        if face.visible:
            self.draw(face.rectangles(u, v), paint, **style)

    def box(self, x: Range, y: Range, z: Range, paint: str, taper: Range = (0.0, 0.0)) -> tuple[Face, Face]:
        """Adds the visible faces of a block, given by ranges in metres, and returns its near and its side face.

        The top edge lies inside the bottom edge by ``taper``, in x and in z, metres.
        """
        (x0, x1), (y0, y1), (z0, z1), (tx, tz) = x, y, (max(z[0], NEAR), max(z[1], NEAR)), taper
        edge, top = (x0, x0 + tx) if x0 + x1 > 0 else (x1, x1 - tx)
        near = Face(np.array([(x0, y0, z0), (x1, y0, z0), (x1 - tx, y1, z0 + tz), (x0 + tx, y1, z0 + tz)]))
        side = Face(
            np.array([(edge, y0, z0), (edge, y0, z1), (top, y1, z1 - tz), (top, y1, z0 + tz)]),
            visible=edge * (x0 + x1) > 0,
        )
        self.inlay(side, [(0.0, 1.0)], [(0.0, 1.0)], paint, tone=0.78)
        if y1 < self.camera.elevation:
            lid = [(x0 + tx, z0 + tz), (x1 - tx, z0 + tz), (x1 - tx, z1 - tz), (x0 + tx, z1 - tz)]
            self.draw([(lid_x, y1, lid_z) for lid_x, lid_z in lid], paint, tone=1.15)
        self.draw(near.corners, paint)
        return near, side

"""The regions of a label map as polygons, which give it back when they are painted one over the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


class Region(NamedTuple):
    """Pixels of one id that hang together by their sides.

    Attributes:
        outline: corners (x, y) of its outer border, which belongs to it; at least two, of which some may be the same.
        area: pixels within the outline, those of regions that it encloses included.
    """

    id: int
    outline: list[list[int]]
    area: int


def regions(label: Pixels) -> list[Region]:
    """All regions, in the order in which to paint them: what is enclosed comes after what encloses it.

    Shape: ``(H, W)`` uint8. Regions hang together by sides, so that one which lies partly in a hole of another lies
    there completely, and has the smaller area.
    """
    found = (region for each in np.unique(label) for region in _regions_of(label, int(each)))
    return sorted(found, key=lambda region: -region.area)


def _regions_of(label: Pixels, each: int) -> Iterator[Region]:
    mask = (label == each).astype(np.uint8)
    count, numbers, boxes, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    for number in range(1, count):
        x, y, width, height = (int(value) for value in boxes[number, :4])
        part = (numbers[y : y + height, x : x + width] == number).astype(np.uint8)
        (border, *_), _ = cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        area = int(np.count_nonzero(cv2.drawContours(part, [border], 0, 1, cv2.FILLED)))
        corners = (border[:, 0] + (x, y)).tolist()
        yield Region(each, corners if len(corners) > 1 else corners * 2, area)

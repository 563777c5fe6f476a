"""The order in which a network meets the images of a stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

#: Of Cityscapes to ACDC, in the order of the published stream.
CONDITIONS = ("fog", "night", "rain", "snow")
ROUNDS = 10


class Place(NamedTuple):
    """Where an image stands in a stream; ``position`` counts the images of a condition from 0.

    With position 0 a condition begins: there, published code for ACDC makes its optimiser anew and resets nothing else.
    """

    round: int
    condition: str
    position: int


def stream_order(images: Mapping[str, int], rounds: int = ROUNDS) -> Iterator[Place]:
    """All places of a stream: round by round, one condition after the other; nothing is shuffled.

    Args:
        images: number of images per condition, in the order of conditions.
        rounds: how often everything comes.

    Source: CoTTA, arXiv 2203.13591, section 4; docs/quirks.md#t27.
    """
    for number in range(rounds):
        for condition, count in images.items():
            yield from (Place(number, condition, position) for position in range(count))

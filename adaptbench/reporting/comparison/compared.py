"""Two methods or runs side by side: what differs, and how sure that is. Pure functions of matrices and records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from adaptbench.records import formatting
from adaptbench.records.average import Average, miou_and_classes, miou_only
from adaptbench.records.record import Record
from adaptbench.reporting.comparison.sides import Side
from adaptbench.reporting.matrices import Tallied
from adaptbench.statistics.bootstrap import bootstrap
from adaptbench.statistics.comparison import SEEDS_NEEDED, Difference, differences, welch
from adaptbench.statistics.holm import holm
from adaptbench.statistics.tallies import Floats

#: A tag with more values than this, such as a video's name, is not a condition.
_CONDITIONS = 24


class Line(NamedTuple):
    """A score of both sides, mean over seeds, in percent.

    Attributes:
        group: what ``name`` is: ``all``, ``class``, ``image``, or the name of a tag.
        difference: first minus second, with its error.
        p: of the difference, corrected by Holm within the group.
    """

    group: str
    name: str
    first: float | None
    second: float | None
    difference: Difference | None
    p: float | None

    @property
    def gap(self) -> float | None:
        """First minus second; None where a side has no score."""
        return None if self.first is None or self.second is None else self.first - self.second


class Departure(NamedTuple):
    """A fact in which the two sides differ."""

    part: str
    key: str
    first: str
    second: str


@dataclass(frozen=True)
class Comparison:
    """Everything ``compare`` shows.

    Attributes:
        images: number of images both were scored on.
        clusters: number of cities, drives or videos they come from.
        conditions: mean IoU per value of every tag, or per cluster where no tags were kept.
        per_image: mean IoU of every image, by difference; intervals are over seeds.
    """

    sides: tuple[Side, Side]
    images: int
    clusters: int
    overall: Line
    classes: tuple[Line, ...]
    conditions: tuple[Line, ...]
    per_image: tuple[Line, ...]
    departures: tuple[Departure, ...]

    @property
    def seeds(self) -> int:
        """Number of seeds of the side that has fewer."""
        return min(len(side.records) for side in self.sides)

    @property
    def conclusion(self) -> str:
        """What may be said, in one or two sentences."""
        first, second = (side.label for side in self.sides)
        if self.seeds == 1:
            return (
                "The intervals hold for these checkpoints: other seeds of the same methods would differ as well. "
                f"Nothing is said about the methods below {SEEDS_NEEDED} seeds of each."
            )
        if self.seeds < SEEDS_NEEDED:
            return f"Fewer than {SEEDS_NEEDED} seeds of each: no winner is declared."
        assert self.overall.difference is not None
        verdict = self.overall.difference.verdict()
        if verdict == "different":
            better, worse = (first, second) if self.overall.difference.mean > 0 else (second, first)
            return f"Different: {better} is better than {worse}."
        if verdict == "equivalent":
            return f"Equivalent: {first} and {second} differ by less than 1 point."
        return f"Cannot tell: {first} and {second} are not distinguishable, nor shown to be equivalent within 1 point."


def compare(
    sides: tuple[Side, Side],
    tallied: tuple[Tallied, Tallied],
    classes: Sequence[str],
    clusters: Sequence[str],
) -> Comparison:
    """Compares two sides that were scored on the same images."""
    first, second = (one.tallies for one in tallied)
    average = Average.of(sides[0].first.ranking)

    def lines(images: Sequence[int]) -> list[Line]:
        """The mean IoU, then the IoU of every class."""
        both = {"first": first[:, images], "second": second[:, images]}
        places = [clusters[i] for i in images]
        found = bootstrap(both, places, partial(miou_and_classes, average=average))
        a, b = found["first"], found["second"]
        return [_line(a.mean[q], b.mean[q], difference) for q, difference in enumerate(differences(a, b))]

    overall, *per_class = lines(range(len(clusters)))
    conditions: list[Line] = []
    for tag, images in _conditions(tallied[0].tags or tallied[1].tags, clusters).items():
        conditions += _corrected(
            lines(chosen)[0]._replace(group=tag, name=f"{value} ({len(chosen)} images)")
            for value, chosen in sorted(images.items())
        )
    return Comparison(
        sides=sides,
        images=len(clusters),
        clusters=len(set(clusters)),
        overall=overall._replace(group="all", name="mean IoU"),
        classes=_corrected(
            line._replace(group="class", name=name) for name, line in zip(classes, per_class, strict=True)
        ),
        conditions=tuple(conditions),
        per_image=_per_image(first, second, tallied[0].names, _within_images(average)),
        departures=tuple(_departures(*sides)),
    )


def _line(first: float, second: float, difference: Difference | None) -> Line:
    """A score, not yet corrected."""
    a, b = (None if np.isnan(value) else float(value) for value in (first, second))
    return Line("", "", a, b, difference, None if difference is None else difference.p)


def _corrected(lines: Iterable[Line]) -> tuple[Line, ...]:
    """The lines of one group, with p-values corrected by Holm."""
    kept = list(lines)
    tested = [i for i, line in enumerate(kept) if line.p is not None]
    corrected = dict(zip(tested, holm([p for line in kept if (p := line.p) is not None]), strict=True))
    return tuple(line._replace(p=corrected.get(i)) for i, line in enumerate(kept))


def _conditions(
    tags: Sequence[Mapping[str, str]], clusters: Sequence[str]
) -> dict[str, dict[str, list[int]]]:
    """Per tag and value, the numbers of its images."""
    facts: Sequence[Mapping[str, str]] = tags or [{"cluster": cluster} for cluster in clusters]
    found: dict[str, dict[str, list[int]]] = {}
    for number, one in enumerate(facts):
        for tag, value in one.items():
            found.setdefault(tag, {}).setdefault(value, []).append(number)
    return {
        tag: values for tag, values in found.items() if 1 < len(values) <= min(_CONDITIONS, len(facts) - 1)
    }


def _within_images(average: Average) -> Average:
    """The mean for single images, of which most lack some classes: one that counts those as 0 leaves them out."""
    return replace(average, absent="labelled") if average.absent == "zero" else average


def _per_image(first: Floats, second: Floats, names: Sequence[str], average: Average) -> tuple[Line, ...]:
    scores = [miou_only(side, average)[..., 0].T for side in (first, second)]
    lines = [
        _line(a.mean(), b.mean(), welch(a, b))._replace(group="image", name=name)
        for name, a, b in zip(names, *scores, strict=True)
    ]
    return tuple(sorted(_corrected(lines), key=lambda line: (-(line.gap or 0.0), line.name)))


def _departures(first: Side, second: Side) -> Iterable[Departure]:
    """Every fact in which the two sides differ: protocol, method and settings, environment."""
    for part in ("protocol", "settings", "environment"):
        a, b = _merged(first.records, part), _merged(second.records, part)
        for key in dict.fromkeys([*a, *b]):
            if a.get(key) != b.get(key):
                yield Departure(part, key, a.get(key, formatting.MISSING), b.get(key, formatting.MISSING))


def _merged(records: Sequence[Record], part: str) -> dict[str, str]:
    """The facts of all seeds; where seeds differ, all values are named."""
    found: dict[str, dict[str, None]] = {}
    for record in records:
        for key, content in sorted(formatting.flatten(_facts(record)[part]).items()):
            found.setdefault(key, {})[formatting.value(content)] = None
    return {key: " or ".join(values) for key, values in found.items()}


def _facts(record: Record) -> dict[str, dict[str, Any]]:
    return {
        "protocol": {"benchmark": record.benchmark, **record.ranking},
        "settings": {
            "method": record.method,
            "method version": record.method_version,
            "parameters of the network": record.network.parameters,
            "pretrained on": record.network.pretraining,
            "origin of the settings": record.settings_origin,
            "changed by the user": formatting.assignments(record.overrides) or "nothing",
            **record.settings,
        },
        "environment": {"device": record.cost.device, **record.environment},
    }

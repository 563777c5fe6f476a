"""Two methods or runs side by side: what differs, and how sure that is. Pure functions of matrices and records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from adaptbench.evaluation.average import Average, miou_and_classes
from adaptbench.records import formatting
from adaptbench.records.record import Record
from adaptbench.reporting.comparison.sides import Side
from adaptbench.reporting.matrices import Tallied
from adaptbench.statistics.bootstrap import RESAMPLES, bootstrap
from adaptbench.statistics.comparison import SEEDS_NEEDED, Difference, differences, welch
from adaptbench.statistics.holm import holm
from adaptbench.statistics.tallies import Floats

#: A tag with more values than this, such as a video's name, is not a condition.
_CONDITIONS = 24


class Line(NamedTuple):
    """A score of both sides, mean over seeds, in percent.

    Attributes:
        group: what ``name`` is: ``all``, ``class``, ``image``, or the name of a tag.
        name: of the class, condition or image.
        first: of the first side; None = it has none.
        second: of the second side; None = it has none.
        difference: first minus second, with its error; None if it has none.
        p: of the difference, corrected by Holm within the group; None if it has none.
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
        sides: the two.
        images: number of images both were scored on.
        clusters: number of cities, drives or videos they come from.
        overall: mean IoU on all images.
        classes: IoU per class.
        conditions: mean IoU per value of every tag, or per cluster where no tags were kept.
        per_image: mean IoU of every image, by difference; intervals are over seeds.
        departures: in protocol, settings, environment.
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
    def lines(self) -> list[Line]:
        """All scores."""
        return [self.overall, *self.classes, *self.conditions, *self.per_image]

    @property
    def difference(self) -> Difference:
        """In mean IoU on all images."""
        assert self.overall.difference is not None
        return self.overall.difference

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
        verdict = self.difference.verdict()
        if verdict == "different":
            better, worse = (first, second) if self.difference.mean > 0 else (second, first)
            return f"Different: {better} is better than {worse}."
        if verdict == "equivalent":
            return f"Equivalent: {first} and {second} differ by less than 1 point."
        return f"Cannot tell: {first} and {second} are not distinguishable, nor shown to be equivalent within 1 point."


def compare(
    sides: tuple[Side, Side],
    tallied: tuple[Tallied, Tallied],
    classes: Sequence[str],
    clusters: Sequence[str],
    resamples: int = RESAMPLES,
) -> Comparison:
    """Compares two sides that were scored on the same images."""
    first, second = (one.tallies for one in tallied)
    average = Average.of(sides[0].first.ranking)
    overall, *per_class = _lines(first, second, clusters, resamples, average)
    return Comparison(
        sides=sides,
        images=len(clusters),
        clusters=len(set(clusters)),
        overall=overall._replace(group="all", name="mean IoU"),
        classes=_corrected(
            line._replace(group="class", name=name) for name, line in zip(classes, per_class, strict=True)
        ),
        conditions=tuple(
            line
            for tag, images in _conditions(tallied[0].tags or tallied[1].tags, clusters).items()
            for line in _corrected(
                _lines(
                    first[:, chosen], second[:, chosen], [clusters[i] for i in chosen], resamples, average
                )[0]._replace(group=tag, name=f"{value} ({len(chosen)} images)")
                for value, chosen in sorted(images.items())
            )
        ),
        per_image=_per_image(first, second, tallied[0].names, Average(average.classes)),
        departures=tuple(_departures(*sides)),
    )


def _lines(
    first: Floats, second: Floats, clusters: Sequence[str], resamples: int, average: Average
) -> list[Line]:
    """The mean IoU, then the IoU of every class."""
    quantities = partial(miou_and_classes, average=average)
    found = bootstrap({"first": first, "second": second}, clusters, quantities, resamples)
    a, b = found["first"], found["second"]
    return [
        Line("", "", _number(a.mean[q]), _number(b.mean[q]), difference, _p(difference))
        for q, difference in enumerate(differences(a, b))
    ]


def _p(difference: Difference | None) -> float | None:
    return None if difference is None else difference.p


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


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


def _per_image(first: Floats, second: Floats, names: Sequence[str], average: Average) -> tuple[Line, ...]:
    scores = [average.mean(_iou(side)) for side in (first, second)]
    lines = []
    for number, name in enumerate(names):
        a, b = scores[0][:, number], scores[1][:, number]
        tested = welch(a, b)
        lines.append(Line("image", name, _number(a.mean()), _number(b.mean()), tested, _p(tested)))
    return tuple(sorted(_corrected(lines), key=lambda line: (-(line.gap or 0.0), line.name)))


def _iou(tallies: Floats) -> Floats:
    """Percent, of every seed, image and class. Shape: ``(S, N, 2, C)`` in, ``(S, N, C)`` out."""
    with np.errstate(invalid="ignore"):
        return np.asarray(100 * tallies[:, :, 0] / tallies[:, :, 1])


def _departures(first: Side, second: Side) -> Iterable[Departure]:
    """Every fact in which the two sides differ: protocol, method and settings, environment."""
    for part, facts in (("protocol", _protocol), ("settings", _settings), ("environment", _environment)):
        a, b = _merged(first.records, facts), _merged(second.records, facts)
        for key in dict.fromkeys([*a, *b]):
            if a.get(key) != b.get(key):
                yield Departure(part, key, a.get(key, formatting.MISSING), b.get(key, formatting.MISSING))


def _merged(records: Sequence[Record], facts: Any) -> dict[str, str]:
    """The facts of all seeds; where seeds differ, all values are named."""
    found: dict[str, dict[str, None]] = {}
    for record in records:
        for key, content in sorted(formatting.flatten(facts(record)).items()):
            found.setdefault(key, {})[formatting.value(content)] = None
    return {key: " or ".join(values) for key, values in found.items()}


def _protocol(record: Record) -> dict[str, Any]:
    return {"benchmark": record.benchmark, **record.ranking}


def _settings(record: Record) -> dict[str, Any]:
    return {
        "method": record.method,
        "method version": record.method_version,
        "parameters of the network": record.network.parameters,
        "pretrained on": record.network.pretraining,
        "origin of the settings": record.settings_origin,
        "changed by the user": formatting.assignments(record.overrides) or "nothing",
        **record.settings,
    }


def _environment(record: Record) -> dict[str, Any]:
    return {"device": record.cost.device, **record.environment}

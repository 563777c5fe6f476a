"""Numbers printed by others, read from ``results/published`` with their sources. Nothing here was measured by us."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Literal, NamedTuple

from adaptbench.contracts import plugins
from adaptbench.errors import DataError

FOLDER = plugins.ROOT / "results" / "published"
#: A value that fewer sources print is marked as unverified.
SOURCES_TO_VERIFY = 2
UNVERIFIED = "\u2020"

Kind = Literal["main", "other", "ablation"]
_IDENTITY = ("method", "variant", "backbone", "decoder", "benchmark", "setting", "split", "num_classes")
_COLUMNS = (*_IDENTITY, "metric", "value", "std", "n_seeds", "paper", "source", "source_url", "verified")
#: How the variants of rows begin that are not what the method's own paper prints for it.
_OTHERS = ("re-run", "released", "val score as quoted", "as quoted", "as listed", "as reported", "retrained")
_OTHERS_WITHIN = (
    "re-run",
    "reproducibility run",
    "released checkpoint",
    "leaderboard",
    "evaluated by a third",
)


class Printed(NamedTuple):
    """How a row is called in ``results.csv``; benchmark, setting, split and classes say which of its numbers."""

    method: str
    variant: str
    backbone: str
    decoder: str


@dataclass(frozen=True)
class Paper:
    """A bibliography entry; None for what was not read anywhere."""

    key: str
    title: str
    authors: tuple[str, ...] | None
    venue: str
    year: int | None
    arxiv: str | None
    code: str | None

    @property
    def citation(self) -> str:
        """Venue, year and arXiv id: ``ECCV 2022, arXiv:2204.13132``."""
        venue = "" if self.venue in ("n/a", "arXiv") else self.venue
        parts = [" ".join(filter(None, [venue, str(self.year or "")])), self.arxiv and f"arXiv:{self.arxiv}"]
        return ", ".join(filter(None, parts)) or "no bibliography entry"

    @property
    def url(self) -> str | None:
        """Its page at arXiv, else its code."""
        return f"https://arxiv.org/abs/{self.arxiv}" if self.arxiv else self.code


@dataclass(frozen=True)
class PaperProtocol:
    """How the authors' code scores, as far as it was read there; empty where it was not.

    Attributes:
        checkpoint: which weights are scored.
        label_size: ``native``, or the size to which labels are resized.
    """

    checkpoint: str = ""
    label_size: str = ""
    note: str = ""
    source: str = ""


@dataclass(frozen=True)
class Value:
    """A number as it was printed (its decimals tell the precision), percent.

    Attributes:
        verified: number of independent sources that print it within 0.05.
        url: address of the source; empty where it has none.
    """

    text: str
    verified: int
    source: str
    url: str

    def __float__(self) -> float:
        return float(self.text)

    @property
    def mark(self) -> str:
        """Set behind a value on whose transcription no independent sources agree; that says nothing of reproduction."""
        return "" if self.verified >= SOURCES_TO_VERIFY else f" {UNVERIFIED}"

    def __str__(self) -> str:
        return f"{self.text}{self.mark}"


@dataclass(frozen=True)
class Result:
    """A row that somebody printed: mIoU, and IoU per class or mIoU per part of a stream where they were found.

    Attributes:
        benchmark: key of the published benchmark.
        setting: ``uda``, ``dg``, ``tta``, ``source_only`` or ``oracle``.
        split: ``val`` or ``test`` of the target; ``train`` where its training images are streamed.
        num_classes: over how many classes the mean is.
        std: as printed; empty where it was not.
        parts: mIoU of a condition in a round of a stream: ``fog, round 1``.
        n_seeds: number of seeds behind the value; None where that is not stated.
    """

    name: Printed
    benchmark: str
    setting: str
    split: str
    num_classes: int
    miou: Value
    iou: Mapping[str, Value]
    parts: Mapping[str, Value]
    std: str
    n_seeds: int | None
    paper: Paper
    protocol: PaperProtocol

    @cached_property
    def kind(self) -> Kind:
        """Whether it is what the method's own paper prints for it, another entry, or an ablation."""
        variant = self.name.variant
        if variant.startswith("ablation:"):
            return "ablation"
        own = not variant.startswith(_OTHERS) and not any(text in variant for text in _OTHERS_WITHIN)
        return "main" if own else "other"

    @property
    def label(self) -> str:
        """Name of the method, with the variant."""
        return f"{self.name.method} ({self.name.variant})" if self.name.variant else self.name.method

    @property
    def network(self) -> str:
        """Encoder and decoder."""
        return ", ".join(filter(None, [self.name.backbone, self.name.decoder]))

    @property
    def printed(self) -> str:
        """The mIoU as printed, with its standard deviation."""
        return f"{self.miou.text} ± {self.std}" if self.std else self.miou.text


@dataclass(frozen=True)
class Published:
    """Everything in ``results/published``.

    Attributes:
        methods: plug-in and network -> name of the row that its paper prints for it.
    """

    results: tuple[Result, ...]
    papers: Mapping[str, Paper]
    datasets: Mapping[str, Paper]
    methods: Mapping[tuple[str, str], Printed] = field(default_factory=dict)

    @property
    def benchmarks(self) -> tuple[str, ...]:
        """Keys of the benchmarks with printed numbers, sorted."""
        return tuple(sorted({result.benchmark for result in self.results}))

    def find(self, name: Printed, benchmark: str, split: str, num_classes: int) -> Result | None:
        """The row called ``name`` on one benchmark, split and number of classes."""
        wanted = (name, benchmark, split, num_classes)
        return next(
            (r for r in self.results if (r.name, r.benchmark, r.split, r.num_classes) == wanted), None
        )

    def paper_of(self, reference: str | None) -> Paper | None:
        """The paper that ``arXiv:2204.13132`` means."""
        identifier = (reference or "").removeprefix("arXiv:")
        return next((p for p in self.papers.values() if identifier and p.arxiv == identifier), None)


def load_published(folder: Path = FOLDER) -> Published:
    """Reads the tables and lists of papers in ``folder``; nothing if there is none.

    Raises:
        DataError: a file is missing or damaged, or a row contradicts another.
    """
    if not folder.is_dir():
        return Published((), {}, {})
    papers = _papers(folder / "papers.json")
    protocols = {
        row["paper"]: PaperProtocol(**{key: row[key] for key in PaperProtocol.__dataclass_fields__})
        for row in _rows(folder / "protocols.csv", ("paper", *PaperProtocol.__dataclass_fields__))
    }
    path = folder / "results.csv"
    rows = sorted(_rows(path, _COLUMNS), key=_identity)
    results = [_result(path, list(group), papers, protocols) for _, group in groupby(rows, key=_identity)]
    results.sort(key=lambda r: (r.benchmark, r.split, -r.num_classes, -float(r.miou), r.label, r.network))
    methods = {
        (row["plugin"], row["network"]): Printed(*(row[key] for key in Printed._fields))
        for row in _rows(folder / "methods.csv", ("plugin", "network", *Printed._fields))
    }
    return Published(tuple(results), papers, _papers(folder / "datasets.json"), methods)


def _rows(path: Path, columns: Iterable[str]) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}. Restore it from the repository.") from error
    missing = [column for column in columns if rows and not all(row.get(column) is not None for row in rows)]
    if missing:
        raise DataError(
            f"{path} has rows without {', '.join(missing)}. Every row has a value for each column."
        )
    return rows


def _papers(path: Path) -> dict[str, Paper]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return {
            key: Paper(
                key=key,
                title=str(entry["title"]),
                authors=tuple(map(str, entry["authors"])) if entry["authors"] else None,
                venue=entry["venue"] or "n/a",
                year=int(entry["year"]) if entry["year"] else None,
                arxiv=entry["arxiv"] or None,
                code=entry["code"] or None,
            )
            for key, entry in entries.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is no list of papers ({error}). Restore it from the repository.") from error


def _identity(row: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(row[column] for column in _IDENTITY)


def _result(
    path: Path,
    rows: list[dict[str, str]],
    papers: Mapping[str, Paper],
    protocols: Mapping[str, PaperProtocol],
) -> Result:
    """One row of a table from its lines, one per metric."""
    by_metric = {row["metric"]: row for row in rows}
    place = f"{path}: the row {', '.join(filter(None, _identity(rows[0])))}"
    if len(by_metric) != len(rows):
        raise DataError(f"{place} holds a metric twice. Give one of them a variant of its own.")
    if "mIoU" not in by_metric:
        raise DataError(f"{place} has no mIoU. Add the line with its source.")
    first = by_metric["mIoU"]
    if first["paper"] not in papers:
        raise DataError(f"{place} names the paper {first['paper']!r}, which papers.json does not have.")
    try:
        values = {metric: _value(row) for metric, row in by_metric.items()}
        return Result(
            name=Printed(*(first[key] for key in Printed._fields)),
            benchmark=first["benchmark"],
            setting=first["setting"],
            split=first["split"],
            num_classes=int(first["num_classes"]),
            miou=values.pop("mIoU"),
            iou=_under("IoU/", values),
            parts=_under("mIoU/", values),
            std=first["std"],
            n_seeds=int(first["n_seeds"]) if first["n_seeds"] else None,
            paper=papers[first["paper"]],
            protocol=protocols.get(first["paper"], PaperProtocol()),
        )
    except ValueError as error:
        raise DataError(f"{place} holds something that is no number: {error}.") from error


def _under(prefix: str, values: Mapping[str, Value]) -> dict[str, Value]:
    """The values whose metric begins with ``prefix``, by the rest of it."""
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}


def _value(row: Mapping[str, str]) -> Value:
    float(row["value"])  # it stays text, so that its decimals are kept
    return Value(row["value"], int(row["verified"]), row["source"], row["source_url"])

"""What the reports of ``analyse`` have in common: which networks they are about, their columns and their files."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from adaptbench.records import formatting
from adaptbench.records.record import Record
from adaptbench.storage import atomic


@dataclass(frozen=True)
class Measured:
    """A network that was looked into.

    Attributes:
        record: of the job.
        split: whose pictures, ``dataset/split``.
        images: how many.
        classes: names of the classes.
    """

    record: Record
    split: str
    images: int
    classes: Sequence[str]

    @property
    def where(self) -> str:
        """Benchmark, number of pictures and split."""
        return f"{self.record.benchmark}, {self.images} images of {self.split}"

    def columns(self) -> dict[str, Any]:
        """What every table says of the network."""
        return {
            "benchmark": self.record.benchmark,
            "method": self.record.method,
            "network": self.record.network.name,
            "overrides": formatting.assignments(self.record.overrides),
            "seed": self.record.seed,
            "split": self.split,
            "images": self.images,
        }


AnyMeasured = TypeVar("AnyMeasured", bound=Measured)


@dataclass(frozen=True)
class Row(Generic[AnyMeasured]):
    """Networks that differ by their seed alone."""

    measured: Sequence[AnyMeasured]

    @property
    def first(self) -> AnyMeasured:
        """Of the lowest seed."""
        return min(self.measured, key=lambda m: m.record.seed)

    @property
    def settings(self) -> str:
        """What the user or a study set."""
        return formatting.assignments(self.first.record.overrides)

    @property
    def seeds(self) -> str:
        """All seeds."""
        return formatting.seed_list(m.record.seed for m in self.measured)


def grouped(
    measured: Sequence[AnyMeasured], key: Callable[[AnyMeasured], Hashable]
) -> list[list[AnyMeasured]]:
    """Groups of equal key, in the order in which they come."""
    groups: dict[Hashable, list[AnyMeasured]] = {}
    for one in measured:
        groups.setdefault(key(one), []).append(one)
    return list(groups.values())


def mean_and_deviation(values: Sequence[float], decimals: int) -> str:
    """Mean over seeds and, of several, ± the standard deviation (n-1); a dash where one is missing."""
    if np.isnan(values).any():
        return formatting.MISSING
    deviation = f" ± {np.std(values, ddof=1):.{decimals}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{decimals}f}{deviation}"


def write_report(
    folder: Path,
    kind: str,
    record: Record,
    markdown: str,
    lines: Sequence[Mapping[str, Any]],
    draw: Callable[[Path], None] | None,
    decimals: int,
) -> list[Path]:
    """Writes ``KIND-BOARD-HASH8`` as .md, .csv and, where there is a picture, .png.

    Args:
        folder: where.
        kind: of analysis.
        record: of one of the jobs, all under one protocol.
        markdown: the page.
        lines: of the table, column by column.
        draw: writes the picture; None = there is none.
        decimals: of the numbers in the table.

    Raises:
        RunStateError: the folder cannot be written.
    """
    import pandas as pd

    page = folder / f"{kind}-{record.benchmark.replace('/', '-')}-{record.ranking_hash[:8]}.md"
    table, picture = page.with_suffix(".csv"), page.with_suffix(".png")
    text = pd.DataFrame(lines).to_csv(index=False, float_format=f"%.{decimals}f", lineterminator="\n")
    atomic.write_text(page, markdown)
    atomic.write_text(table, text)
    if draw is None:
        return [page, table]
    draw(picture)
    return [page, table, picture]

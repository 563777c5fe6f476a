"""Training curves: the lines of ``metrics.jsonl``, of a finished job or of one that still trains."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

Point = tuple[int, dict[str, float]]


def history(path: Path, classes: Sequence[str] = ()) -> Iterator[Point]:
    """Step and values of every line of a job's ``metrics.jsonl``; none where the file is gone.

    Iterations start at 0 in every stage; steps count on from stage to stage. A vector is a value per class.
    """
    return _points(path.read_text(encoding="utf-8").splitlines() if path.exists() else (), classes)


def live_history(folder: Path, classes: Sequence[str] = ()) -> Iterator[Point]:
    """What `history` will give once the job in ``folder`` is done, as far as its stages have come."""
    return _points(
        (line for stage in stage_folders(folder) for line in _whole_lines(stage / "metrics.jsonl")), classes
    )


def stage_folders(folder: Path) -> list[Path]:
    """The stages of a job, in the order in which it came to them."""
    links = sorted((folder / "stages").glob("*"), key=lambda link: (link.lstat().st_mtime_ns, link.name))
    return [link.resolve() for link in links]


def _whole_lines(path: Path) -> list[str]:
    """Those that are written to their end."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return text[: text.rfind("\n") + 1].splitlines()


def _points(lines: Iterable[str], classes: Sequence[str]) -> Iterator[Point]:
    offset, last = 0, -1
    for line in lines:
        values: dict[str, Any] = json.loads(line)
        iteration = int(values.pop("iteration"))
        if offset + iteration <= last:
            offset = last + 1
        last = offset + iteration
        vectors = [key for key, value in values.items() if isinstance(value, list)]
        for key in vectors:
            values |= {f"{key}/{name}": v for name, v in zip(classes, values.pop(key), strict=False)}
        yield last, {key: value for key, value in values.items() if value is not None}

"""Training curves: the lines of ``metrics.jsonl``, of a finished job or of one that still trains."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from adaptbench.errors import RunStateError
from adaptbench.storage.atomic import relative_link
from adaptbench.storage.plain_files import read_text

#: More than any log has. Units: bytes.
_LARGEST = 512 << 20

Point = tuple[int, dict[str, float]]


def history(path: Path, classes: Sequence[str] = ()) -> Iterator[Point]:
    """Step and values of every line of a job's ``metrics.jsonl``; none where the file is gone.

    Iterations start at 0 in every stage; steps count on from stage to stage. A vector is a value per class.

    Raises:
        RunStateError: the file cannot be read, or a line of it is none of a log.
    """
    if not path.exists():
        return
    try:
        yield from _points(read_text(path, _LARGEST).splitlines(), classes)
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        raise RunStateError(
            f"{path} is no log of a training ({error}). Delete the job's folder to run it again."
        ) from error


def live_history(folder: Path, classes: Sequence[str] = ()) -> Iterator[Point]:
    """What `history` will give once the job in ``folder`` is done, as far as its stages have come."""
    return _points(
        (line for stage in stage_folders(folder) for line in _whole_lines(stage / "metrics.jsonl")), classes
    )


def link_stage(folder: Path, name: str, stage: Path, number: int) -> None:
    """Links a stage of a job; its number is the link's time, so that a clock that is set back puts none before another.

    Raises:
        RunStateError: the folder cannot be written, or the disk is full.
    """
    link = folder / "stages" / name
    relative_link(link, stage)
    with contextlib.suppress(OSError, NotImplementedError):  # where links have no time of their own
        os.utime(link, (number, number), follow_symlinks=False)


def stage_folders(folder: Path) -> list[Path]:
    """The stages of a job, in the order in which it came to them."""
    links = sorted((folder / "stages").glob("*"), key=lambda link: (link.lstat().st_mtime_ns, link.name))
    return [Path(os.path.realpath(link)) for link in links]


def _whole_lines(path: Path) -> list[str]:
    """Those that are written to their end."""
    try:
        text = read_text(path, _LARGEST)
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

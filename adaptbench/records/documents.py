"""JSON documents of results: with a version and a digest, read strictly."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from adaptbench.errors import RunStateError
from adaptbench.storage import sealed_json

T = TypeVar("T")


class Part(BaseModel):
    """Base of documents and of all their parts: nothing unknown, nothing infinite, never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Unreadable:
    """A file that cannot be used, and why.

    Attributes:
        path: the file, relative to the output folder, with forward slashes.
        reason: one paragraph for the user.
    """

    path: str
    reason: str


def write(document: BaseModel, path: Path) -> None:
    """Writes a document and its digest; whole or not at all.

    Raises:
        RunStateError: the folder cannot be written, or the disk is full.
    """
    sealed_json.write(path, document.model_dump(mode="json"))


def read(model: type[Model], path: Path, what: str, remedy: str) -> Model:
    """Reads and validates a document, whose newest version is the default of its ``schema_version``.

    Raises:
        RunStateError: the file is damaged (it is not ``what``; ``remedy`` helps), was changed after it had been
            written, or is of a newer version.
    """
    raw, intact = sealed_json.loaded(path, remedy, f"is not {what}")
    try:
        version, newest = int(raw["schema_version"]), model.model_fields["schema_version"].default
        if version > newest:
            raise RunStateError(
                f"{path} has version {version}, of a newer AdaptBench; this one reads up to {newest}. Update "
                "AdaptBench, or use another --out folder."
            )
        found = model.model_validate(raw)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        reason = _first_problems(error) if isinstance(error, ValidationError) else error
        raise RunStateError(f"{path} is not {what} ({reason}). {remedy}") from error
    if not intact:
        raise sealed_json.changed(path, remedy)
    return found


def find(out: Path, place: str, name: str) -> tuple[list[Path], list[Unreadable]]:
    """Files called ``name`` below ``OUT/<place>``, sorted, and the folders that could not be looked into.

    Below one of them there is no other.
    """
    errors: list[OSError] = []
    paths: list[Path] = []
    for folder, below, names in os.walk(out / place, onerror=errors.append):
        if name in names:
            paths.append(Path(folder, name))
            below.clear()
    paths.sort()
    closed = [error for error in errors if not isinstance(error, FileNotFoundError)]
    return paths, [_closed(error, out) for error in closed]


def _closed(error: OSError, out: Path) -> Unreadable:
    name = Path(error.filename).relative_to(out).as_posix()
    remedy = " Ask its owner for leave to read." if error.errno in (errno.EACCES, errno.EPERM) else ""
    return Unreadable(name, f"{name}: {error.strerror}; what is in it is not shown.{remedy}")


def read_all(paths: Iterable[Path], out: Path, load: Callable[[Path], T]) -> tuple[list[T], list[Unreadable]]:
    """What ``load`` makes of each of the files in ``out``; those that cannot be read are listed, never raised."""
    found: list[T] = []
    unreadable: list[Unreadable] = []
    for path in sorted(paths):
        try:
            found.append(load(path))
        except RunStateError as error:
            name = path.relative_to(out).as_posix()
            unreadable.append(Unreadable(name, str(error).replace(str(path), name)))
    return found, unreadable


def _first_problems(error: ValidationError, limit: int = 3) -> str:
    problems = [f"{'.'.join(str(key) for key in item['loc'])}: {item['msg']}" for item in error.errors()]
    more = [f"{len(problems) - limit} more"] if len(problems) > limit else []
    return "; ".join(problems[:limit] + more)

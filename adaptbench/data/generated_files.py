"""Files of generated datasets, whose digests lie beside them: a changed byte is an error and never another number."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from adaptbench.errors import DataError, RunStateError
from adaptbench.storage import sealed_json

#: The folder of all generated datasets in a cache.
FOLDER = "minicity"
#: Lies in every finished dataset folder and says what it is; written last, before the folder gets its final name.
MARKER = "spec.json"
#: What the marker calls the sha256 of every file by its path; folders of older versions have none.
_DIGESTS = "files"


def write_marker(root: Path, specification: Mapping[str, object]) -> None:
    """Writes what the finished dataset in ``root`` is, with the digests of all of its files."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    digests = {path.relative_to(root).as_posix(): _digest(path.read_bytes()) for path in files}
    (root / MARKER).write_text(sealed_json.sealed({**specification, _DIGESTS: digests}), encoding="utf-8")


def specification_of(root: Path) -> Mapping[str, Any] | None:
    """What a generated dataset is; None for a folder that has no marker, or a file of another kind by its name.

    Raises:
        DataError: the marker is not what was written.
    """
    if not (root / MARKER).is_file():
        return None
    try:
        found = sealed_json.read(root / MARKER, _anew(root))
    except RunStateError as error:
        raise DataError(str(error)) from error
    return found if {"world", "counts"} <= found.keys() else None


def require_as_generated(path: Path, data: bytes) -> None:
    """Checks the content of a file, if it belongs to a generated dataset.

    Raises:
        DataError: it, or the list of digests, is not what was generated.
    """
    root = _root(path.parent)
    if root is None:
        return
    digests = _digests(root, (root / MARKER).stat().st_mtime_ns)
    if digests is not None and digests.get(path.relative_to(root).as_posix()) != _digest(data):
        raise DataError(f"{path} is not what was generated. {way_out(path)}")


def way_out(path: Path) -> str:
    """What to do about a damaged or missing file of a generated dataset, a sentence; empty if it is of another one."""
    root = _root(path.parent)
    return "" if root is None else _anew(root)


@lru_cache(maxsize=1024)
def _root(folder: Path) -> Path | None:
    """The generated dataset that a folder belongs to."""
    if f"{os.sep}{FOLDER}{os.sep}" not in str(folder):
        return None
    roots = (one for one in (folder, *folder.parents) if one.parent.name == FOLDER)
    return next((root for root in roots if (root / MARKER).is_file()), None)


@lru_cache(maxsize=64)
def _digests(root: Path, written: int) -> Mapping[str, str] | None:
    """Of every file, as the marker that was ``written`` then lists them."""
    found: Mapping[str, str] | None = (specification_of(root) or {}).get(_DIGESTS)
    return found


def _anew(root: Path) -> str:
    return f"Delete the folder {root} and run again: it is generated anew."


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

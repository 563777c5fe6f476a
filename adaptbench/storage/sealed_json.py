"""JSON files that say whether they are what was written: a changed digit is an error and never another number."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adaptbench.errors import RunStateError
from adaptbench.storage.atomic import write_text
from adaptbench.storage.plain_files import read_text

_KEY = "digest"
#: More than any of our files has. Units: bytes.
_LARGEST = 64 << 20


def digest(content: Any) -> str:
    """sha256 of what a JSON file says, however it is laid out."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Writes ``content`` and its digest; whole or not at all. Keys that are numbers become texts.

    Raises:
        RunStateError: the folder cannot be written, or the disk is full.
    """
    write_text(path, sealed(content))


def sealed(content: Mapping[str, Any]) -> str:
    """The text of such a file."""
    plain = json.loads(json.dumps(content))
    return json.dumps({**plain, _KEY: digest(plain)}, indent=1) + "\n"


def read(path: Path, way_out: str) -> dict[str, Any]:
    """What `write` wrote; files of older versions have no digest and are taken as they are.

    Args:
        path: the file.
        way_out: what to do about a damaged one, a sentence.

    Raises:
        RunStateError: it cannot be read, states a key twice, or holds something else than was written.
    """
    content, intact = loaded(path, way_out)
    if not intact:
        raise changed(path, way_out)
    return content


def loaded(path: Path, way_out: str, problem: str = "cannot be read") -> tuple[dict[str, Any], bool]:
    """What a file says, and whether that is what was written; for readers that know what is wrong with the rest.

    Raises:
        RunStateError: it cannot be read, or states a key twice; says so as ``problem``.
    """
    try:
        content = json.loads(read_text(path, _LARGEST), object_pairs_hook=_once)
        written = content.pop(_KEY, None)
        return content, written in (None, digest(content))
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise RunStateError(f"{path} {problem} ({reason}). {way_out}") from error


def changed(path: Path, way_out: str) -> RunStateError:
    """Error about a file that holds something else than was written."""
    return RunStateError(f"{path} was changed after it had been written. {way_out}")


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """An object, unless a key is there twice, of which one would be hidden."""
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a key is stated twice")
    return content

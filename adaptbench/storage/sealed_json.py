"""JSON files that say whether they are what was written: a changed digit is an error and never another number."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from adaptbench.errors import RunStateError
from adaptbench.storage.atomic import write_text

_KEY = "digest"


def digest(content: Any) -> str:
    """sha256 of what a JSON file says, however it is laid out."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def write(path: Path, content: dict[str, Any]) -> None:
    """Writes ``content`` and its digest; whole or not at all. Keys that are numbers become texts.

    Raises:
        RunStateError: the folder cannot be written, or the disk is full.
    """
    plain = json.loads(json.dumps(content))
    write_text(path, json.dumps({**plain, _KEY: digest(plain)}, indent=1) + "\n")


def read(path: Path, way_out: str) -> dict[str, Any]:
    """What `write` wrote; files of older versions have no digest and are taken as they are.

    Args:
        path: the file.
        way_out: what to do about a damaged one, a sentence.

    Raises:
        RunStateError: it cannot be read, or holds something else than was written.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        written = content.pop(_KEY, None)
    except (OSError, ValueError, AttributeError) as error:
        raise RunStateError(f"{path} cannot be read ({error}). {way_out}") from error
    if written not in (None, digest(content)):
        raise RunStateError(f"{path} was changed after it had been written. {way_out}")
    found: dict[str, Any] = content
    return found

"""Finding the cases below a folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class CaseFile:
    """Where a case is.

    Attributes:
        name: value of ``case``, or the name of the folder in a data tree.
        path: the JSON file, or the folder.
    """

    name: str
    path: Path


class DiscoveryError(Exception):
    """A folder cannot serve as a set of cases."""


def discover(root: Path, kinds: list[str] | None = None) -> list[CaseFile]:
    """Find all cases below a folder: JSON files with a ``case`` key, and the folders of data trees.

    A folder with an ``index.json`` is a data tree: each of its sub-folders is one case and is not searched.

    Args:
        root: folder to search.
        kinds: keep only cases whose name starts with one of these.

    Raises:
        DiscoveryError: the folder is missing or has no case, a JSON file is damaged, or one of the
            kinds matches nothing.
    """
    if not root.is_dir():
        raise DiscoveryError(f"{root}: no such folder")
    found = _search(root)
    if not found:
        raise DiscoveryError(
            f"{root}: no case found (a JSON file with a 'case' key, or a tree with an index.json)"
        )
    if kinds is None:
        return found
    for kind in kinds:
        if not any(case.name.startswith(kind) for case in found):
            raise DiscoveryError(
                f"{root}: no case of kind {kind!r}; there are {', '.join(c.name for c in found)}"
            )
    return [case for case in found if case.name.startswith(tuple(kinds))]


def _search(folder: Path) -> list[CaseFile]:
    entries = sorted(folder.iterdir())
    folders = [entry for entry in entries if entry.is_dir()]
    if (folder / "index.json").is_file():
        if not folders:
            raise DiscoveryError(f"{folder}: an index.json, but no folder beside it")
        return [CaseFile(entry.name, entry) for entry in folders]
    cases = [case for entry in entries if entry.suffix == ".json" and (case := _read(entry)) is not None]
    return cases + [case for entry in folders for case in _search(entry)]


def _read(path: Path) -> CaseFile | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DiscoveryError(f"{path}: not a JSON file ({error})") from error
    if not isinstance(content, dict) or "case" not in content:
        return None
    return CaseFile(str(content["case"]), path)

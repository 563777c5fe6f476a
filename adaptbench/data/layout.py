"""Why files of a dataset are not where they are looked for: the causes that users meet most."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

#: How many entries of a folder, and folders of a root, are looked at.
_ENTRIES = 1000


def cause_of_no_image(root: Path, folder: str, pattern: str) -> str:
    """A sentence on why no file matches ``pattern`` in a folder of the root; empty if nothing explains it."""
    below = (path for path in islice(sorted(root.iterdir()), _ENTRIES) if path.is_dir())
    for other in (*below, *list(root.parents)[:2]):
        if any(not path.name.startswith(".") for path in (other / folder).glob(pattern)):
            return f"{other} has such files: name that folder instead."
    inside = root / folder
    if not inside.is_dir():
        missing = next(part for part in [*reversed(inside.parents), inside] if not part.is_dir())
        return f"{missing} does not exist; {_entries(missing.parent)}"
    suffix = Path(pattern).suffix
    found = [
        path for path in islice(inside.glob(pattern.removesuffix(suffix) + ".*"), _ENTRIES) if path.is_file()
    ]
    others = sorted({path.suffix for path in found} - {suffix})
    if others and "*" not in suffix:
        return f"Files there end in {', '.join(others)} and not in {suffix}, for example {min(found)}."
    return _entries(inside)


def beside(label: Path) -> str:
    """A sentence on files that may be taken for a label that does not exist; empty if there is none."""
    if not label.parent.is_dir():
        return ""
    start = label.stem
    while "_" in start:
        start = start.rpartition("_")[0]
        if found := sorted(path.name for path in islice(label.parent.glob(f"{start}_*"), _ENTRIES)):
            return (
                f" Beside it lies {_first(found)}, which has another name than is expected: all images "
                "need labels of one kind. (Own data: the key 'replace' of a split says how names differ.)"
            )
    return ""


def _entries(folder: Path) -> str:
    names = sorted(path.name for path in islice(folder.iterdir(), _ENTRIES))
    return f"{folder} holds {_first(names)}." if names else f"{folder} is empty."


def _first(names: list[str]) -> str:
    """Three names, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

"""Where checkpoints lie that can be scored outside of a job: folders of imports and of finished runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from adaptbench.errors import UsageError, unknown_name

#: Written last: a folder without it is no import.
FACTS = "imported.json"


def folder(out: Path, name: str) -> Path:
    """Where the import ``name`` is kept."""
    return out / "imported" / name


def names(out: Path) -> list[str]:
    """All imports in a results folder."""
    return sorted(path.parent.name for path in (out / "imported").glob(f"*/{FACTS}"))


def is_import(path: Path) -> bool:
    """Whether ``path`` is the folder of an import."""
    return (path / FACTS).is_file()


def require_some(checkpoints: Sequence[str], out: Path) -> None:
    """Raises UsageError if the user has named none."""
    if not checkpoints:
        known = ", ".join(names(out)) or "none"
        raise UsageError(f"Name an import (here: {known}), or give the folder of a finished run.")


def find(text: str, out: Path) -> Path:
    """The folder of the import called ``text``, or ``text`` itself as folder of an import or a run."""
    imports = [path for path in (folder(out, text), Path(text)) if is_import(path)]
    runs = [path for path in (Path(text), out / "runs" / text) if (path / "job.json").is_file()]
    for found in (*imports, *runs):
        return found
    if Path(text).exists():
        raise UsageError(
            f"{text} is no folder of an import or of a run. A checkpoint of other authors is imported first: "
            "python run_all.py import FILE --method METHOD."
        )
    raise UsageError(
        f"{unknown_name('import or run', text, names(out))} A run is named by its folder, "
        f"{out / 'runs' / 'BENCHMARK' / 'METHOD' / 'SEED-HASH'}; ls runs lists them."
    )

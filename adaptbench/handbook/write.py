"""Writes the generated pages of docs/, and tells which of those that are there are stale."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from adaptbench.contracts import plugins
from adaptbench.contracts.plugins import Registry
from adaptbench.handbook import datasets, methods
from adaptbench.handbook.building_blocks import building_blocks_page
from adaptbench.planning.estimates import board_rows
from adaptbench.reporting.published.facts import load_published
from adaptbench.storage.atomic import write_text

FOLDER = plugins.ROOT / "docs"
_INDEX = "README.md"
_BUILDING_BLOCKS = Path("building-blocks.md")


def pages(registry: Registry, folder: Path = FOLDER, only_there: bool = False) -> dict[Path, str]:
    """The text of every generated page, by its path relative to ``folder``.

    Args:
        registry: the plug-ins of the checkout.
        folder: where the pages lie.
        only_there: leave out plug-ins without a page, also in the lists.
    """
    published, measured = load_published(), board_rows()
    names = {
        kind: [n for n in registry.names(kind) if not only_there or _path(folder, kind, n).exists()]
        for kind in ("method", "dataset")
    }
    found = {
        _path(Path(), "method", name): methods.method_page(
            registry.find("method", name), registry, published, measured
        )
        for name in names["method"]
    }
    found |= {
        _path(Path(), "dataset", name): datasets.dataset_page(
            registry.find("dataset", name), registry, published
        )
        for name in names["dataset"]
    }
    found[_BUILDING_BLOCKS] = building_blocks_page()
    found[Path("methods") / _INDEX] = methods.index(registry, names["method"])
    found[Path("datasets") / _INDEX] = datasets.index(registry, names["dataset"])
    return found


def write_pages(registry: Registry, folder: Path = FOLDER) -> list[Path]:
    """Writes all pages, removes those of plug-ins that are gone, and returns what changed."""
    made = pages(registry, folder)
    changed = [folder / path for path, text in made.items() if _text(folder / path) != text]
    for path, text in made.items():
        write_text(folder / path, text)
    for path in _orphans(folder, made):
        path.unlink()
        changed.append(path)
    return sorted(changed)


def stale(registry: Registry, folder: Path = FOLDER) -> list[Path]:
    """Pages that are not what they would be now. A plug-in that has no page yet makes none stale."""
    made = pages(registry, folder, only_there=True)
    different = [folder / path for path, text in made.items() if _text(folder / path) != text]
    return sorted([*different, *_orphans(folder, made)])


def _path(folder: Path, kind: str, name: str) -> Path:
    return folder / f"{kind}s" / f"{name}.md"


def _orphans(folder: Path, made: Mapping[Path, str]) -> list[Path]:
    there = [path for name in ("methods", "datasets") for path in (folder / name).glob("*.md")]
    return [path for path in there if path.relative_to(folder) not in made]


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None

"""Writes the generated pages of docs/, and tells which of those that are there are stale."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from adaptbench.contracts import plugins
from adaptbench.contracts.plugins import Registry
from adaptbench.handbook import datasets, methods
from adaptbench.handbook.building_blocks import building_blocks_page
from adaptbench.planning.estimates import committed_rows
from adaptbench.reporting.published.facts import load_published
from adaptbench.storage.atomic import write_text

FOLDER = plugins.ROOT / "docs"


def pages(registry: Registry, folder: Path = FOLDER, only_there: bool = False) -> dict[Path, str]:
    """The text of every generated page, by its path relative to ``folder``.

    With ``only_there`` plug-ins without a page are left out, also in the lists.
    """
    published, measured = load_published(), committed_rows()

    def shown(kind: str) -> list[str]:
        there = folder / f"{kind}s"
        return [n for n in registry.names(kind) if not only_there or (there / f"{n}.md").exists()]

    found = {
        Path("building-blocks.md"): building_blocks_page(),
        Path("methods/README.md"): methods.index(registry, shown("method")),
        Path("datasets/README.md"): datasets.index(registry, shown("dataset")),
    }
    for name in shown("method"):
        plugin = registry.find("method", name)
        found[Path("methods") / f"{name}.md"] = methods.method_page(plugin, registry, published, measured)
    for name in shown("dataset"):
        plugin = registry.find("dataset", name)
        found[Path("datasets") / f"{name}.md"] = datasets.dataset_page(plugin, registry, published)
    return found


def write_pages(registry: Registry, folder: Path = FOLDER) -> list[Path]:
    """Writes all pages, removes those of plug-ins that are gone, and returns what changed."""
    made = pages(registry, folder)
    changed = _different(folder, made)
    for path, text in made.items():
        write_text(folder / path, text)
    for path in changed:
        if path.relative_to(folder) not in made:
            path.unlink()
    return changed


def stale(registry: Registry, folder: Path = FOLDER) -> list[Path]:
    """Pages that are not what they would be now. A plug-in that has no page yet makes none stale."""
    return _different(folder, pages(registry, folder, only_there=True))


def _different(folder: Path, made: Mapping[Path, str]) -> list[Path]:
    """Pages that are not as they were made, and those that were not made."""
    there = {path for name in ("methods", "datasets") for path in (folder / name).glob("*.md")}
    orphans = there - {folder / path for path in made}
    written = {folder / path: text for path, text in made.items()}
    changed = {p for p, text in written.items() if not p.exists() or p.read_text(encoding="utf-8") != text}
    return sorted(orphans | changed)

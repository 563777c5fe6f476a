"""The page of building blocks: what methods share, read from the docstrings of the modules without importing them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from adaptbench.contracts import plugins
from adaptbench.handbook.markdown import first_line, page, section, table

_ADAPTATION = "Adaptation: what stands in a loss or a mix"
_TEST_TIME = "Test time: networks that adapt to what they predict"
_DATA = "Data: what feeds batches"
_INTRODUCTION = (
    "Parts of published methods, to reuse in [your own](add-a-method.md). Shapes, ranges and errors are in their "
    "docstrings. Drawing and applying are separate functions, so that a draw can be repeated or injected. Where the "
    "published code differs from its paper, a part does what the code does: [quirks](quirks.md)."
)
_SOURCE = re.compile(r"^Source: (.+?)(?=\n\n|\n[A-Z][a-z]+:|\Z)", re.MULTILINE | re.DOTALL)
_QUIRKS = re.compile(r"docs/quirks\.md((?:(?:, | and | to )?#\w+)+)")


def building_blocks_page(root: Path = plugins.ROOT / "adaptbench") -> str:
    """All modules of ``adaptation`` and ``test_time``, and those of ``data`` that do what a paper or its code says."""
    adaptation, test_time = _modules(root / "adaptation"), _modules(root / "test_time")
    data = {
        file: tree
        for file, tree in _modules(root / "data").items()
        if any(map(_source, (tree, *_public(tree))))
    }
    sections = [
        section(title, *(_block(root, file, tree) for file, tree in found.items()))
        for title, found in ((_ADAPTATION, adaptation), (_TEST_TIME, test_time), (_DATA, data))
    ]
    return page("Building blocks", [_INTRODUCTION, *sections])


def _modules(folder: Path) -> dict[Path, ast.Module]:
    """The modules of a package by file, parsed; none without anything public."""
    trees = {file: ast.parse(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.py"))}
    return {file: tree for file, tree in trees.items() if _public(tree)}


def _public(tree: ast.Module) -> list[ast.ClassDef | ast.FunctionDef]:
    """Classes and functions of a module that others may use, in its order."""
    nodes = [node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    return [node for node in nodes if not node.name.startswith("_")]


def _block(root: Path, file: Path, tree: ast.Module) -> str:
    """A module: where it is, what it is for, and a line per public name."""
    path = file.relative_to(root.parent).as_posix()
    rows = [[f"`{node.name}`", _said(node), _source(node)] for node in _public(tree)]
    listed = table(["name", "what it is", "source"], rows)
    return "\n\n".join([f"### [{file.stem}](../{path})", _said(tree), listed])


def _said(node: ast.Module | ast.ClassDef | ast.FunctionDef) -> str:
    """The first line of a docstring, without the shape or unit that may follow in it."""
    return first_line(re.split(r" `?(?:Shape|Units):", ast.get_docstring(node) or "")[0])


def _source(node: ast.Module | ast.ClassDef | ast.FunctionDef) -> str:
    """The source that a docstring names, with links to the quirks; empty without one."""
    found = _SOURCE.search(ast.get_docstring(node) or "")
    return _QUIRKS.sub(_linked, " ".join(found[1].split()).rstrip(".")) if found else ""


def _linked(cited: re.Match[str]) -> str:
    return re.sub(r"#(\w+)", lambda found: f"[{found[1].upper()}](quirks.md#{found[1]})", cited[1])

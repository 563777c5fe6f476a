"""Which recorded cases bear on a method: its own trajectories by their names, parts by the code both use.

Read from the sources in tests/conformance without running them.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from adaptbench.contracts import plugins

FOLDER = plugins.ROOT / "tests" / "conformance"
_SHARED = "adaptbench.adaptation."
#: What nearly every method uses tells nothing.
_COMMON = "adaptbench.adaptation.seg_loss"
_TRAJECTORY = "trajectory"


@dataclass(frozen=True)
class RecordedCase:
    """A case in tests/conformance/cases.

    Attributes:
        computes: what was recorded, in the words of the case.
        whole: whether it is a training, and not a part of one.
    """

    name: str
    computes: str
    whole: bool


def cases_of(name: str, file: Path, names: Iterable[str]) -> list[RecordedCase]:
    """The cases that bear on the method ``name`` in ``file``; the names of all methods tell whose a trajectory is."""
    own, known = _modules_of(file), frozenset(names)
    return [
        case
        for case, used in _recorded()
        if (_owner(case.name, known) == name if case.whole else _is_part(case, used, own, known))
    ]


@cache
def _recorded() -> tuple[tuple[RecordedCase, frozenset[str]], ...]:
    """The committed cases, each with the modules that its handler uses."""
    kinds = {kind: used for file in sorted((FOLDER / "handlers").glob("*.py")) for kind, used in _kinds(file)}
    found = []
    for file in sorted((FOLDER / "cases").rglob("*.json")):
        content = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or "case" not in content:
            continue
        name = str(content["case"])
        kind = max((kind for kind in kinds if name.startswith(kind)), key=len, default=None)
        case = RecordedCase(name, str(content.get("computes", "")), _TRAJECTORY in name)
        found.append((case, kinds[kind] if kind else frozenset()))
    return tuple(found)


def _kinds(file: Path) -> list[tuple[str, frozenset[str]]]:
    """The kinds of case that a file of handlers registers, with the building blocks and methods it imports."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    used = frozenset(module for module in _imports(tree) if _is_module(module))
    return [
        (str(kind.value), used)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "handler"
        for kind in node.args
        if isinstance(kind, ast.Constant)
    ]


def _modules_of(file: Path) -> frozenset[str]:
    """The building blocks that a method and the methods it extends import, and these methods with itself."""
    found = {f"methods.{file.stem}"}
    open_files = [file]
    while open_files:
        for module in _imports(ast.parse(open_files.pop().read_text(encoding="utf-8"))):
            if module.startswith(_SHARED) and _is_module(module):
                found.add(module)
            base = plugins.ROOT / (module.replace(".", "/") + ".py")
            if module.startswith("methods.") and module not in found and base.exists():
                found.add(module)
                open_files.append(base)
    return frozenset(found)


def _is_module(name: str) -> bool:
    """Whether ``name`` is a building block or a method, and not something in one."""
    shared = name.startswith((_SHARED, "methods.")) and name != _COMMON
    return shared and (plugins.ROOT / (name.replace(".", "/") + ".py")).exists()


def _imports(tree: ast.AST) -> list[str]:
    """Modules that are imported; ``from methods import x`` is ``methods.x``."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


def _is_part(case: RecordedCase, used: frozenset[str], own: frozenset[str], names: frozenset[str]) -> bool:
    """Whether a case is about a method: called after it or a method it extends; if after none, of code they share."""
    called_after = set(case.name.split("_")) & {name.split("_")[0] for name in names}
    if called_after:
        families = {module.removeprefix("methods.").split("_")[0] for module in own}
        return bool(called_after & families)
    return bool(used & own)


def _owner(case: str, names: frozenset[str]) -> str | None:
    """The method with the longest name of which every word is in the name of the case."""
    words = set(case.split("_"))
    fitting = [name for name in sorted(names) if set(name.split("_")) <= words]
    return max(fitting, key=len, default=None)

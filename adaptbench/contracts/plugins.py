"""Discovery of plug-ins: one file in methods/, datasets/, benchmarks/, studies/ or a --plugins path is one plug-in.

Names, titles, tags and papers are read from the source as literals, so that listing never imports torch.
Classes are imported only when they are used. A YAML file given with --plugins describes a dataset or a benchmark.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import logging
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from adaptbench.contracts import stand_ins
from adaptbench.errors import PluginError, UsageError, unknown_name
from adaptbench.storage.plain_files import read_text

Base = TypeVar("Base")

#: The checkout (or installation) that holds methods/, datasets/, benchmarks/ and studies/.
ROOT = Path(__file__).resolve().parents[2]

#: Suffixes of files that describe a dataset or a benchmark without code.
DESCRIPTIONS = (".yaml", ".yml")
#: More than any source has. Units: bytes.
_LARGEST = 4 << 20
KINDS = ("method", "dataset", "benchmark", "study")
#: Where plug-ins of a kind lie in the checkout.
FOLDERS = {"method": "methods", "dataset": "datasets", "benchmark": "benchmarks", "study": "studies"}
#: Literals a class must have to count as a plug-in of the kind.
_REQUIRED = {
    "method": ("name", "title", "tags"),
    "dataset": ("name", "title", "splits"),
    "benchmark": ("name", "title", "class_set", "source", "target", "evaluation"),
    "study": ("name", "title", "table", "benchmarks", "variants"),
}

_log = logging.getLogger(__name__)
_NO_PLUGIN = "it defines no plug-in. " + "; ".join(
    f"a {kind} is a class with the literals {', '.join(required)}" for kind, required in _REQUIRED.items()
)


@dataclass(frozen=True)
class Plugin:
    """A plug-in file, as far as it can be known without running it.

    Attributes:
        literals: its class attributes that are literals.
    """

    kind: str
    name: str
    file: Path
    class_name: str
    literals: Mapping[str, Any] = field(compare=False)

    @property
    def title(self) -> str:
        """One line for listings."""
        return str(self.literals.get("title", ""))


@dataclass(frozen=True)
class Registry:
    """All plug-ins found, and the files that could not be used with the reason."""

    plugins: Mapping[str, Mapping[str, Plugin]]
    broken: tuple[tuple[Path, str], ...]

    def names(self, kind: str) -> list[str]:
        """Sorted names of the plug-ins of ``kind``."""
        return sorted(self.plugins[kind])

    def find(self, kind: str, name: str) -> Plugin:
        """The plug-in called ``name``; a UsageError that lists all if there is none."""
        if name not in self.plugins[kind]:
            error = unknown_name(kind, name, self.plugins[kind])
            if not self.broken:
                raise error
            files = ", ".join(str(path) for path, _ in self.broken)
            raise UsageError(f"{error} (These plug-in files could not be used: {files}.)")
        return self.plugins[kind][name]


def discover(extra: Iterable[Path] = ()) -> Registry:
    """Finds every plug-in in the checkout and in ``extra`` (files or folders). Imports nothing.

    A file that cannot be parsed or defines none is listed as broken and the others are still found. (A folder
    in ``extra`` may hold other files beside plug-ins.)

    Raises:
        PluginError: a path in ``extra`` does not exist, or two files define the same name.
        UsageError: a YAML file in ``extra`` does not say what it must.
    """
    found: dict[str, dict[str, Plugin]] = {kind: {} for kind in KINDS}
    broken: list[tuple[Path, str]] = []
    extra = [Path(os.path.realpath(path.expanduser())) for path in extra]
    for file in _files(extra):
        try:
            plugins = _read(file)
        except (SyntaxError, ValueError, OSError, RecursionError, MemoryError) as error:
            broken.append((file, f"{type(error).__name__}: {error}"))
            continue
        if not plugins and (file in extra or in_checkout(file)):
            broken.append((file, _NO_PLUGIN))
        for plugin in plugins:
            other = found[plugin.kind].get(plugin.name)
            if other is not None:
                raise PluginError(
                    f"The {plugin.kind} {plugin.name!r} is defined twice: in {other.file} and in {plugin.file}. "
                    "Rename one of them."
                )
            found[plugin.kind][plugin.name] = plugin
    return Registry(found, tuple(broken))


def named_by_results(paths: Iterable[str], results: Path) -> list[Path]:
    """The plug-in files that something in the folder ``results`` names, without those that came with it.

    Results of others would otherwise bring code along that is run when they are looked at.
    """
    named, own = [Path(path) for path in paths], os.path.realpath(results)
    kept = [path for path in named if path.is_absolute() and not _within(path, own)]
    for path in named:
        if path not in kept:
            _log.warning(
                "%s came with the results and is not run; name it with --plugins if you trust it.", path
            )
    return kept


def _within(path: Path, folder: str) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(folder)


def load(plugin: Plugin) -> Any:
    """Imports the plug-in's file and returns its class; a PluginError names a file that raises."""
    if plugin.file.suffix in DESCRIPTIONS:
        return _described().load(plugin.file)
    try:
        return getattr(_import(plugin), plugin.class_name)
    except (Exception, SystemExit) as error:
        if stand_ins.active():
            raise stand_ins.StandInError(f"{plugin.file}: {error}") from error
        raise PluginError(
            f"The plug-in file {plugin.file} cannot be imported: {type(error).__name__}: {error}. "
            f"Mend it, or leave out {plugin.name!r}."
        ) from error


def load_subclass(plugin: Plugin, base: type[Base]) -> type[Base]:
    """The plug-in's class; a PluginError if it is no subclass of ``base``, or its file raises on import."""
    loaded = load(plugin)
    if not (isinstance(loaded, type) and issubclass(loaded, base)):
        needed = f"{base.__module__}.{base.__name__}"
        raise PluginError(f"{plugin.file}: {plugin.class_name} is not a subclass of {needed}.")
    return loaded


def _described() -> ModuleType:
    """Reading of YAML files; not needed without one."""
    return importlib.import_module("adaptbench.contracts.yaml_plugins")


def _files(extra: Iterable[Path]) -> list[Path]:
    # Studies lie in folders, one per paper; the other folders may hold folders of something else.
    folders = [(ROOT / name, "**/*.py" if name == "studies" else "*.py") for name in FOLDERS.values()]
    paths = [file for folder, pattern in folders for file in sorted(folder.glob(pattern))]
    for path in extra:
        if path.is_dir():
            paths += sorted(path.glob("*.py"))
        elif path.is_file():
            paths += [path, *(_described().companions(path) if path.suffix in DESCRIPTIONS else ())]
        else:
            raise PluginError(f"--plugins {path}: no such file or folder.")
    return [path for path in dict.fromkeys(paths) if not path.name.startswith("_")]


def _read(file: Path) -> Sequence[Plugin]:
    """Plug-in classes of a file: those whose literals hold all that their kind requires."""
    if file.suffix in DESCRIPTIONS:
        kind, name, shown = _described().facts(file)
        return [Plugin(kind, name, file, "", shown)]
    return _in_source(file, read_text(file, _LARGEST))


@lru_cache(maxsize=1024)  # a process that plans often looks at the same files again
def _in_source(file: Path, text: str) -> Sequence[Plugin]:
    """The same of Python source."""
    plugins = []
    for node in ast.parse(text, filename=str(file)).body:
        if isinstance(node, ast.ClassDef):
            literals = _literals(node)
            kinds = (kind for kind in sorted(KINDS) if literals.keys() >= set(_REQUIRED[kind]))
            if (kind := next(kinds, None)) is not None:
                plugins.append(Plugin(kind, str(literals["name"]), file, node.name, literals))
    return plugins


def _literals(node: ast.ClassDef) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for statement in node.body:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target, value = statement.targets[0], statement.value
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            target, value = statement.target, statement.value
        else:
            continue
        if isinstance(target, ast.Name):
            values[target.id] = _literal(value)
    return values


def _literal(value: ast.expr) -> Any:
    try:
        return ast.literal_eval(value)
    except ValueError:
        return ast.unparse(value)


def _import(plugin: Plugin) -> ModuleType:
    folder = plugin.file.parent
    if str(ROOT) not in sys.path:  # so that a method, ours or a user's, can extend ``methods.<name>``
        sys.path.append(str(ROOT))
    if plugin.kind == "method" and folder == ROOT / "methods":
        return importlib.import_module(f"methods.{plugin.file.stem}")
    if in_checkout(plugin.file):
        place = plugin.file.relative_to(ROOT).with_suffix("").parts
        return _import_file(plugin.file, "_".join(("adaptbench", *place)))
    return _import_file(plugin.file, f"adaptbench_external_{FOLDERS[plugin.kind]}_{plugin.file.stem}")


def in_checkout(file: Path) -> bool:
    """Whether ``file`` lies in one of the checkout's plug-in folders."""
    return any(file.is_relative_to(ROOT / folder) for folder in FOLDERS.values())


def _import_file(file: Path, name: str) -> ModuleType:
    if name in sys.modules and getattr(sys.modules[name], "__file__", None) == str(file):
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise PluginError(f"{file} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module

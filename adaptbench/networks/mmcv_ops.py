"""Lets mmsegmentation import without mmcv's compiled operators.

mmsegmentation imports ``mmcv.ops`` from several modules, although none of the networks used here needs a
compiled operator. Where only mmcv-lite is installed, `install` puts a stand-in in the place of that
package: every name can be imported, and using one raises an error that says which operator is missing.
With full mmcv installed nothing is touched.
"""

from __future__ import annotations

import importlib.util
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_PACKAGE = "mmcv.ops"


class MissingOp:
    """Takes the place of a compiled operator; calling it is an error."""

    def __new__(cls, *_: object, **__: object) -> MissingOp:
        """Raises: ImportError, always."""
        raise ImportError(
            f"{cls.__qualname__} is a compiled operator of mmcv and mmcv-lite is installed, which has none. "
            "Use a network without it, or replace mmcv-lite by the full mmcv of the same version."
        )


class _StandIn(ModuleType):
    """A module in which every public name exists."""

    def __getattr__(self, name: str) -> type[MissingOp]:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return type(name, (MissingOp,), {"__module__": self.__name__, "__qualname__": name})


class _StandInFinder(MetaPathFinder, Loader):
    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        found = name == _PACKAGE or name.startswith(_PACKAGE + ".")
        return ModuleSpec(name, self, is_package=True) if found else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run: names are made on access."""


def install() -> bool:
    """Puts the stand-in in place if mmcv has no compiled operators; returns whether it is in place."""
    if any(isinstance(finder, _StandInFinder) for finder in sys.meta_path):
        return True
    if importlib.util.find_spec("mmcv._ext") is not None:
        return False
    sys.meta_path.insert(0, _StandInFinder())
    return True

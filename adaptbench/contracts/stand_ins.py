"""A plan without torch: plug-ins are imported with stand-ins for the packages that take seconds to import.

What a plan needs of methods and networks is plain Python (settings, stages, recipes, start weights), but it stands in
files that need torch for the rest. Like the mock imports of documentation builders, stand-ins let such a file be
imported: they can be passed on, decorate and be inherited from. Whatever would look into one ends the attempt, and
the same is done with the packages themselves: a plan that comes out is the plan that they give.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import FunctionType, ModuleType
from typing import Any, NoReturn, get_origin

from adaptbench import signals

#: Packages with stand-ins: torch, and what imports it.
HEAVY = frozenset({"torch", "torchvision", "timm", "mmcv", "mmengine", "mmseg", "safetensors"})
#: Exit status of a process in which stand-ins were not enough.
_NOT_ENOUGH = 99


class StandInError(BaseException):
    """A stand-in is not enough. No plug-in should take it for an error of its own."""


class StandIn:
    """A name in a heavy package, or what became of it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> StandIn:
        if name.startswith("__"):
            raise AttributeError(name)
        return StandIn(f"{self._name}.{name}")

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """A decorator gives back what it decorates."""
        if len(arguments) == 1 and not named and isinstance(arguments[0], type | FunctionType):
            return arguments[0]
        return StandIn(f"{self._name}()")

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        """A class that inherits from it is without this base."""
        return ()

    def __eq__(self, other: object) -> bool:
        """No class that is really here is one of a heavy package; ``Generic[S]`` asks for that among its bases."""
        return False if isinstance(other, type) or get_origin(other) is not None else self._looked_into()

    def _itself(self, _: object) -> StandIn:
        """What it is in an annotation: ``Tensor | None``, ``Parameter[int]``."""
        return self

    def _looked_into(self, *_: object) -> NoReturn:
        raise StandInError(f"{self._name} itself is needed.")

    __or__ = __ror__ = __getitem__ = _itself
    __bool__ = __iter__ = __len__ = __str__ = __repr__ = _looked_into
    __hash__ = object.__hash__


class _StandInModule(ModuleType):
    """A module in which every name exists."""

    def __getattr__(self, name: str) -> StandIn:
        if name.startswith("__"):
            raise AttributeError(name)
        return StandIn(f"{self.__name__}.{name}")


class _Finder(MetaPathFinder, Loader):
    def find_spec(self, name: str, path: Sequence[str] | None, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(name, self, is_package=True) if name.partition(".")[0] in HEAVY else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _StandInModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run: names are made on access."""


def attempt(work: Callable[[], int]) -> int | None:
    """Does ``work`` with stand-ins, in a copy of this process that ends with it.

    Returns:
        Its exit status; None if it has to be done here: stand-ins were not enough, torch is here already, or somebody
        in this process collects the output, which would be lost in a copy.
    """
    if "torch" in sys.modules or sys.stdout is not sys.__stdout__:
        return None
    parent = os.getpid()
    with signals.held():
        copy = os.fork()
        if copy == 0:
            signals.end_with_parent(parent)
            os._exit(_status(work))
    try:
        status = os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1])
    except KeyboardInterrupt:
        os.kill(copy, signal.SIGKILL)
        raise
    return None if status == _NOT_ENOUGH else status


def active() -> bool:
    """Whether this process has stand-ins."""
    return any(isinstance(finder, _Finder) for finder in sys.meta_path)


def _status(work: Callable[[], int]) -> int:
    sys.meta_path.insert(0, _Finder())
    try:
        status = work()
    except BaseException:  # the same is done without stand-ins, and fails with the true reason if it does
        return _NOT_ENOUGH
    with suppress(BrokenPipeError):
        sys.stdout.flush()
    return status

"""Which function recomputes which kind of case. Every file in `handlers` is imported; no list to extend."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from functools import cache

from .case import Case

Handler = Callable[[Case], None]

_HANDLERS: dict[str, Handler] = {}


def handler(*kinds: str) -> Callable[[Handler], Handler]:
    """Register the function that recomputes the cases of these kinds.

    A kind is a prefix of case names, or the name of a folder in a data tree.

    Raises:
        ValueError: a kind has a handler already.
    """

    def register(function: Handler) -> Handler:
        for kind in kinds:
            if kind in _HANDLERS:
                raise ValueError(
                    f"two handlers for kind {kind!r}: {_HANDLERS[kind].__module__}, {function.__module__}"
                )
            _HANDLERS[kind] = function
        return function

    return register


@cache
def handlers() -> dict[str, Handler]:
    """Import every file of the handlers folder and return what they registered."""
    from . import handlers as package

    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return _HANDLERS


def kind_of(case: str, kinds: Iterable[str]) -> str | None:
    """Return the longest kind that the name of a case starts with, if there is one."""
    return max((kind for kind in kinds if case.startswith(kind)), key=len, default=None)

"""Running one case."""

from __future__ import annotations

from .case import Case
from .discovery import CaseFile
from .registry import handlers, kind_of


def open_case(file: CaseFile) -> Case:
    """Return the case with its kind.

    Raises:
        AssertionError: no handler knows the kind.
    """
    kind = kind_of(file.name, handlers())
    assert kind is not None, (
        f"no handler for kind {file.name!r} ({file.path}); register one in tests/conformance/handlers/. "
        f"Known kinds: {', '.join(sorted(handlers()))}"
    )
    return Case(file.name, kind, file.path)


def run_case(case: Case) -> None:
    """Recompute a case and compare everything that was recorded.

    Raises:
        AssertionError: a result is wrong or was not compared.
    """
    handlers()[case.kind](case)
    case.finish()

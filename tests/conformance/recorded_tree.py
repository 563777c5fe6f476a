"""A recorded JSON file of a data tree, every value of which has to be compared or used."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from .case import Case, Comparable


class RecordedTree:
    """The values of a file by their path, for example ``cases/absent_classes/FADA/mIoU``.

    Lists of numbers and texts are one value; lists of objects have a number for each.

    Args:
        case: whose comparisons these are.
        file: the JSON file.
    """

    def __init__(self, case: Case, file: Path) -> None:
        self.case = case
        self.name = file.stem
        self.content: Any = json.loads(file.read_text(encoding="utf-8"))
        self._left = dict(_leaves(self.content, ""))

    def __contains__(self, path: str) -> bool:
        return path in self._left or any(known.startswith(f"{path}/") for known in self._left)

    def value(self, path: str) -> Any:
        """A value that says what to compute."""
        found = self._at(path)
        for known in [known for known in self._left if known == path or known.startswith(f"{path}/")]:
            del self._left[known]
        return found

    def expect(self, path: str, got: Comparable, *, atol: float = 0.0, rtol: float = 0.0) -> None:
        """Compares a result with the value at ``path``, exactly unless a tolerance is given."""
        expected = self._at(path)
        self._left.pop(path, None)
        self.case.expect(f"{self.name}/{path}", got, expected, atol=atol, rtol=rtol)

    def finish(self, texts: Sequence[str]) -> None:
        """Checks that nothing is left but ``texts``, patterns of paths that only tell the reader something.

        Raises:
            AssertionError: a recorded value was neither compared nor used.
        """
        left = [path for path in self._left if not any(fnmatchcase(path, text) for text in texts)]
        assert not left, f"{self.name}: recorded values that the handler did not compare: {', '.join(left)}"

    def _at(self, path: str) -> Any:
        found: Any = self.content
        while path:
            if isinstance(found, list):
                key, _, path = path.partition("/")
                found = found[int(key)]
            elif path in found:
                return found[path]
            else:  # keys may hold slashes
                key = max((k for k in found if path.startswith(f"{k}/")), key=len)
                found, path = found[key], path.removeprefix(f"{key}/")
        return found


def _leaves(content: Any, path: str) -> Iterator[tuple[str, Any]]:
    entries: list[tuple[Any, Any]] = []
    if isinstance(content, dict):
        entries = list(content.items())
    elif isinstance(content, list) and any(isinstance(item, dict) for item in content):
        entries = list(enumerate(content))
    if not entries:
        yield path, content
    for key, item in entries:
        yield from _leaves(item, f"{path}/{key}" if path else str(key))

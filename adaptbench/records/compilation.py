"""What became of --compile: which parts of the networks ran compiled."""

from __future__ import annotations

from collections.abc import Iterable

from adaptbench.records.documents import Part


class Compilation(Part):
    """Parts of the networks by name, such as ``student.backbone``, each in one of two lists.

    Attributes:
        compiled: those that ran compiled all the time.
        uncompiled: those that did not, since the compiler could not take them; the log says why.
    """

    compiled: list[str]
    uncompiled: list[str]

    def __str__(self) -> str:
        if not self.compiled:
            return "no"
        return f"but for {', '.join(self.uncompiled)}" if self.uncompiled else "yes"


def joined(found: Iterable[Compilation]) -> Compilation:
    """Of several trainings: a part counts as compiled if it was in all that used it."""
    known = list(found)
    uncompiled = {name for one in known for name in one.uncompiled}
    compiled = {name for one in known for name in one.compiled} - uncompiled
    return Compilation(compiled=sorted(compiled), uncompiled=sorted(uncompiled))

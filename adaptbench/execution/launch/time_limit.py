"""How long a job may take (--timeout)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from adaptbench.errors import UsageError

_NUMBER = r"(\d+(?:\.\d+)?)"
_DURATION = re.compile(rf"(?:{_NUMBER}d)?(?:{_NUMBER}h)?(?:{_NUMBER}m)?(?:{_NUMBER}s)?")
_SECONDS = (86_400, 3600, 60, 1)


def seconds_of(text: str) -> float:
    """The duration behind ``2h``, ``1h30m``, ``90m``, ``45s`` or ``1.5d``; a ValueError for any other text."""
    found = _DURATION.fullmatch("".join(text.split()).lower())
    parts = zip(found.groups(default="0"), _SECONDS, strict=True) if found else ()
    seconds = sum(float(number) * unit for number, unit in parts)
    if not seconds:
        raise ValueError("give a duration with its unit, like 2h, 1h30m, 90m or 45s")
    return seconds


@dataclass(frozen=True)
class TimeLimit:
    """The longest time that a job may run before it is asked to save and stop; in no hash."""

    text: str
    seconds: float

    @classmethod
    def parse(cls, text: str) -> TimeLimit:
        """The limit behind a duration, as `seconds_of` reads it; a UsageError for any other text."""
        try:
            return cls(text, seconds_of(text))
        except ValueError as error:
            raise UsageError(f"--timeout {text!r}: {error}.") from error

    @property
    def reason(self) -> str:
        """What the status of a stopped job says."""
        return (
            f"Stopped by --timeout {self.text}; what is trained is kept. "
            "Run again to go on, with more time if it stops at the same place."
        )

"""Planted mistakes: each must make a recorded case fail."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from .discovery import discover
from .runner import open_case, run_case
from .test_golden import COPIED


@dataclass(frozen=True)
class Mutation:
    """A mistake: what replaces the attribute of a module or class, and the kind of case that must notice."""

    mistake: str
    kind: str
    owner: object
    attribute: str
    replacement: object

    def __str__(self) -> str:
        return self.mistake.replace(" ", "_")


def assert_noticed(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plants the mistake and expects one of the cases of its kind to fail."""
    cases = [open_case(file) for file in discover(COPIED, [mutation.kind])]
    monkeypatch.setattr(mutation.owner, mutation.attribute, mutation.replacement)
    with pytest.raises(AssertionError):
        for case in cases:
            run_case(case)

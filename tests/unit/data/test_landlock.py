"""Why there is no kernel's wall, in words."""

from __future__ import annotations

import errno
import sys

import pytest

from adaptbench.data import landlock


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (errno.ENOSYS, "the kernel has none, or hides it"),
        (errno.EPERM, "the kernel has none, or hides it"),
        (errno.EOPNOTSUPP, "switched off"),
        (-1, "too old"),
        (-2, None),
        (-7, None),
    ],
)
def test_missing(answer: int, reason: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    def call(*_: object) -> int:
        if answer > 0:
            raise OSError(answer, "refused")
        return -answer

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(landlock, "_call", call)
    found = landlock.missing()
    assert found is None if reason is None else reason in str(found)


def test_other_systems_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert landlock.missing() == "it is a part of Linux"

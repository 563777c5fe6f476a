"""Standard input, output and error: open however we were started, and able to take every character."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer


def prepare() -> None:
    """Opens those that are closed, and lets the others show in ASCII what their encoding has no character for.

    Else the first file that we open would get the number of standard output, and take what libraries print.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # which gets the lowest number that is free
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def silence() -> None:
    """Gives up standard output, whose reader has gone or whose disk is full, with what still waits to be written."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)


def keep_talking() -> None:
    """From now on standard output and error take every character, and lose what a full disk has no room for.

    A line of the log that cannot be written must not cost the result that it tells of.
    """
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(
            io.BufferedWriter(_Lossy(number, "w", closefd=False)),
            encoding="utf-8",
            errors="backslashreplace",
            line_buffering=True,
        )
        for number in (1, 2)
    )


class _Lossy(io.FileIO):
    def write(self, text: Buffer) -> int:
        try:
            return super().write(text)
        except OSError:
            return len(memoryview(text))

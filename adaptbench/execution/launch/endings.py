"""What to say of a process that ended without saying anything itself."""

from __future__ import annotations

import sys
import traceback
from contextlib import suppress
from pathlib import Path


def keep_traceback(folder: Path) -> None:
    """Writes that of the error that is handled to the job's folder, as far as there is room, and to its log."""
    text = traceback.format_exc()
    with suppress(OSError):
        (folder / "traceback.txt").write_text(text, encoding="utf-8", errors="backslashreplace")
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def ending(process: str, code: int | None) -> str:
    """One sentence.

    Args:
        process: what it was, as the subject of the sentence.
        code: its exit status; below zero the signal that killed it.
    """
    if code is not None and code < 0:
        return f"{process} ended without a word (killed by signal {-code}); out of memory is a common cause."
    return (
        f"{process} ended without finishing (exit status {code}); did the method call os._exit or sys.exit?"
    )

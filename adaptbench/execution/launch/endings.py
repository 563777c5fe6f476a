"""What to say of a process that ended without saying anything itself, and of an error that nobody expected."""

from __future__ import annotations

import sys
import traceback
from contextlib import suppress
from pathlib import Path

from adaptbench.errors import AdaptBenchError, advice, printable

#: Exit statuses of a job: its reason is in its status; it saved because it was asked to stop; it waits for a stage.
EXIT_FAILED, EXIT_INTERRUPTED, EXIT_WAITING = 1, 130, 75

_LESS_MEMORY = "fewer jobs at once (--jobs 1), --activation-checkpointing or --accumulate need less"
#: How the system, torch and OpenCV say that there is no memory left; most of their errors have no kind of their own.
_NO_MEMORY = (
    "annot allocate memory",
    "can't allocate memory",
    "out of memory",
    "bad_alloc",
    "Insufficient memory",
)


def keep_traceback(folder: Path) -> None:
    """Writes that of the error that is handled to the job's folder, as far as there is room, and to its log."""
    text = "".join(f"{printable(line)}\n" for line in traceback.format_exc().splitlines())
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
        return (
            f"{process} ended without a word (killed by signal {-code}); out of memory is a common cause: "
            f"{_LESS_MEMORY}. Run again to go on."
        )
    return (
        f"{process} ended without finishing (exit status {code}); did the method call os._exit or sys.exit?"
    )


def reason_of(error: BaseException) -> str:
    """Why a job failed, for its status: what the user can do is in errors of ours, and said of memory here."""
    if isinstance(error, AdaptBenchError):
        return str(error)
    text = printable(f"{type(error).__name__}: {error}")
    if isinstance(error, MemoryError) or any(words in text for words in _NO_MEMORY):
        return f"Out of memory: {_LESS_MEMORY}. Run again to go on. ({text})"
    remedy = advice(error) if isinstance(error, OSError) else ""
    return f"{text}. {remedy}" if remedy else text

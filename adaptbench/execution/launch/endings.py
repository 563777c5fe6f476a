"""What to say of a process that ended without saying anything itself."""

from __future__ import annotations


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

"""What a process does with the memory of freed tensors."""

from __future__ import annotations

import contextlib
import ctypes

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_KEPT_BYTES = 32 << 20  # the most that glibc accepts


def keep() -> None:
    """Lets the process keep it up to 32 MiB (glibc; elsewhere nothing).

    Handing it back to the kernel and asking for it again costs a small training a tenth of its time.
    """
    with contextlib.suppress(AttributeError, OSError):
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
        library.mallopt(_M_TRIM_THRESHOLD, -1)

"""Small and read-only disks, mounted for the process that asks and its forks alone."""

from __future__ import annotations

import ctypes
import os
import subprocess
from functools import cache
from pathlib import Path

_NEW_MOUNTS = 0x00020000


def own_mounts() -> None:
    """What this process mounts from now on is seen by nobody else; an OSError where that is not allowed."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_MOUNTS) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    _mount("--make-rprivate", "/")


def small_disk(folder: Path, size: str) -> None:
    """Puts an empty disk of ``size``, for example ``4m``, in the place of a folder."""
    _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))


def enlarge(folder: Path, size: str) -> None:
    _mount("-o", f"remount,size={size}", str(folder))


def fill(folder: Path) -> None:
    """Leaves no byte on the disk of ``folder``."""
    with (folder / "filler").open("ab", buffering=0) as file:
        for block in (1 << 20, 1 << 12):
            try:
                while file.write(bytes(block)) == block:
                    pass
            except OSError:
                pass


def read_only(folder: Path) -> None:
    _mount("--bind", str(folder), str(folder))
    _mount("-o", "remount,bind,ro", str(folder))


@cache
def refused() -> str:
    """Why nothing can be mounted here; empty if it can."""
    pid = os.fork()
    if pid == 0:
        try:
            own_mounts()
            os._exit(0)
        except (OSError, subprocess.SubprocessError):
            os._exit(1)
    return "mounting is not allowed here" if os.waitpid(pid, 0)[1] else ""


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)

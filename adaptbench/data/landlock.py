"""Landlock, the sandbox of the Linux kernel: a process and all that it starts can read only what it was granted.

Rules are bound to files and folders themselves and not to their names, so that renaming anything changes nothing. They
can be added to, never taken back: see https://docs.kernel.org/userspace-api/landlock.html.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import stat
import sys
from collections.abc import Iterable

# Numbers of the system calls, the same on all machines but Alpha.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION = 1
_PATH_BENEATH = 1
_READ_FILE = 1 << 2
#: To link or move a file to another folder. Where it is not granted, and before version 2 of Landlock anywhere, such a
#: move fails as one between file systems does.
_REFER = 1 << 13
_OLDEST = 2
_NO_NEW_PRIVILEGES = 38

#: The file is gone, or cannot be reached by this user anyway.
_PASSED_OVER = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM})


class _Ruleset(ctypes.Structure):
    _fields_ = (("handled", ctypes.c_uint64),)


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def missing() -> str | None:
    """Why this machine has no Landlock that can be used; None where it has."""
    if not sys.platform.startswith("linux"):
        return "it is a part of Linux"
    try:
        version = _call(_CREATE_RULESET, None, ctypes.c_size_t(0), _ASK_VERSION)
    except OSError as error:
        return "it is switched off" if error.errno == errno.EOPNOTSUPP else "the kernel has none, or hides it"
    return None if version >= _OLDEST else "the kernel's is too old; Linux 5.19 has what is needed"


def restrict(readable: Iterable[str]) -> None:
    """Lets this thread, and all that it starts from now on, read nothing but what is listed. Cannot be undone.

    Files that are open stay open, and writing is as it was. Nothing can be moved or linked out of a folder that is not
    listed, or into one.

    Args:
        readable: files, and folders with all that is or will be in them. Links are passed over, and so is what is gone.

    Raises:
        OSError: the kernel refuses.
    """
    ruleset = _call(
        _CREATE_RULESET,
        ctypes.byref(_Ruleset(_READ_FILE | _REFER)),
        ctypes.c_size_t(ctypes.sizeof(_Ruleset)),
        0,
    )
    try:
        for path in readable:
            _grant(ruleset, path)
        _library().prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _grant(ruleset: int, path: str) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _PASSED_OVER:
            return
        raise
    try:
        _add_rule(ruleset, handle)
    finally:
        os.close(handle)


def _add_rule(ruleset: int, handle: int) -> None:
    mode = os.fstat(handle).st_mode
    if stat.S_ISLNK(mode):
        return
    rights = _READ_FILE | _REFER if stat.S_ISDIR(mode) else _READ_FILE
    try:
        _call(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(_Beneath(rights, handle)), 0)
    except OSError as error:
        if error.errno != errno.EBADFD:  # of file systems that nobody can see, which Landlock leaves alone
            raise


@functools.cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(number: int, *arguments: object) -> int:
    result: int = _library().syscall(number, *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result

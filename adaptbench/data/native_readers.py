"""Readers that open files in native code, where Python's audit hooks do not see it, made to announce each file."""

from __future__ import annotations

import functools
import os
import posix
import sys
from collections.abc import Callable
from typing import Any

import cv2
import torch
import torchvision.io
import torchvision.io.image

#: The audit event; its argument is the path.
EVENT = "adaptbench.read"

_READERS: tuple[tuple[Any, str], ...] = (
    (cv2, "imread"),
    (cv2, "imreadWithMetadata"),
    (cv2, "imreadmulti"),
    (cv2, "imreadanimation"),
    (cv2, "imcount"),
    (cv2, "haveImageReader"),
    (torch, "from_file"),
    (torch.UntypedStorage, "from_file"),
    (torchvision.io, "read_file"),
    (torchvision.io.image, "read_file"),  # behind read_image and decode_image
    (torch.ops.image, "read_file"),  # behind both
)


@functools.cache
def announce() -> None:
    """Wraps the readers of this process, once."""
    for owner, name in _READERS:
        if hasattr(owner, name):
            wrapped = _Announced(getattr(owner, name))
            setattr(owner, name, staticmethod(wrapped) if isinstance(owner, type) else wrapped)
    setattr(cv2, "VideoCapture", _video(cv2.VideoCapture))  # noqa: B010 - mypy: a class
    os.open = posix.open = _placed(os.open)  # type: ignore[assignment,attr-defined,unused-ignore]
    os.supports_dir_fd.add(os.open)


class _Announced:
    """A reader that tells which file it opens; in all else it is that reader."""

    def __init__(self, reader: Callable[..., Any]) -> None:
        self._reader = reader
        functools.update_wrapper(self, reader)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        _tell(args, kwargs)
        return self._reader(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)


def _tell(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Every one of these readers takes the path first, and calls it ``filename`` or ``path``."""
    for value in (*args[:1], kwargs.get("filename"), kwargs.get("path")):
        sys.audit(EVENT, value)


def _video(video: type[Any]) -> type[Any]:
    class VideoCapture(video):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            _tell(args, kwargs)
            super().__init__(*args, **kwargs)

        def open(self, *args: Any, **kwargs: Any) -> Any:
            _tell(args, kwargs)
            return super().open(*args, **kwargs)

    return VideoCapture


def _placed(opener: Callable[..., int]) -> Callable[..., int]:
    """`os.open`, which does not tell audit hooks of the folder that a name is relative to."""

    @functools.wraps(opener)
    def open_file(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if dir_fd is not None:
            sys.audit(EVENT, joined(path, dir_fd))
        return opener(path, flags, mode, dir_fd=dir_fd)

    return open_file


def joined(path: Any, handle: object) -> Any:
    """A path that is relative to an open folder, in full; unchanged where that cannot be found out."""
    if not isinstance(handle, int) or handle < 0 or not isinstance(path, (str, bytes, os.PathLike)):
        return path
    try:
        return os.path.join(_folder(handle), os.fsdecode(path))  # noqa: PTH118
    except OSError:
        return path


def _folder(handle: int) -> str:
    """The path of an open folder."""
    if sys.platform == "darwin":
        import fcntl

        return os.fsdecode(fcntl.fcntl(handle, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0"))
    return os.readlink(f"/proc/self/fd/{handle}")  # noqa: PTH115

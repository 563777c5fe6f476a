"""The label firewall: a training process cannot open what it must not know.

`seal` installs an audit hook that refuses to open any file below the forbidden folders. Such a hook cannot
be removed, so that the process stays sealed until it ends; evaluation happens in another process. The image
readers that open files in native code, where no audit hook sees them, are wrapped by the same check.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

import cv2
import torchvision.io

from adaptbench.errors import FirewallError

#: Readers that open files in native code, unseen by audit hooks.
_NATIVE_READERS = (
    (cv2, "imread"),
    (cv2, "imreadmulti"),
    (torchvision.io, "read_file"),
    (torchvision.io, "read_image"),
    (torchvision.io, "decode_image"),
)
_EVENTS = frozenset({"open", "os.link", "os.symlink", "os.rename", "shutil.copyfile"})


def seal(forbidden: Iterable[Path], allowed: Collection[Path] = ()) -> None:
    """Makes every later attempt of this process and its children to open a forbidden file an error.

    Args:
        forbidden: folders whose files, at any depth, are out of reach. Links are followed.
        allowed: files below them that may be opened all the same: the labels trained on.

    Raises:
        FirewallError: (later) on each attempt; names the file.
    """
    folders = tuple(os.path.join(os.path.realpath(folder), "") for folder in forbidden)  # noqa: PTH118
    exceptions = frozenset(os.path.realpath(path) for path in allowed)

    def check(name: object) -> None:
        if not isinstance(name, (str, bytes, os.PathLike)):
            return
        path = os.path.realpath(os.fsdecode(name))
        if path.startswith(folders) and path not in exceptions:
            raise FirewallError(
                f"A training process tried to open {path}, which it must not know. Training may read source "
                "labels only; target labels are for the final evaluation (the tag 'oracle' is the one exception)."
            )

    def watch(event: str, args: tuple[object, ...]) -> None:
        if event in _EVENTS:
            check(args[0])

    if folders:
        sys.addaudithook(watch)
        for module, reader in _NATIVE_READERS:
            setattr(module, reader, _checked(getattr(module, reader), check))


def _checked(reader: Callable[..., Any], check: Callable[[object], None]) -> Callable[..., Any]:
    @functools.wraps(reader)
    def read(path: object, *args: Any, **kwargs: Any) -> Any:
        check(path)
        return reader(path, *args, **kwargs)

    return read

"""The label firewall: a training process cannot open what it must not know.

`seal` installs an audit hook that refuses to open any file below the forbidden folders. Such a hook cannot
be removed, so that the process stays sealed until it ends; evaluation happens in another process. The image
readers that open files in native code, where no audit hook sees them, are wrapped by the same check.
Programs that a method starts are not watched.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import torchvision.io
import torchvision.io.image

from adaptbench.data import archives
from adaptbench.errors import FirewallError

#: Readers that open files in native code, unseen by audit hooks.
_NATIVE_READERS = (
    (cv2, "imread"),
    (cv2, "imreadmulti"),
    (cv2, "imreadanimation"),
    (torchvision.io, "read_file"),
    (torchvision.io.image, "read_file"),  # behind read_image and decode_image
)
_EVENTS = frozenset({"open", "os.link", "os.symlink", "os.rename", "shutil.copyfile"})

_Check = Callable[[object], None]
#: The checks in force in this process.
_checks: list[_Check] = []
#: What was refused in this process.
_breaches: list[str] = []


def seal(forbidden: Iterable[Path], allowed: Collection[Path] = ()) -> None:
    """Makes every later attempt of this process and its forks to open a forbidden file an error.

    Forbidden are the files in these folders, at any depth, unless they are ``allowed``: what is trained on.
    Links are followed. A folder may lie in a zip archive; the archive itself can then be read through
    `adaptbench.data.archives` only, file by file.

    Raises:
        FirewallError: (later) on each attempt; names the file.
    """
    _install()
    _checks.append(_check(forbidden, allowed))


@contextlib.contextmanager
def closed(forbidden: Iterable[Path]) -> Iterator[None]:
    """Refuses like `seal`, but only within the block.

    Raises:
        FirewallError: on each attempt to open a forbidden file; names it.
    """
    check = _check(forbidden, ())
    _install()
    _checks.append(check)
    try:
        yield
    finally:
        _checks.remove(check)


def require_intact() -> None:
    """Raises FirewallError if anything was refused so far, even where the refusal was caught."""
    if _breaches:
        raise FirewallError(_breaches[0])


def _check(forbidden: Iterable[Path], allowed: Collection[Path]) -> _Check:
    forbidden = [Path(os.path.realpath(folder)) for folder in forbidden]
    folders = tuple(os.path.join(folder, "") for folder in forbidden)  # noqa: PTH118
    containers = frozenset(str(inside[0]) for inside in map(archives.split, forbidden) if inside is not None)
    exceptions = frozenset(os.path.realpath(path) for path in allowed)

    def check(name: object) -> None:
        if not folders or not isinstance(name, (str, bytes, os.PathLike)):
            return
        path = os.path.realpath(os.fsdecode(name))
        within = f"{path}{os.sep}".startswith(folders) or path in containers
        if within and path not in exceptions:
            message = (
                f"A method tried to open {path}, which it must not know. Training may read source labels only; "
                "target labels, and in domain generalization target images, too, are for the final evaluation "
                "(the tag 'oracle' is the one exception)."
            )
            _breaches.append(message)
            raise FirewallError(message)

    return check


def _watch(event: str, args: tuple[object, ...]) -> None:
    if event in _EVENTS:
        for check in _checks:
            check(args[0])


@functools.cache
def _install() -> None:
    """Puts the checks in force before every opening of a file; once per process."""
    sys.addaudithook(_watch)
    for module, name in _NATIVE_READERS:
        if hasattr(module, name):
            setattr(module, name, _checked(getattr(module, name)))


def _checked(reader: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(reader)
    def read(path: object, *args: Any, **kwargs: Any) -> Any:
        for check in _checks:
            check(path)
        return reader(path, *args, **kwargs)

    return read

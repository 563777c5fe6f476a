"""Everything around some files: what can be granted so that they alone stay closed, and what other names they have."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

_MOUNTS = "/proc/self/mountinfo"


def parents(path: str) -> Iterator[str]:
    """The folders that an absolute path lies in, from the innermost to the root."""
    while (parent := os.path.dirname(path)) != path:  # noqa: PTH120 - called for every file that is opened
        yield parent
        path = parent


def holds(folders: Collection[str], path: str) -> bool:
    """Whether an absolute path is one of ``folders`` or lies in one."""
    return path in folders or any(parent in folders for parent in parents(path))


def around(closed: Collection[str]) -> Iterator[str]:
    """Everything that is in no closed folder: the neighbours of closed files and folders, and of what they lie in.

    A folder that is made later beside one of these is not among them.

    Raises:
        OSError: a folder that holds a closed one cannot be listed.
    """
    outermost = {path for path in closed if not any(parent in closed for parent in parents(path))}
    above = {parent for path in outermost for parent in parents(path)}
    for folder in above:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.path not in above and entry.path not in outermost:
                    yield entry.path


def linked(folders: Iterable[str]) -> set[str]:
    """Where the links lead that lie in ``folders`` at any depth, save to what holds one of the folders."""
    roots = set(folders)
    found: set[str] = set()
    pending, seen = list(roots), set(roots)
    while pending:
        for entry in _entries(pending.pop()):
            if entry.is_symlink():
                target = os.path.realpath(entry.path)
                if not any(root == target or root.startswith(f"{target}{os.sep}") for root in roots):
                    found.add(target)
                    if target not in seen and os.path.isdir(target):  # noqa: PTH112
                        seen.add(target)
                        pending.append(target)
            elif entry.is_dir(follow_symlinks=False):
                pending.append(entry.path)
    return {target for target in found if os.path.exists(target)}  # noqa: PTH110


def links_in(folder: str) -> set[str]:
    """Names of the links in a folder; none where it is not there."""
    return {entry.name for entry in _entries(folder) if entry.is_symlink()}


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:  # not there, no folder, or not for us: then nobody of ours reads in it
        return []


class Mount(NamedTuple):
    """A line of the kernel's table of mounts.

    Attributes:
        device: what is mounted.
        root: which folder of it.
        point: where.
    """

    device: str
    root: str
    point: str


def mounts(table: str = _MOUNTS) -> list[Mount]:
    """What is mounted, in the order of the kernel; nothing where there is no such table."""
    try:
        with open(table, encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123
            lines = [line.split(" ") for line in file]
    except OSError:
        return []
    return [Mount(fields[2], _plain(fields[3]), _plain(fields[4])) for fields in lines]


def _plain(text: str) -> str:
    r"""A name of the table, in which spaces are written as ``\040``."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def aliases(paths: Iterable[str], table: Iterable[Mount] | None = None) -> set[str]:
    """Other names of files and folders that are mounted in several places (bind mounts)."""
    known = mounts() if table is None else list(table)
    at = {mount.point: mount for mount in known}
    twice = _mounted_twice(known)
    found: set[str] = set()
    for path in paths:
        mount = next((at[place] for place in (path, *parents(path)) if place in at), None)
        if mount is not None and mount.device in twice:
            found.update(_others(path, mount, twice[mount.device]))
    return found


def _mounted_twice(known: Iterable[Mount]) -> Mapping[str, list[Mount]]:
    by_device: dict[str, list[Mount]] = {}
    for mount in known:
        by_device.setdefault(mount.device, []).append(mount)
    return {device: same for device, same in by_device.items() if len(same) > 1}


def _others(path: str, mount: Mount, same: Iterable[Mount]) -> Iterator[str]:
    """The names that ``path`` has through other mounts, or that a mount has of something within ``path``."""
    inside = _join(mount.root, os.path.relpath(path, mount.point))
    for other in same:
        if other is mount:
            continue
        if holds({other.root}, inside):
            name, original = _join(other.point, os.path.relpath(inside, other.root)), path
        elif holds({inside}, other.root):
            name, original = other.point, _join(path, os.path.relpath(other.root, inside))
        else:
            continue
        if name != original and _same(name, original):
            yield name


def _join(folder: str, rest: str) -> str:
    return os.path.normpath(os.path.join(folder, rest))  # noqa: PTH118


def _same(one: str, two: str) -> bool:
    try:
        return os.path.samefile(one, two)  # noqa: PTH121
    except OSError:
        return False

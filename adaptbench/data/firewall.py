"""The label firewall: a training process cannot open what it must not know.

`seal` puts up two walls, for good. The first is the kernel's (`adaptbench.data.landlock`, Linux): whatever this process
or a program that it starts does, forbidden files cannot be opened. The second is a Python audit hook, which cannot be
removed either: it is there on every system, names the file, and notes the attempt, so that the job fails even if the
method caught the error. Evaluation happens in another process, which is not sealed but uses the hook, too (`closed`).
``docs/reliability.md`` says which wall holds what.
"""

from __future__ import annotations

import contextlib
import functools
import mmap
import os
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from adaptbench.data import archive_keeper, archives, audit_events, landlock, native_readers, surroundings
from adaptbench.errors import FirewallError, printable

_NOTE_BYTES = 4096
_EXIT_UNHEARD = 74
#: Below it, trainings make files that they read: nothing there can be closed by granting what is around it.
SHARED_MEMORY = "/dev"

_Watch = Callable[[str, tuple[object, ...]], None]
_Note = Callable[[str], None]
#: The walls of the blocks that this process is in, see `closed`.
_walls: list[_Watch] = []
#: Threads that are in none of them: what the package reads while code of a method runs in a block.
_outside = threading.local()
#: What was refused in such blocks.
_breaches: list[str] = []


class Notes:
    """What was refused first, in this process or in one that was forked from it since."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, _NOTE_BYTES)

    def add(self, message: str) -> None:
        """Keeps a message, if it is the first."""
        if not self._shared[0]:
            text = message.encode(errors="backslashreplace")[: _NOTE_BYTES - 1]
            self._shared[1 : 1 + len(text)] = text
            self._shared[0] = 1

    @property
    def first(self) -> str | None:
        """The message."""
        return self._shared[1:].rstrip(b"\0").decode(errors="ignore") if self._shared[0] else None


_sealed: list[Notes] = []


def seal(
    forbidden: Iterable[Path],
    allowed: Collection[Path] = (),
    *,
    opened: Iterable[Path] = (),
    used: Iterable[Path] = (),
    line: int | None = None,
) -> str | None:
    """Makes every later attempt of this process, and of what it starts, to open a forbidden file an error.

    Args:
        forbidden: folders whose files, at any depth, are out of reach. Links are followed, those in them as well. A
            folder may lie in a zip archive; the archive itself can then be read through `adaptbench.data.archives`
            only, file by file, and has to be open.
        allowed: files below them that may be opened all the same: what is trained on.
        opened: folders below them in which files may be written and read all the same; not those in which anything else
            lies that is forbidden, or that lie in it.
        used: folders that may be written to and read from. Those that are not there yet are made where need be: the
            kernel's wall closes what appears later beside a forbidden folder, or beside one that holds it.
        line: a pipe that takes what was refused; whoever holds the other end learns of it in any case.

    Returns:
        Why the kernel's wall is missing; None where it stands.

    Raises:
        FirewallError: code of a method started threads before; they would stay outside. Also (later) on each attempt;
            names the file.
    """
    if len(sys._current_frames()) > 1:
        raise FirewallError(
            "A method started threads before its training, which the label firewall could not reach. Start them in "
            "the training step."
        )
    area = _area(forbidden, allowed, deep=True, opened=opened)
    lacking = _close_in_kernel(area, used)
    notes = Notes()
    _sealed.append(notes)
    _install()
    sys.addaudithook(_watch(area, functools.partial(_report, notes, line)))
    return lacking


@contextlib.contextmanager
def closed(forbidden: Iterable[Path]) -> Iterator[None]:
    """Refuses like `seal`, but only within the block, and by the audit hook alone.

    Raises:
        FirewallError: on each attempt to open a forbidden file; names it.
    """
    wall = _watch(_area(forbidden, (), deep=False), _breaches.append)
    _install()
    _walls.append(wall)
    try:
        yield
    finally:
        _walls.remove(wall)


def stand_outside() -> None:
    """Lets this thread open what is `closed` to others, not what `seal` closed. No code of a method may run in it."""
    _outside.here = True


def require_intact() -> None:
    """Raises FirewallError if anything was refused so far, here or in a fork, even where the refusal was caught."""
    for message in (*_breaches, *(notes.first for notes in _sealed)):
        if message is not None:
            raise FirewallError(message)


def _report(notes: Notes, line: int | None, message: str) -> None:
    """Notes a refusal. A process that has closed the line, so that it could not be heard, ends here."""
    first, message = notes.first is None, printable(message)
    notes.add(message)
    if line is None or not first:
        return
    try:
        os.write(line, f"{message}\n".encode(errors="backslashreplace"))
    except OSError:
        sys.stderr.write(f"{message}\n")
        sys.stderr.flush()
        os._exit(_EXIT_UNHEARD)


@dataclass(frozen=True)
class _Area:
    """What is out of reach, as absolute paths without links.

    Attributes:
        closed: files, and folders with all that is in them.
        named: the same under the names that were given, where links make them others.
        containers: zip archives with closed folders; what else is in them may be read.
        exceptions: files in them that may be opened.
        opened: folders in them whose files may be.
        above: folders that a closed one lies in. Were one renamed, nobody could tell any more what is closed.
    """

    closed: frozenset[str]
    named: frozenset[str]
    containers: frozenset[str]
    exceptions: frozenset[str]
    opened: frozenset[str]
    above: frozenset[str]

    def holds(self, path: str) -> bool:
        """Whether an absolute path, which may go through links, leads to something closed."""
        real = os.path.realpath(path)
        if real in self.exceptions:
            return False
        if real in self.containers:
            return True
        if self.opened and surroundings.holds(self.opened, real):
            return False
        return surroundings.holds(self.closed, real) or surroundings.holds(self.named, os.path.abspath(path))  # noqa: PTH100


def _area(
    forbidden: Iterable[Path], allowed: Collection[Path], *, deep: bool, opened: Iterable[Path] = ()
) -> _Area:
    """What is closed; ``deep`` also looks for links in it and for mounts of it in other places."""
    named = [os.path.abspath(folder) for folder in forbidden]  # noqa: PTH100
    folders = {os.path.realpath(folder) for folder in named}
    containers = {str(inside[0]) for inside in map(archives.split, map(Path, folders)) if inside is not None}
    closed = set(folders)
    if deep:
        closed |= surroundings.linked(folders)
        closed |= surroundings.aliases(closed)
        containers |= surroundings.aliases(containers)
    return _Area(
        closed=frozenset(closed),
        named=frozenset(named) - closed,
        containers=frozenset(containers),
        exceptions=frozenset(_real_files(allowed)),
        opened=frozenset(_open_alone(opened, closed | containers)),
        above=frozenset(parent for path in closed | containers for parent in surroundings.parents(path)),
    )


def _open_alone(folders: Iterable[Path], closed: Collection[str]) -> Iterator[str]:
    """The folders, without links, that lie in one closed folder and have to do with no other."""
    for real in map(os.path.realpath, folders):
        around = [path for path in closed if real == path or real.startswith(f"{path}{os.sep}")]
        if (
            len(around) == 1
            and real not in closed
            and not any(path.startswith(f"{real}{os.sep}") for path in closed)
        ):
            yield real


def _real_files(paths: Iterable[Path]) -> Iterator[str]:
    """The files without links; each folder is looked at once."""
    real_folder, links_in = functools.cache(os.path.realpath), functools.cache(surroundings.links_in)
    for path in paths:
        folder, name = os.path.split(str(path))
        real = real_folder(folder)
        file = f"{real}{os.sep}{name}"
        yield os.path.realpath(file) if name in links_in(real) else file


def _close_in_kernel(area: _Area, used: Iterable[Path]) -> str | None:
    """Lets the kernel refuse what is closed; why it cannot, where it cannot."""
    closed = {path for path in area.closed | area.containers if os.path.lexists(path)}
    if not closed:
        return None
    if reason := landlock.missing():
        return f"Landlock is missing: {reason}"
    if any(surroundings.holds({SHARED_MEMORY}, path) for path in closed):
        return f"labels lie in {SHARED_MEMORY}, where trainings share memory"
    inside = functools.cache(functools.partial(surroundings.holds, closed))
    excepted = {path for path in area.exceptions if path in closed or inside(os.path.dirname(path))}  # noqa: PTH120
    try:
        _make(used, area.above)
        _hand_over_archives(area)
        landlock.restrict([*surroundings.around(closed), *excepted, *filter(os.path.lexists, area.opened)])
    except OSError as error:
        return f"the kernel or the file system refused ({error})"
    return None


def _hand_over_archives(area: _Area) -> None:
    """Gives the archives that hold something closed to a process that hands out the rest."""
    folders = [path for path in area.closed if not os.path.lexists(path)]
    held = []
    for each in archives.opened():
        top = os.path.join(os.path.realpath(each.path), "")  # noqa: PTH118
        inside = [path.removeprefix(top) for path in folders if path.startswith(top)]
        if any(map(each.holds_folder, inside)) or surroundings.holds(area.closed, os.path.dirname(top)):  # noqa: PTH120
            held.append(each)
    if held:
        archive_keeper.hand_over(held, area.holds)


def _make(folders: Iterable[Path], above: Collection[str]) -> None:
    """Makes folders that would be closed if they were made later."""
    for folder in map(Path, map(os.path.realpath, folders)):
        nearest = next(place for place in (folder, *folder.parents) if place.exists())
        if nearest != folder and str(nearest) in above:
            with contextlib.suppress(OSError):  # then nobody can make it later, either
                folder.mkdir(parents=True, exist_ok=True)


def _watch(area: _Area, note: _Note) -> _Watch:
    """An audit hook that refuses what is closed."""

    def refuse(path: str, what: str) -> None:
        message = (
            f"A method tried to {what} {path}, which it must not know. Training may read source labels only; "
            "target labels, and in domain generalization target images, too, are for the final evaluation "
            "(the tag 'oracle' is the one exception)."
        )
        note(message)
        raise FirewallError(message)

    def watch(event: str, args: tuple[object, ...]) -> None:
        for path in audit_events.paths(event, args):
            if area.holds(path):
                refuse(os.path.realpath(path), "open")
            if event == "os.rename" and os.path.realpath(path) in area.above:
                refuse(os.path.realpath(path), "rename")

    return watch


def _watch_blocks(event: str, args: tuple[object, ...]) -> None:
    if getattr(_outside, "here", False):
        return
    for wall in _walls:
        wall(event, args)


@functools.cache
def _install() -> None:
    """Makes all readers announce what they open; once per process."""
    sys.addaudithook(_watch_blocks)
    native_readers.announce()

"""Claims: who works on a folder, on any number of machines that share a file system.

The turns of a folder are files in ``FOLDER/.claim``, named 1, 2, 3 and so on; the last one counts. An odd turn is
somebody's, an even one nobody's. Who wants the folder makes the next odd file, which the file system lets one process
alone do (O_EXCL); who has done makes the even one after it. So a process that looked long ago takes nothing: its turn
is there already, or a later one is. Locks (flock) are not asked for, which not all shared file systems have.

While somebody has a turn, it touches the file: its heartbeat. Others take the next odd turn if the heartbeat stopped,
by the time of the file system, which is that of a file made now, or by what they saw themselves; no clocks of machines
are compared. On the machine of the holder it counts whether its process is there, and nothing else. Who was given up
wrongly, as it was suspended, learns so from its next heartbeat.
"""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from adaptbench.storage.atomic import cannot_write

#: Name of the folder of turns, in the folder that is claimed.
FOLDER = ".claim"
#: Between two heartbeats, and without any until others take over. Units: seconds.
BEAT_SECONDS, LEASE_SECONDS = 10.0, 120.0
#: How long we wait for processes to end that lost their leader; some wait in vain to be reaped. Units: seconds.
DYING_SECONDS = 5.0
#: How long a time of the file system is carried on by our own clock. Units: seconds.
_SAME_TIME_SECONDS = 30.0
#: Between two tries to get a folder that somebody has for a moment. Units: seconds.
_POLL_SECONDS = 0.02
_LARGEST = 4096
_PROC = Path("/proc")


class Holder(BaseModel):
    """Who has a turn.

    Attributes:
        worker: name of the command that it works for.
        machine: the same for all processes that see each other by their ids; empty = nobody else.
        pid: its process.
        born: when that began, as the system counts; tells it from a later one with its number.
        leads: whether the process leads a group, whose others may outlive it for a moment.
        lease: without a heartbeat for that long, others take over. Units: seconds.
    """

    model_config = ConfigDict(frozen=True)

    worker: str
    machine: str
    pid: int
    born: int
    leads: bool
    lease: float

    @property
    def near(self) -> bool:
        """Whether its process can be seen from here, if it is there."""
        return bool(self.machine) and self.machine == machine()

    @property
    def there(self) -> bool:
        """Whether its process is."""
        return _exists(self.pid) and _born(self.pid) in (self.born, None)

    @property
    def has_left_others(self) -> bool:
        """Whether its process is gone, and others of the group that it led are not yet."""
        return self.leads and _exists(-self.pid)


@dataclass(frozen=True)
class Turn:
    """The last turn of a folder; 0 where there never was one.

    Attributes:
        holder: None if it is nobody's, or who made it could not say or has not yet.
        beat: time of the last heartbeat, by the file system. Units: seconds.
    """

    number: int = 0
    holder: Holder | None = None
    beat: float = 0.0

    @property
    def held(self) -> bool:
        """Whether it is somebody's, who may be gone."""
        return self.number % 2 == 1

    @property
    def lease(self) -> float:
        """How long its holder may be silent. Units: seconds."""
        return LEASE_SECONDS if self.holder is None else self.holder.lease


@dataclass(frozen=True)
class Claim:
    """A turn that is ours."""

    folder: Path
    number: int

    def beat(self) -> bool:
        """Says that we are still here; whether the turn is still ours."""
        try:
            os.utime(_file(self.folder, self.number))  # without a time: the file system's own
        except FileNotFoundError:
            return False
        return self.ours

    @property
    def ours(self) -> bool:
        """Whether nobody has taken over."""
        return max(_numbers(self.folder), default=0) == self.number

    def release(self) -> None:
        """Leaves the folder to others; on a full disk by taking the turn back."""
        with contextlib.suppress(OSError):
            if not self.ours:
                return
            with contextlib.suppress(OSError):
                _make(self.folder, self.number + 1, "")
            _file(self.folder, self.number).unlink(missing_ok=True)


class Watch:
    """Tells over time which holders are gone, of folders on one file system."""

    def __init__(self) -> None:
        self._seen: dict[
            Path, tuple[int, float, float]
        ] = {}  # number and heartbeat of a turn; when it was new to us
        self._time: tuple[float, float] | None = None  # the file system's, and when it was by our clock

    def held(self, folder: Path) -> bool:
        """Whether somebody has the folder, who is there."""
        turn = last_turn(folder)
        return turn.held and not self.gone(folder, turn)

    def gone(self, folder: Path, turn: Turn) -> bool:
        """Whether the holder of a turn has ended, or is silent for longer than its lease."""
        holder = turn.holder
        if holder is None or not holder.near:
            return self.silence(folder, turn) > turn.lease or self._unchanged(folder, turn) > turn.lease
        if holder.there:
            return False
        return not holder.has_left_others or self._unchanged(folder, turn) > DYING_SECONDS

    def silence(self, folder: Path, turn: Turn) -> float:
        """How long ago the last heartbeat was, by the time of the file system. Units: seconds."""
        now = time.monotonic()
        if self._time is None or now - self._time[1] > _SAME_TIME_SECONDS:
            self._time = (shared_time(folder), now)
        return self._time[0] + now - self._time[1] - turn.beat

    def _unchanged(self, folder: Path, turn: Turn) -> float:
        """For how long we saw no heartbeat, by a clock that cannot be set: times of files may be far ahead."""
        now = time.monotonic()
        if self._seen.get(folder, ())[:2] != (turn.number, turn.beat):
            self._seen[folder] = (turn.number, turn.beat, now)
        return now - self._seen[folder][2]


def last_turn(folder: Path) -> Turn:
    """The turn that counts."""
    number = max(_numbers(folder), default=0)
    if number % 2 == 0:
        return Turn(number)
    try:
        with _file(folder, number).open("rb") as file:  # opening makes NFS ask the server
            return Turn(number, _holder(file.read(_LARGEST)), os.fstat(file.fileno()).st_mtime)
    except FileNotFoundError:  # a later one came meanwhile
        return last_turn(folder)


def take(folder: Path, after: Turn, worker: str) -> Claim | None:
    """The turn after one that is nobody's, or whose holder is gone or gives it to us; None if another was faster.

    Raises:
        RunStateError: the folder cannot be written.
    """
    number = after.number + 1 + after.number % 2
    try:
        _file(folder, number).parent.mkdir(parents=True, exist_ok=True)
        if not _make(folder, number, _us(worker).model_dump_json()):
            return None
        numbers = _numbers(folder)
    except OSError as error:
        raise cannot_write(folder / FOLDER, error) from error
    if max(numbers, default=0) > number:  # what we had looked at was long ago
        _file(folder, number).unlink(missing_ok=True)
        return None
    for earlier in numbers:
        if earlier < number:
            _file(folder, earlier).unlink(missing_ok=True)
    return Claim(folder, number)


def take_free(folder: Path, watch: Watch, worker: str) -> Claim | None:
    """The next turn of a folder that nobody has who is there; None if somebody has.

    Raises:
        RunStateError: the folder cannot be written.
    """
    turn = last_turn(folder)
    return None if turn.held and not watch.gone(folder, turn) else take(folder, turn, worker)


@contextlib.contextmanager
def kept(claim: Claim, lost: Callable[[], object]) -> Iterator[Claim]:
    """Keeps the heartbeat of a claim while the block runs, and releases it; ``lost`` is called if others took over."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(BEAT_SECONDS):
            with contextlib.suppress(
                OSError
            ):  # of a server that is away; who took over shows when it is back
                if not claim.beat():
                    lost()
                    return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield claim
    finally:
        over.set()
        thread.join()
        claim.release()


@contextlib.contextmanager
def briefly(folder: Path, patience: float = 0.0) -> Iterator[bool]:
    """Holds a folder while the block runs, which is told whether it does; waits for ``patience`` seconds for others.

    Raises:
        RunStateError: the folder cannot be written.
    """
    watch, deadline = Watch(), time.monotonic() + patience
    while (claim := take_free(folder, watch, worker_name())) is None and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    try:
        yield claim is not None
    finally:
        if claim is not None:
            claim.release()


def shared_time(folder: Path) -> float:
    """What time it is on the file system of ``folder``; ours where nothing can be written, and so nothing taken."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".now.", suffix=".tmp") as file:
            os.utime(file.name)
            return os.fstat(file.fileno()).st_mtime
    except OSError:
        return time.time()


def worker_name(pid: int | None = None) -> str:
    """How a command is called, this one or that with ``pid``: its machine and its process."""
    return f"{socket.gethostname()}-{pid or os.getpid()}"


@functools.cache
def machine() -> str:
    """What processes have in common that see each other: the running system, and the table of processes in it."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{(_PROC / 'self/ns/pid').stat().st_ino}"
    except OSError:  # no Linux
        return ""


def _us(worker: str) -> Holder:
    pid = os.getpid()
    return Holder(
        worker=worker,
        machine=machine(),
        pid=pid,
        born=_born(pid) or 0,
        leads=os.getpgid(0) == pid,
        lease=LEASE_SECONDS,
    )


def _holder(content: bytes) -> Holder | None:
    try:
        return Holder.model_validate_json(content)
    except ValueError:
        return None


def _make(folder: Path, number: int, text: str) -> bool:
    """Makes a turn, if nobody has; on a full disk without saying whose it is, or not at all if it is nobody's."""
    try:
        handle = os.open(_file(folder, number), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return False
    with contextlib.suppress(OSError), os.fdopen(handle, "w") as file:
        file.write(text)
    return True


def _numbers(folder: Path) -> list[int]:
    try:
        return [int(path.name) for path in (folder / FOLDER).iterdir() if path.name.isdecimal()]
    except (FileNotFoundError, NotADirectoryError):  # which cannot be taken either
        return []


def _file(folder: Path, number: int) -> Path:
    return folder / FOLDER / str(number)


def _exists(pid: int) -> bool:
    """Whether there is a process, or for a number below zero any process of a group."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid < 0 or _state(pid)[:1] != ["Z"]


def _born(pid: int) -> int | None:
    """When a process began, in ticks since the system did; None if that is not told."""
    fields = _state(pid)
    return int(fields[19]) if len(fields) > 19 else None


def _state(pid: int) -> list[str]:
    """What the system tells of a process, from its state on."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return []

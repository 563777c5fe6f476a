from __future__ import annotations

import errno
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from forks import Fork

from adaptbench.errors import ReadOnlyError, RunStateError
from adaptbench.storage import claims
from adaptbench.storage.claims import Claim, Turn, Watch, last_turn, take, take_free


def _taken(folder: Path) -> Claim:
    claim = take_free(folder, Watch(), "me")
    assert claim is not None
    return claim


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From now on we are on another machine than before."""
    return lambda: monkeypatch.setattr(claims, "machine", lambda: "another")


def test_one_at_a_time_and_turns_only_rise(tmp_path: Path) -> None:
    for turn in (1, 3):
        claim = _taken(tmp_path)
        assert (claim.number, claim.ours, claim.beat()) == (turn, True, True)
        assert take_free(tmp_path, Watch(), "other") is None
        claim.release()
        assert not claim.ours
        assert last_turn(tmp_path) == Turn(turn + 1)


def test_of_many_at_once_one_gets_it(tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    def race() -> int:
        while not gate.exists():
            time.sleep(0.001)
        won = take(tmp_path, Turn(), "racer") is not None
        time.sleep(0.2)
        return int(won)

    racers = [Fork(race, tmp_path / "said") for _ in range(6)]
    gate.touch()
    assert sum(racer.wait() for racer in racers) == 1, (tmp_path / "said").read_text()


def test_who_looked_long_ago_takes_nothing(tmp_path: Path) -> None:
    long_ago = last_turn(tmp_path)
    for _ in range(2):
        _taken(tmp_path).release()
    current = _taken(tmp_path)
    assert take(tmp_path, long_ago, "late") is None
    assert current.ours and last_turn(tmp_path).number == current.number


def test_a_claim_is_handed_over(tmp_path: Path) -> None:
    """As the command's to its job; the command's later words count for nothing."""
    given = _taken(tmp_path)
    got = take(tmp_path, Turn(given.number), "job")
    assert got is not None and got.ours and not given.beat()
    given.release()
    assert got.ours and Watch().held(tmp_path)


def test_on_one_machine_the_process_counts_at_once(tmp_path: Path) -> None:
    def hold() -> int:
        _taken(tmp_path)
        time.sleep(60)
        return 0

    holder = Fork(hold, tmp_path / "said")
    while not last_turn(tmp_path).holder:
        time.sleep(0.01)
    os.utime(tmp_path / claims.FOLDER / "1", (0, 0))  # suspended for years
    assert Watch().held(tmp_path)
    holder.kill()
    holder.wait()
    assert _taken(tmp_path).number == 3


def test_a_process_with_the_same_number_is_another(tmp_path: Path) -> None:
    claim = _taken(tmp_path)
    file = tmp_path / claims.FOLDER / str(claim.number)
    holder = last_turn(tmp_path).holder
    assert holder is not None
    file.write_text(holder.model_copy(update={"born": holder.born - 1, "leads": False}).model_dump_json())
    assert not Watch().held(tmp_path)


def test_others_of_its_group_are_given_time_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lead() -> int:
        os.setsid()
        _taken(tmp_path)
        if os.fork() == 0:
            time.sleep(60)
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    leader = Fork(lead, tmp_path / "said")
    leader.wait()
    watch, now = Watch(), time.monotonic()
    assert watch.held(tmp_path)
    monkeypatch.setattr(time, "monotonic", lambda: now + claims.DYING_SECONDS + 1)
    assert not watch.held(tmp_path), "some wait in vain to be reaped"
    monkeypatch.undo()
    os.killpg(leader.pid, signal.SIGKILL)


def test_elsewhere_the_heartbeat_counts(tmp_path: Path, elsewhere: Callable[[], None]) -> None:
    claim = _taken(tmp_path)
    elsewhere()
    assert Watch().held(tmp_path)
    silent = time.time() - claims.LEASE_SECONDS - 1
    os.utime(tmp_path / claims.FOLDER / "1", (silent, silent))
    assert not Watch().held(tmp_path)
    assert claim.beat()
    assert Watch().held(tmp_path)


def test_our_clock_is_not_asked(
    tmp_path: Path, elsewhere: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be set to anything: the time is that of the file system."""
    _taken(tmp_path)
    elsewhere()
    monkeypatch.setattr(time, "time", lambda: 1e11)
    assert Watch().held(tmp_path)
    assert not list(tmp_path.glob(".now*"))


def test_a_heartbeat_from_the_future_that_stands_still_ends(
    tmp_path: Path, elsewhere: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock of the file system was set back since."""
    _taken(tmp_path)
    elsewhere()
    os.utime(tmp_path / claims.FOLDER / "1", (4e9, 4e9))
    watch, now = Watch(), time.monotonic()
    assert watch.held(tmp_path)
    monkeypatch.setattr(time, "monotonic", lambda: now + claims.LEASE_SECONDS + 1)
    assert not watch.held(tmp_path)


def test_who_was_given_up_learns_it(
    tmp_path: Path, elsewhere: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "BEAT_SECONDS", 0.01)
    lost: list[bool] = []
    with claims.kept(_taken(tmp_path), lambda: lost.append(True)) as claim:
        time.sleep(0.05)
        assert not lost
        other = take(tmp_path, Turn(claim.number), "other")
        while not lost:
            time.sleep(0.01)
    assert other is not None and other.ours, "released what is no longer ours"


def test_a_folder_that_is_gone_is_lost(tmp_path: Path) -> None:
    claim = _taken(tmp_path / "job")
    shutil.rmtree(tmp_path / "job")
    assert not claim.beat()
    claim.release()


def _full(flags: int) -> Callable[..., Any]:
    """A disk that is full for files that are made (``os.O_CREAT``), or for what is written (0)."""
    opened = os.open

    def full(path: Path, how: int, *rest: int) -> int:
        if how & flags:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return opened(path, how, *rest)

    return full


def test_a_full_disk_keeps_nobody_from_leaving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claim = _taken(tmp_path)
    monkeypatch.setattr(os, "open", _full(os.O_CREAT))
    with pytest.raises(RunStateError, match="No space left on device"):
        take(tmp_path / "other", Turn(), "me")
    claim.release()
    monkeypatch.undo()
    assert _taken(tmp_path).ours


def test_a_turn_that_does_not_say_whose_it_is_is_somebodys(tmp_path: Path) -> None:
    """On a full disk, or as it is just being made."""
    _taken(tmp_path)
    for content in ("", "{", '{"worker": 3}'):
        (tmp_path / claims.FOLDER / "1").write_text(content)
        assert last_turn(tmp_path).holder is None
        assert Watch().held(tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(ReadOnlyError, match=r"Cannot write .*\.claim: Permission denied"):
        take(tmp_path, Turn(), "me")


def test_brief_work_waits_as_long_as_it_may(tmp_path: Path) -> None:
    with claims.briefly(tmp_path) as held:
        assert held
        with claims.briefly(tmp_path, patience=0.05) as second:
            assert not second
    with claims.briefly(tmp_path) as held:
        assert held

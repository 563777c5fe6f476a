"""A disk that is full costs no result and no other job; one that is read-only is refused at once, and can be read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import mounts
import pytest
from forks import in_fork

from adaptbench.execution import job, scoring
from adaptbench.execution.stages import child
from adaptbench.training import checkpoint

from .bench import Bench, Ended, call, same_bytes, without_circumstances

pytestmark = pytest.mark.skipif(bool(mounts.refused()), reason=mounts.refused())
#: Holds a checkpoint and its successor, and not much more.
SIZE, ROOM = "100m", "400m"


def test_a_disk_that_gets_full(reference: Bench, tmp_path: Path) -> None:
    in_fork(_on_a_small_disk, reference, tmp_path)


def _on_a_small_disk(reference: Bench, disk: Path) -> None:
    """Full when the weights are kept, then when predictions are, then when nothing but the boards is left to write."""
    mounts.own_mounts()
    mounts.small_disk(disk, SIZE)
    bench = Bench(disk / "out", reference.cache, settings=("crop=64",))
    with pytest.MonkeyPatch.context() as patch:
        ended = _full_before(patch, child, "_keep", bench)
        assert bench.out.is_dir(), ended.output
        folder, stage = bench.folder("source_only"), bench.stage("source_only")
        weights, saved = stage / "weights.safetensors", stage / "checkpoint.safetensors"
        _refused(
            ended,
            bench,
            f"Cannot write {weights}: No space left on device (",
            " MiB are needed, 0 bytes are free",
        )
        assert checkpoint.load(saved)[1]["iteration"] == bench.iterations
        assert {path.name for path in stage.iterdir() if path.suffix != ".jsonl"} == {
            ".claim", "stage.json", saved.name,
        }  # fmt: skip

        _make_room(disk)
        ended = _full_before(patch, scoring, "_confusion", bench)
        _refused(ended, bench, f"Cannot write {folder}/pictures/", "0 bytes are free")
        assert (stage / "result.json").is_file() and not (folder / "record.json").exists()
        log = (folder / "log.txt").read_text()
        assert "train: done, 6 of 6" in log and "score cityscapes/val: begins" in log

        _make_room(disk)
        ended = _full_before(patch, job, "save_record", bench)
        _refused(ended, bench, f"Cannot write {folder}/record.json: No space left", "0 bytes are free")

    _make_room(disk)
    ended = bench.run("source_only")
    assert ended.code == 0, ended.output
    assert same_bytes(stage, reference.stage("source_only"), "weights.safetensors")
    for name in (f"confusion/{path.name}" for path in (folder / "confusion").iterdir()):
        assert same_bytes(folder, reference.folder("source_only"), name)
    alike = [without_circumstances(one.record("source_only")) for one in (bench, reference)]
    assert alike[0] == alike[1]
    assert not list(disk.rglob("*.tmp"))

    boards = {path: path.read_bytes() for path in (bench.out / "leaderboards").rglob("*") if path.is_file()}
    mounts.fill(disk)
    ended = bench.run("source_only", options=("--seeds", "0"))
    assert (
        ended.code == 2 and f"Cannot write {bench.out}/leaderboards/leaderboard.md: No space" in ended.output
    )
    assert "done, mIoU" in ended.output
    assert boards == {path: path.read_bytes() for path in boards}


def _full_before(patch: pytest.MonkeyPatch, place: Any, name: str, bench: Bench) -> Ended:
    """Runs the job with a disk that gets full just before ``place.name`` is called."""
    usual: Callable[..., Any] = getattr(place, name)

    def full(*arguments: Any, **options: Any) -> Any:
        mounts.fill(bench.out.parent)
        return usual(*arguments, **options)

    patch.setattr(place, name, full)
    try:
        return bench.run("source_only")
    finally:
        patch.setattr(place, name, usual)


def _make_room(disk: Path) -> None:
    (disk / "filler").unlink()
    mounts.enlarge(disk, ROOM)
    mounts.enlarge(disk, SIZE)


def _refused(ended: Ended, bench: Bench, *words: str) -> None:
    """The command says it, and the status of the job, for which there was no room for a second file."""
    assert ended.code != 0, ended.output
    status = bench.status("source_only")
    assert status["state"] == "failed"
    for word in (*words, "Free some space and run again"):
        assert word in ended.output and word in status["reason"]


def test_a_read_only_disk(reference: Bench, tmp_path: Path) -> None:
    in_fork(_on_a_read_only_disk, reference, tmp_path)


def _on_a_read_only_disk(reference: Bench, folder: Path) -> None:
    """Results that can only be read are shown and not added to; data that can only be read is all that is needed."""
    mounts.own_mounts()
    out, cache = folder / "out", folder / "cache"
    shutil.copytree(reference.out, out, symlinks=True)
    shutil.copytree(reference.cache, cache)
    for place in (out, cache):
        mounts.read_only(place)
    bench = Bench(out, cache, settings=("crop=64",))
    before = _everything(out)
    ended = bench.run("majority")
    assert (ended.code, ended.output.count("\n")) == (2, 1)
    assert f"adaptbench: Cannot write {out}/runs/minicity/tiny/majority/" in ended.output
    assert "Read-only file system. Choose another folder with --out." in ended.output

    assert "source_only" in _asked("ls", "runs", "--out", str(out))
    warned, _, boards = _asked("report", "--json", "--out", str(out)).partition("\n{")
    assert len(json.loads("{" + boards)["boards"]) == 1 and "Read-only file system" in warned
    assert "NOT WRITABLE" in _asked("doctor", "--out", str(out))
    assert _everything(out) == before

    elsewhere = Bench(folder / "elsewhere", cache, settings=("crop=64",))
    ended = elsewhere.run("majority")
    assert ended.code == 0, ended.output


def _asked(*words: str) -> str:
    ended = call(words, {})
    assert ended.code == 0, ended.output
    return ended.output


def _everything(folder: Path) -> Sequence[tuple[Path, int]]:
    return sorted((path, path.lstat().st_mtime_ns) for path in folder.rglob("*"))

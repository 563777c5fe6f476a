from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from adaptbench.errors import RunStateError
from adaptbench.records.found import find_records, in_order, scan_records
from adaptbench.records.record import SCHEMA_VERSION, Record, load_record, save_record

Maker = Callable[..., Record]


def store(record: Record, out: Path) -> Path:
    folder = out / "runs" / record.benchmark / record.method / f"{record.seed}-{record.job_hash[:8]}"
    save_record(record, folder / "record.json")
    return folder / "record.json"


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_record_survives_the_disk(record: Maker, tmp_path: Path) -> None:
    kept = record(overrides={"minicity.gap": 0.0})
    save_record(kept, tmp_path / "record.json")
    assert load_record(tmp_path / "record.json") == kept


def test_a_record_needs_a_score(record: Maker) -> None:
    with pytest.raises(ValidationError, match="scores"):
        record(scores=[])


def test_newer_schema_says_update(record: Maker, tmp_path: Path) -> None:
    path = store(record(), tmp_path)
    edit(path, schema_version=SCHEMA_VERSION + 1)
    with pytest.raises(RunStateError, match=rf"version {SCHEMA_VERSION + 1}.*Update AdaptBench"):
        load_record(path)


@pytest.mark.parametrize("version", ["two", None, [1]])
def test_a_strange_version_is_a_clear_error(record: Maker, tmp_path: Path, version: object) -> None:
    path = store(record(), tmp_path)
    edit(path, schema_version=version)
    with pytest.raises(RunStateError, match="not a record"):
        load_record(path)


def test_schema_errors_name_the_field_on_one_line(record: Maker, tmp_path: Path) -> None:
    path = store(record(), tmp_path)
    edit(path, seed="zero", extra=1)
    with pytest.raises(RunStateError, match="seed") as caught:
        load_record(path)
    assert "\n" not in str(caught.value)


def test_records_are_found_below_any_benchmark_name(
    record: Maker, camvid_record: Maker, tmp_path: Path
) -> None:
    made = [record(seed=10), record(seed=2), record("fada"), camvid_record()]
    for one in made:
        store(one, tmp_path)
    stray = tmp_path / "runs" / "minicity_to_camvid" / "dacs" / "notes" / "record.json"
    stray.parent.mkdir()
    stray.write_text("mine")
    found = scan_records(tmp_path)
    assert not found.unreadable
    assert [(r.benchmark, r.method, r.seed) for r in found.records] == [
        ("minicity/gta5_to_cityscapes", "dacs", 2),
        ("minicity/gta5_to_cityscapes", "dacs", 10),
        ("minicity/gta5_to_cityscapes", "fada", 0),
        ("minicity_to_camvid", "dacs", 0),
    ]


def test_damaged_records_are_reported_and_the_rest_is_kept(
    record: Maker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = record()
    store(good, tmp_path)
    store(record("fada"), tmp_path).write_text('{"schema_version": 1, "sco')
    store(record("hrda"), tmp_path).write_bytes(b"\xff\xfe\x00")
    edit(store(record("mic"), tmp_path), schema_version=99)
    found = scan_records(tmp_path)
    assert found.records == [good]
    assert [problem.path.split("/")[3] for problem in found.unreadable] == ["fada", "hrda", "mic"]
    assert all(problem.path.startswith("runs/") for problem in found.unreadable)
    assert not any(str(tmp_path) in problem.reason for problem in found.unreadable)
    assert "version 99" in found.unreadable[2].reason
    assert find_records(tmp_path) == [good]
    assert "version 99" in caplog.text


def test_no_folder_is_no_record(tmp_path: Path) -> None:
    assert find_records(tmp_path / "nowhere") == []


def test_a_job_found_twice_counts_once(record: Maker) -> None:
    first = record()
    slower = first.model_copy(update={"cost": first.cost.model_copy(update={"training_seconds": 999.0})})
    assert len(in_order([first, slower])) == 1
    assert in_order([first, slower]) == in_order([slower, first])


def test_importing_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from adaptbench.records import found, record\n"
        "from adaptbench.reporting import board, leaderboard\n"
        "print([m for m in ('torch', 'pandas', 'matplotlib', 'tabulate') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_folder_that_may_not_be_read_is_named(
    record: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As results of a user whose umask is 077 are to others."""
    store(record(), tmp_path)
    closed = store(record(method="theirs"), tmp_path).parents[1]
    usual = os.scandir

    def refuse(path: Any) -> Any:
        if Path(path) == closed:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return usual(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = scan_records(tmp_path)
    assert len(found.records) == 1
    (problem,) = found.unreadable
    assert problem.path == closed.relative_to(tmp_path).as_posix()
    assert "Permission denied; what is in it is not shown" in problem.reason

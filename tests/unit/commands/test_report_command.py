"""The verb ``report``, from the command line to the files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from adaptbench.cli import main
from adaptbench.records.jobspec import job_folder
from adaptbench.records.record import Record, save_record

Maker = Callable[..., Record]


@pytest.fixture
def out(record: Maker, tmp_path: Path) -> Path:
    one = record("dacs")
    save_record(one, job_folder(tmp_path, one.benchmark, one.method, one.seed, one.job_hash) / "record.json")
    return tmp_path


def test_pictures_are_drawn_and_what_is_missing_is_said(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "--out", str(out), "--pictures"]) == 0
    picture = out / "leaderboards/minicity-gta5_to_cityscapes/leaderboard.png"
    assert picture.is_file()
    said = capsys.readouterr().out
    assert f"drawn {picture}" in said
    assert "no picture of predictions" in said  # the record has no job beside it


def test_a_wrong_project_is_one_paragraph(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--out", str(out), "--wandb", "offline", "--wandb-project", "a/b"]) == 2
    assert "expected a name without slashes" in capsys.readouterr().err


def test_without_runs_it_says_what_to_do(tmp_path: Path) -> None:
    assert main(["report", "--out", str(tmp_path), "--pictures"]) == 0
    assert "No finished runs yet" in (tmp_path / "leaderboards/leaderboard.md").read_text(encoding="utf-8")

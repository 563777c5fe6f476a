"""The verb ``report``, from the command line to the files."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
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


def test_images_are_drawn_and_what_is_missing_is_said(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--out", str(out), "--images"]) == 0
    image = out / "leaderboards/minicity-gta5_to_cityscapes/leaderboard.png"
    assert image.is_file()
    said = capsys.readouterr().out
    assert f"drawn {image}" in said
    assert "no image of predictions" in said  # the record has no job beside it


def test_a_wrong_project_is_one_paragraph(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--out", str(out), "--wandb", "offline", "--wandb-project", "a/b"]) == 2
    assert "expected a name without slashes" in capsys.readouterr().err


def test_without_runs_it_says_what_to_do(tmp_path: Path) -> None:
    assert main(["report", "--out", str(tmp_path), "--images"]) == 0
    assert "No finished runs yet" in (tmp_path / "leaderboards/leaderboard.md").read_text(encoding="utf-8")


def test_boards_as_json(out: Path, record: Maker, capsys: pytest.CaptureFixture[str]) -> None:
    seeds = [record("fada", 50.125), record("fada", 51, seed=1)]
    for one in (*seeds, record("oracle", 60, oracle=True)):
        folder = job_folder(out, one.benchmark, one.method, one.seed, one.job_hash)
        save_record(one, folder / "record.json")
    unreadable = out / "runs/minicity/gta5_to_cityscapes/hrda/0-01234567/record.json"
    unreadable.parent.mkdir(parents=True)
    unreadable.write_text("{}")
    assert main(["report", "--out", str(out), "--json"]) == 0
    printed = capsys.readouterr()
    (board,) = json.loads(printed.out)["boards"]
    first = seeds[0]
    assert board["benchmark"] == first.benchmark
    assert board["ranking_hash"] == first.ranking_hash
    assert (board["class_set"], board["split"], board["data"]) == (
        *(first.scores[0].class_set, first.scores[0].split),
        "generated",
    )
    assert board["protocol"]
    ranked = [row for row in board["rows"] if row["ranked_split"]]
    assert [(row["method"], row["rank"]) for row in ranked] == [
        ("oracle", "oracle"),
        ("fada", 1),
    ]
    assert [(row["method"], row["variant"]) for row in board["variants"]] == [("dacs", "1 of 2 seeds")]
    assert "classes in the truth of the split" in board["averaged"] and board["unseen"] == []
    fada = ranked[1]
    assert fada["miou_mean"] == pytest.approx(np.mean([one.scores[0].miou for one in seeds]))
    assert fada["n_seeds"] == 2 and fada["iou:road"] is not None
    assert "Leaderboard: " in printed.err and str(unreadable.relative_to(out)) in printed.err
    with (out / "leaderboards/leaderboard.csv").open() as file:
        assert {key for row in board["rows"] for key in row} == set(next(csv.reader(file)))

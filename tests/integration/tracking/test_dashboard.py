"""The dashboard's specification is made without a network or an account."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from wandb_file import KEY

from adaptbench.cli import main
from adaptbench.records.jobspec import job_folder
from adaptbench.records.record import Record, save_record
from adaptbench.reporting.board import boards
from adaptbench.tracking.dashboard import specification


def values(part: Any) -> list[Any]:
    """All strings and numbers of a document."""
    if isinstance(part, dict):
        part = list(part.values())
    return [one for item in part for one in values(item)] if isinstance(part, list) else [part]


def test_the_specification_shows_what_the_boards_hold(records: list[Record]) -> None:
    found = specification(boards(records), "demo", "me")
    sections = found["workspace"]["spec"]["section"]["panelBankConfig"]["sections"]
    assert [section["name"].partition(" ")[0] for section in sections][-1] == "Training"
    assert "minicity/gta5_to_cityscapes (cityscapes19, cityscapes/val, protocol " in sections[0]["name"]
    shown = " ".join(map(str, values(found["workspace"])))
    for key in (
        "cityscapes19/cityscapes/val/mIoU",
        "cityscapes19/gta5/heldout/mIoU",
        "cost/training_seconds",
    ):
        assert key in shown, key
    for key in (
        "predictions/cityscapes/val",
        "leaderboard/minicity/gta5_to_cityscapes",
        "IoU/bicycle",
        "train/loss",
    ):
        assert key in shown, key
    blocks = found["report"]["spec"]["blocks"]
    text = " ".join(map(str, values(blocks)))
    assert "| dacs" in text
    assert records[0].ranking_hash in text
    places = [
        (panel["layout"]["x"], panel["layout"]["y"])
        for block in blocks
        if "metadata" in block
        for panel in block["metadata"]["panelBankSectionConfig"]["panels"]
    ]
    assert places
    assert len(set(places)) == len(places)
    assert specification(boards(records), "demo", "me") == found


def test_the_verb_writes_a_file(
    records: list[Record], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, file = tmp_path / "out", tmp_path / "spec.json"
    arguments = ["dashboard", "--project", "demo", "--out", str(out), "--spec", str(file)]
    assert main(arguments) == 2
    assert "holds no finished run" in capsys.readouterr().err
    for one in records:
        folder = job_folder(out, one.benchmark, one.method, one.seed, one.job_hash)
        save_record(one, folder / "record.json")
    assert main(arguments) == 0
    assert json.loads(file.read_text()).keys() == {"workspace", "report"}


def test_a_dead_network_is_one_paragraph_without_the_key(
    records: list[Record], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb

    def unreachable() -> None:
        raise ConnectionError(f"no route with {KEY}")

    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setattr(wandb, "Api", unreachable)
    save_record(records[0], job_folder(tmp_path, "b", "m", 0, "0" * 16) / "record.json")
    assert main(["dashboard", "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "no route with [key]" in said
    assert "--spec FILE" in said

"""Context: committed controls beside the rows of a board that has none of its own, and nowhere else."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from adaptbench.cli import main
from adaptbench.errors import DataError
from adaptbench.records.record import Record, folder_of, save_record
from adaptbench.reporting.board import Board, boards
from adaptbench.reporting.leaderboard import render_csv, render_markdown, to_json
from adaptbench.reporting.page.site import write_page
from adaptbench.reporting.published import context
from adaptbench.reporting.published.comparison import Facts
from adaptbench.reporting.published.controls import Control, load_controls
from adaptbench.reporting.published.facts import Published
from adaptbench.reporting.terminal import context_table

Maker = Callable[..., Record]
NETWORK = "daformer-mini"


def control(record: Maker, method: str, miou: float, seed: int = 0, **fields: Any) -> Record:
    tag = "oracle" if method == "oracle" else "control"
    return record(method, miou, seed, tags=(tag,), **({"network": NETWORK} | fields))


@pytest.fixture
def committed(record: Maker) -> list[Record]:
    """Both controls over two seeds, with means of 31 and 61."""
    means = {"source_only": 30.0, "oracle": 60.0}
    return [
        control(record, method, miou + 2 * seed, seed, overrides={"network": NETWORK}, further={"x/y": 5.0})
        for method, miou in means.items()
        for seed in (0, 1)
    ]


@pytest.fixture
def own(record: Maker) -> list[Record]:
    return [record("hrda", 40.0, network=NETWORK), record("fada", 50.0)]


def load(records: list[Record], folder: Path) -> tuple[Control, ...]:
    file = folder / "mine" / "leaderboard.csv"
    file.parent.mkdir()
    file.write_text(render_csv(records), encoding="utf-8")
    return load_controls(folder)


def only(records: list[Record]) -> Board:
    (board,) = boards(records)
    return board


def test_a_row_sees_what_it_gains(committed: list[Record], own: list[Record], tmp_path: Path) -> None:
    (line,) = context.lines(only(own), load(committed, tmp_path))  # none has the network of fada
    assert line.row.first.method == "hrda"
    assert (str(line.floor), str(line.ceiling)) == (
        "31.0 ± 1.4, seeds: 2 (0, 1), committed",
        "61.0 ± 1.4, seeds: 2 (0, 1), committed",
    )
    assert (line.gain, line.gap_closed) == (pytest.approx(9.0), pytest.approx(30.0))


@pytest.mark.parametrize(
    "change",
    [
        {"benchmark": "minicity/other"},
        {"ranking_hash": "f" * 64},
        {"method": "majority"},
        {"overrides": {"network": NETWORK, "learning_rate": 1.0}},
        {"network": "deeplabv2-multi-mini"},
        {"network": "pretrained"},
    ],
)
def test_other_committed_rows_say_nothing(
    change: dict[str, Any], record: Maker, own: list[Record], tmp_path: Path
) -> None:
    made = control(record, **({"method": "source_only", "miou": 30.0} | change))
    if change.get("network") == "pretrained":
        network = made.network.model_copy(update={"name": NETWORK, "pretraining": "ImageNet"})
        made = made.model_copy(update={"network": network})
    controls = load([made], tmp_path)
    assert context.lines(only(own), controls) == []
    facts = Facts(Published((), {}, {}), {}, controls)
    assert render_markdown(own, facts=facts) == render_markdown(own)


def test_a_control_of_the_board_goes_before_a_committed_one(
    record: Maker, committed: list[Record], own: list[Record], tmp_path: Path
) -> None:
    controls = load(committed, tmp_path)
    floor = control(record, "source_only", 20.0)
    found = {line.row.first.method: line for line in context.lines(only([*own, floor]), controls)}
    assert list(found) == ["hrda", "source_only"]
    assert str(found["hrda"].floor) == "20.0, seeds: 1 (0)"
    assert found["hrda"].gain == pytest.approx(20.0)
    ceiling = control(record, "oracle", 70.0)
    assert context.lines(only([*own, floor, ceiling]), controls) == []
    changed = control(record, "source_only", 20.0, overrides={"learning_rate": 1.0})
    assert len(context.lines(only([*own, changed, ceiling]), controls)) == 3


def test_two_committed_rows_that_could_be_meant_are_none(
    record: Maker, committed: list[Record], own: list[Record], tmp_path: Path
) -> None:
    again = control(record, "source_only", 10.0)
    (line,) = context.lines(only(own), load([*committed, again], tmp_path))
    assert (line.floor, line.gain, line.gap_closed) == (None, None, None)
    assert line.ceiling is not None


def test_every_output_shows_it(committed: list[Record], own: list[Record], tmp_path: Path) -> None:
    facts = Facts(Published((), {}, {}), {}, load(committed, tmp_path))
    page = render_markdown(own, facts=facts)
    after = page.split(f"**{context.TITLE}**")[1]
    assert "source_only (cityscapes19, cityscapes/val)" in after and context.NOTE in after
    assert "+9.0 |" in after and "30 % |" in after
    (board,) = to_json(own, facts=facts)
    (line,) = board["context"]
    assert (line["method"], line["gain"], line["gap_closed"]) == ("hrda", pytest.approx(9), pytest.approx(30))
    assert (line["source_only_mean"], line["oracle_seeds"], line["oracle_committed"]) == (31.0, "0 1", True)
    drawn = context_table(only(own), facts.controls)
    assert drawn is not None
    console = Console(file=io.StringIO(), width=200)
    console.print(drawn)
    assert isinstance(console.file, io.StringIO) and "30 %" in console.file.getvalue()


def test_the_web_page_shows_it(committed: list[Record], own: list[Record], tmp_path: Path) -> None:
    facts = Facts(Published((), {}, {}), {}, load(committed, tmp_path))
    for shown in (True, False):
        index = write_page(own, tmp_path, facts if shown else replace(facts, controls=()))
        (page,) = index.parent.glob("board-*.html")
        text = page.read_text(encoding="utf-8")
        assert ('id="h-context"' in text, context.NOTE in text, ">30 %<" in text) == (shown,) * 3


def test_without_facts_there_is_none(own: list[Record]) -> None:
    assert context.TITLE not in render_markdown(own)
    assert to_json(own)[0]["context"] == []


def test_the_committed_board_can_be_read() -> None:
    assert {one.method for one in load_controls()} == {"source_only", "oracle"}


def test_a_missing_board_has_no_controls(tmp_path: Path) -> None:
    assert load_controls(tmp_path) == ()


@pytest.mark.parametrize("damage", [b"a,b\n1,2\n", b"\xff\xfe", b"", b"nan"])
def test_a_damaged_board_stops_no_report(
    damage: bytes,
    committed: list[Record],
    own: list[Record],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "mine" / "leaderboard.csv"
    file.parent.mkdir()
    lines = list(csv.DictReader(io.StringIO(render_csv(committed))))
    whole = render_csv(committed).replace(lines[0]["miou_mean"], "nan").encode()
    file.write_bytes(whole if damage == b"nan" else damage)
    if damage:  # an empty file has no rows
        with pytest.raises(DataError, match="Restore it from the repository"):
            load_controls(tmp_path)
    monkeypatch.setattr("adaptbench.commands.report.load_controls", lambda: load_controls(tmp_path))
    for one in own:
        save_record(one, folder_of(one, tmp_path) / "record.json")
    assert main(["report", "--out", str(tmp_path)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert said.count("left out the committed controls") == bool(damage)
    assert (tmp_path / "leaderboards" / "leaderboard.md").exists()

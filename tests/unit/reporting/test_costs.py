"""Costs of rows: in tables, in the CSV, and unknown in records that came before them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

import pytest

from adaptbench.records import formatting
from adaptbench.records.record import Cost, Record
from adaptbench.reporting.board import Row, boards
from adaptbench.reporting.costs import facts, gpu_hours, mean
from adaptbench.reporting.leaderboard import cost_table, render_csv, render_markdown

Maker = Callable[..., Record]


def cost(device: str = "cuda", /, **known: float) -> Cost:
    return Cost.model_validate(
        {
            "training_seconds": 7200.0,
            "evaluation_seconds": 60.0,
            "peak_memory_mib": 900.0,
            "device": device,
            **known,
        }
    )


KNOWN = {
    "flops": 1.5e12,
    "training_pictures_per_second": 12.0,
    "inference_pictures_per_second": 4.25,
    "training_joules": 7.2e6,
}


def only(records: list[Record]) -> Row:
    (board,) = boards(records)
    (row,) = board.rows
    return row


def cell(records: list[Record], header: str) -> str:
    (board,) = boards(records)
    table = cost_table(board)
    return table.texts[0][table.headers.index(header)]


def test_a_row_says_what_it_costs(record: Maker) -> None:
    records = [record(cost=cost(**KNOWN))]
    assert cell(records, "GFLOPs per image") == "1500"
    assert cell(records, "GPU-hours") == "2.00"
    assert (cell(records, "training images/s"), cell(records, "inference images/s")) == ("12", "4.25")
    assert cell(records, "energy") == "2 kWh"


def test_what_a_record_does_not_know_is_missing(record: Maker) -> None:
    records = [record(cost=cost("cpu"))]
    assert {cell(records, h) for h in ("GFLOPs per image", "GPU-hours", "energy")} == {formatting.MISSING}
    assert facts(cost("cpu")) == [] and len(facts(cost(**KNOWN))) == 4


def test_means_are_over_the_seeds_that_know(record: Maker) -> None:
    row = only([record(seed=0, cost=cost(flops=2.0)), record(seed=1, cost=cost(flops=4.0)), record(seed=2)])
    assert mean(row, "flops") == 3.0
    assert gpu_hours(row) is None, "one of the seeds was trained on a CPU"


def test_the_page_and_the_csv_have_them(record: Maker) -> None:
    records = [record(cost=cost(**KNOWN))]
    page = render_markdown(records)
    assert "GFLOPs per image" in page and "2 kWh" in page
    (line,) = csv.DictReader(io.StringIO(render_csv(records)))
    assert float(line["flops"]) == 1.5e12 and float(line["gpu_hours"]) == pytest.approx(2.0)
    assert line["training_joules"] == "7200000.0000"


def test_records_of_version_2_are_read(record: Maker) -> None:
    old = record().model_dump(mode="json")
    old["schema_version"] = 2
    for name in KNOWN:
        del old["cost"][name]
    del old["snapshots"]
    assert Record.model_validate(old).cost.flops is None

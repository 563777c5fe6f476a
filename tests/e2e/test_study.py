"""One command runs a study, and its jobs are jobs like any other."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from adaptbench.cli import main

from .bench import PLUGINS, Bench

STUDY = ("--study", "tiny_study")


@pytest.fixture(scope="module")
def studied(bench: Callable[[str], Bench]) -> Bench:
    made = bench("studied")
    made = replace(made, plugins=(*made.plugins, PLUGINS / "tiny_study.py"))
    answer = made.run(options=STUDY)
    assert answer.code == 0, answer.output
    assert "Tiny study" in answer.output and "Checks" in answer.output
    return made


def records(bench: Bench) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (bench.out / "runs").rglob("record.json")}


def lines(bench: Bench) -> list[dict[str, str]]:
    page = bench.out / "leaderboards/studies/tiny_study-minicity-tiny.csv"
    return list(csv.DictReader(page.read_text(encoding="utf-8").splitlines()))


def test_every_variant_is_a_job(studied: Bench) -> None:
    crops = [json.loads(path.read_text())["settings"]["crop"] for path in records(studied)]
    assert sorted(crops) == [32, 64]
    small, smaller = lines(studied)
    assert [(line["variant"], line["seeds"], line["resolved"]) for line in (small, smaller)] == [
        ("small", "0", "crop=64"),
        ("smaller", "0", "crop=32"),
    ]
    gap = float(smaller["miou_mean"]) - float(small["miou_mean"])
    assert float(smaller["difference_mean"]) == pytest.approx(gap, abs=2e-4)


def test_what_is_done_is_not_done_again(studied: Bench) -> None:
    before, page = records(studied), lines(studied)
    answer = studied.run("source_only", options=("--set", "crop=64"))
    assert answer.code == 0, answer.output
    assert "Tiny study" not in answer.output
    assert studied.run(options=STUDY).code == 0
    assert records(studied) == before
    assert lines(studied) == page


def test_the_leaderboard_tells_the_variants_apart(studied: Bench) -> None:
    page = (studied.out / "leaderboards/leaderboard.md").read_text(encoding="utf-8")
    assert "source_only (crop=64)" in page and "source_only (crop=32)" in page


def test_report_rebuilds_it(studied: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    page = studied.out / "leaderboards/studies/tiny_study-minicity-tiny.md"
    before = page.read_bytes()
    page.unlink()
    assert main(["report", "--out", str(studied.out)]) == 0
    assert page.read_bytes() == before
    assert "Tiny study" in capsys.readouterr().out

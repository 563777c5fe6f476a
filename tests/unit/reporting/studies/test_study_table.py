"""The table of a study: pairs of seeds, verdicts, and which record belongs to which variant."""

from __future__ import annotations

import csv
import json
import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from adaptbench.cli import main
from adaptbench.contracts.study import Delta, Published, Study, Variant
from adaptbench.records.jobspec import job_folder
from adaptbench.records.record import NetworkInfo, Record, save_record
from adaptbench.reporting.studies.series import Series, current, find_series, save_series
from adaptbench.reporting.studies.study_page import (
    check_table,
    render_csv,
    render_markdown,
    variant_table,
    write_studies,
)
from adaptbench.reporting.studies.study_table import Difference, StudyTable, difference, study_table, verdict
from adaptbench.reporting.terminal import study_tables

Maker = Callable[..., Record]
OFF = {"rcs": False}


class Sizes(Study):
    """A study for these tests."""

    name = "paper/sizes"
    title = "Sizes | and so on"
    paper = "arXiv:1234.56789"
    table = "Table 3"
    benchmarks = ("gta5_to_cityscapes",)
    variants = (
        Variant("full", "dacs", {}, Published(60.0, 0.5, 3, memory_gb=22.5)),
        Variant("off", "dacs", OFF, Published(58.2)),
        Variant("other", "fada", {"crop": 512}),
    )
    reference = "full"
    checks = (Delta("RCS helps", "full", "off", 1.9), Delta("another method", "other", "full"))
    notes = ("What to know.",)


def series(records: list[Record], **fields: object) -> Series:
    """The series whose variants are the records' methods and overrides."""
    groups = {(r.method, "rcs" in r.overrides): r.group_hash for r in records}
    named = {("dacs", False): "full", ("dacs", True): "off", ("fada", False): "other"}
    base: dict[str, object] = {
        "study": Sizes.name,
        "file": None,
        "board": "minicity/gta5_to_cityscapes",
        "profile": "mini",
        "ranking_hash": records[0].ranking_hash,
        "device": "cpu",
        "settings": [],
        "limit": None,
        "variants": {named[key]: group for key, group in groups.items()},
    }
    return Series.model_validate({**base, **fields})


@pytest.fixture
def finished(record: Maker) -> list[Record]:
    """Three seeds of ``full``, two of ``off``, one of ``other``."""
    made = [record("dacs", 40.0 + seed, seed) for seed in (0, 1, 2)]
    made += [record("dacs", miou, seed, overrides=OFF) for seed, miou in ((0, 37.0), (1, 39.0))]
    return [*made, record("fada", 45.0, 7)]


@pytest.fixture
def table(finished: list[Record]) -> StudyTable:
    return study_table(Sizes, series(finished), finished)


# ---------------------------------------------------------------------- numbers


def test_rows_are_the_declared_variants(table: StudyTable) -> None:
    full, off, other = table.rows
    assert [len(row.records) for row in table.rows] == [3, 2, 1]
    assert full.miou is not None and (full.miou.mean, full.miou.std, full.miou.n) == (41.0, 1.0, 3)
    assert other.miou is not None and (other.miou.mean, other.miou.std) == (45.0, None)
    assert (full.difference, full.published_difference) == (None, None)
    assert off.difference == Difference(-2.5, pytest.approx(math.sqrt(0.5)), 2)
    assert off.published_difference == -1.8
    assert other.difference is None  # no common seed
    assert other.published_difference is None


def test_checks(table: StudyTable) -> None:
    helps, another = table.checks
    assert (helps.published, helps.verdict) == (1.9, "same sign")
    assert helps.ours is not None and helps.ours.mean == 2.5
    assert (another.ours, another.verdict) == (None, "no common finished seed")


def test_only_records_of_the_series_count(finished: list[Record], record: Maker) -> None:
    expected = study_table(Sizes, series(finished), finished)
    others = [
        record("dacs", 99.0, 3, overrides={"crop": 1}),
        record("dacs", 99.0, 4, ranking={"profile": "paper"}),
        record("dacs", 99.0, 5, smoke=True),
    ]
    shuffled = [*finished, *others, finished[0]]
    random.Random(0).shuffle(shuffled)
    assert study_table(Sizes, series(finished), shuffled) == expected


def test_without_records_nothing_is_claimed(finished: list[Record]) -> None:
    empty = study_table(Sizes, series(finished), [])
    assert empty.view is None
    assert all(row.miou is None and row.difference is None for row in empty.rows)
    assert {check.verdict for check in empty.checks} == {"no common finished seed"}
    assert "no run yet" in render_markdown([empty])
    assert render_csv([empty]).count("\n") == 4


@pytest.mark.parametrize("common", range(5))
def test_a_difference_is_the_mean_over_common_seeds(record: Maker, common: int) -> None:
    values = random.Random(common)
    pairs = [(values.uniform(0, 100), values.uniform(0, 100)) for _ in range(common)]
    first = [record("a", 1.0, 100), *(record("a", a, seed) for seed, (a, _) in enumerate(pairs))]
    second = [*(record("b", b, seed) for seed, (_, b) in enumerate(pairs)), record("b", 2.0, 200)]
    found = difference(first, second)
    if common == 0:
        assert found is None
        return
    gaps = [a - b for a, b in pairs]
    assert found is not None and found.n == common
    assert found.mean == pytest.approx(sum(gaps) / common)
    if common == 1:
        assert (found.std, found.standard_error, found.in_noise) == (None, None, True)
    else:
        variance = sum((gap - found.mean) ** 2 for gap in gaps) / (common - 1)
        assert found.standard_error == pytest.approx(math.sqrt(variance / common))


@pytest.mark.parametrize(
    ("published", "ours", "words"),
    [
        (1.0, None, "no common finished seed"),
        (1.0, Difference(5.0, None, 1), "cannot tell (one seed)"),
        (1.0, Difference(0.9, 2.0, 4), "cannot tell (not above its standard error)"),
        (1.0, Difference(-0.9, 2.0, 4), "cannot tell (not above its standard error)"),
        (1.0, Difference(0.0, 0.0, 4), "cannot tell (not above its standard error)"),
        (1.0, Difference(1.1, 2.0, 4), "same sign"),
        (-1.0, Difference(-1.1, 2.0, 4), "same sign"),
        (1.0, Difference(-1.1, 2.0, 4), "OPPOSITE sign"),
        (-1.0, Difference(1.1, 2.0, 4), "OPPOSITE sign"),
        (None, Difference(1.1, 2.0, 4), "above its standard error; nothing printed to compare with"),
        (0.0, Difference(1.1, 2.0, 4), "above its standard error; nothing printed to compare with"),
    ],
)
def test_verdicts(published: float | None, ours: Difference | None, words: str) -> None:
    assert verdict(published, ours) == words


# ------------------------------------------------------------------------ pages


def test_a_number_never_stands_without_what_it_was_measured_on(table: StudyTable) -> None:
    headers = variant_table(table).headers
    assert "mIoU (cityscapes19, cityscapes/val)" in headers
    assert "published mIoU (cityscapes19, cityscapes/val)" in headers
    page = render_markdown([table])
    assert "profile mini, generated data, start weights none, cpu" in page
    assert (
        "Published: gta5_to_cityscapes, official data at full size" in page
        and "compare signs of differences, never values" in page
    )
    assert "What to know." in page
    assert r"Sizes \| and so on" in page


def test_official_data_at_full_size_is_like_the_published(finished: list[Record], record: Maker) -> None:
    data = {name: {"provenance": "official"} for name in ("gta5", "cityscapes")}
    real = [record("dacs", 70.0, 0, data=data, profile="paper")]
    pretrained = [
        real[0].model_copy(update={"network": NetworkInfo(name="n", parameters=1, pretraining="ImageNet")})
    ]

    def page(records: list[Record], board: str) -> str:
        return render_markdown([study_table(Sizes, series(records, profile="paper", board=board), records)])

    assert "official data at full size, like ours" in page(pretrained, "gta5_to_cityscapes")
    for records, board in ((real, "gta5_to_cityscapes"), (pretrained, "synthia_to_cityscapes")):
        assert "never values" in page(records, board) and "like ours" not in page(records, board)


def test_cells_of_variants(table: StudyTable) -> None:
    full, off, other = (
        dict(zip(variant_table(table).headers, row, strict=True)) for row in variant_table(table).texts
    )
    assert (full["settings"], off["settings"], other["method"]) == ("as published", "rcs=false", "fada")
    assert (full["seeds"], off["minus full"], full["minus full"]) == ("3 (0-2)", "-2.5 ± 0.7 (n=2)", "–")  # noqa: RUF001
    assert full["published mIoU (cityscapes19, cityscapes/val)"] == "60.0 ± 0.5 (3 seeds)"
    assert (off["published difference"], other["published difference"]) == ("-1.8", "–")  # noqa: RUF001
    assert (full["peak memory"], full["published memory"]) == ("902 MiB", "22.5 GB")


def test_smoke_runs_prove_nothing(finished: list[Record]) -> None:
    smoke = study_table(Sizes, series(finished, limit=2), finished)
    assert {row[-1] for row in check_table(smoke).texts} == {"smoke run"}
    assert "SMOKE RUN of 2 iterations: its numbers mean nothing" in render_markdown([smoke])


def test_csv(table: StudyTable) -> None:
    lines = list(csv.DictReader(render_csv([table]).splitlines()))
    off = lines[1]
    assert (off["variant"], off["settings"], off["resolved"]) == ("off", "rcs=false", "rcs=false")
    assert (off["difference_mean"], off["difference_n"], off["published_miou"]) == ("-2.5000", "2", "58.2000")
    assert (lines[0]["published_seeds"], lines[1]["published_seeds"], lines[2]["published_miou"]) == (
        "3",
        "",
        "",
    )


def test_series_of_one_board_share_a_page(finished: list[Record], tmp_path: Path) -> None:
    tables = [
        study_table(Sizes, series(finished, **changes), finished)
        for changes in ({}, {"settings": ["learning_rate=0.1"]}, {"board": "gta5_to_cityscapes"})
    ]
    pages = write_studies(tables, tmp_path)
    assert [page.name for page in pages] == [
        "paper-sizes-minicity-gta5_to_cityscapes.md",
        "paper-sizes-gta5_to_cityscapes.md",
    ]
    first = pages[0].read_text(encoding="utf-8")
    assert "Series 1 of 2" in first and "--set learning" in first and "Series 2 of 2" in first
    assert first.count("\n| full ") == 2
    assert [page.with_suffix(".csv").is_file() for page in pages] == [True, True]


def test_series_are_named_by_the_dials_that_were_moved(record: Maker, tmp_path: Path) -> None:
    tables = []
    for gap in (0.0, 1.0):
        world = {"gta5": {"provenance": "generated", "version": f"v{gap}", "gap": gap, "seed": 0}}
        moved = {} if gap == 1 else {"minicity.gap": gap}
        made = [record("dacs", 40.0, ranking={"data": world}, data=world, overrides=moved)]
        tables.append(study_table(Sizes, series(made), made))
    text = write_studies(tables, tmp_path)[0].read_text(encoding="utf-8")
    assert "## Series 1 of 2: minicity.gap=0.0\n" in text and "## Series 2 of 2\n" in text
    assert "generated data (gap=0.0, seed=0)" in text and "generated data (gap=1.0, seed=0)" in text


def test_the_terminal_shows_both_tables(table: StudyTable) -> None:
    console = Console(width=100, record=True)
    for drawn in study_tables(table):
        console.print(drawn)
    shown = console.export_text()
    assert "RCS helps" in shown and "same sign" in shown and "60.0 ± 0.5" in shown


# ----------------------------------------------------------------------- series


def test_a_series_is_kept_under_its_circumstances(finished: list[Record], tmp_path: Path) -> None:
    first = series(finished)
    save_series(first, tmp_path)
    save_series(
        first.model_copy(update={"variants": {"full": "new"}}), tmp_path
    )  # a method's version was raised
    save_series(first.model_copy(update={"device": "cuda"}), tmp_path)
    save_series(first.model_copy(update={"precision": "bf16"}), tmp_path)
    save_series(first.model_copy(update={"precision": "bf16", "compiled": True}), tmp_path)
    save_series(first.model_copy(update={"accumulate": 2}), tmp_path)
    found, unreadable = find_series(tmp_path)
    kept = {one.machine: "off" in one.variants for one in found}
    others = ("cuda", "cpu, bf16", "cpu, bf16, compiled", "cpu, steps in 2 parts")
    assert kept == {"cpu": False, **dict.fromkeys(others, True)} and len(found) == 5
    assert len(current(found, [])) == 5
    assert unreadable == []


@pytest.mark.parametrize("text", ["{", "{}", '{"schema_version": 99, "study": "x", "new": 1}'])
def test_a_file_that_is_no_series_is_named(text: str, finished: list[Record], tmp_path: Path) -> None:
    save_series(series(finished), tmp_path)
    (tmp_path / "studies" / "bad").mkdir()
    (tmp_path / "studies" / "bad" / "file.json").write_text(text)
    found, (unreadable,) = find_series(tmp_path)
    assert len(found) == 1
    assert unreadable.path == "studies/bad/file.json"


STUDY_FILE = '''
from adaptbench.contracts.study import Study, Variant


class Mine(Study):
    """A study of a user."""

    name = "mine"
    title = "My study"
    paper = None
    table = "none"
    benchmarks = ("gta5_to_cityscapes",)
    variants = (Variant("full", "dacs"), Variant("off", "dacs", {"rcs": False}))
    reference = "full"
'''


def test_report_rebuilds_the_tables(
    finished: list[Record], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, file = tmp_path / "out", tmp_path / "mine.py"
    file.write_text(STUDY_FILE)
    for one in finished:
        folder = job_folder(out, one.benchmark, one.method, one.seed, one.job_hash)
        save_record(one, folder / "record.json")
    save_series(series(finished, study="mine", file=str(file)), out)
    assert main(["report", "--out", str(out)]) == 0
    page = out / "leaderboards/studies/mine-minicity-gta5_to_cityscapes.md"
    text = page.read_text(encoding="utf-8")
    assert "-2.5 ± 0.7 (n=2)" in text
    assert "published mIoU" not in text and "Published:" not in text  # of no paper
    assert "My study" in capsys.readouterr().out
    before = page.read_bytes()
    assert main(["report", "--out", str(out)]) == 0
    assert page.read_bytes() == before
    capsys.readouterr()
    assert main(["report", "--out", str(out), "--json"]) == 0
    (study,) = json.loads(capsys.readouterr().out)["studies"]
    gaps = [line["difference_mean"] for line in study["variants"] if line["difference_mean"] is not None]
    assert gaps == pytest.approx([-2.5])
    assert (study["study"], study["board"]) == ("mine", "minicity/gta5_to_cityscapes")
    assert all(
        check.keys() >= {"claim", "variant", "minus", "published", "ours_mean"} for check in study["checks"]
    )
    file.unlink()
    assert main(["report", "--out", str(out)]) == 0
    assert "left out study mine" in capsys.readouterr().out

"""Printed numbers: they are read as they were printed, and stand beside rows on official data alone."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adaptbench import networks
from adaptbench.cli import main
from adaptbench.contracts import plugins
from adaptbench.errors import DataError, UsageError
from adaptbench.records.jobspec import job_folder
from adaptbench.records.record import NetworkInfo, Record, save_record
from adaptbench.reporting.board import Board, boards
from adaptbench.reporting.latex import render_latex
from adaptbench.reporting.leaderboard import render_csv, render_markdown
from adaptbench.reporting.published import comparison
from adaptbench.reporting.published.citations import Citations
from adaptbench.reporting.published.comparison import Facts, gather
from adaptbench.reporting.published.facts import FOLDER, Printed, Published, load_published
from adaptbench.reporting.published.published_board import render_markdown as render_published
from adaptbench.reporting.published.published_board import write_published

Maker = Callable[..., Record]

HRDA = Printed("HRDA", "", "MiT-B5", "HRDA (DAFormer head)")


@pytest.fixture(scope="module")
def published() -> Published:
    return load_published()


@pytest.fixture(scope="module")
def facts(published: Published) -> Facts:
    return gather(published, plugins.discover())


@pytest.fixture
def official(record: Maker) -> Callable[..., Record]:
    def make(method: str = "hrda", miou: float = 72.5, **fields: Any) -> Record:
        data = {"gta5": {"provenance": "official"}, "cityscapes": {"provenance": "official"}}
        base = record(method, miou, overrides=fields.pop("overrides", None))
        score = base.scores[0].model_copy(update={"provenance": "official"})
        network = NetworkInfo(name="daformer-mit_b5", parameters=85_000_000, pretraining="ImageNet")
        update = {
            "benchmark": "gta5_to_cityscapes",
            "profile": "paper",
            "data": data,
            "scores": [score],
            "network": network,
        }
        return base.model_copy(update=update | fields)

    return make


def only(records: list[Record]) -> Board:
    (board,) = boards(records)
    return board


def test_a_row_is_read_with_its_classes_and_source(published: Published) -> None:
    found = published.find(HRDA, "gta5_to_cityscapes", "val", 19)
    assert found is not None
    assert (found.printed, found.n_seeds, found.kind) == ("73.8 ± 0.3", 3, "main")
    assert found.iou["road"].text == "96.4" and len(found.iou) == 19
    assert found.paper.citation == "ECCV 2022, arXiv:2204.13132"
    assert not found.miou.mark and "Table 1" in found.miou.source


def test_a_stream_is_read_with_its_rounds_and_stands_beside_its_board(
    published: Published, facts: Facts, official: Callable[..., Record]
) -> None:
    found = published.find(
        Printed("CoTTA", "", "MiT-B5", "SegFormer"), "cityscapes_to_acdc_stream", "train", 19
    )
    assert found is not None and (found.printed, found.kind, found.setting) == ("58.6", "main", "tta")
    assert [found.parts[f"{name}, round 10"].text for name in ("fog", "night", "rain", "snow")] == [
        *("70.8", "41.0", "62.8", "59.7")
    ]
    made = official("cotta", 57.6, benchmark="cityscapes_to_acdc_stream", setting="tta")
    score = made.scores[0].model_copy(update={"split": "acdc/train"})
    network = made.network.model_copy(update={"name": "segformer-mit_b5"})
    record = made.model_copy(update={"scores": [score], "network": network})
    (pair,) = comparison.pairs(only([record]), facts)
    assert pair.difference == pytest.approx(57.6 - 58.6)
    given = record.model_copy(update={"overrides": {"start": "somebody-1"}})
    assert not comparison.pairs(only([given]), facts)
    page = render_published(published, "cityscapes_to_acdc_stream")
    (line,) = (line for line in page.splitlines() if "TENT-continual" in line and "round 7 " in line)
    assert [value.strip() for value in line.split("|")[3:7]] == ["64.2 †", "32.8 †", "55.3 †", "50.9 †"]


def test_every_line_of_the_file_arrives_as_printed(published: Published) -> None:
    with (FOLDER / "results.csv").open(encoding="utf-8", newline="") as file:
        expected = sorted(row["value"] for row in csv.DictReader(file))
    found = [value.text for r in published.results for value in (r.miou, *r.iou.values(), *r.parts.values())]
    assert sorted(found) == expected


def test_every_row_a_method_repeats_exists(published: Published) -> None:
    registry, names = plugins.discover(), {result.name for result in published.results}
    assert published.methods
    for (method, network), row in published.methods.items():
        registry.find("method", method)
        networks.spec(network)
        assert row in names, f"results.csv has no row {row}"


def test_every_benchmark_has_printed_numbers(published: Published, facts: Facts) -> None:
    assert set(facts.benchmarks.values()) <= set(published.benchmarks)


def test_a_difference_stands_beside_a_row_on_official_data(
    official: Callable[..., Record], facts: Facts
) -> None:
    board = only([official()])
    (pair,) = comparison.pairs(board, facts)
    assert pair.difference == pytest.approx(72.5 - 73.8)
    page = render_markdown([official()], facts=facts)
    line = next(line for line in page.splitlines() if "73.8 ± 0.3" in line)
    assert "-1.3" in line and "ECCV 2022, arXiv:2204.13132" in line
    assert "published mIoU (19 classes, val)" in page and "cannot tell" in line
    assert comparison.table([pair]).headers[2] == "mIoU (cityscapes19, cityscapes/val)"


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [
        ([73.6, 73.8, 74.0, 73.7, 73.9], "equivalent"),
        ([70.1, 70.3, 70.2, 70.4, 70.0], "different"),
        ([69.0, 72.0, 75.0, 71.0, 74.0], "cannot tell"),
        ([60.0], "cannot tell"),
    ],
)
def test_the_verdict_reaches_every_format(
    official: Callable[..., Record], facts: Facts, ours: list[float], verdict: str
) -> None:
    records = [official(miou=value, seed=s, job_hash=f"{s:016}") for s, value in enumerate(ours)]
    (pair,) = comparison.pairs(only(records), facts)
    assert pair.verdict == verdict
    line = next(x for x in render_markdown(records, facts=facts).splitlines() if "73.8 ± 0.3" in x)
    assert f"| {verdict} " in line
    (row,) = csv.DictReader(io.StringIO(render_csv(records, facts=facts)))
    assert (row["verdict"], row["published_miou"], row["paper"]) == (
        verdict,
        "73.8",
        pair.result.paper.citation,
    )
    assert float(row["difference"]) == pytest.approx(sum(ours) / len(ours) - 73.8, abs=1e-4)
    table = render_latex(records, facts).split("-published}")[1]
    assert f"& {verdict} & ECCV 2022" in table and r"73.8 $\pm$ 0.3" in table


def test_a_csv_has_no_printed_value_for_generated_worlds(record: Maker, facts: Facts) -> None:
    (row,) = csv.DictReader(io.StringIO(render_csv([record("hrda", network="daformer-mit_b5")], facts=facts)))
    assert row["published_miou"] == row["verdict"] == ""
    assert "published" not in render_latex([record("hrda")], facts)


def test_generated_worlds_never_meet_printed_values(record: Maker, facts: Facts) -> None:
    generated = record("hrda", network="daformer-mit_b5", profile="paper")
    assert comparison.pairs(only([generated]), facts) == []
    renamed = generated.model_copy(update={"benchmark": "gta5_to_cityscapes"})
    assert comparison.pairs(only([renamed]), facts) == []


@pytest.mark.parametrize(
    "change",
    [
        {"overrides": {"learning_rate": 1e-5}},
        {"profile": "mini"},
        {"method": "unheard_of"},
        {"network": NetworkInfo(name="daformer-mini", parameters=1, pretraining="none")},
    ],
)
def test_a_row_that_differs_from_the_paper_has_no_counterpart(
    official: Callable[..., Record], facts: Facts, change: dict[str, Any]
) -> None:
    assert comparison.pairs(only([official(**change)]), facts) == []


def test_a_page_marks_what_one_source_prints_and_leaves_ablations_out(published: Published) -> None:
    page = render_published(published, "gta5_to_cityscapes")
    lone = next(r for r in published.results if r.name.variant == "MIC(DAFormer)")
    assert lone.miou.mark
    line = next(x for x in page.splitlines() if "MIC (MIC(DAFormer))" in x and lone.miou.text in x)
    assert f"{lone.miou.text} †" in line and lone.miou.source.split()[0] in line
    assert "ablation:" not in page and "rows of ablations" in page
    headers = [line for line in page.splitlines() if line.startswith("| method") and "road" not in line]
    assert headers and all(
        "mIoU (19 classes, val)" in line or "mIoU (19 classes, test)" in line for line in headers
    )
    advent = next(line for line in page.splitlines() if line.startswith("| ADVENT (AdvEnt) "))
    assert "| best on val labels | native " in advent


def test_the_committed_pages_are_current(published: Published, tmp_path: Path) -> None:
    for path in write_published(published, tmp_path):
        assert path.read_text(encoding="utf-8") == (FOLDER / path.name).read_text(encoding="utf-8"), (
            f"{path.name} is out of date: python run_all.py report --publish"
        )


def damaged(folder: Path, change: Callable[[str], str], name: str = "results.csv") -> Path:
    copy = folder / "published"
    shutil.copytree(FOLDER, copy)
    (copy / name).write_text(change((copy / name).read_text(encoding="utf-8")), encoding="utf-8")
    return copy


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text + text.splitlines()[1] + "\n", "holds a metric twice"),
        (lambda text: text.replace(",mIoU,73.8,", ",mIoU,high,"), "no number"),
        (lambda text: text.replace(",mIoU,73.8,", ",other,73.8,"), "has no mIoU"),
        (lambda text: text.replace(",verified", ",checked", 1), "rows without verified"),
        (lambda text: text.replace(",hrda,ECCV", ",nobody,ECCV"), "papers.json does not have"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, change: Callable[[str], str], said: str) -> None:
    with pytest.raises(DataError, match=said):
        load_published(damaged(tmp_path, change))


def test_without_the_folder_there_is_nothing(tmp_path: Path) -> None:
    assert load_published(tmp_path / "none").results == ()


def test_citations_name_papers_and_licences(official: Callable[..., Record], published: Published) -> None:
    records = [official(paper="arXiv:2204.13132"), official("mine", paper="arXiv:9999.00001")]
    citations = Citations(published, plugins.discover())
    citations.add_boards(boards(records))
    text = citations.render()
    assert "@inproceedings{hrda," in text and "eprint = {2204.13132}" in text
    assert "Lukas Hoyer and Dengxin Dai" in text
    assert "% mine: arXiv:9999.00001" in text
    assert "@inproceedings{cityscapes," in text
    assert "cityscapes: non-commercial use, no redistribution" in text


def test_citations_of_a_published_board(published: Published) -> None:
    citations = Citations(published, plugins.discover())
    citations.add_published("gta5_to_cityscapes")
    text = citations.render()
    assert text.count("@") > 30 and "gta5: research and education only" in text
    with pytest.raises(UsageError, match="Did you mean"):
        citations.add_published("gta5_to_cityscape")


def test_the_verb_cites_boards_and_names_unknown_ones(
    official: Callable[..., Record], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = official(paper="arXiv:2204.13132")
    folder = job_folder(tmp_path, one.benchmark, one.method, one.seed, one.job_hash)
    save_record(one, folder / "record.json")
    assert main(["cite", "--out", str(tmp_path)]) == 0
    everything = capsys.readouterr().out
    assert everything.count("@inproceedings{hrda,") == 1 and "% Licences of the data:" in everything
    assert main(["cite", "gta5_to_cityscapes", "published/gta5_to_cityscapes", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("@inproceedings{hrda,") == 1
    assert main(["cite", "gta5_to_city", "--out", str(tmp_path)]) == 2
    assert "Did you mean" in capsys.readouterr().err

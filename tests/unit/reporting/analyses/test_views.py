"""The report of other scores from stored matrices."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import mounts
import numpy as np
import pytest
from forks import called, in_fork

from adaptbench.cli import main
from adaptbench.data.taxonomy import CAMVID11
from adaptbench.evaluation.confusion import confusion_matrix, confusion_with_void, predicted_on_void
from adaptbench.evaluation.metrics import miou
from adaptbench.records.confusion_files import PerImageConfusion, matrices_path
from adaptbench.records.record import Record, save_record
from adaptbench.reporting.analyses.views import VIEWS, Viewed

Maker = Callable[..., Record]
CONDITIONS = ("fog", "night", "rain")


def kept(seed: int, classes: int = 19, tagged: bool = True) -> PerImageConfusion:
    rng = np.random.default_rng(seed)
    matrices = rng.integers(0, 50, (6, classes, classes)).astype(np.uint32)
    matrices[:, range(classes), range(classes)] += 500
    names = tuple(f"frankfurt_{n:06d}" if n < 4 else f"lindau_{n:06d}" for n in range(6))
    tags = tuple({"condition": CONDITIONS[n % 3], "sequence": f"{n}"} for n in range(6)) if tagged else ()
    return PerImageConfusion(names, matrices, tags)


def view(one: Record, matrices: PerImageConfusion) -> Viewed:
    score = one.scores[0]
    return Viewed(one, score.split, len(matrices.names), tuple(score.iou), score.class_set, matrices)


@pytest.fixture
def viewed(record: Maker) -> list[Viewed]:
    records = [record("dacs", 40.0, seed) for seed in (0, 1)] + [
        record("oracle", tags=("oracle",), oracle=True)
    ]
    return [view(one, kept(number)) for number, one in enumerate(records)]


def test_sections_are_of_the_images_they_name(viewed: list[Viewed]) -> None:
    sections = viewed[0].sections
    matrices = kept(0).matrices.astype(np.int64)
    own = sections["Mean IoU by class view"]["19 classes"]
    assert own == pytest.approx(100 * miou(matrices.sum(axis=0)))
    by_condition = sections["Mean IoU of 19 classes by condition"]
    assert by_condition == pytest.approx(
        {name: 100 * miou(matrices[place::3].sum(axis=0)) for place, name in enumerate(CONDITIONS)}
    )
    each = [100 * miou(matrix) for matrix in matrices]
    assert sections["Mean IoU per image"]["median"] == pytest.approx(np.median(each))
    assert sections["Other scores"].keys() >= {"pixel accuracy", "mIoU of small objects (7 classes)"}


def test_void_is_counted_beside(record: Maker) -> None:
    """What runs under one convention keep says what they score under the other."""
    truth, prediction = np.random.default_rng(0).integers(0, 19, (2, 30, 40)).astype(np.uint8)
    truth[:5] = 255
    one = record("dacs")
    dropped = PerImageConfusion.collect(
        {"a": confusion_matrix(truth, prediction, 19)}, (), [predicted_on_void(truth, prediction, 19)]
    )
    counted = PerImageConfusion.collect({"a": confusion_with_void(truth, prediction, 19, "count")})
    views = [view(one, kept).sections["Mean IoU by class view"] for kept in (dropped, counted)]
    assert views[0] == views[1]
    assert views[0]["19 classes, absent ones 0, void counted"] < views[0]["19 classes, absent ones 0"]


def test_files(viewed: list[Viewed], tmp_path: Path) -> None:
    page, table = VIEWS.write(viewed, tmp_path)
    text = page.read_text()
    assert "## cityscapes/val, 6 images, cityscapes19" in text
    assert "16 of 19 classes, select" in text and "| oracle (oracle)" in text and " ± " in text
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert {(row["split"], row["class_set"], row["images"]) for row in rows} == {
        ("cityscapes/val", "cityscapes19", "6")
    }
    selected = [row for row in rows if row["score"] == "16 of 19 classes, select"]
    assert [row["seed"] for row in selected] == ["0", "1", "0"]
    before = [path.read_bytes() for path in (page, table)]
    assert [path.read_bytes() for path in VIEWS.write(viewed, tmp_path)] == before


def test_other_class_sets_have_no_views_of_cityscapes(camvid_record: Maker) -> None:
    one = camvid_record()
    sections = view(one, kept(0, len(CAMVID11))).sections
    assert list(sections["Mean IoU by class view"]) == [
        "11 classes",
        "11 classes, labelled or predicted",
        "11 classes, absent ones 0",
    ]
    assert "mIoU of small objects (4 classes)" in sections["Other scores"]


def test_the_verb_reads_what_runs_keep(
    record: Maker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = record("dacs", further={"acdc/val": 30.0})
    path = matrices_path(tmp_path, one, "cityscapes/val")
    save_record(one, path.parents[1] / "record.json")
    kept(0, tagged=False).save(path)
    assert main(["analyse", "views", "--out", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "acdc/val is left out" in told and "Written: " in told
    page = next((tmp_path / "analyses").glob("views-*.md")).read_text()
    assert "Mean IoU of 19 classes by place" in page and "frankfurt" in page
    path.unlink()
    assert main(["analyse", "views", "--out", str(tmp_path)]) == 2


@pytest.mark.skipif(bool(mounts.refused()), reason=mounts.refused())
def test_what_cannot_be_written_is_shown(record: Maker, tmp_path: Path) -> None:
    in_fork(_where_nothing_can_be_written, record("dacs"), tmp_path)


def _where_nothing_can_be_written(one: Record, folder: Path) -> None:
    mounts.own_mounts()
    mounts.small_disk(folder, "200k")
    out = folder / "out"
    path = matrices_path(out, one, "cityscapes/val")
    save_record(one, path.parents[1] / "record.json")
    kept(0).save(path)
    mounts.fill(folder)
    _shows(out, "No space left on device (")
    (folder / "filler").unlink()
    mounts.read_only(out)
    _shows(out, "Read-only file system. Choose another folder with --out.")


def _shows(out: Path, problem: str) -> None:
    code, said = called("analyse", "views", "--out", out)
    assert (code == 2 and not (out / "analyses").is_dir()) or not list((out / "analyses").iterdir())
    assert "Mean IoU of 19 classes by condition" in said and "| dacs " in said
    assert f"\nadaptbench: Cannot write {out}/analyses/views-" in said and problem in said
    code, said = called("report", "--out", out)
    assert code == 2 and "dacs" in said and f"Cannot write {out}/leaderboards/" in said and problem in said

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from adaptbench.data import id_tables
from adaptbench.records.jobspec import DataSource, JobSpec, job_folder, save_job
from adaptbench.records.record import Record
from adaptbench.reporting.board import boards
from adaptbench.reporting.figures.gallery import draw_all, strip_rows

Maker = Callable[..., Record]

SIZE = (16, 32)
NAMES = ("frankfurt_000000_000019", "frankfurt_000001_000019", "lindau_000002_000019")


def image(path: Path, values: np.ndarray[Any, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


@pytest.fixture
def cityscapes(tmp_path: Path) -> Path:
    """Three images of Cityscapes val: road (id 7), the last row void (id 3)."""
    root = tmp_path / "cityscapes"
    for i, name in enumerate(NAMES):
        city = name.partition("_")[0]
        image(root / f"leftImg8bit/val/{city}/{name}_leftImg8bit.png", np.full((*SIZE, 3), i, np.uint8))
        label = np.full(SIZE, 7, np.uint8)
        label[-1] = 3
        image(root / f"gtFine/val/{city}/{name}_gtFine_labelIds.png", label)
    return root


def keep_job(record: Record, out: Path, root: Path, predicted: int, names: tuple[str, ...] = NAMES) -> Path:
    """What a finished job leaves for the gallery: job.json and predictions of one class."""
    folder = job_folder(out, record.benchmark, record.method, record.seed, record.job_hash)
    folder.mkdir(parents=True)
    spec = JobSpec(
        job_hash=record.job_hash,
        group_hash=record.group_hash,
        ranking_hash=record.ranking_hash,
        ranking=record.ranking,
        method=record.method,
        benchmark="gta5_to_cityscapes",
        board=record.benchmark,
        profile="mini",
        seed=record.seed,
        limit=None,
        device="cpu",
        threads=1,
        settings=record.settings,
        settings_origin="published",
        overrides=record.overrides,
        data={"cityscapes": DataSource(root=str(root), provenance="generated", version="1")},
        plugins=[],
    )
    save_job(spec, folder)
    for name in names:
        image(folder / "pictures/cityscapes-val" / f"{name}.png", np.full(SIZE, predicted, np.uint8))
    return folder


def test_every_board_is_drawn_with_predictions(record: Maker, cityscapes: Path, tmp_path: Path) -> None:
    records = [record("dacs", 40.0), record("dacs", 41.0, seed=1), record("oracle", 60.0, tags=("oracle",))]
    for i, one in enumerate(records):
        keep_job(one, tmp_path, cityscapes, predicted=i)
    (board,) = boards(records)
    rows = strip_rows(board, tmp_path)
    assert [row.name for row in rows] == list(NAMES)
    assert list(rows[0].predictions) == ["oracle", "dacs"]  # as on the board, lowest seed
    assert rows[1].image[0, 0].tolist() == [1, 1, 1]
    assert np.unique(rows[0].predictions["dacs"]) == [0]
    assert np.unique(rows[0].truth).tolist() == [id_tables.CITYSCAPES[7], 255]

    folder = tmp_path / "leaderboards/minicity-gta5_to_cityscapes"
    written = draw_all(records, tmp_path, pytest.fail)
    assert [path.name for path in written] == ["leaderboard.png", "classes.png", "predictions.png"]
    assert {path.parent for path in written} == {folder}
    before = [path.read_bytes() for path in written]
    assert [path.read_bytes() for path in draw_all(reversed(records), tmp_path, pytest.fail)] == before


def test_only_images_that_all_methods_kept_are_shown(record: Maker, cityscapes: Path, tmp_path: Path) -> None:
    records = [record("dacs"), record("fada", 30.0)]
    keep_job(records[0], tmp_path, cityscapes, 0)
    keep_job(records[1], tmp_path, cityscapes, 1, NAMES[1:])
    assert [row.name for row in strip_rows(boards(records)[0], tmp_path)] == list(NAMES[1:])


def test_of_a_method_the_row_without_overrides_is_shown(
    record: Maker, cityscapes: Path, tmp_path: Path
) -> None:
    records = [record("dacs", 50.0, overrides={"blur": False}), record("dacs", 40.0)]
    for i, one in enumerate(records):
        keep_job(one, tmp_path, cityscapes, predicted=i)
    (row, *_) = strip_rows(boards(records)[0], tmp_path)
    assert list(row.predictions) == ["dacs"]
    assert np.unique(row.predictions["dacs"]) == [1]


def test_protocols_of_one_benchmark_have_folders_of_their_own(record: Maker, tmp_path: Path) -> None:
    other = record("dacs", overrides={"minicity.gap": 0}, ranking={"data": {"gap": 0}})
    written = draw_all([record("dacs"), other], tmp_path, lambda _: None)
    assert list(dict.fromkeys(path.parent.name for path in written)) == [
        "minicity-gta5_to_cityscapes",
        f"minicity-gta5_to_cityscapes-{other.ranking_hash[:8]}",
    ]


def damage_job(folder: Path, root: Path) -> None:
    shutil.rmtree(folder)


def damage_data(folder: Path, root: Path) -> None:
    shutil.rmtree(root)


def damage_predictions(folder: Path, root: Path) -> None:
    shutil.rmtree(folder / "pictures")


def damage_size(folder: Path, root: Path) -> None:
    for path in (folder / "pictures").rglob("*.png"):
        image(path, np.zeros((2, 2), np.uint8))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (damage_job, "is not a job file"),
        (damage_data, "data they were made from is gone"),
        (damage_predictions, "runs of dacs kept no predictions"),
        (damage_size, "has another size"),
    ],
)
def test_without_data_the_leaderboard_alone_is_drawn(
    record: Maker, cityscapes: Path, tmp_path: Path, damage: Callable[[Path, Path], None], reason: str
) -> None:
    folder = keep_job(record("dacs"), tmp_path, cityscapes, 0)
    board, classes, strips = draw_all([record("dacs")], tmp_path, pytest.fail)
    damage(folder, cityscapes)
    said: list[str] = []
    assert draw_all([record("dacs")], tmp_path, said.append) == [board, classes]
    assert len(said) == 1
    assert reason in said[0]
    assert not strips.exists()  # an old image beside a new board would mislead


def test_no_records_no_images(tmp_path: Path) -> None:
    assert draw_all([], tmp_path) == []

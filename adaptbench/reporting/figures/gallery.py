"""Images of a results folder: every leaderboard, and what its methods predicted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adaptbench.contracts import plugins
from adaptbench.contracts.dataset import Dataset, Sample
from adaptbench.data import files
from adaptbench.data.taxonomy import LabelMap, class_set, label_map
from adaptbench.errors import AdaptBenchError, DataError, RunStateError
from adaptbench.planning.sources import dataset_class
from adaptbench.records import formatting
from adaptbench.records.confusion_files import PerImageConfusion, matrices_path
from adaptbench.records.jobspec import JobSpec, load_job, predictions_folder
from adaptbench.records.record import Record, folder_of
from adaptbench.reporting.board import Board, Row, View, boards
from adaptbench.reporting.figures.canvas import plain_style, save
from adaptbench.reporting.figures.class_figures import class_bars, confusion_image, where
from adaptbench.reporting.figures.disagreement import chosen
from adaptbench.reporting.figures.leaderboard_image import StripRow, leaderboard_image, prediction_strips

_log = logging.getLogger(__name__)


#: Files with predictions: of the first images of the split, and of those that methods disagree on most.
_STRIPS = {"first": "predictions.png", "disputed": "disputed.png"}


@dataclass(frozen=True)
class _Column:
    """A method in a grid of predictions.

    Attributes:
        method: its name.
        predictions: folder with one index PNG per image.
        folder: the job's folder.
    """

    method: str
    predictions: Path
    folder: Path


def draw_all(records: Iterable[Record], out: Path, say: Callable[[str], None] = _log.warning) -> list[Path]:
    """Draws the images of every board and returns what was written.

    These are ``leaderboard.png``, ``classes.png`` (bars of the IoU per class), ``confusion.png`` (of the best ranked
    row, all seeds together), ``predictions.png`` and ``disputed.png``.

    They go to ``OUT/leaderboards/<benchmark>/``, with ``-`` for the slashes of the name; further protocols of
    a benchmark have their ranking hash added. Predictions are those of the lowest seed; image and ground
    truth are read from where the job found its data. Where they are gone, the leaderboard alone is drawn.

    Args:
        records: any number, in any order.
        out: the results folder they come from.
        say: told why predictions could not be drawn.

    Raises:
        RunStateError: ``out`` cannot be written.
    """
    written: list[Path] = []
    folders: set[Path] = set()
    for board in boards(records):
        folder = out / "leaderboards" / board.benchmark.replace("/", "-")
        if folder in folders:
            folder = folder.with_name(f"{folder.name}-{board.ranking_hash[:8]}")
        folders.add(folder)
        leaderboard_image(board, folder / "leaderboard.png")
        written.append(folder / "leaderboard.png")
        written += _class_images(board, out, folder)
        try:
            rows = strip_rows(board, out)
        except AdaptBenchError as error:
            for name in _STRIPS.values():  # those of an earlier state would mislead
                (folder / name).unlink(missing_ok=True)
            say(f"{board.benchmark}: no image of predictions. {error}")
            continue
        for name, shown in chosen(rows)._asdict().items():
            path = folder / _STRIPS[name]
            path.unlink(missing_ok=True)
            if shown:
                prediction_strips(shown, path, class_set(board.view.class_set))
                written.append(path)
    return written


def _class_images(board: Board, out: Path, folder: Path) -> list[Path]:
    """What can be drawn of the classes; without the matrices of the best row no confusion."""
    if not board.rows:
        return []
    with plain_style():
        save(class_bars(board), folder / "classes.png")
    best = (board.ranked or board.rows)[0]
    files = [matrices_path(out, record, board.view.split) for record in best.records]
    confusion = folder / "confusion.png"
    confusion.unlink(missing_ok=True)
    if not all(file.is_file() for file in files):
        return [folder / "classes.png"]
    total = np.sum([PerImageConfusion.load(file).total() for file in files], axis=0)
    note = f"{where(board)}; seeds: {formatting.seed_list(best.seeds)}; percent of each true class"
    with plain_style():
        save(confusion_image(total, board.classes, f"{board.title}: {best.label}", note), confusion)
    return [folder / "classes.png", confusion]


def strip_rows(board: Board, out: Path) -> list[StripRow]:
    """The images of the ranked split that all methods of ``board`` kept, with what each predicted.

    Raises:
        AdaptBenchError: the data or the predictions are gone, or cannot be read.
    """
    columns = _columns(board, out)
    dataset, table = opened(load_job(columns[0].folder), board.view)
    samples = _common_samples(dataset, board, columns)
    return [_strip_row(dataset, sample, table, columns) for sample in samples]


def _columns(board: Board, out: Path) -> list[_Column]:
    """One column per method, in the order of the board; of several rows of a method the plainest one."""
    rows = board.rows or board.smoke
    protocol = rows[0].first.ranking_hash  # smoke runs below one board may differ in their images
    by_method: dict[str, list[Row]] = {}
    for row in rows:
        if row.first.ranking_hash == protocol and _own(row):
            by_method.setdefault(row.first.method, []).append(row)
    if not by_method:
        raise RunStateError("All of its runs were submitted by others, without images.")
    plainest = [min(group, key=lambda row: len(row.first.overrides)) for group in by_method.values()]
    return [_column(board, _own(row)[0], out) for row in plainest]


def _own(row: Row) -> list[Record]:
    """The records of a row that come with a job's folder."""
    return [record for record in row.records if record.origin == "maintainer"]


def _column(board: Board, record: Record, out: Path) -> _Column:
    folder = folder_of(record, out)
    return _Column(record.method, predictions_folder(folder, board.view.split), folder)


def opened(spec: JobSpec, view: View) -> tuple[Dataset, LabelMap]:
    """The dataset of a scored split, and the map from its labels to train ids.

    Raises:
        AdaptBenchError: the data is gone, or its plug-in is.
    """
    name = view.split.partition("/")[0]
    if name not in spec.data:
        raise RunStateError(f"The job {spec.job_hash} does not say where {name} lies.")
    registry = plugins.discover(Path(path) for path in spec.plugins)
    root = Path(spec.data[name].root)
    if not root.is_dir():
        raise DataError(f"The data they were made from is gone: {root} is not a folder.")
    dataset = dataset_class(registry, name)(root)
    return dataset, label_map(dataset.id_space, view.class_set)


def _common_samples(dataset: Dataset, board: Board, columns: Sequence[_Column]) -> list[Sample]:
    split = board.view.split.partition("/")[2]
    missing = [column.method for column in columns if not column.predictions.is_dir()]
    if missing:
        raise RunStateError(f"The runs of {', '.join(missing)} kept no predictions of {board.view.split}.")
    found = [
        sample
        for sample in dataset.usable(split)
        if all((column.predictions / f"{sample.name}.png").is_file() for column in columns)
    ]
    if not found:
        raise RunStateError("The runs kept predictions of different images.")
    return found


def _strip_row(dataset: Dataset, sample: Sample, table: LabelMap, columns: Sequence[_Column]) -> StripRow:
    image, raw = dataset.read_image(sample), dataset.read_label(sample)
    predictions = {
        column.method: files.read_index_image(column.predictions / f"{sample.name}.png") for column in columns
    }
    files.require_same_size(image, raw, sample)
    for column in columns:
        if predictions[column.method].shape != raw.shape:
            raise RunStateError(
                f"{column.predictions / sample.name}.png has another size than {sample.label}: "
                "the data changed since the run."
            )
    return StripRow(sample.name, image, table[raw], predictions)

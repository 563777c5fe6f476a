"""Images of a results folder: every leaderboard, and what its methods predicted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from adaptbench.contracts import plugins
from adaptbench.contracts.dataset import Dataset, Sample
from adaptbench.data import files
from adaptbench.data.label_ids import listed, unknown_ids
from adaptbench.data.taxonomy import IGNORE, LabelMap, class_set, label_map
from adaptbench.errors import AdaptBenchError, DataError, RunStateError
from adaptbench.planning.sources import dataset_class
from adaptbench.records import formatting
from adaptbench.records.confusion_files import PerImageConfusion, matrices_path, row_names
from adaptbench.records.jobspec import JobSpec, load_job, predictions_folder
from adaptbench.records.record import Record, folder_of
from adaptbench.reporting.board import Board, View, boards
from adaptbench.reporting.figures.canvas import plain_style, save
from adaptbench.reporting.figures.class_figures import class_bars, confusion_image, where
from adaptbench.reporting.figures.leaderboard_image import leaderboard_image
from adaptbench.reporting.figures.strips import StripRow, chosen, prediction_strips

_log = logging.getLogger(__name__)


def draw_all(records: Iterable[Record], out: Path, say: Callable[[str], None] = _log.warning) -> list[Path]:
    """Draws the images of every board and returns what was written.

    These are ``leaderboard.png``, ``classes.png`` (bars of the IoU per class), ``confusion.png`` (of the best ranked
    row, all seeds together), ``predictions.png`` and ``disputed.png``.

    They go to ``OUT/leaderboards/<benchmark>/``, with ``-`` for the slashes of the name; further protocols of
    a benchmark have their ranking hash added. Predictions are those of the lowest seed; image and ground
    truth are read from where the job found its data. Where they are gone, the leaderboard alone is drawn,
    and ``say`` is told why.
    """
    written: list[Path] = []
    folders: set[Path] = set()
    for board in boards(records):
        folder = out / "leaderboards" / formatting.file_name(board.benchmark)
        if folder in folders:
            folder = folder.with_name(f"{folder.name}-{board.ranking_hash[:8]}")
        folders.add(folder)
        leaderboard_image(board, folder / "leaderboard.png")
        written += [folder / "leaderboard.png", *_class_images(board, out, folder, say)]
        for name in ("predictions.png", "disputed.png"):  # those of an earlier state would mislead
            (folder / name).unlink(missing_ok=True)
        try:
            first, disputed = chosen(strip_rows(board, out))
        except AdaptBenchError as error:
            say(f"{board.benchmark}: no image of predictions. {error}")
            continue
        for name, shown in (("predictions.png", first), ("disputed.png", disputed)):
            if shown:
                prediction_strips(shown, folder / name, class_set(board.view.class_set))
                written.append(folder / name)
    return written


def _class_images(board: Board, out: Path, folder: Path, say: Callable[[str], None]) -> list[Path]:
    """What can be drawn of the classes; without the matrices of the best row no confusion."""
    if not board.finished:
        return []
    with plain_style():
        save(class_bars(board), folder / "classes.png")
    best = (board.ranked or board.finished)[0]
    files = [matrices_path(out, record, board.view.split) for record in best.records]
    confusion = folder / "confusion.png"
    confusion.unlink(missing_ok=True)
    if not all(file.is_file() for file in files):
        return [folder / "classes.png"]
    try:
        totals = [PerImageConfusion.load(file).total() for file in files]
        names = row_names(totals[0], board.classes)
        if any(len(total) != len(names) for total in totals):
            raise RunStateError(f"{files[0]} or another seed's is not of the {len(board.classes)} classes.")
    except RunStateError as error:
        say(f"{board.benchmark}: no image of the confusion. {error}")
        return [folder / "classes.png"]
    total = np.sum(totals, axis=0)
    note = f"{where(board)}; seeds: {formatting.seed_list(best.seeds)}; percent of each true class"
    with plain_style():
        save(confusion_image(total, names, f"{board.title}: {best.label}", note), confusion)
    return [folder / "classes.png", confusion]


def strip_rows(board: Board, out: Path) -> list[StripRow]:
    """The images of the ranked split that all methods of ``board`` kept, with what each predicted.

    Raises:
        AdaptBenchError: the data or the predictions are gone, or cannot be read.
    """
    split, records = board.view.split, _shown_runs(board, out)
    kept = {record.method: predictions_folder(folder_of(record, out), split) for record in records}
    dataset, table = opened(load_job(folder_of(records[0], out)), board.view, out)
    missing = [method for method, folder in kept.items() if not folder.is_dir()]
    if missing:
        raise RunStateError(f"The runs of {', '.join(missing)} kept no predictions of {split}.")
    found = []
    for sample in dataset.usable(split.partition("/")[2]):
        paths = {method: folder / f"{sample.name}.png" for method, folder in kept.items()}
        if all(path.is_file() for path in paths.values()):
            found.append(_strip_row(dataset, sample, table, paths, len(board.classes)))
    if not found:
        raise RunStateError("The runs kept predictions of different images.")
    return found


def _shown_runs(board: Board, out: Path) -> list[Record]:
    """One run per method that was run here, in the order of the board; of several rows of a method the plainest one.

    Of its seeds it is the first whose predictions are in ``out``: a run that was merged has none.
    """

    def without_predictions(record: Record) -> bool:
        return not predictions_folder(folder_of(record, out), board.view.split).is_dir()

    rows = board.finished or board.smoke
    protocol = rows[0].first.ranking_hash  # smoke runs below one board may differ in their images
    by_method: dict[str, list[Record]] = {}
    for row in rows:
        own = [record for record in row.records if record.origin == "maintainer"]
        if own and row.first.ranking_hash == protocol:
            by_method.setdefault(row.first.method, []).append(min(own, key=without_predictions))
    if not by_method:
        raise RunStateError("All of its runs were submitted by others, without images.")
    return [min(group, key=lambda record: len(record.overrides)) for group in by_method.values()]


def opened(spec: JobSpec, view: View, out: Path) -> tuple[Dataset, LabelMap]:
    """The dataset of a scored split of a job in the results folder ``out``, and the map from its labels to train ids.

    Raises:
        AdaptBenchError: the data is gone, or its plug-in is.
    """
    name = view.split.partition("/")[0]
    if name not in spec.data:
        raise RunStateError(f"The job {spec.job_hash} does not say where {name} lies.")
    registry = plugins.discover(plugins.named_by_results(spec.plugins, out))
    root = Path(spec.data[name].root)
    if not root.is_dir():
        raise DataError(f"The data they were made from is gone: {root} is not a folder.")
    dataset = dataset_class(registry, name)(root)
    return dataset, label_map(dataset.id_space, view.class_set)


def _strip_row(
    dataset: Dataset, sample: Sample, table: LabelMap, kept: Mapping[str, Path], classes: int
) -> StripRow:
    image, raw = dataset.read_image(sample), dataset.read_label(sample)
    predictions = {method: files.read_index_image(path) for method, path in kept.items()}
    files.require_same_size(image, raw, sample)
    for method, ids in predictions.items():
        if strange := unknown_ids(ids, frozenset((*range(classes), IGNORE))):
            raise RunStateError(
                f"{kept[method]} holds ids of no class: {listed(strange)}. Run the job again."
            )
        if ids.shape != raw.shape:
            raise RunStateError(
                f"{kept[method]} has another size than {sample.label}: the data changed since the run."
            )
    return StripRow(sample.name, image, table[raw], predictions)

"""A recorded tree of Cityscapes label and prediction files, and what the official evaluation made of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from adaptbench.data.files import read_index_image
from adaptbench.data.id_tables import SIXTEEN, THIRTEEN
from adaptbench.data.taxonomy import CITYSCAPES19, IGNORE, label_map
from adaptbench.evaluation.class_views import selected
from adaptbench.evaluation.confusion import confusion_matrix
from adaptbench.records.confusion_files import Matrix

from .case import Array, Case
from .conventions import CONVENTIONS, merged
from .instance_iou import CATEGORIES, CLASSES, instance_counts
from .open_confusion import open_confusion
from .recorded_tree import RecordedTree

_FOLDER = "official_cityscapes"
_EXACT_SCORE = 1e-9
_CONVENTION = CONVENTIONS["cityscapes"]
_TO_TRAIN = label_map("cityscapes", "cityscapes19")


def check_official_tree(case: Case) -> None:
    folder = case.path / _FOLDER
    official = RecordedTree(case, folder / "official_result.json")
    ours = RecordedTree(case, folder / "expected_trainid_route.json")
    files = [(folder / pair["gt"], folder / pair["pred"]) for pair in official.value("_files")]
    truths, predictions = ([read_index_image(pair[i]) for pair in files] for i in (0, 1))
    for (path, _), truth in zip(files, truths, strict=True):
        converted = Path(str(path).replace("_labelIds", "_labelTrainIds"))
        case.expect(converted.name, _TO_TRAIN[truth], read_index_image(converted))
    counts = np.sum(
        [
            open_confusion(_TO_TRAIN[truth], _TO_TRAIN[found], 19)
            for truth, found in zip(truths, predictions, strict=True)
        ],
        axis=0,
    )
    _check_route(ours, counts)
    _check_raw(official, folder, files, truths, predictions)
    _check_classes(official, counts, ours.value("trainid_route/equals_official_classScores_to"))
    instances = [
        np.asarray(Image.open(str(path).replace("_labelIds", "_instanceIds"))).astype(np.int64)
        for path, _ in files
    ]
    _check_categories(official, ours, counts)
    _check_instances(official, instances, truths, predictions)
    official.finish(["_cython_support", "_cityscapesscripts_version", "_numpy"])
    ours.finish(["*note"])


def _check_route(ours: RecordedTree, counts: Matrix) -> None:
    """Our numbers from train ids."""
    areas, at = _CONVENTION.areas(counts), "trainid_route"
    ours.expect(f"{at}/confusion_matrix_rows_gt_cols_pred", counts[:-1, :-1])
    ours.expect(f"{at}/gt_pixels_with_void_prediction", counts[:-1, -1])
    ours.expect(f"{at}/IoU", areas.iou, atol=_EXACT_SCORE)
    ours.expect(f"{at}/mIoU_nanmean", _CONVENTION.miou(counts), atol=_EXACT_SCORE)
    ours.expect(f"{at}/mIoU_16", selected(counts, SIXTEEN, "skip"), atol=_EXACT_SCORE)
    ours.expect(f"{at}/mIoU_13", selected(counts, THIRTEEN, "skip"), atol=_EXACT_SCORE)
    ours.expect(f"{at}/aAcc", areas.accuracy, atol=_EXACT_SCORE)


def _check_raw(
    official: RecordedTree,
    folder: Path,
    files: Sequence[tuple[Path, Path]],
    truths: Sequence[Array],
    predictions: Sequence[Array],
) -> None:
    """Counts of raw label ids. The official scores per image count ignored pixels, and the wrong ones of them."""
    ids = official.value("labels")
    raw = np.sum(
        [confusion_matrix(*pair, len(ids)) for pair in zip(truths, predictions, strict=True)], axis=0
    )
    official.expect("confMatrix", raw)
    for name, number in ids.items():
        official.expect(f"priors/{name}", raw[number].sum() / raw.sum(), atol=_EXACT_SCORE)
    for (_, path), truth, found in zip(files, truths, predictions, strict=True):
        at, ignored = f"perImageScores/{path.relative_to(folder)}", _TO_TRAIN[truth] == IGNORE
        official.expect(f"{at}/nbNotIgnoredPixels", np.count_nonzero(ignored))
        official.expect(f"{at}/nbCorrectPixels", np.count_nonzero(ignored & (truth != found)))


def _check_classes(official: RecordedTree, counts: Matrix, atol: float) -> None:
    scores = dict(zip(CITYSCAPES19.classes, _CONVENTION.areas(counts).iou, strict=True))
    for name in official.content["classScores"]:
        official.expect(f"classScores/{name}", scores.get(name, np.nan), atol=atol)
    official.expect("averageScoreClasses", _CONVENTION.miou(counts), atol=atol)


def _check_categories(official: RecordedTree, ours: RecordedTree, counts: Matrix) -> None:
    categories = ours.value("categories_in_train_ids")
    parts = merged(counts, list(categories.values()))
    scores = dict(zip(categories, _CONVENTION.areas(parts).iou, strict=True))
    for name in official.content["categoryScores"]:
        official.expect(f"categoryScores/{name}", scores.get(name, np.nan), atol=_EXACT_SCORE)
    official.expect("averageScoreCategories", _CONVENTION.miou(parts), atol=_EXACT_SCORE)


def _check_instances(
    official: RecordedTree,
    instances: Sequence[Array],
    truths: Sequence[Array],
    predictions: Sequence[Array],
) -> None:
    for folder, average, groups in (
        ("classInstScores", "averageScoreInstClasses", CLASSES),
        ("categoryInstScores", "averageScoreInstCategories", CATEGORIES),
    ):
        maps = zip(instances, truths, predictions, strict=True)
        counts = [instance_counts(*three, list(groups.values())) for three in maps]
        found = sum(counts[1:], counts[0]).iou
        scores = dict(zip(groups, found, strict=True))
        for name in official.content[folder]:
            official.expect(f"{folder}/{name}", scores.get(name, np.nan), atol=_EXACT_SCORE)
        official.expect(average, np.nanmean(found), atol=_EXACT_SCORE)

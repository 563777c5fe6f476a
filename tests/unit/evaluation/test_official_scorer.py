"""Our numbers are those of cityscapesScripts: predictions written by us in label ids, scored by both."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling
from conformance.conventions import CONVENTIONS
from conformance.instance_iou import CLASSES, instance_counts
from conformance.open_confusion import open_confusion
from PIL import Image

from adaptbench.contracts import plugins
from adaptbench.data.files import read_index_image
from adaptbench.data.id_tables import CITYSCAPES
from adaptbench.data.taxonomy import CITYSCAPES19, IGNORE, label_map
from adaptbench.evaluation.confusion import confusion_matrix
from adaptbench.evaluation.metrics import iou, miou
from adaptbench.records.average import Average

official: Any = evalPixelLevelSemanticLabeling
RECORDED = Path(__file__).parents[2] / "conformance" / "cases" / "data" / "metrics" / "official_cityscapes"
TO_TRAIN = label_map("cityscapes", "cityscapes19")
TO_LABEL_ID = {train: raw for raw, train in CITYSCAPES.items()}
Ids = npt.NDArray[np.uint8]
Pair = tuple[Path, Path]


def scored_officially(pairs: Sequence[Pair], instances: bool) -> dict[str, Any]:
    """The official result for (prediction, label) files in label ids."""
    args = copy.copy(official.args)
    args.quiet, args.JSONOutput, args.evalInstLevelScore = True, False, instances
    predictions, labels = ([str(pair[i]) for pair in pairs] for i in (0, 1))
    result: dict[str, Any] = official.evaluateImgLists(predictions, labels, args)
    return result


def write_label_ids(train_ids: Ids, path: Path) -> None:
    table = np.zeros(256, np.uint8)  # 0 = unlabeled
    table[list(TO_LABEL_ID)] = list(TO_LABEL_ID.values())
    Image.fromarray(table[train_ids]).save(path)


def test_recorded_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Predictions of no class count as missed, in both."""
    monkeypatch.setattr(
        np, "in1d", np.isin, raising=False
    )  # numpy 2.4 has no in1d any more, which the scorer calls
    pairs, counts, objects = [], np.zeros((20, 20), np.int64), None
    for label in sorted((RECORDED / "gtFine").rglob("*_labelIds.png")):
        name = label.name.replace("_gtFine_labelIds", "_leftImg8bit")
        found, truth = TO_TRAIN[read_index_image(RECORDED / "results" / name)], read_index_image(label)
        write_label_ids(found, tmp_path / name)
        pairs.append((tmp_path / name, label))
        counts += open_confusion(TO_TRAIN[truth], found, 19)
        instances = np.asarray(Image.open(str(label).replace("labelIds", "instanceIds"))).astype(np.int64)
        single = instance_counts(instances, truth, read_index_image(tmp_path / name), list(CLASSES.values()))
        objects = single if objects is None else objects + single
    result, convention = scored_officially(pairs, instances=True), CONVENTIONS["cityscapes"]
    assert objects is not None
    theirs = [result["classScores"][name] for name in CITYSCAPES19.classes]
    np.testing.assert_allclose(convention.areas(counts).iou, theirs, rtol=0, atol=1e-6)
    assert convention.miou(counts) == pytest.approx(result["averageScoreClasses"], abs=1e-6)
    theirs = [result["classInstScores"][name] for name in CLASSES]
    np.testing.assert_allclose(objects.iou, theirs, rtol=0, atol=1e-6)


def test_minicity(small_world: Path, tmp_path: Path) -> None:
    """What ranks: no prediction is of no class. The official mean is over classes in truth or prediction."""
    cityscapes = plugins.load(plugins.discover().find("dataset", "cityscapes"))(small_world / "cityscapes")
    rng, pairs, total = np.random.default_rng(0), [], np.zeros((19, 19), np.int64)
    for sample in cityscapes.samples("val"):
        truth = label_map(cityscapes.id_space, "cityscapes19")[cityscapes.read_label(sample)]
        shifted = np.roll(truth, 3, axis=1)
        noise = rng.integers(0, 19, truth.shape).astype(np.uint8)
        predicted = np.where((shifted == IGNORE) | (rng.random(truth.shape) < 0.1), noise, shifted)
        path = tmp_path / f"{sample.name}_pred.png"
        write_label_ids(predicted, path)
        pairs.append((path, sample.label))
        total += confusion_matrix(truth, predicted, 19)
    result = scored_officially(pairs, instances=False)
    theirs = [result["classScores"][name] for name in CITYSCAPES19.classes]
    np.testing.assert_allclose(iou(total), theirs, rtol=0, atol=1e-6)
    assert Average(absent="skip").miou(total) == pytest.approx(result["averageScoreClasses"], abs=1e-6)
    assert 0.1 < miou(total) < 0.95

"""Scores of label and prediction maps as public evaluators give them, and everything else in the folder of metrics."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from adaptbench.errors import DataError
from adaptbench.evaluation.class_views import others_ignored, selected
from adaptbench.evaluation.confusion import confusion_matrix
from adaptbench.evaluation.metrics import iou, miou
from adaptbench.records.confusion_files import Matrix

from ..case import Array, Case
from ..conventions import CONVENTIONS, OCCURRING, Areas
from ..metric_files import check_boundary, check_calibration, check_resolutions
from ..official_tree import check_official_tree
from ..open_confusion import open_confusion
from ..recorded_tree import RecordedTree
from ..registry import handler

#: "IoU 1e-9 against the exact values, 2e-7 against mmseg 1.2.2", README of the recorded data.
EXACT_SCORE, FLOAT32_SCORE = 1e-9, 2e-7
#: "float32 sums over 500 full-size images change IoU by up to 5e-7", the same.
_FLOAT32_SUMS = 5e-7
#: Percent that is rounded to two decimals, of float32 numbers.
_ROUNDED = 0.005 + 2e-5
_SCORES = {
    "IoU": "iou",
    "Acc": "recall",
    "Recall": "recall",
    "Precision": "precision",
    "Dice": "dice",
    "Fscore": "f_score",
}


@handler("metrics")
def check(case: Case) -> None:
    tree = RecordedTree(case, case.path / "expected.json")
    with np.load(case.path / "cases.npz") as archive:
        maps = {name: archive[name] for name in archive.files}
    for name in tree.content["cases"]:
        _check_scores(_Recorded(tree, name, maps))
    assert not maps, f"{case.name}: maps that belong to no case: {', '.join(maps)}"
    _check_accumulation(case, tree)
    tree.value("class_names")
    tree.finish(["note", "cases/*/note", "cases/*/mmseg122/dtype", "set1*"])
    check_boundary(case)
    check_calibration(case)
    check_resolutions(case)
    check_official_tree(case)


class _Recorded:
    """A recorded set of maps, its counts, and where its values are."""

    def __init__(self, tree: RecordedTree, name: str, maps: dict[str, Array]) -> None:
        self.tree, self.at = tree, f"cases/{name}"
        self.classes = len(tree.content["class_names"])
        self.sixteen, self.thirteen = tree.content["set16"], tree.content["set13"]
        self.thirteen_of_sixteen = tree.content["set13_in_16class_index"]
        numbers = range(tree.value(f"{self.at}/n_images"))
        self.pairs = [(maps.pop(f"{name}_{i}_gt"), maps.pop(f"{name}_{i}_pred")) for i in numbers]
        tree.expect(f"{self.at}/shapes", [label.shape for label, _ in self.pairs])

    @cached_property
    def counts(self) -> Matrix:
        total: Matrix = np.sum([open_confusion(*pair, self.classes) for pair in self.pairs], axis=0)
        return total

    def __contains__(self, path: str) -> bool:
        return f"{self.at}/{path}" in self.tree

    def value(self, path: str) -> Any:
        return self.tree.value(f"{self.at}/{path}")

    def expect(self, path: str, got: Any, atol: float = EXACT_SCORE) -> None:
        self.tree.expect(f"{self.at}/{path}", got, atol=atol)

    def areas(self, convention: str) -> Areas | None:
        """None where evaluator and convention agree that such ids are an error."""
        try:
            return CONVENTIONS[convention].areas(self.counts)
        except DataError as error:
            assert "ids that are no class" in str(error)
            return None


def _check_scores(recorded: _Recorded) -> None:
    counts = recorded.counts
    recorded.expect("confusion_matrix_rows_gt_cols_pred", counts[:-1, :-1], 0)
    recorded.expect("gt_pixels_with_out_of_range_prediction", counts[:-1, -1], 0)
    _check_strict(recorded)
    _check_fork(recorded)
    _check_mmseg(recorded)
    for check_evaluator, folder, convention in (
        (_check_fada, "FADA", "fada"),
        (_check_advent, "ADVENT", "advent"),
        (_check_ehtdi, f"EHTDI_{recorded.classes}", "ehtdi"),
        (_check_bdd, "BDD_official", "bdd"),
    ):
        areas = recorded.areas(convention)
        assert (areas is None) == (f"{folder}/error" in recorded), f"{recorded.at}/{folder}"
        if areas is None:
            recorded.value(f"{folder}/error")
        else:
            check_evaluator(recorded, areas)
    _check_views(recorded)
    _check_trained_on_sixteen(recorded)


def _check_strict(recorded: _Recorded) -> None:
    """Our own counts are the same, or an error where there are ids that are no class."""
    try:
        total = np.sum([confusion_matrix(*pair, recorded.classes) for pair in recorded.pairs], axis=0)
    except DataError:
        assert recorded.counts[-1].any() or recorded.counts[:, -1].any()
        return
    recorded.expect("fork016/IoU", iou(total))
    recorded.expect("fork016/mIoU_nanmean", OCCURRING.miou(total))
    if "BDD_official/mIoU_over_gt_classes" in recorded:
        recorded.expect("BDD_official/mIoU_over_gt_classes", miou(total))


def _check_fork(recorded: _Recorded) -> None:
    areas, mmseg = recorded.areas("mmseg"), CONVENTIONS["mmseg"]
    assert areas is not None
    for name, attribute in _SCORES.items():
        recorded.expect(f"fork016/{name}", getattr(areas, attribute))
    means = {"mIoU": mmseg.average(areas.iou, areas), "mAcc": mmseg.average(areas.recall, areas)}
    for name, mean in means.items():
        recorded.expect(f"fork016/{name}_nanmean", mean)
    recorded.expect("fork016/aAcc", areas.accuracy)
    recorded.expect("fork016/mIoU_nan_to_num_0", CONVENTIONS["fada"].average(areas.iou, areas))
    for name, value in {**means, "aAcc": areas.accuracy}.items():
        recorded.expect(f"fork016/reported_{name}_percent_2dec", 100 * round(value, 4))
    for number, pair in enumerate(recorded.pairs):
        single = mmseg.areas(open_confusion(*pair, recorded.classes))
        at = f"fork016/per_image/{number}"
        recorded.expect(f"{at}/intersect", single.hits, 0)
        recorded.expect(f"{at}/union", single.union, 0)
        recorded.expect(f"{at}/pred_area", single.predicted, 0)
        recorded.expect(f"{at}/label_area", single.true, 0)
        recorded.expect(f"{at}/mIoU_nanmean", mmseg.average(single.iou, single))
        recorded.expect(f"{at}/aAcc", single.accuracy)


def _check_mmseg(recorded: _Recorded) -> None:
    areas, mmseg = recorded.areas("mmseg"), CONVENTIONS["mmseg"]
    assert areas is not None
    for name, attribute in _SCORES.items():
        mean = mmseg.average(getattr(areas, attribute), areas)
        returned = f"mmseg122/returned/m{name}"
        if returned in recorded:
            recorded.expect(returned, 100 * mean, _ROUNDED)
    recorded.expect("mmseg122/returned/aAcc", 100 * areas.accuracy, _ROUNDED)
    theirs = np.array(recorded.value("mmseg122/IoU_float32_path"))
    recorded.expect("mmseg122/IoU_float32_path", areas.iou, FLOAT32_SCORE)
    recorded.expect("mmseg122/Acc_float32_path", areas.recall, FLOAT32_SCORE)
    recorded.expect("mmseg122/aAcc", areas.accuracy, FLOAT32_SCORE)
    recorded.expect("max_abs_IoU_fork016_vs_mmseg122", np.nanmax(np.abs(areas.iou - theirs)))


def _check_fada(recorded: _Recorded, areas: Areas) -> None:
    fada = CONVENTIONS["fada"]
    recorded.expect("FADA/IoU", np.nan_to_num(areas.iou))
    recorded.expect("FADA/mIoU", fada.average(areas.iou, areas))
    recorded.expect("FADA/mAcc", fada.average(areas.recall, areas))
    recorded.expect("FADA/allAcc", areas.accuracy)


def _check_advent(recorded: _Recorded, areas: Areas) -> None:
    recorded.expect("ADVENT/IoU", areas.iou)
    recorded.expect("ADVENT/mIoU_nanmean", CONVENTIONS["advent"].average(areas.iou, areas))


def _check_ehtdi(recorded: _Recorded, areas: Areas) -> None:
    ehtdi = CONVENTIONS["ehtdi"]
    folder = f"EHTDI_{recorded.classes}"
    recorded.expect(f"{folder}/mIoU", ehtdi.average(areas.iou, areas))
    for kept in (recorded.sixteen, recorded.thirteen):
        name = f"{folder}/mIoU{len(kept)}_from_{recorded.classes}"
        recorded.expect(name, selected(recorded.counts, kept, "skip"))
    recorded.expect(f"{folder}/PA", areas.accuracy)
    recorded.expect(f"{folder}/MPA", ehtdi.average(areas.recall, areas))
    recorded.expect(f"{folder}/mean_precision", ehtdi.average(areas.precision, areas))


def _check_bdd(recorded: _Recorded, areas: Areas) -> None:
    recorded.expect("BDD_official/IoU", np.nan_to_num(areas.iou))
    recorded.expect("BDD_official/mIoU_over_gt_classes", CONVENTIONS["bdd"].average(areas.iou, areas))
    recorded.expect("BDD_official/gt_ids", np.flatnonzero(areas.true), 0)


def _check_views(recorded: _Recorded) -> None:
    """The classes of SYNTHIA from a head of all classes, under each convention."""
    counts, occurring, every = recorded.counts, CONVENTIONS["cityscapes"], CONVENTIONS["fada"]
    areas = occurring.areas(counts)
    total, some = recorded.classes, len(recorded.sixteen)
    mean, scaled = occurring.average(areas.iou, areas), f"times_{total}_over_{some}"
    recorded.expect("subset/exact_IoU", areas.iou)
    recorded.expect(f"subset/exact_mIoU{total}_nanmean", mean)
    recorded.expect(f"subset/mIoU{total}_{scaled}", mean * total / some)
    absent_0 = every.average(areas.iou, areas)
    recorded.expect(f"subset/mIoU{total}_absent_as_zero_{scaled}", absent_0 * total / some)
    for kept in (recorded.sixteen, recorded.thirteen):
        recorded.expect(f"subset/mIoU{len(kept)}_select_from_{total}", selected(counts, kept, "skip"))
        part = others_ignored(counts, kept)
        recorded.expect(f"subset/IoU{len(kept)}_other_gt_classes_ignored", occurring.areas(part).iou)
        recorded.expect(f"subset/mIoU{len(kept)}_other_gt_classes_ignored", occurring.miou(part))


def _check_trained_on_sixteen(recorded: _Recorded) -> None:
    """A head of the fewer classes, where one is recorded."""
    part, few = others_ignored(recorded.counts, recorded.sixteen), recorded.thirteen_of_sixteen
    fada, ehtdi = (f"{name}_{len(recorded.sixteen)}class" for name in ("FADA", "EHTDI"))
    if fada in recorded:
        areas = CONVENTIONS["fada"].areas(part)
        recorded.expect(f"{fada}/IoU", np.nan_to_num(areas.iou))
        recorded.expect(f"{fada}/mIoU", CONVENTIONS["fada"].miou(part))
    if ehtdi in recorded:
        recorded.expect(f"{ehtdi}/mIoU{len(recorded.sixteen)}", CONVENTIONS["ehtdi"].miou(part))
        recorded.expect(f"{ehtdi}/mIoU{len(few)}", selected(part, few, "skip"))


def _check_accumulation(case: Case, tree: RecordedTree) -> None:
    """Sums over many images are exact; those in float32 err by as much as is recorded."""
    images = tree.content["accumulation"]["n_images"]
    with np.load(case.path / f"accumulation_{images}_images.npz") as archive:
        names = ("intersect", "pred_area", "label_area")
        sums = [archive[name].sum(axis=0, dtype=np.int64) for name in names]
        tree.expect("accumulation/n_images", len(archive["intersect"]))
    areas = Areas(*sums)
    theirs = {name: tree.content["accumulation"][f"mmseg122_float32_{name}"] for name in ("IoU", "aAcc")}
    # the error that is recorded is of this, not of the mean in float32
    theirs["mIoU"] = np.nanmean(theirs["IoU"])
    found: dict[str, Any] = {"IoU": areas.iou, "mIoU": np.nanmean(areas.iou), "aAcc": areas.accuracy}
    for name, score in found.items():
        tree.expect(f"accumulation/exact_{name}", score, atol=EXACT_SCORE)
        tree.expect(f"accumulation/mmseg122_float32_{name}", score, atol=_FLOAT32_SUMS)
        key = "accumulation/max_abs_IoU_error" if name == "IoU" else f"accumulation/{name}_error"
        tree.expect(key, np.nanmax(np.abs(score - theirs[name])), atol=EXACT_SCORE)

"""Scores of label and prediction maps by masks per class, for every public evaluator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .making import Array, MadeFolder, Rng, label_map, maker, plain, side
from .near_boundaries import boundary_files, calibration_files, resolution_files
from .official_evaluation import official_files

_IGNORED = 255


class _Pixels(NamedTuple):
    """Pixels of every class: right ones, predicted ones, true ones."""

    hits: Array
    predicted: Array
    true: Array

    @property
    def union(self) -> Array:
        return np.asarray(self.predicted + self.true - self.hits)

    @property
    def iou(self) -> Array:
        return share(self.hits, self.union)

    @property
    def accuracy(self) -> Any:
        return share(self.hits.sum(), self.true.sum())


class Classes(NamedTuple):
    """Number of classes, some of them, and fewer of these."""

    total: int
    some: list[int]
    few: list[int]


def share(part: Any, whole: Any) -> Array:
    """Part over whole, NaN over nothing."""
    whole = np.asarray(whole, dtype=np.float64)
    return np.asarray(np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan))


def mean(scores: Array) -> float:
    """Mean of those that are numbers, if there are any."""
    known = scores[~np.isnan(scores)]
    return float(known.mean()) if len(known) else float("nan")


def pixels(truth: Array, found: Array, classes: Sequence[int], counted: Array) -> _Pixels:
    """Counts of some classes where it counts."""
    rows = [
        ((truth == c) & (found == c) & counted, (found == c) & counted, (truth == c) & counted)
        for c in classes
    ]
    return _Pixels(*(np.array([np.count_nonzero(row[i]) for row in rows]) for i in range(3)))


def _fork(pairs: Sequence[tuple[Array, Array]], areas: _Pixels, classes: Classes) -> dict[str, Any]:
    recall, precision = share(areas.hits, areas.true), share(areas.hits, areas.predicted)
    means = {"mIoU": mean(areas.iou), "mAcc": mean(recall), "aAcc": float(areas.accuracy)}
    images = []
    for truth, found in pairs:
        one = pixels(truth, found, range(classes.total), truth != _IGNORED)
        counts = {"intersect": one.hits, "union": one.union, "pred_area": one.predicted}
        scores = {"mIoU_nanmean": mean(one.iou), "aAcc": one.accuracy}
        images.append({**counts, "label_area": one.true, **scores})
    return {
        "IoU": areas.iou,
        "Acc": recall,
        "Recall": recall,
        "Precision": precision,
        "Dice": share(2 * areas.hits, areas.predicted + areas.true),
        "Fscore": share(2 * precision * recall, precision + recall),
        "mIoU_nanmean": means["mIoU"],
        "mAcc_nanmean": means["mAcc"],
        "aAcc": means["aAcc"],
        "mIoU_nan_to_num_0": float(np.nan_to_num(areas.iou).mean()),
        **{f"reported_{name}_percent_2dec": 100 * round(value, 4) for name, value in means.items()},
        "per_image": images,
    }


def _mmseg(areas: _Pixels, fork: Mapping[str, Any]) -> dict[str, Any]:
    """The same from areas in float32."""
    single = _Pixels(*(count.astype(np.float32) for count in areas))
    names = ("IoU", "Acc", "Dice", "Fscore", "Precision", "Recall")
    returned = {f"m{name}": round(100 * mean(fork[name]), 2) for name in names}
    return {
        "returned": {**returned, "aAcc": round(100 * fork["aAcc"], 2)},
        "IoU_float32_path": single.iou.astype(np.float32).astype(np.float64),
        "Acc_float32_path": share(single.hits, single.true).astype(np.float32).astype(np.float64),
        "aAcc": float(np.float32(single.accuracy)),
    }


def _others(dropped: _Pixels, mmseg: _Pixels, classes: Classes, wild: tuple[bool, bool]) -> dict[str, Any]:
    """FADA, ADVENT, EHTDI and BDD; some fail on labels or predictions that are no class."""
    error, (wild_truth, wild_found) = {"error": "IndexError: out of bounds"}, wild
    every = np.nan_to_num(mmseg.iou)
    recall = share(mmseg.hits, mmseg.true)
    fada = {"IoU": every, "mIoU": every.mean(), "mAcc": np.nan_to_num(recall).mean()}
    iou, total = dropped.iou, classes.total
    ehtdi = {
        "mIoU": mean(iou),
        "PA": dropped.accuracy,
        "MPA": mean(share(dropped.hits, dropped.true)),
        "mean_precision": mean(share(dropped.hits, dropped.predicted)),
        **{f"mIoU{len(kept)}_from_{total}": mean(iou[kept]) for kept in (classes.some, classes.few)},
    }
    labelled = dropped.true > 0
    bdd = {
        "IoU": np.nan_to_num(iou),
        "mIoU_over_gt_classes": iou[labelled].mean(),
        "gt_ids": np.flatnonzero(labelled),
    }
    return {
        "FADA": {**fada, "allAcc": mmseg.accuracy},
        "ADVENT": error if wild_found else {"IoU": iou, "mIoU_nanmean": mean(iou)},
        f"EHTDI_{total}": error if wild_found else ehtdi,
        "BDD_official": error if wild_truth else bdd,
    }


def _views(truth: Array, found: Array, dropped: _Pixels, classes: Classes) -> dict[str, Any]:
    """Some of the classes, from predictions of all."""
    iou, total = dropped.iou, classes.total
    scaled, factor = f"times_{total}_over_{len(classes.some)}", total / len(classes.some)
    views = {
        "exact_IoU": iou,
        f"exact_mIoU{total}_nanmean": mean(iou),
        f"mIoU{total}_{scaled}": mean(iou) * factor,
        f"mIoU{total}_absent_as_zero_{scaled}": np.nan_to_num(iou).mean() * factor,
    }
    for kept in (classes.some, classes.few):
        part = pixels(truth, found, kept, np.isin(truth, kept)).iou
        views[f"mIoU{len(kept)}_select_from_{total}"] = mean(iou[kept])
        views[f"IoU{len(kept)}_other_gt_classes_ignored"] = part
        views[f"mIoU{len(kept)}_other_gt_classes_ignored"] = mean(part)
    return views


def _trained_on_some(truth: Array, found: Array, classes: Classes) -> dict[str, Any]:
    """Scores of a head of some of the classes."""
    part = pixels(truth, found, classes.some, np.isin(truth, classes.some)).iou
    few = [classes.some.index(c) for c in classes.few]
    return {
        f"FADA_{len(part)}class": {"IoU": np.nan_to_num(part), "mIoU": np.nan_to_num(part).mean()},
        f"EHTDI_{len(part)}class": {f"mIoU{len(part)}": mean(part), f"mIoU{len(few)}": mean(part[few])},
    }


def _scored(pairs: Sequence[tuple[Array, Array]], classes: Classes, restricted: bool) -> dict[str, Any]:
    """Everything that is recorded of a set of maps."""
    truth, found = (np.concatenate([pair[i].ravel() for pair in pairs]) for i in range(2))
    numbers, known = range(classes.total), truth < classes.total
    mmseg, dropped = (pixels(truth, found, numbers, counted) for counted in (truth != _IGNORED, known))
    wild = bool(((truth != _IGNORED) & ~known).any()), bool((known & (found >= classes.total)).any())
    fork = _fork(pairs, mmseg, classes)
    theirs = _mmseg(mmseg, fork)
    matrix = [[np.count_nonzero((truth == i) & (found == j)) for j in numbers] for i in numbers]
    return {
        "n_images": len(pairs),
        "shapes": [label.shape for label, _ in pairs],
        "note": "made up",
        "confusion_matrix_rows_gt_cols_pred": matrix,
        "gt_pixels_with_out_of_range_prediction": [
            np.count_nonzero((truth == i) & (found >= classes.total)) for i in numbers
        ],
        "fork016": fork,
        "mmseg122": theirs,
        "max_abs_IoU_fork016_vs_mmseg122": np.nanmax(np.abs(fork["IoU"] - theirs["IoU_float32_path"])),
        **_others(dropped, mmseg, classes, wild),
        "subset": _views(truth, found, dropped, classes),
        **(_trained_on_some(truth, found, classes) if restricted else {}),
    }


def _maps(rng: Rng, classes: Classes, what: str) -> list[tuple[Array, Array]]:
    """Label and prediction maps in which something is special."""
    pairs = []
    for number in range(side(rng, 2, 3)):
        size = (side(rng, 12, 30), side(rng, 12, 30))
        truth = label_map(rng, size, classes.total, block=3)
        wrong = rng.random(size) < 0.4
        found = np.where(wrong | (truth == _IGNORED), rng.integers(0, classes.total, size), truth)
        gone = side(rng, 1, classes.total - 1)
        if what == "absent_from_both":
            truth, found = (np.where(ids == gone, 0, ids) for ids in (truth, found))
        elif what == "ids_in_truth":
            truth[rng.random(size) < 0.1] = classes.total + side(rng, 0, 9)
        elif what == "ids_in_prediction":
            found[rng.random(size) < 0.1] = side(rng, classes.total, 255)
        elif what == "all_ignored" and number:
            truth = np.full(size, _IGNORED)
        elif what == "never_predicted":
            found = np.where(np.isin(found, classes.some), found, classes.some[0])
        pairs.append((truth.astype(np.uint8), found.astype(np.uint8)))
    return pairs


def _accumulation(rng: Rng, classes: Classes) -> tuple[dict[str, Any], dict[str, Array]]:
    """Sums over images, exact and in float32."""
    images = side(rng, 20, 60)
    true, predicted = rng.integers(1, 200_000, (2, images, classes.total))
    hits = (np.minimum(true, predicted) * rng.random(true.shape)).astype(np.int64)
    names = ("intersect", "pred_area", "label_area")
    arrays = dict(zip(names, (part.astype(np.int32) for part in (hits, predicted, true)), strict=True))
    exact = _Pixels(*(part.sum(axis=0) for part in (hits, predicted, true)))
    rough = _Pixels(*(sum(part.astype(np.float32)) for part in (hits, predicted, true)))
    iou, accuracy = rough.iou.astype(np.float32).astype(np.float64), float(np.float32(rough.accuracy))
    recorded = {
        "n_images": images,
        "exact_IoU": exact.iou,
        "exact_mIoU": exact.iou.mean(),
        "exact_aAcc": exact.accuracy,
        "mmseg122_float32_IoU": iou,
        "mmseg122_float32_mIoU": iou.mean(),
        "mmseg122_float32_aAcc": accuracy,
        "max_abs_IoU_error": np.abs(exact.iou - iou).max(),
        "mIoU_error": abs(exact.iou.mean() - iou.mean()),
        "aAcc_error": abs(float(exact.accuracy) - accuracy),
    }
    return recorded, arrays


_SPECIAL = (
    "nothing",
    "absent_from_both",
    "ids_in_truth",
    "ids_in_prediction",
    "all_ignored",
    "never_predicted",
)


@maker("metrics")
def metrics(rng: Rng) -> MadeFolder:
    """Other numbers of classes, subsets, maps, ignore values, widths, bins and files."""
    total = side(rng, 8, 24)
    some = sorted(rng.permutation(total)[: side(rng, 5, total - 2)].tolist())
    few = [c for c in some if c != some[side(rng, 0, len(some) - 1)]]
    classes, cases, maps = Classes(total, some, few), {}, {}
    for name in _SPECIAL:
        pairs = _maps(rng, classes, name)
        cases[name] = _scored(pairs, classes, restricted=name == "never_predicted")
        for number, (truth, found) in enumerate(pairs):
            maps |= {f"{name}_{number}_gt": truth, f"{name}_{number}_pred": found}
    accumulation, sums = _accumulation(rng, classes)
    expected = {
        "class_names": [f"class {c}" for c in range(total)],
        "set16": some,
        "set13": few,
        "set13_in_16class_index": [some.index(c) for c in few],
        "cases": cases,
        "accumulation": accumulation,
    }
    return MadeFolder(
        {
            "expected.json": plain(expected),
            "cases.npz": maps,
            f"accumulation_{accumulation['n_images']}_images.npz": sums,
            **boundary_files(rng),
            **calibration_files(rng),
            **resolution_files(rng),
            **official_files(rng),
        }
    )

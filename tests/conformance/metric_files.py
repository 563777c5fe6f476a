"""Recorded scores near boundaries, calibration errors, and one set of logits under every convention of resizing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from adaptbench.data.framing import WholeImages
from adaptbench.data.taxonomy import IGNORE
from adaptbench.data.transforms import resize_label
from adaptbench.evaluation.boundary import (
    boundary_overlap,
    boundary_width,
    distance_to,
    inner_boundary,
    label_boundary,
    trimap_confusion,
)
from adaptbench.evaluation.calibration import CalibrationCounts, calibration_counts
from adaptbench.evaluation.confusion import confusion_matrix
from adaptbench.evaluation.metrics import accuracy, iou
from adaptbench.networks.inference import Size, Whole, resized_argmax, segment

from .case import Array, Case
from .contours import contour_match
from .conventions import OCCURRING
from .recorded_tree import RecordedTree

_EXACT_SCORE, _CALIBRATION = 1e-9, 1e-7
#: "Compare prediction maps with at most 0.1 percent differing pixels", README of the recorded data.
_DIFFERING = 1e-3


def _arrays(case: Case, name: str) -> dict[str, Array]:
    with np.load(case.path / name) as archive:
        return {key: archive[key] for key in archive.files}


def _marked(label: Array, ignore: int) -> Array:
    """Labels whose ignored pixels are marked as production marks them; any other such mark is no class."""
    return np.where(label == ignore, IGNORE, label).astype(np.uint8)


def check_boundary(case: Case) -> None:
    tree, maps = RecordedTree(case, case.path / "boundary.json"), _arrays(case, "boundary.npz")
    truth, found, listed = maps["gt"], maps["pred"], tree.value("classes")
    truth, size = _marked(truth, tree.value("ignore_index")), truth.shape
    case.expect("boundary classes", maps["classes"], listed)
    tree.expect("image_size_hw", size)
    tree.expect("diagonal", np.hypot(*size), atol=_EXACT_SCORE)
    width = boundary_width((size[0], size[1]), tree.value("dilation_ratio"))
    tree.expect("d_used", width)
    for name, ids in (("gt", truth), ("pred", found)):
        masks = [inner_boundary((ids == c) & (truth != IGNORE), width) for c in listed]
        case.expect(f"{name}_boundary_d", masks, maps[f"{name}_boundary_d"])
    distance = distance_to(label_boundary(truth))
    case.expect("trimap_distance", distance, maps["trimap_distance"], atol=1e-4)
    classes = max(listed) + 1
    for key in tree.content["boundary_iou_by_d"]:
        _check_boundary_iou(tree, key, truth, found, listed, classes)
    _check_trimap(tree, truth, found)
    for key in tree.content["boundary_f"]:
        _check_boundary_f(tree, f"boundary_f/{key}", truth, found)
    tree.finish(["definitions/*", "cross_checks"])


def _check_boundary_iou(
    tree: RecordedTree, key: str, truth: Array, found: Array, listed: list[int], classes: int
) -> None:
    at, width, valid = f"boundary_iou_by_d/{key}", int(key), truth != IGNORE
    overlap = boundary_overlap(truth, found, classes, width)
    for c in listed:
        tree.expect(f"{at}/per_class/{c}/intersection", overlap.intersection[c])
        tree.expect(f"{at}/per_class/{c}/union", overlap.union[c])
        tree.expect(f"{at}/per_class/{c}/boundary_iou", overlap.iou[c], atol=_EXACT_SCORE)
        for name, ids in (("gt", truth), ("pred", found)):
            pixels = np.count_nonzero(inner_boundary((ids == c) & valid, width))
            tree.expect(f"{at}/per_class/{c}/{name}_boundary_pixels", pixels)
    tree.expect(f"{at}/mean_over_classes_present", np.nanmean(overlap.iou[listed]), atol=_EXACT_SCORE)


def _check_trimap(tree: RecordedTree, truth: Array, found: Array) -> None:
    keys = list(tree.content["trimap_by_radius"])
    classes = len(tree.content["trimap_by_radius"][keys[0]]["IoU"])
    bands = trimap_confusion(truth, found, classes, [int(key) for key in keys])
    for key, band in zip(keys, bands, strict=True):
        at, labelled = f"trimap_by_radius/{key}", band.sum(axis=1) > 0
        tree.expect(f"{at}/n_pixels", band.sum())
        tree.expect(f"{at}/accuracy", accuracy(band), atol=_EXACT_SCORE)
        tree.expect(f"{at}/IoU", iou(band), atol=_EXACT_SCORE)
        tree.expect(f"{at}/mIoU_nanmean", OCCURRING.miou(band), atol=_EXACT_SCORE)
        tree.expect(f"{at}/mIoU_over_gt_classes", np.mean(iou(band)[labelled]), atol=_EXACT_SCORE)


def _check_boundary_f(tree: RecordedTree, at: str, truth: Array, found: Array) -> None:
    theta, scores = tree.value(f"{at}/theta"), []
    for c in tree.content["boundary_f"][at.rpartition("/")[2]]["per_class"]:
        match = contour_match(truth, found, int(c), theta)
        tree.expect(f"{at}/per_class/{c}/n_pred", match.found)
        tree.expect(f"{at}/per_class/{c}/n_gt", match.true)
        tree.expect(f"{at}/per_class/{c}/precision", match.precision, atol=_EXACT_SCORE)
        tree.expect(f"{at}/per_class/{c}/recall", match.recall, atol=_EXACT_SCORE)
        tree.expect(f"{at}/per_class/{c}/f1", match.f_score, atol=_EXACT_SCORE)
        scores.append(match.f_score)
    tree.expect(f"{at}/mean_f1", np.mean(scores), atol=_EXACT_SCORE)


def check_calibration(case: Case) -> None:
    tree, maps = RecordedTree(case, case.path / "ece.json"), _arrays(case, "ece.npz")
    bins, label = tree.value("n_bins"), maps["label"]
    if "ignore_index" in tree:
        label = _marked(label, tree.value("ignore_index"))
    rows = [
        calibration_counts(maps["probs"][:, row : row + 1], label[row : row + 1], bins)
        for row in range(len(label))
    ]
    whole = calibration_counts(maps["probs"], label, bins)
    summed = sum(rows[1:], rows[0])  # sums over images are the counts of all their pixels
    case.expect("pixels of all images", summed.pixels, whole.pixels)
    case.expect("hits of all images", summed.hits, whole.hits)
    for counts in (whole, summed):
        _check_calibration(tree, counts)
    contrast = np.mean([row.ece for row in rows if row.total])
    tree.expect("mean_of_per_row_ECE_for_contrast", contrast, atol=_CALIBRATION)
    tree.finish(["definition", "probs_dtype"])


def _check_calibration(tree: RecordedTree, counts: CalibrationCounts) -> None:
    tree.expect("N", counts.total)
    tree.expect("ECE", counts.ece, atol=_CALIBRATION)
    tree.expect("MCE", counts.mce, atol=_CALIBRATION)
    tree.expect("accuracy", counts.accuracy, atol=_CALIBRATION)
    tree.expect("mean_confidence", counts.mean_confidence, atol=_CALIBRATION)
    tree.expect("NLL_clip_1e_12", counts.log_loss / counts.total, atol=_CALIBRATION)
    tree.expect("Brier_multiclass_sum_over_classes", counts.brier / counts.total, atol=_CALIBRATION)
    edges = np.linspace(0, 1, len(counts.pixels) + 1)
    filled = np.where(counts.pixels > 0, counts.pixels, np.nan)
    for number in range(len(counts.pixels)):
        at = f"bins/{number}"
        tree.expect(f"{at}/lower", edges[number], atol=_CALIBRATION)
        tree.expect(f"{at}/upper", edges[number + 1], atol=_CALIBRATION)
        tree.expect(f"{at}/count", counts.pixels[number])
        tree.expect(f"{at}/accuracy", counts.hits[number] / filled[number], atol=_CALIBRATION)
        tree.expect(f"{at}/confidence", counts.confidence[number] / filled[number], atol=_CALIBRATION)


class _Fixed(nn.Module):
    """Gives the recorded logits, whatever the size of the image."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, image: Tensor) -> Tensor:
        return self.logits


def _segmented(logits: Tensor, image: Size, mode: Whole, size: Size) -> Array:
    return segment(_Fixed(logits), torch.zeros(1, 3, *image), mode, size).numpy()


def check_resolutions(case: Case) -> None:
    tree, maps = RecordedTree(case, case.path / "resolution_case.json"), _arrays(case, "resolution_case.npz")
    logits, label = torch.from_numpy(maps["logits"].astype(np.float32))[None], maps["label"]
    tree.expect("logits_shape", logits.shape[1:])
    full = (label.shape[0], label.shape[1])
    height, width = maps["label_C"].shape  # also of the image that D scores
    half = (height, width)
    case.expect("label_C", WholeImages().label(label, (width, height)), maps["label_C"])
    found: Mapping[str, Callable[[], Array]] = {
        "A": partial(_segmented, logits, full, Whole(), full),
        "B": partial(_segmented, logits, full, Whole(aligned=True), full),
        "C": partial(_segmented, logits, half, Whole(aligned=True), half),
        "D": partial(_segmented, logits, half, Whole(), full),
        "E": lambda: resize_label(resized_argmax(logits)[0].numpy(), (full[1], full[0])),
        "F": partial(_segmented, logits.softmax(dim=1), full, Whole(), full),
    }
    for name in tree.content["results"]:
        letter = name[0]
        predicted, truth = found[letter](), maps[f"label_{letter}"] if letter == "C" else label
        recorded = maps[f"pred_{letter}"]
        differing = np.count_nonzero(predicted != recorded) / recorded.size
        case.expect(f"{name}: share of differing pixels", differing, 0.0, atol=_DIFFERING)
        matrix = confusion_matrix(truth, recorded, logits.shape[1])
        tree.expect(f"results/{name}/IoU", iou(matrix), atol=_EXACT_SCORE)
        tree.expect(f"results/{name}/mIoU_nanmean", OCCURRING.miou(matrix), atol=_EXACT_SCORE)
        tree.expect(f"results/{name}/aAcc", accuracy(matrix), atol=_EXACT_SCORE)
    tree.finish(["note"])

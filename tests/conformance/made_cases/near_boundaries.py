"""Scores near boundaries, calibration and resolutions by plain loops; part of the cases of scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import interpolate

from .making import Array, Rng, label_map, plain, side

_MARK = 255


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def _mean(scores: Sequence[float]) -> float:
    known = [score for score in scores if score == score]
    return sum(known) / len(known) if known else float("nan")


def _scores(truth: Array, found: Array, classes: int, counted: Array) -> dict[str, Any]:
    """IoU per class and shares of right pixels, where it counts."""
    ious, labelled = [], []
    for c in range(classes):
        true, predicted = (truth == c) & counted, (found == c) & counted
        ious.append(_ratio(np.count_nonzero(true & predicted), np.count_nonzero(true | predicted)))
        labelled += [ious[-1]] if true.any() else []
    right = np.count_nonzero((truth == found) & counted)
    return {
        "IoU": ious,
        "mIoU_nanmean": _mean(ious),
        "mIoU_over_gt_classes": _mean(labelled),
        "accuracy": _ratio(right, np.count_nonzero(counted)),
    }


def _rim(mask: Array, width: int) -> Array:
    """Pixels of a mask that have something else within so many rows and columns; nothing lies beyond the image."""
    inside = np.pad(mask, width)
    within = np.ones_like(mask)
    for y, x in np.ndindex(2 * width + 1, 2 * width + 1):
        within &= inside[y : y + mask.shape[0], x : x + mask.shape[1]]
    return np.asarray(mask & ~within)


def _distance(mask: Array) -> Array:
    """To the nearest pixel of a mask, by comparing with all."""
    if not mask.any():
        return np.full(mask.shape, np.inf)
    rows, columns = np.indices(mask.shape)
    squares = [(rows - y) ** 2 + (columns - x) ** 2 for y, x in np.argwhere(mask)]
    return np.asarray(np.sqrt(np.min(squares, axis=0)))


def _neighbours(y: int, x: int, size: Sequence[int]) -> list[tuple[int, int]]:
    around = ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1))
    return [(v, u) for v, u in around if 0 <= v < size[0] and 0 <= u < size[1]]


def _contour(mask: Array) -> Array:
    """Pixels of a mask with a neighbour within the image that is not in it."""
    found = np.zeros_like(mask)
    for y, x in np.argwhere(mask):
        found[y, x] = any(not mask[at] for at in _neighbours(y, x, mask.shape))
    return found


def _edges(label: Array, ignore: int) -> Array:
    """Pixels with another class beside them."""
    found = np.zeros(label.shape, dtype=bool)
    for y, x in np.argwhere(label != ignore):
        found[y, x] = any(label[at] not in (ignore, label[y, x]) for at in _neighbours(y, x, label.shape))
    return found


def _boundary_iou(
    truth: Array, found: Array, classes: Sequence[int], ignore: int, width: int
) -> dict[str, Any]:
    per_class = {}
    for c in classes:
        true, predicted = (_rim((ids == c) & (truth != ignore), width) for ids in (truth, found))
        both, either = np.count_nonzero(true & predicted), np.count_nonzero(true | predicted)
        per_class[c] = {
            "intersection": both,
            "union": either,
            "boundary_iou": both / either,
            "gt_boundary_pixels": np.count_nonzero(true),
            "pred_boundary_pixels": np.count_nonzero(predicted),
        }
    scores = [entry["boundary_iou"] for entry in per_class.values()]
    return {"per_class": per_class, "mean_over_classes_present": _mean(scores)}


def _boundary_f(
    truth: Array, found: Array, classes: Sequence[int], ignore: int, theta: float
) -> dict[str, Any]:
    per_class = {}
    for c in classes:
        true, predicted = (_contour(ids == c) & (truth != ignore) for ids in (truth, found))
        precision = _ratio(np.count_nonzero(predicted & (_distance(true) <= theta)), predicted.sum())
        recall = _ratio(np.count_nonzero(true & (_distance(predicted) <= theta)), true.sum())
        near = precision > 0 and recall > 0
        per_class[c] = {
            "precision": precision,
            "recall": recall,
            "f1": 2 * precision * recall / (precision + recall) if near else 0.0,
            "n_pred": predicted.sum(),
            "n_gt": true.sum(),
        }
    return {
        "theta": theta,
        "per_class": per_class,
        "mean_f1": _mean([entry["f1"] for entry in per_class.values()]),
    }


def boundary_files(rng: Rng) -> Mapping[str, Any]:
    """Files of scores near boundaries."""
    size, total = (side(rng, 20, 34), side(rng, 20, 34)), side(rng, 4, 12)
    ignore = (_MARK, total, 254)[side(rng, 0, 2)]
    truth = label_map(rng, size, total, ignore, block=side(rng, 5, 9)).astype(np.uint8)
    shifted = np.roll(truth, side(rng, 1, 2), axis=side(rng, 0, 1))
    noise = (rng.random(size) < 0.02) | (shifted == ignore)
    found = np.where(noise, rng.integers(0, total, size), shifted).astype(np.uint8)
    classes = [c for c in range(total) if (truth == c).any()]
    diagonal, ratio = float(np.hypot(*size)), round(float(rng.uniform(0.02, 0.12)), 3)
    width, distance = max(1, round(ratio * diagonal)), _distance(_edges(truth, ignore))
    bands = {}
    for radius in sorted({side(rng, 1, 3), side(rng, 1, 9)}):
        inside = (distance <= radius) & (truth != ignore)
        bands[radius] = {"n_pixels": inside.sum(), **_scores(truth, found, total, inside)}
    widths, thetas = sorted({1, side(rng, 2, 4)}), {"theta_near": 0.75, "theta_far": 1 + side(rng, 0, 3)}
    content = {
        "definitions": {"boundary_iou": "of masks"},
        "image_size_hw": size,
        "diagonal": diagonal,
        "dilation_ratio": ratio,
        "d_used": width,
        "classes": classes,
        "ignore_index": ignore,
        "boundary_iou_by_d": {d: _boundary_iou(truth, found, classes, ignore, d) for d in widths},
        "trimap_by_radius": bands,
        "boundary_f": {
            name: _boundary_f(truth, found, classes, ignore, theta) for name, theta in thetas.items()
        },
    }
    rims = {
        f"{name}_boundary_d": np.array(
            [_rim((ids == c) & (truth != ignore), width) for c in classes], dtype=np.uint8
        )
        for name, ids in (("gt", truth), ("pred", found))
    }
    arrays = {"gt": truth, "pred": found, "classes": np.array(classes)}
    return {
        "boundary.json": plain(content),
        "boundary.npz": {**arrays, **rims, "trimap_distance": distance.astype(np.float32)},
    }


def _calibration(probability: Array, label: Array, ignore: int, bins: int) -> dict[str, Any]:
    """Pixel by pixel."""
    valid = label != ignore
    shares, truth = probability[:, valid].astype(np.float64).T, label[valid]
    confidence, right = shares.max(axis=1), shares.argmax(axis=1) == truth
    gaps, rows = [], []
    for number in range(bins):
        lower, upper = number / bins, (number + 1) / bins
        inside = (confidence > lower) & (confidence <= upper)
        accuracy, sure = (_ratio(part[inside].sum(), inside.sum()) for part in (right, confidence))
        counted = {"count": inside.sum(), "accuracy": accuracy, "confidence": sure}
        rows.append({"lower": lower, "upper": upper, **counted})
        gaps += [(inside.sum(), abs(accuracy - sure))] if inside.any() else []
    likely = [max(float(row[c]), 1e-12) for row, c in zip(shares, truth, strict=True)]
    brier = [((row - np.eye(len(row))[c]) ** 2).sum() for row, c in zip(shares, truth, strict=True)]
    return {
        "n_bins": bins,
        "N": len(truth),
        "ECE": sum(count * gap for count, gap in gaps) / len(truth),
        "MCE": max(gap for _, gap in gaps),
        "accuracy": right.mean(),
        "mean_confidence": confidence.mean(),
        "bins": rows,
        "NLL_clip_1e_12": -np.mean(np.log(likely)),
        "Brier_multiclass_sum_over_classes": np.mean(brier),
    }


def calibration_files(rng: Rng) -> Mapping[str, Any]:
    """Files of calibration errors."""
    total, size, bins = side(rng, 3, 22), (side(rng, 6, 14), side(rng, 8, 16)), side(rng, 4, 25)
    logits = torch.from_numpy(2 * rng.standard_normal((total, *size)))
    probability = logits.softmax(dim=0).float().numpy()
    ignore = (_MARK, total)[side(rng, 0, 1)]
    label = label_map(rng, size, total, ignore, block=2).astype(np.uint8)
    content = _calibration(probability, label, ignore, bins)
    filled = [row for row in range(size[0]) if (label[row] != ignore).any()]
    single = [
        _calibration(probability[:, row : row + 1], label[row : row + 1], ignore, bins)["ECE"]
        for row in filled
    ]
    content["mean_of_per_row_ECE_for_contrast"] = _mean(single)
    stated = {} if ignore == _MARK else {"ignore_index": ignore}
    return {"ece.json": plain(content | stated), "ece.npz": {"probs": probability, "label": label}}


def _upsampled(logits: torch.Tensor, *sizes: Sequence[int], aligned: bool = False) -> Array:
    """Classes after resizing to each size in turn."""
    for size in sizes:
        logits = interpolate(logits, tuple(size), mode="bilinear", align_corners=aligned)
    return logits[0].argmax(dim=0).numpy().astype(np.uint8)


def resolution_files(rng: Rng) -> Mapping[str, Any]:
    """Files of one set of logits under all conventions of resizing."""
    total, small, factor = side(rng, 3, 12), (side(rng, 6, 12), side(rng, 6, 12)), side(rng, 2, 4)
    full = (small[0] * factor, small[1] * factor)
    part = (full[0] // 2 + side(rng, 0, 3), full[1] // 2 + side(rng, 0, 3))
    recorded = (3 * rng.standard_normal((total, *small))).astype(np.float16)
    logits = torch.from_numpy(recorded.astype(np.float32))[None]
    label = label_map(rng, full, total, block=factor).astype(np.uint8)
    label_part = np.asarray(Image.fromarray(label).resize(part[::-1], Image.Resampling.NEAREST))
    coarse = logits[0].argmax(dim=0).numpy().astype(np.uint8)
    found = {
        "A": _upsampled(logits, full),
        "B": _upsampled(logits, full, aligned=True),
        "C": _upsampled(logits, part, aligned=True),
        "D": _upsampled(logits, part, full),
        "E": coarse.repeat(factor, axis=0).repeat(factor, axis=1),
        "F": _upsampled(logits.softmax(dim=1), full),
    }
    results = {}
    for letter, ids in found.items():
        truth = label_part if letter == "C" else label
        scores = _scores(truth, ids, total, truth != _MARK)
        results[f"{letter}_made_up"] = {
            "IoU": scores["IoU"],
            "mIoU_nanmean": scores["mIoU_nanmean"],
            "aAcc": scores["accuracy"],
        }
    content = {"note": "made up", "logits_shape": recorded.shape, "results": results}
    arrays = {"logits": recorded, "label": label, "label_C": label_part}
    return {
        "resolution_case.json": plain(content),
        "resolution_case.npz": {**arrays, **{f"pred_{letter}": ids for letter, ids in found.items()}},
    }

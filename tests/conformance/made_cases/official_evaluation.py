"""The official Cityscapes evaluation, by masks, on made label files; part of the cases of scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..instance_iou import MEAN_SIZE
from .making import Array, Rng, image_file, label_map, plain, side

#: Names of the label ids 0 to 33, and their train ids. Source: cityscapesScripts, helpers/labels.py.
LABELS = (
    "unlabeled", "ego vehicle", "rectification border", "out of roi", "static", "dynamic", "ground",
    "road", "sidewalk", "parking", "rail track", "building", "wall", "fence", "guard rail", "bridge",
    "tunnel", "pole", "polegroup", "traffic light", "traffic sign", "vegetation", "terrain", "sky",
    "person", "rider", "car", "truck", "bus", "caravan", "trailer", "train", "motorcycle", "bicycle",
)  # fmt: skip
SCORED = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
_CATEGORIES: Mapping[str, tuple[int, ...]] = {
    "flat": (7, 8),
    "construction": (11, 12, 13),
    "object": (17, 19, 20),
    "nature": (21, 22),
    "sky": (23,),
    "human": (24, 25),
    "vehicle": (26, 27, 28, 31, 32, 33),
}
#: Categories that hold nothing but objects, with what is not scored in them.
_OBJECTS: Mapping[str, tuple[int, ...]] = {"human": (24, 25), "vehicle": tuple(range(26, 34))}
#: Train ids that are none of the classes of SYNTHIA, of which there are 16, and those of NTHU, of which there are 13.
_NOT_SIXTEEN = {9, 14, 16}
_NOT_THIRTEEN = {3, 4, 5, *_NOT_SIXTEEN}
_NAN = float("nan")


class _Image(NamedTuple):
    """An image's name with city and numbers, and its maps."""

    name: str
    truth: Array
    instances: Array
    found: Array

    @property
    def truth_file(self) -> str:
        return f"gtFine/val/{self.name.partition('_')[0]}/{self.name}_gtFine_labelIds.png"

    @property
    def found_file(self) -> str:
        return f"results/{self.name}_leftImg8bit.png"


def train_ids(labels: Array) -> Array:
    """Train ids of label ids, 255 for all others."""
    found = np.full(labels.shape, 255, dtype=np.uint8)
    for train, label in enumerate(SCORED):
        found[labels == label] = train
    return found


def _image(rng: Rng, number: int, absent: int) -> _Image:
    """Blocks of ids, each an object of its own where its label has objects."""
    size, block = (side(rng, 14, 26), side(rng, 14, 26)), side(rng, 2, 4)
    truth = label_map(rng, size, len(LABELS), 0, block)
    truth[truth == absent] = 7
    ordinal = np.add.outer(np.arange(size[0]) // block * 8, np.arange(size[1]) // block)
    instances = np.where(np.isin(truth, list(MEAN_SIZE)), 1000 * truth + ordinal, truth)
    found = np.where(rng.random(size) < 0.4, rng.integers(0, len(LABELS), size), truth)
    found[found == absent] = 11
    city = ("aachen", "ulm", "bonn")[side(rng, 0, 2)]
    name = f"{city}_{number:06d}_{side(rng, 0, 999_999):06d}"
    return _Image(name, truth.astype(np.uint8), instances.astype(np.uint16), found.astype(np.uint8))


def _joined(images: Iterable[_Image]) -> tuple[Array, Array]:
    maps = [(image.truth.ravel(), image.found.ravel()) for image in images]
    truth, found = (np.concatenate([pair[i] for pair in maps]) for i in range(2))
    return truth, found


def _iou(truth: Array, found: Array, labels: Iterable[int]) -> float:
    """Of labels taken as one, where the truth is scored."""
    scored = np.isin(truth, SCORED)
    true, predicted = (np.isin(ids, list(labels)) & scored for ids in (truth, found))
    union = np.count_nonzero(true | predicted)
    return np.count_nonzero(true & predicted) / union if union else _NAN


def _instance_iou(images: Iterable[_Image], labels: tuple[int, ...]) -> float:
    """Objects of these labels weigh as those of their label do on average."""
    hit = missed = false = 0.0
    for image in images:
        right = np.isin(image.found, labels)
        for instance in np.unique(image.instances):
            label = int(instance) // 1000
            if instance > 1000 and label in labels:
                weights = MEAN_SIZE[label] * right[image.instances == instance]
                hit, missed = hit + weights.mean(), missed + MEAN_SIZE[label] - weights.mean()
        elsewhere = np.isin(image.truth, SCORED) & ~np.isin(image.truth, labels)
        false += np.count_nonzero(right & elsewhere)
    return hit / (hit + missed + false) if hit + missed + false else _NAN


def _mean(scores: Iterable[float]) -> float:
    known = [score for score in scores if score == score]
    return sum(known) / len(known)


def _official(images: list[_Image], truth: Array, found: Array) -> dict[str, Any]:
    numbers = range(len(LABELS))
    classes = {name: _iou(truth, found, [i]) if i in SCORED else _NAN for i, name in enumerate(LABELS)}
    objects = {name: _instance_iou(images, (i,)) if i in MEAN_SIZE else _NAN for i, name in enumerate(LABELS)}
    categories = {name: _iou(truth, found, labels) for name, labels in _CATEGORIES.items()}
    groups = {
        name: _instance_iou(images, _OBJECTS[name]) if name in _OBJECTS else _NAN for name in categories
    }
    ignored = [~np.isin(image.truth, SCORED) for image in images]
    return {
        "confMatrix": [[np.count_nonzero((truth == i) & (found == j)) for j in numbers] for i in numbers],
        "priors": {name: np.mean(truth == i) for i, name in enumerate(LABELS)},
        "labels": {name: i for i, name in enumerate(LABELS)},
        "classScores": classes,
        "classInstScores": objects,
        "categoryScores": {"void": _NAN, **categories},
        "categoryInstScores": {"void": _NAN, **groups},
        "averageScoreClasses": _mean(classes.values()),
        "averageScoreInstClasses": _mean(objects.values()),
        "averageScoreCategories": _mean(categories.values()),
        "averageScoreInstCategories": _mean(groups.values()),
        "perImageScores": {
            image.found_file: {
                "nbNotIgnoredPixels": void.sum(),
                "nbCorrectPixels": np.count_nonzero(void & (image.truth != image.found)),
            }
            for image, void in zip(images, ignored, strict=True)
        },
        "_files": [{"gt": image.truth_file, "pred": image.found_file} for image in images],
    }


def _from_train_ids(truth: Array, found: Array) -> dict[str, Any]:
    iou = [_iou(truth, found, [label]) for label in SCORED]
    scored = np.isin(truth, SCORED)
    void = ~np.isin(found, SCORED)
    return {
        "confusion_matrix_rows_gt_cols_pred": [
            [np.count_nonzero((truth == i) & (found == j)) for j in SCORED] for i in SCORED
        ],
        "gt_pixels_with_void_prediction": [np.count_nonzero((truth == i) & void) for i in SCORED],
        "IoU": iou,
        "mIoU_nanmean": _mean(iou),
        "mIoU_16": _mean(score for c, score in enumerate(iou) if c not in _NOT_SIXTEEN),
        "mIoU_13": _mean(score for c, score in enumerate(iou) if c not in _NOT_THIRTEEN),
        "aAcc": np.count_nonzero((truth == found) & scored) / scored.sum(),
        "equals_official_classScores_to": 1e-12,
    }


def official_files(rng: Rng) -> Mapping[str, Any]:
    """A tree of labels and predictions with the official results."""
    absent = SCORED[side(rng, 2, len(SCORED) - 1)]
    images = [_image(rng, number, absent) for number in range(side(rng, 2, 4))]
    truth, found = _joined(images)
    route = {
        "trainid_route": _from_train_ids(truth, found),
        "categories_in_train_ids": {
            name: [SCORED.index(label) for label in labels] for name, labels in _CATEGORIES.items()
        },
    }
    files: dict[str, Any] = {
        "official_result.json": plain(_official(images, truth, found)),
        "expected_trainid_route.json": plain(route),
    }
    for image in images:
        files[image.found_file] = image_file(image.found)
        maps = {
            "labelIds": image.truth,
            "labelTrainIds": train_ids(image.truth),
            "instanceIds": image.instances,
        }
        files |= {image.truth_file.replace("labelIds", name): image_file(ids) for name, ids in maps.items()}
    return {f"official_cityscapes/{name}": content for name, content in files.items()}

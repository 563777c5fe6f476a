"""Loaders of PixMatch and EHTDI, their id tables, and how they score."""

from __future__ import annotations

import re

import numpy as np

from adaptbench.data import transforms
from adaptbench.data.framing import WholeImages
from adaptbench.data.id_tables import SIXTEEN, THIRTEEN
from adaptbench.data.image_blur import blur
from adaptbench.data.normalisation import CAFFE
from adaptbench.data.taxonomy import IGNORE, class_set, label_map
from adaptbench.evaluation.confusion import confusion_matrix
from adaptbench.evaluation.metrics import accuracy, iou

from ..case import Array, Case
from ..registry import handler


@handler("ehtdi_input_pipeline")
def check_loader(case: Case) -> None:
    width, height = case.hyper("crop_size_wh")
    framing = WholeImages(mirrored=True, width=width)
    image, raw = case.all_arrays["in/image"], case.all_arrays["in/raw_label"]
    size = framing.size((image.shape[1], image.shape[0]), (2 * width, 2 * height))
    items: list[tuple[str, bool, float | None]] = [
        (f"train_{i}", draw["mirrored"], draw["blur_radius"] if draw["blurred"] else None)
        for i, draw in enumerate(case.json["recorded_draws"])
    ]
    for name, mirrored, radius in [*items, ("val", False, None)]:
        step = -1 if mirrored else 1
        shown = blur(framing.image(np.ascontiguousarray(image[:, ::step]), size), radius)
        case.compare(f"out/{name}/image", transforms.normalise(shown, CAFFE))
        for suffix, classes in (("", "cityscapes19"), ("_16", "cityscapes16")):
            label = framing.label(label_map("cityscapes", classes)[raw[:, ::step]], size)
            case.compare(f"out/{name}/label{suffix}", _theirs(label))


@handler("ehtdi_label_maps")
def check_tables(case: Case) -> None:
    for name, recorded in case.arrays("out/").items():
        if name == "positions_of_13_in_16":
            case.compare(f"out/{name}", [SIXTEEN.index(train) for train in THIRTEEN])
        else:
            case.compare(f"out/{name}", _theirs(label_map(*_table(name)))[: len(recorded)])


def _table(name: str) -> tuple[str, str]:
    """Id space and class set of a table, whose name has both, like ``cityscapes_19`` or ``train_id_to_16``."""
    found = re.fullmatch(r"(cityscapes|gta5|synthia|train_id)_(?:to_)?(\d+)(?:_numbering)?", name)
    assert found, f"the handler does not know the id table {name!r}"
    space = {"gta5": "cityscapes", "train_id": "cityscapes_train"}.get(found[1], found[1])
    return space, f"cityscapes{found[2]}"


@handler("ehtdi_metric")
def check_scores(case: Case) -> None:
    kept = [class_set("cityscapes16").classes.index(name) for name in class_set("cityscapes13").classes]
    for classes in sorted({int(name.partition("/")[0]) for name in case.arrays("in/K")}):
        views = [range(classes), kept] if classes == len(class_set("cityscapes16")) else [range(classes)]
        arrays = case.arrays(f"in/K{classes}/")
        pairs = [(_ours(arrays[f"label/{i}"]), arrays[f"pred/{i}"]) for i in range(case.hyper("images"))]
        total = np.sum([confusion_matrix(*pair, classes) for pair in pairs], axis=0)
        out = f"out/K{classes}/"
        case.compare(f"{out}confusion", total)
        case.compare(f"{out}pixel_accuracy", accuracy(total))
        recalls = np.diagonal(total) / np.maximum(total.sum(axis=1), 1)
        shown = total.sum(axis=1) > 0
        means = [
            (np.nanmean(iou(total)[list(view)]), np.mean([recalls[c] for c in view if shown[c]]))
            for view in views
        ]
        shape = case.all_arrays[f"{out}miou"].shape
        case.compare(f"{out}miou", np.reshape([miou for miou, _ in means], shape))
        case.compare(f"{out}mean_accuracy", np.reshape([mean for _, mean in means], shape))


def _theirs(label: Array) -> Array:
    return np.where(label == IGNORE, -1, label.astype(np.int16))


def _ours(label: Array) -> Array:
    return np.where(label < 0, IGNORE, label).astype(np.uint8)

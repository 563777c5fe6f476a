"""The loaders of ADVENT and IntraDA, and how they score."""

from __future__ import annotations

import numpy as np
import torch

from adaptbench.data import transforms
from adaptbench.data.framing import WholeImages
from adaptbench.data.normalisation import CAFFE
from adaptbench.data.taxonomy import IGNORE, label_map
from adaptbench.evaluation.confusion import confusion_matrix
from adaptbench.evaluation.metrics import iou
from adaptbench.networks.inference import Whole, segment

from ..case import Array, Case
from ..conventions import OCCURRING
from ..registry import handler

_WHOLE = WholeImages("bicubic")
_TABLE = label_map("cityscapes", "cityscapes19")


@handler("intrada_pseudo_label")
def check_loaders(case: Case) -> None:
    assert list(CAFFE.mean) == case.hyper("mean_bgr") and CAFFE.bgr and set(CAFFE.std) == {1.0}
    size, gta_size = (tuple(case.hyper(key)) for key in ("crop_size_wh", "gta_crop_size_wh"))
    arrays = case.all_arrays
    for name in ("intra_easy", "cityscapes_train", "cityscapes_test"):
        case.compare(f"out/{name}/image", _image(arrays["in/image"], size))
    case.compare("out/gta/image", _image(arrays["in/gta_image"], gta_size))
    case.compare("out/intra_easy/label", _WHOLE.label(arrays["in/pseudo_label"], size))
    raw = _TABLE[arrays["in/raw_label"]]
    case.compare("out/cityscapes_train/label", _WHOLE.label(raw, size))
    case.compare("out/cityscapes_test/label", raw)
    case.compare("out/gta/label", _WHOLE.label(_TABLE[arrays["in/gta_raw_label"]], gta_size))
    ids = np.arange(-1, len(arrays["out/cityscapes_label_map"]) - 1)
    case.compare("out/cityscapes_label_map", np.where(ids < 0, IGNORE, _TABLE[ids]))


@handler("advent_metric")
def check_scoring(case: Case) -> None:
    width, height = case.hyper("output_size_wh")
    classes = case.hyper("num_classes")
    total = np.zeros((classes, classes), dtype=np.int64)
    for number in range(case.hyper("images")):
        logits = case.tensor(f"in/main_logits/{number}")
        predicted = segment(torch.nn.Identity(), logits, Whole(aligned=True), (height, width))
        case.compare(f"out/pred/{number}", predicted)
        label = case.all_arrays[f"in/label/{number}"]
        total += confusion_matrix(label, predicted.numpy(), classes)
    case.compare("out/confusion", total)
    case.compare("out/iou_class", iou(total))
    case.compare("out/miou", OCCURRING.miou(total))
    case.compare("out/miou_percent_rounded", round(OCCURRING.miou(total) * 100, 2))


def _image(image: Array, size: tuple[int, ...]) -> torch.Tensor:
    return transforms.normalise(_WHOLE.image(image, (size[0], size[1])), CAFFE)

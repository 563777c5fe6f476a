"""The loaders of ADVENT and IntraDA, and how they score."""

from __future__ import annotations

import numpy as np
import torch

from adaptbench.adaptation.seg_loss import resize_logits
from adaptbench.data import transforms
from adaptbench.data.framing import WholeImages
from adaptbench.data.normalisation import Normalisation
from adaptbench.data.taxonomy import IGNORE, label_map
from adaptbench.evaluation.confusion import confusion_matrix
from adaptbench.evaluation.metrics import iou
from adaptbench.networks.inference import Whole, segment

from ..case import Array, Case
from ..case_facts import normalisation_of
from ..conventions import OCCURRING
from ..registry import handler

_WHOLE = WholeImages("bicubic")
_TABLE = label_map("cityscapes", "cityscapes19")


@handler("intrada_pseudo_label")
def check_loaders(case: Case) -> None:
    values = normalisation_of(case.hyper("mean_bgr"), (1.0, 1.0, 1.0), bgr=True)
    size, gta_size, test_size = (
        tuple(case.hyper(key)) for key in ("crop_size_wh", "gta_crop_size_wh", "test_label_size_wh")
    )
    arrays = case.all_arrays
    for name in ("intra_easy", "cityscapes_train", "cityscapes_test"):
        case.compare(f"out/{name}/image", _image(arrays["in/image"], size, values))
    case.compare("out/gta/image", _image(arrays["in/gta_image"], gta_size, values))
    case.compare("out/intra_easy/label", _WHOLE.label(arrays["in/pseudo_label"], size))
    raw = _TABLE[arrays["in/raw_label"]]
    case.compare("out/cityscapes_train/label", _WHOLE.label(raw, size))
    case.compare("out/cityscapes_test/label", _WHOLE.label(raw, test_size))
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
        recorded = case.all_arrays[f"out/pred/{number}"]
        clear = _clear(logits, (height, width)).reshape(recorded.shape)
        case.compare(f"out/pred/{number}", predicted.reshape(recorded.shape), where=clear)
        label = case.all_arrays[f"in/label/{number}"]
        # At a tie the recorded choice is as good as ours.
        counted = np.where(clear.numpy(), predicted.numpy().reshape(recorded.shape), recorded)
        total += confusion_matrix(label.reshape(recorded.shape), counted, classes)
    case.compare("out/confusion", total)
    case.compare("out/iou_class", iou(total))
    case.compare("out/miou", OCCURRING.miou(total))
    case.compare("out/miou_percent_rounded", round(OCCURRING.miou(total) * 100, 2))


def _clear(logits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Where the two best classes are no near tie, which the case file leaves open: rounding does not swap them."""
    resized, exact = (resize_logits(maps, size, align_corners=True) for maps in (logits, logits.double()))
    best, second = exact.topk(2, dim=1).values.unbind(1)
    return best - second > 2 * (resized - exact).abs().max()


def _image(image: Array, size: tuple[int, ...], values: Normalisation) -> torch.Tensor:
    return transforms.normalise(_WHOLE.image(image, (size[0], size[1])), values)

"""Whole segmentors: logits, sliding windows, flips, and converted checkpoints."""

from __future__ import annotations

import copy
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from adaptbench.adaptation.ema import teacher_mode
from adaptbench.networks.inference import Sliding, Whole, predict, resize, segment
from adaptbench.networks.pretrained.foreign import read_content
from adaptbench.networks.pretrained.published import SELF_TRAINING, Which, published_state

from ..case import Case
from ..case_facts import said
from ..reference_config import compare_buffers, load, segmentor
from ..registry import handler

#: Case files: "compare where the top-2 gap exceeds 1e-4"; what holds where they say nothing of it.
_GAP = 1e-4
#: Variants of HRDA by the end of their names, whose logits are recorded beside.
_VARIANTS: dict[str, dict[str, object]] = {
    "not_overlapping": {"detail_windows": "adjacent"},
    "blur_hr_crop": {"blur_detail": True},
}


@handler("hrda_inference", "daformer_inference")
def check_inference(case: Case) -> None:
    network = segmentor(case.hyper("model")).eval()
    load(case, network)
    _check_teacher(case, copy.deepcopy(network))
    case.compare("out/encode_decode_eval", _whole(network, case.tensor("in/img_crop_sized")))
    if case.kind == "hrda_inference":
        _check_ablations(case, network)
    _check_slide(case, network)
    _check_flips(case, network)
    height, width = case.all_arrays["out/whole_argmax"].shape[-2:]
    image = case.tensor("in/img")[:, :, :height, :width]
    logits = _whole(network, image)
    labels = [segment(network, frame, Whole(), (height, width)) for frame in image.split(1)]
    case.compare("out/whole_argmax", torch.stack(labels), where=_clear(case, logits.softmax(1)))


@handler("converted_forward")
def check_converted(case: Case) -> None:
    network = segmentor(case.hyper("model")).eval()
    _load_checkpoint(case, network)
    case.compare("out/logits", _whole(network, case.tensor("in/img_crop_sized")))
    softmax = _slide(case, network, case.tensor("in/img"), case.hyper("model")["test_cfg"]).softmax(1)
    _compare_strided(case, "out/slide_softmax", softmax)
    case.compare("out/slide_argmax", softmax.argmax(1), where=_clear(case, softmax))


def _load_checkpoint(case: Case, network: nn.Module) -> None:
    """The recorded checkpoint as a file of the published layout, read and converted as a user's file is."""
    state = {name: torch.from_numpy(array.copy()) for name, array in case.arrays("ckpt/").items()}
    case.expect("layout", case.facts["checkpoint_layout"], "dict with meta, state_dict, optimizer")
    which: Which = "teacher" if case.facts["used_weights"].startswith("ema_model.") else "student"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "iter_40000.pth"
        torch.save({"meta": {"iter": 40_000}, "state_dict": state, "optimizer": {"param_groups": []}}, file)
        content = read_content(file)
    network.load_state_dict(
        published_state(content, SELF_TRAINING, which, network.state_dict(), file), strict=True
    )


def _check_teacher(case: Case, teacher: nn.Module) -> None:
    teacher_mode(teacher)
    case.compare("out/encode_decode_bn_train_mode", _whole(teacher, case.tensor("in/img_crop_sized")))
    compare_buffers(case, teacher, "out/buffers_after_bn_train_mode/")


def _check_ablations(case: Case, network: nn.Module) -> None:
    image = case.tensor("in/img_crop_sized")
    for name, change in _VARIANTS.items():
        variant = segmentor(case.hyper("model"), **change).eval()
        variant.load_state_dict(network.state_dict())
        _compare_strided(case, f"out/encode_decode_eval_{name}", _whole(variant, image))


def _check_slide(case: Case, network: nn.Module) -> None:
    image, test = case.tensor("in/img"), case.hyper("test_cfg")
    logits = _slide(case, network, image, test)
    _compare_strided(case, "out/slide_softmax", logits.softmax(1))
    rescaled = resize(logits, tuple(case.hyper("ori_shape"))).softmax(1)
    _compare_strided(case, "out/slide_softmax_rescaled", rescaled)
    case.compare("out/slide_argmax_rescaled", rescaled.argmax(1), where=_clear(case, rescaled))


def _check_flips(case: Case, network: nn.Module) -> None:
    image, test = case.tensor("in/img"), case.hyper("test_cfg")
    flipped = _slide(case, network, image.flip(3), test).softmax(1).flip(3)
    case.compare("out/slide_flip_meta_first_row", flipped[:, :, 0])
    average = (_slide(case, network, image, test).softmax(1) + flipped) / 2
    case.compare("out/slide_softmax_two_flip_average_argmax", average.argmax(1), where=_clear(case, average))


def _compare_strided(case: Case, name: str, got: Tensor) -> None:
    """Compare with the array of that name, of which every N-th row and column may be all that is recorded."""
    for recorded in case.all_arrays:
        if found := re.fullmatch(rf"{re.escape(name)}(?:_stride(\d+))?", recorded):
            stride = int(found[1] or 1)
            case.compare(recorded, got[..., ::stride, ::stride])


def _slide(case: Case, network: nn.Module, image: Tensor, test: dict[str, list[int]]) -> Tensor:
    crop, stride = test["crop_size"], test["stride"]
    mode = Sliding((crop[0], crop[1]), (stride[0], stride[1]), batch=3)
    return _each(image, lambda frame: predict(network, frame, mode))


def _each(image: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    return torch.cat([function(frame) for frame in image.split(1)])


def _whole(network: nn.Module, image: Tensor) -> Tensor:
    with torch.no_grad():
        return resize(network(image), (image.shape[-2], image.shape[-1]))


def _clear(case: Case, probability: Tensor) -> Tensor:
    best = probability.topk(2, dim=1).values
    return best[:, 0] - best[:, 1] > said(case, "argmax", "gap exceeds", _GAP)

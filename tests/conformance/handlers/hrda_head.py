"""The HRDA head in a training pass: logits, attention, losses, gradients, batch norm statistics."""

from __future__ import annotations

import torch
from torch import Tensor

from adaptbench.networks import hrda
from adaptbench.networks.detail_crop import CropBox

from ..case import Case
from ..reference_config import compare_buffers, hrda_head, hrda_options, load
from ..registry import handler

_BUFFERS = "out/buffers_after_train_forward/"


@handler("hrda_head_train")
def check(case: Case) -> None:
    config = case.hyper("head")
    head = hrda_head(config, hrda_options(config, case.hyper("scales"), case.hyper("crop_size"))).train()
    load(case, head)
    case.expect("output_stride", head.output_stride, case.hyper("output_stride"))
    state = {name: value.clone() for name, value in head.state_dict().items()}
    for hr_weight, lr_weight in case.hyper("loss_weight_pairs_hr_lr"):
        for kind in ("weighted", "unweighted"):
            head.load_state_dict(state)
            _check_pass(case, head, hr_weight, lr_weight, kind)


def _check_pass(case: Case, head: hrda.HRDAHead, hr_weight: float, lr_weight: float, kind: str) -> None:
    features = {name: _features(case, name) for name in ("lr", "hr")}
    box = CropBox(*case.tensor("in/crop_box_y1_y2_x1_x2").tolist())
    logits = head.forward_train(features["lr"], features["hr"], box)
    in_image = box.divided(max(case.hyper("scales")))
    output = hrda.HRDAOutput(*logits, in_image, features["lr"], features["hr"])
    _check_logits(case, head, output)
    weight = case.tensor("in/weight") if kind == "weighted" else None
    losses = hrda.hrda_loss(output, case.tensor("in/label"), weight, hr_weight=hr_weight, lr_weight=lr_weight)
    total = torch.stack([value for name, value in losses.items() if name.endswith("loss_seg")]).sum()
    prefix = f"out/hr{hr_weight}_lr{lr_weight}_{kind}/"
    recorded = case.arrays(prefix)
    gradients = {name for name in recorded if name.startswith("grad_")}
    case.expect(f"entries of {prefix}", sorted([*losses, "total_loss"]), sorted(set(recorded) - gradients))
    for name, value in {**losses, "total_loss": total}.items():
        case.compare(prefix + name, value)
    if gradients:
        total.backward()
    for name in gradients:
        scale, level = name.removeprefix("grad_").split("_feat")
        case.compare(prefix + name, features[scale][int(level)].grad)  # type: ignore[arg-type]


def _check_logits(case: Case, head: hrda.HRDAHead, output: hrda.HRDAOutput) -> None:
    case.compare("out/fused", output.fused)
    case.compare("out/lr_after_attention", output.lr)
    case.compare("out/hr", output.hr)
    if "out/attention_sigmoid_lr_resolution" in case.all_arrays:
        case.compare("out/attention_sigmoid_lr_resolution", output.attention)
    compare_buffers(case, head, _BUFFERS)


def _features(case: Case, scale: str) -> list[Tensor]:
    """Feature maps, those that are not recorded (and not read) as placeholders."""
    levels = case.numbered(f"in/{scale}_feat")
    features = [torch.zeros(1)] * (levels[-1] + 1)
    for level in levels:
        features[level] = case.tensor(f"in/{scale}_feat{level}").requires_grad_()
    return features

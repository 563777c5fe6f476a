"""The state in which the teacher labels images."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from adaptbench.adaptation import ema
from adaptbench.adaptation.seg_loss import resize_logits
from adaptbench.data.transforms import MEAN, STD
from adaptbench.networks.mit import DropPath

from ..case import Case
from ..reference_config import segmentor
from ..registry import handler

_KINDS: Mapping[str, type[nn.Module]] = {
    "Dropout": _DropoutNd,
    "DropPath": DropPath,
    "BatchNorm": _BatchNorm,
}


@handler("teacher_mode")
def check(case: Case) -> None:
    student = _student(case)
    teacher = ema.Teacher(student, cap=0.0)
    _load(teacher.network, case, "param/ema_model.", partial=True)
    teacher.train()
    teacher.update(student, iteration=0)
    eval_logits = _eval_logits(teacher.network, _image(case))
    logits = teacher(_image(case))

    case.compare("out/teacher_logits_as_used", _resized(logits, case))
    needs_gradient = case.facts["teacher_logits_require_grad"]
    case.expect("facts/teacher_logits_require_grad", logits.requires_grad, needs_gradient)
    _check_flags(case, teacher.network, "teacher_training_flags_during_pseudo_labelling")
    _check_flags(case, student.train(), "student_training_flags_at_that_time")
    state = teacher.network.state_dict()
    prefix = "out/teacher_buffers_after_first_iteration/"
    for name in case.arrays(prefix):
        case.compare(prefix + name, state[name])
    for name in case.arrays("out/teacher_logits_if_it_were_in_eval_mode_stride"):
        step = int(name)
        shown = _resized(eval_logits, case)[..., ::step, ::step]
        case.compare(f"out/teacher_logits_if_it_were_in_eval_mode_stride{name}", shown)
    _check_flags(case, teacher.network.train(), "teacher_flags_after_the_next_train_call")


def _student(case: Case) -> nn.Module:
    model = case.hyper("model")
    student = segmentor(
        {
            **model,
            "backbone": {**model["backbone"], "drop_path_rate": case.hyper("drop_path_rate")},
            "decode_head": {**model["decode_head"], "dropout_ratio": case.hyper("dropout_ratio")},
        }
    )
    _load(student, case, "param/model.")
    return student


def _load(network: nn.Module, case: Case, prefix: str, partial: bool = False) -> None:
    recorded = {name: torch.from_numpy(array) for name, array in case.arrays(prefix).items()}
    missing, surplus = network.load_state_dict(recorded, strict=False)
    assert not surplus and (partial or not missing), f"parameters that do not fit: {missing + surplus}"


def _image(case: Case) -> torch.Tensor:
    values = (case.hyper("mean", MEAN), case.hyper("std", STD))
    mean, std = (torch.tensor(part).view(1, 3, 1, 1) for part in values)
    return (case.tensor("in/target_img_u8").float() - mean) / std


@torch.no_grad()
def _eval_logits(network: nn.Module, image: torch.Tensor) -> torch.Tensor:
    network.eval()
    logits: torch.Tensor = network(image)
    return logits


def _resized(logits: torch.Tensor, case: Case) -> torch.Tensor:
    height, width = case.all_arrays["in/target_img_u8"].shape[-2:]
    return resize_logits(logits, (height, width))


def _check_flags(case: Case, network: nn.Module, fact: str) -> None:
    """Compare which kinds of modules are in training mode."""
    found: dict[str, list[bool]] = {
        kind: sorted({part.training for part in network.modules() if isinstance(part, cls)})
        for kind, cls in _KINDS.items()
    }
    found["root"] = [network.training]
    for kind, expected in case.facts[fact].items():
        case.expect(f"facts/{fact}/{kind}", found[kind], expected)

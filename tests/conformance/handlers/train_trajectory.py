"""Whole trainings of a few iterations, by the methods themselves.

The classes of methods/ run their own training step with their own optimiser and the production schedule. Put in
their place are only the network (a tiny one), the random draws, and the images.
"""

from __future__ import annotations

from collections.abc import Mapping
from unittest import mock

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor

from adaptbench.contracts.benchmark import Setting
from adaptbench.contracts.method import Method
from adaptbench.contracts.profiles import profile
from adaptbench.contracts.task import Task
from adaptbench.data.batch import Batch, Images, LabelledImages
from adaptbench.optim.optimizer import build_schedule

from ..case import Case
from ..case_facts import normalisation_of
from ..recorded_draws import RecordedDraws
from ..reference_config import segmentor
from ..registry import handler
from ..trajectory_settings import classes_of, is_generalisation, method_of, settings_of
from ..trajectory_watch import Watch

#: Our names of logged values that the reference calls otherwise; it also says ``decode.`` where we say nothing.
_LOG_NAMES: Mapping[str, str] = {
    "src.loss_imnet_feat_dist": "source.loss_feature_distance",
    "style.loss_style_consistency": "style.loss_consistency",
}

#: State of the reference's wrapper -> ours.
_OWNERS: Mapping[str, str] = {
    "model.": "student.",
    "ema_model.": "teacher.network.",
    "mic.teacher.ema_model.": "mask_teacher.network.",
    "imnet_model.backbone.": "imagenet.encoder.",
}


@handler("train_trajectory")
def check(case: Case) -> None:
    """Every iteration in float32, as production runs; then all of it, with all decisions and final weights, in float64.

    Final weights in float32 hang on how a machine rounds: where the map is smaller than the dilation, one tap of a
    depthwise convolution is left in front of a batch norm, its true gradient is next to nothing, and AdamW turns
    rounding noise into steps. In float64 they are as near to the recorded ones as the reference's own.
    """
    _train(case, torch.float32)
    _check_final(case, _train(case, torch.float64))


def _train(case: Case, dtype: torch.dtype) -> Method:
    method = _method(case).to(dtype)
    optimizers = method.optimizers()
    assert isinstance(optimizers, OptimWrapper)
    schedulers = build_schedule(optimizers, method.settings, method.settings.iterations)
    for iteration in range(case.hyper("iterations")):
        _check_rates(case, method, optimizers, iteration)
        _check_iteration(case, method, optimizers, iteration, dtype)
        for scheduler in schedulers:
            scheduler.step()
    return method


def _method(case: Case) -> Method:
    """The method of a case with its recorded start weights."""
    kind = method_of(case)
    network = segmentor(case.hyper("model"))
    setting: Setting = "dg" if is_generalisation(case) else "uda"
    task = Task("conformance", setting, classes_of(case), profile("paper"))
    with mock.patch.object(kind, "build_student", lambda _: network):
        method = kind(task, settings_of(case, kind))
    # That of the network is no setting; the case's takes its place.
    method.normalisation = normalisation_of(case.hyper("mean"), case.hyper("std"), bgr=False)
    recorded = {
        ours + name: torch.from_numpy(array.copy())
        for theirs, ours in _OWNERS.items()
        for name, array in case.arrays(f"param/{theirs}").items()
        if not (ours.startswith("imagenet") and name.startswith("style_hallucination"))  # without use there
    }
    missing, surplus = method.load_state_dict(recorded, strict=False)
    teachers = [owner for owner in _OWNERS.values() if "teacher" in owner]
    averaged = {f"{owner}{key}" for owner in teachers for key, _ in network.named_parameters()}
    assert not surplus and set(missing) <= averaged, f"state that does not fit: {missing}, {surplus}"
    return method


def _check_rates(case: Case, method: Method, optimizers: OptimWrapper, iteration: int) -> None:
    rates = {id(p): group["lr"] for group in optimizers.optimizer.param_groups for p in group["params"]}
    of = {name.split(".")[0]: rates[id(p)] for name, p in method.student.named_parameters()}
    case.compare(f"out/it{iteration}/lr_backbone_head", [of["backbone"], of["decode_head"]])


def _check_iteration(
    case: Case, method: Method, optimizers: OptimWrapper, iteration: int, dtype: torch.dtype
) -> None:
    prefix = f"out/it{iteration}/"
    draws = RecordedDraws(case, iteration)
    watch = Watch(case, method, iteration)
    with draws.instead_of_torch(), watch.watching(optimizers):
        method.train()
        log = method.train_step(_batch(case, draws, dtype), optimizers)
    draws.finish()
    recorded = {_our_name(name): name for name in case.arrays(f"{prefix}log/")}
    missing = sorted(set(recorded) - set(log))
    assert not missing, f"{case.name}: not logged: {missing}; logged: {sorted(log)}"
    for ours, theirs in recorded.items():
        case.compare(f"{prefix}log/{theirs}", log[ours].float())
    watch.compare(decisions=dtype == torch.float64 or iteration == 0)


def _our_name(name: str) -> str:
    return _LOG_NAMES.get(name, name.replace("decode.", ""))


def _check_final(case: Case, method: Method) -> None:
    state = method.state_dict()
    for theirs, ours in _OWNERS.items():
        for name in case.arrays(f"out/final/{theirs}"):
            case.compare(f"out/final/{theirs}{name}", state[ours + name])


def _batch(case: Case, draws: RecordedDraws, dtype: torch.dtype) -> Batch:
    prefix = f"in/it{draws.iteration}/"
    label = case.tensor(f"{prefix}label")
    names = tuple(str(i) for i in range(len(label)))
    source = LabelledImages(_image(case, f"{prefix}img_u8", dtype), names, label)
    if f"{prefix}target_img_u8" not in case.all_arrays:
        return Batch(draws.iteration, draws, source, None)
    mask = f"{prefix}valid_pseudo_mask"
    trusted = torch.from_numpy(case.all_arrays[mask].copy()) if mask in case.all_arrays else None
    target = Images(_image(case, f"{prefix}target_img_u8", dtype), names, trusted=trusted)
    return Batch(draws.iteration, draws, source, target)


def _image(case: Case, name: str, dtype: torch.dtype) -> Tensor:
    mean, std = (torch.tensor(case.hyper(key)).view(1, 3, 1, 1) for key in ("mean", "std"))
    return ((case.tensor(name).float() - mean) / std).to(dtype)

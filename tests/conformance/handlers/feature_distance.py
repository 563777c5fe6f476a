"""Coarse labels and the feature distance on one and on two scales."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from adaptbench.adaptation import feature_distance as fd

from ..case import Case
from ..registry import handler


@handler("label_downscale")
def check_downscale(case: Case) -> None:
    for recorded in case.hyper("cases"):
        index = recorded["index"]
        coarse = fd.downscale_label(
            case.tensor(f"in/label{index}"),
            recorded["scale_factor"],
            recorded["min_ratio"],
            recorded["num_classes"],
            case.hyper("ignore_index"),
        )
        case.compare(f"out/label{index}", coarse)
        kept = coarse != case.hyper("ignore_index")
        case.expect(f"kept and total of label{index}", _counts(kept), (recorded["kept"], recorded["total"]))


@handler("feature_distance")
def check_distance(case: Case) -> None:
    things = case.hyper("thing_classes")
    for name, label, classes in (
        ("things", "in/label", things),
        ("empty_mask", "in/label_without_thing_pixels", things),
        ("all_pixels", "in/label", None),
    ):
        if case.has(f"out/{name}/"):
            _check_one_scale(case, name, label, classes)
    if case.has("out/multi/"):
        _check_scales(case, things)


def _check_one_scale(case: Case, name: str, label: str, classes: Sequence[int] | None) -> None:
    student = case.tensor("in/student_last").requires_grad_()
    distance = fd.feature_distance(
        student, case.tensor("in/imagenet_last"), case.tensor(label), classes, **_options(case)
    )
    loss = fd.feature_distance_loss([distance], case.hyper("imnet_feature_dist_lambda"))
    (gradient,) = torch.autograd.grad(loss, student)
    case.compare(f"out/{name}/loss", loss)
    case.compare(f"out/{name}/grad_student_last", gradient)
    if distance.coarse_label is not None and distance.mask is not None:
        case.compare(f"out/{name}/coarse_label", distance.coarse_label)
        case.compare(f"out/{name}/mask", distance.mask)
    _check_positions(case, name, distance)
    if name in case.facts:
        found, fact = (bool(loss.isnan()), gradient.abs().sum().item()), case.facts[name]
        case.expect(f"facts/{name}", found, (fact["loss_is_nan"], fact["gradient_abs_sum"]))


def _check_positions(case: Case, name: str, distance: fd.FeatureDistance) -> None:
    """How many positions count, where the case says so."""
    if f"masked_positions_{name}" in case.facts:
        recorded = (case.facts[f"masked_positions_{name}"], case.facts["positions_total"])
        case.expect(f"facts/masked_positions_{name}", _counts(distance.mask), recorded)


def _check_scales(case: Case, classes: Sequence[int] | None) -> None:
    scales = ("lr", "hr")
    student = tuple(case.tensor(f"in/multi/student_{scale}_last").requires_grad_() for scale in scales)
    top, bottom, left, right = case.tensor("in/multi/crop_box_y1_y2_x1_x2").tolist()
    label = case.tensor("in/multi/label")
    labels = (label, label[..., top:bottom, left:right])
    imagenet = tuple(case.tensor(f"in/multi/imagenet_{scale}_last") for scale in scales)
    distances = [
        fd.feature_distance(*features, classes, **_options(case))
        for features in zip(student, imagenet, labels, strict=True)
    ]
    loss = fd.feature_distance_loss(distances, case.hyper("imnet_feature_dist_lambda"))
    case.compare("out/multi/loss", loss)
    gradients = torch.autograd.grad(loss, student)
    for scale, gradient, distance in zip(scales, gradients, distances, strict=True):
        case.compare(f"out/multi/grad_student_{scale}_last", gradient)
        if distance.coarse_label is not None:
            case.compare(f"out/multi/coarse_label_{scale}", distance.coarse_label)
        if (fact := f"multi_positions_{scale}") in case.facts:
            case.expect(f"facts/{fact}", _counts(distance.mask)[0], case.facts[fact])


def _options(case: Case) -> dict[str, Any]:
    return {"min_ratio": case.hyper("min_ratio"), "num_classes": case.hyper("num_classes")}


def _counts(mask: torch.Tensor | None) -> tuple[int, int]:
    assert mask is not None
    return int(mask.sum()), mask.numel()

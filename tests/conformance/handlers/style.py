"""SHADE: base styles, hallucinated styles and the consistency of predictions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import torch

from adaptbench.adaptation import style
from adaptbench.data.transforms import MEAN, STD
from adaptbench.networks.mit import MiT

from ..case import Case
from ..registry import handler

#: What the case file gives in words: "resized by the feature scale (0.5)", "(batches of 2, ...".
_SCALE = re.compile(r"resized by the feature scale \((\S+)\)")
_BATCH = re.compile(r"batches of (\d+)")


@handler("dg_style_hallucination")
def check_hallucination(case: Case) -> None:
    hallucination = style.StyleHallucination(case.hyper("style_dim"), case.hyper("base_style_num"))
    hallucination.set_base(style.Style(case.tensor("in/proto_mean"), case.tensor("in/proto_std")))
    for name, weights in case.arrays("in/weights_").items():
        features = case.tensor("in/x").requires_grad_()
        with hallucination.drawing(lambda _, name=name: case.tensor(f"in/weights_{name}")):  # type: ignore[misc]
            original, styled = hallucination(features).chunk(2)
        case.expect(f"first output ({name})", original, features.detach())
        case.expect(f"sum of weights ({name})", weights.sum(1), [1.0] * len(weights), atol=1e-6)
        upstream = case.tensor("in/upstream_gradient_of_styled")
        (gradient,) = torch.autograd.grad(styled, features, upstream)
        case.compare(f"out/{name}/styled", styled)
        case.compare(f"out/{name}/grad_x", gradient)


@handler("dg_style_consistency")
def check_consistency(case: Case) -> None:
    logits = case.tensor("in/logits").requires_grad_()
    loss = style.style_consistency(logits, case.hyper("style_consistency_lambda"))
    (gradient,) = torch.autograd.grad(loss, logits)
    case.compare("out/loss", loss)
    case.compare("out/grad_logits", gradient)


@handler("dg_style_bank")
def check_bank(case: Case) -> None:
    encoder = _first_stage(case)
    image = case.tensor("in/img")

    def stage(images: torch.Tensor) -> torch.Tensor:
        return encoder(images)[0]  # type: ignore[no-any-return]

    with torch.no_grad():
        case.compare("out/stage1_features", stage(image))
    # From the recorded features, so that an error of the encoder and one of the statistics are told apart.
    recorded = style.style_of(case.tensor("out/stage1_features"))
    case.compare("out/style_mean_std", torch.stack(recorded, dim=1))
    case.compare("out/style_mean_std", torch.stack(style.image_styles(stage, image), dim=1))
    half = style.image_styles(stage, image, scale=float(_said(case, _SCALE)))
    case.compare("out/style_mean_std_hrda_lr_scale", torch.stack(half, dim=1))

    styles = style.Style(*case.tensor("in/styles").unbind(1))
    number, start = case.all_arrays["out/chosen_indices"].size, int(case.all_arrays["in/start_index"])
    chosen = style.farthest_points(styles.vectors(), number, start)
    case.compare("out/chosen_indices", chosen)
    base = style.base_styles(styles, number, start)
    case.compare("out/proto_mean", base.mean)
    case.compare("out/proto_std", base.std)
    _check_refresh(case, stage)


def _check_refresh(case: Case, stage: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """The complete refresh over images in batches."""
    frames = case.tensor("in/hook_img_u8").float()
    values = (case.hyper("mean", MEAN), case.hyper("std", STD))
    mean, std = (torch.tensor(part).view(1, 3, 1, 1) for part in values)
    images = torch.split((frames - mean) / std, int(_said(case, _BATCH)))
    styles = style.collect_styles(stage, images)
    number = case.all_arrays["out/hook_proto_mean"].shape[0]
    base = style.base_styles(styles, number, int(case.all_arrays["in/hook_start_index"]))
    case.compare("out/hook_proto_mean", base.mean)
    case.compare("out/hook_proto_std", base.std)


def _said(case: Case, pattern: re.Pattern[str]) -> str:
    """A number that the description of the case gives."""
    found = pattern.search(case.json["computes"])
    assert found is not None, f"{case.name} does not say {pattern.pattern}"
    return found[1]


def _first_stage(case: Case) -> MiT:
    """An encoder whose first stage has the recorded parameters; the other stages are arbitrary."""
    recorded = {name: torch.from_numpy(array) for name, array in case.arrays("param/backbone.").items()}
    width = recorded["norm1.weight"].numel()
    hidden = recorded["block1.0.mlp.fc1.weight"].shape[0]
    merging = recorded.get("block1.0.attn.sr.weight", torch.zeros(1))  # without one, every token is a key
    encoder = MiT(
        channels=(width,) * 4,
        depths=(_depth(recorded), 1, 1, 1),
        heads=(1,) * 4,
        reductions=(merging.shape[-1], 1, 1, 1),
        mlp_ratios=(hidden / width, 1, 1, 1),
    )
    missing, surplus = encoder.load_state_dict(recorded, strict=False)
    unset = [name for name in missing if name.startswith(("patch_embed1.", "block1.", "norm1."))]
    assert not unset and not surplus, f"parameters that do not fit: {unset + surplus}"
    return encoder.eval()


def _depth(recorded: Mapping[str, torch.Tensor]) -> int:
    return len({name.split(".")[1] for name in recorded if name.startswith("block1.")})

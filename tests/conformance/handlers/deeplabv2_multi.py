"""The narrow twins of ADVENT's and EHTDI's DeepLabV2 with two outputs."""

from __future__ import annotations

import torch
from torch import Tensor

from adaptbench.adaptation.seg_loss import resize_logits
from adaptbench.networks import Segmentor
from adaptbench.networks.deeplabv2_multi import TWO_BRANCHES

from ..case import Case
from ..registry import handler
from ..stand_ins import our_name, small_deeplab, unused


@handler("advent_deeplabv2_small")
def check(case: Case) -> None:
    network = small_deeplab(case)
    network.load_state_dict(
        {our_name(name): torch.from_numpy(a) for name, a in case.arrays("param/").items()}
    )
    image = case.tensor("in/image")
    _check_outputs(case, "eval", network.eval(), image)
    _check_outputs(case, "train", network.train(), image)
    state = network.state_dict()
    prefix = "out/running_after_one_train_forward/"
    for name in case.arrays(prefix):
        case.compare(prefix + name, state[our_name(name)])


@handler("ehtdi_deeplab_small")
def check_two_branches(case: Case) -> None:
    network = small_deeplab(case, TWO_BRANCHES, trained_norms=True)
    network.load_state_dict(
        {our_name(name): torch.from_numpy(a) for name, a in case.arrays("param/").items() if not unused(name)}
    )
    idle = {name for name in case.arrays("param/") if unused(name)}
    case.expect("parameters_without_gradient", sorted(idle), sorted(case.json["parameters_without_gradient"]))
    image = case.tensor("in/image")
    for mode in ("eval", "train"):
        network.train(mode == "train")
        with torch.no_grad():
            features = network.backbone(image)
            outputs = network.decode_head.outputs(features)  # type: ignore[operator]
        case.compare(f"out/{mode}/feature", features[-1])
        case.compare(f"out/{mode}/small", outputs["main"])
        for name, logits in outputs.items():
            size = (image.shape[2], image.shape[3])
            case.compare(f"out/{mode}/{name}", resize_logits(logits, size, align_corners=True))


def _check_outputs(case: Case, mode: str, network: Segmentor, image: Tensor) -> None:
    with torch.no_grad():
        for name, logits in network.outputs(image).items():
            case.compare(f"out/{mode}/{name}", logits)

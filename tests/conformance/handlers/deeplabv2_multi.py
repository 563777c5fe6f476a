"""The narrow twin of ADVENT's DeepLabV2 with two outputs."""

from __future__ import annotations

import torch
from torch import Tensor

from adaptbench.networks import Segmentor

from ..case import Case
from ..registry import handler
from ..stand_ins import our_name, small_deeplab


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


def _check_outputs(case: Case, mode: str, network: Segmentor, image: Tensor) -> None:
    with torch.no_grad():
        for name, logits in network.outputs(image).items():
            case.compare(f"out/{mode}/{name}", logits)

"""The DeepLabV2 head."""

from __future__ import annotations

import torch

from adaptbench.networks.deeplabv2 import DeepLabV2Head

from ..case import Case
from ..registry import handler


@handler("dlv2_head")
def check(case: Case) -> None:
    head = DeepLabV2Head(
        in_channels=case.hyper("in_channels"),
        num_classes=case.hyper("num_classes"),
        dilations=case.hyper("dilations"),
        in_index=case.hyper("in_index"),
    )
    head.load_state_dict({name: torch.from_numpy(array) for name, array in case.arrays("param/").items()})
    index, unused = case.hyper("in_index"), torch.empty(0)
    features = [case.tensor(f"in/feat{i}") if i == index else unused for i in range(index + 1)]
    with torch.no_grad():
        case.compare("out/logits", head.eval()(features))
        case.compare("out/logits_train_mode", head.train()(features))

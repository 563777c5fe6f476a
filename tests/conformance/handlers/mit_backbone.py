"""The mix transformer's feature maps."""

from __future__ import annotations

import torch

from ..case import Case
from ..reference_config import backbone, load
from ..registry import handler


@handler("mit_backbone")
def check(case: Case) -> None:
    network = backbone(case.json["hyper_parameters"]).eval()
    load(case, network)
    for name in case.arrays("in/img_"):
        with torch.no_grad():
            maps = network(case.tensor(f"in/img_{name}"))
        for level, features in enumerate(maps):
            case.compare(f"out/{name}/feat{level}", features)

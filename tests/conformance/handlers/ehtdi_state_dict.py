"""Names, shapes and learning-rate groups of the full-size network of EHTDI, and how its checkpoints are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adaptbench import networks
from adaptbench.networks.pretrained.published import Which, published_state
from adaptbench.optim.optimizer import build_optimizer
from methods.ehtdi import EHTDI

from ..case import Case
from ..registry import handler
from ..stand_ins import our_name, unused

_FILE = Path("best.pth")
WHICH: tuple[Which, ...] = ("student", "teacher")


@handler("ehtdi_state_dict")
def check(case: Case) -> None:
    assert "EMA" in case.json["checkpoint_structure"]["meaning"]["shadow"]
    for name, listed in case.json["networks"].items():
        with torch.device("meta"):
            network = networks.build("deeplabv2-pixmatch-r101", int(name.rpartition("K")[2]))
        rows = [dict(zip(listed["columns"], row, strict=True)) for row in listed["rows"]]
        content = {"state_dict": _tensors(rows), "shadow": _tensors(rows, "module.")}
        for which in WHICH:
            found = published_state(content, EHTDI.published_files, which, network.state_dict(), _FILE)
            case.expect(f"{name} {which}", sorted(found), sorted(network.state_dict()))
        _check_groups(case, network, [row for row in rows if not unused(row["key"])])


def _tensors(rows: list[dict[str, Any]], wrapper: str = "") -> dict[str, Tensor]:
    """Tensors of the recorded shapes, without memory."""
    return {
        wrapper + row["key"]: torch.zeros((), dtype=_dtype(row["key"])).expand(row["shape"]) for row in rows
    }


def _dtype(key: str) -> torch.dtype:
    return torch.int64 if key.endswith("num_batches_tracked") else torch.float32


def _check_groups(case: Case, network: nn.Module, rows: list[dict[str, Any]]) -> None:
    """Whether a parameter is trained, how often it is listed, and at which rate."""
    settings = EHTDI.Settings.model_validate({})
    groups = build_optimizer(network, settings, "repeated-current").optimizer.param_groups
    rules = {id(p): (group["lr"], group["times"]) for group in groups for p in group["params"]}
    parameters = dict(network.named_parameters())
    for row in rows:
        if row["kind"] == "parameter":
            parameter = parameters[our_name(row["key"])]
            slow, fast = row["listed_1x"], row["listed_10x"]
            rate = settings.learning_rate * (10 if fast else 1)
            expected = (rate, slow + fast) if slow + fast else (0.0, 0)
            case.expect(f"{row['key']} listed", rules.get(id(parameter), (0.0, 0)), expected)
            case.expect(f"{row['key']} trained", parameter.requires_grad, row["requires_grad"])

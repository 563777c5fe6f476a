"""The DAFormer decoder, in evaluation and in training mode."""

from __future__ import annotations

import torch

from ..case import Case
from ..reference_config import compare_buffers, head_config, load, single_scale_head
from ..registry import handler


@handler("daformer_head")
def check(case: Case) -> None:
    hyper = case.json["hyper_parameters"]
    head = single_scale_head(head_config(hyper), hyper["num_classes"])
    load(case, head)
    features = [case.tensor(f"in/feat{level}") for level in case.numbered("in/feat")]
    with torch.no_grad():
        case.compare("out/logits", head.eval()(features))
        case.compare("out/logits_train_mode", head.train()(features))
    compare_buffers(case, head, "out/buffers_after_train_forward/")

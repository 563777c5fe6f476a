"""The ranking of IntraDA, its split and its pseudo-labels."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from adaptbench.adaptation.entropy_ranking import easy_count, rare_classes
from adaptbench.contracts.labelling import Facts
from adaptbench.contracts.method import Method
from adaptbench.data.taxonomy import ClassSet
from adaptbench.networks.inference import Whole, predict
from methods.intrada import EntropyLabeller, IntraDA

from ..case import Case
from ..case_facts import class_set_of, said
from ..registry import handler

#: Recorded name -> ours.
_FACTS = {
    "mean_self_information": "information",
    "rare_class_count": "rare",
    "normaliser": "factor",
}


class _Recorded(nn.Module):
    """A network that gives the recorded logits, whatever it sees."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, image: Tensor) -> Tensor:
        return self.logits


@handler("intrada_rank")
def check(case: Case) -> None:
    classes = class_set_of(case.hyper("num_classes"), rare=case.hyper("rare_classes"))
    case.expect("rare_classes", sorted(rare_classes(classes)), sorted(case.hyper("rare_classes")))
    facts = {str(number): _labelled(case, classes, number) for number in range(case.hyper("num_images"))}
    for recorded, ours in _FACTS.items():
        case.compare(f"out/{recorded}", np.array([entry[ours] for entry in facts.values()]))
    for recorded, factor in (("plain", False), ("normalised", True)):
        for share in case.hyper("lambda1"):
            parts = IntraDA.partition(IntraDA.Settings(easy_share=share, rare_class_factor=factor), facts)
            for part, names in zip(("easy", "hard"), parts, strict=True):
                case.compare(
                    f"out/{recorded}/lambda_{share:.2f}/{part}", np.array([int(name) for name in names])
                )
    counts, shares = case.hyper("split_table_n"), case.hyper("split_table_lambda")
    case.compare("out/split_table", np.array([[easy_count(n, share) for share in shares] for n in counts]))


def _labelled(case: Case, classes: ClassSet, number: int) -> Facts:
    """Compares the pseudo-label of an image and returns what is noted of it."""
    width, height = case.hyper("input_size_wh")
    image, mode = torch.zeros(1, 3, height, width), Whole(aligned=True)
    network = _Recorded(case.tensor(f"in/logits/{number}"))
    method: Any = SimpleNamespace(
        student=network, inference=lambda: mode, task=SimpleNamespace(class_set=classes)
    )
    made = EntropyLabeller().label(cast("Method", method), image, (height, width))
    clear = _clear(case.path, number)
    case.compare(f"out/pseudo_label/{number}", made.label, where=clear)
    return made.facts


@cache
def _clear(path: Path, number: int) -> Tensor:
    """Where the recorded logits have one best class; computed once for all mistakes that are planted."""
    case = Case("intrada_rank", "intrada_rank", path)
    width, height = case.hyper("input_size_wh")
    network = _Recorded(case.tensor(f"in/logits/{number}"))
    logits = predict(network, torch.zeros(1, 3, height, width), Whole(aligned=True))[0]
    best, label = logits.max(dim=0)
    second = logits.scatter(0, label[None], -torch.inf).amax(dim=0)
    clear = best - second >= said(case, "pseudo_label", "differ by less than", 0.0)
    ties = said(case, "pseudo_label", "fewer than", 100.0)  # percent
    assert 100 * (~clear).float().mean() < ties or clear.all()
    return clear

"""Class sets, normalisations and numbers as a case has them; those of production where they are the same."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from adaptbench.adaptation.entropy_ranking import rare_classes
from adaptbench.data.normalisation import CAFFE, IMAGENET, Normalisation
from adaptbench.data.taxonomy import CITYSCAPES19, ClassSet
from adaptbench.networks.deeplabv2_fada import CAFFE_VGG

from .case import Case

#: Names that production takes for a thing or not, and for rare or not.
_NAMES = {(True, True): "truck", (True, False): "car", (False, True): "pole", (False, False): "road"}


def class_set_of(
    number: int, things: Collection[int] | None = None, rare: Collection[int] | None = None
) -> ClassSet:
    """A set of ``number`` classes, among them the stated things and rare ones; None = it does not matter."""
    usual = CITYSCAPES19
    same_things = things is None or sorted(things) == list(usual.things)
    same_rare = rare is None or sorted(rare) == sorted(rare_classes(usual))
    if number == len(usual) and same_things and same_rare:
        return usual
    names = tuple(_NAMES[i in (things or ()), i in (rare or ())] for i in range(number))
    return ClassSet(f"made up {number}", names, tuple((i, i, i) for i in range(number)), "a recorded case")


def said(case: Case, name: str, words: str, default: float) -> float:
    """The number after some words of a sentence among the case's tolerances, or what holds where it says nothing."""
    declared = case.json.get("tolerance")
    sentence = declared.get(name, "") if isinstance(declared, Mapping) else ""
    found = re.search(rf"{words} (\d[\d.e+-]*)", str(sentence))
    return float(found[1]) if found else default


def normalisation_of(mean: Sequence[float], std: Sequence[float], bgr: bool) -> Normalisation:
    """The normalisation with these numbers, in the network's order of channels."""
    for known in (IMAGENET, CAFFE, CAFFE_VGG):
        if known.bgr == bgr and np.allclose([*known.mean, *known.std], [*mean, *std], rtol=1e-6, atol=0):
            return known
    return Normalisation((mean[0], mean[1], mean[2]), (std[0], std[1], std[2]), bgr)

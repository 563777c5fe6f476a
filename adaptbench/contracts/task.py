"""The problem that a method is asked to solve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from adaptbench.contracts.profiles import Profile
from adaptbench.data.taxonomy import ClassSet


@dataclass(frozen=True)
class Task:
    """What a method may know about the problem.

    Attributes:
        benchmark: name of the benchmark.
        setting: ``uda`` (unlabelled target images in training) or ``dg`` (no target images).
        class_set: the classes to segment.
        profile: sizes and budget; methods use its conversions and never its name.
    """

    benchmark: str
    setting: Literal["uda", "dg"]
    class_set: ClassSet
    profile: Profile

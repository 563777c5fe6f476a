"""The problem that a method is asked to solve."""

from __future__ import annotations

from dataclasses import dataclass

from adaptbench.contracts.benchmark import Setting
from adaptbench.contracts.profiles import Profile
from adaptbench.data.taxonomy import ClassSet


@dataclass(frozen=True)
class Task:
    """What a method may know about the problem.

    Attributes:
        benchmark: name of the benchmark.
        setting: ``uda`` (unlabelled target images in training), ``dg`` (no target images) or ``tta`` (target images in
            a test alone, one after the other, without the source).
        class_set: the classes to segment.
        profile: sizes and budget; methods use its conversions and never its name.
    """

    benchmark: str
    setting: Setting
    class_set: ClassSet
    profile: Profile

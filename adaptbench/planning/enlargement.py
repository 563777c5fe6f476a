"""No photograph is shown larger than its file, but in profile paper: what is added has no detail and costs as much.

HRDA and MIC see images at twice the size of the training. Where the files are no larger than that, a profile that
shortens trainings shows them as they are, and the lengths of such a method shrink as its images do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from adaptbench.contracts import plugins
from adaptbench.contracts.dataset import Dataset
from adaptbench.contracts.profiles import Profile
from adaptbench.planning.sources import dataset_class


def unenlarged(chosen: Profile, registry: plugins.Registry, official: Iterable[str]) -> Profile:
    """The profile with the largest factor on training sizes that enlarges no image of the datasets, at least 1."""
    factors = [_factor(chosen, dataset_class(registry, name)) for name in official]
    if chosen.samples is None or not factors:
        return chosen
    return replace(chosen, resolution=max(min(factors), 1.0))


def _factor(chosen: Profile, dataset: type[Dataset]) -> float:
    """Width of a file over that of its training."""
    return dataset.image_size[0] / (dataset.training_size[0] * chosen.scale)

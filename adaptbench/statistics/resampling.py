"""Draws of the hierarchical bootstrap: how often every seed, and every image, counts in a resample.

One unit fewer is drawn than there are, with replacement: then the variance over resamples is s²/n as it should be.
Drawing n of n gives s²(n-1)/n², which is 20 % too little for five seeds.

Source: Rao, Wu: Resampling inference with complex survey data, J. Amer. Statist. Assoc. 83, 1988.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Weights = npt.NDArray[np.floating]


def unit_weights(units: int, resamples: int, rng: np.random.Generator) -> Weights:
    """How often each of ``units`` is among ``units - 1`` draws; a single unit counts once.

    Shape: ``(resamples, units)``, whole numbers.
    """
    if units == 1:
        return np.ones((resamples, 1))
    drawn = rng.integers(units, size=(resamples, units - 1))
    places = drawn + units * np.arange(resamples)[:, None]
    return np.bincount(places.ravel(), minlength=resamples * units).reshape(resamples, units).astype(float)


def membership(clusters: Sequence[str]) -> npt.NDArray[np.intp]:
    """Number of the cluster of every image. A single cluster is taken apart: its images are the units."""
    names, members = np.unique(np.asarray(clusters), return_inverse=True)
    return np.asarray(members if len(names) > 1 else np.arange(len(members)))


def image_weights(drawn: Weights, members: npt.NDArray[np.intp], rng: np.random.Generator) -> Weights:
    """How often each image counts: within a drawn cluster, as many images are drawn as it has.

    Shape: how often each cluster counts ``(B, G)`` and each image's cluster ``(N,)`` to whole numbers ``(B, N)``.
    """
    weights = drawn[:, members]
    for cluster in np.flatnonzero(np.bincount(members) > 1):
        images = np.flatnonzero(members == cluster)
        draws = (drawn[:, cluster] * len(images)).astype(np.int64)
        weights[:, images] = rng.multinomial(draws, np.full(len(images), 1 / len(images)))
    return weights

"""The difference of two methods, with the error that seeds and images leave in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adaptbench.statistics.bootstrap import Replicates
from adaptbench.statistics.equivalence import MARGIN, Verdict, equivalence
from adaptbench.statistics.student import LEVEL, Interval, interval, p_value
from adaptbench.statistics.tallies import Floats

#: A variance and its degrees of freedom.
_Part = tuple[Floats, npt.NDArray[np.integer] | int]
#: Mean, variance (n-1) and size of a sample.
_Sample = tuple[float, float, int]

#: Below this number of seeds nothing is claimed about a method.
SEEDS_NEEDED = 5


@dataclass(frozen=True)
class Difference:
    """A difference in percent points.

    Attributes:
        mean: the estimate.
        error: its standard error.
        df: degrees of freedom of the error.
        about_methods: False where a side has a single seed: then it holds for these checkpoints alone.
    """

    mean: float
    error: float
    df: float
    about_methods: bool

    @property
    def p(self) -> float:
        """Two-sided p-value of "no difference"."""
        return p_value(self.mean, self.error, self.df)

    def interval(self, level: float = LEVEL) -> Interval:
        """Confidence interval."""
        return interval(self.mean, self.error, self.df, level)

    def verdict(self, margin: float = MARGIN) -> Verdict:
        """Equivalent within the margin, different, or too few data to tell."""
        return equivalence(self.mean, self.error, self.df, margin)


def welch(first: Floats, second: Floats) -> Difference | None:
    """Difference of the means of two independent samples; None if one of them has less than two values.

    Source: Welch: The generalization of Student's problem when several different population variances are involved,
        Biometrika 34, 1947.
    """
    if min(len(first), len(second)) < 2:
        return None
    known = [(float(side.mean()), float(side.var(ddof=1)), len(side)) for side in (first, second)]
    return difference_of_means(known[0], known[1])


def difference_of_means(first: _Sample, second: _Sample) -> Difference:
    """The same from mean, variance and size of both samples; sizes are at least two."""
    own = [np.asarray(variance / size) for _, variance, size in (first, second)]
    df = _degrees_of_freedom([(own[0], first[2] - 1), (own[1], second[2] - 1)])
    return Difference(first[0] - second[0], math.sqrt(own[0] + own[1]), float(df), True)


def differences(first: Replicates, second: Replicates) -> list[Difference | None]:
    """First minus second, per quantity; None where a side has no score, or where nothing varies.

    Where a side has a single seed, only the images are resampled.
    """
    about_methods = min(first.seeds, second.seeds) > 1
    means = first.mean - second.mean
    images = _variance(first.images - second.images)
    total = _variance(first.joint - second.joint) if about_methods else images
    parts = _image_parts(images, _variance(first.clusters - second.clusters), first)
    if about_methods:
        parts += [(side.seed_variance, side.seeds - 1) for side in (first, second)]
    if not parts:  # one seed on one image
        return [None] * len(means)
    df = _degrees_of_freedom(parts)
    return [
        None
        if math.isnan(means[q])
        else Difference(float(means[q]), math.sqrt(total[q]), float(df[q]), about_methods)
        for q in range(len(means))
    ]


def pairwise(methods: Sequence[Replicates]) -> list[list[Difference]]:
    """All differences in the first quantity, row minus column, as `differences` gives them; for many methods.

    All of them have at least two seeds.
    """
    means = np.array([one.mean[0] for one in methods])
    total = _pair_variance(np.stack([one.joint[:, 0] for one in methods]))
    images = _pair_variance(np.stack([one.images[:, 0] for one in methods]))
    clusters = _pair_variance(np.stack([one.clusters[:, 0] for one in methods]))
    own = np.array([one.seed_variance[0] for one in methods])
    free = np.array([one.seeds - 1 for one in methods])
    seeds: list[_Part] = [(own[:, None], free[:, None]), (own[None], free[None])]
    df = _degrees_of_freedom([*_image_parts(images, clusters, methods[0]), *seeds])
    every = range(len(methods))
    return [
        [Difference(float(means[i] - means[j]), math.sqrt(total[i, j]), float(df[i, j]), True) for j in every]
        for i in every
    ]


def _image_parts(images: Floats, clusters: Floats, of: Replicates) -> list[_Part]:
    """The variance over images, as that between clusters and that within, with their degrees of freedom."""
    within = of.num_images - of.num_clusters
    parts: list[_Part] = [(clusters, of.num_clusters - 1)] if of.num_clusters > 1 else []
    return [*parts, (np.maximum(images - clusters, 0), within)] if within else parts


def _variance(replicates: Floats) -> Floats:
    """Over resamples, leaving out those in which a class does not occur. Shape: ``(B, Q)`` in, ``(Q,)`` out."""
    present = ~np.isnan(replicates)
    count = np.maximum(present.sum(axis=0), 2)
    mean = np.where(present, replicates, 0).sum(axis=0) / count
    return np.asarray((np.where(present, replicates - mean, 0) ** 2).sum(axis=0) / (count - 1))


def _pair_variance(replicates: Floats) -> Floats:
    """Variance of all differences over resamples. Shape: ``(K, B)`` in, ``(K, K)`` out."""
    covariance = np.atleast_2d(np.cov(replicates))
    own = np.diagonal(covariance)
    return np.asarray(np.maximum(own[:, None] + own[None] - 2 * covariance, 0))


def _degrees_of_freedom(parts: Sequence[_Part]) -> Floats:
    """Of a sum of independent variances; without any variance, those of the least known part.

    Source: Satterthwaite: An approximate distribution of estimates of variance components, Biometrics 2, 1946.
    """
    total = np.asarray(sum(variance for variance, _ in parts))
    spread = np.asarray(sum(variance**2 / free for variance, free in parts))
    least = np.broadcast_to(min(np.min(free) for _, free in parts), total.shape).astype(float)
    return np.asarray(np.divide(total**2, spread, out=least.copy(), where=spread > 0))

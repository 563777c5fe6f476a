"""The hierarchical bootstrap: seeds and images are resampled together.

A bootstrap over images alone says whether two checkpoints differ; another seed of the same method would differ as
well. Methods are compared over seeds and images: every resample draws seeds of each method, and clusters of images,
the same for all methods.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adaptbench.statistics.resampling import image_weights, membership, unit_weights
from adaptbench.statistics.tallies import Floats, resampled

RESAMPLES = 10_000
#: Resamples worked on at once: memory stays below some ten MiB.
_CHUNK = 500

#: From tallies ``(..., 3, C)`` to the quantities of interest ``(..., Q)``, in percent.
Quantities = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Replicates:
    """A method's scores, in percent: measured, and over resamples.

    Attributes:
        by_seed: every seed on all images. Shape: ``(S, Q)``.
        joint: mean over drawn seeds on drawn images. Shape: ``(B, Q)``.
        images: mean over all seeds on drawn images. Shape: ``(B, Q)``.
        clusters: mean over all seeds on all images of drawn clusters. Shape: ``(B, Q)``.
    """

    by_seed: Floats
    joint: Floats
    images: Floats
    clusters: Floats
    num_clusters: int
    num_images: int

    @property
    def seeds(self) -> int:
        """Number of seeds."""
        return len(self.by_seed)

    @property
    def mean(self) -> Floats:
        """Mean over the seeds on all images. Shape: ``(Q,)``."""
        return np.asarray(self.by_seed.mean(axis=0))

    @property
    def seed_variance(self) -> Floats:
        """Variance of that mean over seeds, s²/n; 0 for a single seed. Shape: ``(Q,)``."""
        if self.seeds < 2:
            return np.zeros(self.by_seed.shape[1])
        return np.asarray(self.by_seed.var(axis=0, ddof=1) / self.seeds)


def bootstrap(
    methods: Mapping[str, Floats],
    clusters: Sequence[str],
    quantities: Quantities,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Replicates]:
    """Resamples all methods on the same images.

    Draws are keyed by name: the result for a method does not depend on which others are there.

    Args:
        methods: tallies per seed of every method. Shape: ``(S, N, 3, C)``.
        clusters: the cluster (city, video, scene) of each of the N images.
        quantities: what is scored.
        resamples: number of resamples B.
        seed: of all draws.
    """
    members = membership(clusters)
    by_image = {name: tallies.astype(np.float32) for name, tallies in methods.items()}  # six digits will do
    by_cluster = {name: _sums(tallies, members) for name, tallies in methods.items()}
    image_rng = np.random.default_rng(seed)
    seed_rngs = {name: np.random.default_rng([seed, *name.encode()]) for name in methods}
    parts: dict[str, list[tuple[Floats, Floats, Floats]]] = {name: [] for name in methods}
    for start in range(0, resamples, _CHUNK):
        drawn = unit_weights(members.max() + 1, min(_CHUNK, resamples - start), image_rng)
        weights = image_weights(drawn, members, image_rng).astype(np.float32)
        distinct, which = np.unique(drawn, axis=0, return_inverse=True)  # few, where there are few clusters
        for name, tallies in by_image.items():
            scores = quantities(resampled(weights, tallies)).astype(np.float64)
            coarse = quantities(resampled(distinct, by_cluster[name])).mean(axis=1)[which]
            seeds = unit_weights(len(tallies), len(drawn), seed_rngs[name])
            joint = np.einsum("bs,bsq->bq", seeds / seeds.sum(axis=1, keepdims=True), scores)
            parts[name].append((joint, scores.mean(axis=1), coarse))
    return {name: _replicates(methods[name], members, quantities, parts[name]) for name in methods}


def _sums(tallies: Floats, members: npt.NDArray[np.intp]) -> Floats:
    """Tallies summed over the images of every cluster. Shape: ``(S, G, 3, C)``."""
    if members.max() + 1 == len(members):
        return tallies
    return np.stack([tallies[:, members == g].sum(axis=1) for g in range(members.max() + 1)], axis=1)


def _replicates(
    tallies: Floats,
    members: npt.NDArray[np.intp],
    quantities: Quantities,
    parts: Sequence[tuple[Floats, Floats, Floats]],
) -> Replicates:
    joint, images, clusters = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Replicates(
        by_seed=quantities(resampled(np.ones((1, len(members))), tallies))[0],
        joint=joint,
        images=images,
        clusters=clusters,
        num_clusters=int(members.max()) + 1,
        num_images=len(members),
    )

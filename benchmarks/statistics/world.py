"""Made-up scores of a method: per-image counts that vary over seeds, cities and images as real ones do.

The pixels of class c of image i in city k, scored with seed s, are hit with probability
``sigmoid(q[c] + seed[s] + seed_class[s, c] + city[k, c] + image[i, c] + noise[s, i, c])``. Misses fall on the other
classes of the image. The spreads give what was measured on MiniCity (72 images, three cities, five seeds each of
source_only, dacs and oracle): a standard deviation of the mIoU over seeds of 0.5 to 1.8 points, of 0.6 to 0.8 over
resampled images, and of 0.4 to 0.6 over resampled images for the difference of two seeds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adaptbench.statistics.tallies import Floats


@dataclass(frozen=True)
class World:
    """Sizes and spreads; the spreads are standard deviations of logits.

    Attributes:
        cities: number of clusters of images.
        images: number of images of every city.
        classes: number of classes.
        seed: shared by all classes of a seed.
        seed_class: of a class of a seed.
        image: of a class of an image, the same for all methods.
        noise: of a class of an image of a seed.
        interaction: of a class of a city of a method: 0 = the methods are equal on every city, else only on average.
    """

    cities: int = 3
    images: int = 24
    classes: int = 19
    seed: float = 0.06
    seed_class: float = 0.2
    image: float = 1.0
    noise: float = 0.4
    interaction: float = 0.0

    @property
    def clusters(self) -> list[str]:
        """The city of every image."""
        return [f"city {number // self.images}" for number in range(self.cities * self.images)]

    def board(self, methods: int, seeds: int, rng: np.random.Generator) -> list[Floats]:
        """Tallies of methods that are one and the same. Shape: per method ``(S, N, 3, C)``."""
        count = self.cities * self.images
        truth = self._truth(count, rng)
        quality = np.linspace(2.5, -2.5, self.classes) + rng.normal(0, self.image, (count, self.classes))
        return [_tallies(truth, quality + self._logits(seeds, rng), rng) for _ in range(methods)]

    def _truth(self, count: int, rng: np.random.Generator) -> Floats:
        """Pixels per image and class: some classes fill half an image, others are rare. Shape: ``(N, C)``."""
        frequent = np.geomspace(40_000, 100, self.classes)
        there = rng.random((count, self.classes)) < np.linspace(1, 0.3, self.classes)
        return np.round(frequent * rng.lognormal(0, 0.7, (count, self.classes)) * there)

    def _logits(self, seeds: int, rng: np.random.Generator) -> Floats:
        """What a method adds. Shape: ``(S, N, C)``."""
        count = self.cities * self.images
        city = np.repeat(rng.normal(0, self.interaction, (self.cities, self.classes)), self.images, axis=0)
        shared = rng.normal(0, self.seed, (seeds, 1, 1))
        own = rng.normal(0, self.seed_class, (seeds, 1, self.classes))
        return np.asarray(city + shared + own + rng.normal(0, self.noise, (seeds, count, self.classes)))


def _tallies(truth: Floats, logits: Floats, rng: np.random.Generator) -> Floats:
    """Hits, unions and truth; whole numbers, as counted pixels are."""
    hits = np.round(truth / (1 + np.exp(-logits)))
    missed = truth - hits
    share = (truth + 50) / (truth + 50).sum(axis=1, keepdims=True)
    wrong = np.round(missed.sum(axis=2, keepdims=True) * share)
    return np.stack([hits, truth + wrong, np.broadcast_to(truth, hits.shape)], axis=2)

"""How well a network's confidence agrees with its accuracy: calibration error, likelihood and Brier score.

Counts are kept per bin of confidence and summed over the images of a split before anything is divided; memory does
not grow with the number of images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from operator import add

import numpy as np
import numpy.typing as npt

from adaptbench.data.taxonomy import IGNORE

Floats = npt.NDArray[np.float64]

#: Bins of equal width over (0, 1]; the upper edge belongs to a bin, the lower does not.
BINS = 15
#: Probabilities below count as this in the likelihood.
_SMALLEST = 1e-12


@dataclass(frozen=True)
class CalibrationCounts:
    """Labelled pixels by confidence.

    Attributes:
        pixels: per bin. Shape: int64 ``(bins,)``.
        hits: correct pixels per bin. Shape: int64 ``(bins,)``.
        confidence: sum per bin. Shape: ``(bins,)``.
        log_loss: sum of the negative logarithms of the true class's probability.
        brier: sum of the squared distances of all probabilities to 0 or 1.
    """

    pixels: npt.NDArray[np.int64]
    hits: npt.NDArray[np.int64]
    confidence: Floats
    log_loss: float
    brier: float

    def __add__(self, other: CalibrationCounts) -> CalibrationCounts:
        return CalibrationCounts(*map(add, vars(self).values(), vars(other).values()))

    @property
    def total(self) -> int:
        """Number of labelled pixels."""
        return int(self.pixels.sum())

    @property
    def gaps(self) -> Floats:
        """Distance between accuracy and mean confidence per bin; NaN for an empty one. Shape: ``(bins,)``."""
        gaps: Floats = np.full(len(self.pixels), np.nan)
        np.divide(np.abs(self.hits - self.confidence), self.pixels, out=gaps, where=self.pixels > 0)
        return gaps

    @property
    def ece(self) -> float:
        """Expected calibration error: the mean gap over all pixels. NaN without pixels.

        Source: Guo et al., ICML 2017, arXiv 1706.04599, equation 3.
        """
        return float(np.abs(self.hits - self.confidence).sum() / self.total) if self.total else math.nan

    @property
    def mce(self) -> float:
        """Maximum calibration error: the largest gap of a bin. NaN without pixels."""
        return float(np.nanmax(self.gaps)) if self.total else math.nan

    @property
    def accuracy(self) -> float:
        """Share of the pixels that are predicted correctly."""
        return int(self.hits.sum()) / self.total if self.total else math.nan

    @property
    def mean_confidence(self) -> float:
        """Mean probability of the predicted class."""
        return float(self.confidence.sum() / self.total) if self.total else math.nan


def calibration_counts(
    probability: npt.NDArray[np.float32], label: npt.NDArray[np.uint8], bins: int = BINS
) -> CalibrationCounts:
    """Counts of one image.

    Shape: probability ``(C, H, W)``, sums to 1 over the classes; label ``(H, W)``, train ids with 255 = ignore.
    """
    valid = label != IGNORE
    shares, truth = probability[:, valid], label[valid]
    confidence, right = shares.max(axis=0).astype(np.float64), shares.argmax(axis=0) == truth
    places = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidence, side="left")
    true_share = np.take_along_axis(shares, truth[None].astype(np.intp), axis=0)[0].astype(np.float64)
    squared = float(np.einsum("cn,cn->", shares, shares, dtype=np.float64))
    return CalibrationCounts(
        pixels=np.bincount(places, minlength=bins),
        hits=np.bincount(places[right], minlength=bins),
        confidence=np.asarray(np.bincount(places, weights=confidence, minlength=bins), dtype=np.float64),
        log_loss=float(-np.log(np.maximum(true_share, _SMALLEST)).sum()),
        brier=squared - 2 * float(true_share.sum()) + len(truth),
    )

"""Class Center Distance, and two other readings of it made from the same parts."""

from __future__ import annotations

import numpy as np

from adaptbench.data.taxonomy import IGNORE
from adaptbench.evaluation.class_centers import ClassMoments, class_center_distance, class_moments

from ..case import Array, Case
from ..registry import handler


@handler("fada_ccd")
def check(case: Case) -> None:
    features, label = case.tensor("in/feature"), case.tensor("in/label")
    label = label.masked_fill(label == case.hyper("ignore_label"), IGNORE)
    classes = case.hyper("num_classes")
    images = [class_moments(features[i : i + 1], label[i : i + 1], classes) for i in range(len(features))]
    moments = sum(images[1:], images[0])
    case.compare("out/class_centre", moments.center)
    case.compare("out/intra_mean_squared_distance", moments.spread)
    case.compare("out/centre_squared_distance", moments.between)
    distance = class_center_distance(moments)
    case.compare("out/ccd", distance)
    case.compare("out/ccd_mean", distance.mean())
    others = classes - 1
    case.compare("out/ccd_ratio_of_means_squared", moments.spread / (moments.between.sum(axis=1) / others))
    plain = np.sqrt(moments.between).sum(axis=1) / others
    case.compare("out/ccd_ratio_of_means_euclidean", _plain_spread(case, moments) / plain)


def _plain_spread(case: Case, moments: ClassMoments) -> Array:
    """Mean distance, not squared, of the pixels of a class to its center."""
    pixels = np.moveaxis(case.all_arrays["in/feature"], 1, -1).astype(np.float64)
    label = case.all_arrays["in/label"]
    own = [pixels[label == c] - center for c, center in enumerate(moments.center)]
    return np.array([np.sqrt((difference**2).sum(axis=1)).mean() for difference in own])

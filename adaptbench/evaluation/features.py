"""Features of a scored network by class: the last feature map of its encoder."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import add

import torch
from torch import nn

from adaptbench.contracts.dataset import Dataset, Sample
from adaptbench.data import firewall, transforms
from adaptbench.errors import UsageError
from adaptbench.evaluation.class_centers import ClassMoments, class_moments
from adaptbench.evaluation.scorer import Scorer


def feature_moments(scorer: Scorer, dataset: Dataset, samples: Iterable[Sample]) -> ClassMoments:
    """Moments of the last feature map over at least one image, by the true class of its cells (nearest label pixel).

    Raises:
        UsageError: the network has no encoder that gives feature maps.
        DataError: an image or label cannot be used.

    Source: the features are those that FADA's discriminator sees, arXiv 2007.09222, section 3.2.
    """
    encoder = _encoder(scorer)
    return reduce(add, (_of_image(scorer, encoder, dataset, sample) for sample in samples))


def _of_image(scorer: Scorer, encoder: nn.Module, dataset: Dataset, sample: Sample) -> ClassMoments:
    pixels, truth = scorer.shown(dataset, sample)
    with firewall.closed(scorer.label_folders), torch.no_grad():
        features = encoder(pixels)[-1]
    label = transforms.resize_label(truth, (features.shape[-1], features.shape[-2]))
    ids = torch.from_numpy(label).to(features.device)[None]
    return class_moments(features, ids, len(scorer.method.task.class_set))


def _encoder(scorer: Scorer) -> nn.Module:
    backbone = getattr(scorer.network, "backbone", None)
    if not isinstance(backbone, nn.Module):
        raise UsageError(
            f"The scored network of {scorer.method.name} is a {type(scorer.network).__name__} without a backbone, "
            "whose features could be looked at."
        )
    return backbone

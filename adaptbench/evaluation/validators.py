"""How good a network looks without labels: functions of its class probabilities on unlabelled target images.

The higher the value, the better the network is taken to be; no label is used. Pixels are rows: an image is a
matrix of class probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

#: Pixels whose neighbourhoods are computed at once: memory stays below this times the number of pixels.
_CHUNK = 1024
_TEMPERATURE = 0.05


def certainty(probability: Tensor) -> float:
    """Negative mean entropy: mean over pixels of sum_c p_c log p_c, in nats; 0 where every prediction is certain.

    Shape: ``(N, C)`` float, rows sum to 1.

    Source: Morerio et al.: Minimal-entropy correlation alignment for unsupervised deep domain adaptation, ICLR 2018,
        arXiv 1711.10288, section 4 (choice of hyper-parameters by the entropy on the target).
    """
    return -float(torch.special.entr(probability.double()).sum(dim=1).mean())


def information(probability: Tensor) -> float:
    """Mutual information of pixel and class: entropy of the mean prediction less the mean entropy, in nats.

    Unlike `certainty` it does not reward a network that sees one class everywhere.

    Shape: ``(N, C)`` float, rows sum to 1.

    Source: Shi and Sha: Information-theoretical learning of discriminative clusters for unsupervised domain adaptation,
        ICML 2012, arXiv 1206.6438, equation 3.
    """
    mean = probability.double().mean(dim=0)
    return float(torch.special.entr(mean).sum()) + certainty(probability)


def soft_neighbourhood_density(probability: Tensor, temperature: float = _TEMPERATURE) -> float:
    """Mean entropy of the softmax over every pixel's cosine similarities to all others, in nats.

    The denser the neighbourhoods of similar predictions, the higher. It takes N² time and little memory: sub-sample.

    Shape: ``(N, C)`` float, rows sum to 1, at least two.

    Source: Saito et al.: Tune it the right way: unsupervised validation of domain adaptation via soft neighborhood
        density, ICCV 2021, arXiv 2108.10860, equations 1 to 3.
    """
    unit = functional.normalize(probability.float(), dim=1)
    total = 0.0
    for start in range(0, len(unit), _CHUNK):
        rows = unit[start : start + _CHUNK]
        similarity = rows @ unit.T / temperature
        itself = torch.arange(len(rows), device=unit.device)
        similarity[itself, start + itself] = -torch.inf
        total += float(torch.special.entr(similarity.softmax(dim=1)).sum(dtype=torch.float64))
    return total / len(unit)


def agreement(student: Tensor, teacher: Tensor) -> float:
    """Share of the pixels to which student and teacher give the same class.

    Shape: ``(N, C)`` float each.

    Source: the consistency that a mean teacher trains for, as a measure: Tarvainen and Valpola, NeurIPS 2017,
        arXiv 1703.01780, section 2.
    """
    return float((student.argmax(dim=1) == teacher.argmax(dim=1)).double().mean())


def label_free_scores(student: Sequence[Tensor], teacher: Sequence[Tensor] = ()) -> dict[str, float]:
    """Every validator on the same images, by the name of its checkpoint rule; agreement needs a teacher.

    Neighbours of a pixel are pixels of its image.

    Shape: probabilities ``(N, C)`` per image.
    """
    pixels = torch.cat(list(student))
    density = [soft_neighbourhood_density(image) for image in student]
    scores = {
        "entropy": certainty(pixels),
        "infomax": information(pixels),
        "snd": sum(density) / len(density),
    }
    return scores | ({"agreement": agreement(pixels, torch.cat(list(teacher)))} if teacher else {})

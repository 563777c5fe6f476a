"""Typical mistakes in FADA, planted one at a time: each must make a recorded case fail."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from torch import Tensor, nn

from adaptbench.adaptation import class_discriminator, seg_loss
from adaptbench.adaptation.class_discriminator import Alignment, DomainHalf
from adaptbench.data import class_balanced_sampling, framing, transforms
from adaptbench.data.normalisation import Normalisation
from adaptbench.evaluation.class_centers import ClassMoments
from adaptbench.optim import optimizer
from methods import fada_alignment, fada_source
from methods.fada_alignment import FADAAlignment
from methods.fada_source import FADASource

from .handlers import fada_training
from .planted import Mutation, assert_noticed

LABEL = class_discriminator.class_label
DOMAIN_LOSS = class_discriminator.domain_cross_entropy
RESIZE = seg_loss.resize_logits
SCHEDULE = optimizer.build_schedule
POLY = optimizer.poly_schedule
SEEN = FADAAlignment._features_and_logits
WEIGHTS = class_balanced_sampling.class_weights
NORMALISE = transforms.normalise

ALIGNMENT, DISTILLATION = "fada_trajectory", "fada_self_distill_trajectory"


def not_clipped(logits: Tensor, alignment: Alignment, clip: float | None) -> Tensor:
    return LABEL(logits, alignment, None)


def normalised_again(logits: Tensor, alignment: Alignment, clip: float | None) -> Tensor:
    label = LABEL(logits, alignment, clip)
    return label / label.sum(dim=1, keepdim=True)


def hard(logits: Tensor, alignment: Alignment, clip: float | None) -> Tensor:
    return LABEL(logits, "hard", clip)


def halves_swapped(scores: Tensor, label: Tensor, half: DomainHalf, weight: Tensor | None = None) -> Tensor:
    return DOMAIN_LOSS(scores, label, "target" if half == "source" else "source", weight)


def softmax_per_half(scores: Tensor, label: Tensor, half: DomainHalf, weight: Tensor | None = None) -> Tensor:
    log_p = scores.chunk(2, dim=1)[half == "target"].log_softmax(dim=1)
    return -(label * log_p).sum(dim=1).mean()


def corners_not_aligned(logits: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    return RESIZE(logits, size, False)


def temperature_left_out(self: FADAAlignment, image: Tensor) -> tuple[Tensor, Tensor]:
    features, logits = SEEN(self, image)
    return features, logits * self.settings.temperature


@contextlib.contextmanager
def not_frozen(module: nn.Module) -> Iterator[None]:
    yield


def trained_norms(module: nn.Module) -> None:
    pass


def decay_to_the_last_iteration(wrapper: Any, settings: Any, iterations: int) -> list[Any]:
    return SCHEDULE(wrapper, settings, settings.iterations)


def constant_rate(wrapper: Any, power: float, iterations: int, lowest: float) -> Any:
    return POLY(wrapper, 0.0, iterations, lowest)


def evaluation_mode(self: FADASource, mode: bool = True) -> FADASource:
    nn.Module.train(self, False)
    return self


def by_share(counts: Any, present: Any, epsilon: float) -> Any:
    weights = np.where(present, 1.0 / (epsilon + counts / max(counts.sum(), 1)), 0.0)
    return weights / weights.sum()


def first_after_the_shuffle(queue: list[int], positions: list[int], drawn: int, rng: Any) -> int:
    if positions[drawn] >= len(queue):
        rng.shuffle(queue)
        positions[drawn] = 0
    positions[drawn] += 1
    return queue[positions[drawn] - 1]


def by_opencv(self: framing.WholeImages, image: Any, size: tuple[int, int]) -> Any:
    return transforms.resize_image(image, size)


def rounded(self: framing.ScaledCrops, size: tuple[int, int], scale: float) -> tuple[int, int]:
    return -(-int(1000 * size[0] * scale) // 1000), -(-int(1000 * size[1] * scale) // 1000)


def red_first(image: Any, values: Normalisation) -> Tensor:
    return NORMALISE(image, Normalisation(values.mean, values.std))


def plain_distance(self: ClassMoments) -> Any:
    center = self.center
    return np.stack([np.sqrt(((center - own) ** 2).sum(axis=1)) for own in center])


def on(case: str, *mutations: tuple[str, object, str, object]) -> Sequence[Mutation]:
    return [Mutation(name, case, *rest) for name, *rest in mutations]  # type: ignore[arg-type]


MUTATIONS = [
    *on(
        ALIGNMENT,
        ("soft labels not clipped", fada_alignment, "class_label", not_clipped),
        ("soft labels normalised again", fada_alignment, "class_label", normalised_again),
        ("hard labels", fada_alignment, "class_label", hard),
        ("domains swapped", fada_alignment, "domain_cross_entropy", halves_swapped),
        ("a softmax per domain", fada_alignment, "domain_cross_entropy", softmax_per_half),
        ("corners not aligned", fada_source, "resize_logits", corners_not_aligned),
        ("no temperature", FADAAlignment, "_features_and_logits", temperature_left_out),
        ("the discriminator learns from deception", fada_alignment, "frozen", not_frozen),
        ("norms trained", fada_training, "freeze_norms", trained_norms),
        ("decay to the last iteration", fada_source, "build_schedule", decay_to_the_last_iteration),
        ("constant rate of the discriminator", fada_alignment, "poly_schedule", constant_rate),
    ),
    *on(
        DISTILLATION,
        ("norms in evaluation mode", FADASource, "train", evaluation_mode),
        ("corners not aligned in the distillation", fada_source, "resize_logits", corners_not_aligned),
    ),
    *on(
        "fada_sampler",
        ("weights by the share itself", class_balanced_sampling, "class_weights", by_share),
        ("queues begin at their start", class_balanced_sampling, "_next", first_after_the_shuffle),
    ),
    *on(
        "fada_input_pipeline",
        ("images resized by OpenCV", framing.WholeImages, "image", by_opencv),
        ("sizes rounded up", framing.ScaledCrops, "scaled", rounded),
        ("red first", transforms, "normalise", red_first),
    ),
    *on("fada_ccd", ("plain distances", ClassMoments, "between", property(plain_distance))),
]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_mistake_is_noticed(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_noticed(mutation, monkeypatch)

"""Typical mistakes in the adversarial family, planted one at a time: each must make a recorded case fail."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import adaptbench.contracts.method
from adaptbench.adaptation import entropy
from adaptbench.adaptation.discriminator import SOURCE, TARGET
from adaptbench.contracts.method import LossGroup
from adaptbench.data import framing, transforms
from adaptbench.data.normalisation import Normalisation
from adaptbench.networks import deeplabv2_multi, inference
from adaptbench.optim import optimizer
from adaptbench.optim.repeated_sgd import RepeatedSGD
from methods import adaptsegnet, advent, intrada, minent
from methods.adaptsegnet import OutputAdversarial
from methods.minent import Outputs

from .conventions import Areas, Convention
from .planted import Mutation, assert_noticed

DISCRIMINATOR_LOSSES = OutputAdversarial.discriminator_losses
ADVERSARIAL_LOSSES = OutputAdversarial.adversarial_losses
SOURCE_PASS = minent.OutputAdaptation.source_pass
RESIZE = minent.resize_logits
RATES = optimizer._rates
INITIALISE = deeplabv2_multi._initialise
UPDATE = RepeatedSGD._update
NORMALISE = transforms.normalise
FACTOR = intrada.rare_class_factor

RESNET, RERUN = "advent_resnet_trajectory", "minent_mmseg_trajectory"


def not_detached(self: OutputAdversarial, source: Outputs, target: Outputs) -> LossGroup:
    losses = {}
    for key, outputs, domain in (("source", source, SOURCE), ("target", target, TARGET)):
        for name, logits in outputs.items():
            loss = self._domain_loss(name, logits, domain) / 2
            losses[minent.log_name(name, f"discriminator.loss_{key}")] = loss
    return losses


def kept_graphs(self: OutputAdversarial, batch: Any) -> Iterable[LossGroup]:
    losses, source = self.source_pass(batch)
    target = self.target_pass(batch)
    yield {**losses, **self.adversarial_losses(target), **not_detached(self, source, target)}


@contextlib.contextmanager
def not_frozen(module: nn.Module) -> Iterator[None]:
    yield


def in_bits(probability: Tensor) -> Tensor:
    return -probability * torch.log2(probability + 1e-30)


def entropy_per_class(probability: Tensor) -> Tensor:
    return entropy.self_information(probability).mean()


def natural_logarithm(probability: Tensor) -> Tensor:
    return -probability * torch.log(probability + 1e-30)


def input_is_the_probability(self: OutputAdversarial, logits: Tensor) -> Tensor:
    return logits.softmax(dim=1)


def domains_swapped(self: OutputAdversarial, source: Outputs, target: Outputs) -> LossGroup:
    return DISCRIMINATOR_LOSSES(self, target, source)


def weights_swapped(self: OutputAdversarial, target: Outputs) -> LossGroup:
    swapped = {"adversarial_weight": "adversarial_weight_aux", "adversarial_weight_aux": "adversarial_weight"}
    settings = self.settings
    values = {key: getattr(settings, other) for key, other in swapped.items()}
    self.settings = settings.model_copy(update=values)
    try:
        return ADVERSARIAL_LOSSES(self, target)
    finally:
        self.settings = settings


def halves_not_halved(self: OutputAdversarial, source: Outputs, target: Outputs) -> LossGroup:
    return {key: 2 * loss for key, loss in DISCRIMINATOR_LOSSES(self, source, target).items()}


def aux_as_important(self: minent.OutputAdaptation, batch: Any) -> tuple[LossGroup, Outputs]:
    losses, outputs = SOURCE_PASS(self, batch)
    weight = self.settings.segmentation_weight_aux
    return {**losses, "aux.loss_seg": losses["aux.loss_seg"] / weight}, outputs


def corners_swapped(logits: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    return RESIZE(logits, size, not align_corners)


def over_labelled_pixels(logits: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor:
    return functional.cross_entropy(logits, label.squeeze(1), ignore_index=255)


def same_rate_for_the_head(name: str, layer_norm: bool, settings: Any) -> tuple[float, float]:
    return settings.learning_rate, RATES(name, layer_norm, settings)[1]


def no_decay_of_the_rate(optimizer: Any, settings: Any, iterations: int | None = None) -> list[Any]:
    return []


def fresh_momentum(self: RepeatedSGD, tensors: list[Tensor], group: Mapping[str, Any]) -> None:
    for tensor in tensors:
        self.state[tensor].pop("momentum_buffer", None)
    UPDATE(self, tensors, group)


def trained_norms(module: nn.Module) -> None:
    INITIALISE(module)
    module.requires_grad_(True)


class StrideIn3x3(deeplabv2_multi.Bottleneck):  # type: ignore[misc]  # mmsegmentation is untyped
    def __init__(self, *args: Any, style: str, **options: Any) -> None:
        super().__init__(*args, style="pytorch", **options)


def red_first(image: Any, values: Normalisation) -> Tensor:
    return NORMALISE(image[..., ::-1], values)


def by_opencv(self: framing.WholeImages, image: Any, size: tuple[int, int]) -> Any:
    return transforms.resize_image(image, size)


def not_aligned(mode: Any) -> bool:
    return False


def entropy_of_pixels(logits: Tensor) -> float:
    return float(entropy.entropy_loss(logits.softmax(dim=1)))


def rare_is_harder(label: Tensor, rare: Any) -> float:
    return 2.0 - FACTOR(label, rare)


def rounded_up(images: int, share: float) -> int:
    return -int(-images * share // 1)


def absent_left_out(convention: Convention, scores: Any, areas: Areas) -> float:
    return float(np.nanmean(scores))


def on(case: str, *mutations: tuple[str, object, str, object]) -> Sequence[Mutation]:
    return [Mutation(name, case, *rest) for name, *rest in mutations]  # type: ignore[arg-type]


MUTATIONS = [
    *on(
        RESNET,
        ("discriminators teach the network", OutputAdversarial, "losses", kept_graphs),
        ("discriminators learn from deception", adaptsegnet, "frozen", not_frozen),
        ("domains swapped", OutputAdversarial, "discriminator_losses", domains_swapped),
        ("halves not halved", OutputAdversarial, "discriminator_losses", halves_not_halved),
        ("weights of the outputs swapped", OutputAdversarial, "adversarial_losses", weights_swapped),
        ("auxiliary output as important", minent.OutputAdaptation, "source_pass", aux_as_important),
        ("self-information in bits", advent, "self_information", in_bits),
        ("natural logarithm", advent, "self_information", natural_logarithm),
        ("discriminators see probabilities", advent.AdvEnt, "discriminator_input", input_is_the_probability),
        ("corners not aligned", minent, "resize_logits", corners_swapped),
        ("same rate for the head", optimizer, "_rates", same_rate_for_the_head),
        ("constant rate", minent, "build_schedule", no_decay_of_the_rate),
        ("listed once", optimizer, "_times_listed", lambda name: 1),
        ("listed three times throughout", optimizer, "_times_listed", lambda name: 3),
        ("norms trained", deeplabv2_multi, "_initialise", trained_norms),
        ("stride in the 3x3 convolution", deeplabv2_multi, "Bottleneck", StrideIn3x3),
    ),
    *on(
        RERUN,
        ("entropy in bits", entropy, "self_information", in_bits),
        ("entropy per class", minent, "entropy_loss", entropy_per_class),
        ("corners aligned", minent, "resize_logits", corners_swapped),
        (
            "ignored pixels left out",
            adaptbench.contracts.method,
            "weighted_cross_entropy",
            over_labelled_pixels,
        ),
    ),
    *on("sgd_duplicate_params", ("momentum forgotten", RepeatedSGD, "_update", fresh_momentum)),
    *on("advent_metric", ("corners not aligned in tests", inference, "_aligned", not_aligned)),
    *on(
        "intrada_pseudo_label",
        ("images resized by OpenCV", framing.WholeImages, "image", by_opencv),
        ("red first", transforms, "normalise", red_first),
    ),
    *on(
        "intrada_rank",
        ("summed over the classes", intrada, "uncertainty", entropy_of_pixels),
        ("rare classes make it harder", intrada, "rare_class_factor", rare_is_harder),
        ("share rounded up", intrada, "easy_count", rounded_up),
    ),
    *on("fada_metric", ("absent classes left out", Convention, "average", absent_left_out)),
]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_mistake_is_noticed(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_noticed(mutation, monkeypatch)

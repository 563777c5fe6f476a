"""Typical mistakes in whole trainings: each must make a recorded training fail."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from torch import Tensor, nn

import adaptbench.contracts.method
from adaptbench.adaptation import ema, feature_distance, seg_loss
from adaptbench.contracts.method import LossGroup, Method
from adaptbench.contracts.settings import Settings
from adaptbench.data.batch import Batch
from adaptbench.optim import optimizer
from methods import dacs, daformer, hrda, mic

from .discovery import discover
from .handlers import train_trajectory
from .planted import Mutation
from .runner import open_case, run_case
from .test_golden import COPIED
from .test_mutations import classes_of_each_sample

LOSSES = dacs.DACS.losses
RATES = optimizer._rates
SCHEDULE = optimizer.build_schedule
VIEWS = hrda.TwoScales._views
DISTANCES = daformer.ImageNetDistance.distances
STEP = Method.train_step


def same_rate_for_the_head(name: str, layer_norm: bool, settings: Settings) -> tuple[float, float]:
    return settings.learning_rate, RATES(name, layer_norm, settings)[1]


def norms_decay(name: str, layer_norm: bool, settings: Settings) -> tuple[float, float]:
    return RATES(name, layer_norm, settings)[0], settings.weight_decay


def teacher_in_eval_mode(module: nn.Module) -> None:
    module.eval()


def teacher_after_the_forward(self: dacs.DACS, batch: Batch) -> Iterable[LossGroup]:
    assert batch.target is not None
    yield self.source_loss(batch)
    pseudo = self.label_target(batch.target)
    yield from self.target_losses(batch, batch.target, pseudo)
    self.teacher.update(self.student, batch.iteration)


def distance_not_learned(
    self: daformer.ImageNetDistance, *args: Any
) -> list[feature_distance.FeatureDistance]:
    return [distance._replace(value=distance.value.detach()) for distance in DISTANCES(self, *args)]


def divided_by_weights(logits: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor:
    loss = seg_loss.weighted_cross_entropy(logits, label, weight)
    return loss if weight is None else loss * weight.numel() / (weight != 0).sum().clamp(min=1)


def unmasked_weight(weight: Tensor, *_: object) -> Tensor:
    return weight


def warm_up_delays_the_decay(wrapper: Any, settings: Settings, iterations: int) -> list[Any]:
    return SCHEDULE(wrapper, settings, iterations + settings.warmup)


def hidden_before_augmentation(self: mic.MaskedConsistency, image: Tensor, draws: mic.MaskDraws) -> Tensor:
    mask = mic.block_mask(draws.blocks, self.settings.mask_ratio, (image.shape[-2], image.shape[-1]))
    values = self.normalisation
    return mic.augment(mic.mask_image(image, mask), draws.augmentation, values.mean, values.std)


def scales_swapped(self: hrda.TwoScales, *args: Any) -> tuple[dacs.EncoderView, ...]:
    return VIEWS(self, *args)[::-1]


def one_crop_for_all_passes(self: hrda.TwoScales, image: Tensor, name: str, draws: Any) -> Any:
    if name == "source":
        size = (image.shape[-2], image.shape[-1])
        self.__dict__["box"] = self._student.draw_crop_box(size, draws.numpy("detail crop"))
    return self.__dict__["box"]


def step_after_every_group(self: Method, batch: Batch, optimizers: Any) -> dict[str, Tensor]:
    log: dict[str, Tensor] = {}
    for group in self.losses(batch):
        optimizers.zero_grad()
        optimizers.backward(adaptbench.contracts.method.total_loss(group))
        optimizers.step()
        log.update({name: value.detach() for name, value in group.items()})
    return log


def on(case: str, *mutations: tuple[str, object, str, object]) -> list[Mutation]:
    return [Mutation(name, f"train_trajectory_{case}", *rest) for name, *rest in mutations]  # type: ignore[arg-type]


MUTATIONS = [
    *on(
        "dacs_aug",
        ("same rate for the head", optimizer, "_rates", same_rate_for_the_head),
        ("layer norms decay", optimizer, "_rates", norms_decay),
        ("teacher in eval mode", ema, "teacher_mode", teacher_in_eval_mode),
        ("teacher updated at the end", dacs.DACS, "losses", teacher_after_the_forward),
        ("no ramp of the average", ema, "ema_alpha", lambda t, cap: 0.0 if t == 0 else cap),
        ("classes of each sample", dacs, "draw_classes", classes_of_each_sample),
        ("jitter below the draw", dacs, "jitter_applies", lambda draw, probability: draw < probability),
        ("warm-up delays the decay", train_trajectory, "build_schedule", warm_up_delays_the_decay),
        ("a step for every loss", Method, "train_step", step_after_every_group),
    ),
    *on(
        "mic_aug",
        ("distance not learned", daformer.ImageNetDistance, "distances", distance_not_learned),
        (
            "loss divided by weights",
            adaptbench.contracts.method,
            "weighted_cross_entropy",
            divided_by_weights,
        ),
        ("rows not ignored", daformer, "restrict", unmasked_weight),
        ("hidden before augmentation", mic.MaskedConsistency, "hide_blocks", hidden_before_augmentation),
        ("masked images not blurred", mic, "blur_applies", lambda draw: False),
    ),
    *on(
        "mic",
        ("distance of the detail", hrda.TwoScales, "_views", scales_swapped),
        ("one crop for all passes", hrda.TwoScales, "draw_detail_crop", one_crop_for_all_passes),
    ),
]


def check(case: str) -> None:
    # The longest prefix wins in a kind, so that ``mic`` finds ``mic_aug``, too.
    for file in discover(COPIED, [case]):
        if file.name == case:
            run_case(open_case(file))


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_mistake_is_noticed(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutation.owner, mutation.attribute, mutation.replacement)
    with pytest.raises(AssertionError):
        check(mutation.kind)

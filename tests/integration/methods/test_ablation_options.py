"""Every ablation of the papers is an option that trains, and that changes what is trained."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from mmengine.optim import OptimWrapper
from tiny_training import HRDA_CROPS, build, require_effect, train

from adaptbench.adaptation.imagenet_encoder import FrozenEncoder
from adaptbench.contracts.method import Method
from adaptbench.data.sampling import Sampling
from adaptbench.errors import UsageError
from adaptbench.networks.hrda import HRDASegmentor
from adaptbench.networks.timm_backbone import TimmEncoder
from adaptbench.optim.optimizer import build_schedule
from adaptbench.ranks.group import Ranks
from adaptbench.training.sharing import share_work
from methods.daformer import DAFormer
from methods.daformer_dg import DAFormerDG
from methods.hrda import HRDA
from methods.hrda_dg import HRDADG
from methods.mic_daformer import MICDAFormer

#: Method, its settings as they would be, and the option under test.
OPTIONS: list[tuple[type[Method], dict[str, Any], dict[str, Any]]] = [
    (DAFormer, {}, {"feature_distance": "all"}),
    (DAFormer, {}, {"feature_distance": "off"}),
    (DAFormer, {}, {"feature_distance_weight": 0.0}),
    (DAFormer, {"pseudo_threshold": 0.0}, {"pseudo_ignore_top": 0, "pseudo_ignore_bottom": 0}),
    (HRDA, HRDA_CROPS, {"detail_crop": 32}),
    (HRDA, {**HRDA_CROPS, "feature_distance": "off"}, {"context_scale": 0.25}),
    (HRDA, HRDA_CROPS, {"context_scale": 0.75}),
    (HRDA, HRDA_CROPS, {"context_scale": 1.0}),
    (HRDA, HRDA_CROPS, {"detail_loss_weight": 0.0}),
    (HRDA, HRDA_CROPS, {"detail_loss_weight": 0.5}),
    (HRDA, HRDA_CROPS, {"attention": "single"}),
    (HRDA, HRDA_CROPS, {"attention": "fixed"}),
    (HRDA, {**HRDA_CROPS, "attention": "fixed"}, {"fixed_attention": 0.2}),
    (HRDA, {**HRDA_CROPS, "pseudo_threshold": 0.0}, {"detail_windows": "adjacent"}),
    (HRDA, {**HRDA_CROPS, "pseudo_threshold": 0.0}, {"detail_windows": "whole"}),
    (HRDA, HRDA_CROPS, {"blur_detail": True}),
    (
        HRDA,
        {**HRDA_CROPS, "detail_crop": 128},
        {"context_loss_weight": 0.1, "feature_distance_scales": "all"},
    ),
    (MICDAFormer, {"pseudo_threshold": 0.0}, {"mask_ratio": 0.0}),
    (MICDAFormer, {"pseudo_threshold": 0.0}, {"mask_augment": False}),
    (DAFormerDG, {}, {"style_hallucination": False}),
    (HRDADG, HRDA_CROPS, {"style_hallucination": False}),
]


@pytest.mark.parametrize(("method", "usual", "option"), OPTIONS, ids=str)
def test_an_option_trains_and_changes_the_training(
    method: type[Method], usual: dict[str, Any], option: dict[str, Any]
) -> None:
    require_effect(method, usual, option)


def test_attention_has_as_many_channels_as_asked_for() -> None:
    channels = {}
    for attention in ("classwise", "single", "fixed"):
        student = build(HRDA, attention=attention, **HRDA_CROPS).student
        assert isinstance(student, HRDASegmentor)
        scale = student.decode_head.scale_attention
        channels[attention] = None if scale is None else scale.get_submodule("conv_seg").weight.shape[0]
    assert channels == {"classwise": 19, "single": 1, "fixed": None}


def test_feature_distance_can_be_off() -> None:
    assert isinstance(build(DAFormer).imagenet, FrozenEncoder)
    for off in ({"feature_distance": "off"}, {"feature_distance_weight": 0.0}):
        made = build(DAFormer, **off)
        assert made.imagenet is None
        assert not any("feature_distance" in name for name in train(made)[0])


@pytest.mark.parametrize(("changes", "rate"), [({}, 6e-5 * 1e-6), ({"warmup": 0}, 6e-5)])
def test_warm_up_can_be_off(changes: dict[str, Any], rate: float) -> None:
    made = build(DAFormer, **changes)
    optimizers = made.optimizers()
    assert isinstance(optimizers, OptimWrapper)
    build_schedule(optimizers, made.settings, made.settings.iterations)
    assert min(optimizers.get_lr()["lr"]) == pytest.approx(rate)
    assert all(math.isfinite(value) for value in train(made)[0].values())


def test_the_student_can_be_its_own_teacher() -> None:
    logs = [train(build(DAFormer, ema_alpha=alpha, pseudo_threshold=0.0), 3)[-1] for alpha in (0.999, 0.0)]
    assert logs[0] != logs[1]


def test_rare_class_sampling_can_be_off_or_uniform() -> None:
    assert DAFormer.sampling(DAFormer.Settings(rare_class_sampling=False)).rare is None
    uniform = DAFormer.sampling(DAFormer.Settings(rare_class_temperature=1e6)).rare
    assert uniform is not None and uniform.temperature == 1e6


@pytest.mark.parametrize("method", [DAFormer, HRDA])
def test_small_parts_of_crops_can_be_trained_on(method: type[DAFormer]) -> None:
    detail = {"detail_crop": 32} if method is HRDA else {}
    made = build(method, crop=128, synchronized_crop=64, feature_distance="off", **detail)
    assert method.sampling(made.settings).part == 64
    assert all(math.isfinite(value) for value in train(made, side=64)[0].values())


@pytest.mark.parametrize("method", [DAFormer, HRDA, DAFormerDG])
def test_any_encoder_can_be_trained_on(method: type[Method]) -> None:
    network = {"network": "daformer-timm:test_convnext", "pretraining": "none"}
    own = {DAFormer: {}, HRDA: HRDA_CROPS, DAFormerDG: {"style_hallucination": False}}[method]
    (log,) = train(build(method, **network, **own))
    assert all(math.isfinite(value) for value in log.values()) and "source.loss_feature_distance" in log


def test_hallucinated_styles_need_an_encoder_with_a_first_map() -> None:
    with pytest.raises(UsageError, match=r"encoder of MiT or timm, not ResNetV1c.*style_hallucination=false"):
        build(DAFormerDG, network="deeplabv2-mini", pretraining="none")


@pytest.mark.parametrize(
    "network", ["daformer-timm:test_convnext", "daformer-timm:swin_s3_tiny_224", "daformer-lite0"]
)
def test_hallucinated_styles_stand_behind_the_first_map_that_is_used(network: str) -> None:
    """Its first stage alone is what the network computes, and the twin of the batch has another style."""
    method = build(DAFormerDG, network=network, pretraining="none")
    encoder = method.student.get_submodule("backbone")
    assert isinstance(encoder, TimmEncoder)
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        first = encoder.eval().first_stage(image)
        plain = encoder(image)
        torch.testing.assert_close(first, plain[0])
        number = encoder.channels[0]
        weights = torch.full((2, number), 1 / number)
        with encoder.style_hallucination.drawing(lambda batch: weights[:batch]):  # type: ignore[union-attr, operator]
            styled = encoder.train()(torch.cat([image, image]))
    assert styled[0].shape == (4, *first.shape[1:]) and styled[-1].shape[0] == 4
    assert not torch.allclose(styled[0][:2], styled[0][2:])
    share_work(method, method.optimizers(), Ranks(0, 2))
    assert len(encoder.eval().first_stage(torch.cat([image, image]))) == 2, "not of one device's share alone"


def test_colours_of_domain_generalization_can_stay() -> None:
    assert DAFormerDG.sampling(DAFormerDG.Settings()).distortion
    assert HRDADG.sampling(HRDADG.Settings()).distortion
    assert not DAFormerDG.sampling(DAFormerDG.Settings(photometric_distortion=False)).distortion
    assert DAFormer.sampling(DAFormer.Settings()).distortion is Sampling().distortion is False

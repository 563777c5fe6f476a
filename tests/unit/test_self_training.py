"""Relations between the self-training methods that no recorded case states."""

from __future__ import annotations

import pytest

from adaptbench.data.sampling import RareClasses, Sampling
from adaptbench.method import Method
from adaptbench.profiles import profile
from adaptbench.settings import resolve
from methods.dacs import DACS
from methods.daformer import DAFormer
from methods.hrda import HRDA
from methods.mic import MIC
from methods.mic_daformer import MICDAFormer


@pytest.mark.parametrize(("method", "host"), [(MIC, HRDA), (MICDAFormer, DAFormer)])
def test_mic_keeps_the_defaults_of_its_host(method: type[Method], host: type[Method]) -> None:
    defaults, own = host.Settings().model_dump(), method.Settings().model_dump()
    assert {name: own[name] for name in defaults} == defaults
    assert {name for name in own if name not in defaults} == {
        "mask_ratio",
        "mask_block",
        "mask_weight",
        "mask_augment",
    }


def test_published_sizes() -> None:
    daformer, hrda = DAFormer.Settings(), HRDA.Settings()
    assert (daformer.network, daformer.crop, daformer.resolution) == ("daformer-mit_b5", 512, 1.0)
    assert (hrda.network, hrda.crop, hrda.detail_crop, hrda.resolution) == (
        "daformer-mit_b5",
        1024,
        512,
        2.0,
    )
    assert (DACS.Settings().ema_alpha, daformer.ema_alpha, hrda.ema_alpha) == (0.99, 0.999, 0.999)


def test_sizes_follow_the_profile() -> None:
    mini = resolve(MIC.Settings, profile("mini"), {}, {}, "daformer-mini", {}).settings
    assert isinstance(mini, MIC.Settings)
    assert (mini.crop, mini.detail_crop, mini.mask_block, mini.rare_class_min_pixels) == (256, 128, 16, 188)
    assert (mini.margin_top, mini.margin_bottom, mini.feature_distance_stride) == (8, 60, 8)


def test_what_the_stream_is_asked_for() -> None:
    rare = RareClasses(0.01, 3000, 0.5, "drop")
    assert DACS.sampling(DACS.Settings()) == Sampling()
    assert DAFormer.sampling(DAFormer.Settings()) == Sampling(rare)
    assert DAFormer.sampling(DAFormer.Settings(rare_class_sampling=False)) == Sampling()
    hrda = HRDA.sampling(HRDA.Settings())
    assert hrda.rare is not None and hrda.rare.min_crop_ratio == 2.0
    assert hrda.margins == (30, 240, 30, 30)
    assert HRDA.sampling(HRDA.Settings(margins=False)).margins is None

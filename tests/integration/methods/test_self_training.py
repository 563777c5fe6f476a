"""Relations between the self-training methods that no recorded case states."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from adaptbench.contracts.method import Method
from adaptbench.contracts.profiles import profile
from adaptbench.contracts.settings import resolve
from adaptbench.contracts.task import Task
from adaptbench.data.batch import Batch, Images, LabelledImages
from adaptbench.data.sampling import RareClasses, Sampling
from adaptbench.data.taxonomy import CITYSCAPES19
from adaptbench.draws import Draws
from adaptbench.errors import UsageError
from adaptbench.networks.inference import Mode, Sliding, Whole
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
        "mask_teacher",
        "mask_ema_alpha",
        "mask_threshold",
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
    assert DAFormer.sampling(DAFormer.Settings(margins=True)).margins == hrda.margins
    assert DAFormer.sampling(DAFormer.Settings(synchronized_crop=128)) == Sampling(rare, part=128)


@pytest.mark.parametrize(
    ("method", "changes", "mode"),
    [
        (DAFormer, {}, Whole()),
        (DAFormer, {"inference": "sliding"}, Sliding((64, 64), (32, 32))),
        (DAFormer, {"inference": "sliding", "synchronized_crop": 32}, Sliding((32, 32), (16, 16))),
        (HRDA, {"detail_crop": 32}, Sliding((64, 64), (32, 32))),
        (HRDA, {"crop": 128, "detail_crop": 32, "synchronized_crop": 64}, Sliding((64, 64), (32, 32))),
        (HRDA, {"detail_crop": 32, "inference": "whole"}, Whole(multiple=8)),
    ],
)
def test_test_windows_are_as_large_as_what_is_trained_on(
    method: type[DAFormer], changes: dict[str, Any], mode: Mode
) -> None:
    settings = method.Settings(**{"network": "daformer-mini", "crop": 64, **changes})
    task = Task("test", "uda", CITYSCAPES19, profile("mini"))
    assert method(task, settings).inference() == mode


def test_daformer_without_its_parts_is_dacs() -> None:
    """The first rows of the component study."""
    off = {"rare_class_sampling": False, "feature_distance": "off", "ema_alpha": 0.99}
    off |= {"pseudo_ignore_top": 0, "pseudo_ignore_bottom": 0}
    task = Task("test", "uda", CITYSCAPES19, profile("mini"))
    logs = []
    for method, changes in ((DACS, {}), (DAFormer, off)):
        settings = method.Settings.model_validate({"network": "segformer-mini", "crop": 32, **changes})
        assert method.sampling(settings) == Sampling()
        torch.manual_seed(0)
        made = method(task, settings).train()
        optimizers = made.optimizers()
        logs.append([made.train_step(batch(t), optimizers) for t in range(2)])
    assert logs[0] == logs[1]


def batch(iteration: int) -> Batch:
    random = torch.Generator().manual_seed(iteration)
    images = torch.randn(2, 2, 3, 32, 32, generator=random)
    label = torch.randint(19, (2, 1, 32, 32), generator=random)
    source = LabelledImages(images[0], ("a", "b"), label)
    return Batch(iteration, Draws(7, iteration), source, Images(images[1], ("c", "d")))


@pytest.mark.parametrize("widths", [(2.0, 1.0), (0.0, 1.0), (-1.0, 1.0)])
def test_blurs_are_widths_from_the_narrowest_to_the_widest(widths: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match="two widths above 0, the narrower one first"):
        resolve(DACS.Settings, profile("mini"), {}, {}, "deeplabv2-lite0", {"blur_widths": widths})


def test_blurs_shrink_with_the_crops() -> None:
    mini, paper = (
        resolve(DACS.Settings, profile(name), {}, {}, "deeplabv2-lite0", {}).settings
        for name in ("mini", "paper")
    )
    assert paper.blur_widths == (0.15, 1.15)
    assert mini.blur_widths == (0.15 / 4, 1.15 / 4)
    assert "blur_widths" not in paper.model_dump()

"""What domain generalization asks of the stream, and from which crops base styles come."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from adaptbench.contracts import plugins
from adaptbench.contracts.profiles import profile
from adaptbench.contracts.settings import Settings, resolve
from adaptbench.data.sampling import RareClasses, Sampling
from adaptbench.data.stream import Domain, TrainingStream
from adaptbench.data.taxonomy import label_map
from methods.daformer_dg import DAFormerDG, source_crops
from methods.hrda_dg import HRDADG


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTBENCH_CACHE", str(tmp_path))


@pytest.fixture(scope="module")
def source(small_world: Path) -> Domain:
    gta5 = plugins.load(plugins.discover().find("dataset", "gta5"))(small_world / "gta5")
    table = label_map("cityscapes", "cityscapes19")
    return Domain([(gta5, sample, (80, 45), table) for sample in gta5.samples("all")])


def test_published_settings() -> None:
    """Experiment 50 of the authors' configurations: SHADE is on; with HRDA the detail crop is smaller then."""
    daformer, hrda = DAFormerDG.Settings(), HRDADG.Settings()
    assert (daformer.crop, hrda.crop, hrda.detail_crop) == (512, 1024, 384)
    assert (daformer.inference, hrda.inference) == ("whole", "sliding")
    assert (daformer.rare_class_min_crop_ratio, hrda.rare_class_min_crop_ratio) == (0.5, 2.0)
    for settings in (daformer, hrda):
        assert settings.photometric_distortion and settings.style_hallucination
        assert settings.rare_class_sampling and settings.feature_distance == "things"
        assert (settings.rare_class_temperature, settings.feature_distance_weight) == (0.01, 0.005)
        assert (settings.style_consistency_weight, settings.style_concentration) == (10.0, 0.0156)
        assert (settings.learning_rate, settings.warmup, settings.iterations) == (6e-5, 1500, 40_000)
    mini = resolve(HRDADG.Settings, profile("mini"), {}, {}, "daformer-mini", {}).settings
    assert (mini.crop, mini.detail_crop, mini.style_refresh) == (256, 96, 40)


def test_base_styles_come_from_distorted_crops_in_plain_order(source: Domain) -> None:
    settings = Settings.model_validate({"crop": 24, "batch_size": 2, "iterations": 4})
    rare = RareClasses(min_pixels=5)
    training = TrainingStream(source, None, settings, 3, Sampling(rare, distortion=True))
    crops = source_crops(training, 0)
    assert crops.sampling == Sampling(distortion=True)
    shown = [name for t in range(2) for name in crops[t].source.names]
    assert sorted(shown) == sorted(sample.name for _, sample, _, _ in source.items)
    plain = source_crops(TrainingStream(source, None, settings, 3, Sampling(rare)), 0)
    pairs = [(crops[t].source, plain[t].source) for t in range(2)]
    assert all(a.names == b.names and torch.equal(a.label, b.label) for a, b in pairs)
    assert any(not torch.equal(a.image, b.image) for a, b in pairs)
    assert not torch.equal(source_crops(training, 4)[0].source.image, crops[0].source.image)


def test_rare_class_sampling_is_the_same_with_distorted_colours(source: Domain) -> None:
    settings = Settings.model_validate({"crop": 24, "batch_size": 2, "iterations": 4})
    rare = RareClasses(min_pixels=5)
    plain, distorted = (
        TrainingStream(source, None, settings, 3, Sampling(rare, distortion=distortion))
        for distortion in (False, True)
    )
    pairs = [(plain[t].source, distorted[t].source) for t in range(4)]
    assert all(a.names == b.names and torch.equal(a.label, b.label) for a, b in pairs)
    assert any(not torch.equal(a.image, b.image) for a, b in pairs)

"""What MiniCity writes is what the readers of the official data read, in every layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from adaptbench.contracts import plugins
from adaptbench.contracts.dataset import Dataset
from adaptbench.contracts.profiles import PROFILES
from adaptbench.data.minicity import WorldSpec, draw_image, ensure, image_size
from adaptbench.data.minicity.write import SPLITS, WRITERS
from adaptbench.data.taxonomy import IGNORE, known_ids, label_map

SPEC = WorldSpec(scale=0.06)
REGISTRY = plugins.discover()
TABLE = label_map("cityscapes", "cityscapes19")
#: Images of these are JPEGs; noise makes small ones differ by a few grey levels, other images by far more.
LOSSY = {"bdd100k", "crosscity", "mapillary", "mapillary_rein", "mapillary_v2", "wilddash2"}


def opened(dataset: str, counts: dict[str, int], cache: Path) -> Dataset:
    loaded: type[Dataset] = plugins.load(REGISTRY.find("dataset", dataset))
    return loaded(ensure(SPEC, dataset, counts, cache=cache, workers=1))


@pytest.mark.parametrize("name", WRITERS)
def test_the_reader_gives_back_what_was_drawn(name: str, tmp_path: Path) -> None:
    dataset = opened(name, dict.fromkeys(SPLITS[name], 5), tmp_path)
    for split in SPLITS[name]:
        drawn = [draw_image(SPEC, name, split, index) for index in range(5)]
        samples = dataset.usable(split)
        assert len(samples) == 5
        for sample in samples:
            image = dataset.read_image(sample).astype(float)
            same_size = [pair for pair in drawn if pair[0].shape == image.shape]
            errors = [np.abs(image - candidate).mean() for candidate, _ in same_size]
            assert min(errors) <= (14.0 if name in LOSSY else 0.0)
            if dataset.splits[split].labelled:
                check_label(dataset, dataset.read_label(sample), same_size[int(np.argmin(errors))][1])
            else:
                assert not sample.label.exists()


def check_label(dataset: Dataset, raw: Any, drawn: Any) -> None:
    assert set(np.unique(raw).tolist()) <= known_ids(dataset.id_space)
    expected = TABLE[drawn]
    if dataset.name == "crosscity":
        expected = np.where(label_map("cityscapes", "cityscapes13")[drawn] == IGNORE, IGNORE, expected)
    np.testing.assert_array_equal(label_map(dataset.id_space, "cityscapes19")[raw], expected)


def test_synthia_has_16_bits_per_channel_and_lacks_three_classes(tmp_path: Path) -> None:
    dataset = opened("synthia", {"all": 20}, tmp_path)
    for sample in dataset.samples("all"):
        wide = cv2.imread(str(sample.label), cv2.IMREAD_UNCHANGED)
        assert wide.dtype == np.uint16 and wide.shape[2] == 3
        assert not wide[..., 0].any()
        assert not set(np.unique(wide[..., 2]).tolist()) & {16, 18, 20}
        assert not np.array(Image.open(sample.label)).any(), "the trap: readers of high bytes see nothing"


@pytest.mark.parametrize("imbalance", [0.0, 1.0])
def test_what_synthia_lacks_stays_away_at_any_imbalance(imbalance: float) -> None:
    spec = WorldSpec(scale=0.06, imbalance=imbalance)
    seen = {int(i) for index in range(20) for i in np.unique(draw_image(spec, "synthia", "all", index)[1])}
    assert not seen & {22, 27, 31}


def test_acdc_images_take_turns_in_all_conditions(tmp_path: Path) -> None:
    dataset = opened("acdc", {"val": 8}, tmp_path)
    brightness: dict[str, list[float]] = {}
    for sample in dataset.samples("val"):
        brightness.setdefault(sample.tags["condition"], []).append(float(dataset.read_image(sample).mean()))
    assert sorted(brightness) == ["fog", "night", "rain", "snow"]
    assert max(brightness["night"]) < 70 < 120 < min(brightness["snow"])


def test_mapillary_palette_and_sizes(tmp_path: Path) -> None:
    dataset = opened("mapillary", {"training": 5}, tmp_path)
    sizes = {dataset.read_image(sample).shape[1::-1] for sample in dataset.samples("training")}
    assert sizes == {image_size("mapillary", SPEC.scale, index) for index in range(5)}
    assert any(height > width for width, height in sizes)
    assert all(Image.open(sample.label).mode == "P" for sample in dataset.samples("training"))


def test_every_generated_split_can_be_written() -> None:
    for profile in PROFILES.values():
        for split in profile.generated:
            dataset, _, name = split.partition("/")
            assert name in SPLITS[dataset]

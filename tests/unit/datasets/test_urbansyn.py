"""UrbanSyn's labels are train ids in several channels, with 19 where there is no class."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adaptbench.contracts.dataset import Dataset
from adaptbench.errors import DataError

IDS = np.array([[0, 18, 19], [13, 19, 255]], np.uint8)


@pytest.fixture
def urbansyn(dataset_class: Callable[[str], type[Dataset]], tmp_path: Path) -> Dataset:
    """Two pairs; one label has three channels, the other one four."""
    for folder in ("rgb", "ss", "ss_color"):
        (tmp_path / folder).mkdir()
    for number, mode in (("0001", "RGB"), ("7539", "RGBA")):
        Image.new("RGB", (3, 2)).save(tmp_path / f"rgb/rgb_{number}.png")
        Image.fromarray(IDS).convert(mode).save(tmp_path / f"ss/ss_{number}.png")
        Image.new("RGB", (3, 2), (128, 64, 128)).save(tmp_path / f"ss_color/ss_color_{number}.png")
    return dataset_class("urbansyn")(tmp_path)


def test_pairs_have_the_same_number(urbansyn: Dataset) -> None:
    found = [(one.name, one.image.name, one.label.name) for one in urbansyn.samples("all")]
    assert found == [("0001", "rgb_0001.png", "ss_0001.png"), ("7539", "rgb_7539.png", "ss_7539.png")]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_ids_are_the_same_in_every_channel_and_void_becomes_255(urbansyn: Dataset, mode: str) -> None:
    sample = urbansyn.samples("all")[0]
    Image.fromarray(IDS).convert(mode).save(sample.label)
    assert urbansyn.read_label(sample).tolist() == [[0, 18, 255], [13, 255, 255]]


def test_colours_in_the_place_of_labels_are_refused(urbansyn: Dataset) -> None:
    sample = urbansyn.samples("all")[0]
    shutil.copy(urbansyn.root / "ss_color/ss_color_0001.png", sample.label)
    with pytest.raises(DataError, match=r"ss_0001\.png holds colours.*official folder ss"):
        urbansyn.read_label(sample)


def test_ids_that_it_does_not_have_are_refused(urbansyn: Dataset) -> None:
    sample = urbansyn.samples("all")[0]
    Image.fromarray(np.full((2, 3), 26, np.uint8)).save(sample.label)
    with pytest.raises(DataError, match=r"ss_0001\.png of urbansyn holds ids .*: 26 \(6 pixels\)"):
        urbansyn.read_label(sample)


def test_a_folder_without_its_images_says_what_lies_there(
    dataset_class: Callable[[str], type[Dataset]], tmp_path: Path
) -> None:
    (tmp_path / "rgb.zip").write_bytes(b"not unpacked")
    with pytest.raises(
        DataError, match=r"no image matches rgb/rgb_\*\.png.*rgb does not exist.*holds rgb\.zip"
    ):
        dataset_class("urbansyn")(tmp_path).samples("all")

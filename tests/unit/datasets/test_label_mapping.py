"""What the recorded cases of tests/conformance do not say: wrong encodings, and what class sets have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from adaptbench.contracts.dataset import Dataset, Sample
from adaptbench.data.taxonomy import CLASS_SETS, IGNORE, class_set, known_ids, label_map, register
from adaptbench.errors import DataError, UsageError

Reader = Callable[[str], type[Dataset]]


def test_camvid_void_is_ignored() -> None:
    assert label_map("camvid", "camvid11")[:13].tolist() == [*range(11), IGNORE, IGNORE]


def test_synthia_ids_beyond_a_byte_are_none_that_are_known(dataset_class: Reader, tmp_path: Path) -> None:
    wide = np.zeros((1, 4, 3), np.uint16)
    wide[0, :, 2] = (3, 255, 256, 65535)
    wide[0, :, 1] = 5  # the instance
    cv2.imwrite(str(tmp_path / "label.png"), wide)
    sample = Sample("any", tmp_path / "label.png", tmp_path / "label.png")
    dataset = dataset_class("synthia")(tmp_path)
    raw = dataset.decode_label(sample)
    assert raw.tolist() == [[3, 255, 255, 255]]
    assert label_map("synthia", "cityscapes16")[raw].tolist() == [[0, IGNORE, IGNORE, IGNORE]]
    with pytest.raises(DataError, match=r"255 \(3 pixels\)"):
        dataset.read_label(sample)


@pytest.mark.parametrize("mode", ["L", "RGB", "I;16"])
def test_a_synthia_label_without_16_bits_per_channel_is_refused(
    mode: str, dataset_class: Reader, tmp_path: Path
) -> None:
    path = tmp_path / "0000000.png"
    image = Image.fromarray(np.zeros((2, 2), np.uint16 if mode == "I;16" else np.uint8))
    (image if mode == "I;16" else image.convert(mode)).save(path)
    with pytest.raises(DataError, match=r"unknown encoding: .*0000000\.png.*16 bits per channel"):
        dataset_class("synthia")(tmp_path).read_label(Sample("0000000", path, path))


@pytest.mark.parametrize("space", ["cityscapes", "synthia", "mapillary", "mapillary_rein", "mapillary_v2"])
def test_smaller_class_sets_are_parts_of_the_nineteen(space: str) -> None:
    nineteen = label_map(space, "cityscapes19")
    for name in ("cityscapes16", "cityscapes13"):
        part, classes = label_map(space, name), class_set(name).classes
        for raw in range(256):
            full = None if nineteen[raw] == IGNORE else class_set("cityscapes19").classes[nineteen[raw]]
            assert (None if part[raw] == IGNORE else classes[part[raw]]) == (
                full if full in classes else None
            )


def test_a_table_lists_known_ids_only() -> None:
    for space in ("cityscapes", "cityscapes_train", "synthia", "mapillary", "mapillary_v2", "bdd100k_labels"):
        mapped = np.flatnonzero(label_map(space, "cityscapes19") != IGNORE)
        assert set(mapped.tolist()) <= known_ids(space)
    with pytest.raises(UsageError, match="Did you mean 'synthia'"):
        known_ids("sinthia")


def test_a_class_set_of_a_known_name_must_be_the_same() -> None:
    register(CLASS_SETS["camvid11"], "test_space", {"camvid11": {5: 0}})
    assert label_map("test_space", "camvid11")[5] == 0
    other = CLASS_SETS["camvid11"].__class__("camvid11", ("a",), ((0, 0, 0),), "here")
    with pytest.raises(UsageError, match="another class set called 'camvid11'"):
        register(other, "test_space", {})

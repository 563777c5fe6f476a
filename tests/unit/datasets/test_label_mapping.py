"""Label files in the real encodings give the recorded raw ids, and the recorded train ids."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adaptbench.data.files import read_index_image
from adaptbench.data.taxonomy import IGNORE, label_map
from adaptbench.dataset import Dataset, Sample

Case = dict[str, Any]
Reader = Callable[[str], type[Dataset]]

FOLDER = Path(__file__).resolve().parents[2] / "data" / "label_mapping"
CASES = json.loads((FOLDER / "manifest.json").read_text())["cases"]
ARRAYS = np.load(FOLDER / "label_mapping.npz")
PAIRS = [case for case in CASES if "expected" in case]
FILES = [case for case in CASES if case.get("file")]


def case_id(case: Case) -> str:
    return str(case.get("raw"))


@pytest.mark.parametrize("case", PAIRS, ids=case_id)
def test_raw_ids_become_the_recorded_train_ids(case: Case, dataset_class: Reader) -> None:
    table = label_map(dataset_class(case["dataset"]).id_space, "cityscapes19")
    mapped = table[ARRAYS[case["raw"]]]
    np.testing.assert_array_equal(mapped, ARRAYS[case["expected"]])
    for train_id, pixels in case.get("expected_class_pixel_counts", {}).items():
        assert np.count_nonzero(mapped == int(train_id)) == pixels


@pytest.mark.parametrize("case", FILES, ids=case_id)
def test_files_decode_to_the_recorded_raw_ids(case: Case, dataset_class: Reader, tmp_path: Path) -> None:
    path = FOLDER / case["file"]
    dataset = dataset_class(case["dataset"])(tmp_path)
    raw = dataset.read_label(Sample(name="any", image=path, label=path))
    assert raw.dtype == np.uint8
    np.testing.assert_array_equal(raw, ARRAYS[case["raw"]])


def test_official_label_ids_agree_with_the_official_train_ids() -> None:
    case = next(case for case in CASES if "raw_file" in case)
    raw, expected = (
        read_index_image(FOLDER / case["raw_file"]),
        read_index_image(FOLDER / case["expected_file"]),
    )
    np.testing.assert_array_equal(label_map("cityscapes", "cityscapes19")[raw], expected)
    np.testing.assert_array_equal(label_map("cityscapes_train", "cityscapes19")[expected], expected)


def test_camvid_void_is_ignored() -> None:
    raw = ARRAYS["camvid_0_raw"]
    expected = np.where(raw == 11, IGNORE, raw)
    np.testing.assert_array_equal(label_map("camvid", "camvid11")[raw], expected)

"""Both releases of WildDash 2 give the same labels: one as ids, the other as segments with categories."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from adaptbench.contracts.dataset import Dataset
from adaptbench.errors import DataError

NAME = "uk0053_100000"
IGNORE = 255
#: Segment -> category: road, van, autorickshaw, billboard; ids with all three bytes.
SEGMENTS = {7: 7, 0x1A0203: 35, 0x00FF01: 58, 0x100000: 36}
PIXELS = np.array([[7, 0x1A0203, 0x00FF01], [0x100000, 0, 7]], np.uint32)
#: PIXELS by the authors' policy: 0 is no segment.
TRAIN_IDS = [[0, 13, 17], [IGNORE, IGNORE, 0]]

Reader = Callable[[str], type[Dataset]]


def panoptic_image(segments: np.ndarray) -> Image.Image:
    return Image.fromarray(
        np.stack([segments >> shift & 0xFF for shift in (0, 8, 16)], axis=-1).astype(np.uint8)
    )


def segments_of(entries: Mapping[int, int], name: str = NAME) -> dict[str, Any]:
    info = [{"id": segment, "category_id": category, "iscrowd": 0} for segment, category in entries.items()]
    image = {"id": 1, "file_name": f"{name}.jpg"}
    return {
        "images": [image],
        "annotations": [{"image_id": 1, "file_name": f"{name}.png", "segments_info": info}],
    }


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (3, 2)).save(tmp_path / f"images/{NAME}.jpg")
    return tmp_path


@pytest.fixture
def segmented(images: Path, dataset_class: Reader) -> Dataset:
    """An image in the layout of wd_public_v2p0."""
    (images / "panoptic").mkdir()
    panoptic_image(PIXELS).save(images / f"panoptic/{NAME}.png")
    (images / "panoptic.json").write_text(json.dumps(segments_of(SEGMENTS)))
    return dataset_class("wilddash2")(images)


def test_segments_become_classes(segmented: Dataset) -> None:
    (sample,) = segmented.samples("public")
    assert sample.label == segmented.root / f"panoptic/{NAME}.png"
    assert segmented.read_label(sample).tolist() == TRAIN_IDS


def test_ids_become_classes_and_come_first(segmented: Dataset, dataset_class: Reader) -> None:
    (segmented.root / "labels").mkdir()
    ids = np.array([[0, 38, 34], [33, 18, 22]], np.uint8)
    Image.fromarray(ids).save(segmented.root / f"labels/{NAME}.png")
    (sample,) = segmented.samples("public")
    assert sample.label == segmented.root / f"labels/{NAME}.png"
    assert segmented.read_label(sample).tolist() == [[IGNORE, 0, 14], [18, IGNORE, 9]]


def test_both_lie_in_archives_as_well(segmented: Dataset, dataset_class: Reader, tmp_path: Path) -> None:
    packed = tmp_path / "packed"
    packed.mkdir()
    with zipfile.ZipFile(packed / "wd_public_v2p0.zip", "w") as archive:
        for path in (f"images/{NAME}.jpg", f"panoptic/{NAME}.png", "panoptic.json"):
            archive.write(segmented.root / path, path)
    dataset = dataset_class("wilddash2")(packed)
    (sample,) = dataset.samples("public")
    assert dataset.read_image(sample).shape == (2, 3, 3)
    assert dataset.read_label(sample).tolist() == TRAIN_IDS


def test_the_policy_of_its_authors(dataset_class: Reader, images: Path) -> None:
    """Categories of every train id; all others of the 81 have no class."""
    by_class = {
        0: [7, 38, 41, 43, 61, 64, 70, 74, 75, 76, 79], 1: [8, 52, 65, 77, 80], 2: [11], 3: [12, 56], 4: [13],
        5: [17, 45, 46], 6: [19], 7: [20], 8: [21], 9: [22, 78], 10: [23], 11: [24], 12: [25, 47, 48, 49],
        13: [26, 35], 14: [27, 34], 15: [28], 16: [31], 17: [32, 58], 18: [33],
    }  # fmt: skip
    expected = np.full(81, IGNORE)
    for train_id, categories in by_class.items():
        expected[categories] = train_id
    (images / "labels").mkdir()
    Image.fromarray(np.arange(81, dtype=np.uint8)[None]).save(images / f"labels/{NAME}.png")
    dataset = dataset_class("wilddash2")(images)
    assert dataset.read_label(dataset.samples("public")[0])[0].tolist() == expected.tolist()


def test_ids_that_it_does_not_have_are_refused(dataset_class: Reader, images: Path) -> None:
    (images / "labels").mkdir()
    Image.fromarray(np.full((2, 3), 81, np.uint8)).save(images / f"labels/{NAME}.png")
    dataset = dataset_class("wilddash2")(images)
    with pytest.raises(DataError, match=r"uk0053_100000\.png of wilddash2 holds ids .*: 81 \(6 pixels\)"):
        dataset.read_label(dataset.samples("public")[0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (segments_of({7: 7}), r"does not list for it: 65281 \(1 pixels\), 1048576 \(1 pixels\), 1704451"),
        (segments_of(SEGMENTS, "other"), "does not list for it: 7 "),
        (segments_of({7: 81}), "segment 7 of category 81"),
        (segments_of({1 << 24: 7}), "segment 16777216 of category 7"),
        ({"images": []}, "'annotations'"),
        ({"annotations": [{"file_name": "a.png"}]}, "'segments_info'"),
        ([], "COCO's panoptic format"),
    ],
)
def test_segments_that_do_not_fit_are_refused(segmented: Dataset, content: Any, message: str) -> None:
    (segmented.root / "panoptic.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=message):
        segmented.read_label(segmented.samples("public")[0])


def test_a_missing_list_of_segments_is_named(segmented: Dataset) -> None:
    (segmented.root / "panoptic.json").unlink()
    with pytest.raises(DataError, match=r"Cannot read .*panoptic\.json"):
        segmented.read_label(segmented.samples("public")[0])


def test_all_that_tells_of_labels_is_closed_to_trainings(segmented: Dataset) -> None:
    assert {"labels", "instances", "panoptic", "panoptic.json"} == {
        place.relative_to(segmented.root).as_posix() for place in segmented.label_places
    }

"""IDD's polygons become label maps as its authors' tool paints them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from adaptbench.contracts.dataset import Dataset, Sample
from adaptbench.errors import DataError

VOID = 255
Drawn = Callable[..., list[list[int]]]


def box(label: str, left: int, top: int, right: int, bottom: int, **more: Any) -> dict[str, Any]:
    """A rectangle whose border belongs to it."""
    corners = [[left, top], [right, top], [right, bottom], [left, bottom]]
    return {"label": label, "polygon": [[float(x), float(y)] for x, y in corners], "deleted": 0, **more}


def drawing(*objects: dict[str, Any], width: int = 6, height: int = 4) -> dict[str, Any]:
    return {"imgHeight": height, "imgWidth": width, "objects": list(objects)}


@pytest.fixture
def idd(dataset_class: Callable[[str], type[Dataset]], tmp_path: Path) -> Dataset:
    """Two drives in which frames have the same number."""
    for split, drive in (("train", "0"), ("train", "117"), ("val", "119")):
        image = tmp_path / f"leftImg8bit/{split}/{drive}/005506_leftImg8bit.png"
        label = tmp_path / f"gtFine/{split}/{drive}/005506_gtFine_polygons.json"
        image.parent.mkdir(parents=True)
        label.parent.mkdir(parents=True)
        Image.new("RGB", (6, 4)).save(image)
        label.write_text(json.dumps(drawing(box("road", 0, 0, 5, 3))))
    return dataset_class("idd")(tmp_path)


@pytest.fixture
def drawn(idd: Dataset) -> Drawn:
    """The label map of a drawing."""
    sample = idd.samples("val")[0]

    def paint(*objects: dict[str, Any]) -> list[list[int]]:
        sample.label.write_text(json.dumps(drawing(*objects)))
        return idd.read_label(sample).tolist()

    return paint


def test_frames_are_told_apart_by_their_drive(idd: Dataset) -> None:
    samples = idd.samples("train")
    assert [sample.name for sample in samples] == ["0_005506", "117_005506"]
    assert [idd.cluster(sample.name) for sample in samples] == ["0", "117"]
    assert samples[1].label == idd.root / "gtFine/train/117/005506_gtFine_polygons.json"


def test_later_polygons_cover_earlier_ones_and_the_rest_is_void(drawn: Drawn) -> None:
    assert drawn(box("road", 0, 1, 5, 3), box("car", 2, 0, 3, 2)) == [
        [VOID, VOID, 13, 13, VOID, VOID],
        [0, 0, 13, 13, 0, 0],
        [0, 0, 13, 13, 0, 0],
        [0] * 6,
    ]


def test_what_has_no_class_covers_as_well(drawn: Drawn) -> None:
    painted = drawn(box("road", 0, 0, 5, 3), box("autorickshaw", 1, 1, 4, 2))
    assert painted == [[0] * 6, [0, *[VOID] * 4, 0], [0, *[VOID] * 4, 0], [0] * 6]


def test_deleted_polygons_are_not_painted_and_groups_are(drawn: Drawn) -> None:
    deleted = box("bus", 0, 0, 5, 3, deleted=1)
    assert drawn(box("sky", 0, 0, 5, 3), deleted, box("persongroup", 0, 0, 5, 0)) == [
        [11] * 6,
        *[[10] * 6] * 3,
    ]


def test_a_group_that_has_a_label_of_its_own_keeps_it(drawn: Drawn) -> None:
    assert drawn(box("polegroup", 0, 0, 5, 3)) == [[VOID] * 6] * 4


@pytest.mark.parametrize(("label", "train_id"), [("non-drivable fallback", 9), ("train", 16), ("curb", VOID)])
def test_names_become_the_classes_of_cityscapes(drawn: Drawn, label: str, train_id: int) -> None:
    assert drawn(box(label, 0, 0, 5, 3)) == [[train_id] * 6] * 4


def test_every_class_has_a_name(dataset_class: Callable[[str], type[Dataset]]) -> None:
    """40 labels, of which 19 are classes of Cityscapes."""
    table = vars(sys.modules[dataset_class("idd").__module__])["_TRAIN_ID"]
    assert len(table) == 40
    assert sorted(train_id for train_id in table.values() if train_id != VOID) == list(range(19))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "cannot be read as JSON"),
        (b"\xff", "cannot be read as JSON"),
        (b"[]", "is no drawing of IDD"),
        (b'{"imgHeight": 4, "objects": []}', "imgWidth"),
        (json.dumps(drawing(box("zeppelin", 0, 0, 1, 1))).encode(), "no label is called 'zeppelin'"),
        (json.dumps(drawing({"label": "road", "polygon": [[0, 0]]})).encode(), "is no drawing of IDD"),
        (json.dumps(drawing({"label": "road"})).encode(), "'polygon'"),
        (json.dumps(drawing({"label": None, "polygon": [[0, 0], [1, 1]]})).encode(), "is no drawing of IDD"),
        (json.dumps(drawing(width=-1)).encode(), "is no drawing of IDD"),
    ],
)
def test_what_is_no_drawing_is_refused(idd: Dataset, content: bytes, message: str) -> None:
    sample: Sample = idd.samples("val")[0]
    sample.label.write_bytes(content)
    with pytest.raises(DataError, match=rf"(?s)005506_gtFine_polygons\.json.*{message}"):
        idd.read_label(sample)


def test_part_two_is_another_set_of_images(
    dataset_class: Callable[[str], type[Dataset]], tmp_path: Path
) -> None:
    image = tmp_path / "leftImg8bit/val/201/frame0029_leftImg8bit.jpg"
    image.parent.mkdir(parents=True)
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(image)
    with pytest.raises(DataError, match=r"Files there end in \.jpg and not in \.png"):
        dataset_class("idd")(tmp_path).samples("val")

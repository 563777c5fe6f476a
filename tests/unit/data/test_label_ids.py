"""Ids that a dataset does not have stop whatever reads them, and the message says where they may come from."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from adaptbench.contracts import plugins, yaml_plugins
from adaptbench.contracts.dataset import Dataset, Sample
from adaptbench.data import taxonomy
from adaptbench.data.label_ids import histogram, likely_space, listed, pixel_counts, train_ids, unknown_ids
from adaptbench.errors import DataError

IDS = st.integers(0, 255)


@given(
    arrays(np.uint8, (5, 7), elements=IDS),
    st.frozensets(IDS)
    | st.builds(lambda n, last: frozenset((*range(n), *last)), IDS, st.sampled_from([(), (255,)])),
)
def test_unknown_ids_are_those_of_a_loop_over_pixels(label: np.ndarray, known: frozenset[int]) -> None:
    pixels = label.ravel().tolist()
    assert unknown_ids(label, known) == {raw: pixels.count(raw) for raw in sorted({*pixels} - known)}
    assert histogram(label) == {raw: pixels.count(raw) for raw in sorted({*pixels})}


def test_pixels_are_counted_exactly_beyond_the_numbers_of_float32() -> None:
    label = np.full((3, (1 << 24) + 3), 7, np.uint8)
    label[1, 5] = 255
    counts = pixel_counts(label)
    assert counts[[7, 255]].tolist() == [label.size - 1, 1]
    assert (
        pixel_counts(label[:, :40].ravel()).tolist()
        == np.bincount(label[:, :40].ravel(), minlength=256).tolist()
    )


@given(arrays(np.uint8, (5, 7), elements=IDS), arrays(np.uint8, 256))
def test_train_ids_are_looked_up(raw: np.ndarray, table: np.ndarray) -> None:
    assert np.array_equal(train_ids(raw[:, ::-1], table), table[raw[:, ::-1]])


def test_every_space_that_has_a_title_is_known() -> None:
    for space in taxonomy.ID_SPACE_TITLES:
        assert taxonomy.known_ids(space)


@pytest.mark.parametrize(
    ("ids", "space", "likely"),
    [
        ({0, 7, 18, 255}, "cityscapes", "train ids"),
        ({0, 7, 26}, "cityscapes_train", "label ids"),
        ({3, 100}, "mapillary", "Vistas 2.0"),
        ({0, 22, 65}, "mapillary_v2", "Vistas 1.2"),
        ({0, 200}, "cityscapes", ""),
    ],
)
def test_where_ids_are_likely_to_come_from(ids: set[int], space: str, likely: str) -> None:
    found = likely_space(ids, space)
    assert likely in found and bool(likely) == bool(found)


def test_long_lists_are_cut() -> None:
    assert listed({7: 3, 9: 1}) == "7 (3 pixels), 9 (1 pixels)"
    assert listed(dict.fromkeys(range(8), 1)).endswith("and 3 more")


def opened(name: str, root: Path) -> Dataset:
    made: Dataset = plugins.load(plugins.discover().find("dataset", name))(root)
    return made


def grey(path: Path, ids: list[int]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array([ids], np.uint8)).save(path)
    return path


def test_train_ids_in_files_called_label_ids(tmp_path: Path) -> None:
    path = grey(tmp_path / "a_gtFine_labelIds.png", [0, 13, 255, 255])
    with pytest.raises(
        DataError, match=r"not have: 255 \(2 pixels\)\. They look like train ids of Cityscapes"
    ) as told:
        opened("cityscapes", tmp_path).read_label(Sample("a", path, path))
    assert str(path) in str(told.value)


def test_a_newer_numbering(tmp_path: Path) -> None:
    path = grey(tmp_path / "a.png", [3, 123])
    (tmp_path / "training/v1.2/labels").mkdir(parents=True)
    with pytest.raises(DataError, match=r"123 \(1 pixels\)\. They look like ids of Mapillary Vistas 2\.0"):
        opened("mapillary", tmp_path).read_label(Sample("a", path, path))


def test_a_label_in_an_archive(tmp_path: Path) -> None:
    file = grey(tmp_path / "a.png", [0, 199])
    with zipfile.ZipFile(tmp_path / "gtFine.zip", "w") as packed:
        packed.write(file, "gtFine/val/x/a_gtFine_labelIds.png")
    path = tmp_path / "gtFine.zip" / "gtFine/val/x/a_gtFine_labelIds.png"
    with pytest.raises(
        DataError, match=r"gtFine\.zip/.* holds ids .* 199 \(1 pixels\)\. It may be of another dataset"
    ):
        opened("cityscapes", tmp_path).read_label(Sample("a", path, path))


DESCRIBED = """\
dataset: lesions
size: [64, 32]
classes: [background, lesion]
labels: {stated}
splits:
  val: {{images: images/*.png, labels: "masks/{{stem}}.png"}}
"""


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        (
            "{ids: {0: background, 1: lesion}}",
            r"ids that are not listed: 255 \(1 pixels\)\. List .* labels\.ids",
        ),
        (
            '{colours: {"#000000": background, "#ff0000": lesion}}',
            r"colours that are not listed: #ffffff \(1 pixels\)",
        ),
        ("{ids: {0: background, 255: lesion}}", ""),
        ("{ids: {0: background, 1: lesion}, ignore: [255]}", ""),
    ],
)
def test_masks_of_ones_own(stated: str, message: str, tmp_path: Path) -> None:
    """Binary masks hold 255 far more often than 1."""
    for kind in ("images", "masks"):
        grey(tmp_path / kind / "a.png", [0, 255])
    (tmp_path / "lesions.yaml").write_text(DESCRIBED.format(stated=stated))
    registry = plugins.discover([tmp_path / "lesions.yaml"])
    dataset = plugins.load(registry.find("dataset", "lesions"))(tmp_path)
    (sample,) = dataset.samples("val")
    if not message:
        assert dataset.read_label(sample).tolist() == [[0, 255]]
        return
    with pytest.raises(DataError, match=message):
        dataset.read_label(sample)
    assert yaml_plugins.kind(tmp_path / "lesions.yaml") == "dataset"

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from adaptbench.data import files
from adaptbench.data.pseudo_labels import TABLE, PseudoLabels, require_known
from adaptbench.errors import DataError

LABEL = np.arange(12, dtype=np.uint8).reshape(3, 4)


@pytest.fixture
def kept(tmp_path: Path) -> PseudoLabels:
    labels = PseudoLabels(tmp_path)
    labels.resume()
    labels.add("city-train/a", LABEL, {"certainty": 0.5})
    labels.add("city-train/b", LABEL.T, {})
    return labels


def test_labels_and_facts_are_read_back(kept: PseudoLabels) -> None:
    entries = kept.entries()
    assert list(entries) == ["city-train/a", "city-train/b"]
    assert entries["city-train/a"].facts == {"certainty": 0.5}
    assert np.array_equal(files.read_index_image(kept.file("city-train/b")), LABEL.T)
    kept.require(entries)


def test_a_line_that_was_cut_off_does_not_count(kept: PseudoLabels) -> None:
    whole = (kept.folder / TABLE).read_bytes()
    (kept.folder / TABLE).write_bytes(whole[:-5])
    assert list(kept.resume()) == ["city-train/a"]
    kept.add("city-train/b", LABEL.T, {})
    assert (kept.folder / TABLE).read_bytes() == whole


def test_missing_file_is_named(kept: PseudoLabels) -> None:
    kept.file("city-train/a").unlink()
    with pytest.raises(DataError, match=r"a\.png"):
        kept.require(["city-train/a"])


def test_another_size_is_named(kept: PseudoLabels) -> None:
    kept.file("city-train/a").write_bytes(kept.file("city-train/b").read_bytes())
    with pytest.raises(DataError, match=r"a\.png has 3x4 pixels, but it was made with 4x3"):
        kept.require(["city-train/a"])


def test_a_changed_label_is_named(kept: PseudoLabels) -> None:
    """Of the same size, and a whole PNG."""
    other = LABEL.copy()
    other[0, 0] = 7
    assert cv2.imwrite(str(kept.file("city-train/a")), other)
    kept.require(["city-train/b"])
    with pytest.raises(DataError, match=r"a\.png or its line in .* was changed .* Delete the folder"):
        kept.require(["city-train/a"])


@pytest.mark.parametrize(("right", "wrong"), [("0.5", "0.9"), ('"width": 4', '"width": 5'), ("{", "[")])
def test_a_changed_table_is_named(right: str, wrong: str, kept: PseudoLabels) -> None:
    table = kept.folder / TABLE
    table.write_text(table.read_text().replace(right, wrong, 1))
    with pytest.raises(DataError, match=r"Delete (its|the) folder .*to label all images again"):
        kept.require(["city-train/a"])


def test_tables_of_older_versions_have_no_digests(kept: PseudoLabels) -> None:
    table = kept.folder / TABLE
    lines = [json.loads(line) for line in table.read_text().splitlines()]
    table.write_text(
        "".join(json.dumps({k: v for k, v in one.items() if k != "digest"}) + "\n" for one in lines)
    )
    kept.require(["city-train/a", "city-train/b"])


def test_image_without_pseudo_label_is_named(kept: PseudoLabels) -> None:
    with pytest.raises(DataError, match="city-train/c"):
        kept.require(["city-train/c"])


def test_choice_of_unknown_images_or_none_is_refused() -> None:
    require_known("mine", ["a", "b"], ["a"], ["b"])
    with pytest.raises(DataError, match=r"mine chose 1 images .* for example z"):
        require_known("mine", ["a", "b"], ["a"], ["z"])
    with pytest.raises(DataError, match="chose none of 2"):
        require_known("mine", ["a", "b"], [], ["b"])

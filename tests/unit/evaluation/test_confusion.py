from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from adaptbench.contracts.benchmark import VoidRule
from adaptbench.errors import DataError, RunStateError
from adaptbench.evaluation import confusion
from adaptbench.evaluation.confusion import confusion_matrix, confusion_with_void
from adaptbench.records.confusion_files import PerImageConfusion

Ids = npt.NDArray[np.integer]
Bytes = npt.NDArray[np.uint8]


def naive(label: Bytes, prediction: Ids, num_classes: int) -> list[list[int]]:
    counts = [[0] * num_classes for _ in range(num_classes)]
    for truth, guess in zip(label.ravel().tolist(), prediction.ravel().tolist(), strict=True):
        if truth != 255:
            counts[truth][guess] += 1
    return counts


@st.composite
def maps(draw: st.DrawFn) -> tuple[Bytes, Ids, int]:
    classes = draw(st.integers(1, 25))
    shape = draw(arrays.array_shapes(min_dims=2, max_dims=2, max_side=12))
    label = draw(arrays.arrays(np.uint8, shape, elements=st.sampled_from([*range(classes), 255])))
    kind = draw(st.sampled_from([np.uint8, np.int64]))
    return label, draw(arrays.arrays(kind, shape, elements=st.integers(0, classes - 1))), classes


@given(maps())
def test_counts_are_those_of_a_loop_over_pixels(case: tuple[Bytes, Ids, int]) -> None:
    label, prediction, classes = case
    matrix = confusion_matrix(label, prediction, classes)
    assert matrix.dtype == np.int64
    assert matrix.tolist() == naive(label, prediction, classes)
    assert matrix.sum() == np.count_nonzero(label != 255)


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (128, 256), (333, 517)])
@pytest.mark.parametrize("classes", [2, 19, 255])
def test_sizes_and_class_counts(size: tuple[int, int], classes: int) -> None:
    rng = np.random.default_rng(classes)
    label = rng.integers(0, classes, size).astype(np.uint8)
    label[rng.random(size) < 0.1] = 255
    prediction = rng.integers(0, classes, size)
    expected = np.zeros((classes, classes), np.int64)
    np.add.at(expected, (label[label != 255], prediction[label != 255]), 1)
    np.testing.assert_array_equal(confusion_matrix(label, prediction, classes), expected)


def test_views_that_are_not_contiguous_count_the_same() -> None:
    rng = np.random.default_rng(0)
    label, prediction = rng.integers(0, 5, (2, 20, 30)).astype(np.uint8)
    crop = (slice(2, 18, 2), slice(29, 3, -1))
    expected = naive(label[crop], prediction[crop], 5)
    assert confusion_matrix(label[crop], prediction[crop], 5).tolist() == expected


def test_counts_beyond_float_precision_are_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    label = np.zeros((4097, 4099), np.uint8)  # 2**24 + 12,000 pixels or so, an odd number in one bin
    assert confusion_matrix(label, label, 19)[0, 0] == 4097 * 4099
    monkeypatch.setattr(confusion, "_EXACT", 7)  # many parts, the last one not full
    rng = np.random.default_rng(0)
    label, prediction = rng.integers(0, 3, (2, 5, 6)).astype(np.uint8)
    assert confusion_matrix(label, prediction, 3).tolist() == naive(label, prediction, 3)


def test_predictions_do_not_matter_where_the_label_is_ignored() -> None:
    label = np.array([[0, 255]], np.uint8)
    assert confusion_matrix(label, np.array([[0, 200]]), 2).tolist() == [[1, 0], [0, 0]]


@pytest.mark.parametrize("label_id", [19, 33, 254])
def test_a_label_that_is_no_train_id_is_an_error(label_id: int) -> None:
    label = np.array([[0, label_id]], np.uint8)
    with pytest.raises(DataError, match=rf"label map holds the ids \[{label_id}\]; expected 0 to 18, or 255"):
        confusion_matrix(label, np.zeros((1, 2), np.uint8), 19)


@pytest.mark.parametrize("guess", [19, 255])
def test_a_prediction_that_is_no_train_id_is_an_error(guess: int) -> None:
    with pytest.raises(DataError, match=rf"prediction holds the ids \[{guess}\]"):
        confusion_matrix(np.zeros((1, 1), np.uint8), np.full((1, 1), guess), 19)


@pytest.mark.parametrize("guess", [-1, 256, 2**40])
def test_a_prediction_that_fits_no_byte_does_not_wrap_around(guess: int) -> None:
    with pytest.raises(DataError, match="prediction map holds ids from"):
        confusion_matrix(np.zeros((1, 1), np.uint8), np.full((1, 1), guess), 19)


def test_shapes_must_agree() -> None:
    with pytest.raises(DataError, match=r"\(2, 3\) and \(3, 2\)"):
        confusion_matrix(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), 19)


def some(images: int = 3) -> PerImageConfusion:
    rng = np.random.default_rng(0)
    matrices = {f"city_{i:06d}": rng.integers(0, 2**31, (4, 4)) for i in range(images)}
    return PerImageConfusion.collect(matrices)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    kept = some()
    kept.save(tmp_path / "confusion" / "val.npz")
    loaded = PerImageConfusion.load(tmp_path / "confusion" / "val.npz")
    assert loaded.names == kept.names == ("city_000000", "city_000001", "city_000002")
    assert loaded.matrices.dtype == np.uint32
    np.testing.assert_array_equal(loaded.matrices, kept.matrices)
    assert [path.name for path in (tmp_path / "confusion").iterdir()] == ["val.npz"]


def test_tags_are_kept_and_may_be_missing(tmp_path: Path) -> None:
    tags = ({"condition": "fog"}, {"condition": "rain", "sequence": "ä1"}, {})
    PerImageConfusion(some().names, some().matrices, tags).save(tmp_path / "val.npz")
    assert PerImageConfusion.load(tmp_path / "val.npz").tags == tags
    np.savez(tmp_path / "older.npz", names=np.array(some().names), matrices=some().matrices)
    assert PerImageConfusion.load(tmp_path / "older.npz").tags == ()
    with pytest.raises(DataError, match="tags for 3 images or none, got 2"):
        PerImageConfusion(some().names, some().matrices, tags[:2])


def test_what_is_predicted_on_void_is_kept_beside(tmp_path: Path) -> None:
    kept = replace(some(), void=np.arange(3 * len(some().matrices[0]), dtype=np.uint32).reshape(3, -1))
    kept.save(tmp_path / "val.npz")
    loaded = PerImageConfusion.load(tmp_path / "val.npz")
    np.testing.assert_array_equal(loaded.void, kept.void)
    np.testing.assert_array_equal(loaded.first(2).void, kept.void[:2])
    np.testing.assert_array_equal(loaded.total_with_void()[:-1, :-1], kept.total())
    np.testing.assert_array_equal(loaded.total_with_void()[-1], [*kept.void.sum(axis=0), 0])
    with pytest.raises(DataError, match="void pixels of shape"):
        replace(kept, void=kept.void[:2])


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    some().save(tmp_path / "one.npz")
    some().save(tmp_path / "two.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_the_total_does_not_overflow() -> None:
    full = np.full((1, 1), 2**32 - 1)
    total = PerImageConfusion.collect({"a": full, "b": full}).total()
    assert total.dtype == np.int64
    assert total.tolist() == [[2**33 - 2]]


def test_matrices_of_different_size_or_none_are_refused() -> None:
    for matrices in ({}, {"a": np.zeros((2, 2), np.int64), "b": np.zeros((3, 3), np.int64)}):
        with pytest.raises(DataError, match="all of one shape"):
            PerImageConfusion.collect(matrices)
    with pytest.raises(DataError, match="square matrix"):
        PerImageConfusion(("a",), np.zeros((2, 3, 3), np.uint32))


@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "text", "other arrays", "pickle"])
def test_a_damaged_file_is_named(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "val.npz"
    some(20).save(path)
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "other arrays":
        np.savez(path, weights=np.zeros(3))
    elif damage == "pickle":
        np.savez(path, names=np.array(["a"], object), matrices=np.zeros((1, 2, 2), np.uint32))
    else:
        path.write_bytes({"empty": b"", "truncated": whole[:-100], "text": b"hello"}[damage])
    with pytest.raises(RunStateError, match=r"val\.npz is no file of confusion matrices"):
        PerImageConfusion.load(path)


@given(maps(), st.sampled_from(["drop", "count"]), st.integers(0, 2**16))
def test_void_is_one_more_row_and_column(case: tuple[Bytes, Ids, int], ignore: VoidRule, seed: int) -> None:
    label, prediction, classes = case
    void = np.random.default_rng(seed).random(label.shape) < 0.3
    prediction = np.where(void, 255, prediction)
    counts = [[0] * (classes + 1) for _ in range(classes + 1)]
    for truth, guess in zip(label.ravel().tolist(), prediction.ravel().tolist(), strict=True):
        if truth != 255 or ignore == "count":
            counts[min(truth, classes)][min(guess, classes)] += 1
    assert confusion_with_void(label, prediction, classes, ignore).tolist() == counts


@pytest.mark.parametrize("ignore", ["drop", "count"])
def test_void_is_255_and_nothing_else(ignore: VoidRule) -> None:
    with pytest.raises(DataError, match=r"prediction holds the ids \[11\]"):
        confusion_with_void(np.zeros((1, 2), np.uint8), np.array([[0, 11]]), 11, ignore)
    with pytest.raises(DataError, match=r"label map holds the ids \[11\]"):
        confusion_with_void(np.full((1, 1), 11, np.uint8), np.zeros((1, 1), np.uint8), 11, ignore)

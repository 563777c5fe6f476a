"""A changed byte of a generated image or label stops whatever reads it, and says how it is made anew."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from adaptbench.data import minicity
from adaptbench.data.files import read_image, read_index_image
from adaptbench.errors import DataError

SPEC, COUNTS = minicity.WorldSpec(scale=0.05), {"val": 2}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return minicity.ensure(SPEC, "bdd100k", COUNTS, cache=tmp_path_factory.mktemp("cache"), workers=1)


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "minicity" / made.name))


def images(root: Path) -> list[Path]:
    return sorted(root.rglob("*.jpg"))


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_what_was_generated_is_read(root: Path) -> None:
    for image, label in zip(images(root), sorted(root.rglob("*.png")), strict=True):
        assert read_image(image).shape[:2] == read_index_image(label).shape


def test_a_changed_byte_of_a_jpeg_and_another_whole_image(root: Path) -> None:
    first, second = images(root)
    flip(first, -30)  # in the pixels, where JPEG has no checksum
    anew = rf"is not what was generated\. Delete the folder {root} and run again: it is generated anew\."
    with pytest.raises(DataError, match=rf"{first} {anew}"):
        read_image(first)
    shutil.copy(root / first.relative_to(root), second)
    with pytest.raises(DataError, match=rf"{second} {anew}"):
        read_image(second)


def test_a_missing_and_a_planted_file(root: Path) -> None:
    first, second = images(root)
    planted = first.with_name("0.jpg")
    first.rename(planted)
    for path in (first, planted):
        with pytest.raises(DataError, match=rf"Delete the folder {root} and run again"):
            read_image(path)
    assert read_image(second).shape


def test_the_list_itself_is_sealed(root: Path) -> None:
    marker = root / "spec.json"
    marker.write_text(marker.read_text().replace('.jpg": "', '.jpg": "0', 1))
    with pytest.raises(
        DataError, match=rf"{marker} was changed after it had been written\. Delete the folder {root}"
    ):
        read_image(images(root)[0])


def test_deleted_it_is_generated_with_the_same_bytes(root: Path) -> None:
    before = {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    shutil.rmtree(root)
    assert minicity.ensure(SPEC, "bdd100k", COUNTS, cache=root.parents[1], workers=1) == root
    assert {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


def test_folders_of_older_versions_are_taken_as_they_are(root: Path) -> None:
    (root / "spec.json").write_text('{"counts": {"val": 2}, "world": {"scale": 0.05}}')
    flip(images(root)[0], -30)
    assert read_image(images(root)[0]).shape

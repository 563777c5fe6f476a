"""A layout in which nothing is found says what was tried, and the likely cause."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from adaptbench.cli import main
from adaptbench.contracts import plugins
from adaptbench.contracts.dataset import Dataset
from adaptbench.data.layout import beside, cause_of_no_image
from adaptbench.errors import DataError
from adaptbench.flags import EXIT_UNFINISHED
from adaptbench.planning.sources import require_labels

CITY = "leftImg8bit/val/ulm/ulm_0_leftImg8bit.png"


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 4)).save(path)
    return path


def opened(name: str, root: Path) -> Dataset:
    made: Dataset = plugins.load(plugins.discover().find("dataset", name))(root)
    return made


@pytest.mark.parametrize(
    ("file", "named", "meant"),
    [(f"cityscapes/{CITY}", "", "cityscapes"), (CITY, "leftImg8bit", ""), (CITY, "leftImg8bit/val", "")],
)
def test_a_folder_too_deep_or_not_deep_enough(file: str, named: str, meant: str, tmp_path: Path) -> None:
    put(tmp_path / file)
    with pytest.raises(DataError) as told:
        opened("cityscapes", tmp_path / named).samples("val")
    expected = f"{tmp_path / meant} has such files: name that folder instead."
    assert expected in str(told.value)
    assert "no image matches leftImg8bit/val/*/*_leftImg8bit.png under" in str(told.value)


def test_other_images_of_the_same_project(tmp_path: Path) -> None:
    put(tmp_path / "images/100k/val/a.jpg")
    with pytest.raises(DataError, match="holds the 100k images, which have no semantic labels"):
        opened("bdd100k", tmp_path).samples("val")


def test_other_suffixes(tmp_path: Path) -> None:
    put(tmp_path / "images/a.jpg").rename(tmp_path / "images/a.JPG")
    expected = f"Files there end in .JPG and not in .jpg, for example {tmp_path / 'images/a.JPG'}."
    assert cause_of_no_image(tmp_path, "images", "*.jpg") == expected


def test_what_is_there_instead(tmp_path: Path) -> None:
    assert cause_of_no_image(tmp_path, "a/b", "*") == f"{tmp_path / 'a'} does not exist; {tmp_path} is empty."
    for name in "vwxyz":
        put(tmp_path / "a" / f"{name}.png")
    assert cause_of_no_image(tmp_path, "a", "*_left.png").endswith("holds v.png, w.png, x.png and 2 more.")


@pytest.mark.parametrize("name", ["cityscapes", "bdd100k", "gta5", "mapillary"])
def test_words_and_exit_code_agree(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "verify", name, "--data-path", f"{name}={tmp_path}"]) == EXIT_UNFINISHED
    said = " ".join(capsys.readouterr().out.split())
    assert f"{name}: nothing found" in said and "no defects" not in said and "no image matches" in said


@pytest.fixture
def half_converted(tmp_path: Path) -> Path:
    for number in range(2):
        put(tmp_path / f"leftImg8bit/val/ulm/ulm_{number}_leftImg8bit.png")
        kind = ("labelIds", "labelTrainIds")[number]
        put(tmp_path / f"gtFine/val/ulm/ulm_{number}_gtFine_{kind}.png")
    return tmp_path


def test_the_output_of_a_converter_beside_a_missing_label(half_converted: Path) -> None:
    dataset = opened("cityscapes", half_converted)
    with pytest.raises(DataError, match=r"1 of 2 images .*Beside it lies ulm_1_gtFine_labelTrainIds"):
        require_labels(dataset, "val", dataset.samples("val"))


def test_data_verify_says_it_too(
    half_converted: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    asked = ["data", "verify", "cityscapes", "--data-path", f"cityscapes={half_converted}", "--jobs", "1"]
    assert main(asked) == EXIT_UNFINISHED
    assert "Beside it lies ulm_1_gtFine_labelTrainIds.png" in capsys.readouterr().out


def test_nothing_is_guessed_where_nothing_is(tmp_path: Path) -> None:
    assert beside(tmp_path / "gone" / "a_b.png") == ""
    assert beside(put(tmp_path / "x" / "other.png").with_name("a_b.png")) == ""

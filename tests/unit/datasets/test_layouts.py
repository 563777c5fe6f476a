"""Readers return exactly the recorded samples of an official folder, in order, and open no label file."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from adaptbench.contracts.dataset import Dataset
from adaptbench.errors import DataError, UsageError

Layouts = dict[str, dict[str, Any]]
Reader = Callable[[str], type[Dataset]]
Build = Callable[[Path, dict[str, Any]], Path]
Pairs = Callable[[Dataset, str], list[tuple[str, str]]]

CASE_OF = {
    "gta5": "gta5",
    "synthia": "synthia",
    "cityscapes": "cityscapes",
    "acdc": "acdc",
    "dark_zurich": "dark_zurich",
    "bdd100k": "bdd100k",
    "mapillary": "mapillary_v1.2",
    "mapillary_rein": "mapillary_v1.2",
    "mapillary_v2": "mapillary_v2.0",
    "synscapes": "synscapes",
    "camvid": "camvid_segnet",
}


@pytest.mark.parametrize("name", CASE_OF)
def test_samples_are_the_recorded_ones(
    name: str, dataset_class: Reader, layouts: Layouts, tmp_path: Path, build: Build, pairs: Pairs
) -> None:
    case = layouts[CASE_OF[name]]
    dataset = dataset_class(name)(build(tmp_path, case))
    for split, expected in case["expected"].items():
        found = pairs(dataset, split)
        assert [image for image, _ in found] == sorted(sample["image"] for sample in expected)
        if dataset.splits[split].labelled:
            labels = {sample["label"] for sample in expected if sample["label"] is not None}
            assert labels <= {label for _, label in found}


@pytest.mark.parametrize("name", CASE_OF)
def test_names_are_unique_and_every_pair_can_be_read(
    name: str, dataset_class: Reader, layouts: Layouts, tmp_path: Path, build: Build
) -> None:
    dataset = dataset_class(name)(build(tmp_path, layouts[CASE_OF[name]]))
    for split in layouts[CASE_OF[name]]["expected"]:
        samples = dataset.samples(split)
        assert len({sample.name for sample in samples}) == len(samples)
        for sample in samples:
            assert dataset.read_image(sample).shape == (4, 8, 3)
            if dataset.splits[split].labelled and sample.name not in dataset.broken:
                assert dataset.read_label(sample).tolist() == [[7] * 8] * 4


@pytest.mark.parametrize("name", CASE_OF)
def test_images_are_listed_without_their_labels(
    name: str, dataset_class: Reader, layouts: Layouts, tmp_path: Path, build: Build, pairs: Pairs
) -> None:
    case = layouts[CASE_OF[name]]
    reader = dataset_class(name)
    before = {split: pairs(reader(build(tmp_path, case)), split) for split in case["expected"]}
    for folder in reader.label_folders:
        shutil.rmtree(tmp_path / folder, ignore_errors=True)
    assert {split: pairs(reader(tmp_path), split) for split in case["expected"]} == before


class Watch:
    """Notes what is opened while it is on; an audit hook cannot be removed, so there is one for all tests."""

    def __init__(self) -> None:
        self.on = False
        self.opened: list[str] = []
        sys.addaudithook(self._note)

    def _note(self, event: str, args: tuple[object, ...]) -> None:
        if self.on and event == "open":
            self.opened.append(str(args[0]))


@pytest.fixture(scope="module")
def watch() -> Watch:
    return Watch()


@pytest.mark.parametrize("name", CASE_OF)
def test_listing_opens_no_file_and_reading_goes_through_open(
    name: str, dataset_class: Reader, layouts: Layouts, tmp_path: Path, build: Build, watch: Watch
) -> None:
    case = layouts[CASE_OF[name]]
    reader = dataset_class(name)
    build(tmp_path, case)
    watch.opened.clear()
    watch.on = True
    try:
        dataset = reader(tmp_path)
        samples = [
            sample
            for split in sorted(case["expected"], key=lambda split: not dataset.splits[split].labelled)
            for sample in dataset.samples(split)
        ]
        assert not [path for path in watch.opened if Path(path).is_relative_to(tmp_path)]
        dataset.read_image(samples[0])
        dataset.read_label(samples[0])
    finally:
        watch.on = False
    assert {str(samples[0].image), str(samples[0].label)} <= set(watch.opened)


@pytest.mark.parametrize("name", CASE_OF)
def test_label_folders_hold_every_label(
    name: str, dataset_class: Reader, layouts: Layouts, tmp_path: Path, build: Build, pairs: Pairs
) -> None:
    dataset = dataset_class(name)(build(tmp_path, layouts[CASE_OF[name]]))
    for split in layouts[CASE_OF[name]]["expected"]:
        for image, label in pairs(dataset, split):
            assert label.startswith(tuple(f"{folder}/" for folder in dataset.label_folders))
            assert not image.startswith(tuple(f"{folder}/" for folder in dataset.label_folders))


@pytest.mark.parametrize("name", CASE_OF)
def test_a_wrong_root_an_empty_root_and_an_unknown_split(
    name: str, dataset_class: Reader, tmp_path: Path
) -> None:
    reader = dataset_class(name)
    with pytest.raises(DataError, match="is not a folder"):
        reader(tmp_path / "nowhere")
    split = next(iter(reader.splits))
    with pytest.raises(DataError, match=f"no image matches.*{reader.homepage}"):
        reader(tmp_path).samples(split)
    with pytest.raises(UsageError, match=f"Did you mean '{split}'"):
        reader(tmp_path).samples(f"{split}x")


@pytest.mark.parametrize("name", CASE_OF)
def test_hidden_files_are_no_images(
    name: str, dataset_class: Reader, layouts: Layouts, tmp_path: Path, build: Build, pairs: Pairs
) -> None:
    case = layouts[CASE_OF[name]]
    reader = dataset_class(name)
    dataset = reader(build(tmp_path, case))
    split = next(iter(case["expected"]))
    before = pairs(dataset, split)
    image = dataset.samples(split)[0].image
    image.with_name(f"._{image.name}").write_bytes(b"made by macOS")
    assert pairs(dataset, split) == before


def test_gta5_lists_the_known_broken_pairs_and_usable_leaves_them_out(
    dataset_class: Reader, layouts: Layouts, tmp_path: Path, build: Build
) -> None:
    dataset = dataset_class("gta5")(build(tmp_path, layouts["gta5"]))
    flagged = layouts["gta5"]["must_be_flagged"]["size_mismatch"]
    assert len(dataset.broken) == 62
    assert {f"{number:05d}" for number in flagged} <= set(dataset.broken)
    usable = [sample.name for sample in dataset.usable("all")]
    assert usable == ["00001", "00002", "00011", "00022", "15617", "24966"]


def test_gta5_heldout_is_a_tree_of_its_own(
    dataset_class: Reader, layouts: Layouts, tmp_path: Path, build: Build, pairs: Pairs
) -> None:
    build(tmp_path, layouts["gta5"])
    for folder in ("images", "labels"):
        (tmp_path / "heldout" / folder).mkdir(parents=True)
        shutil.copy(tmp_path / folder / "00002.png", tmp_path / "heldout" / folder / "00002.png")
    dataset = dataset_class("gta5")(tmp_path)
    assert pairs(dataset, "heldout") == [("heldout/images/00002.png", "heldout/labels/00002.png")]
    assert len(dataset.samples("all")) == 9


def test_cityscapes_tags_its_cities(
    dataset_class: Reader, layouts: Layouts, tmp_path: Path, build: Build
) -> None:
    dataset = dataset_class("cityscapes")(build(tmp_path, layouts["cityscapes"]))
    for split, expected in layouts["cityscapes"]["expected"].items():
        assert [dict(s.tags) for s in dataset.samples(split)] == [
            {"city": sample["city"]} for sample in expected
        ]
    assert dataset.samples("val")[0].name == "frankfurt_000000_000294"


def test_cityscapes_label_ids_win_over_converter_output(
    dataset_class: Reader, layouts: Layouts, tmp_path: Path, build: Build
) -> None:
    dataset = dataset_class("cityscapes")(build(tmp_path, layouts["cityscapes"]))
    assert dataset.id_space == "cityscapes"
    assert all(s.label.name.endswith("_labelIds.png") for s in dataset.samples("train"))


def test_cityscapes_reads_a_folder_of_train_ids(
    dataset_class: Reader, layouts: Layouts, tmp_path: Path, build: Build
) -> None:
    reader = dataset_class("cityscapes")
    build(tmp_path, layouts["cityscapes"])
    for split in ("train", "val"):  # the void ids of test stay, as in a half converted copy
        for path in (tmp_path / "gtFine" / split).rglob("*_labelIds.png"):
            path.unlink()
    dataset = reader(tmp_path)
    assert dataset.id_space == "cityscapes_train"
    assert reader.id_space == "cityscapes"
    sample = dataset.samples("train")[0]
    assert sample.label.name == "aachen_000000_000019_gtFine_labelTrainIds.png"
    assert dataset.read_label(sample).shape == (4, 8)


def test_cityscapes_of_a_sealed_folder_is_the_official_one(
    dataset_class: Reader, layouts: Layouts, tmp_path: Path, build: Build
) -> None:
    build(tmp_path, layouts["cityscapes"])
    shutil.rmtree(tmp_path / "gtFine")
    assert dataset_class("cityscapes")(tmp_path).id_space == "cityscapes"


def test_synthia_without_its_upper_folder(
    dataset_class: Reader, layouts: Layouts, tmp_path: Path, build: Build, pairs: Pairs
) -> None:
    build(tmp_path, layouts["synthia"])
    for part in ("RGB", "GT"):
        (tmp_path / "RAND_CITYSCAPES" / part).rename(tmp_path / part)
    first = pairs(dataset_class("synthia")(tmp_path), "all")[0]
    assert first == ("RGB/0000000.png", "GT/LABELS/0000000.png")


def test_bdd100k_in_its_older_layout(dataset_class: Reader, tmp_path: Path, pairs: Pairs) -> None:
    (tmp_path / "seg/images/val").mkdir(parents=True)
    (tmp_path / "seg/images/val/a-b.jpg").write_bytes(b"anything")
    assert pairs(dataset_class("bdd100k")(tmp_path), "val") == [
        ("seg/images/val/a-b.jpg", "seg/labels/val/a-b_train_id.png")
    ]


def test_bdd100k_leaves_out_images_that_have_no_label(
    dataset_class: Reader, layouts: Layouts, tmp_path: Path, build: Build
) -> None:
    dataset = dataset_class("bdd100k")(build(tmp_path, layouts["bdd100k"]))
    assert [sample.name for sample in dataset.usable("train")] == ["0000f77c-6257be58"]
    assert len(dataset.samples("train")) == 2


def test_mapillary_reads_labels_of_its_version_from_the_later_archive(
    dataset_class: Reader, layouts: Layouts, tmp_path: Path, build: Build, pairs: Pairs
) -> None:
    build(tmp_path, layouts["mapillary_v2.0"])
    for name, version in (("mapillary", "v1.2"), ("mapillary_rein", "v1.2"), ("mapillary_v2", "v2.0")):
        ((_, label),) = pairs(dataset_class(name)(tmp_path), "validation")
        assert label.startswith(f"validation/{version}/labels/")


def test_crosscity_reads_jpg_and_png(
    dataset_class: Reader, layouts: Layouts, tmp_path: Path, build: Build, pairs: Pairs
) -> None:
    case = layouts["nthu"]
    dataset = dataset_class("crosscity")(build(tmp_path, case))
    for city, parts in case["expected"].items():
        (test,) = parts["test"]
        assert pairs(dataset, f"{city.lower()}_test") == [(test["image"], test["label"])]
        assert [image for image, _ in pairs(dataset, f"{city.lower()}_train")] == [
            sample["image"] for sample in parts["train"]
        ]
    with pytest.raises(DataError, match="Rome/Images/Test"):
        dataset.samples("rome_test")


def test_acdc_tags_its_conditions(
    dataset_class: Reader, layouts: Layouts, tmp_path: Path, build: Build
) -> None:
    dataset = dataset_class("acdc")(build(tmp_path, layouts["acdc"]))
    for split in ("train", "val", "test"):
        assert [s.tags["condition"] for s in dataset.samples(split)] == ["fog", "night", "rain", "snow"]


def test_camvid_tags_its_sequences(
    dataset_class: Reader, layouts: Layouts, tmp_path: Path, build: Build
) -> None:
    dataset = dataset_class("camvid")(build(tmp_path, layouts["camvid_segnet"]))
    tags = [
        sample.tags["sequence"] for split in ("train", "val", "test") for sample in dataset.samples(split)
    ]
    assert tags == ["0001TP", "0006R0", "0016E5", "0001TP", "Seq05VD"]


#: Two frames of every sequence that a folder of the release has.
CAMVID_FRAMES = {
    "train": (
        "0001TP_006690",
        "0001TP_008520",
        "0006R0_f00930",
        "0006R0_f03930",
        "0016E5_00390",
        "0016E5_08640",
    ),
    "val": ("0016E5_07959", "0016E5_08159"),
    "test": ("0001TP_008550", "0001TP_010380", "Seq05VD_f00000", "Seq05VD_f05100"),
}


@pytest.fixture
def small_camvid(tmp_path: Path) -> Path:
    """A few frames of every sequence under their names, in their folders and at their size."""
    for folder, names in CAMVID_FRAMES.items():
        for place, mode in ((folder, "RGB"), (f"{folder}annot", "L")):
            (tmp_path / place).mkdir()
            for name in names:
                Image.new(mode, (480, 360)).save(tmp_path / place / f"{name}.png")
    return tmp_path


def test_camvid_is_cut_by_time_of_day(dataset_class: Reader, small_camvid: Path, pairs: Pairs) -> None:
    dataset = dataset_class("camvid")(small_camvid)
    found = {split: pairs(dataset, split) for split in ("day", "dusk", "test_dusk", "test_day")}
    train, val, test = (CAMVID_FRAMES[folder] for folder in ("train", "val", "test"))
    expected = {
        "day": [*(("train", name) for name in train[2:]), *(("val", name) for name in val)],
        "dusk": [("train", name) for name in train[:2]],
        "test_dusk": [("test", name) for name in test[:2]],
        "test_day": [("test", name) for name in test[2:]],
    }
    assert found == {
        split: [(f"{folder}/{name}.png", f"{folder}annot/{name}.png") for folder, name in frames]
        for split, frames in expected.items()
    }


def test_no_image_of_camvid_is_cut_twice_or_left_out(
    dataset_class: Reader, small_camvid: Path, pairs: Pairs
) -> None:
    dataset = dataset_class("camvid")(small_camvid)
    released, cut = (
        [pair for split in splits for pair in pairs(dataset, split)]
        for splits in (("train", "val", "test"), ("day", "dusk", "test_dusk", "test_day"))
    )
    assert sorted(cut) == sorted(released)


def test_a_sequence_of_camvid_that_is_missing_is_named(dataset_class: Reader, small_camvid: Path) -> None:
    for image in (small_camvid / "test").glob("Seq05VD_*"):
        image.unlink()
    with pytest.raises(DataError, match=r"no image matches test/Seq05VD_\*\.png"):
        dataset_class("camvid")(small_camvid).samples("test_day")


def test_counts_of_the_real_camvid(dataset_class: Reader, real_camvid: Path) -> None:
    dataset = dataset_class("camvid")(real_camvid)
    for split in ("train", "val", "day", "dusk", "test_dusk"):
        assert len(dataset.samples(split)) == dataset.splits[split].count


def test_camvid_real_photographs(dataset_class: Reader, real_camvid: Path) -> None:
    dataset = dataset_class("camvid")(real_camvid)
    samples = dataset.samples("val")
    assert len(samples) == dataset.splits["val"].count
    for sample in samples[::25]:
        image, label = dataset.read_image(sample), dataset.read_label(sample)
        assert image.shape == (360, 480, 3)
        assert label.shape == (360, 480)
        assert label.max() <= 11
        with Image.open(sample.image) as frame:
            assert (image == frame.convert("RGB")).all()


def flat(root: Path) -> list[str]:
    """ACDC as it is flattened for the code of DAFormer; returns the stems."""
    stems = ["GOPR0475_frame_000041", "GP010376_frame_000011"]
    for folder, suffix in (("rgb_anon/train", "_rgb_anon.png"), ("gt/train", "_gt_labelTrainIds.png")):
        (root / folder).mkdir(parents=True)
        for stem in stems:
            Image.new("L", (8, 4)).save(root / folder / f"{stem}{suffix}")
    return stems


def test_a_flattened_copy_of_acdc(dataset_class: Reader, tmp_path: Path) -> None:
    stems = flat(tmp_path)
    samples = dataset_class("acdc")(tmp_path).samples("train")
    assert [sample.name for sample in samples] == stems
    assert [sample.tags for sample in samples] == [{"sequence": "GOPR0475"}, {"sequence": "GP010376"}]
    assert all(sample.label.is_file() for sample in samples)
    with pytest.raises(DataError, match=r"no image matches rgb_anon/\*/val/\*/\*_rgb_anon\.png"):
        dataset_class("acdc")(tmp_path).samples("val")


def test_the_official_tree_of_acdc_comes_first(dataset_class: Reader, tmp_path: Path) -> None:
    flat(tmp_path)
    image = tmp_path / "rgb_anon/fog/train/GOPR0475/GOPR0475_frame_000041_rgb_anon.png"
    image.parent.mkdir(parents=True)
    Image.new("RGB", (8, 4)).save(image)
    (sample,) = dataset_class("acdc")(tmp_path).samples("train")
    assert (sample.image, sample.tags["condition"]) == (image, "fog")

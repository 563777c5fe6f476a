"""Formats, file layouts and submissions of other data sets, files and images."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from .making import Array, MadeFolder, Rng, image_file, maker, side
from .official_evaluation import SCORED
from .recorded_facts import facts


@maker("formats")
def formats(rng: Rng) -> MadeFolder:
    """Some of the data sets, with some of the rows of their tables, in another order."""
    known = copy.deepcopy(facts("formats/formats.json")["datasets"])
    chosen = rng.permutation(sorted(known))[: side(rng, 2, len(known) - 1)]
    for name in chosen:
        for key in ("labels", "classes", "label_ids_of_other_tasks"):
            if rows := known[name].get(key):
                order = rng.permutation(len(rows))[: side(rng, 1, len(rows))]
                known[name][key] = [rows[i] for i in order]
    content = {"datasets": {name: known[name] for name in chosen}}
    subsets = facts("formats/class_subsets.json")
    return MadeFolder({"formats.json": content, "class_subsets.json": subsets})


class _Place(NamedTuple):
    """Where a sample of a split lies, what lies beside it, and what its path says; names are filled in later."""

    split: str
    image: str
    label: str | None
    beside: tuple[str, ...] = ()
    says: tuple[str, ...] = ()


_CITYSCAPES = "{split}/{city}/{city}_{s:06d}_{n:06d}"
_FRAME = "{sequence}/{sequence}_frame_{n:06d}"
_ACDC = "{condition}/{split}/" + _FRAME

_LAYOUTS: Mapping[str, Sequence[_Place]] = {
    "gta5": [
        _Place("all", "images/{n:05d}.png", "labels/{n:05d}.png", ("labels/{n:05d}_labelTrainIds.png",)),
    ],
    "synthia": [
        _Place(
            "all",
            "RAND_CITYSCAPES/RGB/{n:07d}.png",
            "RAND_CITYSCAPES/GT/LABELS/{n:07d}.png",
            (
                "RAND_CITYSCAPES/GT/COLOR/{n:07d}.png",
                "RAND_CITYSCAPES/GT/LABELS/{n:07d}_labelTrainIds.png",
                "RAND_CITYSCAPES/README.txt",
            ),
        ),
    ],
    "cityscapes": [
        _Place(
            split,
            f"leftImg8bit/{_CITYSCAPES}_leftImg8bit.png",
            None if split == "test" else f"gtFine/{_CITYSCAPES}_gtFine_labelIds.png",
            (f"gtFine/{_CITYSCAPES}_gtFine_color.png", "leftImg8bit/{split}/.DS_Store"),
            ("city",),
        )
        for split in ("train", "val", "test")
    ],
    "acdc": [
        _Place(
            split,
            f"rgb_anon/{_ACDC}_rgb_anon.png",
            None if split == "test" else f"gt/{_ACDC}_gt_labelTrainIds.png",
            (
                "rgb_anon/{condition}/{split}_ref/" + _FRAME + "_rgb_ref_anon.png",
                f"gt/{_ACDC}_gt_labelIds.png",
            ),
            ("condition", "sequence"),
        )
        for split in ("train", "val", "test")
    ],
    "dark_zurich": [
        *(
            _Place(
                f"train_{time}", f"rgb_anon/train/{time}/{_FRAME}_rgb_anon.png", None, says=("time_of_day",)
            )
            for time in ("day", "twilight", "night")
        ),
        _Place(
            "val",
            f"rgb_anon/val/night/{_FRAME}_rgb_anon.png",
            f"gt/val/night/{_FRAME}_gt_labelTrainIds.png",
            ("rgb_anon/val_ref/day/{sequence}_ref/{sequence}_frame_{n:06d}_ref_rgb_anon.png",),
            ("time_of_day",),
        ),
    ],
    "bdd100k": [
        _Place(
            split,
            "images/10k/{split}/{s:08x}-{n:08x}.jpg",
            None if split == "test" else "labels/sem_seg/masks/{split}/{s:08x}-{n:08x}.png",
            ("labels/sem_seg/colormaps/{split}/{s:08x}-{n:08x}.png",),
        )
        for split in ("train", "val", "test")
    ],
    "mapillary_v1.2": [
        _Place(
            split,
            "{split}/images/x{s}-_{n}Q.jpg",
            None if split == "testing" else "{split}/labels/x{s}-_{n}Q.png",
            ("{split}/instances/x{s}-_{n}Q.png",),
        )
        for split in ("training", "validation", "testing")
    ],
    "mapillary_v2.0": [
        _Place(
            split,
            "{split}/images/x{s}-_{n}Q.jpg",
            None if split == "testing" else "{split}/v2.0/labels/x{s}-_{n}Q.png",
            ("{split}/v1.2/labels/x{s}-_{n}Q.png",),
        )
        for split in ("training", "validation", "testing")
    ],
    "synscapes": [
        _Place("all", "img/rgb/{n}.png", "img/class/{n}.png", ("img/rgb-2k/{n}.png", "img/depth/{n}.exr")),
    ],
    "camvid_segnet": [
        _Place(split, "{split}/{camera}_{n:05d}.png", "{split}annot/{camera}_{n:05d}.png", ("{split}.txt",))
        for split in ("train", "val", "test")
    ],
}
_CITIES = ("Rio", "Rome", "Taipei", "Tokyo")


def _names(rng: Rng, place: _Place) -> dict[str, Any]:
    return {
        "split": place.split,
        "city": ("aachen", "ulm", "zurich", "bonn")[side(rng, 0, 3)],
        "condition": ("fog", "night", "rain", "snow")[side(rng, 0, 3)],
        "sequence": f"GOPR{side(rng, 100, 999):04d}",
        "time_of_day": place.split.removeprefix("train_") if "_" in place.split else "night",
        "camera": ("0001TP", "Seq05VD", "0016E5")[side(rng, 0, 2)],
        "s": side(rng, 0, 99_999),
        "n": side(rng, 1, 24_000),
    }


def _tree(rng: Rng, places: Sequence[_Place]) -> tuple[set[str], dict[str, list[dict[str, Any]]]]:
    """Files, and the samples that a reader has to find."""
    files: set[str] = set()
    expected: dict[str, list[dict[str, Any]]] = {}
    for place in places:
        samples: dict[str, dict[str, Any]] = {}
        for _ in range(side(rng, 1, 3)):
            names = _names(rng, place)
            image, label = place.image.format(**names), place.label and place.label.format(**names)
            says = {key: names[key] for key in place.says}
            samples[image] = {"image": image, "label": label, **says}
            files |= {image, *(path.format(**names) for path in place.beside), *([label] if label else [])}
        expected[place.split] = [samples[image] for image in sorted(samples)]
    return files, expected


def _across_cities(rng: Rng) -> tuple[set[str], dict[str, dict[str, list[dict[str, Any]]]]]:
    """The tree of NTHU, whose splits are in folders of cities."""
    files: set[str] = set()
    expected = {}
    for city in rng.permutation(_CITIES)[: side(rng, 1, 4)]:
        end = ("jpg", "png")[side(rng, 0, 1)]
        stem = f"pano_{side(rng, 0, 999):05d}_{side(rng, 0, 9)}_180"
        train, test = (f"{city}/Images/{part}/{stem}.{end}" for part in ("Train", "Test"))
        label = f"{city}/Labels/Test/{stem}_eval.png"
        files |= {train, test, label, f"{city}/List/test.txt"}
        samples = {"train": {"image": train, "label": None}, "test": {"image": test, "label": label}}
        expected[str(city)] = {part: [sample] for part, sample in samples.items()}
    return files, expected


def _incomplete(rng: Rng, files: set[str], expected: dict[str, list[dict[str, Any]]]) -> dict[str, list[str]]:
    """Takes the label of one image away, and adds one without image."""
    sample = expected["val"][0]
    files.discard(sample["label"])
    sample["label"] = None
    alone = f"labels/sem_seg/masks/train/{side(rng, 0, 999):08x}-deadbeef.png"
    files.add(alone)
    stem = PurePosixPath(sample["image"]).stem
    return {"images_without_label": [f"val/{stem}"], "labels_without_image": [alone]}


@maker("layouts")
def layouts(rng: Rng) -> MadeFolder:
    """Other files of some of the data sets."""
    datasets: dict[str, Any] = {}
    for name in rng.permutation(sorted([*_LAYOUTS, "nthu"]))[: side(rng, 4, 11)]:
        files, expected = _across_cities(rng) if name == "nthu" else _tree(rng, _LAYOUTS[name])
        flagged: dict[str, Any] = {}
        if name == "bdd100k":
            flagged = _incomplete(rng, files, expected)
        elif name == "gta5":
            flagged = {"size_mismatch": [side(rng, 20_801, 20_860)], "blank_image": [15_188]}
        listed = [{"path": path, "kind": "made up"} for path in sorted(files)]
        datasets[str(name)] = {"files": listed, "expected": expected, "must_be_flagged": flagged}
    return MadeFolder({"layout_cases.json": {"note": "made up", "datasets": datasets}})


def _server_cases(rng: Rng, name: str) -> list[dict[str, Any]]:
    """Images, and the files that a server wants for them."""
    cases = []
    for _ in range(side(rng, 1, 3)):
        number, folder = side(rng, 0, 99_999), f"some/{side(rng, 0, 9)}"
        image = {
            "cityscapes": f"{folder}/bonn_{number:06d}_000019_leftImg8bit.png",
            "bdd100k": f"{folder}/{number:08x}-00000000.jpg",
        }.get(name, f"{folder}/GOPR0{number % 999:03d}_frame_{number:06d}_rgb_anon.png")
        wanted = f"{PurePosixPath(image).stem}.png"
        if name == "dark_zurich":
            folders = ("confidence", "labelTrainIds", "labelTrainIds_invalid")
            cases.append({"image": image, "reference_output_names": [f"{f}/{wanted}" for f in folders]})
        else:
            cases.append({"image": image, "reference_output_name": wanted})
    return cases


def _label_ids(trains: Array) -> Array:
    """Label ids of train ids; 0 for what is none."""
    found = np.zeros(trains.shape, dtype=np.uint8)
    for train, label in enumerate(SCORED):
        found[trains == train] = label
    return found


@maker("submission")
def submission(rng: Rng) -> MadeFolder:
    """Other images, sizes, servers and files."""
    known = facts("submission/submission.json")
    servers = [name for name, fact in known.items() if isinstance(fact, dict) and "pixel_values" in fact]
    chosen = rng.permutation(servers)[: side(rng, 1, len(servers))]
    content = {str(name): {**known[name], "cases": _server_cases(rng, name)} for name in chosen}
    size = (side(rng, 3, 20), side(rng, 3, 20))
    trains = rng.integers(0, 19, size).astype(np.uint8)
    void = np.where(rng.random(size) < 0.2, 255, trains).astype(np.uint8)
    confidence = rng.random(size).astype((np.float32, np.float64)[side(rng, 0, 1)])
    confidence[0, :2] = 0, 1
    levels = np.array([[int(65535 * float(value) + 0.5) for value in row] for row in confidence])
    pairs = {
        "some_trainid": (trains, "label_ids", _label_ids(trains)),
        "some_with_void": (void, "label_ids_void", _label_ids(void)),
        "some_confidence": (confidence, "confidence_levels", levels.astype(np.uint16)),
    }
    content["arrays"] = {source: f"-> {result} made up" for source, (_, result, _) in pairs.items()}
    arrays = {name: array for name, (array, _, _) in pairs.items()}
    arrays |= {result: array for _, result, array in pairs.values()}
    files = {f"file_of_{name}.png": image_file(arrays[name]) for name in ("label_ids", "confidence_levels")}
    return MadeFolder({"submission.json": content, "submission.npz": arrays, **files})

"""Official formats: what readers list, how label files decode and map, and what readers state about counts."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from adaptbench.contracts import plugins
from adaptbench.contracts.dataset import Dataset, Sample
from adaptbench.data import id_tables, taxonomy
from adaptbench.data.files import read_index_image
from adaptbench.data.taxonomy import label_map
from adaptbench.inspection import verify

from ..case import Array, Case
from ..registry import handler

#: Name in the recorded files -> name of our reader.
READER = {
    "mapillary_v1.2": "mapillary",
    "mapillary_v2.0": "mapillary_v2",
    "nthu": "crosscity",
    "camvid_segnet": "camvid",
}
#: Recorded raw ids, by their name without number, that are in another id space than the reader's label files.
_ID_SPACE = {
    "bdd100k_raw_label_ids": "bdd100k_labels",
    "acdc_labelids": "cityscapes",
    "camvid_raw": "camvid_nearest",
}
#: End of the name of a recorded result -> class set.
_CLASSES = {
    "16class": "cityscapes16",
    "fada16": "cityscapes16",
    "ehtdi16_ignore_minus1": "cityscapes16",
    "13class": "cityscapes13",
    "trainid": "cityscapes19",
    "trainid_ignore_minus1": "cityscapes19",
    "rein": "cityscapes19",
}
#: Id space -> where the recorded table is: data set, list, and key of the train id.
_RECORDED_TABLES = {
    "cityscapes": ("cityscapes", "labels", "train_id"),
    "synthia": ("synthia", "classes", "train_id_19"),
    "bdd100k_labels": ("bdd100k", "label_ids_of_other_tasks", "train_id"),
    "mapillary": ("mapillary_v1.2", "classes", "train_id_hrda"),
    "mapillary_rein": ("mapillary_v1.2", "classes", "train_id_rein_ddb"),
    "mapillary_v2": ("mapillary_v2.0", "classes", "train_id_derived"),
    "camvid_nearest": ("camvid", "classes", "nearest_train_id"),
}


@cache
def reader(name: str) -> type[Dataset]:
    """The dataset that reads what the recorded files call ``name``."""
    registry = plugins.discover()
    loaded: type[Dataset] = plugins.load(registry.find("dataset", READER.get(name, name)))
    return loaded


@handler("layouts")
def check_layouts(case: Case) -> None:
    layouts = json.loads((case.path / "layout_cases.json").read_text(encoding="utf-8"))["datasets"]
    for name, layout in layouts.items():
        with TemporaryDirectory() as folder:
            root = Path(folder)
            for file in layout["files"]:
                (root / file["path"]).parent.mkdir(parents=True, exist_ok=True)
                (root / file["path"]).write_bytes(b"anything")
            _check_layout(case, name, layout, reader(name)(root))


def _check_layout(case: Case, name: str, layout: dict[str, Any], dataset: Dataset) -> None:
    missing: list[str] = []
    pairs: list[tuple[str, str]] = []
    for split, expected in _splits(name, layout["expected"]).items():
        # The file says "sorted by image path"; its own list of Synscapes is in the order of the numbers.
        wanted = sorted(expected, key=lambda sample: sample["image"])
        samples = dataset.samples(split)
        found = [_described(dataset, sample) for sample in samples]
        if dataset.splits[split].labelled:
            pairs += [(f.kind, f.name) for f in verify._pairing(dataset, split, samples)]
        case.expect(f"{name}/{split}/image", [f["image"] for f in found], [w["image"] for w in wanted])
        for ours, theirs in zip(found, wanted, strict=True):
            for key in ("label", "condition", "sequence", "time_of_day", "city"):
                if theirs.get(key) is not None and (key != "label" or dataset.splits[split].labelled):
                    case.expect(f"{name}/{split}/{key} of {theirs['image']}", ours[key], theirs[key])
            if theirs["label"] is None and dataset.splits[split].labelled:
                missing.append(theirs["image"])
    flagged = layout.get("must_be_flagged", {})
    broken = [
        f"{number:05d}" for number in [*flagged.get("size_mismatch", ()), *flagged.get("blank_image", ())]
    ]
    case.expect(f"{name}/broken", [stem for stem in broken if stem not in dataset.broken], [])
    for kind, files in (
        ("missing label", [*missing, *flagged.get("images_without_label", ())]),
        ("label without image", flagged.get("labels_without_image", ())),
    ):
        names = tuple(known for found, known in pairs if found == kind) or ("nothing",)
        unseen = [file for file in files if not Path(file).stem.startswith(names)]
        case.expect(f"{name}/{kind}", unseen, [])


def _splits(name: str, expected: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Recorded samples by the name of our split."""
    if name != "nthu":
        return expected
    return {
        f"{city.lower()}_{part}": samples
        for city, parts in expected.items()
        for part, samples in parts.items()
    }


def _described(dataset: Dataset, sample: Sample) -> dict[str, str]:
    image, label = (path.relative_to(dataset.root).as_posix() for path in (sample.image, sample.label))
    return {"image": image, "label": label, **sample.tags}


@handler("label_mapping")
def check_label_mapping(case: Case) -> None:
    manifest = json.loads((case.path / "manifest.json").read_text(encoding="utf-8"))
    with np.load(case.path / "label_mapping.npz") as archive:
        arrays = {name: archive[name] for name in archive.files}
    for entry in manifest["cases"]:
        if "raw_file" in entry:
            _check_official_pair(case, entry)
            continue
        if entry["file"]:
            _check_file(case, entry, arrays)
        _check_mapping(case, entry, arrays)


def _check_official_pair(case: Case, entry: dict[str, Any]) -> None:
    raw, expected = (read_index_image(case.path / entry[key]) for key in ("raw_file", "expected_file"))
    mapped = label_map("cityscapes", "cityscapes19")[raw]
    case.expect(entry["raw_file"], mapped, expected)
    _check_counts(case, entry, entry["raw_file"], mapped)


def _check_file(case: Case, entry: dict[str, Any], arrays: dict[str, Array]) -> None:
    """The file decodes to the recorded ids, or, where it holds train ids already, to the recorded result."""
    dataset, path = reader(entry["dataset"])(case.path), case.path / entry["file"]
    found = dataset.decode_label(Sample(name="any", image=path, label=path))
    converted = _numberless(entry["raw"])[0] in _ID_SPACE and dataset.id_space == "cityscapes_train"
    # Ids above 255 do not occur in official files; all of them are ignored, and so is 255.
    expected = np.minimum(arrays[entry["expected" if converted else "raw"]], 255)
    case.expect(f"{entry['file']} ids", found, expected)


def _check_mapping(case: Case, entry: dict[str, Any], arrays: dict[str, Array]) -> None:
    raw = np.minimum(arrays[entry["raw"]], 255)
    space = _ID_SPACE.get(_numberless(entry["raw"])[0], reader(entry["dataset"]).id_space)
    mapped = label_map(space, _CLASSES.get(_numberless(entry["expected"])[1], "cityscapes19"))[raw]
    case.expect(entry["expected"], mapped, arrays[entry["expected"]])
    _check_counts(case, entry, entry["expected"], mapped)
    for name in entry.get("also", {}):
        end = _numberless(name)[1]
        if end in _CLASSES:  # the others are what goes wrong elsewhere
            other = label_map("mapillary_rein" if end == "rein" else space, _CLASSES[end])[raw]
            known = arrays[entry["raw"]] <= 255  # EHTDI's loader cuts a larger id to its low byte
            signed = np.where(other == taxonomy.IGNORE, -1, other.astype(np.int16))
            found, where = (signed, known) if end.endswith("minus1") else (other, np.ones_like(known))
            case.expect(name, found[where], arrays[name][where])


def _numberless(name: str) -> tuple[str, str]:
    """A name like ``acdc_0_labelids`` without its number, and what is behind the number."""
    found = re.fullmatch(r"(.*?)_\d+_(.*)", name)
    return (f"{found[1]}_{found[2]}", found[2]) if found else (name, name)


def _check_counts(case: Case, entry: dict[str, Any], name: str, mapped: Array) -> None:
    for train_id, pixels in entry.get("expected_class_pixel_counts", {}).items():
        case.expect(f"{name} pixels of {train_id}", np.count_nonzero(mapped == int(train_id)), pixels)


@handler("formats")
def check_formats(case: Case) -> None:
    """Counts and sizes that readers state, and whole id tables."""
    facts = json.loads((case.path / "formats.json").read_text(encoding="utf-8"))["datasets"]
    for name, split, count in _counts(facts):
        stated = reader(name).splits[split].count
        case.expect(f"{name}/{split} count", stated, count)
    for name, known in facts.items():
        if "image_size_wh" in known:
            sizes = [list(reader(name).image_size), *map(list, reader(name).other_sizes or ())]
            case.expect(f"{name} sizes", [size for size in sizes if size not in known["image_size_wh"]], [])
    _check_tables(case, facts)
    subsets = json.loads((case.path / "class_subsets.json").read_text(encoding="utf-8"))
    for number, kept in ((16, id_tables.SIXTEEN), (13, id_tables.THIRTEEN)):
        recorded = subsets[f"synthia_{number}"]
        case.expect(f"{number} classes", kept, recorded["train_ids"])
        case.expect(f"{number} names", taxonomy.class_set(f"cityscapes{number}").classes, recorded["names"])


def _counts(facts: dict[str, Any]) -> list[tuple[str, str, int]]:
    """Dataset, our split, recorded number of images."""
    splits = {
        **{(name, "all"): "total" for name in ("gta5", "synthia", "synscapes")},
        **{
            (name, part): part
            for name in ("cityscapes", "acdc", "bdd100k", "camvid")
            for part in ("train", "val", "test")
        },
        **{
            (name, ours): theirs
            for name in ("mapillary_v1.2", "mapillary_v2.0")
            for ours, theirs in (("training", "train"), ("validation", "val"), ("testing", "test"))
        },
        **{
            ("dark_zurich", part): part
            for part in ("train_day", "train_twilight", "train_night", "val", "test")
        },
    }
    found = [
        (name, ours, facts[name]["counts"][theirs])
        for (name, ours), theirs in splits.items()
        if name in facts
    ]
    per_city = facts["nthu"]["counts"]["per_city"] if "nthu" in facts else {}
    cities = ("rio", "rome", "taipei", "tokyo")
    return found + [("nthu", f"{city}_{part}", per_city[part]) for city in cities for part in per_city]


def _check_tables(case: Case, facts: dict[str, Any]) -> None:
    for space, (name, classes, key) in _RECORDED_TABLES.items():
        if name not in facts:
            continue
        listed = {entry["id"]: entry[key] for entry in facts[name][classes] if entry["id"] >= 0}
        mapped = label_map(space, "cityscapes19")
        case.expect(f"{space} table", [int(mapped[raw]) for raw in listed], list(listed.values()))
        case.expect(f"{space} ids", [raw for raw in listed if raw not in taxonomy.known_ids(space)], [])

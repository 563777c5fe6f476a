"""What every dataset must keep."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from adaptbench.contracts import plugins
from adaptbench.contracts.dataset import Dataset, Sample, Split
from adaptbench.contracts.plugins import Plugin
from adaptbench.data.taxonomy import CLASS_SETS, IGNORE, label_map
from adaptbench.errors import DataError, UsageError

Folder = Callable[[Plugin], Path]


def class_of(dataset: Plugin) -> type[Dataset]:
    loaded: type[Dataset] = plugins.load(dataset)
    return loaded


def samples_by_split(dataset: Dataset) -> dict[str, list[Sample]]:
    """The samples of every split that the folder holds."""
    found = {}
    for split in dataset.splits:
        try:
            found[split] = dataset.samples(split)
        except DataError:
            continue
    assert found, f"{dataset.root} holds no split of {dataset.name}"
    return found


def label_maps(id_space: str) -> list[np.ndarray]:
    maps = []
    for name in CLASS_SETS:
        try:
            maps.append(label_map(id_space, name))
        except UsageError:
            continue
    return maps


def is_size(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(isinstance(v, int) and v > 0 for v in value)


def test_it_says_what_it_is(dataset: Plugin) -> None:
    reader = class_of(dataset)
    assert issubclass(reader, Dataset)
    for literal in ("title", "licence", "homepage"):
        assert isinstance(dataset.literals.get(literal), str), literal
    assert isinstance(reader.folders, tuple) and reader.folders
    assert is_size(reader.image_size)
    assert is_size(reader.training_size)
    assert reader.splits
    assert all(isinstance(split, Split) for split in reader.splits.values())
    assert isinstance(reader.label_folders, tuple) and reader.label_folders
    assert label_maps(reader.id_space), f"no class set has a label map for id space {reader.id_space!r}"


def test_a_folder_that_is_not_there_and_an_unknown_split(dataset: Plugin, tmp_path: Path) -> None:
    reader = class_of(dataset)
    with pytest.raises(DataError, match=r"(?s)nowhere is not a folder.*--data-path"):
        reader(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="nonesuch"):
        reader(tmp_path).samples("nonesuch")
    for split in reader.splits:
        with pytest.raises(DataError, match=str(tmp_path)):
            reader(tmp_path).samples(split)


def test_samples_are_sorted_and_unique(dataset: Plugin, data_folder: Folder) -> None:
    for split, samples in samples_by_split(class_of(dataset)(data_folder(dataset))).items():
        images = [sample.image.as_posix() for sample in samples]
        assert images == sorted(images), split
        assert len({sample.name for sample in samples}) == len(samples), split


def test_images_of_one_sequence_or_city_are_one_cluster(dataset: Plugin, data_folder: Folder) -> None:
    """Statistics resample them together, by the finest place that is tagged."""
    loaded = class_of(dataset)(data_folder(dataset))
    for sample in (sample for samples in samples_by_split(loaded).values() for sample in samples):
        cluster = loaded.cluster(sample.name)
        if "sequence" in sample.tags:
            assert cluster == sample.tags["sequence"]
        elif "city" in sample.tags:
            assert cluster != sample.name


def test_label_folders_hold_all_labels_and_no_image(dataset: Plugin, data_folder: Folder) -> None:
    reader = class_of(dataset)(data_folder(dataset))
    sealed = [reader.root / folder for folder in reader.label_folders]
    for samples in samples_by_split(reader).values():
        for sample in samples:
            assert any(sample.label.is_relative_to(folder) for folder in sealed), sample.label
            assert not any(sample.image.is_relative_to(folder) for folder in sealed), sample.image


def test_images_and_labels_can_be_read(dataset: Plugin, data_folder: Folder) -> None:
    reader = class_of(dataset)(data_folder(dataset))
    for split, samples in samples_by_split(reader).items():
        usable = reader.usable(split)
        assert {sample.name for sample in usable} == {s.name for s in samples} - reader.broken.keys()
        for sample in (usable[0], usable[-1]):
            image = reader.read_image(sample)
            assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
            if reader.splits[split].labelled:
                check_label(reader, sample, image.shape[:2])


def check_label(reader: Dataset, sample: Sample, size: tuple[int, ...]) -> None:
    label = reader.read_label(sample)
    assert label.dtype == np.uint8
    assert label.shape == size, sample.label
    for table in label_maps(reader.id_space):
        known = np.mean(table[label] != IGNORE)
        assert known > 0.5, (
            f"{sample.label}: {1 - known:.0%} of the pixels hold ids unknown to {reader.id_space}"
        )


def test_listing_needs_no_label(dataset: Plugin, data_folder: Folder, tmp_path: Path) -> None:
    original = class_of(dataset)(data_folder(dataset))
    bare = tmp_path / "bare"
    shutil.copytree(original.root, bare, copy_function=os.symlink)
    for folder in original.label_folders:
        shutil.rmtree(bare / folder, ignore_errors=True)
    assert {split: [s.name for s in samples] for split, samples in samples_by_split(original).items()} == {
        split: [s.name for s in samples]
        for split, samples in samples_by_split(class_of(dataset)(bare)).items()
    }

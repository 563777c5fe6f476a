"""A cache of decoded images gives the pixels of the files as they are now, whatever became of its own files."""

from __future__ import annotations

import os
import shutil
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import mounts
import numpy as np
import pytest
import torch
from training_domains import domains_in

from adaptbench.contracts import plugins
from adaptbench.contracts.dataset import Dataset, Sample, Split
from adaptbench.contracts.settings import Settings
from adaptbench.data import image_cache, image_identity
from adaptbench.data.framing import Crops, Framing, WholeImages
from adaptbench.data.image_cache import CachedImages, ImageCache, require_usable
from adaptbench.data.image_jitter import Jitter
from adaptbench.data.image_strips import UInt8
from adaptbench.data.sampling import Sampling
from adaptbench.data.stream import Domain, TrainingStream, batches
from adaptbench.errors import DataError, UsageError


class Few(Dataset):
    """Images in folders ``a`` and ``b``; how often they are decoded is counted."""

    name = "few"
    title = licence = homepage = "none"
    id_space = "cityscapes"
    image_size = training_size = (40, 70)
    splits = {"all": Split(count=None)}  # noqa: RUF012
    label_folders = ("labels",)
    decoded = 0

    def samples(self, split: str) -> list[Sample]:
        return [
            Sample(path.stem, path, self.root / "labels" / path.name)
            for path in sorted(self.root.glob("[ab]/*.png"))
        ]

    def read_image(self, sample: Sample) -> UInt8:
        self.decoded += 1
        return super().read_image(sample)


def paint(path: Path, seed: int) -> UInt8:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(seed).integers(0, 256, (70, 40, 3), np.uint8)
    assert cv2.imwrite(str(path), image[..., ::-1])
    return image


@pytest.fixture(autouse=True)
def small_reserve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_cache, "SPARED", 0)


@pytest.fixture
def few(tmp_path: Path) -> Few:
    for number, name in enumerate(("a/one", "a/two", "b/three")):
        paint(tmp_path / "few" / f"{name}.png", number)
    return Few(tmp_path / "few")


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def cache(tmp_path: Path, said: list[str]) -> ImageCache:
    return ImageCache(tmp_path / "cache", said.append)


def entries(cache: ImageCache) -> list[Path]:
    return sorted(path for path in cache.folder.rglob("*") if path.is_file())


def read_all(cache: ImageCache, few: Few) -> list[UInt8]:
    return [cache.read(few, sample) for sample in few.samples("all")]


def assert_right(cache: ImageCache, few: Few, decoded: int) -> None:
    """The pixels are those of the files, of which so many were decoded."""
    before = few.decoded
    images = read_all(cache, few)
    assert few.decoded - before == decoded
    for image, sample in zip(images, few.samples("all"), strict=True):
        np.testing.assert_array_equal(image, Dataset.read_image(few, sample))
        assert image.dtype == np.uint8


def test_images_are_decoded_once(cache: ImageCache, few: Few, said: list[str]) -> None:
    assert_right(cache, few, 3)
    assert_right(cache, few, 0)
    assert_right(ImageCache(cache.place, said.append), few, 0)
    assert len(entries(cache)) == 3 and not said
    assert str(cache).endswith("cache: 3 images read from it, 3 decoded and added")


def test_a_dataset_can_be_moved_or_copied(cache: ImageCache, few: Few, tmp_path: Path) -> None:
    read_all(cache, few)
    copy = Few(Path(shutil.copytree(few.root, tmp_path / "copy")))
    assert_right(cache, copy, 0)


def test_a_changed_file_is_never_served_stale(cache: ImageCache, few: Few, said: list[str]) -> None:
    read_all(cache, few)
    paint(few.samples("all")[1].image, 9)
    assert_right(cache, few, 1)
    assert not said


def test_not_even_with_the_size_and_time_of_the_old_one(cache: ImageCache, few: Few) -> None:
    one, two = few.samples("all")[:2]
    for sample in (one, two):
        sample.image.write_bytes(sample.image.read_bytes().ljust(1 << 17, b"\0"))
    facts = one.image.stat()
    cache.read(few, one)
    shutil.copy(two.image, one.image)
    os.utime(one.image, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert one.image.stat().st_size == facts.st_size
    assert_right(cache, few, 3)


def test_a_file_that_is_changed_while_it_is_decoded_is_not_kept(cache: ImageCache, few: Few) -> None:
    class Changed(Few):
        def read_image(self, sample: Sample) -> UInt8:
            paint(sample.image, 99)
            return super().read_image(sample)

    changed = Changed(few.root)
    cache.read(changed, changed.samples("all")[0])
    assert not entries(cache)


@pytest.mark.parametrize("version", ["definition", "OpenCV", "code", "machine"])
def test_what_decodes_is_part_of_the_identity(
    cache: ImageCache, few: Few, version: str, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    read_all(cache, few)
    image_identity._maker.cache_clear()
    if version == "definition":
        monkeypatch.setattr(Few, "definition", "range: [0, 99]")
    elif version == "OpenCV":
        monkeypatch.setattr(cv2, "__version__", "99.0")
    elif version == "machine":
        monkeypatch.setattr("platform.machine", lambda: "other")
    else:
        other = cache.place.parent / "files.py"
        other.write_text("# another decoder")
        monkeypatch.setattr(image_identity.files, "__file__", str(other))
    assert_right(cache, few, 3)
    assert_right(cache, few, 0)
    assert len(entries(cache)) == 3, "entries of the former version are replaced"
    assert not said
    image_identity._maker.cache_clear()


@pytest.mark.parametrize("damage", ["truncated", "bit", "empty", "foreign", "swapped"])
def test_damaged_entries_are_made_anew(cache: ImageCache, few: Few, damage: str, said: list[str]) -> None:
    read_all(cache, few)
    first, second, _ = entries(cache)
    content = first.read_bytes()
    if damage == "swapped":
        content, other = second.read_bytes(), content
        second.write_bytes(other)
    changed = {
        "truncated": content[:-9],
        "bit": content[:-1] + bytes([content[-1] ^ 1]),
        "empty": b"",
        "foreign": b"\x89PNG\r\n\x1a\n",
        "swapped": content,
    }
    first.write_bytes(changed[damage])
    count = 2 if damage == "swapped" else 1
    assert_right(cache, few, count)
    assert_right(cache, few, 0)
    assert len(said) == (0 if damage == "swapped" else 1)
    if said:
        assert f"{first} is not used" in said[0]


def test_an_entry_that_is_a_folder_costs_no_more_than_the_decoding(
    cache: ImageCache, few: Few, said: list[str]
) -> None:
    read_all(cache, few)
    first = entries(cache)[0]
    first.unlink()
    first.mkdir()
    assert_right(cache, few, 1)
    assert "is not used" in said[0] and "Nothing more is added" in said[1]


def test_missing_and_damaged_images_are_the_errors_that_they_are(cache: ImageCache, few: Few) -> None:
    one, two, three = few.samples("all")
    cache.read(few, three)
    one.image.unlink()
    two.image.write_bytes(b"no image")
    three.image.unlink()
    for sample in (one, two, three):
        with pytest.raises(DataError, match=sample.image.name):
            cache.read(few, sample)
        with pytest.raises(DataError, match=sample.image.name):
            cache.add(few, sample)


def test_adding_reads_what_is_there_and_says_what_it_added(cache: ImageCache, few: Few) -> None:
    sample = few.samples("all")[0]
    size = cache.add(few, sample)
    (entry,) = entries(cache)
    assert size == entry.stat().st_size and cache.add(few, sample) == 0
    entry.write_bytes(entry.read_bytes()[:-1])
    assert cache.add(few, sample) == size


def test_folders_of_images_have_folders_of_their_own(cache: ImageCache, few: Few) -> None:
    folders = [cache.folder_of(few, sample) for sample in few.samples("all")]
    assert folders[0] == folders[1] != folders[2]
    assert not any(a.is_relative_to(b) for a in folders for b in folders if a != b)
    read_all(cache, few)
    assert {entry.parent for entry in entries(cache)} == set(folders)


@pytest.mark.parametrize(
    "image", ["one.png", "../one.png", "x" * 250 + "/one.png", "a/b+c/one.png", "..%2F/a.png"]
)
def test_folders_stay_in_the_cache(cache: ImageCache, few: Few, image: str) -> None:
    sample = Sample("one", few.root / image, few.root)
    folder = cache.folder_of(few, sample)
    assert folder.parent == cache.folder / "few" and folder.name not in (".", "..")
    assert len(folder.name) <= 255


def test_images_in_archives(cache: ImageCache, small_world: Path, tmp_path: Path) -> None:
    root = tmp_path / "cityscapes"
    shutil.make_archive(
        str(root / "leftImg8bit_trainvaltest"), "zip", small_world / "cityscapes", "leftImg8bit"
    )
    packed = plugins.load(plugins.discover().find("dataset", "cityscapes"))(root)
    for sample in packed.samples("train")[:2]:
        for _ in range(2):
            np.testing.assert_array_equal(cache.read(packed, sample), packed.read_image(sample))
    assert str(cache).endswith("2 images read from it, 2 decoded and added")


@pytest.mark.skipif(bool(mounts.refused()), reason=mounts.refused())
def test_a_full_disk_is_said_once(tmp_path: Path, few: Few) -> None:
    in_fork(_on_a_full_disk, tmp_path, few)


def _on_a_full_disk(tmp_path: Path, few: Few) -> None:
    mounts.own_mounts()
    image_cache.SPARED = -(1 << 40)  # else what is left is noticed before it is tried
    disk, said = tmp_path / "disk", list[str]()
    disk.mkdir()
    mounts.small_disk(disk, "1m")
    cache = ImageCache(disk / "cache", said.append)
    cache.read(few, few.samples("all")[0])
    mounts.fill(disk)
    assert_right(cache, few, 2)
    assert_right(cache, few, 2)
    assert len(entries(cache)) == 1, "no unfinished file is left"
    assert len(said) == 1 and "No space left" in said[0] and "--image-cache" in said[0]


def test_a_part_of_the_disk_is_left_to_others(
    cache: ImageCache, few: Few, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_cache, "SPARED", 1 << 60)
    assert_right(cache, few, 3)
    assert not cache.folder.exists() and len(said) == 1 and "are spared" in said[0]


@pytest.mark.skipif(bool(mounts.refused()), reason=mounts.refused())
def test_a_folder_that_may_only_be_read_is_read(tmp_path: Path, few: Few) -> None:
    in_fork(_on_a_read_only_disk, tmp_path, few)


def _on_a_read_only_disk(tmp_path: Path, few: Few) -> None:
    mounts.own_mounts()
    said: list[str] = []
    ImageCache(tmp_path / "cache", said.append).read(few, few.samples("all")[0])
    mounts.read_only(tmp_path / "cache")
    cache = ImageCache(tmp_path / "cache", said.append)
    assert_right(cache, few, 2)
    assert_right(cache, few, 2)
    assert len(said) == 1 and "Read-only file system" in said[0] and "Nothing more is added" in said[0]


def in_fork(act: Any, *arguments: Any) -> None:
    process = get_context("fork").Process(target=act, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == 0


def test_two_processes_fill_it_at_once(cache: ImageCache, few: Few) -> None:
    for number in range(20):
        paint(few.root / "a" / f"{number:02}.png", number)
    processes = [get_context("fork").Process(target=_read_often, args=(cache, few)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert_right(cache, few, 0)
    assert len(entries(cache)) == 23


def _read_often(cache: ImageCache, few: Few) -> None:
    for _ in range(2):
        for sample in few.samples("all"):
            np.testing.assert_array_equal(cache.read(few, sample), Dataset.read_image(few, sample))


def test_what_a_killed_process_left_is_no_entry(cache: ImageCache, few: Few) -> None:
    read_all(cache, few)
    first = entries(cache)[0]
    first.rename(first.with_name(f".{first.name}.0123.tmp"))
    assert_right(cache, few, 1)


def test_places_that_trainings_cannot_use(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(UsageError, match="no folder"):
        require_usable(file)
    with pytest.raises(UsageError, match="share memory"):
        require_usable(Path("/dev/shm/cache"))
    require_usable(tmp_path)
    require_usable(tmp_path / "new" / "one")


# The stream.


@pytest.fixture(scope="module")
def domains(small_world: Path) -> tuple[Domain, Domain]:
    return domains_in(small_world)


def cached(domain: Domain, cache: ImageCache) -> Domain:
    return Domain([(CachedImages(d, d, cache), *rest) for d, *rest in domain.items])  # type: ignore[arg-type,misc]


@pytest.mark.parametrize("framing", [Crops(), WholeImages(mirrored=True)])
@pytest.mark.parametrize("jitter", [None, Jitter(0.5, 0.5, 0.5, 0.5)])
@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_the_same_bit_for_bit(
    domains: tuple[Domain, Domain], cache: ImageCache, framing: Framing, jitter: Jitter | None, workers: int
) -> None:
    sampling = Sampling(framing=framing, jitter=jitter)
    settings = Settings.model_validate({"crop": 32, "batch_size": 1, "iterations": 8})
    plain = list(batches(TrainingStream(*domains, settings, 3, sampling), 0, 0))
    kept = (cached(domains[0], cache), cached(domains[1], cache))
    for _ in range(2):  # filled, then read
        stream = TrainingStream(*kept, settings, 3, sampling)
        for one, other in zip(plain, batches(stream, 0, workers), strict=True):
            assert one.source.names == other.source.names
            assert torch.equal(one.source.image, other.source.image)
            assert torch.equal(one.source.label, other.source.label)
            assert one.target is not None and other.target is not None
            assert torch.equal(one.target.image, other.target.image)
    assert cache._found.value > 0 and cache._added.value > 0

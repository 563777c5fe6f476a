"""Zip archives are read like folders, without unpacking, and the firewall sees every file in them."""

from __future__ import annotations

import os
import signal
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forks import in_fork
from PIL import Image

from adaptbench.contracts import plugins
from adaptbench.contracts.dataset import Dataset
from adaptbench.data import archives, firewall, landlock
from adaptbench.errors import DataError, FirewallError

Cityscapes = Callable[[Path], Dataset]


@pytest.fixture(scope="module")
def cityscapes() -> type[Dataset]:
    loaded: type[Dataset] = plugins.load(plugins.discover().find("dataset", "cityscapes"))
    return loaded


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """Cityscapes as it is downloaded: two zip archives."""
    root = tmp_path / "cityscapes"
    root.mkdir()
    image = Image.fromarray(np.full((4, 8), 7, np.uint8))
    for file, top, tail in (
        ("leftImg8bit_trainvaltest.zip", "leftImg8bit", "leftImg8bit"),
        ("gtFine_trainvaltest.zip", "gtFine", "gtFine_labelIds"),
    ):
        with zipfile.ZipFile(root / file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("README", "read me")
            for split, city in (("train", "aachen"), ("train", "ulm"), ("val", "lindau")):
                for frame in (19, 20):
                    with archive.open(
                        f"{top}/{split}/{city}/{city}_000000_{frame:06d}_{tail}.png", "w"
                    ) as target:
                        image.save(target, "PNG")
    return root


def unpack(packed: Path, to: Path) -> Path:
    for archive in packed.glob("*.zip"):
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(to)
    return to


def described(dataset: Dataset) -> dict[str, list[Any]]:
    return {
        split: [
            (s.name, dict(s.tags), dataset.read_image(s).tolist(), dataset.read_label(s).tolist())
            for s in dataset.samples(split)
        ]
        for split in ("train", "val")
    }


def test_packed_and_unpacked_are_the_same(packed: Path, tmp_path: Path, cityscapes: Cityscapes) -> None:
    before = {path: path.stat().st_mtime_ns for path in packed.iterdir()}
    assert described(cityscapes(packed)) == described(cityscapes(unpack(packed, tmp_path / "unpacked")))
    assert {path: path.stat().st_mtime_ns for path in packed.iterdir()} == before


def test_what_is_unpacked_comes_first(packed: Path, cityscapes: Cityscapes) -> None:
    unpack(packed, packed)
    sample = cityscapes(packed).samples("val")[0]
    assert sample.image == packed / "leftImg8bit/val/lindau/lindau_000000_000019_leftImg8bit.png"
    assert ".zip" not in str(sample.label)


def test_images_may_be_packed_and_labels_not(packed: Path, cityscapes: Cityscapes) -> None:
    with zipfile.ZipFile(packed / "gtFine_trainvaltest.zip") as archive:
        archive.extractall(packed)
    (packed / "gtFine_trainvaltest.zip").unlink()
    dataset = cityscapes(packed)
    sample = dataset.samples("train")[0]
    assert ".zip" in str(sample.image) and ".zip" not in str(sample.label)
    assert dataset.read_label(sample).shape == dataset.read_image(sample).shape[:2]


def test_a_damaged_archive_and_a_damaged_file_are_named(packed: Path, cityscapes: Cityscapes) -> None:
    broken = packed / "gtFine_trainvaltest.zip"
    content = broken.read_bytes()
    broken.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"gtFine_trainvaltest\.zip.*Download it again"):
        cityscapes(packed).samples("val")
    archives.archive.cache_clear()
    at = content.index(b"labelIds.png") + 30  # within the packed bytes of the first label
    broken.write_bytes(content[:at] + b"XXXX" + content[at + 4 :])
    dataset = cityscapes(packed)
    with pytest.raises(DataError, match=r"(?s)gtFine_trainvaltest\.zip"):
        for sample in dataset.samples("train"):
            dataset.read_label(sample)


def test_a_missing_file_is_named_with_its_archive(packed: Path) -> None:
    path = packed / "gtFine_trainvaltest.zip" / "gtFine/val/x.png"
    assert not archives.is_file(path)
    with pytest.raises(FileNotFoundError, match=r"gtFine/val/x\.png"):
        archives.read_bytes(path)
    assert archives.is_file(packed / "gtFine_trainvaltest.zip/README")


def test_forks_read_at_their_own_place(packed: Path, cityscapes: Cityscapes) -> None:
    dataset = cityscapes(packed)
    samples = dataset.samples("train")
    child = os.fork()
    if child == 0:
        for _ in range(200):
            dataset.read_label(samples[0])
        os._exit(0)
    for _ in range(200):
        assert dataset.read_label(samples[-1]).tolist() == [[7] * 8] * 4
    assert os.waitpid(child, 0)[1] == 0


def test_the_firewall_closes_labels_in_archives_file_by_file(packed: Path, cityscapes: Cityscapes) -> None:
    dataset = cityscapes(packed)
    train, val = dataset.samples("train"), dataset.samples("val")
    with firewall.closed(dataset.label_places):
        dataset.read_image(train[0])
        with pytest.raises(FirewallError, match="lindau"):
            dataset.read_label(val[0])
        with pytest.raises(FirewallError, match=r"gtFine_trainvaltest\.zip"):
            (packed / "gtFine_trainvaltest.zip").read_bytes()
        with pytest.raises(FirewallError):
            zipfile.ZipFile(packed / "gtFine_trainvaltest.zip")
    firewall._breaches.clear()
    assert dataset.read_label(val[0]).shape == (4, 8)


def test_a_sealed_process_reads_the_labels_it_trains_on_and_no_other(
    packed: Path, cityscapes: Cityscapes
) -> None:
    def act() -> None:
        dataset = cityscapes(packed)
        train, val = dataset.samples("train"), dataset.samples("val")
        firewall.seal(dataset.label_places, [sample.label for sample in train])
        for sample in train:
            dataset.read_image(sample)
            dataset.read_label(sample)
        dataset.read_image(val[0])
        with pytest.raises(FirewallError, match="lindau"):
            dataset.read_label(val[0])

    in_fork(act)


@pytest.mark.skipif(landlock.missing() is not None, reason="this kernel has no Landlock")
def test_no_trick_reads_a_closed_label_from_an_archive(packed: Path, cityscapes: Cityscapes) -> None:
    file = packed / "gtFine_trainvaltest.zip"

    def act() -> None:
        dataset = cityscapes(packed)
        train, val = dataset.samples("train"), dataset.samples("val")
        assert firewall.seal(dataset.label_places, [sample.label for sample in train]) is None
        handles = [os.path.realpath(handle) for handle in Path("/proc/self/fd").iterdir()]
        assert str(packed / "leftImg8bit_trainvaltest.zip") in handles, (
            "what holds no label is read as before"
        )
        assert str(file) not in handles
        (keeper,) = children_of_this()
        for number in range(64):
            with pytest.raises(OSError):
                os.open(f"/proc/{keeper}/fd/{number}", os.O_RDONLY)
        with pytest.raises(PermissionError, match="out of reach"):  # past the audit hook
            archives.archive(file)._read(val[0].label.relative_to(file).as_posix())
        with pytest.raises(subprocess.CalledProcessError):
            subprocess.run(
                ["sh", "-c", 'cat "$WHERE"/gt*.zip'], env={**os.environ, "WHERE": str(packed)}, check=True
            )
        assert dataset.read_label(train[0]).tolist() == [[7] * 8] * 4
        with pytest.raises(FileNotFoundError, match="nothing"):
            archives.read_bytes(file / "nothing")
        firewall.require_intact()

    in_fork(act)
    assert cityscapes(packed).read_label(cityscapes(packed).samples("val")[0]).shape == (4, 8)


@pytest.mark.skipif(landlock.missing() is not None, reason="this kernel has no Landlock")
def test_forks_of_a_sealed_process_read_archives_at_once(packed: Path, cityscapes: Cityscapes) -> None:
    def act() -> None:
        dataset = cityscapes(packed)
        train = dataset.samples("train")
        firewall.seal(dataset.label_places, [sample.label for sample in train])
        children = [os.fork() for _ in range(1)]
        for _ in range(100):
            for sample in train[:: -1 if children[0] else 1]:
                assert dataset.read_label(sample).tolist() == [[7] * 8] * 4
        if not children[0]:
            os._exit(0)
        assert os.waitpid(children[0], 0)[1] == 0

    in_fork(act)


@pytest.mark.skipif(landlock.missing() is not None, reason="this kernel has no Landlock")
def test_a_keeper_that_was_killed_is_an_error(packed: Path, cityscapes: Cityscapes) -> None:
    def act() -> None:
        dataset = cityscapes(packed)
        train = dataset.samples("train")
        firewall.seal(dataset.label_places, [sample.label for sample in train])
        (keeper,) = children_of_this()
        os.kill(keeper, signal.SIGKILL)
        os.waitpid(keeper, 0)
        with pytest.raises(DataError, match=r"Cannot read"):
            dataset.read_label(train[0])

    in_fork(act)


def children_of_this() -> list[int]:
    """Processes that this one has forked."""
    return [int(number) for number in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]

"""Planted defects are found, each with its file; what is complete has none; statistics are exact and never empty."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adaptbench.cli import main
from adaptbench.contracts import plugins
from adaptbench.contracts.dataset import Dataset
from adaptbench.data import minicity
from adaptbench.data.class_statistics import class_counts
from adaptbench.data.minicity.write import SPLITS
from adaptbench.data.rare_class_sampling import count_classes
from adaptbench.data.taxonomy import label_map
from adaptbench.errors import DataError
from adaptbench.inspection.rare_classes import mapped, statistics
from adaptbench.inspection.verify import SplitReport, verify, verify_splits

REGISTRY = plugins.discover()
WORLD = minicity.WorldSpec(scale=0.06)


def opened(name: str, root: Path) -> Dataset:
    dataset: Dataset = plugins.load(REGISTRY.find("dataset", name))(root)
    return dataset


def report_of(name: str, root: Path, split: str, workers: int = 1) -> SplitReport:
    return verify(REGISTRY.find("dataset", name), opened(name, root), split, lambda done: None, workers)


def kinds(report: SplitReport) -> list[tuple[str, str]]:
    return sorted((finding.kind, finding.name) for finding in report.new)


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    cache = tmp_path_factory.mktemp("worlds")

    def world(name: str) -> Path:
        return minicity.ensure(WORLD, name, dict.fromkeys(SPLITS[name], 8), cache=cache, workers=1)

    return world


@pytest.fixture
def cityscapes(worlds: Callable[[str], Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(worlds("cityscapes"), tmp_path / "cityscapes"))


@pytest.mark.parametrize("name", SPLITS)
def test_a_complete_world_has_no_defect(name: str, worlds: Callable[[str], Path]) -> None:
    dataset = opened(name, worlds(name))
    reports, absent = verify_splits(REGISTRY.find("dataset", name), dataset, lambda *_: lambda done: None, 1)
    assert [report.split for report in reports] == [s for s in dataset.splits if s in SPLITS[name]]
    assert set(absent) == set(dataset.splits) - set(SPLITS[name])
    for report in reports:
        assert report.findings == ()
        assert report.images == 8 == sum(report.sizes.values())
        assert bool(report.ids) == dataset.splits[report.split].labelled


def plant(root: Path) -> dict[str, tuple[str, str]]:
    """One defect of each kind in the validation split; what must be found, by what was done."""
    images = sorted((root / "leftImg8bit" / "val").rglob("*.png"))
    labels = sorted((root / "gtFine" / "val").rglob("*_labelIds.png"))
    names = [path.name.removesuffix("_leftImg8bit.png") for path in images]
    labels[0].unlink()
    images[1].unlink()
    images[2].write_bytes(images[2].read_bytes()[:-300])
    Image.open(labels[3]).resize((20, 10)).save(labels[3])
    Image.open(labels[4]).convert("RGB").save(labels[4])
    ids = np.array(Image.open(labels[5]))
    ids[:2] = 77
    Image.fromarray(ids).save(labels[5])
    size = Image.open(images[6]).size
    Image.new("RGB", size, (255, 255, 255)).save(images[6])
    return {
        "label deleted": ("missing label", names[0]),
        "image deleted": ("label without image", names[1]),
        "one image fewer": ("missing image", ""),
        "image truncated": ("image", names[2]),
        "label of another size": ("size", names[3]),
        "label in colours": ("label", names[4]),
        "unknown id": ("ids", names[5]),
        "white image": ("blank", names[6]),
    }


@pytest.mark.parametrize("workers", [1, 2])
def test_every_planted_defect_is_found_and_nothing_else(cityscapes: Path, workers: int) -> None:
    planted = plant(cityscapes)
    assert kinds(report_of("cityscapes", cityscapes, "val", workers)) == sorted(planted.values())
    assert report_of("cityscapes", cityscapes, "train").findings == ()


def test_images_too_many_and_labels_of_sixteen_bits(cityscapes: Path) -> None:
    image = next((cityscapes / "leftImg8bit" / "val").rglob("*_000000_000019_leftImg8bit.png"))
    shutil.copy(image, image.with_name(image.name.replace("_000019_", "_000077_")))
    label = sorted((cityscapes / "gtFine" / "val").rglob("*_labelIds.png"))[2]
    Image.fromarray(np.array(Image.open(label)).astype(np.uint16) << 8).save(label)
    report = report_of("cityscapes", cityscapes, "val")
    assert [kind for kind, _ in kinds(report)] == ["label", "missing label", "surplus image"]
    texts = {finding.kind: finding.text for finding in report.new}
    assert "9 images instead of 8. Take away" in texts["surplus image"]
    assert str(label) in texts["label"] and "mode 'I;16'" in texts["label"]


def test_labels_of_a_split_that_is_cut_from_another_have_images(tmp_path: Path) -> None:
    for name in ("0001TP_006690", "0006R0_f00930"):
        for folder, mode in (("train", "RGB"), ("trainannot", "L")):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.new(mode, (480, 360)).save(tmp_path / folder / f"{name}.png")
    orphan = ("label without image", "0006R0_f00930")
    assert orphan not in kinds(report_of("camvid", tmp_path, "dusk"))
    (tmp_path / "train" / "0006R0_f00930.png").unlink()
    assert orphan in kinds(report_of("camvid", tmp_path, "dusk"))


def test_the_early_zip_of_bdd100k_is_known(worlds: Callable[[str], Path], tmp_path: Path) -> None:
    root = Path(shutil.copytree(worlds("bdd100k"), tmp_path / "bdd100k"))
    labels = root / "labels" / "sem_seg" / "masks" / "val"
    images = root / "images" / "10k" / "val"
    shutil.copy(next(labels.iterdir()), labels / "ff7b98c7-3cb964ac.png")
    shutil.copy(next(images.iterdir()), images / "80a9e37d-e4548ac1.jpg")
    shutil.copy(next(labels.iterdir()), labels / "ff7b98c7-00000000.png")
    report = report_of("bdd100k", root, "val")
    known = sorted((f.kind, f.name) for f in report.findings if f.known)
    assert known == [("label without image", "ff7b98c7-3cb964ac"), ("missing label", "80a9e37d-e4548ac1")]
    assert kinds(report) == [("label without image", "ff7b98c7-00000000"), ("surplus image", "")]


def test_findings_say_which_file_and_what(cityscapes: Path) -> None:
    plant(cityscapes)
    texts = {finding.kind: finding.text for finding in report_of("cityscapes", cityscapes, "val").new}
    assert "7 images instead of 8" in texts["missing image"]
    assert "truncated" in texts["image"] and str(cityscapes) in texts["image"]
    assert "123x61" in texts["size"] and "20x10" in texts["size"]
    assert "mode 'RGB'" in texts["label"] and "converter" in texts["label"]
    assert "77 (246 pixels)" in texts["ids"]


def test_the_verb_ends_with_1_and_prints_them(cityscapes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["data", "verify", "cityscapes", "--data-path", f"cityscapes={cityscapes}", "--jobs", "1"]
    assert main(command) == 0
    assert "cityscapes: no defects" in capsys.readouterr().out
    planted = plant(cityscapes)
    assert main(command) == 1
    shown = capsys.readouterr().out
    assert f"cityscapes: {len(planted)} defects" in shown and "not there: test" in shown
    assert all(f"{name or 'split'}: {kind}." in shown for kind, name in planted.values())


def test_without_data_it_says_what_to_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "verify"]) == 2
    assert "--data-root" in capsys.readouterr().err
    assert main(["data", "verify", "acdc", "--data-root", str(tmp_path)]) == 2
    assert "acdc: not found" in capsys.readouterr().err
    assert main(["data", "verify", "acdx"]) == 2
    assert "Did you mean 'acdc'" in capsys.readouterr().err


def test_an_official_folder_is_measured_by_the_official_numbers(
    worlds: Callable[[str], Path], tmp_path: Path
) -> None:
    root = Path(shutil.copytree(worlds("gta5"), tmp_path / "gta5"))
    (root / "spec.json").unlink()
    report = report_of("gta5", root, "all")
    found = [finding.text for finding in report.new]
    assert found[0].startswith("8 images instead of 24966. Unpack")
    assert len(found) == 9 and all("instead of 1914x1046 or 1914x1052" in text for text in found[1:])


def test_known_defects_of_the_release_are_named_and_do_not_count(
    worlds: Callable[[str], Path], tmp_path: Path
) -> None:
    root = Path(shutil.copytree(worlds("gta5"), tmp_path / "gta5"))
    for kind in ("images", "labels"):
        (root / kind / "00001.png").rename(root / kind / "20801.png")
    Image.open(root / "labels/20801.png").resize((20, 10)).save(root / "labels/20801.png")
    report = report_of("gta5", root, "all")
    assert report.new == []
    (finding,) = report.findings
    assert finding.known and "image and label differ in height" in finding.text


def test_output_of_converters_is_no_defect(worlds: Callable[[str], Path], tmp_path: Path) -> None:
    root = Path(shutil.copytree(worlds("gta5"), tmp_path / "gta5"))
    shutil.copy(root / "labels/00002.png", root / "labels/00002_labelTrainIds.png")
    assert report_of("gta5", root, "all").findings == ()


def test_archives_are_verified_packed(cityscapes: Path, tmp_path: Path) -> None:
    plant(cityscapes)
    packed = tmp_path / "packed"
    packed.mkdir()
    shutil.copy(cityscapes / "spec.json", packed)
    for top in ("leftImg8bit", "gtFine"):
        with zipfile.ZipFile(packed / f"{top}_trainvaltest.zip", "w") as archive:
            for path in sorted((cityscapes / top).rglob("*.png")):
                archive.write(path, path.relative_to(cityscapes))
    assert kinds(report_of("cityscapes", packed, "val")) == kinds(report_of("cityscapes", cityscapes, "val"))


@pytest.mark.parametrize("name", ["gta5", "synthia", "mapillary"])
def test_statistics_are_those_of_a_training(
    name: str, worlds: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADAPTBENCH_CACHE", str(tmp_path))
    dataset = opened(name, worlds(name))
    samples = dataset.usable(SPLITS[name][0])
    table = label_map(dataset.id_space, "cityscapes19")
    found = statistics(REGISTRY.find("dataset", name), dataset, samples, "cityscapes19", lambda done: None, 2)
    (kept,) = (tmp_path / "class-statistics").glob("*.json")
    naive = [count_classes(table[dataset.read_label(sample)]) for sample in samples]
    assert [{int(c): n for c, n in one.items()} for one in json.loads(kept.read_text())["counts"]] == naive
    stamp = kept.stat().st_mtime_ns
    items = [(dataset, sample, table) for sample in samples]
    assert class_counts(items, tmp_path / "class-statistics") == naive
    assert kept.stat().st_mtime_ns == stamp
    assert sum(row.pixels for row in found) == sum(sum(one.values()) for one in naive)
    assert sum(row.share for row in found) == pytest.approx(1)
    assert sum(row.probability for row in found) == pytest.approx(1, abs=1e-6)
    assert [row.images for row in found] == [sum(i in one for one in naive) for i in range(19)]


def test_raw_counts_are_mapped_like_labels() -> None:
    raw = np.random.default_rng(0).integers(0, 40, 2000, dtype=np.uint8)
    table = label_map("mapillary", "cityscapes16")
    counts = {int(i): int(n) for i, n in zip(*np.unique(raw, return_counts=True), strict=True)}
    assert mapped(counts, table.tolist()) == count_classes(table[raw])


def test_statistics_are_never_empty(worlds: Callable[[str], Path], tmp_path: Path) -> None:
    dataset = opened("gta5", worlds("gta5"))
    nothing = np.full(256, 255, np.uint8)
    items = [(dataset, sample, nothing) for sample in dataset.samples("all")]
    for chosen in (items, []):
        with pytest.raises(DataError, match="Not one labelled pixel"):
            class_counts(chosen, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_stats_shows_the_class_sets_that_benchmarks_train(
    worlds: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ADAPTBENCH_CACHE", str(tmp_path))
    root = worlds("synthia")
    assert main(["data", "stats", "synthia", "--data-path", f"synthia={root}", "--jobs", "1"]) == 0
    shown = capsys.readouterr().out
    assert "cityscapes16" in shown and "cityscapes13" in shown and "camvid11" not in shown

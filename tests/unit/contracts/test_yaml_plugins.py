"""Datasets and benchmarks that are YAML files: what they read, and what they say about mistakes."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forks import fork_jobs
from PIL import Image

from adaptbench import cli
from adaptbench.contracts import plugins, yaml_plugins
from adaptbench.contracts.dataset import Dataset
from adaptbench.data.taxonomy import IGNORE, class_set, known_ids, label_map
from adaptbench.errors import DataError, PluginError, UsageError
from adaptbench.planning import sources
from adaptbench.planning.plan import make_plan
from adaptbench.planning.request import Request

GREY = """\
dataset: polyps
title: Polyps (made up)
licence: mine
size: [64, 48]
classes: [background, {name: polyp, colour: "#ff2010"}]
labels:
  ids: {0: background, 255: polyp}
  ignore: [128]
splits:
  train: {images: clinic_a/*.jpg, labels: masks/clinic_a/{stem}.png}
  target: {images: "clinic_b/*/*.jpg"}
  val: {images: "clinic_b/*/*.jpg", labels: "masks/{parent}/{stem}.png"}
"""
PROBLEM = """\
benchmark: polyps_a_to_b
title: Polyps of clinic A to clinic B
class_set: polyps
datasets: [data/polyps.yaml]
source: [polyps/train]
target: [polyps/target]
evaluation: [polyps/val]
"""


@pytest.fixture
def polyps(tmp_path: Path) -> Path:
    """The folder data/ with a description, images and masks of two classes."""
    root = tmp_path / "data"
    rng = np.random.default_rng(0)
    for place, mask, count in (
        ("clinic_a", "clinic_a", 5),
        ("clinic_b/day_1", "day_1", 3),
        ("clinic_b/day_2", "day_2", 2),
    ):
        (root / place).mkdir(parents=True)
        (root / "masks" / mask).mkdir(parents=True)
        for index in range(count):
            ids = np.zeros((48, 64), np.uint8)
            ids[10 : 20 + index, 10:40] = 255
            ids[0, 0] = 128
            image = np.where(ids[..., None] == 255, 200, rng.integers(0, 99, (48, 64, 3))).astype(np.uint8)
            Image.fromarray(image).save(root / place / f"{index}.jpg")
            Image.fromarray(ids).save(root / "masks" / mask / f"{index}.png")
    (root / "polyps.yaml").write_text(
        GREY.replace("labels: masks/clinic_a/{stem}.png}", 'labels: "masks/clinic_a/{stem}.png"}')
    )
    (tmp_path / "a_to_b.yaml").write_text(PROBLEM)
    return root


def opened(file: Path) -> Dataset:
    registry = plugins.discover([file])
    name = next(n for n in registry.names("dataset") if registry.plugins["dataset"][n].file == file)
    loaded = sources.dataset_class(registry, name)
    return loaded(sources.official_root(registry, name, Request()))


def test_images_masks_and_classes(polyps: Path) -> None:
    dataset = opened(polyps / "polyps.yaml")
    assert [s.name for s in dataset.samples("train")] == ["0", "1", "2", "3", "4"]
    val = dataset.samples("val")
    assert [s.name for s in val] == ["day_1_0", "day_1_1", "day_1_2", "day_2_0", "day_2_1"]
    assert val[3].label == polyps / "masks/day_2/0.png"
    table = label_map(dataset.id_space, "polyps")
    raw = dataset.read_label(val[0])
    assert (table[raw] == np.where(raw == 128, IGNORE, raw == 255)).all()
    assert (table[7], table[128], known_ids("polyps")) == (IGNORE, IGNORE, {0, 128, 255})
    assert class_set("polyps").classes == ("background", "polyp")
    assert class_set("polyps").palette[1] == (255, 32, 16)
    assert not dataset.splits["target"].labelled
    assert set(dataset.label_places) == {polyps / "masks/clinic_a", polyps / "masks"}


def test_coloured_masks_of_a_known_class_set(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    (tmp_path / "images").mkdir()
    mask = np.array([[(128, 64, 128), (0, 0, 142), (1, 2, 3), (0, 0, 0)]], np.uint8)
    Image.fromarray(mask).save(tmp_path / "masks" / "a.png")
    Image.fromarray(mask).save(tmp_path / "images" / "a.png")
    file = tmp_path / "town.yaml"
    file.write_text(
        'dataset: town\nsize: [64, 32]\nclasses: cityscapes19\nlabels:\n  colours: {"#804080": road, "#00008E": car}\n'
        '  ignore: ["#000000"]\nsplits:\n  val: {images: images/*.png, labels: "masks/{stem}.png"}\n'
    )
    dataset = opened(file)
    (sample,) = dataset.samples("val")
    raw = dataset.decode_label(sample)
    assert label_map("town", "cityscapes19")[raw].tolist() == [[0, 13, IGNORE, IGNORE]]
    assert known_ids("town") == {0, 1, 2} and raw[0, 2] not in known_ids("town")
    with pytest.raises(DataError, match=r"colours that are not listed: #010203 \(1 pixels\)"):
        dataset.read_label(sample)


PLACES = [
    # Foggy Cityscapes, IDD and ACDC: what the mask's name drops or has instead, and trees of any depth
    (
        "fog/val/ulm/ulm_7_leftImg8bit_foggy_beta_0.02.png",
        '{images: "fog/val/*/*_beta_0.02.png", labels: "gt/val/{parent}/{stem}_gtFine_labelIds.png", '
        'replace: {_leftImg8bit_foggy_beta_0.02: ""}}',
        "gt/val/ulm/ulm_7_gtFine_labelIds.png",
    ),
    (
        "rgb/snow/val/GP01/GP01_f1_rgb_anon.png",
        '{images: "rgb/*/val/*/*_rgb_anon.png", labels: "gt/{folders}/{stem}.png", replace: {_rgb_anon: _gt_labelIds}}',
        "gt/snow/val/GP01/GP01_f1_gt_labelIds.png",
    ),
    ("images/a.png", '{images: "images/*.png", labels: "masks/{folders}/{stem}.png"}', "masks/a.png"),
]


@pytest.mark.parametrize(("image", "split", "mask"), PLACES)
def test_masks_with_other_names(image: str, split: str, mask: str, tmp_path: Path) -> None:
    (tmp_path / image).parent.mkdir(parents=True)
    Image.new("RGB", (8, 4)).save(tmp_path / image)
    file = tmp_path / "town.yaml"
    file.write_text(
        "dataset: town\nsize: [64, 32]\nclasses: cityscapes19\nlabels: {id_space: cityscapes}\n"
        f"splits:\n  val: {split}\n"
    )
    (sample,) = opened(file).samples("val")
    assert sample.label == tmp_path / mask
    assert ("replace" in opened(file).definition) == ("replace" in split)


def test_two_images_never_share_a_mask(polyps: Path) -> None:
    file = polyps / "polyps.yaml"
    file.write_text(file.read_text().replace("masks/{parent}/{stem}.png", "masks/day_1/{stem}.png"))
    with pytest.raises(DataError, match=r"day_1/0.jpg and .*day_2/0.jpg would have one mask, .*day_1/0.png"):
        opened(file).samples("val")


def test_a_range_of_values(polyps: Path, tmp_path: Path) -> None:
    file = polyps / "polyps.yaml"
    before = opened(file).definition
    assert "range" not in before, "what states none is the data that it was"
    file.write_text(file.read_text().replace("size:", "range: [0, 4095]\nsize:"))
    dataset = opened(file)
    assert dataset.definition != before
    sample = dataset.samples("train")[0]
    deep = tmp_path / "deep.png"
    Image.fromarray(np.array([[0, 4095]], np.uint16)).save(deep)
    assert dataset.read_image(replace(sample, image=deep)).tolist() == [[[0] * 3, [255] * 3]]
    file.write_text(file.read_text().replace("range: [0, 4095]", "range: [9, 9]"))
    with pytest.raises(UsageError, match=r"key 'range': it needs two values"):
        opened(file)


def test_a_known_numbering(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (8, 4)).save(tmp_path / "images" / "a.png")
    file = tmp_path / "my_town.yml"
    file.write_text(
        "dataset: my_town\nsize: [64, 32]\nclasses: cityscapes19\nlabels: {id_space: cityscapes}\nsplits:\n"
        '  val: {images: images/*.png, labels: "masks/{stem}.png"}\n'
    )
    assert opened(file).id_space == "cityscapes"


def test_a_benchmark_of_a_yaml_file_runs_from_its_file_alone(
    polyps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADAPTBENCH_CACHE", str(tmp_path / "cache"))
    fork_jobs(monkeypatch)
    file = str(tmp_path / "a_to_b.yaml")
    command = ["--methods", "source_only", "oracle", "--benchmarks", file, "--limit", "1"]
    before = sorted(polyps.rglob("*"))
    assert cli.main([*command, "--out", str(tmp_path / "out"), "--device", "cpu", "--jobs", "1"]) == 0
    assert sorted(polyps.rglob("*")) == before
    (record,) = (json.loads(path.read_text()) for path in (tmp_path / "out").rglob("record.json"))
    assert (record["method"], record["benchmark"]) == ("source_only", "polyps_a_to_b")
    assert list(record["scores"][0]["iou"]) == ["background", "polyp"]
    assert record["data"]["polyps"]["provenance"] == "official"


def test_a_changed_description_is_another_job(polyps: Path, tmp_path: Path) -> None:
    file = tmp_path / "a_to_b.yaml"

    def job() -> tuple[str, str]:
        request = Request(("source_only",), ("polyps_a_to_b",), plugins=(file,), out=tmp_path, device="cpu")
        (planned,) = make_plan(request).jobs
        return planned.spec.job_hash, planned.spec.ranking_hash

    first = job()
    assert job() == first
    text = (polyps / "polyps.yaml").read_text()
    (polyps / "polyps.yaml").write_text(text.replace("ignore: [128]", "ignore: [128, 7]"))
    second = job()
    assert second[0] != first[0] and second[1] != first[1]
    file.write_text(PROBLEM.replace("target: [polyps/target]", "target: [polyps/target, polyps/train]"))
    assert job()[0] != second[0]
    (polyps / "polyps.yaml").write_text(text.replace("Polyps (made up)", "Another title"))
    file.write_text(PROBLEM)
    assert job() == first


MASKS = 'labels: "masks/{parent}/{stem}.png"'
MISTAKES: list[tuple[str, str, str]] = [
    ("size: [64, 48]", "size: [64]", r"line 4, key 'size.*"),
    ("size: [64, 48]\n", "", r"line 1, key 'size': it is missing"),
    ("size: [64, 48]", "sise: [64, 48]", r"line 4, key 'sise': there is no such key|key 'size': it is missing"),
    ("255: polyp}", "255: polip}", r"line 7, key 'labels\.ids\.255': there is no class 'polip'. Known: back"),
    ("255: polyp}", "256: polyp}", r"line 7, key 'labels\.ids\.256'.*255"),
    ("ignore: [128]", 'ignore: ["#808080"]', r"line 8, key 'labels\.ignore\.0': expected a number from 0 to 255"),
    ("ids: {0", "codes: {0", r"line 7, key 'labels\.codes': there is no such key"),
    (MASKS, 'labels: "masks/{parent}/{name}.png"', r"line 12, key 'splits\.val\.labels': write \{stem\}"),
    (MASKS, 'labels: "clinic_b/{stem}.png"', r"line 12, key 'splits\.val\.labels': masks must lie"),
    (MASKS, 'labels: "../masks/{stem}.png"', r"line 12.*path below the root"),
    ("licence: mine", "licence: mine\nlicence: yours", r"line 4, key 'licence': it is stated twice"),
    ("classes: [", "classes: [[", r"line \d+: this is no YAML"),
    ("{name: polyp,", "{name: background,", r"line 5, key 'classes': a class is stated twice"),
    ("dataset: polyps", "dataset: Polyps 2", r"line 1, key 'dataset'.*pattern"),
    ("colour: ", "color: ", r"line 5, key 'classes\.1\.color': there is no such key\. Did you mean 'colour'"),
    ("dataset: polyps", "data: polyps", r"expected a key 'dataset' or 'benchmark'"),
]  # fmt: skip


@pytest.mark.parametrize(("stated", "mistake", "message"), MISTAKES, ids=[m for _, m, _ in MISTAKES])
def test_mistakes_name_file_line_and_key(stated: str, mistake: str, message: str, polyps: Path) -> None:
    file = polyps / "polyps.yaml"
    text = file.read_text()
    assert stated in text
    file.write_text(text.replace(stated, mistake, 1))
    with pytest.raises(UsageError, match=message) as caught:
        plugins.discover([file])
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("stated", "mistake", "message"),
    [
        ("data/polyps.yaml", "data/polips.yaml", r"line 4, key 'datasets\.0': there is no file"),
        ("[polyps/train]", "[polyps]", r"line 5, key 'source\.0': expected DATASET/SPLIT, found 'polyps'"),
        ("target: [polyps/target]\n", "", r"key 'setting': 'uda' needs a target"),
        ("evaluation:", "evaluations:", r"evaluation"),
        (
            "class_set: polyps",
            "class_set: polips",
            r"line 3, key 'class_set': Unknown class set 'polips'. Did you mean",
        ),
        ("class_set: polyps", "class_set: cityscapes19", r"line 5, key 'source\.0': .*'polyps'"),
        (
            "[polyps/train]",
            "[polips/train]",
            r"line 5, key 'source\.0': Unknown dataset 'polips'. Did you mean 'polyps'",
        ),
        (
            "[polyps/val]",
            "[polyps/val, polyps/vall]",
            r"line 7, key 'evaluation\.1': Unknown split of polyps 'vall'",
        ),
        (
            "[polyps/val]",
            "[polyps/target]",
            r"line 7, key 'evaluation\.0': polyps/target has no public labels. .*val",
        ),
        (
            "[polyps/val]",
            "[polyps/val]\nalso: [acdc/vall]",
            r"line 8, key 'also\.0': Unknown split of acdc 'vall'",
        ),
        (
            "[polyps/val]",
            "[polyps/val]\ndata: {kitti: official}",
            r"line 8, key 'data\.kitti': Unknown dataset",
        ),
        (
            "[polyps/val]",
            "[polyps/val, polyps/val]",
            r"line 7, key 'evaluation\.1': polyps/val is stated twice",
        ),
        (
            "[polyps/val]",
            "[polyps/train]",
            r"line 7, key 'evaluation\.0': polyps/train is a source, whose labels",
        ),
        ("[polyps/val]", "[polyps/val]\nsetting: dga", r"line 8, key 'setting': .*found 'dga'"),
        ("target: [polyps/target]\n", "setting: tta\n", r"key 'setting': 'tta' needs a stream"),
        (
            "target: [polyps/target]\n",
            "setting: tta\nstream: {rounds: 0}\n",
            r"line 7, key 'stream\.rounds': .*greater than or equal to 1",
        ),
        (
            "target: [polyps/target]\n",
            "setting: tta\nstream: {conditions: [fog, fog]}\n",
            r"line 7, key 'stream\.conditions': a condition is stated twice",
        ),
    ],
)
def test_mistakes_in_a_benchmark(
    stated: str, mistake: str, message: str, polyps: Path, tmp_path: Path
) -> None:
    file = tmp_path / "a_to_b.yaml"
    file.write_text(PROBLEM.replace(stated, mistake))
    request: dict[str, Any] = {"plugins": (file,), "out": tmp_path, "device": "cpu"}
    with pytest.raises(UsageError, match=message):
        make_plan(Request(("source_only",), ("polyps_a_to_b",), **request))


@pytest.mark.parametrize(
    ("key", "split"), [("source", "cityscapes/test"), ("evaluation", "dark_zurich/train_night")]
)
def test_splits_without_labels_in_a_benchmark_of_python(key: str, split: str, tmp_path: Path) -> None:
    """Cityscapes' test labels exist and hold void ids only; Dark Zurich has no training labels at all."""
    refs = {"source": "cityscapes/train", "target": "acdc/train", "evaluation": "acdc/val", key: split}
    stated = "\n".join(
        f"    {k} = (SplitRef({', '.join(map(repr, v.split('/')))}),)" for k, v in refs.items()
    )
    file = tmp_path / "void.py"
    file.write_text(
        "from adaptbench.contracts.benchmark import Benchmark, SplitRef\n\n\nclass Void(Benchmark):\n"
        f'    name = "void"\n    title = "Void"\n    class_set = "cityscapes19"\n{stated}\n'
    )
    with pytest.raises(PluginError, match=f"{key}.0 of 'void': {split} has no public labels"):
        make_plan(Request(("source_only",), ("void",), plugins=(file,), out=tmp_path, device="cpu"))


def test_a_split_without_images_and_a_dataset_as_benchmark(polyps: Path) -> None:
    file = polyps / "polyps.yaml"
    file.write_text(file.read_text().replace("clinic_a/*.jpg", "clinic_a/*.tif"))
    with pytest.raises(DataError, match=r"no image matches clinic_a/\*\.tif"):
        opened(file).samples("train")
    assert yaml_plugins.kind(file) == "dataset"
    assert cli.main(["--benchmarks", str(file), "--dry-run"]) == 2


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("masks/{parent}/{stem}.png", "masks/{stem}}.png", r"splits\.val\.labels'.*write {stem}"),
        ("clinic_a/*.jpg", '""', r"splits\.train\.images'.*write a path below the root"),
        ("clinic_a/*.jpg", '"***/a"', r"splits\.train\.images'.*'\*\*' stands alone"),
        ("clinic_a/*.jpg", '"' + "*/" * 40 + 'x"', r"splits\.train\.images'.*write a path below the root"),
        ("clinic_a/*.jpg", '"' + "x" * 300 + '*"', r"splits\.train\.images'.*write a path below the root"),
        ("{stem}.png}\n  target", '{stem}.png", replace: {a: "../../b"}}\n  target', "part of a file's name"),
        ("title:", 'root: "loop"\ntitle:', "key 'root': there can be no such path: Symlink loop"),
        ("title:", 'root: "\\0"\ntitle:', "key 'root': there can be no such path: embedded null byte"),
        (
            "title:",
            f"root: {'x' * 300}\ntitle:",
            r"key 'root': there can be no such path: .*File name too long",
        ),
        ("[64, 48]", f"[{10**30}, 48]", r"key 'size\.0': Input should be less than or equal to 65536"),
        ("title:", f"range: [0, {10**30}]\ntitle:", r"key 'range\.1': Input should be less than or equal"),
    ],
)
def test_places_that_cannot_be(old: str, new: str, said: str, polyps: Path) -> None:
    (polyps / "loop").symlink_to("loop")
    file = polyps / "polyps.yaml"
    text = file.read_text()
    old = old if old in text else old.replace("{stem}.png}", '{stem}.png"}')
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(UsageError, match=said):
        opened(file)


def test_replacements_that_grow(polyps: Path) -> None:
    """Forty doublings of a name would be a terabyte."""
    file = polyps / "polyps.yaml"
    doubled = ", ".join(f'"{letter}": "{chr(ord(letter) + 1) * 2}"' for letter in "abcdefghijklmnopqrstuvwxy")
    replace = f'{{stem}}.png", replace: {{"0": aaaa, {doubled}}}}}\n  target'
    file.write_text(file.read_text().replace('{stem}.png"}\n  target', replace, 1))
    assert max(len(sample.label.stem) for sample in opened(file).samples("train")) <= 255


def test_folders_are_no_images(polyps: Path) -> None:
    (polyps / "clinic_a" / "7.jpg").mkdir()
    assert len(opened(polyps / "polyps.yaml").samples("train")) == 5


def test_a_folder_that_cannot_be_listed_is_no_empty_one(
    polyps: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its images would be left out in silence; as root nothing is closed by permissions."""
    closed = polyps / "clinic_b/day_2"
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != closed)
    dataset = opened(polyps / "polyps.yaml")
    assert len(dataset.samples("train")) == 5
    with pytest.raises(DataError, match=rf"The folder {closed} cannot be listed: permission denied"):
        dataset.samples("val")


def test_a_name_that_is_no_utf8_is_refused(polyps: Path) -> None:
    (polyps / "clinic_a" / os.fsdecode(b"by\xffte.jpg")).touch()
    with pytest.raises(
        DataError, match=r"clinic_a/by\\udcffte.jpg' is no UTF-8. Rename the file and its label"
    ):
        opened(polyps / "polyps.yaml").samples("train")


def test_a_stream_in_a_file(polyps: Path, tmp_path: Path) -> None:
    file = tmp_path / "a_to_b.yaml"
    stream = "setting: tta\nstream: {rounds: 2}\n"
    file.write_text(PROBLEM.replace("target: [polyps/target]\n", stream))
    request: dict[str, Any] = {"plugins": (file,), "out": tmp_path, "device": "cpu", "profile": "mini"}
    (job,) = make_plan(Request(("source_only",), ("polyps_a_to_b",), **request)).jobs
    assert job.spec.ranking["setting"] == "tta"
    assert job.spec.ranking["stream"] == {"conditions": [], "rounds": 2}

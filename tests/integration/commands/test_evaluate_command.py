"""``evaluate``: every labelled split that is found, scored once, with its matrices; the rest is named."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch_switches
from small_checkpoint import NETWORK, published, trained

from adaptbench.cli import main
from adaptbench.data import firewall, minicity
from adaptbench.data.taxonomy import CITYSCAPES16OF19
from adaptbench.evaluation.class_views import closed, selected
from adaptbench.records.checkpoint_scores import Evaluation, load_evaluation, scan_evaluations
from adaptbench.records.confusion_files import PerImageConfusion
from methods.daformer import DAFormer

Call = Callable[..., str]
DAFORMER = ("--method", "daformer", "--network", NETWORK)
CPU = ("--device", "cpu", "--profile", "mini")


def splits(out: Path) -> dict[str, Evaluation]:
    found, unreadable = scan_evaluations(out)
    assert not unreadable
    return {evaluation.score.split: evaluation for evaluation in found}


class Scored(NamedTuple):
    """A results folder with an evaluation, not to be changed; the command line without folder, and what it said."""

    out: Path
    words: tuple[object, ...]
    said: str


@pytest.fixture(scope="module")
def scored(made_once: Path, small_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Scored:
    """The import on official folders, each labelled split of which is scored."""
    out = tmp_path_factory.mktemp("scored")
    shutil.copytree(made_once / "imported", out / "imported")
    words = ("evaluate", "mine", *CPU, "--data", "official", "--data-root", small_world)
    said = io.StringIO()
    with torch_switches.restored(), redirect_stdout(said):
        assert main([*map(str, words), "--out", str(out)]) == 0
    return Scored(out, words, said.getvalue())


def test_every_labelled_split_of_official_folders(scored: Scored) -> None:
    said = scored.said
    assert "mine: gta5/heldout is left out. gta5: no image matches heldout/images/*.png" in said
    assert "camvid" not in said  # no label of it can be scored in 19 classes
    assert re.search(r"cityscapes/val +cityscapes19 +official +3 ", said)
    found = splits(scored.out)
    assert found.keys() == {"cityscapes/val", "cityscapes/train", "gta5/all"}
    evaluation = found["cityscapes/val"]
    assert evaluation.origin.kind == "imported"
    assert (evaluation.origin.weights, evaluation.origin.source) == ("student", "iter_40000.pth")
    assert (evaluation.smoke, evaluation.oracle, evaluation.network.name) == (False, False, NETWORK)
    assert evaluation.data["provenance"] == "official"


def test_scores_follow_from_the_matrices_beside_them(scored: Scored) -> None:
    (path,) = (scored.out / "evaluations" / "mine").glob("cityscapes-val-*.json")
    evaluation = load_evaluation(path)
    confusion = PerImageConfusion.load(path.with_suffix(".npz"))
    assert len(confusion.names) == evaluation.score.images == 3
    total = confusion.matrices.sum(0).astype(float)
    union = total.sum(0) + total.sum(1) - np.diag(total)
    labelled = total.sum(1) > 0
    ious = np.diag(total)[labelled] / union[labelled]
    assert evaluation.score.miou == pytest.approx(100 * ious.mean(), abs=1e-9)


def test_labels_and_mean_of_a_paper(call: Call, tmp_path: Path, official: Path, out: Path) -> None:
    """A network of 19 classes for SYNTHIA, scored as HRDA and, at another size, as EHTDI is."""
    path = tmp_path / "nineteen.pth"
    torch.save(published(trained(19), trained(19)), path)
    call("import", path, *DAFORMER, "--classes", "cityscapes16of19", "--name", "nineteen")
    where = (*CPU, "--data", "official", "--data-root", official, "--benchmarks", "synthia_to_cityscapes")
    for protocol in ("as-published:hrda", "as-published:ehtdi"):
        call("evaluate", "nineteen", *where, "--protocol", protocol)
    files = (out / "evaluations" / "nineteen").glob("cityscapes-val-*.json")
    found = {load_evaluation(file).protocol["label_size"]: file for file in files}
    pixels = {size: PerImageConfusion.load(f.with_suffix(".npz")).total() for size, f in found.items()}
    score = load_evaluation(found["native"]).score
    kept = CITYSCAPES16OF19.averaged or ()
    assert score.miou == pytest.approx(100 * selected(closed(pixels["native"]), kept, "skip"), abs=1e-9)
    assert pixels["native"].sum() != pixels["1280x640"].sum()
    page = (out / "leaderboards" / "checkpoints.md").read_text()
    assert "label_size is 1280x640 instead of native" in page
    said = call("evaluate", "nineteen", *where, "--protocol", "as-published:hrdaa", status=2)
    assert "Did you mean 'as-published:hrda'" in said


def test_nothing_is_scored_twice(call: Call, scored: Scored, out: Path) -> None:
    assert "mine on cityscapes/val: 3 images" in scored.said
    shutil.copytree(scored.out, out)
    before = {path: path.read_bytes() for path in (out / "evaluations").rglob("*.*")}
    again = call(*scored.words)
    assert "images\n" not in again
    assert "cityscapes/val" in again
    assert {path: path.read_bytes() for path in before} == before
    assert "mine on cityscapes/val: 3 images" in call(*scored.words, "--force")


def test_the_splits_of_a_benchmark(call: Call, mine: str, official: Path, out: Path) -> None:
    words = ("--data", "official", "--data-root", official, "--benchmarks", "gta5_to_cityscapes")
    said = call("evaluate", mine, *CPU, *words)
    assert splits(out).keys() == {"cityscapes/val"}
    assert "gta5/heldout is left out" in said


def test_another_class_set_sees_other_splits(call: Call, tmp_path: Path, official: Path, out: Path) -> None:
    path = tmp_path / "eleven.pth"
    torch.save(published(trained(11), trained(11)), path)
    call("import", path, *DAFORMER, "--classes", "camvid11", "--name", "eleven")
    said = call("evaluate", "eleven", *CPU, "--data", "official", "--data-root", official)
    assert "eleven: camvid/val is left out. camvid: not found" in said
    assert {e.score.class_set for e in splits(out).values()} == {"camvid11"}
    assert len(splits(out)["gta5/all"].score.iou) == 11


def test_generated_images_end_to_end(
    call: Call, mine: str, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Import, generate, score, list: as a user without data would try it."""
    monkeypatch.setenv("ADAPTBENCH_CACHE", str(tmp_path / "cache"))
    said = call("evaluate", mine, *CPU, "--data", "generated", "--limit", 1)
    assert "generated data, not the real" in " ".join(said.split())
    found = splits(out)
    cities = {f"crosscity/{city}_test" for city in ("rio", "rome", "taipei", "tokyo")}
    scored = {"cityscapes/val", "acdc/val", "dark_zurich/val", "bdd100k/val", "mapillary/validation"}
    scored |= {"idd/val", "wilddash2/public"}
    assert found.keys() == {*scored, *cities, "gta5/heldout"}
    assert all(e.smoke and e.score.images == 1 and e.score.provenance == "generated" for e in found.values())
    page = (out / "leaderboards" / "checkpoints.md").read_text()
    assert "imported: student of iter_40000.pth (smoke)" in page
    assert "cityscapes/val in cityscapes19 (generated, " in page
    call("report")
    assert (out / "leaderboards" / "checkpoints.md").read_text() == page
    assert "mine" not in (out / "leaderboards" / "leaderboard.md").read_text()


def test_an_import_is_scored_at_the_published_size_by_default(call: Call, mine: str) -> None:
    said = call("evaluate", mine, "--device", "cpu", status=2)
    assert "Nothing to score in cityscapes19: looked for cityscapes/val, " in said
    assert "pass --data-root (its parent) or --data-path cityscapes=FOLDER" in said
    assert said.rstrip().endswith("--data generated.")


def test_labels_that_are_missing_are_named(call: Call, mine: str, official: Path, out: Path) -> None:
    next((official / "cityscapes" / "gtFine" / "val").rglob("*labelIds.png")).unlink()
    said = call("evaluate", mine, *CPU, "--data", "official", "--data-root", official)
    assert "mine: cityscapes/val is left out. cityscapes/val: 1 of 3 images" in said
    assert "cityscapes/val" not in splits(out)


def test_code_of_a_method_cannot_open_labels(
    call: Call, mine: str, official: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(firewall, "_breaches", [])  # what is refused here is no breach of the other tests
    label = next((official / "cityscapes" / "gtFine" / "val").rglob("*labelIds.png"))
    inference = DAFormer.inference

    def peeking(self: DAFormer) -> object:
        label.read_bytes()
        return inference(self)

    monkeypatch.setattr(DAFormer, "inference", peeking)
    said = call("evaluate", mine, *CPU, "--data", "official", "--data-root", official, status=2)
    assert "A method tried to open" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Name an import (here: mine), or give the folder of a finished run."),
        (("mime",), "Unknown import or run 'mime'. Did you mean 'mine'? Known: mine."),
        (("mine", "--limit", "0"), "--limit 0: give at least 1."),
        (("mine", "--data-path", "kitti=/x"), "Unknown dataset 'kitti'"),
        (("mine", "--benchmarks", "gta5_to_city"), "Did you mean 'gta5_to_cityscapes'"),
        (
            ("mine", "--benchmarks", "minicity/gta5_to_cityscapes", "--data", "official"),
            "drop --data official",
        ),
    ],
)
def test_wrong_words(arguments: tuple[str, ...], message: str, call: Call, mine: str, out: Path) -> None:
    assert message in call("evaluate", *arguments, status=2)
    assert not (out / "evaluations").exists()


def test_a_foreign_file_is_imported_first(call: Call, mine: str, file: Path) -> None:
    assert "run_all.py import FILE --method METHOD" in call("evaluate", file, status=2)


def test_damaged_results_are_listed(call: Call, scored: Scored, out: Path) -> None:
    shutil.copytree(scored.out, out)
    (path,) = (out / "evaluations" / "mine").glob("gta5-all-*.json")
    path.write_text("{")
    call("report")
    page = (out / "leaderboards" / "checkpoints.md").read_text()
    assert "Left out: files that could not be read" in page
    assert "evaluations/mine/gta5-all-" in page
    assert str(out) not in page


def test_the_generated_world_of_a_benchmark_is_not_made_twice(
    call: Call, mine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What runs generate with --full is what an evaluation looks for."""
    monkeypatch.setenv("ADAPTBENCH_CACHE", str(tmp_path / "cache"))
    beside = [("acdc", "val"), ("dark_zurich", "val"), ("bdd100k", "val"), ("mapillary", "validation")]
    beside += [("idd", "val"), ("wilddash2", "public")]
    cities = [("crosscity", f"{city}_test") for city in ("rio", "rome", "taipei", "tokyo")]
    for name, counts in (
        ("gta5", {"heldout": 4}),
        ("cityscapes", {"train": 4, "val": 4}),
        *((name, {split: 4}) for name, split in (*beside, *cities)),
    ):
        minicity.ensure(minicity.WorldSpec(scale=0.25), name, counts, workers=1)
    assert "Generating" not in call("evaluate", mine, *CPU, "--limit", 1)


def test_a_network_adapts_to_the_images_of_a_split(call: Call, scored: Scored, out: Path) -> None:
    """Every method scores under a name of its own, twice the same, and leaves the plain score as it is."""
    shutil.copytree(scored.out, out)
    plain = splits(out)["cityscapes/val"]
    words = (*scored.words, "--splits", "cityscapes/val")
    small = ("crop_height=32", "crop_width=32", "learning_rate=0.1")
    given = {
        "tent": small,
        "norm_adapt": ("alpha=1",),
        "cotta": ("learning_rate=0.01", "threshold=0.9", "ratios=[0.5,0.75,1]"),
    }
    matrices = {}
    for method, settings in given.items():
        said = call(*words, "--adapt", method, "--set", *settings)
        assert f"adapts by {method} (" in " ".join(said.split())
        (path,) = (out / "evaluations" / f"mine-{method}").glob("*.json")
        evaluation, first = load_evaluation(path), path.with_suffix(".npz").read_bytes()
        assert evaluation.adaptation is not None
        assert evaluation.adaptation["order"] == "of the split"
        assert evaluation.weights_sha256 == plain.weights_sha256
        if method == "tent":
            call(*words, "--adapt", method, "--set", *settings, "--force")
            assert path.with_suffix(".npz").read_bytes() == first
        matrices[method] = PerImageConfusion.load(path.with_suffix(".npz")).total().tolist()
    assert len({str(matrix) for matrix in matrices.values()}) == 3
    (path,) = (out / "evaluations" / "mine").glob("cityscapes-val-*.json")
    assert load_evaluation(path) == plain
    assert '"adaptation"' not in path.read_text()
    page = (out / "leaderboards" / "checkpoints.md").read_text()
    assert "norm_adapt (alpha=1.0), images in the order of the split" in page


def test_what_an_adaptation_cannot_mean(call: Call, scored: Scored, out: Path) -> None:
    shutil.copytree(scored.out, out)
    words = (*scored.words, "--splits", "cityscapes/val")
    refused = {
        ("--set", "alpha=1"): "--set is for settings of --adapt",
        ("--adapt", "norm_adapt", "--set", "alpha"): "expected KEY=VALUE, a setting of norm_adapt",
        ("--adapt", "norm_adapt", "--set", "alpa=1"): "Did you mean 'alpha'",
        ("--adapt", "norm_adapt", "--set", "alpha=2"): "--set alpha: Input should be less than or equal to 1",
        ("--adapt", "cotta", "--set", "ratios=[1,2,3]"): "the third ratio must be 1",
        ("--adapt", "tent", "--set", "crop_height=5000"): "Choose a smaller crop_height",
        ("--adapt", "tent", "--set", "crop_height=1", "crop_width=1"): "Choose larger crops",
    }
    for options, reason in refused.items():
        assert reason in " ".join(call(*words, *options, status=2).split())

"""Bad input through the command line: one paragraph, what is wrong, where, what to do; and nothing is lost."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import cv2
import numpy as np
import pytest
from forks import fork_jobs

from adaptbench.cli import main
from adaptbench.flags import EXIT_UNFINISHED, EXIT_USAGE

Ask = Callable[..., str]


@pytest.fixture
def refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, official: Path
) -> Ask:
    """Calls the command, which must refuse at once and write nothing, and returns the paragraph."""
    monkeypatch.setenv("ADAPTBENCH_CACHE", str(tmp_path / "cache"))

    def call(*arguments: str, data: bool = False) -> str:
        words = ["--methods", "source_only", "--device", "cpu", "--out", str(tmp_path / "out"), *arguments]
        if data:
            words += ["--data", "official", "--data-root", str(official)]
        assert main(words) == EXIT_USAGE
        shown = capsys.readouterr().err
        assert shown.startswith("adaptbench: ")
        assert len(shown.splitlines()) == 1, "one paragraph"
        assert len(shown) < 1000
        assert not (tmp_path / "out").exists()
        assert not (tmp_path / "cache").exists()
        return shown

    return call


def test_unknown_names(refused: Ask) -> None:
    assert "Unknown method 'dasc'. Did you mean 'dacs'" in refused("--methods", "dasc")
    assert "Did you mean 'gta5_to_cityscapes'" in refused("--benchmarks", "gta_to_cityscapes")
    assert "Unknown setting 'corp'. Did you mean 'crop'? Known: adam_betas, " in refused("--set", "corp=64")


def test_a_value_of_the_wrong_type(refused: Ask) -> None:
    said = refused("--set", "batch_size=two")
    assert "source_only: --set batch_size='two': batch_size (images per domain" in said
    assert "should be a valid integer" in said


def test_a_data_root_that_lacks_the_folder(refused: Ask, official: Path) -> None:
    (official / "gta5").rename(official / "elsewhere")
    said = refused(data=True)
    assert f"gta5: not found; looked for {official}/gta5, {official}/GTA5, " in said
    assert "Get it from https://" in said
    assert "--data-path gta5=FOLDER" in said


@pytest.mark.parametrize(
    ("labels", "counted"),
    [("gta5/labels", "gta5/all: 4 of 4"), ("cityscapes/gtFine/val", "cityscapes/val: 3 of 3")],
)
def test_labels_that_are_missing(labels: str, counted: str, refused: Ask, official: Path) -> None:
    example = min(path for path in (official / labels).rglob("*.png") if "TrainIds" not in path.name)
    shutil.rmtree(official / labels)
    said = refused(data=True)
    assert f"{counted} images under {official}" in said
    assert f"have no label file, for example {example}, " in said
    assert "Unpack the labels" in said


def test_plugins_that_are_not_there(refused: Ask) -> None:
    assert "--plugins /nowhere: no such file or folder" in refused("--plugins", "/nowhere")


def test_no_space_left(
    tmp_path: Path,
    official: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    words = ["--methods", "source_only", "--device", "cpu", "--out", str(tmp_path / "out")]
    assert main([*words, "--data", "official", "--data-root", str(official)]) == EXIT_USAGE
    said = capsys.readouterr().err
    assert f"adaptbench: Cannot write {tmp_path}/out/runs/" in said
    assert "No space left on device (" in said and "Free some space and run again" in said
    assert {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()} <= {"2"}  # of a claim


#: A dataset and a benchmark for each kind of damage, so that one command meets them all.
DAMAGED = """
from adaptbench.contracts import plugins
from adaptbench.contracts.benchmark import Benchmark, SplitRef

GTA5 = plugins.load(plugins.discover().find("dataset", "gta5"))


class Damaged(GTA5):
    name = "{name}"
    title = "GTA5 with damaged files"
    splits = GTA5.splits


class FromDamaged(Benchmark):
    name = "from_{name}"
    title = "Damaged to Cityscapes"
    class_set = "cityscapes19"
    source = (SplitRef("{name}", "all"),)
    target = (SplitRef("cityscapes", "train"),)
    evaluation = (SplitRef("cityscapes", "val"),)
"""


def truncate(root: Path) -> None:
    for path in (root / "images").iterdir():
        path.write_bytes(path.read_bytes()[:-20])


def colour(root: Path) -> None:
    for path in (root / "labels").iterdir():
        cv2.imwrite(str(path), np.zeros((63, 115, 3), np.uint8))


def cut(root: Path) -> None:
    for path in (root / "labels").iterdir():
        cv2.imwrite(str(path), np.full((60, 115), 7, np.uint8))


@pytest.fixture(scope="module")
def damaged(small_world: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, str]:
    """Folder, exit code and output of a run on data with three kinds of damage."""
    base = tmp_path_factory.mktemp("damaged")
    names, paths = [], [f"cityscapes={small_world / 'cityscapes'}"]
    for damage in (truncate, colour, cut):
        name = damage.__name__
        damage(Path(shutil.copytree(small_world / "gta5", base / name)))
        (base / f"{name}.py").write_text(DAMAGED.format(name=name))
        names.append(name)
        paths.append(f"{name}={base / name}")
    command = ["--methods", "source_only", "--limit", "1"]
    command += ["--benchmarks", *(f"from_{name}" for name in names), "--plugins", str(base)]
    command += ["--data", "official", "--data-path", *paths, "--device", "cpu", "--out", str(base / "out")]
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said), redirect_stderr(said):
        fork_jobs(patch)
        code = main(command)
    return base, code, said.getvalue()


@pytest.mark.parametrize(
    ("name", "files", "message"),
    [
        ("truncate", "images", "Damaged or unreadable image {file}: truncated: no end chunk"),
        (
            "colour",
            "labels",
            "Label file with unknown encoding: {file} is a PNG of mode 'RGB'. Expected a PNG",
        ),
        ("cut", "labels", "Label file {file} has another size than its image: 115x60, but "),
    ],
)
def test_damaged_files_are_named(name: str, files: str, message: str, damaged: tuple[Path, int, str]) -> None:
    base, code, output = damaged
    assert code == EXIT_UNFINISHED, output
    assert "Traceback" not in output
    expected = [message.format(file=path) for path in (base / name / files).iterdir()]
    assert any(text in output for text in expected), output
    (status,) = (base / "out" / "runs" / f"from_{name}").rglob("status")
    facts = json.loads(status.read_text())
    assert facts["state"] == "failed"
    assert any(text in facts["reason"] for text in expected)
    assert not list((base / "out").rglob("record.json"))

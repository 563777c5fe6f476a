"""What a sealed process can open: every case runs in a fork, because a seal cannot be lifted."""

from __future__ import annotations

import inspect
import multiprocessing
import os
import shutil
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torchvision.io
from PIL import Image

from adaptbench.data import firewall
from adaptbench.data.stream import TrainingStream
from adaptbench.errors import FirewallError, PluginError
from adaptbench.execution import job_context
from adaptbench.execution.stages.child import seal
from adaptbench.execution.stages.data import training_data
from adaptbench.execution.stages.planned import plan_stages
from adaptbench.records.jobspec import load_job

from .bench import PLUGINS, Bench

READERS: dict[str, Callable[[Path], Any]] = {
    "open": lambda path: path.open("rb").read(),
    "read_bytes": Path.read_bytes,
    "os.open": lambda path: os.open(path, os.O_RDONLY),
    "pillow": lambda path: Image.open(path).load(),
    "opencv": lambda path: cv2.imread(str(path)),
    "torchvision": lambda path: torchvision.io.read_image(str(path)),
    "numpy": lambda path: np.fromfile(path, np.uint8),
    "copy": lambda path: shutil.copyfile(path, path.parents[2] / "copy.png"),
    "rename": lambda path: path.rename(path.parents[2] / "moved.png"),
    "rename folder": lambda path: path.parent.rename(path.parents[1] / "moved"),
    "hard link": lambda path: (path.parents[1] / "link.png").hardlink_to(path),
    "symbolic link": lambda path: (path.parents[1] / "elsewhere" / path.name).read_bytes(),
    "dots": lambda path: (path.parent / ".." / path.parent.name / path.name).read_bytes(),
}


def in_fork(act: Callable[..., None], *arguments: Any) -> None:
    """Runs ``act`` in a child process and fails with its traceback."""
    context = multiprocessing.get_context("fork")
    answer, ours = context.Pipe(duplex=False)
    child = context.Process(target=_act, args=(ours, act, arguments))
    child.start()
    ours.close()
    try:
        text = answer.recv()
    except EOFError:
        text = "the process ended without an answer"
    child.join()
    assert not text, text


def _act(answer: Connection, act: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    try:
        act(*arguments)
        answer.send("")
    except BaseException:
        answer.send(traceback.format_exc())


def _refused(read: Callable[[Path], Any], path: Path) -> None:
    with pytest.raises(FirewallError, match=r"tried to open .*labels"):
        read(path)
    with pytest.raises(FirewallError):
        firewall.require_intact()


@pytest.fixture
def label(tmp_path: Path) -> Path:
    (tmp_path / "labels").mkdir()
    (tmp_path / "elsewhere").symlink_to(tmp_path / "labels")
    path = tmp_path / "labels" / "canary.png"
    Image.fromarray(np.zeros((4, 8), np.uint8)).save(path)
    return path


@pytest.mark.parametrize("reader", READERS)
def test_forbidden_file_cannot_be_read(label: Path, reader: str) -> None:
    def act() -> None:
        firewall.seal([label.parent])
        _refused(READERS[reader], label)

    in_fork(act)
    assert label.exists()
    READERS["pillow"](label)  # the process that forked is not sealed


def test_children_are_sealed_too(label: Path) -> None:
    def act() -> None:
        firewall.seal([label.parent])
        in_fork(_refused, Path.read_bytes, label)

    in_fork(act)


def test_what_is_trained_on_can_be_read(label: Path) -> None:
    def act() -> None:
        firewall.seal([label.parent], allowed=[label])
        READERS["pillow"](label)
        READERS["opencv"](label)
        firewall.require_intact()

    in_fork(act)


def test_closed_only_within_the_block(label: Path) -> None:
    def act() -> None:
        stolen_reader = inspect.unwrap(cv2.imread)  # another test of this process may have closed something
        with firewall.closed([label.parent]):
            early = cv2.imread
            _refused(READERS["opencv"], label)
        early(str(label))
        READERS["pillow"](label)
        firewall.seal([label.parent])
        with pytest.raises(FirewallError):
            early(str(label))
        assert stolen_reader is not early

    in_fork(act)


def test_oracle_reads_target_labels_of_training_alone(reference: Bench) -> None:
    def act() -> None:
        folder = reference.folder("after_oracle")
        context = job_context.open_job_context(load_job(folder), folder)
        first = plan_stages(context)[0]
        labelled, target = training_data(context, first.stage)
        seal(context, TrainingStream(labelled, target, first.stage.settings, 0))
        cityscapes, gta5 = context.datasets["cityscapes"], context.datasets["gta5"]
        cityscapes.read_label(cityscapes.samples("train")[0])
        firewall.require_intact()
        for dataset, split in ((cityscapes, "val"), (gta5, "all")):
            with pytest.raises(FirewallError, match="tried to open"):
                dataset.read_label(dataset.samples(split)[0])

    in_fork(act)


def test_method_cannot_read_labels_when_it_is_imported(
    reference: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def act() -> None:
        folder = reference.folder("source_only")
        plugins = [str(path) for path in (*reference.plugins, PLUGINS / "hasty.py")]
        spec = load_job(folder).model_copy(update={"method": "hasty", "plugins": plugins})
        with pytest.raises(PluginError, match=r"tried to open .*gtFine"):
            job_context.open_job_context(spec, folder)

    monkeypatch.setenv("ADAPTBENCH_CACHE", str(reference.cache))
    in_fork(act)

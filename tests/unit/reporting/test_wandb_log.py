"""The real library writes offline runs; nothing here touches the network."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from adaptbench.errors import RunStateError, UsageError
from adaptbench.jobspec import job_folder
from adaptbench.reporting.record import Record
from adaptbench.reporting.wandb_log import history, summary, upload

Maker = Callable[..., Record]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key of the machine is found, nothing is sent, nothing is written outside ``tmp_path``."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("HOME", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.setenv("NETRC", str(home / "netrc"))
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setenv("WANDB_MODE", "offline")
    for name in ("WANDB_API_KEY", "WANDB_DIR", "WANDB_PROJECT", "WANDB_ENTITY", "WANDB_RUN_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def real() -> Iterator[None]:
    """The real library, without what an earlier test made it remember."""
    import wandb

    wandb.teardown()
    yield
    wandb.teardown()


def write_metrics(record: Record, out: Path, iterations: list[int]) -> None:
    folder = job_folder(out, record.benchmark, record.method, record.seed, record.job_hash)
    folder.mkdir(parents=True)
    lines = [json.dumps({"iteration": i, "loss": 2.0 / (i + 1), "mix.loss": None}) for i in iterations]
    (folder / "metrics.jsonl").write_text("".join(line + "\n" for line in lines), encoding="utf-8")


@pytest.mark.parametrize("mode", ["offline", None])
def test_offline_runs_are_written_and_replaced(
    real: None, record: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str | None
) -> None:
    """Offline is what happens on demand, and where no API key is set up."""
    if mode is None:
        monkeypatch.delenv("WANDB_MODE")
    records = [record("dacs"), record("oracle", tags=("oracle",))]
    write_metrics(records[0], tmp_path, [0, 10, 20])
    done = upload(records, tmp_path, "demo")
    assert (done.mode, done.runs, done.folder) == ("offline", 2, tmp_path / "wandb/demo/wandb")
    assert f"wandb sync {done.folder / 'offline-run-*'}" in str(done)
    (run,) = done.folder.glob(f"offline-run-*-{records[0].job_hash}")
    (log,) = run.glob("*.wandb")
    content = log.read_bytes()
    for text in (
        "minicity/gta5_to_cityscapes",
        "dacs seed 0",
        "train/loss",
        "cityscapes19/cityscapes/val/mIoU",
    ):
        assert text.encode() in content
    upload(records, tmp_path, "demo")
    assert len(list(done.folder.glob("offline-run-*"))) == 2


def test_wandb_dir_is_honoured(
    real: None, record: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_DIR", str(tmp_path / "elsewhere"))
    done = upload([record()], tmp_path, "me/demo")
    assert done.folder == tmp_path / "elsewhere/demo/wandb"
    assert len(list(done.folder.glob("offline-run-*"))) == 1
    assert not (tmp_path / "wandb").exists()


@pytest.mark.parametrize("project", ["", "me/", "a/b/c"])
def test_a_wrong_project_is_refused(project: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected PROJECT or ENTITY/PROJECT"):
        upload([], tmp_path, project)


def test_a_folder_that_cannot_be_written_is_named(record: Maker, tmp_path: Path) -> None:
    (tmp_path / "wandb").write_text("in the way")
    with pytest.raises(RunStateError, match=str(tmp_path / "wandb/demo")):
        upload([record()], tmp_path, "demo")


class FakeRun:
    """A run on a server that already holds the steps below ``step``."""

    disabled = offline = False
    project_url = "https://server/me/demo"

    def __init__(self, step: int) -> None:
        self.step = step
        self.logged: list[tuple[int, dict[str, float]]] = []
        self.summary: dict[str, float] = {}

    def __enter__(self) -> FakeRun:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def log(self, values: dict[str, float], step: int) -> None:
        self.logged.append((step, values))


class FakeServer(ModuleType):
    """Stands in for the wandb module with a key and a server."""

    class Error(Exception):
        pass

    def __init__(self, step: int = 0, error: str | None = None) -> None:
        super().__init__("wandb")
        self.run = FakeRun(step)
        self.error = error
        self.options: dict[str, Any] = {}

    def login(self, **_: object) -> bool:
        return True

    Settings = SimpleNamespace

    def init(self, **options: Any) -> FakeRun:
        if self.error:
            raise FakeServer.Error(self.error)
        self.options = options
        return self.run


def test_what_a_run_says(record: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = FakeServer()
    monkeypatch.setitem(sys.modules, "wandb", server)
    monkeypatch.delenv("WANDB_MODE")
    one = record("dacs", 40.0, 3, tags=("self-training",), smoke=True, overrides={"minicity.gap": 0.5})
    write_metrics(one, tmp_path, [0, 10])
    done = upload([one], tmp_path, "me/demo")
    assert str(done) == "W&B: 1 runs in https://server/me/demo"
    options = server.options
    assert "mode" not in options
    assert (options["entity"], options["project"]) == ("me", "demo")
    assert (options["id"], options["resume"]) == (one.job_hash, "allow")
    assert (options["group"], options["job_type"]) == ("dacs", "minicity/gta5_to_cityscapes")
    assert options["tags"] == ["self-training", "mini", "uda", "smoke"]
    config = options["config"]
    assert (config["seed"], config["profile"]) == (3, "mini")
    assert config["network"]["name"] == "deeplabv2-mini"
    assert config["overrides"] == {"minicity.gap": 0.5}
    assert config["settings"]["lr"] == 2.5e-4
    assert server.run.logged == [(0, {"train/loss": 2.0}), (10, {"train/loss": 2.0 / 11})]
    assert server.run.summary == summary(one)


def test_a_repeated_upload_adds_only_what_is_missing(
    record: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = FakeServer(step=11)
    monkeypatch.setitem(sys.modules, "wandb", server)
    write_metrics(record(), tmp_path, [0, 10, 20])
    upload([record()], tmp_path, "demo")
    assert [step for step, _ in server.run.logged] == [20]


def test_a_refusal_is_one_paragraph(record: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", FakeServer(error="permission denied"))
    with pytest.raises(UsageError, match="permission denied"):
        upload([record()], tmp_path, "demo")


def test_the_summary_has_every_score_with_class_set_and_split(record: Maker) -> None:
    found = summary(record("dacs", 40.0, further={"gta5/heldout": 60.0}))
    assert found["cityscapes19/cityscapes/val/mIoU"] == 40.0
    assert found["cityscapes19/gta5/heldout/mIoU"] == 60.0
    assert found["cost/training_seconds"] == 100.0
    assert "cityscapes19/cityscapes/val/IoU/road" in found
    assert "cityscapes19/cityscapes/val/IoU/train" not in found  # does not occur


def test_steps_count_on_over_stages(record: Maker, tmp_path: Path) -> None:
    one = record()
    write_metrics(one, tmp_path, [0, 10, 19, 0, 10])
    path = job_folder(tmp_path, one.benchmark, one.method, one.seed, one.job_hash) / "metrics.jsonl"
    assert [step for step, _ in history(path)] == [0, 10, 19, 20, 30]
    assert list(history(tmp_path / "none.jsonl")) == []


def test_a_vector_is_a_value_per_class(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text('{"iteration": 0, "loss": 2.0, "share": [0.75, 0.25]}\n')
    assert list(history(tmp_path / "m.jsonl", ["road", "sky"])) == [
        (0, {"loss": 2.0, "share/road": 0.75, "share/sky": 0.25})
    ]
    assert list(history(tmp_path / "m.jsonl")) == [(0, {"loss": 2.0})]

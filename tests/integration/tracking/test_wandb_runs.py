"""The real library writes offline runs, which are read back; nothing here touches a network."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from stored_job import StoredJob
from wandb_file import KEY, Content, read_run

from adaptbench.errors import RunStateError, UsageError
from adaptbench.execution.stages.choice import selection_by, weights_name
from adaptbench.records.record import Record, Snapshot
from adaptbench.tracking.content import Finished, summary
from adaptbench.tracking.upload import upload
from adaptbench.tracking.wandb_runs import Project, WandbTracker

Maker = Callable[..., Record]
pytestmark = pytest.mark.usefixtures("real")


def offline(out: Path, **described: Any) -> WandbTracker:
    return WandbTracker(Project("offline", "demo", **described), out)


def read(tracker: WandbTracker, run_id: str) -> Content:
    (folder,) = tracker.kept(run_id)
    return read_run(folder)


def test_an_offline_run_holds_everything(job: StoredJob, tmp_path: Path) -> None:
    job.save([0, 10, 20])
    tracker = offline(tmp_path / "out", tags=("mine",))
    said = upload([job.record], tmp_path / "out", tracker)
    assert f"1 run kept in {tmp_path / 'out/wandb/demo'}" in said
    assert "wandb sync" in said
    run = read(tracker, job.record.job_hash)
    assert (run.run.run_group, run.run.job_type) == ("minicity/gta5_to_cityscapes", "dacs")
    assert run.run.display_name == "dacs seed 0"
    assert list(run.run.tags) == ["self-training", "mini", "uda", "mine"]
    assert run.exit_code == 0
    curve = {line["_step"]: line["train/loss"] for line in run.history}
    assert curve == {0: 2.0, 10: 2.0 / 11, 20: pytest.approx(2.0 / 21)}
    assert run.history[0]["train/share/sidewalk"] == 0.25
    for key in ("job_hash", "group_hash", "ranking_hash"):
        assert run.config[key] == getattr(job.record, key)
    assert run.config["settings"] == job.record.settings
    assert run.config["network"]["name"] == "deeplabv2-mini"
    for key, value in summary(job.record).items():
        assert run.summary[key] == pytest.approx(value), key
    (artifact,) = (a for a in run.artifacts if a.type == "run")
    files = {entry.path: Path(entry.local_path).read_bytes() for entry in artifact.manifest.contents}
    assert files.keys() == {"record.json", "confusion/cityscapes-val.npz", "weights.safetensors"}
    assert files["weights.safetensors"] == b"weights"
    assert files["record.json"] == (job.folder / "record.json").read_bytes()


def test_tables_and_images_of_a_run(job: StoredJob, tmp_path: Path) -> None:
    job.save([0])
    tracker = offline(tmp_path / "out")
    upload([job.record], tmp_path / "out", tracker)
    run = read(tracker, job.record.job_hash)
    last = run.history[-1]
    classes = json.loads((run.files / last["classes.path"]).read_text())
    assert classes["columns"] == ["class", "IoU (cityscapes19, cityscapes/val)"]
    assert classes["data"][0] == ["road", pytest.approx(job.record.scores[0].iou["road"])]
    counts = json.loads((run.files / last["confusion/cityscapes/val_table.path"]).read_text())
    assert len(counts["data"]) == 19 * 19
    (masks,) = last["predictions/cityscapes/val.all_masks"]
    assert masks.keys() == {"prediction", "ground truth"}
    for path in (masks["prediction"]["path"], *last["predictions/cityscapes/val.filenames"]):
        assert (run.files / path).is_file()
    table = read(tracker, "leaderboard").history[-1]
    rows = json.loads((run.files.parents[1] / _leaderboard(tracker) / "files" / _path_of(table)).read_text())
    assert [row[1] for row in rows["data"]] == ["dacs"]
    assert rows["data"][0][2] == pytest.approx(job.record.scores[0].miou)


def _leaderboard(tracker: WandbTracker) -> str:
    (folder,) = tracker.kept("leaderboard")
    return folder.name


def _path_of(line: dict[str, Any]) -> str:
    (path,) = (value for key, value in line.items() if key.endswith(".path"))
    return str(path)


def test_uploading_again_replaces_offline_runs(job: StoredJob, tmp_path: Path) -> None:
    job.save([0])
    for lines in ([0], [0, 10]):
        job.save(lines)
        upload([job.record], tmp_path / "out", offline(tmp_path / "out"))
    run = read(offline(tmp_path / "out"), job.record.job_hash)
    assert [line["_step"] for line in run.history] == [0, 10]


def test_a_record_alone_is_enough(record: Maker, tmp_path: Path) -> None:
    tracker = offline(tmp_path, group="mine")
    upload([record()], tmp_path, tracker)
    run = read(tracker, record().job_hash)
    assert run.run.run_group == "mine"
    assert run.summary["cityscapes19/cityscapes/val/mIoU"] == 40.0


@pytest.mark.parametrize("name", ["", "a/b"])
def test_a_wrong_project_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="expected a name without slashes"):
        Project("offline", name)


def test_a_folder_that_cannot_be_written_is_named(record: Maker, tmp_path: Path) -> None:
    (tmp_path / "wandb").write_text("in the way")
    with pytest.raises(RunStateError, match=str(tmp_path / "wandb/demo")):
        upload([record()], tmp_path, offline(tmp_path))


def test_a_dead_network_is_one_paragraph_without_the_key(
    record: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    with pytest.raises(UsageError, match=r"W&B refused .* use --wandb offline") as caught:
        upload([record()], tmp_path, WandbTracker(Project("online", "demo"), tmp_path))
    assert KEY not in str(caught.value)
    assert not [path for path in _files(tmp_path) if KEY.encode() in path.read_bytes()]


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


class FakeRun:
    """A run on a server that already holds the steps below ``step``."""

    project_url = "https://server/me/demo"
    tags: tuple[str, ...] = ()

    def __init__(self, step: int) -> None:
        self.step = step
        self.logged: list[tuple[int, dict[str, float]]] = []
        self.summary: dict[str, float] = {}
        self.config = SimpleNamespace(update=lambda *_, **__: None)

    def log(self, values: dict[str, float], step: int | None = None) -> None:
        if step is not None:
            self.logged.append((step, values))

    def log_artifact(self, _: object) -> None:
        pass

    def finish(self, exit_code: int) -> None:
        assert exit_code == 0


class FakeServer(ModuleType):
    """Stands in for the wandb module with a server."""

    Settings = SimpleNamespace

    def __init__(self, step: int) -> None:
        super().__init__("wandb")
        self.run = FakeRun(step)
        self.options: list[dict[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        if name in ("Table", "Image", "Artifact", "plot_table"):
            return lambda *_, **__: SimpleNamespace(columns=[], add_file=lambda *_, **__: None)
        raise AttributeError(name)

    def init(self, **options: Any) -> FakeRun:
        self.options.append(options)
        return self.run


def test_a_run_on_a_server_goes_on(job: StoredJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job.save([0, 10, 20])
    server = FakeServer(step=11)
    monkeypatch.setitem(sys.modules, "wandb", server)
    said = upload(
        [job.record], tmp_path / "out", WandbTracker(Project("online", "demo", "me"), tmp_path / "out")
    )
    assert said == "W&B: 1 run in https://server/me/demo"
    options = server.options[0]
    assert (options["entity"], options["project"], options["mode"]) == ("me", "demo", "online")
    assert (options["id"], options["resume"]) == (job.record.job_hash, "allow")
    assert [step for step, _ in server.run.logged] == [20]
    assert server.run.summary == summary(job.record)


def test_the_summary_has_every_score_with_class_set_and_split(record: Maker) -> None:
    found = summary(record("dacs", 40.0, further={"gta5/heldout": 60.0}))
    assert found["cityscapes19/cityscapes/val/mIoU"] == 40.0
    assert found["cityscapes19/gta5/heldout/mIoU"] == 60.0
    assert found["cost/training_seconds"] == 100.0
    assert "cityscapes19/cityscapes/val/IoU/road" in found
    assert "cityscapes19/cityscapes/val/IoU/train" not in found  # does not occur


def test_the_weights_of_a_run_are_those_that_its_rule_chose(job: StoredJob) -> None:
    ranking = {**job.spec.ranking, "checkpoint": "entropy"}
    snapshots = [Snapshot(iterations=6, miou=1.0, label_free={"entropy": 1.0})]
    job.spec = job.spec.model_copy(update={"ranking": ranking})
    job.record = job.record.model_copy(update={"ranking": ranking, "snapshots": snapshots})
    job.save([0])
    finished = Finished(job.record, job.folder)
    assert finished.weights is None, "they are gone, and those of the last iterate are others"
    kept = job.folder / "stages" / "train" / weights_name(selection_by("entropy", job.spec))
    kept.write_bytes(b"chosen")
    kept.with_name("best-0123abcd.safetensors").write_bytes(b"of another protocol")
    assert finished.weights == kept.resolve()

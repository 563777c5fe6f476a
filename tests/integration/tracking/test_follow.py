"""Jobs are followed while they run, by a process that may fail."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from stored_job import StoredJob
from wandb_file import KEY, read_run

from adaptbench.flags import Tracking
from adaptbench.tracking.content import Identity
from adaptbench.tracking.failures import Guarded
from adaptbench.tracking.follow import follow
from adaptbench.tracking.follower import followed
from adaptbench.tracking.wandb_runs import Project, WandbTracker

pytestmark = pytest.mark.usefixtures("real")


def steps(out: Path, run_id: str) -> list[int]:
    (folder,) = WandbTracker(Project("offline"), out).kept(run_id)
    return [line["_step"] for line in read_run(folder).history]


def watched(job: StoredJob, out: Path, said: list[str], *states: tuple[list[int], bool]) -> None:
    """Follows the job, which has one of the states at every look."""
    queue = list(states)

    def ended(_: float) -> bool:
        lines, done = queue.pop(0)
        job.save(lines, done)
        return not queue

    follow([job.folder], [Guarded(WandbTracker(Project("offline"), out), said.append)], out, ended)


def test_a_job_that_was_stopped_continues_its_run(job: StoredJob, tmp_path: Path) -> None:
    said: list[str] = []
    watched(job, tmp_path / "out", said, ([0], False), ([0, 10], False))
    assert steps(tmp_path / "out", job.record.job_hash) == [0, 10]
    watched(job, tmp_path / "out", said, ([0, 10], False), ([0, 10, 20], False), ([0, 10, 20, 30], True))
    assert steps(tmp_path / "out", job.record.job_hash) == [0, 10, 20, 30]
    assert said == []
    (folder,) = WandbTracker(Project("offline"), tmp_path / "out").kept(job.record.job_hash)
    run = read_run(folder)
    assert run.exit_code == 0
    assert run.summary["cityscapes19/cityscapes/val/mIoU"] == pytest.approx(job.record.scores[0].miou)


class Refusing(BaseHTTPRequestHandler):
    """A server that answers everything with one status."""

    status = 401

    def _answer(self) -> None:
        body = b'{"errors": [{"message": "no"}]}'
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = _answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(params=["dead network", "wrong key", "full quota"])
def trouble(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    if request.param == "dead network":  # as it is
        yield
        return
    handler = type("Handler", (Refusing,), {"status": 401 if request.param == "wrong key" else 402})
    server = HTTPServer(("127.0.0.1", 0), handler)
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield
    server.shutdown()
    thread.join()


@pytest.mark.slow
@pytest.mark.usefixtures("trouble")
def test_a_server_that_cannot_be_used_is_told_once_and_all_is_kept(job: StoredJob, tmp_path: Path) -> None:
    """In the process that a run starts."""
    said: list[str] = []
    job.save([0], done=False)
    out = tmp_path / "out"
    with followed(Tracking(wandb="online"), [job.folder], out, said.append):
        job.save([0, 10], done=True)
    assert sum("cannot be reached or refuses" in line for line in said) == 1, said
    assert "wandb sync" in said[0]
    assert steps(out, job.record.job_hash) == [0, 10]
    holding = [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert holding == []
    assert not any(KEY in line for line in said)


class Broken(WandbTracker):
    """Its server takes a run and loses the network before the end."""

    def open(self, identity: Identity) -> Any:
        if self.project.mode == "offline":
            return super().open(identity)

        def close(ok: bool) -> None:
            raise TimeoutError("60 seconds")

        return SimpleNamespace(step=0, log=lambda *_: None, complete=lambda _: None, close=close)


@pytest.mark.parametrize("done", [True, False])
def test_what_a_server_did_not_take_is_kept_as_a_whole(job: StoredJob, tmp_path: Path, done: bool) -> None:
    said: list[str] = []
    out = tmp_path / "out"
    job.save([0, 10], done)
    follow([job.folder], [Guarded(Broken(Project("online"), out), said.append)], out, lambda _: True)
    assert len(said) == 1
    assert "TimeoutError: 60 seconds" in said[0]
    assert steps(out, job.record.job_hash) == [0, 10]


def test_without_trackers_nothing_is_started(tmp_path: Path) -> None:
    with followed(Tracking(), [tmp_path], tmp_path / "out", pytest.fail):
        pass
    assert not (tmp_path / "out").exists()

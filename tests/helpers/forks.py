"""Commands and jobs as forks of the test's process instead of new interpreters: importing torch takes a tiny job longer
than all its work. Jobs of profile mini have one thread, so no pool of threads is lost by a fork."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch

from adaptbench.cli import main
from adaptbench.execution import job as job_process
from adaptbench.execution.launch import local
from adaptbench.planning.plan import Job
from adaptbench.signals import end_with_parent

_POLL_SECONDS = 0.01


class Fork:
    """A process that does ``work`` and ends with the status it returns; used like a `subprocess.Popen`.

    Args:
        work: what it does.
        said: the file that takes what it prints.
    """

    def __init__(self, work: Callable[[], int], said: Path) -> None:
        self.said = said
        self.returncode: int | None = None
        self.pid = os.fork() or _do(work, said)

    def poll(self) -> int | None:
        if self.returncode is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if ended else None
        return self.returncode

    def wait(self, timeout: float = 600.0) -> int:
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            assert time.monotonic() < deadline, f"process {self.pid} does not end"
            time.sleep(_POLL_SECONDS)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _do(work: Callable[[], int], said: Path) -> NoReturn:
    code = 1
    try:
        with said.open("ab") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        code = work()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def fork_jobs(patch: pytest.MonkeyPatch) -> None:
    """Lets the launcher fork its jobs from this process."""
    patch.setattr(local, "_start", _fork_job)


def fork_command(arguments: Sequence[str], variables: Mapping[str, str], said: Path) -> Fork:
    """A command line whose jobs are forks of it."""

    def work() -> int:
        os.environ.update(variables)
        with pytest.MonkeyPatch.context() as patch:
            fork_jobs(patch)
            return main(arguments)

    return Fork(work, said)


def _fork_job(job: Job, gpu: str | None, turn: int) -> Fork:
    assert gpu is None and job.spec.threads == 1
    parent = os.getpid()

    def work() -> int:
        os.setsid()
        end_with_parent(parent)
        warnings.simplefilter("ignore")
        torch.set_num_threads(job.spec.threads + 2)  # a job has to set its own number
        return job_process.main(job.folder, turn)

    return Fork(work, job.folder / "log.txt")


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


def called(*words: object) -> tuple[int, str]:
    """Exit status of a command line, and all that it says; for forks, where pytest captures nothing."""
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        code = main([*map(str, words)])
    return code, said.getvalue()


def _act(answer: Connection, act: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    try:
        act(*arguments)
        answer.send("")
    except BaseException:
        answer.send(traceback.format_exc())

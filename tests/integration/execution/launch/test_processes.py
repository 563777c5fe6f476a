from __future__ import annotations

import multiprocessing
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adaptbench.signals import end_with_parent


def test_process_whose_parent_ended_before_it_asked_dies() -> None:
    child = multiprocessing.get_context("fork").Process(target=end_with_parent, args=(os.getppid(),))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL


def test_process_ends_with_its_parent() -> None:
    context = multiprocessing.get_context("fork")
    answer, ours = context.Pipe(duplex=False)

    def middle() -> None:
        if os.fork() == 0:
            end_with_parent(os.getppid())
            ours.send(os.getpid())
            time.sleep(60)
        time.sleep(60)

    parent = context.Process(target=middle)
    parent.start()
    grandchild = answer.recv()
    parent.kill()
    parent.join()
    deadline = time.monotonic() + 10
    while _alive(grandchild):
        assert time.monotonic() < deadline
        time.sleep(0.01)


#: Forks of a fresh process, since a process that has freed memory before does otherwise.
_FREED = """
import os, resource, torch
from pathlib import Path
from adaptbench.execution.launch.freed_memory import keep
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
for prepare in (keep, lambda: None):
    if os.fork() == 0:
        prepare()
        torch.ones(1)
        before = resident()
        torch.ones(6 << 20)
        print(resident() - before, flush=True)
        os._exit(0)
    os.wait()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone can be told")
def test_freed_memory_is_kept() -> None:
    """Bytes by which a process is larger after it has made and freed a tensor of 24 MiB."""
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _FREED]
    done = subprocess.run(command, env=alone, capture_output=True, text=True, check=True)
    told, not_told = map(int, done.stdout.split())
    assert told > 20 * 2**20
    assert not_told < 4 * 2**20


def _alive(pid: int) -> bool:
    """Whether a process runs; one that ended and waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False

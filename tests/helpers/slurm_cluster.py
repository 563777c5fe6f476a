"""A whole Slurm cluster on this machine: its scheduler and two nodes, in a temporary folder."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

#: Debian has the daemons there, which is not in everybody's PATH.
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "squeue", "scancel")
_PATIENCE_SECONDS = 120.0
NODES = ("one", "two")

_CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SchedulerParameters=bf_interval=1,sched_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
NodeName={nodes[0]} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1 RealMemory=1000
NodeName={nodes[1]} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1 RealMemory=1000
PartitionName=gpu Nodes=ALL Default=YES State=UP
"""


def reason_against() -> str:
    """Why there can be no cluster here; empty if there can."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return "a scheduler of our own needs root on Linux"
    missing = [name for name in _PROGRAMS if shutil.which(name, path=_PATH) is None]
    return f"{', '.join(missing)} are not here: apt-get install slurm-wlm munge" if missing else ""


@contextmanager
def running(folder: Path) -> Iterator[Path]:
    """Starts a cluster, gives its slurm.conf, and stops it with all that it runs."""
    conf, key = folder / "slurm.conf", folder / "munge.key"
    conf.write_text(_CONF.format(host=socket.gethostname(), folder=folder, nodes=NODES, ports=_free_ports(3)))
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    (folder / "state").mkdir()
    before = {name: os.environ.get(name) for name in ("SLURM_CONF", "PATH")}
    os.environ.update(SLURM_CONF=str(conf), PATH=_PATH)
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        places = {"socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        files = [f"--{flag}={folder}/munge.{name}" for flag, name in places.items()]
        daemons.append(_daemon(folder, "munged", "--foreground", "--force", f"--key-file={key}", *files))
        wait_until((folder / "munge.socket").exists, "munged")
        daemons.append(_daemon(folder, "slurmctld", "-D", "-f", str(conf)))
        daemons += [_daemon(folder, "slurmd", "-D", "-N", node, "-f", str(conf)) for node in NODES]
        wait_until(
            lambda: said("sinfo", "-h", "-N", "-o", "%T").split() == ["idle"] * len(NODES), "idle nodes"
        )
        yield conf
        said("scancel", "--user=root")
        wait_until(lambda: not said("squeue", "-h"), "an empty queue")
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in daemons:
            daemon.wait()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def said(*words: str) -> str:
    """What a command of the scheduler prints; empty if it fails."""
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


def wait_until(happened: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not happened():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.2)


def _daemon(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    with (folder / "daemons.txt").open("ab") as file:
        return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=file, stderr=file)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports

"""A campaign of kills: a tiny job is stopped or killed in every phase in turn, started again, and in the end compared.

In a round one job is started, hit in its first phase, started again, hit in the next one, and so on; then it is left to
finish, and has to leave what a job leaves that nobody touched, file by file.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import random
import select
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from forks import Fork

from adaptbench.storage import claims

from .bench import PLUGINS, Bench, Ended, ended, without_circumstances

#: How long an exit may take that was asked for. Units: seconds.
EXIT_SECONDS = 10.0
#: How long processes may live that lost their parent. Units: seconds.
ORPHAN_SECONDS = 5.0
#: Of three stages, with pseudo-labels and snapshots: it meets every phase.
METHOD, OPTIONS = "distilled", ("--checkpoint", "oracle-best")


class Phase(NamedTuple):
    """What a command is at.

    Attributes:
        entered: the function that begins it, with its module.
        seconds: the blow falls at most so much later.
        anew: begins a round: a job that was hit in the phase before may have left this one behind.
    """

    name: str
    entered: str
    seconds: float
    anew: bool = False


PHASES = (
    Phase("planning", "adaptbench.commands.run.make_plan", 0.2),
    Phase("generating the cache", "adaptbench.data.minicity.generate._run", 4.0),
    Phase("start of the job", "adaptbench.execution.job.open_job_context", 0.3),
    Phase("before the first iteration", "adaptbench.execution.stages.child.training_data", 0.5),
    Phase("training", "adaptbench.training.loop.TrainingLoop._iterate", 0.5),
    Phase("writing a checkpoint", "adaptbench.training.checkpoint.save", 0.05),
    Phase("scoring snapshots without labels", "adaptbench.execution.stages.child._score_snapshots", 0.3),
    Phase("keeping the weights", "adaptbench.execution.stages.child._keep", 0.05),
    Phase("choosing a snapshot", "adaptbench.execution.stages.selection._scored", 0.1),
    Phase("pseudo-labels", "adaptbench.data.pseudo_labels.PseudoLabels.add", 0.1, anew=True),
    Phase("scoring", "adaptbench.execution.scoring._score", 0.05),
    Phase("writing the record", "adaptbench.execution.job.save_record", 0.03),
    Phase("reports", "adaptbench.commands.run.show_boards", 0.05),
)


class Running(NamedTuple):
    """The processes of a command: itself, its jobs, their trainings, and everything it started."""

    command: int
    jobs: list[int]
    trainings: list[int]
    everything: list[int]


class Way(NamedTuple):
    """A way to hit a command; ``whom`` says which processes, of which the first may be a group (below zero)."""

    name: str
    number: signal.Signals
    whom: Callable[[Running], list[int]]


WAYS = (
    Way("Ctrl-C", signal.SIGINT, lambda running: [-running.command]),
    Way("SIGKILL of the command", signal.SIGKILL, lambda running: [running.command]),
    Way("SIGTERM", signal.SIGTERM, lambda running: [running.command]),
    Way("SIGKILL of the job", signal.SIGKILL, lambda running: running.jobs),
    Way("SIGTERM to all", signal.SIGTERM, lambda running: running.everything),
    Way("SIGKILL of the training", signal.SIGKILL, lambda running: running.trainings),
    Way("SIGINT to the command alone", signal.SIGINT, lambda running: [running.command]),
    Way("SIGKILL of all", signal.SIGKILL, lambda running: running.everything),
)


@dataclass
class Kill:
    """A blow and what came of it.

    Attributes:
        late: whether the command had ended before, so that nothing was hit.
        seconds: until the command had ended.
        wrong: what should not be; empty if it survived.
    """

    phase: Phase
    way: Way
    late: bool = False
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


@dataclass
class Campaign:
    """Rounds in folders of their own below ``root``, all random choices from one seed.

    Attributes:
        company: commands that run beside the one that is hit, on the same results and the same cold cache; then each
            round has one blow, since they finish the job.
        method: whose job it is, with further options of the command line.
        phases: in which it is hit.
    """

    root: Path
    seed: int = 0
    company: int = 0
    method: str = METHOD
    options: tuple[str, ...] = OPTIONS
    phases: tuple[Phase, ...] = PHASES

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._untouched = self._bench("untouched")
        answer = ended(self._start(self._untouched))
        assert answer.code == 0, answer.output

    def run(self, kills: int) -> Iterator[Kill]:
        """So many blows, phases and ways in turn; those of a round come together, when it is over."""
        blows = islice(zip(cycle(self.phases), cycle(WAYS), strict=False), kills)  # each phase meets each way
        made: list[Kill] = []
        for number, (phase, way) in enumerate(blows):
            if made and (self.company or phase.anew or phase == self.phases[0]):
                yield from self._round(f"round-{self.company}-{number}", made)
                made = []
            made.append(Kill(phase, way))
        yield from self._round(f"round-{self.company}-last", made)

    def _round(self, name: str, kills: Sequence[Kill]) -> Sequence[Kill]:
        bench = self._bench(name)
        for kill in kills:
            self._hit(bench, kill)
        last = self._finished(bench)
        for kill in kills:
            kill.wrong += last
        shutil.rmtree(bench.out.parent, ignore_errors=bool(last))
        return kills

    def _hit(self, bench: Bench, kill: Kill) -> None:
        with _told(kill.phase) as (line, told):
            command = self._start(bench)
        os.close(told)
        others = [self._start(bench) for _ in range(self.company)]
        _wait(line, command)
        os.close(line)
        time.sleep(self._random.uniform(0, kill.phase.seconds))
        running = _running(command.pid, bench)
        numbers = kill.way.whom(running) or [command.pid]
        kill.late = command.poll() is not None
        before = time.monotonic()
        for pid in numbers:
            _send(pid, kill.way.number)
        stopped = ended(command)
        kill.seconds = time.monotonic() - before
        kill.wrong += _wrong(kill, stopped, asked=abs(numbers[0]) in (command.pid, *running.everything[:1]))
        for other in map(ended, others):
            if other.code != 0 and kill.way.whom(running) != running.everything:
                kill.wrong.append(f"a command beside it ended with {other.code}: {other.output}")
        kill.wrong += self._left(bench, kill.way.number)

    def _left(self, bench: Bench, number: signal.Signals) -> list[str]:
        """Processes, and half-written files where there was time to remove them."""
        deadline = time.monotonic() + ORPHAN_SECONDS
        while (orphans := _everything(bench)) and time.monotonic() < deadline:
            time.sleep(0.02)
        found = [f"orphan {pid}" for pid in orphans]
        return found if number == signal.SIGKILL else [*found, *map(str, _half_written(bench))]

    def _finished(self, bench: Bench) -> list[str]:
        """What is wrong after the command was left to finish, by a clock that was set back a day."""
        for path in bench.out.parent.rglob("*"):
            tomorrow = time.time() + 86_400
            os.utime(path, (tomorrow, tomorrow), follow_symlinks=False)
        answer = ended(self._start(bench))
        if answer.code != 0:
            return [f"ended with {answer.code}: {answer.output}"]
        wrong = [f"half-written {path}" for path in _half_written(bench)]
        mine, theirs = (without_circumstances(b.record(self.method)) for b in (bench, self._untouched))
        wrong += [f"another {key} in the record" for key in theirs if mine.get(key) != theirs[key]]
        for place in ("out", "cache"):
            mine, theirs = (_files(getattr(b, place)) for b in (bench, self._untouched))
            wrong += [f"{place}: another {name}" for name, _ in sorted(mine.items() ^ theirs.items())]
        return wrong

    def _bench(self, name: str) -> Bench:
        folder = self.root / name
        files = (PLUGINS / "tiny.py", PLUGINS / "distilled.py")
        return Bench(folder / "out", folder / "cache", files, settings=("crop=64",), iterations=2)

    def _start(self, bench: Bench) -> Fork:
        command = bench.start(self.method, options=self.options)
        os.setpgid(command.pid, command.pid)  # as a shell does
        return command


@contextmanager
def _told(phase: Phase) -> Iterator[tuple[int, int]]:
    """A pipe, by whose other end commands that are started now tell that they enter the phase."""
    line, told = os.pipe()
    with pytest.MonkeyPatch.context() as patch:
        holder, name = phase.entered.rsplit(".", 1)
        act = _found(holder).__dict__[name]

        def tell(*arguments: Any, **named: Any) -> Any:
            os.write(told, b".")
            return act(*arguments, **named)

        patch.setattr(phase.entered, tell)
        yield line, told


def _found(dotted: str) -> Any:
    try:
        return importlib.import_module(dotted)
    except ModuleNotFoundError:
        holder, name = dotted.rsplit(".", 1)
        return getattr(_found(holder), name)


def _wait(line: int, command: Fork) -> None:
    """Until the phase is entered, or the command has ended without entering it."""
    while command.poll() is None:
        if select.select([line], [], [], 0.02)[0]:
            return


def _send(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)  # below zero to a group


def _running(command: int, bench: Bench) -> Running:
    everything = _everything(bench)
    jobs = [pid for pid in bench.processes() if _parent(pid) == command]
    trainings = [pid for pid in bench.processes() if _parent(pid) in jobs]
    return Running(command, jobs, trainings, everything)


def _everything(bench: Bench) -> list[int]:
    """All processes that print below the bench's folder."""
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [pid for pid in pids if _prints_below(pid, bench.out.parent)]


def _prints_below(pid: int, folder: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/fd/1").readlink().is_relative_to(folder)
    except OSError:
        return False


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except OSError:
        return 0


def _wrong(kill: Kill, stopped: Ended, asked: bool) -> list[str]:
    """What is wrong with how the command ended; 0 if it was finished before."""
    number = kill.way.number
    wrong = ["a traceback: " + stopped.output] if "Traceback" in stopped.output else []
    if number == signal.SIGKILL:
        usual = (-number,) if asked else (1,)
    else:
        usual = (128 + number,)
        lines = stopped.output.count("adaptbench: stopped")
        if stopped.code != 0 and lines != 1:
            wrong.append(f"{lines} lines: {stopped.output}")
        if kill.seconds > EXIT_SECONDS:
            wrong.append(f"took {kill.seconds:.1f} s")
    if stopped.code not in (0, *usual):
        wrong.append(f"ended with {stopped.code}: {stopped.output}")
    return wrong


def _half_written(bench: Bench) -> list[Path]:
    return [path for path in bench.out.parent.rglob(".*") if ".tmp" in path.name]


#: Files that say when, where, how long, or in which process.
_CIRCUMSTANCES = (".txt", "status", "job.json", "record.json", "result.json", "leaderboard.")


def _files(folder: Path) -> dict[str, str]:
    """Files below a folder, with what is in them as far as nothing may change it."""
    return {
        str(path.relative_to(folder)): ""
        if any(part in path.name for part in _CIRCUMSTANCES)
        else _digest(path)
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink() and path.parent.name != claims.FOLDER
    }


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def table(kills: Sequence[Kill]) -> str:
    """Lines of Markdown: phase, signal, hit, survived, longest exit, and how many blows came when all was over."""
    lines = ["| phase | by | hit | survived | longest exit (s) | late |", "|---|---|---|---|---|---|"]
    for phase in dict.fromkeys(kill.phase for kill in kills):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            some = [kill for kill in kills if (kill.phase, kill.way.number) == (phase, number)]
            if some:
                hit = [kill for kill in some if not kill.late]
                longest = max((kill.seconds for kill in hit), default=0.0)
                survived, late = sum(not kill.wrong for kill in hit), len(some) - len(hit)
                cells = (phase.name, number.name, len(hit), survived, f"{longest:.1f}", late)
                lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)

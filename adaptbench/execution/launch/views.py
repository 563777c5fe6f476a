"""How a run looks while it runs: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from adaptbench.errors import printable
from adaptbench.execution.launch.local import Progress, View
from adaptbench.records.formatting import duration
from adaptbench.records.jobspec import State, Status

_LOG_EVERY_SECONDS = 15.0
_STYLES = {
    State.DONE: "green",
    State.FAILED: "bold red",
    State.INTERRUPTED: "yellow",
    State.TIMEOUT: "yellow",
    State.RUNNING: "cyan",
}


class _Clock:
    """Time left per job, from the pace of its current stage."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, int, float]] = {}  # stage, iteration and time when it was first seen

    def left(self, key: str, status: Status) -> float | None:
        """Seconds left in the stage; None while it is not known."""
        now = time.monotonic()
        stage, first, since = self._seen.get(key, (None, 0, now))
        if stage != status.stage or status.iteration < first:
            self._seen[key] = (status.stage, status.iteration, now)
            return None
        done = status.iteration - first
        return (now - since) / done * (status.total - status.iteration) if done > 0 else None


def job_name(progress: Progress) -> str:
    """Method, benchmark and seed, as every view and message calls a job."""
    spec = progress.job.spec
    return f"{spec.method} · {spec.board} · seed {spec.seed}"


class LogView:
    """One plain line whenever something happens, and every 15 seconds of training."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._clock = _Clock()
        self._said: dict[str, tuple[State, float]] = {}

    def show(self, jobs: Sequence[Progress]) -> None:
        """Prints what is new."""
        for progress in jobs:
            self._show(progress)

    def _show(self, progress: Progress) -> None:
        key, status, now = str(progress.job.folder), progress.status, time.monotonic()
        left = self._clock.left(key, status)
        before, last = self._said.get(key, (State.PLANNED, now))
        changed = status.state is not before
        if changed or (status.state is State.RUNNING and now - last > _LOG_EVERY_SECONDS):
            self._said[key] = (status.state, now)
            text = f"{time.strftime('%H:%M:%S')} {job_name(progress)}: {_words(status, left)}"
            self._console.print(printable(text), highlight=False, markup=False, soft_wrap=True)


@contextmanager
def view_on(console: Console) -> Iterator[View]:
    """A live table on a terminal, else plain lines; while the block runs."""
    if not console.is_terminal:
        yield LogView(console)
        return
    with Live(console=console, refresh_per_second=4) as live:
        yield LiveView(live)


class LiveView:
    """A table on the terminal with one line per job: stage, progress, loss, time left, then score."""

    def __init__(self, live: Live) -> None:
        self._clock = _Clock()
        self._live = live

    def show(self, jobs: Sequence[Progress]) -> None:
        """Redraws the table."""
        table = Table(box=None, pad_edge=False)
        for header in ("method", "benchmark", "seed", "stage", "progress", "loss", "left / score"):
            table.add_column(header, justify="right" if header in ("seed", "loss") else "left", no_wrap=True)
        for progress in jobs:
            table.add_row(*self._row(progress))
        self._live.update(table)

    def _row(self, progress: Progress) -> list[Text | ProgressBar | str]:
        spec, status = progress.job.spec, progress.status
        left = self._clock.left(str(progress.job.folder), status)
        running = status.state is State.RUNNING
        bar = ProgressBar(total=max(status.total, 1), completed=status.iteration, width=24)
        return [
            Text(spec.method, style="bold"),
            Text(spec.board),
            str(spec.seed),
            Text(status.stage if running else str(status.state), style=_STYLES.get(status.state, "dim")),
            bar if running and status.total else "",
            f"{status.loss:.3f}" if running and status.loss is not None else "",
            Text(_outcome(status, left)),
        ]


def _outcome(status: Status, left: float | None) -> str:
    if status.state is State.DONE:
        return "" if status.miou is None else f"{status.miou:.2f} mIoU ({status.scored})"
    if status.state is State.RUNNING:
        return "" if left is None else duration(left)
    return printable(status.reason)[:60]


def _words(status: Status, left: float | None) -> str:
    if status.state is State.RUNNING:
        loss = "" if status.loss is None else f", loss {status.loss:.3f}"
        rest = "" if left is None else f", {duration(left)} left"
        far = f" {status.iteration}/{status.total}{loss}{rest}" if status.total else ""
        return f"{status.stage}{far}"
    if status.state is State.DONE and status.miou is not None:
        return f"done, mIoU {status.miou:.2f} ({status.scored})"
    return f"{status.state}: {status.reason}" if status.reason else str(status.state)

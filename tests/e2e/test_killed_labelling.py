"""A labelling stage that is killed labels only the images that are left, and ends with the same bits."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from .bench import PLUGINS, SETTINGS, Bench, wait_until, without_circumstances

TABLE = "labels.jsonl"


@dataclass
class Killed:
    """A job that was killed while it labelled, and then finished.

    Attributes:
        bench: where.
        kept: when the labels that were whole at the kill were written, by path.
    """

    bench: Bench
    kept: dict[Path, int]


def labels(out: Path) -> dict[Path, int]:
    """When the labels were written, in nanoseconds."""
    return {path: path.stat().st_mtime_ns for path in sorted(out.glob("stages/*/labels/**/*.png"))}


def noted(out: Path) -> list[str]:
    return [line for table in out.glob(f"stages/*/{TABLE}") for line in table.read_text().splitlines(True)]


@pytest.fixture(scope="module")
def killed(bench: Callable[[str], Bench]) -> Killed:
    made = replace(bench("killed-labelling"), settings=SETTINGS[:1])
    made = replace(made, plugins=(*made.plugins, PLUGINS / "distilled.py"))
    process = made.start("distilled")
    wait_until(lambda: len(noted(made.out)) >= 2, "two labels")
    for pid in (process.pid, *made.processes()):
        os.kill(pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: not made.processes(), "the end of the job")
    lines = noted(made.out)
    (table,) = made.out.glob(f"stages/*/{TABLE}")
    table.write_text("".join(lines) + lines[0][:20])  # a line that was cut off
    whole = Killed(made, dict(list(labels(made.out).items())[: len(lines)]))
    answer = made.run("distilled")
    assert answer.code == 0, answer.output
    return whole


def test_labels_that_were_whole_are_not_made_again(killed: Killed) -> None:
    now = labels(killed.bench.out)
    assert {path: now[path] for path in killed.kept} == killed.kept
    assert len(killed.kept) < len(now), "it was killed too late to test anything"
    assert len(noted(killed.bench.out)) == len(now)


def test_it_ends_like_one_that_was_left_alone(killed: Killed, bench: Callable[[str], Bench]) -> None:
    alone = replace(bench("labelling"), settings=killed.bench.settings, plugins=killed.bench.plugins)
    answer = alone.run("distilled")
    assert answer.code == 0, answer.output
    records = [without_circumstances(one.record("distilled")) for one in (killed.bench, alone)]
    assert records[0] == records[1]
    assert noted(killed.bench.out) == noted(alone.out)


def test_nothing_half_written_is_left(killed: Killed) -> None:
    assert list(killed.bench.out.rglob("*.tmp")) == []

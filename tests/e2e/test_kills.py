"""A sample of the campaign of kills, or all of it:

pytest tests/e2e/test_kills.py -s --kills 104                  one command, in every phase and every way
pytest tests/e2e/test_kills.py -s --kills 26 --company 3       one of four on a cold cache, the others finish
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .kills import PHASES, Campaign, Kill, table

#: A job of one stage is hit in these phases, one after the other; in the first one again with another run beside it.
SAMPLE = ("generating the cache", "training", "writing a checkpoint", "scoring")


def test_killed_and_started_again_it_ends_as_if_nothing_had_been(
    tmp_path: Path, pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 0 also where pytest was called for all tests, and does not know the options of this folder
    kills, seed, company = (
        int(pytestconfig.getoption(name, 0)) for name in ("kills", "kill_seed", "company")
    )
    made = []
    for kill in Campaign(tmp_path, seed, company).run(kills) if kills else _sample(tmp_path, monkeypatch):
        print(f"{kill.phase.name}, {kill.way.name}: {kill.seconds:.1f} s {kill.wrong or ''}", flush=True)
        made.append(kill)
    print(table(made))
    assert not [(kill.phase.name, kill.way.name, kill.wrong) for kill in made if kill.wrong]


def _sample(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Kill]:
    patch.setattr(
        os, "sched_getaffinity", lambda _: {0}
    )  # data is drawn without workers, whose start takes long
    phases = tuple(phase for phase in PHASES if phase.name in SAMPLE)
    campaign = Campaign(folder, method="source_only", options=(), phases=phases)
    yield from campaign.run(len(phases))
    campaign.company = 1
    yield from campaign.run(1)

"""A sample of the campaign of kills, or all of it:

pytest tests/e2e/test_kills.py -s --kills 104                  one command, in every phase and every way
pytest tests/e2e/test_kills.py -s --kills 26 --company 3       one of four on a cold cache, the others finish
"""

from __future__ import annotations

from pathlib import Path

import pytest

from .kills import PHASES, Campaign, Kill, table

#: A job of one stage is hit in these phases.
SAMPLE = ("generating the cache", "training", "writing a checkpoint", "scoring", "writing the record")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    asked = _asked(metafunc.config, "company")
    metafunc.parametrize("company", [asked] if _asked(metafunc.config, "kills") else [0, 1])


def _asked(config: pytest.Config, option: str) -> int:
    """0 also where pytest was called for all tests, and does not know the options of this folder."""
    return int(config.getoption(option, 0))


def test_killed_and_started_again_it_ends_as_if_nothing_had_been(
    company: int, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    kills = _asked(pytestconfig, "kills")
    made = _campaign(tmp_path, company, kills, pytestconfig) if kills else _sample(tmp_path, company)
    print(table(made))
    assert not [(kill.phase.name, kill.way.name, kill.wrong) for kill in made if kill.wrong]


def _sample(folder: Path, company: int) -> list[Kill]:
    phases = tuple(phase for phase in PHASES if phase.name in SAMPLE)
    campaign = Campaign(folder, company=company, method="source_only", options=(), phases=phases)
    return list(campaign.run(1 if company else len(phases)))


def _campaign(folder: Path, company: int, kills: int, config: pytest.Config) -> list[Kill]:
    made = []
    for kill in Campaign(folder, _asked(config, "kill_seed"), company).run(kills):
        print(f"{kill.phase.name}, {kill.way.name}: {kill.seconds:.1f} s {kill.wrong or ''}", flush=True)
        made.append(kill)
    return made

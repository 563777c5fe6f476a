"""A sample of the campaign against workers, or all of it:

pytest tests/e2e/test_workers.py -s --worker-kills 30       8 workers, 60 short jobs
"""

from __future__ import annotations

from pathlib import Path

import pytest

from .workers import Campaign


def test_nothing_is_lost_or_done_twice(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    kills = int(pytestconfig.getoption("worker_kills", 0))
    campaign = Campaign(tmp_path, workers=8, jobs=60) if kills else Campaign(tmp_path, workers=3, jobs=10)
    campaign.run(kills or 4)
    print(campaign.table())
    assert campaign.wrong() == []

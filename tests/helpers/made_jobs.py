"""Hand-made jobs, as far as a scheduler is told of them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from adaptbench.planning.plan import Job
from adaptbench.records.jobspec import State


def made_job(name: str, **changed: Any) -> Job:
    spec = {
        "method": name,
        "device": "cuda",
        "profile": "paper",
        "overrides": {},
        "compiled": False,
        "devices": 1,
    }
    return Job(cast("Any", SimpleNamespace(**{**spec, "threads": 8, **changed})), Path(name), State.PLANNED)

"""Handlers recompute cases that they have never seen: other sizes, numbers and hyper-parameters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from .made_cases.making import made_names, makers, store
from .runner import open_case, run_case


@pytest.mark.parametrize(("name", "seed"), made_names())
def test_a_handler_takes_everything_from_the_case(name: str, seed: int, tmp_path: Path) -> None:
    made = makers()[name](np.random.default_rng([seed, *name.encode()]))
    run_case(open_case(store(tmp_path, name, made)))

"""Draws are functions of their key, today, tomorrow and on every machine."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from adaptbench.draws import Draws, derive_seed


def test_golden_values() -> None:
    assert derive_seed("stage", "abc") == 5030997395249057206
    draws = Draws(7, 3)
    assert draws.seed("crop") == derive_seed(7, 3, "crop") == 8724586194758337202
    assert draws.numpy("crop").integers(1000, size=4).tolist() == [529, 576, 86, 46]
    assert torch.randint(1000, (4,), generator=draws.torch("crop")).tolist() == [672, 446, 62, 33]


def test_another_process_draws_the_same() -> None:
    code = "from adaptbench.draws import Draws; print(Draws(7, 3).numpy('crop').random())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONHASHSEED": "1"}
    )
    assert done.stdout == f"{Draws(7, 3).numpy('crop').random()}\n", done.stderr


@given(st.integers(0, 2**63 - 1), st.integers(0, 10**6), st.text(max_size=20))
def test_every_part_of_the_key_counts(seed: int, iteration: int, purpose: str) -> None:
    draws = Draws(seed, iteration)
    assert 0 <= draws.seed(purpose) < 2**63
    assert draws.numpy(purpose).random() == draws.numpy(purpose).random()
    others = [Draws(seed + 1, iteration), Draws(seed, iteration + 1)]
    assert draws.seed(purpose) not in {other.seed(purpose) for other in others}
    assert draws.seed(purpose) != draws.seed(purpose + "x")


def test_global_states_stay_as_they_are() -> None:
    torch_before, numpy_before = torch.get_rng_state(), repr(np.random.get_state())
    torch.rand(3, generator=Draws(0, 0).torch("a"))
    Draws(0, 0).numpy("a").random(3)
    assert torch.equal(torch.get_rng_state(), torch_before)
    assert repr(np.random.get_state()) == numpy_before

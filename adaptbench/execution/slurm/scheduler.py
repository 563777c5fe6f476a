"""Slurm's own commands."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from adaptbench.errors import RunStateError, UsageError

#: MaxArraySize where Slurm says nothing else.
_ARRAY = 1001


def submit(script: Path, after: str | None = None) -> str:
    """Submits an array; returns its number.

    Args:
        script: with all options in it.
        after: array that must have failed before; where it has not, this one is cancelled.

    Raises:
        UsageError: there is no sbatch here.
        RunStateError: it refuses the array; says so in its words.
    """
    follows = [] if after is None else [f"--dependency=afternotok:{after}", "--kill-on-invalid-dep=yes"]
    return _answer(["sbatch", "--parsable", *follows, str(script)]).strip().partition(";")[0]


def largest_array() -> int:
    """How many tasks an array may have.

    Raises:
        UsageError: there is no scontrol here, or the cluster allows no arrays.
        RunStateError: the scheduler does not answer.
    """
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", _answer(["scontrol", "show", "config"]), re.MULTILINE)
    largest = _ARRAY if found is None else int(found[1])
    if largest < 2:
        raise UsageError(
            f"This cluster allows no arrays (MaxArraySize = {largest}). Start workers one by one."
        )
    return largest


def _answer(words: Sequence[str]) -> str:
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout
    except FileNotFoundError as error:
        raise UsageError(
            f"--launcher slurm: there is no {words[0]} here. Call it where Slurm's commands are, as on a login node; "
            "--dry-run shows the scripts anywhere."
        ) from error
    except subprocess.CalledProcessError as error:
        said = " ".join(error.stderr.split()) or f"exit status {error.returncode}"
        raise RunStateError(
            f"{' '.join(words)} failed: {said.rstrip('.')}. Change the file given with --cluster, or ask those who "
            "run the cluster."
        ) from error

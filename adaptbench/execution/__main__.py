"""``python -m adaptbench.execution FOLDER [PARENT [TURN]]`` runs the job described in ``FOLDER/job.json`` (see `job`).

It ends when the process PARENT does, and takes over its claim TURN to the job.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path

from adaptbench import signals
from adaptbench.imports import without


def _main(folder: str, parent: str = "", turn: str = "") -> int:
    if parent:
        signals.end_with_parent(int(parent))
    gc.disable()  # among what is imported there is no garbage, and looking for it takes a fifth of the start
    with without("transformers"):  # which mmengine imports for an optimiser that is not used here
        from adaptbench.execution import job

    gc.freeze()
    gc.enable()
    try:
        return job.main(Path(folder).resolve(), int(turn) if turn else None)
    finally:
        gc.unfreeze()  # what is imported ends in order


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))

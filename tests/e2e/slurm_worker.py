"""In the place of Python in the scripts of `test_slurm`: a worker, whose jobs are stand-ins, without torch.

Jobs take claims, wait and write a record. Everything else is the verb ``work``, in a process of its own.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = map(str, (TESTS.parent, TESTS / "e2e", TESTS / "helpers"))

from adaptbench.contracts import stand_ins  # noqa: E402

sys.meta_path.insert(0, stand_ins._Finder())

import workers  # noqa: E402
from made_records import make_record  # noqa: E402

from adaptbench.cli import main  # noqa: E402
from adaptbench.commands import run  # noqa: E402
from adaptbench.execution.launch import local  # noqa: E402
from adaptbench.records.jobspec import load_job  # noqa: E402
from adaptbench.records.record import save_record  # noqa: E402

#: Of a tenth of a job.
SECONDS = 0.3


def note_done(folder: Path) -> None:
    spec = load_job(folder)
    record = make_record(spec.method).model_copy(update={"job_hash": spec.job_hash, "seed": spec.seed})
    save_record(record, folder / "record.json")


if __name__ == "__main__":
    workers._note_done = note_done
    local._start = partial(workers._started, SECONDS)
    run.generate_missing = lambda console, wanted: None
    sys.exit(main(sys.argv[2:]))  # after the path of run_all.py

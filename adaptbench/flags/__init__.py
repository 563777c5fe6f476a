"""The flags of every verb, and the exit statuses. Imports nothing heavy."""

from __future__ import annotations

from adaptbench.flags.bench import Bench
from adaptbench.flags.checkpoints import Evaluate, Export, Import, Predict, Submit
from adaptbench.flags.data import Data, Docs, Doctor, Ls
from adaptbench.flags.options import Tracking
from adaptbench.flags.results import Analyse, Cite, Clean, Compare, Contribute, Dashboard, Merge, Report
from adaptbench.flags.run import Run
from adaptbench.flags.work import Cancel, Status, Work

__all__ = [
    "EXIT_UNFINISHED", "EXIT_USAGE", "Analyse", "Bench", "Cancel", "Cite", "Clean", "Command", "Compare", "Contribute",
    "Dashboard", "Data", "Docs", "Doctor", "Evaluate", "Export", "Import", "Ls", "Merge", "Predict", "Report", "Run",
    "Status", "Submit", "Tracking", "Work",
]  # fmt: skip

EXIT_UNFINISHED = 1
EXIT_USAGE = 2

#: A verb is one of these classes, in small letters, and a module of `adaptbench.commands`.
Command = (
    Run | Work | Status | Cancel | Import | Evaluate | Predict | Export | Submit | Data | Ls | Report | Analyse
    | Compare | Cite | Contribute | Merge | Clean | Dashboard | Docs | Doctor | Bench
)  # fmt: skip

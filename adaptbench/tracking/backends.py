"""The trackers that the command line asks for."""

from __future__ import annotations

import os
from pathlib import Path

from adaptbench.flags import Tracking
from adaptbench.tracking.content import Tracker
from adaptbench.tracking.tensorboard_runs import TensorboardTracker
from adaptbench.tracking.wandb_runs import Project, WandbTracker


def trackers(tracking: Tracking, out: Path) -> list[Tracker]:
    """The trackers in use; none by default.

    Raises:
        UsageError: not the name of a project, or TensorBoard is not installed.
    """
    found: list[Tracker] = []
    if tracking.wandb != "disabled":
        project = Project(
            mode=tracking.wandb,
            name=tracking.wandb_project or os.environ.get("WANDB_PROJECT") or "adaptbench",
            entity=tracking.wandb_entity,
            group=tracking.wandb_group,
            tags=tuple(tracking.wandb_tags),
        )
        found.append(WandbTracker(project, out))
    if tracking.tensorboard:
        found.append(TensorboardTracker(out))
    return found

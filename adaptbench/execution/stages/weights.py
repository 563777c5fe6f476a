"""The network of a stage: new, from an earlier stage, or as it was trained."""

from __future__ import annotations

from pathlib import Path

from adaptbench.adaptation.fixed import release_changed
from adaptbench.contracts.method import Method, Stage
from adaptbench.contracts.task import Task
from adaptbench.errors import DataError, UsageError, WeightsError
from adaptbench.execution.job_context import JobContext
from adaptbench.execution.stages.planned import PlannedStage
from adaptbench.networks.pretrained.fit import fitted
from adaptbench.training import checkpoint, method_state
from adaptbench.training.loop import seed_global_generators


def build_method(context: JobContext, entry: PlannedStage, seed: int) -> Method:
    """The method with initial weights drawn from ``seed``, or the network of the stage it starts from.

    A WeightsError if that stage trains another network.
    """
    seed_global_generators(seed)
    method = entry.stage.method(context.task, entry.stage.settings)
    if entry.start is not None:
        earlier = trained_method(context, entry.start).scored_network().state_dict()
        title = f"stage {entry.stage.name!r}, which starts from it and trains {entry.stage.settings.network}"
        state = fitted(earlier, method.student.state_dict(), entry.start.weights, title)
        method.student.load_state_dict(state)
        release_changed(method.student)
    return method


def trained_method(context: JobContext, entry: PlannedStage) -> Method:
    """The method with the final weights of a finished stage."""
    return filled_method(context.task, entry.stage, entry.weights)


def filled_method(task: Task, stage: Stage, weights: Path) -> Method:
    """The method of ``stage`` with the final weights in a file.

    Raises:
        WeightsError: they are of another method, or of other start weights than those here, or these are missing.
    """
    tensors, facts = checkpoint.load(weights)
    method = _made_for(task, stage, weights, whole=not method_state.needs_start_weights(facts))
    method_state.fill(method, tensors, facts, weights)
    return method


def _made_for(task: Task, stage: Stage, weights: Path, *, whole: bool) -> Method:
    """The method for a file; without start weights, which take time to read, where the file is ``whole``."""
    if whole:
        return stage.method(task, stage.settings.model_copy(update={"pretraining": "none"}))
    try:
        return stage.method(task, stage.settings)
    except (DataError, UsageError) as error:
        raise WeightsError(
            f"{weights} holds only what was trained, around start weights that are not here: {error}"
        ) from error

"""``predict``: ids, colours and confidence for anybody's images."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from rich.console import Console

from adaptbench.commands.output import say
from adaptbench.commands.progress import bars
from adaptbench.contracts.dataset import Dataset
from adaptbench.errors import UsageError
from adaptbench.evaluation.sizes import input_size
from adaptbench.execution.checkpoints.scored import Checkpoint, open_checkpoint, registry_with
from adaptbench.execution.checkpoints.scoring import scorer_of
from adaptbench.flags import EXIT_UNFINISHED, Predict
from adaptbench.planning import sources
from adaptbench.planning.devices import device_name
from adaptbench.prediction import images
from adaptbench.prediction.folder import FACTS, Outcome, facts, predict
from adaptbench.prediction.partial_output import Kept

#: Files that are named when something is said about many.
SHOWN = 20


def execute(command: Predict) -> int:
    """Predicts what is not there yet; 1 if an image could not be read."""
    console, out = Console(), command.out.resolve()
    device = device_name(command.device)
    checkpoint = open_checkpoint(command.checkpoint, out, command.profile, command.plugins)
    dataset = like_dataset(checkpoint, command.like, command.plugins)
    box = input_size(dataset, checkpoint.settings.resolution, checkpoint.profile)
    found = images.find(command.images)
    folder = out / "predictions" / checkpoint.name / (command.name or command.images.resolve().name)
    if folder.is_relative_to(command.images.resolve()):
        raise UsageError(
            f"The predictions would go to {folder}, among the images themselves. Choose another folder with --out."
        )
    said = facts(checkpoint, command.images, box, device)
    with bars(console) as add, closing(Kept(folder, FACTS, said)) as kept:
        tell = add(f"{checkpoint.name} on {command.images}", len(found))
        outcome = predict(scorer_of(checkpoint, device, ()), box, found, kept, tell)
    _report(console, outcome, folder)
    return EXIT_UNFINISHED if outcome.unreadable else 0


def like_dataset(checkpoint: Checkpoint, like: str | None, extra: tuple[Path, ...]) -> type[Dataset]:
    """Whose images others are resized like: ``like``, the dataset a run is scored on, or Cityscapes."""
    street = "cityscapes" if checkpoint.class_set.startswith("cityscapes") else ""
    name = like or checkpoint.scored_on or street
    if not name:
        raise UsageError(
            f"{checkpoint.name} is an import with the classes of {checkpoint.class_set}. Say --like DATASET: whose "
            "images yours are resized like."
        )
    return sources.dataset_class(registry_with(checkpoint.plugins, extra), name)


def _report(console: Console, outcome: Outcome, folder: Path) -> None:
    for problem in outcome.unreadable[:SHOWN]:
        say(console, f"Left out. {problem}", "red")
    if len(outcome.unreadable) > SHOWN:
        console.print(
            f"{len(outcome.unreadable) - SHOWN} more could not be read.", style="red", highlight=False
        )
    if outcome.turned:
        examples = ", ".join(map(str, outcome.turned[:3]))
        text = f"{len(outcome.turned)} images are turned as their EXIF orientation says, and so are their predictions"
        say(console, f"{text}: {examples}", "yellow")
    there = f", {outcome.kept} were there" if outcome.kept else ""
    left = f", {len(outcome.unreadable)} could not be read" if outcome.unreadable else ""
    say(console, f"{outcome.predicted} images predicted{there}{left}: {folder}")

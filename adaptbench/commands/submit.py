"""``submit``: archives for test servers, of predictions of all their images."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from adaptbench.commands.output import say
from adaptbench.commands.progress import bars
from adaptbench.contracts import plugins
from adaptbench.contracts.dataset import Dataset
from adaptbench.execution.given import places
from adaptbench.flags import Submit
from adaptbench.planning import sources
from adaptbench.planning.devices import device_name
from adaptbench.prediction import submission
from adaptbench.prediction.partial_output import Kept
from adaptbench.prediction.servers import SERVERS

if TYPE_CHECKING:
    from adaptbench.execution.checkpoints.scored import Checkpoint


def execute(command: Submit) -> int:
    """Predicts what is not there yet and packs an archive per checkpoint. Nothing is sent."""
    console, out, server = Console(), command.out.resolve(), SERVERS[command.server]
    places.require_some(command.checkpoints, out)
    for text in command.checkpoints:
        places.find(text, out)
    from adaptbench.execution.checkpoints.scored import open_checkpoint  # which imports torch

    device = device_name(command.device)
    opened = [open_checkpoint(text, out, command.profile, command.plugins) for text in command.checkpoints]
    registry = plugins.discover(command.plugins)
    request = sources.folders(registry, command.data_root, command.data_path)
    dataset = sources.open_official(registry, server.dataset, request)
    for checkpoint in opened:
        submission.required_images(dataset, server, checkpoint.class_set)
    for checkpoint in opened:
        _submit(console, command.server, checkpoint, dataset, device, out)
    say(console, f"Submit at {server.address}, and state the training data.")
    return 0


def _submit(
    console: Console, name: str, checkpoint: Checkpoint, dataset: Dataset, device: str, out: Path
) -> None:
    from adaptbench.execution.checkpoints.scoring import scorer_of  # which imports torch

    server = SERVERS[name]
    samples = submission.required_images(dataset, server, checkpoint.class_set)
    folder = out / "submissions" / f"{checkpoint.name}-{name}"
    for mark in ("oracle", "smoke"):
        if getattr(checkpoint, mark):
            text = f"{checkpoint.name} is marked {mark!r}: it is no entry for a public table."
            say(console, text, "yellow")
    facts = submission.facts(checkpoint, name, device)
    with bars(console) as add, closing(Kept(folder, submission.FACTS, facts)) as kept:
        tell = add(f"{checkpoint.name} on {dataset.name}/{submission.SPLIT}", len(samples))
        scorer = scorer_of(checkpoint, device, dataset.label_places)
        files = submission.predict(scorer, dataset, samples, server, kept, tell)
        path = folder.with_name(f"{folder.name}.zip")
        submission.pack(folder, files, path)
    size = f"{path.stat().st_size / 1e6:.1f} MB"
    say(console, f"{len(files)} files, {size}: {path}")

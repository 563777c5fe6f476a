"""``evaluate``: scores single checkpoints on every labelled split that is found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table

from adaptbench.commands.output import cell, say
from adaptbench.commands.progress import bars
from adaptbench.commands.run import generate_missing
from adaptbench.contracts import plugins
from adaptbench.contracts.benchmark import PREFIX, SplitRef
from adaptbench.contracts.profiles import Profile, Provenance, profile
from adaptbench.contracts.protocols import named
from adaptbench.errors import UsageError
from adaptbench.execution.checkpoints import foreign, labelled
from adaptbench.execution.checkpoints.labelled import LabelledSplit
from adaptbench.execution.checkpoints.scored import Scored, open_checkpoint
from adaptbench.execution.checkpoints.scoring import Scoring, score_all
from adaptbench.execution.given import places
from adaptbench.execution.given.adapting import Adaptation
from adaptbench.execution.given.loaded_network import NetworkPlace
from adaptbench.flags import Evaluate
from adaptbench.flags.options import require_positive
from adaptbench.planning import sources
from adaptbench.planning.devices import device_name
from adaptbench.planning.request import Request
from adaptbench.records.checkpoint_scores import Evaluation, load_evaluation
from adaptbench.reporting import checkpoints


def execute(command: Evaluate) -> int:
    """Scores what is not scored yet, and shows everything that was asked for."""
    console = Console()
    require_positive(command, "limit")
    named(command.protocol)
    _require_fitting(command)
    with _opened(command) as opened:
        _score_and_show(console, command, opened)
    return 0


def _require_fitting(command: Evaluate) -> None:
    """Raises UsageError for settings of no adaptation."""
    if command.adapt is None and command.set:
        raise UsageError("--set is for settings of --adapt, which is not given. Add it, or leave --set out.")


def _adaptation(command: Evaluate, chosen: Profile) -> Adaptation | None:
    if command.adapt is None:
        return None
    return Adaptation.parse(plugins.discover(command.plugins), command.adapt, command.set, chosen)


@contextmanager
def _opened(command: Evaluate) -> Iterator[Sequence[Scored]]:
    """The checkpoints that were named, or the network of the network file."""
    if command.network_file is None and command.weights is None:
        places.require_some(command.checkpoints, command.out)
        out, extra = command.out.resolve(), command.plugins
        yield [open_checkpoint(text, out, command.profile, extra) for text in command.checkpoints]
        return
    if command.network_file is None or command.weights is None or command.checkpoints:
        raise UsageError(
            "--network-file FILE.py:FUNCTION and --weights FILE go together, without a name or folder beside them."
        )
    place = NetworkPlace.parse(command.network_file, command.weights)
    registry = plugins.discover(command.plugins)
    closed = labelled.label_places(registry, _request(command, registry))
    chosen, device = profile(command.profile or "paper"), device_name(command.device)
    with foreign.opened(place, device, chosen, closed, _adaptation(command, chosen)) as network:
        yield [network]


def _score_and_show(console: Console, command: Evaluate, opened: Sequence[Scored]) -> None:
    device, out = device_name(command.device), command.out.resolve()
    scorings = {
        checkpoint.name: [
            Scoring(checkpoint, split, device, command.protocol, _adaptation(command, checkpoint.profile))
            for split in _splits(console, command, checkpoint)
        ]
        for checkpoint in opened
    }
    wanted = [scoring for group in scorings.values() for scoring in group]
    to_do = [scoring for scoring in wanted if command.force or not scoring.file(out).is_file()]
    generate_missing(console, [(scoring.split.ref.dataset, scoring.split.source) for scoring in to_do])
    for name in scorings:
        _score(console, [scoring for scoring in to_do if scoring.checkpoint.name == name], out)
    for group in scorings.values():
        console.print(_table([load_evaluation(scoring.file(out)) for scoring in group]))
    say(console, f"All evaluations: {checkpoints.write_checkpoints(out)}")


def _score(console: Console, scorings: Sequence[Scoring], out: Path) -> None:
    with bars(console) as add:
        score_all(scorings, out, lambda split, count: add(f"{scorings[0].name} on {split.ref}", count))


def _request(command: Evaluate, registry: plugins.Registry) -> Request:
    return sources.folders(registry, command.data_root, command.data_path, command.limit)


def _splits(console: Console, command: Evaluate, checkpoint: Scored) -> list[LabelledSplit]:
    """The splits that ``checkpoint`` can be scored on; says which are left out, and why."""
    registry = plugins.discover(command.plugins)
    request, class_set = _request(command, registry), checkpoint.class_set
    search = labelled.Search(checkpoint.profile, registry, request, checkpoint.dials, class_set)
    found, missing = search.find(_wanted(command, registry, checkpoint))
    labelled.require_any(found, missing, checkpoint.class_set)
    for ref, reason in missing.items():
        say(console, f"{checkpoint.name}: {ref} is left out. {reason}", "yellow")
    return found


def _wanted(command: Evaluate, registry: plugins.Registry, checkpoint: Scored) -> dict[SplitRef, Provenance]:
    """The splits to look for: those asked for, those of the benchmarks asked for, or all."""
    if command.splits and command.benchmarks:
        raise UsageError("--splits and --benchmarks both say which splits to score. Leave one of them out.")
    generated = any(name.startswith(PREFIX) for name in command.benchmarks)
    if generated and command.data == "official":
        raise UsageError(f"--benchmarks {PREFIX}...: scored on generated data; drop --data official.")
    provenance = "generated" if generated else command.data or checkpoint.profile.data
    if command.splits:
        return labelled.named_splits(registry, command.splits, provenance)
    if not command.benchmarks:
        return labelled.all_splits(registry, provenance, checkpoint.class_set)
    names = [name.removeprefix(PREFIX) for name in command.benchmarks]
    return labelled.benchmark_splits(registry, names, provenance)


def _table(evaluations: Sequence[Evaluation]) -> Table:
    """The scores of one checkpoint, one row per split."""
    first = evaluations[0]
    title = f"{first.checkpoint}: {checkpoints.origin(first)}; {first.method_title} on {first.network.name}"
    title += f"; {departs}" if (departs := checkpoints.departures(first)) else ""
    title += f"; adapts by {adapts}" if (adapts := checkpoints.adapted(first)) else ""
    headers: list[str | Column] = ["split", "class set", "data"]
    headers += [
        Column(header, justify="right") for header in ("images", "mIoU", "class\naccuracy", "pixel\naccuracy")
    ]
    table = Table(*headers, title=cell(title), title_justify="left", box=None, pad_edge=False)
    for evaluation in evaluations:
        score = evaluation.score
        written = (str(score.images), *checkpoints.written(evaluation))
        table.add_row(*map(cell, (score.split, score.class_set, score.provenance, *written)))
    return table

"""``bench``: what a training step of methods costs on this machine."""

from __future__ import annotations

import json
import multiprocessing
import platform
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

import torch

from adaptbench.commands.output import console, print_json, say
from adaptbench.contracts.method import Stage
from adaptbench.contracts.precision import Precision
from adaptbench.errors import AdaptBenchError, UsageError
from adaptbench.execution.launch.endings import reason_of
from adaptbench.execution.step_cost import StepCost, measured, stage_of, trainings
from adaptbench.flags import EXIT_UNFINISHED, Bench
from adaptbench.flags.options import require_positive
from adaptbench.planning.devices import gpus
from adaptbench.planning.plan import make_plan
from adaptbench.planning.request import Request
from adaptbench.records import formatting
from adaptbench.records.jobspec import JobSpec, State
from adaptbench.reporting.columns import Column, column, number
from adaptbench.reporting.table import Table
from adaptbench.storage.atomic import write_text


@dataclass(frozen=True)
class Line:
    """A training that was measured.

    Attributes:
        cost: None where it could not be measured, for a ``reason``.
        first: the same training in the first precision, uncompiled; None if that is not known.
    """

    spec: JobSpec
    stage: Stage
    cost: StepCost | None
    reason: str = ""
    first: StepCost | None = None


def execute(command: Bench) -> int:
    """Prints a line per training and variant and keeps them as JSON; 1 if one could not be measured."""
    require_positive(command, "steps", "accumulate")
    shown = console(command.json)
    lines: list[Line] = []
    for line in _measured(command):
        lines.append(line)
        told = line.reason if line.cost is None else f"{line.cost.seconds:.3g} s a step"
        compiled = ", compiled" if line.spec.compiled else ""
        say(shown, f"{_name(line)}, {line.spec.precision}{compiled}: {told}")
    if not lines:
        raise UsageError(f"None of the methods trains on {command.benchmark}.")
    table = Table(COLUMNS, lines)
    content = {"machine": _machine(lines), "steps": command.steps, "trainings": table.to_json()}
    path = command.out.resolve() / "bench" / f"{command.profile}-{lines[0].spec.device}.json"
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    if command.json:
        print_json(content)
    else:
        title = f"One training step, profile {command.profile}, {content['machine']}"
        shown.print(table.to_rich(title, shown.width))
        say(shown, f"Written: {path}")
    return EXIT_UNFINISHED if any(line.cost is None for line in lines) else 0


def _measured(command: Bench) -> Iterator[Line]:
    """A line per training and variant, as they are measured."""
    variants = product(command.precision, (False, True) if command.compile else (False,))
    for specs in zip(*(_planned(command, *variant) for variant in variants), strict=True):
        for stage in trainings(specs[0]):
            first: StepCost | None = None
            for place, spec in enumerate(specs):
                line = _in_a_process(spec, stage, command.steps)
                first = line.cost if place == 0 else first
                yield replace(line, first=first)


def _planned(command: Bench, precision: Precision, compiled: bool) -> Sequence[JobSpec]:
    """Jobs of smoke runs, which need neither data nor start weights, in one of the precisions.

    Those that make no sense on the benchmark are left out.
    """
    plan = make_plan(
        Request(
            methods=command.methods,
            benchmarks=(command.benchmark,),
            networks=command.networks or (),
            profile=command.profile,
            data="generated",
            out=command.out.resolve(),
            settings=command.set,
            limit=command.steps + 1,
            activation_checkpointing=command.activation_checkpointing,
            precision=precision,
            compiled=compiled,
            accumulate=command.accumulate,
            device=command.device,
            plugins=command.plugins,
        )
    )
    return [job.spec for job in plan.jobs if job.state != State.SKIPPED]


def _in_a_process(spec: JobSpec, number: int, steps: int) -> Line:
    """Measured in a process of its own, whose memory is that of the training alone."""
    context = multiprocessing.get_context("spawn")
    line = partial(Line, spec, stage_of(spec, number))
    arguments = {"spec": spec.model_dump(mode="json"), "number": number, "steps": steps}
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        try:
            return line(pool.submit(measured, arguments).result())
        except BrokenProcessPool:
            return line(None, "killed, probably as memory ran out")
        except (
            AdaptBenchError,
            MemoryError,
            RuntimeError,
        ) as error:  # a device without the precision, no memory
            return line(None, reason_of(error))


def _machine(lines: Sequence[Line]) -> str:
    """What was measured on."""
    threads = f"{platform.machine()} CPU, {lines[0].spec.threads} threads"
    where = next(iter(gpus()), "GPU") if lines[0].spec.device == "cuda" else threads
    return f"{where}, torch {torch.__version__}"


def _name(line: Line) -> str:
    method, stage = line.spec.method, line.stage
    return f"{method}: {stage.name}" if len(trainings(line.spec)) > 1 else method


def _ratio(line: Line) -> float | None:
    """Seconds in the first precision, uncompiled, over seconds in this one."""
    return None if line.cost is None or line.first is None else line.first.seconds / line.cost.seconds


def _compiled(line: Line) -> str | None:
    """What became of --compile; None where it was not asked for."""
    if not line.spec.compiled:
        return None
    return "not measured" if line.cost is None else str(line.cost.compilation)


def _rate(line: Line) -> float | None:
    """Operations per second."""
    return None if line.cost is None else line.cost.flops / line.cost.seconds


def _images(line: Line) -> str | None:
    if line.cost is None:
        return None
    return " + ".join(filter(None, (line.cost.labelled, line.cost.target)))


def _cost(header: str, quantity: str, text: Callable[[float], str], unit: str) -> Column[Line]:
    """A quantity of `StepCost`; a line that was not measured has none."""
    return number(
        header,
        lambda line: None if line.cost is None else getattr(line.cost, quantity),
        text,
        quantity,
        unit=unit,
    )


#: Of the printed table and of the file.
COLUMNS: Sequence[Column[Line]] = (
    column("training", _name, key="training", names_line=True),
    column("network", lambda line: line.stage.settings.network, key="network"),
    column("images", _images, key="images", optional=True),
    column("precision", lambda line: line.spec.precision, key="precision"),
    column("compiled", _compiled, key="compiled", optional=True),
    _cost("step", "seconds", "{:.3g} s".format, "s"),
    number("times as fast", _ratio, "{:.2f}".format, "times_as_fast"),
    _cost("first step", "first_seconds", "{:.3g} s".format, "s"),
    _cost("peak memory", "memory_mib", formatting.memory, "MiB"),
    number("TFLOPs", lambda line: line.cost and line.cost.flops / 1e12, "{:.3g}".format, "tflops"),
    number(
        "TFLOP/s", lambda line: (rate := _rate(line)) and rate / 1e12, "{:.3g}".format, "tflops_per_second"
    ),
    column("not measured", lambda line: line.reason or None, key="reason", optional=True),
)

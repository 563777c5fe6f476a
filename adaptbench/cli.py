"""Verbs and flags. A verb's code is imported when it runs, so that ``ls`` and ``--help`` answer at once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from adaptbench.errors import AdaptBenchError

EXIT_UNFINISHED = 1
EXIT_USAGE = 2

Flag = tyro.conf.FlagCreatePairsOff[bool]


@dataclass(frozen=True)
class Run:
    """Train, score and rank methods. Other verbs: ls, report, doctor (each has --help)."""

    methods: tuple[str, ...] = ("all",)
    """Methods, or 'all'."""
    benchmarks: tuple[str, ...] = ("gta5_to_cityscapes",)
    """Benchmarks; minicity/NAME means generated data, which is what profile mini uses anyway."""
    seeds: tuple[int, ...] = (0,)
    """One job per seed."""
    profile: Literal["mini", "paper"] = "mini"
    """mini: minutes on two CPU cores. paper: published sizes and hyper-parameters."""
    data: Literal["generated", "official"] | None = None
    """Where data comes from; by default generated in mini and official in paper."""
    data_root: Path | None = None
    """Parent folder of official datasets."""
    data_path: Annotated[tuple[str, ...], tyro.conf.arg(metavar="DATASET=PATH ...")] = ()
    """Folder of single datasets, beside the root."""
    out: Path = Path("results")
    """Folder for runs, stages and leaderboards."""
    jobs: int | None = None
    """Jobs at once; by default cores divided by the threads of the profile, and one on a GPU."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto takes the GPU where there is one."""
    set: Annotated[tuple[str, ...], tyro.conf.arg(metavar="KEY=VALUE ...")] = ()
    """Settings of all selected methods (KEY), of one (METHOD.KEY), or of the generated world (minicity.DIAL)."""
    limit: int | None = None
    """Smoke run of this many iterations and few images: never ranked."""
    dry_run: Flag = False
    """Show the plan and stop."""
    force: Flag = False
    """Run again what is finished."""
    plugins: tuple[Path, ...] = ()
    """Files or folders with further methods, datasets and benchmarks."""


@dataclass(frozen=True)
class Ls:
    """List methods, benchmarks, datasets, profiles and runs."""

    what: Annotated[
        tuple[Literal["methods", "benchmarks", "datasets", "profiles", "runs"], ...], tyro.conf.Positional
    ] = ("methods", "benchmarks", "datasets", "profiles", "runs")
    """What to list."""
    out: Path = Path("results")
    """Results folder whose runs are listed."""
    plugins: tuple[Path, ...] = ()
    """Files or folders with further plug-ins."""


@dataclass(frozen=True)
class Report:
    """Rebuild the leaderboards from the records of finished runs."""

    out: Path = Path("results")
    """Results folder."""
    publish: Flag = False
    """Also update the committed results/minicity/leaderboard.md and .csv."""
    pictures: Flag = False
    """Also draw the leaderboards and strips of predictions."""


@dataclass(frozen=True)
class Doctor:
    """Check versions, GPU, disk and data."""

    data_root: Path | None = None
    """Parent folder of official datasets."""
    data_path: Annotated[tuple[str, ...], tyro.conf.arg(metavar="DATASET=PATH ...")] = ()
    """Folder of single datasets, beside the root."""
    out: Path = Path("results")
    """Results folder."""
    plugins: tuple[Path, ...] = ()
    """Files or folders with further plug-ins."""


Command = Run | Ls | Report | Doctor

_VERBS: dict[str, type[Command]] = {"run": Run, "ls": Ls, "report": Report, "doctor": Doctor}


@dataclass
class _Merged:
    """Arguments with repeated flags joined: ``--set a=1 --set b=2`` means ``--set a=1 b=2``."""

    order: list[str] = field(default_factory=list)
    values: dict[str, list[str]] = field(default_factory=dict)

    def add(self, flag: str, value: str | None = None) -> None:
        if flag not in self.values:
            self.order.append(flag)
            self.values[flag] = []
        if value is not None:
            self.values[flag].append(value)


def main(arguments: Sequence[str]) -> int:
    """Runs the command line ``arguments`` and returns the exit status.

    Returns:
        0 if everything asked for is done or skipped by rule, 1 if not, 2 for a wrong command line or data.
    """
    try:
        return _dispatch(parse(arguments))
    except AdaptBenchError as error:
        print(f"adaptbench: {error}", file=sys.stderr)  # noqa: T201
        return EXIT_USAGE
    except KeyboardInterrupt:
        print("adaptbench: stopped.", file=sys.stderr)  # noqa: T201
        return 130
    except BrokenPipeError:
        return EXIT_UNFINISHED


def parse(arguments: Sequence[str]) -> Command:
    """The command behind ``arguments``; without a verb it is ``run``."""
    verb, rest = ("run", list(arguments))
    if rest and rest[0] in _VERBS:
        verb = rest.pop(0)
    command: Command = tyro.cli(_VERBS[verb], prog=f"run_all.py {verb}", args=_join_repeated(rest))
    return command


def _dispatch(command: Command) -> int:
    if isinstance(command, Run):
        from adaptbench.commands import run

        return run.execute(command)
    if isinstance(command, Ls):
        from adaptbench.commands import ls

        return ls.execute(command)
    if isinstance(command, Report):
        from adaptbench.commands import report

        return report.execute(command)
    from adaptbench.commands import doctor

    return doctor.execute(command)


def _join_repeated(arguments: Sequence[str]) -> list[str]:
    merged = _Merged()
    leading: list[str] = []
    flag: str | None = None
    for argument in arguments:
        if argument.startswith("--"):
            flag, equals, value = argument.partition("=")
            merged.add(flag, value if equals else None)
        elif flag is None:
            leading.append(argument)
        else:
            merged.add(flag, argument)
    return [*leading, *(part for flag in merged.order for part in (flag, *merged.values[flag]))]

"""From arguments to a verb. Its code is imported when it runs, so that ``ls`` and ``--help`` answer at once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from importlib import import_module
from keyword import iskeyword
from typing import get_args

import tyro

from adaptbench.contracts import stand_ins
from adaptbench.errors import AdaptBenchError, unknown_name
from adaptbench.flags import EXIT_UNFINISHED, EXIT_USAGE, Command, Run, Tracking

_VERBS: dict[str, type[Command]] = {command.__name__.lower(): command for command in get_args(Command)}


def main(arguments: Sequence[str]) -> int:
    """Runs the command line ``arguments`` and returns the exit status.

    Returns:
        0 if everything asked for is done or skipped by rule, 1 if not, 2 for a wrong command line or data.
    """
    return _status(lambda: _dispatch(parse(arguments)))


def _status(work: Callable[[], int]) -> int:
    """Exit status of ``work``, or of how it ends."""
    try:
        return work()
    except AdaptBenchError as error:
        print(f"adaptbench: {error}", file=sys.stderr)  # noqa: T201
        return EXIT_USAGE
    except KeyboardInterrupt:
        print("adaptbench: stopped.", file=sys.stderr)  # noqa: T201
        return 130
    except BrokenPipeError:
        return EXIT_UNFINISHED


def parse(arguments: Sequence[str]) -> Command:
    """The command behind ``arguments``; without a verb it is ``run``.

    Raises:
        UsageError: no such verb.
        SystemExit: a wrong flag (status 2), or --help (status 0).
    """
    verb, rest = ("run", list(arguments))
    if rest and not rest[0].startswith("-"):
        verb = rest.pop(0)
    if verb not in _VERBS:
        raise unknown_name("verb", verb, _VERBS)
    command: Command = tyro.cli(
        _VERBS[verb], prog=f"run_all.py {verb}", args=_join_repeated(rest, _VERBS[verb])
    )
    return command


def _dispatch(command: Command) -> int:
    """Runs the verb; a plan that is only shown does without torch where it can."""
    if isinstance(command, Run) and command.dry_run:
        status = stand_ins.attempt(lambda: _status(lambda: _execute(command)))
        if status is not None:
            return status
    return _execute(command)


def _execute(command: Command) -> int:
    """Runs the verb in the module of its name; where Python needs the word itself, with an underscore."""
    verb = type(command).__name__.lower()
    module = import_module(f"adaptbench.commands.{verb}{'_' * iskeyword(verb)}")
    status: int = module.execute(command)
    return status


def _join_repeated(arguments: Sequence[str], verb: type[Command]) -> list[str]:
    """``--set a=1 --set b=2`` means ``--set a=1 b=2``; of a flag with one value the last counts."""
    known = (*fields(verb), *fields(Tracking))
    several = {f"--{f.name.replace('_', '-')}" for f in known if "tuple[" in str(f.type)}
    leading: list[str] = []
    values: dict[str, list[str]] = {}
    current = leading
    for argument in arguments:
        if not argument.startswith("--"):
            current.append(argument)
            continue
        flag, equals, value = argument.partition("=")
        if flag not in several:
            leading += values.pop(flag, [])[1:]  # words after the value belong to no flag
        current = values.setdefault(flag, [])
        if equals:
            current.append(value)
    return [*leading, *(part for flag, words in values.items() for part in (flag, *words))]

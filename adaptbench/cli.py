"""From arguments to a verb. Its code is imported when it runs, so that ``ls`` and ``--help`` answer at once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Sequence
from importlib import import_module
from keyword import iskeyword
from pathlib import Path
from typing import get_args, get_type_hints

import tyro

import adaptbench
from adaptbench import signals
from adaptbench.contracts import stand_ins
from adaptbench.errors import AdaptBenchError, UsageError, of_system, unknown_name
from adaptbench.flags import EXIT_UNFINISHED, EXIT_USAGE, Command, Run, Tracking
from adaptbench.imports import without
from adaptbench.storage import streams

_VERBS: dict[str, type[Command]] = {command.__name__.lower(): command for command in get_args(Command)}
_NAME = "adaptbench"
_SCRIPT = "run_all.py"


#: Flags that had another name.
_FORMER_NAMES = {"--pictures": "--images", "--debug-pictures": "--debug-images"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line ``arguments``, by default those of the process, and returns the exit status.

    Returns:
        0 if everything asked for is done or skipped by rule, 1 if not, 2 for a wrong command line or data, and 128 and
        the number of the signal that stopped it: 130 for Ctrl-C, 143 for SIGTERM.
    """
    streams.prepare()
    given = sys.argv[1:] if arguments is None else arguments
    with signals.handled(signals.stop):
        return _status(lambda: _answer(given))


def _answer(arguments: Sequence[str]) -> int:
    """Answers what belongs to no verb, or runs a verb."""
    _require_utf8(*arguments, str(Path.cwd()), adaptbench.__file__)
    if (answer := _about(arguments)) is None:
        command = parse(arguments)
        _require_no_loops(command)
        return _dispatch(command)
    print(answer)  # noqa: T201
    return 0


def _status(work: Callable[[], int]) -> int:
    """Exit status of ``work``, or of how it ends."""
    try:
        status = work()
        sys.stdout.flush()
        return status
    except AdaptBenchError as error:
        print(f"adaptbench: {error}", file=sys.stderr)  # noqa: T201
        return EXIT_USAGE
    except KeyboardInterrupt as stopped:
        print(f"adaptbench: stopped. {stopped}".rstrip(), file=sys.stderr)  # noqa: T201
        return signals.exit_status(stopped)
    except BrokenPipeError:
        streams.silence()
        return EXIT_UNFINISHED
    except OSError as error:  # of the system, where no file of ours has a better word for it
        print(f"adaptbench: {of_system(error, _blamed())}", file=sys.stderr)  # noqa: T201
        streams.silence()
        return EXIT_USAGE


def _require_utf8(*names: str) -> None:
    """Raises UsageError for a name that our files could not hold."""
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise UsageError(
                f"{name!a} holds bytes that are not read as UTF-8, so that no file of results could name it. Rename "
                "it, or leave the environment to Python: LC_ALL=C.UTF-8, without PYTHONUTF8=0."
            ) from error


def _blamed() -> str:
    """Standard output, if it does not take another line either; else nobody. What it refused need not wait any more."""
    try:
        print(flush=True)  # noqa: T201
    except OSError:
        return "standard output"
    return ""


def _require_no_loops(command: Command) -> None:
    """Raises UsageError for a link that leads to itself, which no path can be resolved through."""
    for value in vars(command).values():
        for path in value if isinstance(value, tuple) else (value,):
            try:
                if isinstance(path, Path):
                    path.resolve()
            except RuntimeError as error:
                raise UsageError(f"{path}: this link leads to itself. Name a folder or file.") from error


def parse(arguments: Sequence[str]) -> Command:
    """The command behind ``arguments``; without a verb it is ``run``.

    Raises:
        UsageError: no such verb, or a wrong --config file.
        SystemExit: a wrong flag (status 2), or --help (status 0).
    """
    name, rest = ("run", list(arguments))
    if rest and not rest[0].startswith("-"):
        name = rest.pop(0)
    if name not in _VERBS:
        raise unknown_name("verb", name, _VERBS)
    verb = _VERBS[name]
    joined = _join_repeated(rest, verb)
    try:
        command: Command = tyro.cli(verb, prog=f"{_program()} {name}", args=joined)
    except SystemExit as ended:
        if not ended.code:
            print(_end_of_help(name))  # noqa: T201
        raise
    if isinstance(command, Run) and command.config is not None:
        from adaptbench.flags import experiment

        return experiment.completed(command, joined)
    return command


def _about(arguments: Sequence[str]) -> str | None:
    """What flags that belong to no verb print."""
    if arguments == ["--version"]:
        return f"{_NAME} {adaptbench.__version__}"
    if arguments[:1] == ["--print-completion"]:
        from adaptbench.flags import completion

        return completion.script(_NAME, Run, _VERBS, " ".join(arguments[1:]))
    return None


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
    with without("transformers"):  # which mmengine imports for an optimiser that is not used here
        module = import_module(f"adaptbench.commands.{verb}{'_' * iskeyword(verb)}")
    status: int = module.execute(command)
    return status


def _join_repeated(arguments: Sequence[str], verb: type[Command]) -> list[str]:
    """``--set a=1 --set b=2`` means ``--set a=1 b=2``; of a flag with one value the last counts."""
    hints = {**get_type_hints(verb), **get_type_hints(Tracking)}
    several = {f"--{name.replace('_', '-')}" for name, hint in hints.items() if "tuple[" in str(hint)}
    leading: list[str] = []
    values: dict[str, list[str]] = {}
    dashed: set[str] = set()
    current = leading
    for argument in arguments:
        if not argument.startswith("--"):
            current.append(argument)
            continue
        flag, equals, value = argument.partition("=")
        flag = _FORMER_NAMES.get(flag, flag)
        if flag not in several:
            leading += values.pop(flag, [])[1:]  # words after the value belong to no flag
        current = values.setdefault(flag, [])
        if equals:
            current.append(value)
            dashed |= {flag} if value.startswith("-") else set()
    return [*leading, *(part for flag, words in values.items() for part in _words(flag, words, dashed))]


def _words(flag: str, words: Sequence[str], dashed: Collection[str]) -> list[str]:
    """A flag and its values; a value after an equals sign may begin with a dash, as a folder may."""
    if flag in dashed and words[0].startswith("-"):
        return [f"{flag}={words[0]}", *words[1:]]
    return [flag, *words]


def _program() -> str:
    """What the user typed: the installed command, or the checkout's script."""
    return _SCRIPT if Path(sys.argv[0]).name == _SCRIPT else _NAME


def _end_of_help(name: str) -> str:
    """Examples of a verb, and what else there is where none is named."""
    program = _program().replace(_SCRIPT, f"python {_SCRIPT}")
    verb = _VERBS[name]
    called = program if verb is Run else f"{program} {name}"
    lines = ["examples:", *(f"  {called} {example}".rstrip() for example in verb.examples)]
    if verb is Run:
        lines += ["", "verbs, each with --help:"]
        lines += [f"  {other:<11}{_summary(_VERBS[other])}" for other in _VERBS]
        lines += ["", f"  {_NAME} --version", f"  {_NAME} --print-completion {{bash,fish,zsh}}"]
    return "\n".join(lines)


def _summary(verb: type[Command]) -> str:
    return (verb.__doc__ or "").splitlines()[0]

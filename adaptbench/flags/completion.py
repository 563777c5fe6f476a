"""Completion of verbs and flags in a shell."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from contextlib import redirect_stdout, suppress
from dataclasses import field, make_dataclass
from functools import reduce
from operator import or_
from typing import Annotated, Any

import tyro

from adaptbench.errors import unknown_name

SHELLS = ("bash", "fish", "zsh")


def script(program: str, default: type[Any], verbs: Mapping[str, type[Any]], shell: str) -> str:
    """What a shell has to read once, so that the tab key completes verbs and flags of ``program``."""
    if shell not in SHELLS:
        raise unknown_name("shell", shell, SHELLS)
    written = io.StringIO()
    with redirect_stdout(written), suppress(SystemExit):  # tyro ends the process when it has printed
        tyro.cli(
            _all_verbs(default, verbs),
            prog=program,
            args=["--tyro-print-completion", shell],
            config=(tyro.conf.OmitArgPrefixes,),
        )
    # A description of several lines would be several completions.
    specification = re.compile(r"^COMPLETION_SPEC = .*$", re.MULTILINE)
    return specification.sub(lambda found: found[0].replace(r"\n", " "), written.getvalue())


def _all_verbs(default: type[Any], verbs: Mapping[str, type[Any]]) -> Any:
    """One class with the flags of ``default`` and all verbs."""
    named = [tyro.conf.subcommand(name, prefix_name=False) for name in verbs]
    choices = (Annotated[verb, name] for verb, name in zip(verbs.values(), named, strict=True))
    verb = ("verb", reduce(or_, choices), field(default_factory=default))
    return make_dataclass("AllVerbs", [verb], bases=(default,), frozen=True)

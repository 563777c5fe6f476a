"""Errors a user can cause. Each message says what is wrong, where, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

#: An error message lists at most this many names.
_LISTED = 200


class AdaptBenchError(Exception):
    """Base of every error that is reported as one paragraph instead of a traceback."""


class UsageError(AdaptBenchError):
    """The command line or an option is wrong."""


class PluginError(AdaptBenchError):
    """A plug-in file cannot be used."""


class DataError(AdaptBenchError):
    """A dataset folder, image or label file is missing, damaged or in another format."""


class FirewallError(AdaptBenchError):
    """A training process tried to open a label (or, in DG, an image) that is out of its reach."""


class WeightsError(AdaptBenchError):
    """A file of weights is missing, damaged, or does not fit the network it is meant for."""


class InterruptedTrainingError(AdaptBenchError):
    """The training was asked to stop; its checkpoint is on disk."""


class RunStateError(AdaptBenchError):
    """A job, stage or record on disk cannot be used: other version, damaged, or not writable."""


class ReadOnlyError(RunStateError):
    """A file cannot be written since we may not; what is read can still be shown."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Error for a name that is not registered: says what was meant and lists the names.

    Args:
        kind: what the name should have been, for example ``"method"``.
        name: the unknown name.
        known: every valid name.
    """
    names = sorted(known)
    listed = ", ".join(names) or "none"
    if len(names) > _LISTED:
        listed = f"{len(names)} names from {names[0]!r} to {names[-1]!r}"
    return UsageError(f"Unknown {kind} {name!r}.{did_you_mean(name, names)} Known: {listed}.")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence, after a blank, with the names in ``known`` that look like ``name``; empty if none does."""
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(repr(match) for match in close)}?" if close else ""

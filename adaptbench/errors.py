"""Errors a user can cause. Each message says what is wrong, where, and what to do."""

from __future__ import annotations

import difflib
import errno
import re
from collections.abc import Iterable

#: An error message lists at most this many names.
_LISTED = 200
#: What ends a line, moves a terminal's cursor or colours it, or turns the direction of letters.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
#: What to do about an error of the system where nothing more is known of the file.
_ADVICE = {
    errno.EACCES: "Change its permissions, or choose another place with --out, or ADAPTBENCH_CACHE for caches.",
    errno.EROFS: "Choose another place with --out, or ADAPTBENCH_CACHE for caches.",
    errno.ENOSPC: "Free some space and run again.",
    errno.EMFILE: "Allow more open files, as with ulimit -n 4096, or run with fewer --jobs.",
    errno.ENAMETOOLONG: "Choose a shorter name, or a folder with a shorter path.",
    errno.EIO: "The disk, or the way to it, fails: look into the system's log, and run again when it is mended.",
    errno.ENOENT: "Was it moved or deleted? Put it back, or run again.",
    errno.EAGAIN: "Allow more processes, as with ulimit -u, or run with fewer --jobs.",
    errno.ENOMEM: "Run with fewer --jobs.",
}
_ADVICE |= {errno.EPERM: _ADVICE[errno.EACCES], errno.EDQUOT: _ADVICE[errno.ENOSPC]}
_ADVICE |= {errno.ENFILE: _ADVICE[errno.EMFILE], errno.ESTALE: _ADVICE[errno.EIO]}


def printable(text: str) -> str:
    r"""``text`` in one line, with ``\n`` and ``\x1b`` in place of what a terminal would obey, as names may hold it."""
    return _UNSEEN.sub(lambda found: repr(found[0])[1:-1], text)


def advice(error: OSError) -> str:
    """What to do about an error of the system, a sentence; empty where nothing is known that helps."""
    return _ADVICE.get(error.errno or 0, "")


def of_system(error: OSError, place: str = "") -> str:
    """An error of the system that nobody expected: the file, or ``place`` where none is named; cause and way out."""
    where = printable(str(place if error.filename is None else error.filename))
    told = f"{where}: {error.strerror or error}" if where else f"{error.strerror or error}"
    return f"{printable(told.rstrip('.'))}. {advice(error)}".rstrip()


class AdaptBenchError(Exception):
    """Base of every error that is reported as one paragraph instead of a traceback."""

    def __str__(self) -> str:
        return printable(super().__str__())


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

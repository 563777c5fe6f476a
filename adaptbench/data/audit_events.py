"""Which files Python's audit events are about: https://docs.python.org/3/library/audit_events.html."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from adaptbench.data.native_readers import EVENT, joined


def paths(event: str, args: tuple[object, ...]) -> Iterator[str]:
    """Paths of the files that are about to be opened, moved or linked, or that a program is called with."""
    if event in _SUBJECTS:
        for name in _SUBJECTS[event](*args):
            if isinstance(name, (str, bytes, os.PathLike)) and "\0" not in (path := os.fsdecode(name)):
                yield path


def _first(path: object, *_: object) -> list[object]:
    return [path]


def _moved(source: object, target: object, source_folder: object = -1, *_: object) -> list[object]:
    return [joined(source, source_folder)]


def _words(_: object, arguments: object, folder: object = None, *__: object) -> list[object]:
    """What a program is called with: its words may be files."""
    if isinstance(arguments, (str, bytes)):
        arguments = _split(os.fsdecode(arguments))
    if not isinstance(arguments, (list, tuple)):
        return []
    texts = [os.fsdecode(word) for word in arguments if isinstance(word, (str, bytes, os.PathLike))]
    base = os.fsdecode(folder) if isinstance(folder, (str, bytes, os.PathLike)) else ""
    return [os.path.join(base, part) for text in texts for part in {text, *_split(text)}]  # noqa: PTH118


def _split(line: str) -> list[str]:
    """The words of a command line."""
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()


#: By audit event, the files that it is about.
_SUBJECTS: Mapping[str, Callable[..., list[object]]] = MappingProxyType(
    {
        "open": _first,
        EVENT: _first,
        "os.link": _moved,
        "os.rename": _moved,
        "os.symlink": _first,
        "shutil.copyfile": _first,
        "subprocess.Popen": _words,
        "os.system": lambda command: _words(None, command),
        "os.exec": lambda path, arguments, _: _words(path, arguments),
        "os.posix_spawn": lambda path, arguments, _: _words(path, arguments),
        "os.spawn": lambda _, path, arguments, __: _words(path, arguments),
    }
)

"""A process that holds zip archives open for one that must not read all of what is in them.

The kernel decides about whole archives, and an open one can be read anywhere. So the sealed process closes its own
handles and asks for single files, by a socket that its forks share; what is closed is not handed out.
"""

from __future__ import annotations

import functools
import os
import signal
import socket
import threading
from collections.abc import Callable, Sequence

from adaptbench.data.archives import Archive
from adaptbench.errors import DataError

_REQUEST_BYTES = 1 << 16
_CONTENT, _REFUSED, _NONE, _DAMAGED = b"crnd"
_HEAD = 9

Closed = Callable[[str], bool]


def hand_over(archives: Sequence[Archive], closed: Closed) -> None:
    """Forks the keeper of ``archives``; it ends with the last process that could ask. Linux.

    Args:
        archives: opened; they are read through the keeper from now on.
        closed: whether a file in them, named by a path through its archive, is out of reach.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        ours.close()
        _serve(theirs, archives, closed)
    theirs.close()
    for number, archive in enumerate(archives):
        archive.give_away(functools.partial(_ask, ours, number, archive))


def _ask(line: socket.socket, number: int, archive: Archive, name: str) -> bytes:
    """Content of a file.

    Raises:
        OSError: there is none, it is closed, or the keeper has ended.
        DataError: the archive is damaged.
    """
    answer, reply = os.pipe()
    with open(answer, "rb") as file:  # noqa: PTH123
        try:
            socket.send_fds(line, [f"{number} {name}".encode()], [reply])
        finally:
            os.close(reply)
        text = file.read()
    kind, content = text[:1], text[_HEAD:]
    if len(text) < _HEAD or len(content) != int.from_bytes(text[1:_HEAD]):
        raise OSError(f"the process that holds {archive.path} has ended")
    if kind[0] == _REFUSED:
        raise PermissionError(f"{archive.path / name} is out of reach of this process")
    if kind[0] == _NONE:
        raise FileNotFoundError(content.decode())
    if kind[0] == _DAMAGED:
        raise DataError(content.decode())
    return content


def _serve(line: socket.socket, archives: Sequence[Archive], closed: Closed) -> None:
    """Answers until nobody is left who could ask, and ends the process."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    try:
        while True:
            request, handles, _, _ = socket.recv_fds(line, _REQUEST_BYTES, 1)
            if not request:
                break
            threading.Thread(target=_answer, args=(request.decode(), handles, archives, closed)).start()
    finally:
        os._exit(0)


def _answer(request: str, handles: Sequence[int], archives: Sequence[Archive], closed: Closed) -> None:
    number, _, name = request.partition(" ")
    kind, content = _content(archives[int(number)], name, closed)
    with open(handles[0], "wb") as reply:  # noqa: PTH123
        reply.write(bytes([kind]) + len(content).to_bytes(_HEAD - 1) + content)


def _content(archive: Archive, name: str, closed: Closed) -> tuple[int, bytes]:
    if closed(f"{os.path.realpath(archive.path)}{os.sep}{name}"):
        return _REFUSED, b""
    try:
        return _CONTENT, archive.read(name)
    except OSError as error:
        return _NONE, str(error).encode()
    except DataError as error:
        return _DAMAGED, str(error).encode()

"""How a process is asked to stop, and how it ends with the one that started it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

#: Ctrl-C, a scheduler or `kill`, and a terminal that was closed.
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1


class Stopped(KeyboardInterrupt):
    """A command was asked to stop.

    Args:
        number: the signal that asked.
        text: what the user should know, a sentence.
    """

    def __init__(self, number: int, text: str = "") -> None:
        super().__init__(text)
        self.number = number


def exit_status(stopped: KeyboardInterrupt) -> int:
    """What a shell expects of a process that a signal stopped."""
    return 128 + (stopped.number if isinstance(stopped, Stopped) else signal.SIGINT)


@contextlib.contextmanager
def handled(handler: Callable[[int], None]) -> Iterator[None]:
    """Has stop signals answered by ``handler`` while the block runs; a closed terminal stays ignored under nohup.

    Only the main thread can; in any other the signals stay what they are.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def answer(number: int, _: FrameType | None) -> None:
        handler(number)

    before = {number: signal.getsignal(number) for number in STOPS}
    heard = [number for number in STOPS if number != signal.SIGHUP or before[number] != signal.SIG_IGN]
    try:
        for number in heard:
            signal.signal(number, answer)
        yield
    finally:
        for number in heard:
            signal.signal(number, before[number])


def stop(number: int) -> None:
    """Answers a stop signal as Python answers Ctrl-C: by an exception."""
    raise Stopped(number)


def stop_flag() -> Callable[[], bool]:
    """What becomes true when this process is asked to stop, which it then does itself."""
    asked: list[int] = []
    for number in STOPS:
        signal.signal(number, lambda came, _: asked.append(came))
    return lambda: bool(asked)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Lets stop signals wait until the block is over; processes started in it never get any, whoever sends them.

    So they belong to the process that starts them, which stops them when it is asked to stop itself.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def obey(parent: int) -> None:
    """Has this process, whose stop signals are `held`, end when ``parent`` sends one; those of others still wait.

    It ends as if it were done: what was asked for is no failure.
    """
    threading.Thread(target=_listen_to, args=(parent,), daemon=True).start()


def _listen_to(parent: int) -> None:
    while signal.sigwaitinfo(STOPS).si_pid != parent:
        pass
    os._exit(0)


def end_with_parent(parent: int) -> None:
    """Asks the kernel to kill this process when the one that started it ends (Linux; elsewhere nothing)."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)

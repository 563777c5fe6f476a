"""A network file in a process of its own, which cannot open a label: images go in, predictions come out.

What the process says is read as JSON or as pixels and never unpickled: it runs code of strangers.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from adaptbench import errors, signals
from adaptbench.data import firewall
from adaptbench.errors import AdaptBenchError, PluginError
from adaptbench.execution.given.adapting import Adaptation
from adaptbench.execution.given.loaded_network import NetworkPlace, load
from adaptbench.execution.launch.endings import ending, reason_of
from adaptbench.execution.launch.processes import fix_threads
from adaptbench.networks.inference import Size

UInt8 = npt.NDArray[np.uint8]

_JOIN_SECONDS = 10


@dataclass(frozen=True)
class SealedNetwork:
    """The end of the line to such a process.

    Attributes:
        facts: what the network is; see `adaptbench.execution.given.loaded_network.LoadedNetwork.facts`.
    """

    place: NetworkPlace
    facts: dict[str, Any]
    ask: Callable[[object], bytes]

    def predict(self, image: UInt8, size: Size, position: int = 0) -> UInt8:
        """Predicted train ids at ``size``, 255 for void; ``position`` counts the images of a split from 0.

        Shape: ``(H, W, 3)`` RGB to ``(*size,)``.

        Raises:
            AdaptBenchError: as `LoadedNetwork.logits` says; a FirewallError if its code tried to open a label.
        """
        pixels = np.frombuffer(self.ask((image, size, position)), dtype=np.uint8)
        if pixels.size != size[0] * size[1]:
            raise PluginError(
                f"{self.place}: its process answered with {pixels.size} pixels instead of {size}."
            )
        return pixels.reshape(size)

    def require_fitting(self, box: Size) -> None:
        """Raises UsageError where it cannot be adapted to images of ``box``, (height, width), or of its own size."""
        self.ask((None, box, 0))


@contextmanager
def opened(
    place: NetworkPlace,
    device: str,
    threads: int,
    closed: Sequence[Path],
    adaptation: Adaptation | None = None,
) -> Iterator[SealedNetwork]:
    """The network of ``place`` in a process that cannot open what is ``closed``; it ends with the block.

    The process is forked, which saves importing torch again; CUDA does not survive a fork.
    """
    start = multiprocessing.get_context("fork" if device == "cpu" else "spawn")
    here, there = start.Pipe()
    process = start.Process(  # type: ignore[attr-defined]
        target=_serve, args=(here, there, place, device, threads, closed, adaptation, os.getpid())
    )
    process.start()
    there.close()

    def ask(question: object) -> bytes:
        try:
            here.send(question)
            return _read(here.recv_bytes())
        except (EOFError, OSError) as error:
            process.join(_JOIN_SECONDS)
            raise PluginError(f"{place}: {ending('The process of the network', process.exitcode)}") from error

    try:
        yield SealedNetwork(place, json.loads(ask(None)), ask)
    finally:
        here.close()
        process.join(_JOIN_SECONDS)
        process.kill()


def _serve(
    other: Connection,
    line: Connection,
    place: NetworkPlace,
    device: str,
    threads: int,
    closed: Sequence[Path],
    adaptation: Adaptation | None,
    parent: int,
) -> None:
    """Seals this process, loads the network, and answers until the other end of the line is closed."""
    signals.end_with_parent(parent)
    other.close()
    try:
        line.recv()
        fix_threads(threads)
        firewall.seal(closed)
        loaded = load(place, torch.device(device), adaptation)
        _answer(line, json.dumps(loaded.facts()).encode())
        while True:
            image, size, position = line.recv()
            if image is None:
                loaded.require_fitting(size)
                _answer(line, b"")
            else:
                _answer(line, np.ascontiguousarray(loaded.predict(image, size, position)).tobytes())
    except EOFError:
        return
    except BaseException as error:
        line.send_bytes(_written(error))


def _answer(line: Connection, content: bytes) -> None:
    firewall.require_intact()
    line.send_bytes(b"+" + content)


def _written(error: BaseException) -> bytes:
    """An error as what `_read` raises again."""
    kind = type(error) if isinstance(error, AdaptBenchError) else PluginError
    return b"-" + json.dumps([kind.__name__, reason_of(error)]).encode()


def _read(answer: bytes) -> bytes:
    """What was answered; raises the error that was."""
    if answer[:1] == b"+":
        return answer[1:]
    name, text = json.loads(answer[1:])
    kind = getattr(errors, str(name), PluginError)
    raise (
        kind(str(text))
        if isinstance(kind, type) and issubclass(kind, AdaptBenchError)
        else PluginError(str(text))
    )

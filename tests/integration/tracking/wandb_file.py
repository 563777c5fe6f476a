"""Reads what W&B keeps of a run: a LevelDB log of protobuf records behind a header of its own."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import wandb
from wandb.proto.wandb_internal_pb2 import Record

_BLOCK = 32768
_FILE_HEADER = 7
_HEADER = struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4

#: A key in the form of a real one.
KEY = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Content:
    """A run as it lies on disk."""

    run: Any = None
    history: list[dict[str, Any]] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    artifacts: list[Any] = field(default_factory=list)
    exit_code: int | None = None
    files: Path = Path()


def read_run(folder: Path) -> Content:
    """Everything in an ``offline-run-*`` folder. The library writes its last lines after a run has ended."""
    wandb.teardown()
    (path,) = folder.glob("*.wandb")
    found = Content(files=folder / "files")
    for data in _chunks(path.read_bytes()):
        record = Record()
        record.ParseFromString(data)
        _take(found, record)
    return found


def _take(found: Content, record: Any) -> None:
    kind = record.WhichOneof("record_type")
    if kind == "run":
        found.run = record.run
        found.config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
    elif kind == "config":
        found.config |= {_key(item): json.loads(item.value_json) for item in record.config.update}
    elif kind == "history":
        found.history.append({_key(item): json.loads(item.value_json) for item in record.history.item})
    elif kind == "summary":
        found.summary |= {_key(item): json.loads(item.value_json) for item in record.summary.update}
    elif kind == "artifact":
        found.artifacts.append(record.artifact)
    elif kind == "exit":
        found.exit_code = record.exit.exit_code


def _key(item: Any) -> str:
    return item.key or ".".join(item.nested_key)


def _chunks(content: bytes) -> Iterator[bytes]:
    assert content[:4] == b":W&B"
    place, data = _FILE_HEADER, b""
    while place + _HEADER.size <= len(content):
        left = _BLOCK - place % _BLOCK
        if left < _HEADER.size:
            place += left
            continue
        _, length, kind = _HEADER.unpack_from(content, place)
        place += _HEADER.size
        data += content[place : place + length]
        place += length
        if kind in (_FULL, _LAST):
            yield data
            data = b""
        else:
            assert kind in (_FIRST, _MIDDLE)

"""Checkpoints: tensors in safetensors, the rest as JSON in the same file's header. Atomic, no pickle."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from adaptbench.errors import RunStateError
from adaptbench.storage.atomic import replacing
from adaptbench.storage.plain_files import require_plain
from adaptbench.storage.tensor_digest import digest as digest

_HEADER = "adaptbench"
#: sha256 of the tensors, among the facts: a file with two headers has them in any order. Older files have none.
_DIGEST = "digest"
_WAY_OUT = "Delete it and run again: what it belongs to is made anew."


def save(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Writes ``tensors`` and the JSON-serialisable ``facts`` to ``path``, whole or not at all."""
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    header = json.dumps({**facts, _DIGEST: digest(plain)}, sort_keys=True)
    size = len(header) + sum(tensor.nbytes for tensor in plain.values())
    with replacing(path, size) as temporary:
        try:
            save_file(plain, temporary, metadata={_HEADER: header})
        except SafetensorError as error:
            raise _as_os_error(error) from error


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and facts of a checkpoint; a RunStateError if it is not one of ours, or not what was written."""
    try:
        require_plain(path)
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})[_HEADER])
            written = facts.pop(_DIGEST, None)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (
        OSError,
        SafetensorError,
        KeyError,
        ValueError,
        AttributeError,
        TypeError,
        RecursionError,
    ) as error:
        raise RunStateError(f"{path} is not a readable checkpoint ({error}). {_WAY_OUT}") from error
    if written not in (None, digest(tensors)):
        raise RunStateError(f"{path} was changed after it had been written. {_WAY_OUT}")
    return tensors, facts


def _as_os_error(error: SafetensorError) -> OSError:
    """What the system said; the library hands on the text alone."""
    number = re.search(r"\(os error (\d+)\)", str(error))
    return OSError(str(error)) if number is None else OSError(int(number[1]), os.strerror(int(number[1])))


def flatten(prefix: str, state: Any, tensors: dict[str, Tensor]) -> Any:
    """Moves the tensors of a nested state into ``tensors``; returns the rest as JSON with references."""
    if isinstance(state, Tensor):
        tensors[prefix] = state
        return {"__tensor__": prefix}
    if isinstance(state, Mapping):
        items = [[key, flatten(f"{prefix}.{key}", value, tensors)] for key, value in state.items()]
        return {"__items__": items}
    if isinstance(state, (list, tuple)):
        return [flatten(f"{prefix}.{i}", value, tensors) for i, value in enumerate(state)]
    if state is None or isinstance(state, (bool, int, float, str)):
        return state
    raise TypeError(f"{prefix}: a {type(state).__name__} cannot be part of a checkpoint.")


def unflatten(rest: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Inverse of `flatten`."""
    if isinstance(rest, dict) and "__tensor__" in rest:
        return tensors[rest["__tensor__"]]
    if isinstance(rest, dict):
        return {key: unflatten(value, tensors) for key, value in rest["__items__"]}
    if isinstance(rest, list):
        return [unflatten(value, tensors) for value in rest]
    return rest

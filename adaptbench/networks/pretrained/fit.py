"""Do tensors fit a network? Every name, every shape; nothing is left out or made up in silence."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from torch import Tensor

from adaptbench.errors import WeightsError
from adaptbench.networks.pretrained.foreign import listed

#: Batch norm's count of batches: no computation of ours reads it, and files from before 2018 lack it.
_COUNTER = ".num_batches_tracked"
_LISTED = 20


def fitted(
    tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], origin: Path, network: str, hint: str = ""
) -> dict[str, Tensor]:
    """``tensors`` as a state dict of the network, in its order and types.

    Of ``expected``, the network's state dict, only names, shapes and types are read. Counters of batches that the
    file lacks altogether are 0.

    Raises:
        WeightsError: names are missing or surplus, or shapes differ; all are listed, up to a number.
    """
    tensors = {**_counters(tensors, expected), **tensors}
    missing = [name for name in expected if name not in tensors]
    surplus = [name for name in tensors if name not in expected]
    other = [
        f"{name} {_shape(tensors[name])} instead of {_shape(tensor)}"
        for name, tensor in expected.items()
        if name in tensors and tensors[name].shape != tensor.shape
    ]
    problems = [
        _problem(f"it lacks {len(missing)} of {len(expected)} tensors", missing),
        _problem(f"it has {len(surplus)} that the network does not have", surplus),
        _problem(f"{len(other)} have another shape", other),
    ]
    if any(problems):
        raise WeightsError(
            f"{origin} does not fit {network}: {'; '.join(filter(None, problems))}."
            + (f" {hint}" if hint else " Nothing was loaded.")
        )
    return {name: tensors[name].to(tensor.dtype) for name, tensor in expected.items()}


def _counters(tensors: Collection[str], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Zeros for batch norm's counters, where the file has none at all."""
    if any(name.endswith(_COUNTER) for name in tensors):
        return {}
    wanted = {name: tensor for name, tensor in expected.items() if name.endswith(_COUNTER)}
    return {name: tensor.new_zeros((), device="cpu") for name, tensor in wanted.items()}


def _problem(what: str, names: list[str]) -> str:
    return f"{what} ({listed(names, _LISTED)})" if names else ""


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"

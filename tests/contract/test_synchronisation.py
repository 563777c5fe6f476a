"""What a training step asks of a GPU that the CPU has to wait for: nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

import pytest
import torch
from torch import Tensor

from adaptbench.contracts.method import Stage
from adaptbench.data.batch import Images
from adaptbench.training import loop

from .steps import batch_of, build

AnyImages = TypeVar("AnyImages", bound=Images)

#: Waits for all that was asked before: numbers for Python and NumPy, copies to the CPU, results of unknown size.
_WAITING = {
    *("item", "tolist", "cpu", "numpy", "__array__", "__bool__", "__float__", "__int__", "__index__"),
    *(
        "nonzero",
        "argwhere",
        "unique",
        "unique_consecutive",
        "masked_select",
        "bincount",
        "equal",
        "allclose",
    ),
}
#: Whose published arithmetic crops, recolours and counts on the CPU.
_ON_CPU = {"ehtdi-adapt", "pixmatch-adapt", "majority-train"}


class OnDevice(Tensor):
    """A tensor as on a GPU; everything computed from it is one, and waiting for it is an error."""

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        masked = name in ("__getitem__", "__setitem__") and _holds_mask(args[1])
        if name in _WAITING or masked or (name == "where" and len(args) == 1):
            raise AssertionError(f"{name} waits for the device" + (" (an index of bools)" if masked else ""))
        return super().__torch_function__(func, types, args, kwargs or {})


def _holds_mask(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return any(isinstance(part, Tensor) and part.dtype == torch.bool for part in parts)


def test_a_step_never_waits(training: Stage, request: pytest.FixtureRequest) -> None:
    method = build(training)
    batch = batch_of(type(method), 1)
    target = None if batch.target is None else _moved(batch.target)
    batch = replace(batch, labelled=_moved(batch.labelled), target=target)
    optimizers = method.optimizers()
    torch.manual_seed(batch.draws.seed("network"))
    method.train()
    if request.node.callspec.id in _ON_CPU:
        with pytest.raises(AssertionError, match="waits for the device"):
            method.train_step(batch, optimizers)
        return
    log = method.train_step(batch, optimizers)
    assert any(isinstance(value, OnDevice) for value in log.values())


def _moved(images: AnyImages) -> AnyImages:
    """As the training loop moves images."""
    return images.map(lambda tensor: tensor.as_subclass(OnDevice), loaded=images)


def test_a_line_of_the_log_waits_once(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[int] = []
    original = Tensor.tolist
    monkeypatch.setattr(Tensor, "tolist", lambda self: waits.append(1) or original(self))
    log = {"loss": torch.tensor(0.1), "b.share": torch.tensor([1 / 3, float("nan")]), "a": torch.tensor(2)}
    numbers = loop._read(log)
    assert list(numbers) == ["a", "b.share", "loss"]
    assert (numbers["a"], numbers["loss"]) == ([2.0], [float(torch.tensor(0.1))])
    assert numbers["b.share"][0] == float(torch.tensor(1 / 3)) and len(numbers["b.share"]) == 2
    assert len(waits) == 1
    assert loop._read({}) == {}

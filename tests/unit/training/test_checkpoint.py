"""What is saved comes back bit for bit, or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from adaptbench.errors import RunStateError
from adaptbench.training import checkpoint

_TYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool)

plain = (
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
)
tensors = st.builds(
    lambda kind, shape: torch.arange(torch.Size(shape).numel()).reshape(shape).to(kind),
    st.sampled_from(_TYPES),
    st.lists(st.integers(0, 3), max_size=3),
)
names = st.text("abcxyz_", min_size=1, max_size=4)
states = st.recursive(
    plain | tensors,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(names, inner, max_size=3)
        | st.dictionaries(st.integers(0, 99), inner, max_size=3)
    ),
    max_leaves=12,
)


def equal(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(equal, a, b))
    return type(a) is type(b) and a == b


@given(states)
def test_flatten_and_back(state: Any) -> None:
    import json

    flat: dict[str, Tensor] = {}
    rest = json.loads(json.dumps(checkpoint.flatten("state", state, flat)))
    assert equal(checkpoint.unflatten(rest, flat), state)


def test_what_cannot_be_kept_is_refused() -> None:
    with pytest.raises(TypeError, match=r"state\.a\.0: a set cannot be part of a checkpoint"):
        checkpoint.flatten("state", {"a": [{1}]}, {})


def some_state() -> dict[str, Tensor]:
    return {f"t{i}": torch.arange(6).reshape(2, 3).to(kind) for i, kind in enumerate(_TYPES)}


def test_a_file_round_trip(tmp_path: Path) -> None:
    path, state = tmp_path / "a" / "c.safetensors", some_state()
    state["transposed"] = state["t0"].t()
    state["shared"] = state["t0"]
    checkpoint.save(path, state, {"iteration": 7, "nested": [1, {"a": None}], "ü": 0.1})
    loaded, facts = checkpoint.load(path)
    assert facts == {"iteration": 7, "nested": [1, {"a": None}], "ü": 0.1}
    assert equal(dict(sorted(loaded.items())), dict(sorted(state.items())))
    assert [p.name for p in path.parent.iterdir()] == ["c.safetensors"]


def test_the_state_of_an_optimiser_survives(tmp_path: Path) -> None:
    layer = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    flat: dict[str, Tensor] = {}
    rest = checkpoint.flatten("optimizer", optimizer.state_dict(), flat)
    checkpoint.save(tmp_path / "c", flat, {"rest": rest})
    loaded, facts = checkpoint.load(tmp_path / "c")
    other = torch.optim.AdamW(layer.parameters())
    other.load_state_dict(checkpoint.unflatten(facts["rest"], loaded))
    assert equal(other.state_dict()["state"], optimizer.state_dict()["state"])


@pytest.mark.parametrize("damage", ["truncate", "garbage", "empty", "foreign", "missing"])
def test_a_damaged_file_says_what_to_do(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, some_state(), {})
    data = path.read_bytes()
    if damage == "foreign":
        from safetensors.torch import save_file

        save_file(some_state(), path)
    elif damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"truncate": data[:-9], "garbage": os.urandom(99), "empty": b""}[damage])
    with pytest.raises(RunStateError, match=rf"{path} is not a readable checkpoint.*Delete it"):
        checkpoint.load(path)


def test_a_changed_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, some_state(), {"iterations": 3})
    assert checkpoint.load(path)[1] == {"iterations": 3}, "the digest is none of the facts"
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(
        RunStateError, match=rf"{path} was changed after it had been written\. Delete it and run again"
    ):
        checkpoint.load(path)


def test_checkpoints_of_older_versions_have_no_digest(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file(some_state(), tmp_path / "c", metadata={"adaptbench": "{}"})
    assert checkpoint.digest(checkpoint.load(tmp_path / "c")[0]) == checkpoint.digest(some_state())


def test_a_full_disk_keeps_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, some_state(), {"iteration": 1})

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunStateError, match="No space left"):
        checkpoint.save(path, some_state(), {"iteration": 2})
    assert checkpoint.load(path)[1] == {"iteration": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_the_digest_sees_every_bit() -> None:
    state = some_state()
    base = checkpoint.digest(state)
    assert base == checkpoint.digest(dict(reversed(state.items())))
    changed = {**state, "t0": state["t0"].clone()}
    changed["t0"][0, 0] = -0.0
    others = [
        changed,
        {**state, "t0": state["t0"].reshape(3, 2)},
        {**state, "t4": state["t4"].to(torch.int32)},
        {("u" if name == "t0" else name): value for name, value in state.items()},
    ]
    assert len({base, *(checkpoint.digest(other) for other in others)}) == 5

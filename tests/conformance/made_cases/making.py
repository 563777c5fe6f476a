"""What makers of cases share."""

from __future__ import annotations

import importlib
import io
import json
import pkgutil
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from ..discovery import CaseFile

Array = npt.NDArray[Any]
Rng = np.random.Generator


class Made(NamedTuple):
    """Content of the JSON file of a case, without its name, and its arrays."""

    content: dict[str, Any]
    arrays: dict[str, Array | torch.Tensor]


class MadeFolder(NamedTuple):
    """Files of a case in a data tree, by path: the bytes of an image, the content of a JSON file, or arrays by name."""

    files: Mapping[str, bytes | Mapping[str, Any]]


MadeCase = Made | MadeFolder
Maker = Callable[[Rng], MadeCase]
Decorated = TypeVar("Decorated", bound=Maker)

_MAKERS: dict[str, Maker] = {}
_COUNTS: dict[str, int] = {}


def maker(name: str, count: int = 3) -> Callable[[Decorated], Decorated]:
    """Register what makes cases of this name, and how many are made in a test; fewer of slow ones."""

    def register(function: Decorated) -> Decorated:
        assert name not in _MAKERS, name
        _MAKERS[name], _COUNTS[name] = function, count
        return function

    return register


@cache
def makers() -> Mapping[str, Maker]:
    """Import every file of this folder and return what they registered."""
    package = __name__.rpartition(".")[0]
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        importlib.import_module(f"{package}.{module.name}")
    return _MAKERS


def made_names() -> list[tuple[str, int]]:
    """Name and seed of every case that a test makes."""
    return [(name, seed) for name in sorted(makers()) for seed in range(_COUNTS[name])]


def store(folder: Path, name: str, made: MadeCase) -> CaseFile:
    """Write a case as it would be recorded: float64 results of a plain implementation become float32."""
    if isinstance(made, MadeFolder):
        return _store_folder(folder / name, made)
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"case": name, **made.content}), encoding="utf-8")
    keep = set(made.content.get("kept_in_float64", ()))
    arrays = {key: _array(value, key in keep) for key, value in made.arrays.items()}
    np.savez(path.with_suffix(".npz"), **arrays)  # type: ignore[arg-type]
    return CaseFile(name, path)


def _store_folder(folder: Path, made: MadeFolder) -> CaseFile:
    """Write a case of a data tree; its arrays stay as they are."""
    for name, content in made.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif path.suffix == ".npz":
            np.savez(path, **content)
        else:
            path.write_text(json.dumps(content), encoding="utf-8")
    return CaseFile(folder.name, folder)


def image_file(pixels: Array) -> bytes:
    """A grey or RGB PNG of 8 bits. Shape: ``(H, W)`` or ``(H, W, 3)`` uint8."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def plain(value: Any) -> Any:
    """Arrays, numbers of numpy and tuples as JSON has them, in nested lists and mappings too."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def _array(value: Array | torch.Tensor, keep: bool) -> Array:
    array = value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    return array.astype(np.float32) if array.dtype == np.float64 and not keep else array


def side(rng: Rng, low: int, high: int) -> int:
    """A number from ``low`` to ``high``, both included."""
    return int(rng.integers(low, high + 1))


def normal(rng: Rng, *shape: int, scale: float = 1.0) -> torch.Tensor:
    """Values of a normal distribution that float32 holds exactly, as float64."""
    return torch.from_numpy((scale * rng.standard_normal(shape)).astype(np.float32).astype(np.float64))


def label_map(rng: Rng, shape: tuple[int, ...], classes: int, ignore: int = 255, block: int = 4) -> Array:
    """Label maps made of blocks, a tenth of which are ignored. Shape: ``(..., H, W)`` int64."""
    coarse = (*shape[:-2], -(-shape[-2] // block), -(-shape[-1] // block))
    ids = rng.integers(0, classes, coarse)
    ids[rng.random(coarse) < 0.1] = ignore
    large = ids.repeat(block, axis=-2).repeat(block, axis=-1)[..., : shape[-2], : shape[-1]]
    return np.ascontiguousarray(large)


def single(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Parameters in float32."""
    return {name: t.float() if t.is_floating_point() else t for name, t in state.items()}


def rounds(
    found: torch.Tensor, exact: torch.Tensor, tolerance: Mapping[str, float], share: float = 0.3
) -> bool:
    """Whether float32 alone takes up that share of what is tolerated; such cases are drawn again."""
    tolerated = tolerance["atol"] + tolerance["rtol"] * exact.abs()
    return bool(((found - exact).abs() > share * tolerated).any())

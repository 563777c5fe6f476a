"""One recorded case: its inputs, its results, and what has been compared with them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from .tolerances import EXACT, Tolerance, tolerance_for

Array = npt.NDArray[Any]
Comparable = torch.Tensor | npt.ArrayLike


@dataclass(frozen=True)
class Comparison:
    """One compared array: the largest absolute error and its largest ratio to what is tolerated."""

    name: str
    error: float
    ratio: float
    tolerance: Tolerance


class Case:
    """What a handler works with.

    Args:
        name: name of the case.
        kind: kind it was found to be.
        path: its JSON file, or the folder of a data tree.
    """

    def __init__(self, name: str, kind: str, path: Path) -> None:
        self.name = name
        self.kind = kind
        self.path = path
        self.comparisons: list[Comparison] = []
        self._compared: set[str] = set()

    @cached_property
    def json(self) -> dict[str, Any]:
        """Content of the JSON file; empty for a folder of a data tree."""
        content: dict[str, Any] = (
            {} if self.path.is_dir() else json.loads(self.path.read_text(encoding="utf-8"))
        )
        return content

    @cached_property
    def all_arrays(self) -> Mapping[str, Array]:
        """Every array of the case by its full name."""
        file = self.path.with_suffix(".npz")
        if self.path.is_dir() or not file.is_file():
            return {}
        with np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}

    def hyper(self, name: str, *default: Any) -> Any:
        """Return one of the case's hyper-parameters, or a default where it is stated for a case that has none."""
        hyper_parameters: dict[str, Any] = self.json["hyper_parameters"]
        return hyper_parameters.get(name, *default) if default else hyper_parameters[name]

    def has(self, name: str) -> bool:
        """Whether arrays are recorded by that full name, or under it if it ends in a slash."""
        return any(known == name or (name[-1] == "/" and known.startswith(name)) for known in self.all_arrays)

    @property
    def facts(self) -> dict[str, Any]:
        """What the JSON file states beside the arrays."""
        facts: dict[str, Any] = self.json.get("facts", {})
        return facts

    def arrays(self, prefix: str) -> dict[str, Array]:
        """Return the arrays whose names start with a prefix, by the rest of their names."""
        return {
            name.removeprefix(prefix): a for name, a in self.all_arrays.items() if name.startswith(prefix)
        }

    def numbered(self, prefix: str) -> list[int]:
        """Return the numbers that follow a prefix in array names, like 3 in ``in/img3``, ascending."""
        return sorted(int(rest) for rest in self.arrays(prefix) if rest.isdigit())

    def tensor(self, name: str) -> torch.Tensor:
        """Return a copy of an array as a tensor; unsigned bytes (labels, masks) become int64."""
        array = self.all_arrays[name]
        return torch.from_numpy(array.astype(np.int64) if array.dtype == np.uint8 else array.copy())

    def compare(
        self,
        name: str,
        got: Comparable,
        *,
        atol: float | None = None,
        rtol: float | None = None,
        where: Comparable | None = None,
        since: str | None = None,
    ) -> None:
        """Compare a result with the recorded array ``out/...`` and mark that as compared.

        Args:
            name: full name of the array.
            got: the recomputed array; the shapes must be equal.
            atol: absolute tolerance instead of the case file's.
            rtol: relative tolerance instead of the case file's.
            where: compare only here, where the case file says so; must be true somewhere.
            since: full name of a recorded array; the changes since then are compared, not the values.

        Raises:
            AssertionError: the result is wrong.
        """
        self._compared.add(name)
        if name in self.exempt:
            return
        expected = self.all_arrays[name]
        if atol is None and rtol is None:
            integral = expected.dtype.kind in "iub"
            rounding = self.json.get("self_check", {}).get("float32_versus_float64")
            tolerance = tolerance_for(
                self.name, self.kind, self.json.get("tolerance"), name, integral, rounding
            )
        else:
            tolerance = Tolerance(atol or 0.0, rtol or 0.0)
        if since is not None:
            before = self.all_arrays[since]
            got, expected = _array(got) - before, expected - before
        self._record(name, got, expected, tolerance, where)

    def expect(
        self, name: str, got: Comparable, expected: Comparable, *, atol: float = 0.0, rtol: float = 0.0
    ) -> None:
        """Compare a result with a fact of the JSON file, exactly unless a tolerance is given.

        Raises:
            AssertionError: the result is wrong.
        """
        tolerance = Tolerance(atol, rtol) if atol or rtol else EXACT
        self._record(name, got, _array(expected), tolerance, None)

    @cached_property
    def exempt(self) -> set[str]:
        """Names of the arrays that the case file itself excludes from comparison."""
        noisy = self.json.get("float32_vs_float64", {}).get("noise_driven_keys", {})
        patterns = [f"out/final/{key}" for key in noisy] + list(self.json.get("exempt", []))
        return {name for name in self.all_arrays if any(fnmatchcase(name, pattern) for pattern in patterns)}

    def finish(self) -> None:
        """Check that nothing was left out.

        Raises:
            AssertionError: the handler compared nothing, or not all ``out/`` arrays.
        """
        results = {name for name in self.all_arrays if name.startswith("out/")}
        missing = sorted(results - self._compared - self.exempt)
        assert not missing, (
            f"{self.name}: recorded results that the handler did not compare: {', '.join(missing)}"
        )
        assert self.comparisons, f"{self.name}: the handler compared nothing"

    @property
    def worst(self) -> Comparison | None:
        """The comparison that came closest to, or farthest beyond, its tolerance."""
        return max(self.comparisons, key=lambda c: (c.ratio, c.error, c.tolerance.atol), default=None)

    def _record(
        self, name: str, got: Comparable, expected: Array, tolerance: Tolerance, where: Comparable | None
    ) -> None:
        found = _array(got)
        if found.shape != expected.shape:
            self.comparisons.append(Comparison(name, np.inf, np.inf, tolerance))
            raise AssertionError(f"{self.name}: {name}: expected shape {expected.shape}, got {found.shape}")
        error, ratio = _errors(found, expected, tolerance)
        if where is not None:
            selected = np.broadcast_to(_array(where).astype(bool), error.shape)
            assert selected.any(), f"{self.name}: {name}: nothing is left to compare"
            error, ratio = np.where(selected, error, 0.0), np.where(selected, ratio, 0.0)
        largest, worst = float(error.max(initial=0.0)), float(ratio.max(initial=0.0))
        self.comparisons.append(Comparison(name, largest, worst, tolerance))
        if worst > 1.0:
            position = tuple(int(i) for i in np.unravel_index(int(ratio.argmax()), ratio.shape))
            raise AssertionError(
                f"{self.name}: {name}{list(position)}: expected {expected[position]}, got {found[position]}; "
                f"{int((ratio > 1.0).sum())} of {ratio.size} values are off, the largest error is "
                f"{largest:.3g}, tolerated: {tolerance}"
            )


def _array(value: Comparable) -> Array:
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


def _errors(found: Array, expected: Array, tolerance: Tolerance) -> tuple[Array, Array]:
    """Absolute errors and their ratios to what is tolerated; NaN equals NaN, infinities equal themselves."""
    if expected.dtype.kind in "USO" or found.dtype.kind in "USO":
        error = np.where(found == expected, 0.0, np.inf)
        return error, error
    found, expected = found.astype(np.float64), expected.astype(np.float64)
    equal = (found == expected) | (np.isnan(found) & np.isnan(expected))
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.where(equal, 0.0, np.abs(found - expected))
        ratio = np.where(equal, 0.0, error / (tolerance.atol + tolerance.rtol * np.abs(expected)))
    return np.nan_to_num(error, nan=np.inf, posinf=np.inf), np.nan_to_num(ratio, nan=np.inf, posinf=np.inf)

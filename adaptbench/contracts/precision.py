"""How the networks of a training compute: number formats, whether they are compiled, and a step in how many parts."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from adaptbench.errors import UsageError

#: float32, or tf32: inputs of products rounded to 10 bits behind the point; bf16 and fp16: mixed precision.
Precision: TypeAlias = Literal["float32", "tf32", "bf16", "fp16"]
FLOAT32: Precision = "float32"


def require_precision(precision: Precision, device: str) -> None:
    """Raises UsageError unless a training on ``device`` (``cpu`` or ``cuda``) can compute in ``precision``."""
    if precision == "tf32" and device == "cpu":
        raise UsageError(
            "--precision tf32: only NVIDIA GPUs have this format, and this runs on the CPU. Use float32 or bf16."
        )


def is_usual(precision: Precision, *, compiled: bool, accumulate: int) -> bool:
    """Whether networks compute as all did once: in float32, as they are written, a step at once."""
    return not in_identity(precision, compiled=compiled, accumulate=accumulate)


def in_identity(precision: Precision, *, compiled: bool, accumulate: int) -> dict[str, Any]:
    """The entries of a hash; none for what is usual."""
    short: dict[str, Any] = {} if precision == FLOAT32 else {"precision": precision}
    parts = {} if accumulate == 1 else {"accumulate": accumulate}
    return {**short, **({"compiled": True} if compiled else {}), **parts}

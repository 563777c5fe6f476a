"""How the networks of a training compute: number formats, and whether they are compiled."""

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


def is_usual(precision: Precision, *, compiled: bool) -> bool:
    """Whether networks compute as all did once: in float32, as they are written."""
    return precision == FLOAT32 and not compiled


def in_identity(precision: Precision, *, compiled: bool) -> dict[str, Any]:
    """The entries of a hash; none for what is usual."""
    short: dict[str, Any] = {} if precision == FLOAT32 else {"precision": precision}
    return {**short, "compiled": True} if compiled else short

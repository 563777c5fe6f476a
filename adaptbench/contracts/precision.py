"""Number formats that the networks of a training compute in."""

from __future__ import annotations

from typing import Literal, TypeAlias

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


def in_identity(precision: Precision) -> dict[str, Precision]:
    """The entry of a hash; none for float32, in which there was no choice once."""
    return {} if precision == FLOAT32 else {"precision": precision}

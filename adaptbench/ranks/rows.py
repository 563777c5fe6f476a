"""What a network has to be given, and to give, so that its batch can be shared: rows for every image."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves

from adaptbench.errors import UsageError


def rows_of(values: Any, option: str) -> int:
    """Of all tensors that a network is given.

    Raises:
        UsageError: there is none, or they have not equally many.
    """
    rows = {value.shape[:1] for value in tree_leaves(values) if isinstance(value, Tensor)}
    if len(rows) != 1 or () in rows:
        raise _not_by_image(option)
    return int(rows.pop()[0])


def require_rows(outputs: Any, images: int, option: str) -> None:
    """Raises UsageError unless all tensors that a network gives have rows for every image, or for its copies, too."""
    tensors = [value for value in tree_leaves(outputs) if isinstance(value, Tensor)]
    if any(tensor.dim() == 0 or tensor.shape[0] % images for tensor in tensors):
        raise _not_by_image(option)


def _not_by_image(option: str) -> UsageError:
    return UsageError(
        f"{option}: a network is given, or gives, tensors that do not have a row for every image, so that its work "
        "cannot be shared. Leave it out, or compute these outside of the network (docs/clusters.md)."
    )

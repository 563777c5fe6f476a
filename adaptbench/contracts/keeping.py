"""What stays of the weights of a finished job."""

from __future__ import annotations

from typing import Literal, TypeAlias

#: Those of every stage, and pseudo-labels; those that were scored; none.
KeepWeights: TypeAlias = Literal["all", "last", "none"]
KEEP_ALL: KeepWeights = "all"

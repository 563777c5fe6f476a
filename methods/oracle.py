"""Training on target labels: an upper bound for adaptation with the same network and budget."""

from __future__ import annotations

from methods.source_only import SourceOnly


class Oracle(SourceOnly):
    """Source-only training with the labelled target in the place of the source."""

    name = "oracle"
    title = "Oracle (target labels)"
    paper = None
    tags = ("control", "oracle")
    supervision = "target"
    uses_target_images = False

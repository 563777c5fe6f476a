"""Training on the labelled source alone: what adaptation is measured against."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from adaptbench.contracts.method import LossGroup, Method
from adaptbench.data.batch import Batch


class SourceOnly(Method):
    """Cross entropy on source images; the target is never seen."""

    name = "source_only"
    title = "Source only"
    paper = None
    tags: ClassVar[tuple[str, ...]] = ("control",)
    uses_target_images = False

    def losses(self, batch: Batch) -> Iterable[LossGroup]:
        """One group: cross entropy of the labelled crops."""
        yield self.segmentation_loss(self.student(batch.labelled.image), batch.labelled.label)

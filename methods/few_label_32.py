"""Fine-tuning on 32 labelled target images: `few_label_8` with more of them."""

from __future__ import annotations

from pydantic import Field

from methods.few_label_8 import FewLabel


class FewLabel32(FewLabel):
    """Source-only training, then cross entropy on 32 labelled target images."""

    name = "few_label_32"
    title = "Fine-tuning on 32 target labels"
    paper = None
    tags = ("control", "oracle")

    class Settings(FewLabel.Settings):
        """More labels."""

        target_labels: int = Field(32, ge=1, description="labelled target images")

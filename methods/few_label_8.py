"""Fine-tuning on eight labelled target images: what a little labelling would give in the place of adaptation.

It goes on from the network of `source_only`, with the same recipe and for a quarter of its iterations. Which images
are labelled is drawn by the seed of the run; a larger number of them includes those of a smaller one.
"""

from __future__ import annotations

from pydantic import Field

from adaptbench.contracts.method import Stage
from adaptbench.contracts.profiles import Iterations
from adaptbench.contracts.settings import Settings as BaseSettings
from methods.oracle import Oracle
from methods.source_only import SourceOnly


class FewLabel(Oracle):
    """Source-only training, then cross entropy on a few labelled target images."""

    name = "few_label_8"
    title = "Fine-tuning on 8 target labels"
    paper = None
    tags = ("control", "oracle")

    @classmethod
    def stages(cls, settings: FewLabel.Settings) -> list[Stage]:
        """The training of `source_only`, then the fine-tuning."""
        source = SourceOnly.Settings.taken_from(settings)
        tuning = settings.model_copy(update={"iterations": settings.tuning_iterations})
        return [Stage("source", SourceOnly, source), Stage("tune", FewLabel, tuning, start=0)]

    @classmethod
    def label_count(cls, settings: FewLabel.Settings) -> int:
        """The few."""
        return settings.target_labels

    class Settings(BaseSettings):
        """How many labels, and how long they are trained on."""

        target_labels: int = Field(8, ge=1, description="labelled target images")
        tuning_iterations: Iterations = Field(10_000, ge=0, description="training iterations on them")

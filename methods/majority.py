"""The majority class everywhere: the floor below which nothing has been learned."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from adaptbench.contracts.method import Method, Optimizers
from adaptbench.contracts.settings import Settings as BaseSettings
from adaptbench.data.batch import Batch
from adaptbench.data.taxonomy import IGNORE


class Majority(Method):
    """Counts the labels of source crops and always predicts the most frequent class."""

    name = "majority"
    title = "Majority class"
    paper = None
    tags = ("control",)
    uses_target_images = False

    def train_step(self, batch: Batch, optimizers: Optimizers) -> dict[str, Tensor]:
        """Adds the batch's labels to the counts of the network."""
        labels = batch.labelled.label
        counts = self.student.get_buffer("decode_head.counts")
        counts += torch.bincount(labels[labels != IGNORE], minlength=len(counts))
        return {"labelled_pixels": counts.sum()}

    class Settings(BaseSettings):
        """Few crops suffice to find the most frequent class."""

        network: Literal["class-frequency"] = Field("class-frequency", description="holds the counts")
        iterations: int = Field(100, ge=1, description="batches counted; the same in every profile")
        warmup: int = Field(0, ge=0, description="unused: nothing is learned by descent")

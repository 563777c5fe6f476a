"""Labelling stages: a network that is trained labels the target's training images for a later stage.

The labels are predictions. The process that makes them is sealed like one that trains, so that no label of the
target can get into them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol

from torch import Tensor, nn

from adaptbench.contracts.task import Task
from adaptbench.networks.inference import Mode, Size, segment

#: What is noted of an image beside its label, by name, for example how certain the network is.
Facts = Mapping[str, float]


class Trained(Protocol):
    """What labelling needs of a trained method (`adaptbench.contracts.method.Method`)."""

    @property
    def task(self) -> Task:
        """The problem it was trained for."""

    @property
    def student(self) -> nn.Module:
        """The network, in evaluation mode."""

    def inference(self) -> Mode:
        """How the network sees a test image."""


@dataclass(frozen=True)
class PseudoLabel:
    """What a labelling stage makes of one image.

    Attributes:
        label: train ids, uint8 ``(H, W)``; 255 = ignore.
        facts: kept beside it; what `Method.partition` is told.
    """

    label: Tensor
    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True)
class Labeller:
    """How images are labelled: every pixel gets the most likely class, as in the test.

    A method subclasses it for other labels or for facts about them. Its fields are part of the stage's hash.

    Attributes:
        size: labels have the size of the image ``file``, or that of the network's ``input``.
    """

    size: Literal["file", "input"] = "file"

    def label(self, method: Trained, image: Tensor, size: Size) -> PseudoLabel:
        """Labels one image with the student of ``method``, which is in evaluation mode.

        Shape: image ``(1, 3, H, W)``, as the network gets it, to a label ``(*size,)``.
        """
        return PseudoLabel(segment(method.student, image, method.inference(), size))

    def identity(self) -> dict[str, Any]:
        """What of it decides the labels."""
        return {"labeller": type(self).__name__, **asdict(self)}

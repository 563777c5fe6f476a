"""The common shape of all networks: a backbone and a decoder, built through mmsegmentation's registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor, nn

from adaptbench.adaptation.parts import Assembly
from adaptbench.data.normalisation import IMAGENET, Normalisation
from adaptbench.networks.smallest_side import smallest_side
from adaptbench.networks.start_weights import StartWeights
from adaptbench.networks.two_outputs import TwoOutputHead
from adaptbench.optim.recipe import recipe


class Segmentor(Assembly):
    """Backbone and decoder; parameter names are those of mmsegmentation's ``EncoderDecoder``."""

    def __init__(self, backbone: nn.Module, decode_head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.decode_head = decode_head

    def forward(self, image: Tensor) -> Tensor:
        """Logits at the decoder's stride. Shape: ``(B, 3, H, W)`` float to ``(B, C, h, w)`` float."""
        logits: Tensor = self.decode_head(self.backbone(image))
        return logits

    def taken_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """``size``, or where it is too small for the encoder the smallest one that is not. Units: pixels."""
        smallest = smallest_side(self, at_most=min(size))
        return max(size[0], smallest), max(size[1], smallest)

    def outputs(self, image: Tensor) -> dict[str, Tensor]:
        """All logits by name: ``main``, and ``aux`` where the decoder has an auxiliary output, too."""
        features = self.backbone(image)
        if isinstance(self.decode_head, TwoOutputHead):
            return self.decode_head.outputs(features)
        return {"main": self.decode_head(features)}


@dataclass(frozen=True)
class NetworkSpec:
    """A network plug-in: what it is, and how it is trained when nothing else is stated.

    Attributes:
        name: what users type.
        backbone: mmsegmentation configuration of the backbone.
        decode_head: mmsegmentation configuration of the decoder, without ``num_classes``.
        start: the encoder's start weights; None = random ones.
        recipe: optimiser settings used where no paper states any; a method's own defaults count for what it lacks.
        normalisation: of its input.
        output_stride: pixels per logit; None = as usual for its decoder.
    """

    name: str
    backbone: Mapping[str, Any]
    decode_head: Mapping[str, Any]
    start: StartWeights | None = None
    recipe: Mapping[str, Any] = field(default_factory=recipe)
    normalisation: Normalisation = IMAGENET
    output_stride: int | None = None

    def identity(self) -> dict[str, Any]:
        """What decides the numbers of a training besides its settings: another network of this name is another."""
        return {
            "backbone": self.backbone,
            "decode_head": self.decode_head,
            "normalisation": asdict(self.normalisation),
            "output_stride": self.output_stride,
        }

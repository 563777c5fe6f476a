"""Rein for domain generalization: tokens are learnt around a frozen foundation model (Wei et al., CVPR 2024).

A training step; there is no teacher and no target:

1. Colours of the source crops are distorted (`photometric_distortion`).
2. A frozen DINOv2 sees them. After every block, learnt tokens change its features (`adapter`).
3. The maps of four blocks, enlarged and shrunk to a pyramid, are decoded, and the student learns the labels.
4. AdamW trains tokens, the layers that all blocks share, and the decoder. Tokens and norms do not decay.

``adapter=frozen`` and ``adapter=full`` are the paper's controls: the decoder alone, and everything, is trained.

Quirks of the published behaviour, kept as defaults:

- the class token is not changed, and neither is the first of the tokens ever added to a feature;
- the norm behind the last block is not used, and the frozen blocks stay in evaluation mode;
- biases of the shared layers decay;
- the rate reaches zero in the last iteration (`poly_after_warmup`);
- in a test, windows of the size of the crop step by two thirds of it.

What differs: the published decoder is Mask2Former's, which needs compiled operators and gets queries made of the
tokens; here it is DAFormer's with its cross entropy, and the layers that make queries are there and not trained.
Scales of the images are not drawn from 0.5 to 2. So published numbers are no claim about this file.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic import Field
from typing_extensions import TypeVar

from adaptbench.contracts.method import LossGroup, Method
from adaptbench.contracts.profiles import ImageCount, Iterations
from adaptbench.contracts.settings import Settings as BaseSettings
from adaptbench.data.batch import Batch
from adaptbench.data.sampling import Sampling
from adaptbench.networks.adapters.choice import Adapter, ReinOptions
from adaptbench.networks.inference import Mode, Sliding
from adaptbench.networks.pretrained.adapter_files import REIN_FILES
from adaptbench.optim.recipe import AdapterKind

S = TypeVar("S", bound="AdaptedEncoder.Settings", default=Any)


class AdaptedEncoder(Method[S]):
    """Supervised training on the source of a decoder and of an adapter in the encoder."""

    uses_target_images = False

    @classmethod
    def sampling(cls, settings: S) -> Sampling:
        """Crops in random order, with distorted colours."""
        return Sampling(distortion=settings.photometric_distortion)  # 1

    def losses(self, batch: Batch) -> LossGroup:
        """Cross entropy of the source."""
        return self.segmentation_loss(self.student(batch.source.image), batch.source.label)  # 2 and 3

    def inference(self) -> Mode:
        """Windows of the size of the crop that overlap by a third."""
        side = self.settings.crop
        return Sliding((side, side), (round(side * 2 / 3), round(side * 2 / 3)))

    class Settings(BaseSettings):
        """Settings that both papers share."""

        network: str = Field(
            "daformer-dinov2_large", description="network plug-in with a plain vision transformer"
        )
        batch_size: ImageCount = Field(4, ge=1, description="images per iteration")
        learning_rate: float = Field(1e-4, gt=0, description="of the encoder, at its highest")
        head_lr_factor: float = Field(1.0, gt=0, description="factor on the learning rate of the decoder")
        weight_decay: float = Field(
            0.05, ge=0, description="share of a weight's learning rate it loses per step"
        )
        head_norm_weight_decay: bool = Field(
            False, description="whether normalisation layers of the decoder decay"
        )
        warmup: Iterations = Field(0, ge=0, description="iterations of linear warm-up")
        poly_power: float = Field(0.9, gt=0, description="power of the polynomial decay to zero")
        poly_after_warmup: bool = Field(
            True, description="the decay starts after the warm-up, and the last iteration has the lowest rate"
        )
        photometric_distortion: bool = Field(
            True, description="distort brightness, contrast, saturation and hue of source crops"
        )


class ReinDG(AdaptedEncoder["ReinDG.Settings"]):
    """Tokens in a frozen encoder, on the source alone."""

    name = "rein_dg"
    title = "Rein (DG)"
    paper = "arXiv:2312.04265"
    tags = ("domain-generalization",)
    published_files = REIN_FILES

    @classmethod
    def adapter(cls, settings: ReinDG.Settings) -> Adapter:
        """Tokens of the settings' size."""
        return replace(super().adapter(settings), rein=ReinOptions(settings.tokens, settings.token_rank))

    class Settings(AdaptedEncoder.Settings):
        """Settings of the tokens."""

        adapter: AdapterKind = Field(
            "rein",
            description="what of the encoder is trained: full (all of it), frozen (nothing), lora, rein or soma",
        )
        tokens: int = Field(100, ge=2, description="tokens per block; the first is never added to a feature")
        token_rank: int | None = Field(
            16, ge=1, description="rank of the factors whose product the tokens are; none = full rank"
        )

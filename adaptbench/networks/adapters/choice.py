"""What of an encoder is trained: all of it, nothing, or an adapter."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import nn

from adaptbench.errors import UsageError
from adaptbench.networks.adapters import lora, soma
from adaptbench.networks.adapters.frozen import freeze
from adaptbench.networks.adapters.lora import LoRAOptions
from adaptbench.networks.adapters.rein import Rein
from adaptbench.networks.adapters.soma import SoMAOptions
from adaptbench.networks.adapters.split_qkv import split_qkv
from adaptbench.networks.mit import MiT
from adaptbench.networks.plain_vit import PlainViT
from adaptbench.optim.recipe import AdapterKind


@dataclass(frozen=True)
class ReinOptions:
    """Size of the adapter of Rein.

    Attributes:
        tokens: per block.
        rank: of the factors whose product the tokens are; None = tokens of full rank.
        query_channels: of the queries that a mask decoder would get.

    Source: configuration of Rein, arXiv 2312.04265.
    """

    tokens: int = 100
    rank: int | None = 16
    query_channels: int = 256


@dataclass(frozen=True)
class Adapter:
    """What of an encoder is trained, and how large the adapter is; the defaults are the published ones."""

    kind: AdapterKind = "full"
    rein: ReinOptions = field(default_factory=ReinOptions)
    soma: SoMAOptions = field(default_factory=SoMAOptions)
    lora: LoRAOptions = field(default_factory=LoRAOptions)

    def put_into(self, encoder: nn.Module) -> None:
        """Freezes the encoder as far as it is not trained; to be done when it has its start weights.

        Raises:
            UsageError: the encoder cannot have the adapter; says why.
        """
        if self.kind == "frozen":
            freeze(encoder)
        elif self.kind == "lora":
            self._lora(encoder)
        elif self.kind == "rein":
            self._rein(self._transformer(encoder))
        elif self.kind == "soma":
            self._soma(self._transformer(encoder))

    def _lora(self, encoder: nn.Module) -> None:
        if not isinstance(encoder, PlainViT | MiT):
            raise UsageError(
                f"adapter=lora needs a plain vision transformer or MiT, not {type(encoder).__name__}. Choose a network "
                "with one, like daformer-dinov2_large or daformer-mit_b5, or adapter=full or frozen."
            )
        lora.wrap(encoder, self.lora)

    def _rein(self, encoder: PlainViT) -> None:
        freeze(encoder.model)
        blocks, channels = len(encoder.model.blocks), encoder.model.embed_dim
        size = (self.rein.tokens, self.rein.rank, self.rein.query_channels)
        encoder.reins = Rein(blocks, channels, *size, patch=encoder.patch)

    def _soma(self, encoder: PlainViT) -> None:
        if getattr(encoder.model, "rope", None) is not None:
            raise UsageError(
                "adapter=soma splits the layers of queries, keys and values, which a transformer with rotary positions "
                "(EVA-02, DINOv3) does not call. Use adapter=rein, or a network like daformer-dinov2_large."
            )
        split_qkv(encoder.model)
        encoder.requires_grad_(False)
        soma.wrap(encoder.model, self.soma)

    def _transformer(self, encoder: nn.Module) -> PlainViT:
        if not isinstance(encoder, PlainViT):
            raise UsageError(
                f"adapter={self.kind} needs a plain vision transformer, not {type(encoder).__name__}. Choose a network "
                "with one, like daformer-dinov2_large, or adapter=full or frozen."
            )
        return encoder


WITHOUT_ADAPTER = Adapter()

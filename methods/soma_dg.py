"""SoMA for domain generalization: minor singular components of a foundation model are trained (Yun et al., CVPR 2025).

A training step is that of `methods/rein_dg.py` but for 2 and 4:

2. In all blocks of DINOv2 but the first third, the matrices of attention and MLP are split by their singular values:
   the `rank` smallest components are trained, with the biases of these layers, and the rest is frozen.
4. AdamW trains them at half the rate of the decoder. Weight decay is annealed to next to nothing
   (`weight_decay_end`), and an average of the network, which begins late, is scored.

Quirks of the published behaviour, kept as defaults:

- queries, keys and values have components of their own;
- weight decay is annealed to one value, so that of the decoder's norms rises to it from zero;
- the average copies the network up to iteration `average_begin`, and frozen weights are in it as well.

What differs, besides decoder and scales as in `rein_dg`: the components are those of the pretrained matrices, as the
paper says. In the released training they are made before the pretrained file is read, of random matrices, and are then
added to the whole pretrained ones. The mask token, which the release trains without any effect, is left out.
"""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field
from torch import Tensor, nn

from adaptbench.adaptation.late_average import LateAverage
from adaptbench.contracts.method import Optimizers
from adaptbench.contracts.profiles import Decay, Iterations
from adaptbench.contracts.task import Task
from adaptbench.data.batch import Batch
from adaptbench.networks.adapters.choice import Adapter
from adaptbench.networks.adapters.soma import SoMAOptions
from adaptbench.networks.pretrained.adapter_files import SOMA_FILES
from adaptbench.optim.recipe import AdapterKind
from methods.rein_dg import AdaptedEncoder


class SoMADG(AdaptedEncoder["SoMADG.Settings"]):
    """Minor components of the encoder, on the source alone; a late average is scored."""

    name = "soma_dg"
    title = "SoMA (DG)"
    paper = "arXiv:2412.04077"
    tags = ("domain-generalization",)
    scored_weights = "running average"
    published_files = SOMA_FILES
    version = 2

    def __init__(self, task: Task, settings: SoMADG.Settings) -> None:
        super().__init__(task, settings)
        self.average = LateAverage(self.student, settings.average_begin, settings.average_decay)

    @classmethod
    def adapter(cls, settings: SoMADG.Settings) -> Adapter:
        """Components of the settings' number."""
        options = SoMAOptions(settings.rank, settings.alpha, settings.first_block)
        return replace(super().adapter(settings), soma=options)

    def train_step(self, batch: Batch, optimizers: Optimizers) -> dict[str, Tensor]:
        """One iteration, after which the average follows."""
        log = super().train_step(batch, optimizers)
        self.average.follow(self.student, batch.iteration)  # 4
        return log

    def scored_network(self) -> nn.Module:
        """The average of the student."""
        return self.average.network

    def other_network(self) -> nn.Module:
        """The student."""
        return self.student

    class Settings(AdaptedEncoder.Settings):
        """Settings of the components and of the average."""

        adapter: AdapterKind = Field(
            "soma",
            description="what of the encoder is trained: full (all of it), frozen (nothing), lora, rein or soma",
        )
        learning_rate: float = Field(5e-5, gt=0, description="of the encoder, at its highest")
        head_lr_factor: float = Field(2.0, gt=0, description="factor on the learning rate of the decoder")
        weight_decay_end: float | None = Field(
            1e-5, ge=0, description="weight decay of everything at the end of a cosine; none = constant"
        )
        rank: int = Field(16, ge=1, description="components that are trained, per matrix")
        alpha: float = Field(16, gt=0, description="rank times the factor on what is trained")
        first_block: int | None = Field(
            None, ge=0, description="first block with trained components; none = behind the first third"
        )
        average_begin: Iterations = Field(
            12_000, ge=0, description="iterations before the average, until which it is a copy"
        )
        average_decay: Decay = Field(0.9998, ge=0, lt=1, description="share of the old average in an update")

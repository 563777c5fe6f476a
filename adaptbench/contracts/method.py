"""The method contract: what a file in methods/ declares.

A method is a `torch.nn.Module` that owns all that is trained. A self-contained one chooses settings and
implements `Method.losses`; a method of several stages also overrides `Method.stages`.

`Method` is generic in its settings, so that a type checker knows them in `Method.settings` and in what class methods
are given: ``class Mine(Method["Mine.Settings"])`` with a nested class ``Settings``. A method that others extend passes
a type variable on instead, as ``methods/dacs.py`` does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Generic, Literal, TypeAlias

import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import Tensor, nn
from typing_extensions import TypeVar

from adaptbench import networks
from adaptbench.adaptation.seg_loss import pixel_accuracy, resize_logits, weighted_cross_entropy
from adaptbench.contracts.labelling import Facts, Labeller
from adaptbench.contracts.resources import Resources
from adaptbench.contracts.settings import Settings as BaseSettings
from adaptbench.contracts.task import Task
from adaptbench.data import transforms
from adaptbench.data.batch import Batch
from adaptbench.data.framing import Size, UInt8
from adaptbench.data.normalisation import Normalisation
from adaptbench.data.sampling import Sampling
from adaptbench.networks.adapters.choice import Adapter
from adaptbench.networks.adapters.lora import LoRAOptions
from adaptbench.networks.inference import Mode, Whole
from adaptbench.networks.pretrained.published import SELF_TRAINING, Layout
from adaptbench.optim.optimizer import build_optimizer, build_schedule, by_name

#: Named values of one loss group; entries whose last part starts with ``loss`` are summed and differentiated.
LossGroup = Mapping[str, Tensor]
Optimizers: TypeAlias = "OptimWrapper | OptimWrapperDict"
#: Told what a training step made: its group (``"mixed"``) and parts (``image``, ``label``); see `Method.observe`.
Observer: TypeAlias = Callable[[str, Mapping[str, Tensor]], None]
#: What papers state, by benchmark and network.
PublishedSettings: TypeAlias = Mapping[tuple[str, str], Mapping[str, Any]]
#: The settings of a method.
S = TypeVar("S", bound=BaseSettings, default=Any)


@dataclass(frozen=True)
class Stage:
    """One training of a method, one pass that labels the target's training images, or one over a stream.

    Attributes:
        name: what the stage does, for logs.
        method: the class whose `Method.train_step` is run; an earlier stage is often another method.
        settings: its settings.
        start: index of the earlier stage whose network it starts from.
        labeller: nothing is trained: the network of ``start`` labels images in this way, which ``method`` and
            ``settings`` show it as in a test; None = a training.
        labels: index of the earlier labelling stage whose images and pseudo-labels take the place of the labelled
            ones; None = labels of the benchmark.
        adapts: the network of ``start`` predicts the stream of the benchmark, and changes meanwhile as ``method``
            says (`adaptbench.contracts.stream_method.StreamMethod`).
        given: nothing is trained: the network is one from elsewhere, in the place of a training.
    """

    name: str
    method: type[Method]
    settings: BaseSettings
    start: int | None = None
    labeller: Labeller | None = None
    labels: int | None = None
    adapts: bool = False
    given: bool = False

    @property
    def trains(self) -> bool:
        """Whether it is a training."""
        return self.labeller is None and not self.adapts and not self.given


class Method(nn.Module, Generic[S]):
    """Base of all methods.

    A plug-in sets ``name``, ``title``, ``paper`` and ``tags`` as literals. Tags with a meaning for the
    harness: ``control`` (listed, never ranked) and ``oracle`` (trains on target labels).
    """

    name: ClassVar[str]
    title: ClassVar[str]
    paper: ClassVar[str | None] = None
    tags: ClassVar[tuple[str, ...]] = ()
    #: Raised when the method's numbers may change; part of the job's hash.
    version: ClassVar[int] = 1
    #: Which domain's labels it trains on; ``target`` is allowed under the tag ``oracle`` alone.
    supervision: ClassVar[Literal["source", "target"]] = "source"
    #: Whether batches hold target images.
    uses_target_images: ClassVar[bool] = True
    Settings: ClassVar[type[BaseSettings]] = BaseSettings
    #: Settings that the paper states; every other pair of benchmark and network is marked ``transferred``.
    published: ClassVar[PublishedSettings] = {}
    #: Which weights `scored_network` gives, in words for tables.
    scored_weights: ClassVar[str] = "student"
    #: Whether `counted` may give void, which confusion matrices then have a column for.
    predicts_void: ClassVar[bool] = False
    #: What a training of published sizes needs; a scheduler is asked for it.
    resources: ClassVar[Resources] = Resources()
    #: How the checkpoints that its authors publish are laid out; what ``run_all.py import`` reads.
    published_files: ClassVar[Layout] = SELF_TRAINING

    def __init__(self, task: Task, settings: S) -> None:
        super().__init__()
        self.task = task
        self.settings = settings
        #: Who watches the training steps; hooks put themselves here, and nobody else does.
        self.observers: list[Observer] = []
        self.student = self.build_student()

    @classmethod
    def stages(cls, settings: S) -> list[Stage]:
        """The trainings of the method, in order; the last one is scored. Default: one."""
        return [Stage("train", cls, settings)]

    @classmethod
    def skip(cls, task: Task) -> str | None:
        """Why the method makes no sense on ``task``; None if it does. Overrides ask ``super().skip(task)``, too."""
        if task.setting == "dg" and (cls.uses_target_images or cls.supervision == "target"):
            return "It trains on the target, which is out of reach in domain generalization."
        if task.setting == "tta" and (cls.uses_target_images or cls.supervision == "target"):
            return "It trains on the target, which in test-time adaptation is seen in the test alone."
        return None

    @cached_property
    def normalisation(self) -> Normalisation:
        """Input normalisation of the network: images of batches are in it."""
        return networks.spec(self.settings.network).normalisation

    @classmethod
    def sampling(cls, settings: S) -> Sampling:
        """How training crops are chosen. Default: every image once per epoch, in random order."""
        return Sampling()

    @classmethod
    def label_count(cls, settings: S) -> int | None:
        """On how many of the labelled images it trains, drawn by the seed. Default: all."""
        return None

    @classmethod
    def partition(cls, settings: S, images: Mapping[str, Facts]) -> tuple[Collection[str], Collection[str]]:
        """Which images of a labelling stage are trained on with their pseudo-labels, and which as unlabelled ones.

        Default: all, as both. What a method does not use as target images counts for nothing. ``images`` says what was
        noted of each, by name, in the order of the benchmark.
        """
        return images.keys(), images.keys()

    def build_student(self) -> nn.Module:
        """The network that is trained: images ``(B, 3, H, W)`` to logits ``(B, classes, h, w)``."""
        classes, settings = len(self.task.class_set), self.settings
        return networks.build(settings.network, classes, settings.pretraining, self.adapter(settings))

    @classmethod
    def adapter(cls, settings: S) -> Adapter:
        """What of the network's encoder is trained. Default: what the settings say, in the published sizes."""
        products = LoRAOptions(settings.lora_rank, settings.lora_alpha, settings.lora_targets)
        return Adapter(settings.adapter, lora=products)

    def scored_network(self) -> nn.Module:
        """The network that is evaluated. Default: the student, as the self-training papers do."""
        return self.student

    def other_network(self) -> nn.Module | None:
        """Of student and teacher the one that is not scored; None (default) for a method without a teacher."""
        return None

    @classmethod
    def has_teacher(cls) -> bool:
        """Whether there is an `other_network`."""
        return cls.other_network is not Method.other_network

    def shown(self, image: UInt8, box: Size) -> Tensor:
        """A test image as the scored network gets it, resized into ``box``, (width, height) in pixels; on the CPU.

        Shape: ``(H, W, 3)`` RGB to float ``(1, 3, h, w)``.
        """
        framing = self.sampling(self.settings).framing
        resized = framing.image(image, framing.size((image.shape[1], image.shape[0]), box))
        return transforms.normalise(resized, self.normalisation)[None]

    def counted(self, outputs: Tensor) -> Tensor:
        """The train ids that the likeliest outputs count as, 255 = void. Default: outputs are the classes.

        Shape: uint8 ``(H, W)``, in and out.
        """
        return outputs

    def inference(self) -> Mode:
        """How the scored network sees a test image: whole (default), or in sliding windows."""
        return Whole()

    @classmethod
    def test_time_augmentation(cls, settings: S) -> str:
        """What the test averages over, in words; anything but ``none`` puts a run on a board of its own."""
        return "none"

    def optimizers(self) -> Optimizers:
        """The optimisers of `train_step`. Default: one for the student, from the settings."""
        return build_optimizer(self.student, self.settings)

    def schedules(self, optimizers: Optimizers) -> list[Any]:
        """Mmengine schedulers, stepped after every iteration. Default: for every optimiser that of the settings."""
        settings, several = self.settings, by_name(optimizers).values()
        return [s for one in several for s in build_schedule(one, settings, settings.iterations)]

    def hooks(self) -> list[Hook]:
        """Mmengine hooks to call during training. Default: none."""
        return []

    def finish(self) -> None:
        """Completes what is scored once the last iteration is done. Default: nothing.

        It changes nothing but what is in the ``state_dict``: snapshots of a training are finished as well, and then
        it goes on as if they had not been.
        """

    def losses(self, batch: Batch) -> Iterable[LossGroup] | LossGroup:
        """Loss groups of one iteration: one backward pass follows each group. A dict is one group."""
        raise NotImplementedError(f"{type(self).__name__} must implement losses() or train_step().")

    def train_step(self, batch: Batch, optimizers: Optimizers) -> dict[str, Tensor]:
        """One iteration. Default: a backward pass per group of `losses`, then one step of every optimiser.

        Returns:
            Logged values by name, detached scalars.
        """
        wrappers = list(by_name(optimizers).values())
        for wrapper in wrappers:
            wrapper.zero_grad()
        log: dict[str, Tensor] = {}
        losses = self.losses(batch)
        for group in [losses] if isinstance(losses, Mapping) else losses:
            total = total_loss(group)
            if total.requires_grad:
                wrappers[0].backward(total)
            log.update({key: value.detach() for key, value in group.items()})
        for wrapper in wrappers:
            wrapper.step()
        return log

    def observe(self, group: str, **parts: Tensor) -> None:
        """Shows intermediate results of a training step to whoever watches; it changes nothing in the training.

        Integers are labels, three channels are an image as networks get it, and anything else is a map with
        values in [0, 1]. The parts ``weight``, ``confident`` and ``mask`` say how far the others of their group
        count. What a teacher labels is the ``label`` of the group ``pseudo``.

        Shape: ``(B, H, W)`` or ``(B, channels, H, W)``, of any size.
        """
        detached = {name: part.detach() for name, part in parts.items()}
        for observer in self.observers:
            observer(group, detached)

    def segmentation_loss(
        self, logits: Tensor, label: Tensor, weight: Tensor | None = None, prefix: str = ""
    ) -> dict[str, Tensor]:
        """Cross entropy and accuracy as one loss group.

        Shape: logits ``(B, C, h, w)`` float, label ``(B, 1, H, W)`` int64 with 255 = ignore, weight
        ``(B, H, W)`` float in [0, 1] or None.
        """
        logits = resize_logits(logits, (label.shape[-2], label.shape[-1]))
        return {
            f"{prefix}loss_seg": weighted_cross_entropy(logits, label, weight),
            f"{prefix}acc_seg": pixel_accuracy(logits, label),
        }


def total_loss(group: LossGroup) -> Tensor:
    """Sum of the entries of ``group`` whose last name part starts with ``loss``."""
    parts = [value for key, value in group.items() if key.rsplit(".", 1)[-1].startswith("loss")]
    if not parts:
        raise ValueError(f"A loss group needs a key that starts with 'loss'; this one has {sorted(group)}.")
    return torch.stack([part.mean() for part in parts]).sum()

"""Steps of EHTDI on recorded crops, views and picks, with recorded network outputs or a stand-in network."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from adaptbench.adaptation.class_mix import ClassIds
from adaptbench.adaptation.seg_loss import IGNORE
from adaptbench.adaptation.source_paste import Candidates, picked_classes
from adaptbench.contracts.method import LossGroup, total_loss
from adaptbench.data.batch import Batch, Images, LabelledImages
from adaptbench.data.crop_views import ViewDraw, Views
from adaptbench.draws import Draws
from methods import ehtdi
from methods.ehtdi import EHTDI, BoundaryMixed, Pasted
from methods.pixmatch_source import Predictions

from .case import Case
from .stand_ins import task_of

#: Passes of one step, in their order; the fifth with edge enhancement alone.
PASSES = ("source", "target", "strong", "weak", "weak_unpasted", "mix")


def ignored(case: Case) -> int:
    """How ignored pixels are recorded."""
    return int(case.hyper("ignore_index", -1))


def ours(case: Case, label: Tensor) -> Tensor:
    """Recorded labels as ours. Shape: ``(B, H, W)`` to int64 ``(B, 1, H, W)``."""
    return label.long().masked_fill(label == ignored(case), IGNORE)[:, None]


def theirs(case: Case, label: Tensor) -> Tensor:
    """Our labels as they are recorded. Shape: int64 ``(B, 1, H, W)`` to ``(B, H, W)``."""
    return label.masked_fill(label == IGNORE, ignored(case))[:, 0]


def settings_of(case: Case, **changes: Any) -> EHTDI.Settings:
    """The settings of a case."""
    values = {
        "augmentation_weight": case.hyper("lam_aug"),
        "segmentation_weight_aux": case.hyper("lam_aux"),
        "mix_weight": case.hyper("mix_weight"),
        "contrast_weight": case.hyper("NCE_weight"),
        "mix_threshold": case.hyper("Tmax"),
        "average_decay": case.hyper("ema_decay"),
        "prototype_factor": case.hyper("temperature_prototype"),
        "pixel_factor": case.hyper("temperature_pixel"),
        "paste_first_class": case.hyper("eligible_class_greater_than") + 1,
        "edge_enhancement": "edge" in case.kind,
    }
    return EHTDI.Settings.model_validate({**values, **changes})


def method_of(case: Case, network: nn.Module, **changes: Any) -> EHTDI:
    """The method with a stand-in for its network."""
    with mock.patch.object(EHTDI, "build_student", lambda _: network):
        return EHTDI(task_of(case), settings_of(case, **changes))


def batch_of(case: Case, prefix: str, iteration: int, dtype: torch.dtype = torch.float32) -> Batch:
    """The recorded images of one iteration."""
    label = ours(case, case.tensor(f"{prefix}source_label"))
    source, target = (case.tensor(f"{prefix}{domain}_image").to(dtype) for domain in ("source", "target"))
    names = tuple(str(i) for i in range(len(label)))
    return Batch(iteration, Draws(0, iteration), LabelledImages(source, names, label), Images(target, names))


def recorded_picks(case: Case, prefix: str = "out/") -> list[list[int]]:
    """The recorded draws per sample; one array for all or one each, with -999 in slots that are not used."""
    rows = (
        case.tensor(f"{prefix}draw").tolist()
        if f"{prefix}draw" in case.all_arrays
        else [
            case.tensor(f"{prefix}draw_sample{i}").tolist()
            if f"{prefix}draw_sample{i}" in case.all_arrays
            else []
            for i in range(len(case.tensor(f"{prefix}num_selected")))
        ]
    )
    return [[pick for pick in row if pick >= 0] for row in rows]


def cross_entropies(method: EHTDI, log: dict[str, Tensor]) -> dict[str, Tensor]:
    """Plain cross entropies of one step by their recorded names, from what it logs."""
    settings = method.settings
    strong, mixed = settings.augmentation_weight, settings.mix_weight
    aux = settings.segmentation_weight_aux
    weights = {
        "source_main": ("loss_seg", 1.0),
        "source_aux": ("aux.loss_seg", aux),
        "strong_main": ("strong.loss_seg", strong),
        "strong_main_border": ("strong.loss_border", strong),
        "strong_aux": ("aux.strong.loss_seg", strong * aux),
        "strong_aux_border": ("aux.strong.loss_border", strong * aux),
        "mix_main": ("mix.loss_seg", mixed),
        "mix_main_border": ("mix.loss_border", mixed**2),
        "mix_aux": ("aux.mix.loss_seg", mixed * strong * aux),
    }
    return {name: log[key] / weight for name, (key, weight) in weights.items() if key in log}


class Step:
    """What is seen of one step whose crops, strong views and picks are recorded.

    Args:
        case: where they are.
        inputs: prefix of the recorded inputs.
        outputs: prefix of the recorded picks.
    """

    def __init__(self, case: Case, inputs: str = "in/", outputs: str = "out/") -> None:
        self._case, self._inputs = case, inputs
        self._picks = iter(recorded_picks(case, outputs))
        self._domains = iter(("source", "target"))
        self.found: list[Candidates] = []
        self.classes: list[ClassIds] = []
        self.pasted: Pasted
        self.confident: Tensor
        self.aux_label: Tensor
        self.mixed: BoundaryMixed

    @contextlib.contextmanager
    def recorded(self, method: EHTDI) -> Iterator[None]:
        """Within the block, recorded crops and picks take the place of draws, and what the method makes is kept."""
        with contextlib.ExitStack() as stack:
            for owner, name, replacement in (
                (method, "crop", self._crop),
                (method, "paste", self._noting_paste(method.paste)),
                (method, "boundary_mix", self._noting_mix(method.boundary_mix)),
                (ehtdi, "draw_picks", self._draw_picks),
                (ehtdi, "picked_classes", self._noting_classes(picked_classes)),
            ):
                stack.enter_context(mock.patch.object(owner, name, replacement))
            yield

    def _crop(self, image: Tensor, label: Tensor, draws: list[ViewDraw]) -> tuple[Views, Tensor]:
        domain = next(self._domains)
        height, width = self._case.hyper("crop_hw")
        corners = self._case.tensor(f"{self._inputs}{domain}_crop_top_left").tolist()

        def cut(whole: Tensor) -> Tensor:
            parts = zip(whole, corners, strict=True)
            return torch.stack([part[..., y : y + height, x : x + width] for part, (y, x) in parts])

        strong = self._case.tensor(f"{self._inputs}{domain}_strong").to(image)
        return Views(weak=cut(image), strong=strong), cut(label)

    def _draw_picks(self, found: Candidates, generator: object) -> list[int]:
        self.found.append(found)
        return next(self._picks)

    def _noting_classes(self, call: Callable[..., ClassIds]) -> Callable[..., ClassIds]:
        def picked(*arguments: Any) -> ClassIds:
            self.classes.append(call(*arguments))
            return self.classes[-1]

        return picked

    def _noting_paste(self, call: Callable[[Batch], Pasted]) -> Callable[[Batch], Pasted]:
        def paste(batch: Batch) -> Pasted:
            self.pasted = call(batch)
            return self.pasted

        return paste

    def _noting_mix(self, call: Callable[..., BoundaryMixed]) -> Callable[..., BoundaryMixed]:
        def boundary_mix(pasted: Pasted, confident: Tensor, aux_label: Tensor) -> BoundaryMixed:
            self.confident, self.aux_label = confident, aux_label
            self.mixed = call(pasted, confident, aux_label)
            return self.mixed

        return boundary_mix


class OutputsStep(Step):
    """One step from recorded network outputs, and its gradients; outputs that are not recorded are zero.

    Args:
        case: the case.
        changes: of its settings.
    """

    def __init__(self, case: Case, **changes: Any) -> None:
        super().__init__(case)
        self.method = method_of(case, nn.Conv2d(1, 1, 1), **changes)
        edge = self.method.settings.edge_enhancement
        self._passes = iter([name for name in PASSES if edge or name != "weak_unpasted"])
        self.outputs: dict[str, Tensor] = {}
        self.images: dict[str, Tensor] = {}
        self.groups: list[LossGroup] = []
        with self.recorded(self.method), mock.patch.object(self.method, "predict_all", self._predict_all):
            for group in self.method.losses(batch_of(case, "in/", 0)):
                self.groups.append(group)
                if (loss := total_loss(group)).requires_grad:
                    loss.backward()  # type: ignore[no-untyped-call]

    @property
    def log(self) -> dict[str, Tensor]:
        """Everything that the groups hold."""
        return {key: value.detach() for group in self.groups for key, value in group.items()}

    def gradient(self, name: str) -> Tensor:
        """Gradient of the sum of all losses by a network output, like ``strong/main``; zero if it has none."""
        output = self.outputs[name]
        return torch.zeros_like(output) if output.grad is None else output.grad

    def target_losses(self) -> Sequence[LossGroup]:
        """The groups that are learned from the target."""
        return self.groups[1:]

    def _small(self, size: tuple[int, int]) -> tuple[int, int]:
        """Size of the logits before they are resized: as recorded for an image of the same size, else an eighth."""
        for name in PASSES:
            main, small = (f"in/model_output/{name}/{output}" for output in ("main", "small"))
            recorded = self._case.has(main) and self._case.has(small)
            if recorded and self._case.all_arrays[main].shape[2:] == size:
                height, width = self._case.all_arrays[small].shape[2:]
                return height, width
        return max(size[0] // 8, 1), max(size[1] // 8, 1)

    def _predict_all(self, image: Tensor) -> Predictions:
        name = next(self._passes)
        self.images[name] = image
        batch, height, width = len(image), image.shape[2], image.shape[3]
        sizes = {"main": (height, width), "aux": (height, width), "small": self._small((height, width))}
        classes = self._case.hyper("num_classes")
        for output, size in sizes.items():
            key = f"in/model_output/{name}/{output}"
            recorded = key in self._case.all_arrays
            values = self._case.tensor(key) if recorded else torch.zeros(batch, classes, *size)
            self.outputs[f"{name}/{output}"] = values.requires_grad_()
        return Predictions(*(self.outputs[f"{name}/{output}"] for output in sizes))

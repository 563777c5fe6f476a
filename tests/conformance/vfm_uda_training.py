"""VFM-UDA in training on recorded images, with recorded draws, and what is seen of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from adaptbench.adaptation.imagenet_encoder import FrozenEncoder
from adaptbench.adaptation.view_augment import Colours, View
from adaptbench.contracts.method import Method
from adaptbench.contracts.profiles import profile
from adaptbench.contracts.task import Task
from adaptbench.data.batch import Batch, Images, LabelledImages
from adaptbench.data.taxonomy import CITYSCAPES19
from adaptbench.draws import Draws
from adaptbench.optim.optimizer import by_name
from methods.vfm_uda import VFMUDA, StepDraws
from methods.vfm_uda_feature_distance import VFMUDAFeatureDistance
from methods.vfm_uda_source import VFMUDASource

from .case import Case
from .case_facts import class_set_of
from .vfm_uda_parts import normalised

#: Modules of the reference, by what the case files call them.
METHODS: Mapping[str, type[Method]] = {
    "uda": VFMUDA,
    "supervised": VFMUDASource,
    "feature_distance": VFMUDAFeatureDistance,
}


class Decisions:
    """The recorded draws of one iteration or call."""

    def __init__(self, case: Case, iteration: int) -> None:
        self._case = case
        drawn = case.json.get("recorded_draws", [])
        self._own = [one for one in drawn if one.get("iteration", one.get("call")) == iteration]

    def at(self, site: str) -> list[dict[str, Any]]:
        """The draws at one place, in order."""
        return [one for one in self._own if one["site"] == site]

    def flipped(self, domain: str, number: int) -> list[bool]:
        """Which images of a domain are mirrored; one decision may hold for the whole batch."""
        each = [one["flipped"] for one in self.at(f"flip_{domain}")]
        return each or [one["flipped"] for one in self.at(f"flip_{domain}_batch")] * number

    def views(self, place: str, number: int) -> list[View]:
        """The view of each image at one place; what is drawn once holds for the whole batch."""
        jitters, blurs = iter(self.at(f"{place}_jitter")), iter(self.at(f"{place}_blur"))
        blurred = self.at(f"{place}_apply_blur")
        views = []
        for index, decision in enumerate(self.at(f"{place}_apply_jitter")):
            colours = _colours(next(jitters)) if decision["applied"] else None
            blur = bool(blurred) and blurred[index]["applied"]
            views.append(View(colours, next(blurs)["sigma"] if blur else None))
        return views if len(views) != 1 else views * number

    def classes(self, label: Tensor) -> list[np.ndarray[Any, Any]]:
        """Label values to paste, for every image."""
        candidates = label.unique().numpy()
        found = [candidates[one["value"]] for one in self.at("class_choice")]
        assert all(len(candidates) == one["candidates"] for one in self.at("class_choice"))
        return found

    def step(self, label: Tensor, plain: bool = False) -> StepDraws:
        """All draws of an iteration; ``plain`` leaves out what happens to mixed images."""
        number = len(label)
        return StepDraws(
            source=self.views("weak_dataprep", number),
            classes=self.classes(label),
            target=self.views("weak_uda_mix", number),
            mixed=[View()] * number if plain else self.views("strong_uda_mix", number),
            masked=self.views("strong_masked", number),
            tokens=self.tokens(),
        )

    def tokens(self) -> Tensor | None:
        """The number of every token of a masked pass."""
        return next(iter(self.arrays()), None)

    def arrays(self) -> list[Tensor]:
        """Numbers that were drawn at once: of tokens ``(B, tokens)``, or of blocks ``(B, 1, rows, columns)``."""
        return [self._case.tensor(one["array"]) for one in self._own if one["kind"] == "uniform_array"]


class Scripted:
    """Stands in for a generator: recorded scales and places of crops; nothing is mirrored."""

    def __init__(self, decisions: Decisions) -> None:
        self._scales = iter(decisions.at("scale"))
        self._places = iter([offset for crop in decisions.at("crop") for offset in crop["top_left"]])

    def random(self) -> float:
        """The scale, which is drawn first, or that an image is not mirrored."""
        return float(next(self._scales, {"value": 1.0})["value"])

    def integers(self, high: int) -> int:
        """Top, then left of a crop."""
        offset = int(next(self._places))
        assert offset < high, f"a crop begins at {offset}, and not below {high}"
        return offset

    def finish(self) -> None:
        """Checks that all was drawn."""
        assert not list(self._scales) and not list(self._places), "recorded, but not drawn"


def _colours(draw: Mapping[str, Any]) -> Colours:
    amounts = (draw["brightness"], draw["contrast"], draw["saturation"], draw["hue"])
    return Colours(amounts, tuple(draw["order"]))


class Training:
    """Trains for the recorded number of iterations; only network, images and draws are put in their place."""

    def __init__(self, case: Case, network: nn.Module, frozen: nn.Module | None = None) -> None:
        self.case = case
        self.method = method_of(case, network, METHODS[case.hyper("module", "uda")])
        if frozen is not None:
            self.method.frozen = FrozenEncoder(frozen.get_submodule("backbone"))
        self.logs: list[dict[str, Tensor]] = []
        self.norms: list[list[Tensor]] = []
        self.observed: list[dict[str, dict[str, Tensor]]] = []
        self.logits: list[list[Tensor]] = []
        self.rates: list[dict[str, float]] = []
        self.gradients: dict[str, Tensor] = {}
        self.states: list[dict[str, dict[str, Tensor]]] = [self._state()]
        self.before: list[dict[str, Tensor]] = []
        self.features: list[dict[str, Tensor]] = []
        self._train()

    def _train(self) -> None:
        optimizers = self.method.optimizers()
        schedules = self.method.schedules(optimizers)
        (wrapper,) = by_name(optimizers).values()
        for iteration in range(self.case.hyper("iterations")):
            self.rates.append(rates_of(self.method.student, wrapper))
            self.method.train()
            with self._watching(wrapper, iteration):
                batch, draws = _batch(self.case, iteration)
                with _drawn(self.method, draws, batch):
                    self.logs.append(self.method.train_step(batch, optimizers))
            for schedule in schedules:
                schedule.step()
            self.states.append(self._state())

    def _state(self) -> dict[str, dict[str, Tensor]]:
        networks = {"student": self.method.student}
        if isinstance(self.method, VFMUDA):
            networks["teacher"] = self.method.teacher.network
        return {
            who: {name: tensor.clone() for name, tensor in network.state_dict().items()}
            for who, network in networks.items()
        }

    @contextmanager
    def _watching(self, wrapper: Any, iteration: int) -> Iterator[None]:
        norms: list[Tensor] = []
        observed: dict[str, dict[str, Tensor]] = {}
        logits: list[Tensor] = []
        self.norms.append(norms)
        self.observed.append(observed)
        self.logits.append(logits)
        self.features.append({})

        def note(group: str, parts: Mapping[str, Tensor]) -> None:
            observed.setdefault(group, {}).update({k: v.clone() for k, v in parts.items()})

        def backward(call: Callable[[Tensor], None]) -> Callable[[Tensor], None]:
            def noting(loss: Tensor) -> None:
                call(loss)
                found = [p.grad.norm() for p in self.method.student.parameters() if p.grad is not None]
                norms.append(torch.stack(found).norm())

            return noting

        def step(call: Callable[[], None]) -> Callable[[], None]:
            def noting() -> None:
                if iteration == 0:
                    named = self.method.student.named_parameters()
                    self.gradients = {k: p.grad.clone() for k, p in named if p.grad is not None}
                call()
                if isinstance(self.method, VFMUDA):
                    buffers = self.method.teacher.network.named_buffers()
                    self.before.append({name: tensor.clone() for name, tensor in buffers})

            return noting

        head = self.method.student.get_submodule("decode_head")
        hooks = [head.register_forward_hook(lambda _, __, output: logits.append(output.detach().clone()))]
        if isinstance(self.method, VFMUDAFeatureDistance):
            hooks += [self._noting_features(self.method.student.get_submodule("backbone"), "source_features")]
            hooks += [self._noting_features(self.method.frozen.encoder, "frozen_features")]
        self.method.observers = [note]
        with ExitStack() as stack:
            stack.enter_context(mock.patch.object(wrapper, "backward", backward(wrapper.backward)))
            stack.enter_context(mock.patch.object(wrapper, "step", step(wrapper.step)))
            yield
        for hook in hooks:
            hook.remove()

    def _noting_features(self, encoder: nn.Module, name: str) -> RemovableHandle:
        """Keeps what an encoder makes of the first images of this iteration."""
        found = self.features[-1]

        def note(_: nn.Module, __: object, output: Sequence[Tensor]) -> None:
            found.setdefault(name, output[-1].detach().clone())

        return encoder.register_forward_hook(note)


@contextmanager
def _drawn(method: Method, draws: Decisions, batch: Batch) -> Iterator[None]:
    number = len(batch.source.names)

    def draw_step(seen: Batch) -> StepDraws:
        return draws.step(seen.source.label)

    def draw_views(*_: Any) -> list[View]:
        return draws.views("weak_dataprep", number)

    name, stand_in = ("draw_step", draw_step) if isinstance(method, VFMUDA) else ("draw_views", draw_views)
    with mock.patch.object(method, name, stand_in):
        yield


def method_of(case: Case, network: nn.Module, kind: type[Method] = VFMUDA, **changes: Any) -> Any:
    """A method on a network; ``changes`` are of its settings."""
    number = case.hyper("net")["num_classes"]
    classes = class_set_of(number, things=[one for one in CITYSCAPES19.things if one < number])
    task = Task("conformance", "uda", classes, profile("paper"))
    with mock.patch.object(kind, "build_student", lambda _: network):
        return kind(task, kind.Settings.model_validate({**_settings(case, kind), **changes}))


def settings_of(case: Case, **changes: Any) -> Any:
    """The settings of a recorded training, with those of the optimiser."""
    return VFMUDA.Settings.model_validate({**_settings(case, VFMUDA), **changes})


def _settings(case: Case, kind: type[Method]) -> dict[str, Any]:
    """What the case states; the rate is for one image on one device."""
    images = case.hyper("batch_per_device", 1) * case.hyper("num_devices", 1) * case.hyper("num_nodes", 1)
    factor = case.hyper("lr_multiplier", 1.0)
    values = {
        "learning_rate": case.hyper("lr", 1.0) * images**0.5 * factor,
        "head_lr_factor": 1 / factor,
        "layer_decay": case.hyper("layerwise_lr_decay", 1.0),
        "warmup": case.hyper("warmup_iters", 0),
        "weight_decay": case.hyper("weight_decay", 0.0),
        "iterations": case.hyper("max_steps", 1),
        "batch_size": case.hyper("batch_per_device", 1),
        "crop": case.hyper("net")["img_size"],
    }
    if kind is not VFMUDASource:
        values |= {
            "ema_alpha": case.hyper("ema_alpha", 0.999),
            "pseudo_threshold": case.hyper("pseudo_threshold", 0.968),
            "token_mask_ratio": case.hyper("token_mask_ratio", 0.0),
        }
    if kind is VFMUDAFeatureDistance:
        values["feature_distance_weight"] = case.hyper("feature_distance_lambda")
    return values


def rates_of(network: nn.Module, wrapper: Any) -> dict[str, float]:
    """The present learning rate of every parameter, by name."""
    rates = {id(p): group["lr"] for group in wrapper.optimizer.param_groups for p in group["params"]}
    return {name: rates[id(p)] for name, p in network.named_parameters()}


def _batch(case: Case, iteration: int) -> tuple[Batch, Decisions]:
    """The images as the device mirrors them; the mask of the target's borders stays as it is."""
    draws, prefix = Decisions(case, iteration), f"in/it{iteration}/"
    label = case.tensor(f"{prefix}source_label")
    flips = draws.flipped("source", len(label))
    names = tuple(map(str, range(len(label))))
    image = _mirrored(case.tensor(f"{prefix}source_image"), flips)
    source = LabelledImages(normalised(image), names, _mirrored(label, flips).unsqueeze(1))
    target = None
    if case.has(f"{prefix}target_image"):
        image = case.tensor(f"{prefix}target_image")
        shown = normalised(_mirrored(image, draws.flipped("target", len(image))))
        ignored = case.tensor(f"{prefix}target_ignore_mask") == 255
        target = Images(shown, names, trusted=(~ignored).to(torch.uint8).unsqueeze(1))
    return Batch(iteration, Draws(0, iteration), source, target), draws


def target_label(case: Case, iteration: int) -> Tensor:
    """The true labels of the target, mirrored as its images; a logged accuracy alone reads them."""
    label = case.tensor(f"in/it{iteration}/target_label")
    return _mirrored(label, Decisions(case, iteration).flipped("target", len(label)))


def _mirrored(images: Tensor, flips: list[bool]) -> Tensor:
    return torch.stack([one.flip(-1) if flip else one for one, flip in zip(images, flips, strict=True)])

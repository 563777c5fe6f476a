"""Whole trainings of the adversarial family, written out with functional layers and hand-made optimisers."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .adversarial import discriminator, judged, self_information
from .deeplab import narrow_features, narrow_network, narrow_sizes
from .making import Made, Rng, label_map, maker, normal, rounds, side
from .plain_networks import statistics_of

_FOUR = (6, 12, 18, 24)
_LAYERS = ("conv1", "conv2", "conv3", "conv4", "classifier")
_TOLERANCE: dict[str, Any] = {
    "losses": {"rtol": 1e-4, "atol": 1e-6},
    "grad_norms": {"rtol": 1e-3, "atol": 1e-7},
    "sgd_params": {"rtol": 1e-3, "atol": 2e-6},
    "running_statistics": {"rtol": 1e-4, "atol": 1e-6},
    "adam_params": {"rtol": 1e-3, "atol": 2e-5},
}

State = dict[str, Tensor]


def extractor(rng: Rng, widths: Sequence[int], trained_norms: bool, counted: bool = True) -> State:
    """Parameters and statistics of the tiny extractor."""
    inputs, state = [3, *widths], {}
    for i in range(4):
        fan = 9 * inputs[i]
        state[f"conv{i + 1}.weight"] = normal(rng, widths[i], inputs[i], 3, 3, scale=math.sqrt(2 / fan))
        if i >= 2:
            state[f"conv{i + 1}.bias"] = normal(rng, widths[i], scale=0.1)
        else:
            weights = {
                "weight": 1 + normal(rng, widths[i], scale=0.1),
                "bias": normal(rng, widths[i], scale=0.1),
            }
            statistics = {
                "running_mean": normal(rng, widths[i], scale=0.1),
                "running_var": 1 + normal(rng, widths[i], scale=0.1).abs(),
            }
            state |= {f"bn{i + 1}.{name}": t.float().double() for name, t in (weights | statistics).items()}
            if counted:
                state[f"bn{i + 1}.num_batches_tracked"] = torch.tensor(3)
    for name, tensor in state.items():
        frozen = "running" in name or "num_batches" in name or (name.startswith("bn") and not trained_norms)
        tensor.requires_grad_(not frozen)
    return state


def levels(state: Mapping[str, Tensor], image: Tensor, frozen_norms: bool = False) -> tuple[Tensor, Tensor]:
    """Both feature maps; batch statistics, unless norms are frozen, which then have no epsilon."""
    for i in (1, 2):
        image = functional.conv2d(image, state[f"conv{i}.weight"], stride=2, padding=1)
        names = ("running_mean", "running_var", "weight", "bias")
        mean, variance, weight, bias = (state[f"bn{i}.{name}"] for name in names)
        image = functional.batch_norm(
            image, mean, variance, weight, bias, not frozen_norms, 0.1, 0.0 if frozen_norms else 1e-5
        )
        if not frozen_norms and f"bn{i}.num_batches_tracked" in state:
            state[f"bn{i}.num_batches_tracked"].add_(1)
        image = image.relu()
    first = functional.conv2d(image, state["conv3.weight"], state["conv3.bias"], stride=2, padding=1).relu()
    second = functional.conv2d(first, state["conv4.weight"], state["conv4.bias"], padding=2, dilation=2)
    return first, second.relu()


def branches(rng: Rng, channels: int, classes: int, number: int) -> list[tuple[Tensor, Tensor]]:
    """Weights and biases of a classifier."""
    return [
        (
            normal(rng, classes, channels, 3, 3, scale=0.1).requires_grad_(),
            normal(rng, classes, scale=0.1).requires_grad_(),
        )
        for _ in range(number)
    ]


def classified(parts: Sequence[tuple[Tensor, Tensor]], dilations: Sequence[int], features: Tensor) -> Tensor:
    """Sum of dilated convolutions."""
    return torch.stack(
        [
            functional.conv2d(features, weight, bias, padding=dilation, dilation=dilation)
            for (weight, bias), dilation in zip(parts, dilations, strict=True)
        ]
    ).sum(0)


@dataclass
class Sgd:
    """With momentum and weight decay."""

    momentum: float
    decay: float
    velocity: dict[int, Tensor] = field(default_factory=dict)

    @torch.no_grad()
    def step(self, tensors: Sequence[Tensor], rate: float) -> None:
        for t in tensors:
            change = t.grad + self.decay * t
            old = self.velocity.get(id(t))
            self.velocity[id(t)] = change if old is None else self.momentum * old + change
            t -= rate * self.velocity[id(t)]


@dataclass
class Adam:
    """Without weight decay unless stated."""

    betas: tuple[float, float] = (0.9, 0.99)
    decay: float = 0.0
    count: int = 0
    moments: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)

    @torch.no_grad()
    def step(self, tensors: Sequence[Tensor], rate: float) -> None:
        self.count += 1
        (a, b), k = self.betas, self.count
        for t in tensors:
            gradient = t.grad + self.decay * t
            first, second = self.moments.get(id(t), (torch.zeros_like(t), torch.zeros_like(t)))
            first, second = a * first + (1 - a) * gradient, b * second + (1 - b) * gradient**2
            self.moments[id(t)] = first, second
            t -= rate * (first / (1 - a**k)) / ((second / (1 - b**k)).sqrt() + 1e-8)


def norm(tensors: Sequence[Tensor]) -> Tensor:
    """Of all gradients together."""
    return torch.stack([t.grad.norm() for t in tensors if t.grad is not None]).norm()


def poly(rate: float, lowest: float, power: float, iteration: int, total: int) -> float:
    """A rate that decays."""
    return (rate - lowest) * (1 - iteration / total) ** power + lowest


@dataclass
class RepeatedSgd(Sgd):
    """The same for tensors that are listed several times, in the arithmetic of an old or of today's framework."""

    times: dict[int, int] = field(default_factory=dict)
    legacy: bool = False

    @torch.no_grad()
    def step(self, tensors: Sequence[Tensor], rate: float) -> None:
        for t in tensors:
            gradient, first = t.grad.clone(), id(t) not in self.velocity
            for listing in range(self.times.get(id(t), 1)):
                change = gradient + self.decay * t
                gradient = change if self.legacy else gradient
                # In its first step, today's framework starts the momentum anew for every listing.
                fresh = first and (listing == 0 or not self.legacy)
                self.velocity[id(t)] = change if fresh else self.momentum * self.velocity[id(t)] + change
                t -= rate * self.velocity[id(t)]


class _Plan:
    """Hyper-parameters, parameters and images of a training, drawn at random."""

    def __init__(self, rng: Rng, rerun: bool, adversarial: bool, **stated: Any) -> None:
        self.rerun, self.adversarial = rerun, adversarial
        self.prefix = "backbone.extractor." if rerun else "extractor."
        self.classes, self.batch, self.iterations = side(rng, 3, 8), side(rng, 1, 2), side(rng, 2, 3)
        self.widths = [side(rng, 3, 8) for _ in range(4)]
        self.two = stated.get("aux", True)
        self.dilations = tuple(sorted(set(rng.integers(1, 7, 2).tolist()))) if rerun else _FOUR
        self.width, self.total = side(rng, 2, 4), side(rng, 7, 12)
        self.rate, self.rate_d = float(rng.uniform(1e-3, 4e-3)), float(rng.uniform(5e-4, 2e-3))
        self.lowest = float(rng.uniform(1e-4, 3e-4)) if rerun else 0.0
        self.power = float(rng.uniform(0.7, 1.5))
        self.momentum, self.decay = float(rng.uniform(0.5, 0.95)), float(rng.uniform(1e-4, 1e-2))
        outputs = ("main", "aux") if self.two else ("main",)
        self.seg = {o: float(rng.uniform(0.2, 1.5)) for o in outputs}
        self.weight = {o: float(rng.uniform(0.05, 0.3)) for o in outputs}
        self.source, self.target = ((side(rng, 36, 60), side(rng, 36, 60)) for _ in range(2))
        if rerun:
            self.target = self.source
        self.state = extractor(rng, self.widths, trained_norms=rerun)
        self.heads = {
            o: branches(rng, self.widths[3 if o == "main" else 2], self.classes, len(self.dilations))
            for o in outputs
        }
        self.judges = (
            {o: discriminator(rng, self.classes, self.width) for o in outputs} if adversarial else {}
        )
        for tensors in self.judges.values():
            for tensor in tensors:
                tensor.requires_grad_()
        self.images = [
            (normal(rng, self.batch, 3, *self.source), normal(rng, self.batch, 3, *self.target))
            for _ in range(self.iterations)
        ]
        self.labels = [
            label_map(rng, (self.batch, *self.source), self.classes) for _ in range(self.iterations)
        ]

    def named(self) -> dict[str, Tensor]:
        """All tensors by their recorded names below the owners."""
        heads = (
            {"main": "decode_head", "aux": "auxiliary_head"}
            if self.rerun
            else {"main": "layer6", "aux": "layer5"}
        )
        names = {f"model/{self.prefix}{name}": tensor for name, tensor in self.state.items()}
        for output, parts in self.heads.items():
            for i, pair in enumerate(parts):
                for kind, tensor in zip(("weight", "bias"), pair, strict=True):
                    inner = f"aspp_modules.{i}.conv.{kind}" if self.rerun else f"conv2d_list.{i}.{kind}"
                    names[f"model/{heads[output]}.{inner}"] = tensor
        for output, tensors in self.judges.items():
            for i, tensor in enumerate(tensors):
                layer, kind = _LAYERS[i // 2] if self.rerun else str(2 * (i // 2)), ("weight", "bias")[i % 2]
                names[f"{self.owner(output)}/{layer}.{kind}"] = tensor
        return names

    def owner(self, output: str) -> str:
        return f"discriminator/{output}" if self.rerun else f"d_{output}"

    def maps(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """What the auxiliary and the main classifier see."""
        return levels(self.state, image)

    def sgd(self) -> Sgd:
        return Sgd(self.momentum, self.decay)

    def predict(self, image: Tensor) -> dict[str, Tensor]:
        first, second = self.maps(image)
        size = (image.shape[2], image.shape[3])
        maps = {"main": second, "aux": first}
        return {
            output: functional.interpolate(
                classified(parts, self.dilations, maps[output]),
                size,
                mode="bilinear",
                align_corners=not self.rerun,
            )
            for output, parts in self.heads.items()
        }


class _NarrowPlan(_Plan):
    """AdvEnt on the narrow twin of the published network, whose tensors may be listed several times."""

    def __init__(self, rng: Rng, reading: str) -> None:
        super().__init__(rng, rerun=False, adversarial=True)
        self.reading, self.prefix = reading, ""
        self.iterations, self.rate = 2, self.rate / 4  # batch norms of few pixels blow up rounding
        self.sizes = {**narrow_sizes(rng), "num_classes": self.classes}
        self.source, self.target = ((side(rng, 48, 64), side(rng, 48, 64)) for _ in range(2))
        self.images = [
            (normal(rng, self.batch, 3, *self.source), normal(rng, self.batch, 3, *self.target))
            for _ in range(self.iterations)
        ]
        shape = (self.batch, *self.source)
        self.labels = [label_map(rng, shape, self.classes) for _ in range(self.iterations)]
        parameters = narrow_network(rng, self.sizes)
        self.state = {name: t for name, t in parameters.items() if "conv2d_list" not in name}
        for name, tensor in self.state.items():
            tensor.requires_grad_("conv" in name or "downsample.0" in name)
        self.heads = {
            output: [
                (
                    parameters[f"{at}.{i}.weight"].requires_grad_(),
                    parameters[f"{at}.{i}.bias"].requires_grad_(),
                )
                for i in range(len(_FOUR))
            ]
            for output, at in (("main", "layer6.conv2d_list"), ("aux", "layer5.conv2d_list"))
        }

    def maps(self, image: Tensor) -> tuple[Tensor, Tensor]:
        moving = dict(self.state)
        found = narrow_features(moving, image, self.sizes["blocks"], training=True)
        with torch.no_grad():
            for name in statistics_of(self.state):
                self.state[name].copy_(moving[name])
        return found[2], found[3]

    def listed(self, name: str) -> int:
        """How often a trained tensor of the encoder is listed: once in each module that is around it."""
        return 1 if name.startswith("conv1") else 4 if "downsample" in name else 3

    def sgd(self) -> Sgd:
        if self.reading == "once":
            return super().sgd()
        times = {id(tensor): self.listed(name) for name, tensor in self.state.items()}
        return RepeatedSgd(self.momentum, self.decay, times=times, legacy=self.reading == "repeated_legacy")

    def listing(self) -> dict[str, dict[str, int]]:
        """Of every parameter, in the group of the encoder and in that of the classifiers."""
        parameters = {name: t for name, t in self.state.items() if name.endswith(("weight", "bias"))}
        found = {
            name: {"group_1x": self.listed(name) if t.requires_grad else 0, "group_10x": 0}
            for name, t in parameters.items()
        }
        heads = [name.removeprefix("model/") for name in self.named() if "conv2d_list" in name]
        return found | {name: {"group_1x": 0, "group_10x": 1} for name in heads}


def _segmentation(plan: _Plan, logits: Tensor, label: Tensor) -> Tensor:
    known = label != 255
    loss = -logits.log_softmax(1).gather(1, label.clamp(max=plan.classes - 1)[:, None])[:, 0] * known
    return loss.sum() / (known.numel() if plan.rerun else known.sum())


def _train(
    plan: _Plan, view: Callable[[Tensor], Tensor], domain_loss: Callable[[Tensor, float], Tensor]
) -> Made:
    names = plan.named()
    arrays: dict[str, Any] = {f"param/{name}": tensor.detach().clone() for name, tensor in names.items()}
    sgd, adams = plan.sgd(), {output: Adam() for output in plan.judges}
    slow = [t for t in plan.state.values() if t.requires_grad]
    fast = [t for parts in plan.heads.values() for pair in parts for t in pair]
    series: dict[str, list[Any]] = {}

    def note(name: str, value: Any) -> None:
        series.setdefault(name, []).append(value)

    for iteration in range(plan.iterations):
        for tensor in names.values():
            tensor.grad = None
        source, target = plan.images[iteration]
        label = torch.from_numpy(plan.labels[iteration])
        arrays |= {f"in/src_image/{iteration}": source, f"in/tgt_image/{iteration}": target}
        arrays[f"in/src_label/{iteration}"] = label.numpy().astype(np.int16)
        seen = plan.predict(source)
        losses = {output: _segmentation(plan, logits, label) for output, logits in seen.items()}
        torch.stack([plan.seg[output] * loss for output, loss in losses.items()]).sum().backward()  # type: ignore[no-untyped-call]
        before = {name: t.grad.clone() for name, t in names.items() if t.grad is not None}
        found = plan.predict(target)
        adaptation = {}
        for output, logits in found.items():
            if plan.adversarial:
                adaptation[output] = domain_loss(judged(plan.judges[output], view(logits)), 0.0)
            else:
                adaptation[output] = self_information(logits.softmax(1)).sum() / logits[:, 0].numel()
        trained = [*slow, *fast]
        total = torch.stack([plan.weight[output] * loss for output, loss in adaptation.items()]).sum()
        for tensor, gradient in zip(trained, torch.autograd.grad(total, trained), strict=True):
            tensor.grad = gradient if tensor.grad is None else tensor.grad + gradient
        halves = {}
        for output, tensors in plan.judges.items():
            halves[output] = [
                domain_loss(judged(tensors, view(logits[output].detach())), domain) / 2
                for logits, domain in ((seen, 0.0), (found, 1.0))
            ]
            (halves[output][0] + halves[output][1]).backward()  # type: ignore[no-untyped-call]
        _note_step(plan, note, iteration, losses, adaptation, halves, seen, label)
        if iteration == 0:
            gradients = {name: t.grad.clone() for name, t in names.items() if t.grad is not None}
            arrays |= {f"out/grad_first_iteration/{name}": g for name, g in gradients.items()}
            if not plan.rerun:
                at = "out/grad_first_iteration_adaptation_part"
                arrays |= {f"{at}/{name}": gradients[name] - g for name, g in before.items()}
                arrays |= {f"out/d_source_half/{o}": pair[0].detach() for o, pair in halves.items()}
        note("grad_norm/model", norm(trained))
        rate = plan.rate if plan.rerun else poly(plan.rate, 0.0, plan.power, iteration, plan.total)
        if not plan.rerun:
            note("lr/model", [rate, 10 * rate])
        sgd.step(slow, rate)
        sgd.step(fast, rate if plan.rerun else 10 * rate)
        for output, tensors in plan.judges.items():
            note(f"grad_norm/{plan.owner(output)}", norm(tensors))
            rate = poly(plan.rate_d, plan.lowest, plan.power, iteration, plan.total)
            note(f"lr/{plan.owner(output)}", [rate])
            adams[output].step(tensors, rate)
    arrays |= {
        f"out/{name}": np.array([np.asarray(torch.as_tensor(v).detach()) for v in values])
        for name, values in series.items()
    }
    arrays |= {f"out/final/{name}": tensor.detach() for name, tensor in names.items()}
    return Made({"hyper_parameters": _hyper(plan), "tolerance": _TOLERANCE}, arrays)


def _note_step(
    plan: _Plan,
    note: Callable[[str, Any], None],
    iteration: int,
    losses: State,
    adaptation: State,
    halves: Mapping[str, Sequence[Tensor]],
    seen: State,
    label: Tensor,
) -> None:
    for output, loss in losses.items():
        weight, prefix = plan.seg[output], {"main": "decode", "aux": "aux"}[output]
        if not plan.rerun:
            note(f"loss_seg_src_{output}", loss)
            note(f"{'loss_adv_trg' if plan.adversarial else 'loss_ent'}_{output}", adaptation[output])
            if plan.adversarial:
                note(f"loss_d_{output}", halves[output][1])
            continue
        note(f"log/{prefix}.loss_seg", weight * loss)
        note(f"log/{prefix}.acc_seg", 100 * (seen[output].argmax(1) == label).double().mean())
        learned = plan.weight[output] * adaptation[output]
        note(f"log/{'G_trg' if plan.adversarial else 'ent'}.loss.{output}", learned)
        if plan.adversarial:
            note(f"log/D_src.loss.{output}", halves[output][0])
            note(f"log/D_trg.loss.{output}", halves[output][1])


def _hyper(plan: _Plan) -> dict[str, Any]:
    common = {
        "widths": plan.widths,
        "num_classes": plan.classes,
        "iterations": plan.iterations,
        "batch": plan.batch,
        "lr": plan.rate,
        "momentum": plan.momentum,
        "weight_decay": plan.decay,
        "max_iters": plan.total,
    }
    if plan.adversarial:
        common |= {"ndf": plan.width, "lr_d": plan.rate_d}
    if plan.rerun:
        weights = {f"loss_weight_{output}": weight for output, weight in plan.seg.items()}
        return {
            **common,
            **weights,
            "method": "AdvSeg" if plan.adversarial else "MinEnt",
            "dilations": plan.dilations,
            "aux_head": plan.two,
            "lr_d_power": plan.power,
            "lr_d_min": plan.lowest,
            "lambda": plan.weight,
        }
    name = "lambda_adv" if plan.adversarial else "lambda_ent"
    weights = {f"{name}_{output}": weight for output, weight in plan.weight.items()}
    return {**common, **weights, "power": plan.power, **{f"lambda_seg_{o}": w for o, w in plan.seg.items()}}


def _logistic(scores: Tensor, domain: float) -> Tensor:
    return functional.softplus(scores if domain == 0 else -scores).mean()


def _squared(scores: Tensor, domain: float) -> Tensor:
    return ((scores - domain) ** 2).mean()


def _probability(logits: Tensor) -> Tensor:
    return logits.softmax(1)


def _information(logits: Tensor) -> Tensor:
    return self_information(logits.softmax(1))


@maker("minent_trajectory")
def minent(rng: Rng) -> Made:
    """The original MinEnt."""
    return _train(_Plan(rng, rerun=False, adversarial=False), _information, _logistic)


@maker("advent_trajectory")
def advent(rng: Rng) -> Made:
    """The original AdvEnt."""
    return _train(_Plan(rng, rerun=False, adversarial=True), _information, _logistic)


def _in_single(plan: _NarrowPlan) -> _NarrowPlan:
    """The same training in float32."""
    copied = copy.deepcopy(plan)
    for tensor in copied.named().values():
        tensor.data = tensor.data.float() if tensor.is_floating_point() else tensor.data
    copied.images = [(source.float(), target.float()) for source, target in copied.images]
    return copied


def _rounded(plan: _NarrowPlan, made: Made) -> bool:
    """Whether float32 alone moves what is logged by a good part of what is tolerated."""
    found = _read(_in_single(plan)).arrays
    logged = {"loss": "losses", "grad_norm/model": "grad_norms"}
    return any(
        rounds(torch.from_numpy(found[name]), torch.from_numpy(array), _TOLERANCE[tolerance])
        for name, array in made.arrays.items()
        for mark, tolerance in logged.items()
        if mark in name
    )


def _read(plan: _NarrowPlan) -> Made:
    """The training of a copy, with its results under the name of the reading.

    First gradients of the encoder are left out: float32 alone may move them by more than is tolerated.
    """
    made, reading = _train(copy.deepcopy(plan), _information, _logistic), plan.reading
    results = ("out/loss_", "out/final/", "out/grad_norm/model")
    kept = {
        name.replace("out/", f"out/{reading}/", 1) if name.startswith(results) else name: array
        for name, array in made.arrays.items()
        if not name.startswith(("out/lr/", "out/d_source_half/", "out/grad_norm/d_"))
        and not ("out/grad_first" in name and "/model/" in name and "conv2d_list" not in name)
    }
    return Made(made.content, kept)


@maker("advent_resnet_trajectory")
def advent_on_a_resnet(rng: Rng) -> Made:
    """AdvEnt on a residual network, in one of the readings of how often its tensors are listed."""
    reading = ("once", "repeated_legacy", "repeated_current")[side(rng, 0, 2)]
    while True:
        plan = _NarrowPlan(rng, reading)
        made = _read(plan)
        if not _rounded(plan, made):
            break
    hyper = {**made.content["hyper_parameters"], **plan.sizes}
    content = {**made.content, "hyper_parameters": hyper, "times_listed_in_optimizer": plan.listing()}
    return Made(content, made.arrays)


@maker("intrada_trajectory")
def intrada(rng: Rng) -> Made:
    """The second stage of IntraDA, which is AdvEnt on other images."""
    return _train(_Plan(rng, rerun=False, adversarial=True), _information, _logistic)


@maker("minent_mmseg_trajectory")
def minent_again(rng: Rng) -> Made:
    """MinEnt in the other framework, with or without an auxiliary head."""
    plan = _Plan(rng, rerun=True, adversarial=False, aux=bool(rng.integers(2)))
    return _train(plan, _information, _logistic)


@maker("advseg_ls_trajectory")
def least_squares(rng: Rng) -> Made:
    """AdaptSegNet with least squares and a lowest rate of the discriminators, without an auxiliary head."""
    made = _train(_Plan(rng, rerun=True, adversarial=True, aux=False), _probability, _squared)
    made.content["hyper_parameters"]["discriminator_type"] = "LS"
    return made


@maker("advseg_bce_trajectory")
def logistic(rng: Rng) -> Made:
    """AdaptSegNet with the logistic loss, a lowest rate of the discriminators and an auxiliary head."""
    made = _train(_Plan(rng, rerun=True, adversarial=True), _probability, _logistic)
    made.content["hyper_parameters"]["discriminator_type"] = "Vanilla"
    return made

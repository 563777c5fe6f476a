"""Steps of EHTDI with edge enhancement and whole trainings, written out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .adversarial_trajectories import Sgd, branches, classified, extractor, levels, norm, poly
from .boundary_mixing import (
    DrawnStep,
    class_rows,
    confident,
    contrast,
    cross_entropy,
    grown_and_eroded,
    pick,
    pixel_rows,
    shrunk,
)
from .making import Array, Made, Rng, label_map, maker, normal, side

_PASSES = ("source", "target", "strong", "weak", "weak_unpasted", "mix")
_LEARNED = ("strong/main", "strong/aux", "strong/small", "weak/small", "mix/main", "mix/aux")
_ORDER = ("source_main", "source_aux", "mix_main", "mix_main_border", "mix_aux", "strong_main_border",
          "strong_main", "strong_aux_border", "strong_aux")  # fmt: skip

Outputs = Mapping[str, Tensor]


class Labels(NamedTuple):
    """Label maps of one step.

    Attributes:
        source: of the whole source images.
        crop: of their crops.
        mask: where these are pasted.
        pseudo: of the crops of the target.
        ignore: what is not learned.
    """

    source: Array
    crop: Array
    mask: Array
    pseudo: Array
    ignore: int


class Mix(NamedTuple):
    """The target-boundary mix: where the target is, its labels, those of both outputs, and borders."""

    front: Array
    sure: Array
    confident: Array
    fused: Array
    label: Array
    aux: Array
    edge: Array


def _border(mask: Array) -> Array:
    grown, eroded = grown_and_eroded(mask)
    return np.asarray(grown & ~eroded)


def _counted(edge: Array) -> bool:
    """Whether losses at these borders count: only if the first two samples have one."""
    return all(part.any() for part in edge[:2])


def mixed_labels(labels: Labels, sure_label: Array, aux: Array, edges: bool) -> Mix:
    """What is put on top of the source; with edges also all that was pasted."""
    sure = sure_label != labels.ignore
    fused = np.where(labels.mask, labels.crop, sure_label)
    front, label = (sure | labels.mask, fused) if edges else (sure, sure_label)
    return Mix(
        front=front,
        sure=sure,
        confident=sure_label,
        fused=fused,
        label=np.where(front, label, labels.crop),
        aux=np.where(front, np.where(labels.mask, labels.crop, aux), labels.crop),
        edge=_border(sure) & ~labels.mask,
    )


def aux_label(weak: tuple[Tensor, Tensor]) -> Array:
    """The class that both outputs together find most likely."""
    return np.asarray((weak[0].softmax(1) + weak[1].softmax(1)).argmax(1).numpy())


def entropies(outputs: Outputs, labels: Labels, mix: Mix, aux: Array, edges: bool) -> dict[str, Tensor]:
    """All cross entropies of a step, those that do not count left out."""
    pasted = np.where(labels.mask, labels.crop, labels.pseudo)
    found = {
        "source_main": cross_entropy(outputs["source/main"], labels.source, labels.ignore),
        "source_aux": cross_entropy(outputs["source/aux"], labels.source, labels.ignore),
        "strong_main": cross_entropy(outputs["strong/main"], pasted, labels.ignore),
        "strong_aux": cross_entropy(outputs["strong/aux"], aux, labels.ignore),
        "mix_main": cross_entropy(outputs["mix/main"][:1], mix.label[:1], labels.ignore),
    }
    if not edges:
        return found
    edge = _border(labels.mask)
    if _counted(edge):
        for name, label in (("strong_main", pasted), ("strong_aux", aux)):
            at = np.where(edge, label, labels.ignore)
            found[f"{name}_border"] = cross_entropy(outputs[name.replace("_", "/")], at, labels.ignore)
    if _counted(mix.edge):
        at = np.where(mix.edge, mix.label, labels.ignore)[:1]
        found["mix_main_border"] = cross_entropy(outputs["mix/main"][:1], at, labels.ignore)
    found["mix_aux"] = cross_entropy(outputs["mix/aux"][:1], mix.aux[:1], labels.ignore)
    return found


def contrasts(outputs: Outputs, fused: Array, ignore: int, hyper: Mapping[str, Any]) -> list[Tensor]:
    """Of the classes of the first sample, if it has any, then of the pixels of every sample."""
    strong, weak = outputs["strong/small"], outputs["weak/small"]
    front = shrunk(fused, (strong.shape[2], strong.shape[3]))[0]
    shown, found = sorted(set(front.ravel().tolist()) - {ignore}), []
    if shown:
        rows = [class_rows(view[0], front, shown) for view in (strong, weak)]
        found.append(contrast(rows[0], rows[1], hyper["temperature_prototype"]))
    for pair in zip(strong, weak, strict=True):
        found.append(contrast(pixel_rows(pair[0]), pixel_rows(pair[1]), hyper["temperature_pixel"]))
    return found


class Totals(NamedTuple):
    """Weighted losses: of the source, of the target's main and auxiliary outputs, of the mix, and all of the target."""

    source: Tensor
    main: Tensor
    aux: Tensor
    mix: Tensor
    target: Tensor


def totals(ce: Mapping[str, Tensor], nce: Tensor, batch: int, hyper: Mapping[str, Any]) -> Totals:
    """What both backward passes start from."""
    strong, aux, mixed = hyper["lam_aug"], hyper["lam_aux"], hyper["mix_weight"]
    zero = torch.zeros((), dtype=torch.float64)
    mix = ce["mix_main"] + mixed * ce.get("mix_main_border", zero) + strong * aux * ce.get("mix_aux", zero)
    first = strong * (ce.get("strong_main_border", zero) + ce["strong_main"]) + mixed * mix
    second = strong * aux * (ce.get("strong_aux_border", zero) + ce["strong_aux"])
    return Totals(
        source=ce["source_main"] + aux * ce["source_aux"],
        main=first,
        aux=second,
        mix=mix,
        target=first + second + hyper["NCE_weight"] / batch * nce.sum(),
    )


def _edge_step(rng: Rng, nothing_pasted: int | None) -> Made:
    step = DrawnStep(rng, _PASSES)
    hyper, outputs, ignore = step.hyper, step.outputs, step.ignore
    if nothing_pasted is not None:
        step.label[nothing_pasted] = np.minimum(step.label[nothing_pasted], step.first)
        step.arrays["in/source_label"] = step.label.astype(np.int16)
    crop, mask = step.paste(rng)
    pseudo = step.crop(outputs["target/main"].argmax(1).numpy(), "target")
    labels = Labels(step.label, crop, mask, pseudo, ignore)
    aux = aux_label((outputs["weak/main"].detach(), outputs["weak/aux"].detach()))
    mix = mixed_labels(labels, step.confident("weak_unpasted"), aux, edges=True)
    ce = entropies(outputs, labels, mix, aux, edges=True)
    nce = torch.stack(contrasts(outputs, mix.fused, ignore, hyper))
    total = totals(ce, nce, step.batch, hyper)
    gradients = torch.autograd.grad(total.source + total.target, [outputs[name] for name in _LEARNED])
    views = {
        "target": np.where(
            mask[:, None],
            step.crop(step.arrays["in/source_image"].numpy(), "source"),
            step.arrays["in/target_strong"],
        ),
        "source": step.arrays["in/source_strong"].numpy(),
    }
    pasted = np.where(mask, crop, pseudo)
    maps = {
        "paste_label": np.where(mask, crop, 0),
        "confident_label": mix.confident,
        "fused_label": mix.fused,
        "mixed_label": mix.label,
        "mixed_label_aux": mix.aux,
        "mixed_label_border": np.where(mix.edge, mix.label, ignore),
        "label_strong_main": pasted,
        "label_strong_aux": aux,
    }
    if "strong_main_border" in ce:
        maps |= {
            f"label_strong_{name}_border": np.where(_border(mask), label, ignore)
            for name, label in (("main", pasted), ("aux", aux))
        }
    parts = {"paste_mask": mask, "confident_mask": mix.sure, "fused_mask": mix.front}
    for suffix, of in (("", mask), ("_confident", mix.sure)):
        grown, eroded = grown_and_eroded(of)
        parts |= {f"border/dilate{suffix}": grown, f"border/erode{suffix}": eroded}
    parts |= {"border/bord": _border(mask), "border/bord_confident": mix.edge}
    parts["border/paste_border_enabled"] = np.array("strong_main_border" in ce)
    parts["border/confident_border_enabled"] = np.array("mix_main_border" in ce)
    names = [name for name in _ORDER if name in ce]
    results: dict[str, Any] = {
        **{f"out/{name}": value.astype(np.int16) for name, value in maps.items()},
        **{f"out/{name}": value.astype(np.uint8) for name, value in parts.items()},
        **{f"out/gradient/{name}": g for name, g in zip(_LEARNED, gradients, strict=True)},
        "out/mixed_image": np.where(mix.front[:, None], views["target"], views["source"]),
        "out/ce_in_call_order": torch.stack([ce[name] for name in names]),
        "out/loss_mix_total": total.mix,
        "out/loss_source": total.source,
        "out/loss_aug_1": total.main,
        "out/loss_aug_2": total.aux,
        "out/loss_aug_total": total.target,
        "out/nce": nce,
    }
    content = {"hyper_parameters": hyper, "ce_names": names, "tolerance": {"rtol": 1e-4, "atol": 1e-5}}
    return Made(content, step.arrays | results)


@maker("ehtdi_edge")
def edge(rng: Rng) -> Made:
    """Borders of other crops, batches and thresholds."""
    return _edge_step(rng, None)


@maker("ehtdi_edge_disabled")
def edge_disabled(rng: Rng) -> Made:
    """Nothing is pasted in one of the first two samples."""
    return _edge_step(rng, side(rng, 0, 1))


class Network:
    """The tiny encoder with both classifiers, their average, and how both are trained."""

    def __init__(self, rng: Rng, widths: list[int], classes: int) -> None:
        self.encoder = extractor(rng, widths, trained_norms=True)
        for name in ("bn1.weight", "bn1.bias"):
            self.encoder[name].requires_grad_(False)
        heads = [branches(rng, width, classes, len(_DILATIONS)) for width in widths[2:]]
        self.heads = dict(zip(("layer5", "layer6"), heads, strict=True))

    def named(self) -> dict[str, Tensor]:
        """Everything by its recorded name."""
        names = {f"extractor.{name}": tensor for name, tensor in self.encoder.items()}
        for layer, pairs in self.heads.items():
            for i, pair in enumerate(pairs):
                for kind, tensor in zip(("weight", "bias"), pair, strict=True):
                    names[f"{layer}.conv2d_list.{i}.{kind}"] = tensor
        return names

    def predict(self, image: Tensor) -> dict[str, Tensor]:
        """Main and auxiliary logits at the size of the image, and main ones as they are."""
        auxiliary, features = levels(self.encoder, image)
        small = evaluated(self.heads["layer6"], features)
        return {
            "main": at_size(small, image),
            "aux": at_size(evaluated(self.heads["layer5"], auxiliary), image),
            "small": small,
        }

    def groups(self) -> tuple[list[Tensor], list[Tensor]]:
        """What is trained at the base rate, and at ten times that."""
        slow = [tensor for tensor in self.encoder.values() if tensor.requires_grad]
        return slow, [t for pairs in self.heads.values() for pair in pairs[:_EVALUATED] for t in pair]


#: Of a classifier's branches, the reference evaluates the first ones alone.
_DILATIONS, _EVALUATED = (6, 12, 18, 24), 2


def evaluated(pairs: list[tuple[Tensor, Tensor]], features: Tensor) -> Tensor:
    """Sum of the branches that the reference evaluates."""
    return classified(pairs[:_EVALUATED], _DILATIONS[:_EVALUATED], features)


def at_size(maps: Tensor, image: Tensor) -> Tensor:
    """Logits at the size of an image."""
    size = (image.shape[2], image.shape[3])
    return functional.interpolate(maps, size, mode="bilinear", align_corners=True)


def _tested(state: Mapping[str, Tensor], image: Tensor) -> Tensor:
    """Main logits with the statistics of a state."""
    maps = image
    for i in (1, 2):
        maps = functional.conv2d(maps, state[f"extractor.conv{i}.weight"], stride=2, padding=1)
        mean, variance, weight, bias = (
            state[f"extractor.bn{i}.{name}"][:, None, None]
            for name in ("running_mean", "running_var", "weight", "bias")
        )
        maps = ((maps - mean) / (variance + 1e-5).sqrt() * weight + bias).relu()
    layers = (("conv3", {"stride": 2, "padding": 1}), ("conv4", {"padding": 2, "dilation": 2}))
    for name, options in layers:
        weight, bias = (state[f"extractor.{name}.{kind}"] for kind in ("weight", "bias"))
        maps = functional.conv2d(maps, weight, bias, **options).relu()  # type: ignore[arg-type]
    pairs = [
        (state[f"layer6.conv2d_list.{i}.weight"], state[f"layer6.conv2d_list.{i}.bias"])
        for i in range(_EVALUATED)
    ]
    return at_size(evaluated(pairs, maps), image)


class Trajectory:
    """A training of a few iterations, with and without edge enhancement."""

    #: Least and greatest sides of crops and of images.
    crops, images = (17, 26), (27, 36)

    def __init__(self, rng: Rng, edges: bool) -> None:
        self.rng, self.edges = rng, edges
        self.batch, self.classes, self.first = side(rng, 2, 3), side(rng, 4, 9), side(rng, 0, 3)
        self.ignore = int(rng.choice([-1, 255]))
        self.crop = (side(rng, *self.crops), side(rng, *self.crops))
        self.sizes = {
            name: (side(rng, *self.images), side(rng, *self.images)) for name in ("source", "target")
        }
        self.hyper: dict[str, Any] = {
            "lam_aug": float(rng.uniform(0.1, 0.9)),
            "lam_aux": float(rng.uniform(0.1, 0.9)),
            "mix_weight": float(rng.uniform(0.1, 0.9)),
            "NCE_weight": float(rng.uniform(0.01, 0.5)),
            "Tmax": float(rng.uniform(0.4, 0.7)),
            "ema_decay": float(rng.uniform(0.5, 0.99)),
            "temperature_prototype": side(rng, 3, 9),
            "temperature_pixel": side(rng, 5, 25),
            "ignore_index": self.ignore,
            "eligible_class_greater_than": self.first,
            "num_classes": self.classes,
            "crop_hw": list(self.crop),
            "iterations": side(rng, 1, 3),
            "batch": self.batch,
            "lr": float(rng.uniform(1e-4, 2e-3)),
            "momentum": float(rng.uniform(0.5, 0.95)),
            "weight_decay": float(rng.uniform(1e-4, 1e-2)),
            "poly_power": float(rng.uniform(0.5, 1.5)),
            "max_iterations": side(rng, 4, 12),
            "widths": [side(rng, 4, 9) for _ in range(4)],
        }
        self.network = self.built()
        for pairs in self.network.heads.values():
            for weight, _ in pairs:
                weight.data *= 8
        self.arrays: dict[str, Any] = {
            f"param/{n}": t.detach().clone() for n, t in self.network.named().items()
        }
        self.average = {name: tensor.detach().clone() for name, tensor in self.network.named().items()}
        self.series: dict[str, list[Any]] = {}
        self.sgd = self.optimiser()
        self.margin = np.inf

    def built(self) -> Network:
        return Network(self.rng, self.hyper["widths"], self.classes)

    def optimiser(self) -> Sgd:
        return Sgd(self.hyper["momentum"], self.hyper["weight_decay"])

    def note(self, name: str, value: Any) -> None:
        self.series.setdefault(f"out/{name}", []).append(torch.as_tensor(value).detach().numpy())

    def decided(self, probability: Tensor) -> Array:
        """The most likely class; how near it was to another one is noted."""
        best = probability.detach().topk(2, dim=1)
        self.margin = min(self.margin, float((best.values[:, 0] - best.values[:, 1]).min()))
        return np.asarray(best.indices[:, 0].numpy())

    def sure(self, logits: Tensor) -> Array:
        probability = logits.detach().softmax(1)
        self.decided(probability)
        threshold = self.hyper["Tmax"]
        self.margin = min(self.margin, float((probability.amax(1) - threshold).abs().min()))
        return confident(logits, threshold, self.ignore)

    def inputs(self, at: str) -> tuple[dict[str, Tensor], Array, dict[str, Callable[[Array], Array]]]:
        """Images of one iteration, labels of the source, and what crops both."""
        rng, images, crops = self.rng, {}, {}
        for domain, size in self.sizes.items():
            corners = [
                [side(rng, 0, n - c) for n, c in zip(size, self.crop, strict=True)] for _ in range(self.batch)
            ]
            images[domain] = normal(rng, self.batch, 3, *size)
            images[f"{domain}_strong"] = normal(rng, self.batch, 3, *self.crop)
            self.arrays |= {
                f"{at}{domain}_image": images[domain],
                f"{at}{domain}_strong": images[f"{domain}_strong"],
                f"{at}{domain}_crop_top_left": np.array(corners, dtype=np.int32),
            }
            crops[domain] = self.cropping(corners)
        label = label_map(rng, (self.batch, *self.sizes["source"]), self.classes, self.ignore, block=6)
        self.arrays[f"{at}source_label"] = label.astype(np.int16)
        return images, label, crops

    def cropping(self, corners: list[list[int]]) -> Callable[[Array], Array]:
        height, width = self.crop

        def cut(maps: Array) -> Array:
            parts = zip(maps, corners, strict=True)
            return np.stack([part[..., y : y + height, x : x + width] for part, (y, x) in parts])

        return cut

    def pasted(self, label: Array, out: str) -> Array:
        """Where the source is pasted."""
        picked = [pick(self.rng, part, self.first, self.ignore) for part in label]
        self.arrays[f"{out}num_selected"] = np.array([len(one.draw) for one in picked])
        for b, one in enumerate(picked):
            if len(one.draw):
                self.arrays[f"{out}draw_sample{b}"] = one.draw
                self.arrays[f"{out}selected_class_sample{b}"] = np.array(one.classes)
        return np.stack([np.isin(part, one.classes) for part, one in zip(label, picked, strict=True)])

    def step(self, iteration: int) -> None:
        network, hyper, out = self.network, self.hyper, f"out/iter{iteration}/"
        images, label, crops = self.inputs(f"in/iter{iteration}/")
        outputs: dict[str, Tensor] = {}

        def forward(name: str, image: Tensor) -> None:
            outputs.update({f"{name}/{kind}": logits for kind, logits in network.predict(image).items()})

        forward("source", images["source"])
        forward("target", images["target"])
        pseudo = crops["target"](self.decided(outputs["target/main"]))
        crop = crops["source"](label)
        mask = self.pasted(crop, out)
        labels = Labels(label, crop, mask, pseudo, self.ignore)
        weak = {name: torch.from_numpy(crops[name](images[name].numpy())) for name in self.sizes}
        at = torch.from_numpy(mask)[:, None]
        strong = torch.where(at, weak["source"], images["target_strong"])
        forward("strong", strong)
        forward("weak", torch.where(at, weak["source"], weak["target"]))
        if self.edges:
            forward("unpasted", weak["target"])
        sure = self.sure(outputs["unpasted/main" if self.edges else "weak/main"])
        both = (outputs["weak/main"].detach(), outputs["weak/aux"].detach())
        aux = self.decided((both[0].softmax(1) + both[1].softmax(1)) / 2)
        mix = mixed_labels(labels, sure, aux, self.edges)
        front = torch.from_numpy(mix.front)[:, None]
        forward("mix", torch.where(front, strong, images["source_strong"]))
        ce = entropies(outputs, labels, mix, aux, self.edges)
        found = contrasts(outputs, mix.fused, self.ignore, hyper)
        total = totals(ce, torch.stack(found), self.batch, hyper)
        for tensor in network.named().values():
            tensor.grad = None
        (total.source + total.target).backward()  # type: ignore[no-untyped-call]
        self.losses(ce, found, total)
        decisions = {
            "label_strong_main": np.where(mask, crop, pseudo),
            "label_strong_aux": aux,
            "mixed_label": mix.label,
        }
        self.arrays |= {f"{out}{name}": value.astype(np.int16) for name, value in decisions.items()}
        self.arrays |= {
            f"{out}paste_mask": mask.astype(np.uint8),
            f"{out}confident_mask": mix.sure.astype(np.uint8),
        }
        if self.edges:
            taken = [f"{name}_border" in ce for name in ("strong_main", "mix_main")]
            self.arrays[f"{out}border_enabled"] = np.array(taken, dtype=np.uint8)
        self.update(iteration)

    def losses(self, ce: Mapping[str, Tensor], found: list[Tensor], total: Totals) -> None:
        order = (
            _ORDER if self.edges else ("source_main", "source_aux", "mix_main", "strong_main", "strong_aux")
        )
        for name in order:
            if name in ce:
                self.note("ce_values_in_call_order", ce[name])
        for value in found:
            self.note("contrastive_values", value)
        self.note("logged/source_main", ce["source_main"])
        self.note("logged/source_aux", self.hyper["lam_aux"] * ce["source_aux"])
        self.note("logged/aug_main", total.main)
        self.note("logged/aug_aux", total.aux)
        self.note("loss_source_total", total.source)
        self.note("loss_aug_total", total.target)

    def update(self, iteration: int) -> None:
        """What the optimiser and the average do."""
        hyper, (slow, fast) = self.hyper, self.network.groups()
        rate = poly(hyper["lr"], 0.0, hyper["poly_power"], iteration, hyper["max_iterations"])
        self.note("lr", torch.tensor([rate, 10 * rate], dtype=torch.float64))
        self.note("grad_norm", norm([*slow, *fast]))
        if iteration == 0:
            gradients = {n: t.grad for n, t in self.network.named().items() if t.grad is not None}
            self.arrays |= {f"out/grad_first_iteration/{n}": g.clone() for n, g in gradients.items()}
        self.sgd.step(slow, rate)
        self.sgd.step(fast, 10 * rate)
        decay = hyper["ema_decay"]
        for name, tensor in self.network.named().items():
            if not name.split(".")[-1].startswith(("running", "num_batches")):
                self.average[name] = decay * self.average[name] + (1 - decay) * tensor.detach()
                if iteration == 0:
                    self.arrays[f"out/ema_after_first_step/{name}"] = self.average[name]

    def tested(self, state: Mapping[str, Tensor], image: Tensor) -> Tensor:
        """Main logits with the statistics of a state."""
        return _tested(state, image)

    def finish(self) -> Made:
        """States at the end, of the average with the statistics of the student."""
        final = {name: tensor.detach().clone() for name, tensor in self.network.named().items()}
        statistics = {
            n: t for n, t in final.items() if n.split(".")[-1].startswith(("running", "num_batches"))
        }
        image = normal(self.rng, 1, 3, side(self.rng, 20, 40), side(self.rng, 20, 40))
        self.arrays |= {f"out/ema_buffers_before_epoch_end/{n}": self.average[n] for n in statistics}
        self.average |= statistics
        self.arrays |= {f"out/final/{n}": t for n, t in final.items()}
        self.arrays |= {f"out/ema_final/{n}": t for n, t in self.average.items()}
        self.arrays |= {name: np.array(values) for name, values in self.series.items()}
        self.arrays |= {
            "in/eval_image": image,
            "out/eval_main_output_student": self.tested(final, image),
            "out/eval_main_output_with_ema": self.tested(self.average, image),
        }
        order = (
            "as in ehtdi_edge"
            if self.edges
            else ["source_main", "source_aux", "mix", "strong_main", "strong_aux"]
        )
        content = {
            "hyper_parameters": self.hyper,
            "tolerance": TOLERANCE,
            "ce_order_per_iteration": order,
            "parameters_not_in_optimizer": ["extractor.bn1.weight", "extractor.bn1.bias"],
            "kept_in_float64": ["out/lr"],
        }
        return Made(content, self.arrays)


TOLERANCE: dict[str, Any] = {
    "losses": {"rtol": 1e-4, "atol": 1e-6},
    "grad_norms": {"rtol": 1e-3, "atol": 1e-6},
    "params": {"rtol": 1e-3, "atol": 2e-6},
    "ema": {"rtol": 1e-3, "atol": 2e-6},
    "running_statistics": {"rtol": 1e-4, "atol": 1e-6},
}
#: How near a decision may come to another one; trainings with nearer ones are drawn again.
MARGIN = 2e-6


def _trained(rng: Rng, edges: bool) -> Made:
    while True:
        trajectory = Trajectory(rng, edges)
        for iteration in range(trajectory.hyper["iterations"]):
            trajectory.step(iteration)
        if trajectory.margin > MARGIN:
            return trajectory.finish()


@maker("ehtdi_trajectory", count=2)
def trajectory(rng: Rng) -> Made:
    """With other networks, weights, averages, schedules, crops and ignore values."""
    return _trained(rng, edges=False)


@maker("ehtdi_edge_trajectory", count=2)
def edge_trajectory(rng: Rng) -> Made:
    """The same with losses at borders."""
    return _trained(rng, edges=True)

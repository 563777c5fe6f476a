"""Whole trainings of DACS, DAFormer, HRDA, MIC and their domain generalisation, written out in float64."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .feature_distance import coarse, distance
from .images_and_masks import jittered
from .making import Array, Made, Rng, label_map, maker, normal, side
from .plain_networks import (
    Parameters,
    State,
    decode,
    encode,
    model_config,
    network,
    resized,
    segmented,
    statistics_of,
)
from .self_training import blurred
from .transformers import Fusion, accuracy, hrda_losses, mean_entropy


@dataclass(frozen=True)
class Kind:
    """What a method does.

    Attributes:
        two_scales: whether it is HRDA.
        target: whether it sees target images.
        compared: whether features are compared with the ImageNet encoder's.
        masked: whether a masked target is learned, and whether in other colours.
        augmented: whether mixed images are shown in other colours and blurred.
        styled: whether styles are hallucinated.
    """

    two_scales: bool = False
    target: bool = True
    compared: bool = True
    masked: str | None = None
    augmented: bool = False
    styled: bool = False


@dataclass
class AdamW:
    """With weight decay apart from the gradient.

    Attributes:
        betas: of both moments.
        epsilon: beside the root of the second one.
    """

    betas: tuple[float, float]
    epsilon: float
    count: int = 0
    moments: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def step(
        self, state: State, gradients: Mapping[str, Tensor], rates: Mapping[str, tuple[float, float]]
    ) -> None:
        """Changes parameters by their gradients; rates are those of learning and of decay."""
        self.count += 1
        (a, b), k = self.betas, self.count
        for name, gradient in gradients.items():
            rate, decay = rates[name]
            first, second = self.moments.get(name, (torch.zeros_like(gradient), torch.zeros_like(gradient)))
            first, second = a * first + (1 - a) * gradient, b * second + (1 - b) * gradient**2
            self.moments[name] = first, second
            change = (first / (1 - a**k)) / ((second / (1 - b**k)).sqrt() + self.epsilon)
            state[name] = (state[name].detach() * (1 - rate * decay) - rate * change).requires_grad_()


class Training:
    """A training of two iterations or more, drawn at random."""

    def __init__(self, rng: Rng, kind: Kind) -> None:
        self.rng, self.kind = rng, kind
        self.classes, self.batch, self.iterations = side(rng, 4, 12), side(rng, 1, 2), 2
        unit = 64 if kind.two_scales else 32
        self.size = (unit * side(rng, 1, 64 // unit), unit * side(rng, 1, 64 // unit))
        self.scales = "all" if rng.integers(2) else 0.5
        step = 32 if self.scales == "all" else 16  # features of the detail have to cover its label
        self.detail = [step * side(rng, 1, n // step - 1) for n in self.size] if kind.two_scales else []
        self.divisor = int(rng.choice([8, 16]))
        self.model = model_config(rng, self.classes, kind.two_scales, self.detail)
        self.mean, self.std = ((v * rng.uniform(0.9, 1.1, 3)).astype(np.float32) for v in (115.0, 57.0))
        self.state = network(rng, self.model)
        self.arrays: dict[str, Any] = {}
        self.decisions: list[list[dict[str, Any]]] = []
        self.margin = math.inf
        self._configure()
        self._start()

    def _configure(self) -> None:
        rng, kind = self.rng, self.kind
        things = sorted(rng.choice(self.classes, side(rng, 1, self.classes - 1), replace=False).tolist())
        self.uda: dict[str, Any] = {
            "mix": "class",
            "alpha": float(rng.uniform(0.3, 0.99)),
            "pseudo_threshold": float(rng.uniform(0.3, 0.6)),
            "pseudo_weight_ignore_top": side(rng, 0, 4),
            "pseudo_weight_ignore_bottom": side(rng, 0, 4),
            "imnet_feature_dist_lambda": float(rng.uniform(0.1, 1)) if kind.compared else 0,
            "imnet_feature_dist_classes": things if kind.compared else None,
            "imnet_feature_dist_scale_min_ratio": float(rng.uniform(0.1, 0.3)) if kind.compared else None,
            "blur": kind.augmented,
            "color_jitter_strength": float(rng.uniform(0.1, 0.4)),
            "color_jitter_probability": float(rng.uniform(0.2, 0.8)) if kind.augmented else 1.0,
        }
        if kind.masked:
            generator = {
                "type": "block",
                "mask_ratio": float(rng.uniform(0.3, 0.8)),
                "mask_block_size": side(rng, 7, 20),
            }
            self.uda |= {"mask_mode": kind.masked, "mask_alpha": "same", "mask_pseudo_threshold": "same"}
            self.uda |= {"mask_lambda": float(rng.uniform(0.3, 2)), "mask_generator": generator}
        if not kind.target:
            weight = float(rng.uniform(1, 12)) if kind.styled else 0
            self.uda |= {
                "source_only": True,
                "share_src_backward": kind.styled,
                "style_consistency_lambda": weight,
            }
        if kind.two_scales:
            low = float(rng.choice([0.0, 0.2]))
            self.model["decode_head"] |= {
                "hr_loss_weight": float(rng.uniform(0.05, 0.4)),
                "lr_loss_weight": low,
            }
            self.model |= {
                "feature_scale": self.scales,
                "crop_coord_divisible": self.divisor,
            }
        self.optimizer = {
            "type": "AdamW",
            "lr": float(rng.uniform(2e-4, 2e-3)),
            "betas": [0.85, 0.97],
            "weight_decay": float(rng.uniform(0.01, 0.5)),
            "paramwise_cfg": {
                "custom_keys": {
                    "head": {"lr_mult": float(side(rng, 1, 9))},
                    "pos_block": {"decay_mult": 0.0},
                    "norm": {"decay_mult": 0.0},
                }
            },
        }
        warm = bool(rng.integers(2))
        self.schedule = {
            "policy": "poly",
            "power": float(rng.choice([0.9, 1.0, 1.5])),
            "min_lr": float(rng.choice([0.0, 1e-5])),
            "warmup": "linear" if warm else None,
            "warmup_iters": side(rng, 1, 4),
            "warmup_ratio": float(rng.uniform(1e-6, 0.3)),
            "max_iters": side(rng, 6, 12),
            "by_epoch": False,
        }

    def _start(self) -> None:
        rng, backbone = self.rng, self.model["backbone"]
        if self.kind.styled:
            width, number = backbone["embed_dims"][0], side(rng, 3, 9)
            backbone["style_hallucination_cfg"] = {
                "concentration_coeff": 1 / number,
                "base_style_num": number,
                "style_dim": width,
            }
            at = "backbone.style_hallucination.proto_"
            self.state[f"{at}mean"] = normal(rng, number, width)
            self.state[f"{at}std"] = (0.3 + normal(rng, number, width).abs()).float().double()
        self.arrays |= {f"param/model.{name}": tensor for name, tensor in self.state.items()}
        self.teacher = dict(self.state)
        if self.kind.target:
            for name in statistics_of(self.state):
                moved = self.state[name] + (3 if name.endswith("tracked") else 0.25)
                self.teacher[name] = moved if name.endswith("tracked") else moved.float().double()
                self.arrays[f"param/ema_model.{name}"] = self.teacher[name]
        if self.kind.compared:
            parameters = Parameters(rng)
            parameters.encoder(backbone, "backbone.")
            self.imagenet = parameters.state
            self.arrays |= {f"param/imnet_model.{name}": tensor for name, tensor in self.imagenet.items()}
        self.trained = [
            name for name in self.state if name not in statistics_of(self.state) and "style_hall" not in name
        ]
        for name in self.trained:
            self.state[name] = self.state[name].clone().requires_grad_()
        self.adam = AdamW((0.85, 0.97), 1e-8)

    def image(self, name: str) -> Tensor:
        """A normalised image, recorded in grey levels."""
        levels = self.rng.integers(0, 256, (self.batch, 3, *(-(-n // 4) for n in self.size)))
        levels = levels.repeat(4, axis=2).repeat(4, axis=3)[:, :, : self.size[0], : self.size[1]]
        levels = np.clip(levels + self.rng.integers(-9, 10, levels.shape), 0, 255).astype(np.uint8)
        self.arrays[name] = levels
        normalised = (levels.astype(np.float32) - self.mean[:, None, None]) / self.std[:, None, None]
        return torch.from_numpy(normalised.astype(np.float32).astype(np.float64))

    def draw(self, during: str, kind: str, value: Any) -> Any:
        """Notes a decision."""
        self.decisions[-1].append({"kind": kind, "during": during, "value": value})
        return value

    def step(self, t: int) -> None:
        """One iteration."""
        self.decisions.append([])
        self.arrays[f"out/it{t}/lr_backbone_head"] = np.array([self.rate(t, ""), self.rate(t, "head")])
        self.at, self.log, self.norms = f"out/it{t}/", {}, []
        self.gradients = {name: torch.zeros_like(self.state[name]) for name in self.trained}
        if self.kind.target:
            self.average(t)
        colour = self.draw("start", "python_uniform", float(self.rng.random()))
        blur = self.draw("start", "python_uniform", float(self.rng.random())) if self.uda["blur"] else 0.0
        source = self.image(f"in/it{t}/img_u8")
        label = label_map(self.rng, (self.batch, 1, *self.size), self.classes, block=16)
        self.arrays[f"in/it{t}/label"] = label.astype(np.uint8)
        self.learn_source(source, label)
        if self.kind.target:
            self.learn_target(t, source, label, colour > self.uda["color_jitter_probability"], blur > 0.5)
        # Styles on two scales blow up rounding in float32; no recorded training of generalisation has gradients.
        if t == 0 and not (self.kind.styled and self.kind.two_scales):
            self.arrays |= {f"{self.at}grad/{name}": g for name, g in self.gradients.items()}
        rates = {name: (self.rate(t, name), self.decay(name)) for name in self.trained}
        self.adam.step(self.state, self.gradients, rates)
        self.arrays |= {f"{self.at}log/{name}": value for name, value in self.log.items()}
        self.arrays[f"{self.at}grad_norm_after_each_backward"] = torch.stack(self.norms)

    def rate(self, t: int, name: str) -> float:
        s, head = self.schedule, self.optimizer["paramwise_cfg"]["custom_keys"]["head"]["lr_mult"]
        base = self.optimizer["lr"] * (head if "head" in name else 1)
        decayed = (base - s["min_lr"]) * (1 - t / s["max_iters"]) ** s["power"] + s["min_lr"]
        if s["warmup"] is None or t >= s["warmup_iters"]:
            return float(decayed)
        return float(decayed * (s["warmup_ratio"] + (1 - s["warmup_ratio"]) * t / s["warmup_iters"]))

    def decay(self, name: str) -> float:
        spared = "norm" in name and "head" not in name
        return 0.0 if spared else float(self.optimizer["weight_decay"])

    def average(self, t: int) -> None:
        """The teacher follows the parameters of the student."""
        share = min(1 - 1 / (t + 1), self.uda["alpha"])
        for name in self.trained:
            mine = self.state[name].detach()
            self.teacher[name] = share * self.teacher[name] + (1 - share) * mine if t else mine

    def backward(self, loss: Tensor) -> None:
        """Adds gradients."""
        found = torch.autograd.grad(
            loss, [self.state[n] for n in self.trained], retain_graph=True, allow_unused=True
        )
        for name, gradient in zip(self.trained, found, strict=True):
            if gradient is not None:
                self.gradients[name] = self.gradients[name] + gradient
        self.norms.append(torch.stack([g.norm() for g in self.gradients.values()]).norm())

    def box(self, during: str) -> list[int]:
        """A detail crop; the last offset is never drawn."""
        place = []
        for n, crop in zip(self.size, self.detail, strict=True):
            start = self.divisor * side(self.rng, 0, (n - crop + 1) // self.divisor - 1)
            place += [start, start + crop]
        return list(self.draw(during, "hr_crop_box", place))

    def learned(
        self, image: Tensor, label: Array, weight: Array | None, during: str
    ) -> tuple[dict[str, Tensor], list[Tensor], Tensor, list[int]]:
        """Losses of a pass, the last features of its scales, raw logits, and the detail crop."""
        head, backbone = self.model["decode_head"], self.model["backbone"]
        style = self.styling(during) if self.kind.styled else None
        if not self.kind.two_scales:
            maps = encode(self.state, image, backbone, "backbone.", style)
            logits = decode(self.state, maps, head, True, "decode_head.")
            full = resized(logits, self.size)
            losses = {"loss_seg": mean_entropy(full, label, weight), "acc_seg": accuracy(full, label)}
            return losses, [maps[-1]], logits, []
        context = encode(
            self.state, resized(image, [n // 2 for n in self.size]), backbone, "backbone.", style
        )
        box = self.box(during)
        part = image[..., box[0] : box[1], box[2] : box[3]]
        detail = encode(self.state, part, backbone, "backbone.", self.styling(during) if style else None)
        outputs = Fusion(self.state, head, 2, 4, "decode_head.").fused(context, detail, box)
        losses = hrda_losses(outputs, label, weight, box, head["hr_loss_weight"], head["lr_loss_weight"])
        return losses, [context[-1], detail[-1]], outputs[0], box

    def styling(self, during: str) -> Any:
        """What doubles the batch by features in another style."""
        at = "backbone.style_hallucination.proto_"
        name = f"in/it{len(self.decisions) - 1}/dirichlet_{len(self.decisions[-1])}"
        number = len(self.state[f"{at}mean"])
        weights = torch.from_numpy(
            self.rng.dirichlet(np.ones(number), self.batch).astype(np.float32)
        ).double()
        self.arrays[name] = weights
        self.draw(during, "dirichlet", name)

        def doubled(features: Tensor) -> Tensor:
            flat = features.detach().flatten(2)
            mean, std = flat.mean(2)[..., None, None], (flat.std(2) + 1e-7)[..., None, None]
            new_mean, new_std = (
                (weights @ self.state[f"{at}{part}"])[..., None, None] for part in ("mean", "std")
            )
            return torch.cat([features, (features - mean) / std * new_std + new_mean])

        return doubled

    def learn_source(self, source: Tensor, label: Array) -> None:
        seen = np.concatenate([label, label]) if self.kind.styled else label
        losses, features, logits, box = self.learned(source, seen, None, "source")
        self.log |= {f"decode.{name}": value for name, value in losses.items()}
        total = added(losses)
        if not self.kind.styled:
            self.backward(total)
        compared = None
        if self.kind.compared:
            compared = self.compared(
                torch.cat([source, source]) if self.kind.styled else source, seen, features, box
            )
            self.log["src.loss_imnet_feat_dist"] = compared
        if self.kind.styled:
            consistency = self.consistency(logits)
            self.log |= {"style.loss_style_consistency": consistency, "decode.logits": logits.mean()}
            total = total + consistency if compared is None else total + consistency + compared
            self.backward(total)
        elif compared is not None:
            self.backward(compared)

    def compared(self, image: Tensor, label: Array, features: Sequence[Tensor], box: Sequence[int]) -> Tensor:
        """The weighted distance of the last features of one scale or of both."""
        shown = [(image, label)]
        if self.kind.two_scales:
            shown = [(resized(image, [n // 2 for n in self.size]), label)]
            if self.model["feature_scale"] == "all":
                part = (..., slice(box[0], box[1]), slice(box[2], box[3]))
                shown.append((image[part], label[part]))
        total = torch.zeros((), dtype=torch.float64)
        for i, (seen, ids) in enumerate(shown):
            theirs = encode(self.imagenet, seen, self.model["backbone"], "backbone.")[-1]
            factor = ids.shape[3] // theirs.shape[3]
            found = coarse(ids, factor, self.uda["imnet_feature_dist_scale_min_ratio"], self.classes)
            mask = np.isin(found, self.uda["imnet_feature_dist_classes"])
            total = total + distance(features[i], theirs, mask)
            if i == 0:
                self.arrays[f"{self.at}fd_mask"] = mask.astype(np.uint8)
        return total * self.uda["imnet_feature_dist_lambda"]

    def consistency(self, logits: Tensor) -> Tensor:
        """Divergence of both halves from their mean."""
        halves = logits.softmax(1).chunk(2)
        mean = ((halves[0] + halves[1]) / 2).clamp(1e-7, 1).log()
        parts = [(p * (p.log() - mean)).sum(1).mean() for p in halves]
        return self.uda["style_consistency_lambda"] * (parts[0] + parts[1]) / 2

    def learn_target(self, t: int, source: Tensor, label: Array, colour: bool, blur: bool) -> None:
        target = self.image(f"in/it{t}/target_img_u8")
        with torch.no_grad():
            logits = resized(segmented(self.teacher, target, self.model, training=True), self.size)
        pseudo, weight = self.pseudo(t, logits.softmax(1))
        values = np.unique(label)
        masks, images = [], []
        for b in range(self.batch):
            chosen = self.rng.permutation(len(values))[: math.ceil(len(values) / 2)]
            self.draw("between", "class_choice", chosen.tolist())
            masks.append(np.isin(label[b], values[chosen]))
        mask = np.stack(masks)
        for b in range(self.batch):
            image = np.where(mask[b], source[b], target[b])[None]
            images.append(self.augmented(image, colour, blur))
        mixed_label, mixed_weight = np.where(mask, label, pseudo[:, None]), np.where(mask[:, 0], 1.0, weight)
        mixed = np.concatenate(images)
        self.arrays |= {
            f"{self.at}pseudo_label": pseudo.astype(np.uint8),
            f"{self.at}pseudo_weight": weight,
            f"{self.at}class_mask": mask.astype(np.uint8),
            f"{self.at}mixed_label": mixed_label.astype(np.uint8),
            f"{self.at}mixed_weight": mixed_weight,
            f"{self.at}mixed_img_stride2": mixed[..., ::2, ::2],
        }
        losses = self.learned(torch.from_numpy(mixed), mixed_label, mixed_weight, "mixed")[0]
        self.log |= {f"mix.decode.{name}": value for name, value in losses.items()}
        self.backward(added(losses))
        if self.kind.masked:
            self.learn_masked(t, target, pseudo, weight)

    def pseudo(self, t: int, probability: Tensor) -> tuple[Array, Array]:
        """Labels of the teacher, and the share of what it is sure of, without the rows that do not count."""
        best = probability.topk(2, dim=1).values
        threshold = self.uda["pseudo_threshold"]
        self.margin = min(
            self.margin, float((best[:, 0] - best[:, 1]).min()), float((best[:, 0] - threshold).abs().min())
        )
        weight = np.full((self.batch, *self.size), float((best[:, 0] >= threshold).double().mean()))
        weight[:, : self.uda["pseudo_weight_ignore_top"]] = 0
        weight[:, self.size[0] - self.uda["pseudo_weight_ignore_bottom"] :] = 0
        return np.asarray(probability.argmax(1).numpy()), weight

    def augmented(self, image: Array, colour: bool, blur: bool) -> Array:
        """In other colours, then blurred, each if decided so."""
        if colour:
            strength = self.uda["color_jitter_strength"]
            names = ("brightness", "contrast", "saturation", "hue")
            factors = {
                n: ((n != "hue") + self.rng.uniform(-strength, strength, len(image))).astype(np.float32)
                for n in names
            }
            order = self.rng.permutation(4).tolist()
            drawn = {f"{name}_factor": values.tolist() for name, values in factors.items()}
            self.draw("between", "jitter", {**drawn, "order": order})
            image = jittered(image, factors, order, self.mean, self.std)
        if blur:
            image = blurred(image, self.draw("between", "blur_sigma", float(self.rng.uniform(0.15, 1.15))))
        return image

    def learn_masked(self, t: int, target: Tensor, pseudo: Array, weight: Array) -> None:
        image = target.numpy()
        if self.kind.masked == "separatetrgaug":
            colour = self.draw("between", "python_uniform", float(self.rng.random()))
            blur = self.draw("between", "python_uniform", float(self.rng.random()))
            image = self.augmented(image, colour > self.uda["color_jitter_probability"], blur > 0.5)
        generator = self.uda["mask_generator"]
        grid = [round(n / generator["mask_block_size"]) for n in self.size]
        draws = self.rng.random((self.batch, 1, *grid), dtype=np.float32)
        name = f"in/it{t}/mask_rand_{len(self.decisions[-1])}"
        self.arrays[name] = draws
        self.draw("between", "mask_rand", name)
        rows, columns = (np.arange(n) * count // n for n, count in zip(self.size, grid, strict=True))
        shown = image * (draws > generator["mask_ratio"])[:, :, rows][..., columns]
        self.arrays |= {
            f"{self.at}masked_weight": weight,
            f"{self.at}masked_img_stride2": shown[..., ::2, ::2],
        }
        losses = self.learned(torch.from_numpy(shown), pseudo[:, None], weight, "masked")[0]
        losses["loss_seg"] = losses["loss_seg"] * self.uda["mask_lambda"]
        self.log |= {f"masked.decode.{name}": value for name, value in losses.items()}
        self.backward(added(losses))

    def finish(self) -> Made:
        """The recorded case."""
        self.arrays |= {f"out/final/model.{name}": tensor for name, tensor in self.state.items()}
        if self.kind.target:
            self.arrays |= {f"out/final/ema_model.{name}": tensor for name, tensor in self.teacher.items()}
        hyper = {
            "model": self.model,
            "uda": self.uda,
            "optimizer": self.optimizer,
            "adamw_eps": 1e-8,
            "schedule": self.schedule,
            "iterations": self.iterations,
            "batch_and_image_size": [self.batch, *self.size],
            "mean": self.mean.tolist(),
            "std": self.std.tolist(),
        }
        passes = [
            "source",
            *(["mixed"] if self.kind.target else []),
            *(["masked"] if self.kind.masked else []),
        ]
        rates = [f"out/it{t}/lr_backbone_head" for t in range(self.iterations)]
        content = {"hyper_parameters": hyper, "passes": passes, "random_decisions": self.decisions}
        return Made({**content, "kept_in_float64": rates}, self.arrays)


def added(losses: Mapping[str, Tensor]) -> Tensor:
    """What is back-propagated."""
    return torch.stack([value for name, value in losses.items() if name.endswith("loss_seg")]).sum()


#: How near a decision may come to another one; trainings with nearer ones are drawn again.
_MARGIN = 3e-6


def trained(rng: Rng, kind: Kind) -> Made:
    """A training whose decisions no rounding can tip."""
    while True:
        training = Training(rng, kind)
        for t in range(training.iterations):
            training.step(t)
        if training.margin > _MARGIN:
            return training.finish()


@maker("train_trajectory_dacs_aug", count=1)
def dacs(rng: Rng) -> Made:
    """Class mixing in other colours, blurred."""
    return trained(rng, Kind(compared=False, augmented=True))


@maker("train_trajectory_daformer", count=1)
def daformer(rng: Rng) -> Made:
    """With the feature distance."""
    return trained(rng, Kind())


@maker("train_trajectory_hrda", count=1)
def hrda(rng: Rng) -> Made:
    """On two scales, features compared on one or on both."""
    return trained(rng, Kind(two_scales=True))


@maker("train_trajectory_mic", count=1)
def mic(rng: Rng) -> Made:
    """HRDA with masked images in their own colours."""
    return trained(rng, Kind(two_scales=True, masked="separatetrg"))


@maker("train_trajectory_mic_aug", count=1)
def mic_daformer(rng: Rng) -> Made:
    """DAFormer with masked images in other colours."""
    return trained(rng, Kind(masked="separatetrgaug", augmented=True))


@maker("train_trajectory_dg_shade", count=1)
def shade(rng: Rng) -> Made:
    """Without target, with hallucinated styles."""
    return trained(rng, Kind(target=False, styled=True, augmented=True))


@maker("train_trajectory_dg", count=1)
def plain_generalisation(rng: Rng) -> Made:
    """Without target, in the source's own style."""
    return trained(rng, Kind(target=False))


@maker("train_trajectory_dg_shade_hrda", count=1)
def shade_on_two_scales(rng: Rng) -> Made:
    """HRDA without target, with styles hallucinated on both scales."""
    return trained(rng, Kind(two_scales=True, target=False, styled=True))

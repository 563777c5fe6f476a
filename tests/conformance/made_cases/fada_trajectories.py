"""Both trainings of FADA, written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .adversarial_trajectories import Adam, Sgd, branches, classified, extractor, levels, norm, poly
from .making import Made, Rng, label_map, maker, normal, side

_DILATIONS = (6, 12, 18, 24)
_TOLERANCE = {
    "losses": {"rtol": 1e-4, "atol": 1e-6},
    "grad_norms": {"rtol": 1e-3, "atol": 1e-7},
    "sgd_params": {"rtol": 1e-3, "atol": 2e-6},
    "adam_params": {"rtol": 1e-3, "atol": 2e-5},
}


class _Networks:
    """Hyper-parameters, encoder, classifier and discriminator of a training, drawn at random."""

    def __init__(self, rng: Rng) -> None:
        self.frozen = bool(rng.integers(2))
        self.classes, self.batch, self.iterations = side(rng, 3, 8), side(rng, 1, 3), side(rng, 2, 3)
        widths = [side(rng, 3, 8) for _ in range(4)]
        self.hyper: dict[str, Any] = {
            "widths": widths,
            "norm": "frozen" if self.frozen else "batch",
            "num_classes": self.classes,
            "iterations": self.iterations,
            "base_lr": float(rng.uniform(1e-3, 5e-3)),
            "max_iter": side(rng, 6, 12),
            "lr_power": float(rng.uniform(0.7, 1.4)),
            "momentum": float(rng.uniform(0.5, 0.95)),
            "weight_decay": float(rng.uniform(1e-4, 1e-2)),
        }
        self.encoder = extractor(rng, widths, trained_norms=not self.frozen, counted=not self.frozen)
        self.classifier = branches(rng, widths[3], self.classes, len(_DILATIONS))
        self.width = 2 * side(rng, 2, 5)
        shapes = {"D.0": (self.width, widths[3]), "D.2": (self.width // 2, self.width)}
        shapes |= dict.fromkeys(("cls1", "cls2"), (self.classes, self.width // 2))
        self.judge: dict[str, Tensor] = {}
        for name, shape in shapes.items():
            self.judge[f"{name}.weight"] = normal(rng, *shape, 3, 3, scale=0.3).requires_grad_()
            self.judge[f"{name}.bias"] = normal(rng, shape[0], scale=0.1).requires_grad_()

    def named(self, with_judge: bool) -> dict[str, Tensor]:
        names = {f"feature_extractor/{name}": tensor for name, tensor in self.encoder.items()}
        for i, pair in enumerate(self.classifier):
            for kind, tensor in zip(("weight", "bias"), pair, strict=True):
                names[f"classifier/conv2d_list.{i}.{kind}"] = tensor
        judge = {f"discriminator/{name}": tensor for name, tensor in self.judge.items()}
        return names | judge if with_judge else names

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Features, and logits at the size of the image."""
        features = levels(self.encoder, image, self.frozen)[1]
        return features, _resized(classified(self.classifier, _DILATIONS, features), image)

    def judged(self, features: Tensor, image: Tensor) -> Tensor:
        """Logarithms of the probabilities of every class of both domains, at the size of the image."""
        for name in ("D.0", "D.2"):
            weight, bias = self.judge[f"{name}.weight"], self.judge[f"{name}.bias"]
            features = functional.leaky_relu(functional.conv2d(features, weight, bias, padding=1), 0.2)
        halves = [
            functional.conv2d(features, self.judge[f"{name}.weight"], self.judge[f"{name}.bias"], padding=1)
            for name in ("cls1", "cls2")
        ]
        return _resized(torch.cat(halves, dim=1), image).log_softmax(1)


class _Recording:
    """Arrays of a training."""

    def __init__(self, networks: _Networks, with_judge: bool) -> None:
        self.names = networks.named(with_judge)
        self.arrays: dict[str, Any] = {f"param/{n}": t.detach().clone() for n, t in self.names.items()}
        self._series: dict[str, list[Any]] = {}

    def clear(self) -> None:
        for tensor in self.names.values():
            tensor.grad = None

    def note(self, name: str, value: Any) -> None:
        self._series.setdefault(f"out/{name}", []).append(torch.as_tensor(value).detach().numpy())

    def gradients(self) -> dict[str, Tensor]:
        return {name: t.grad.clone() for name, t in self.names.items() if t.grad is not None}

    def made(self, hyper: dict[str, Any]) -> Made:
        self.arrays |= {name: np.array(values) for name, values in self._series.items()}
        self.arrays |= {f"out/final/{name}": tensor.detach() for name, tensor in self.names.items()}
        return Made({"hyper_parameters": hyper, "tolerance": _TOLERANCE}, self.arrays)


def _resized(maps: Tensor, image: Tensor) -> Tensor:
    size = (image.shape[2], image.shape[3])
    return functional.interpolate(maps, size, mode="bilinear", align_corners=True)


def _segmentation(logits: Tensor, label: Tensor) -> Tensor:
    known = label != 255
    losses = -logits.log_softmax(1).gather(1, label.masked_fill(~known, 0)[:, None])[:, 0]
    return losses[known].mean()


def _step(networks: _Networks, recording: _Recording, sgd: Sgd, iteration: int) -> None:
    """Notes and does what the student's optimisers do."""
    hyper = networks.hyper
    rate = poly(hyper["base_lr"], 0.0, hyper["lr_power"], iteration, hyper["max_iter"])
    slow = [t for t in networks.encoder.values() if t.requires_grad]
    fast = [t for pair in networks.classifier for t in pair]
    for name, tensors, factor in (("feature_extractor", slow, 1), ("classifier", fast, 10)):
        recording.note(f"grad_norm/{name}", norm(tensors))
        recording.note(f"lr/{name}", factor * rate)
        sgd.step(tensors, factor * rate)


@maker("fada_self_distill_trajectory")
def distillation(rng: Rng) -> Made:
    """With frozen and with trained norms."""
    networks = _Networks(rng)
    recording = _Recording(networks, with_judge=False)
    sgd, size = (
        Sgd(networks.hyper["momentum"], networks.hyper["weight_decay"]),
        (side(rng, 20, 50), side(rng, 20, 50)),
    )
    for iteration in range(networks.iterations):
        recording.clear()
        image, label = (
            normal(rng, networks.batch, 3, *size),
            label_map(rng, (networks.batch, *size), networks.classes),
        )
        recording.arrays |= {f"in/image/{iteration}": image}
        recording.arrays |= {f"in/pseudo_label/{iteration}": label.astype(np.int16)}
        loss = _segmentation(networks.forward(image)[1], torch.from_numpy(label))
        recording.note("loss_seg", loss)
        loss.backward()  # type: ignore[no-untyped-call]
        _step(networks, recording, sgd, iteration)
    return recording.made({**networks.hyper, "batch": networks.batch})


@maker("fada_trajectory")
def alignment(rng: Rng) -> Made:
    """With other temperatures, clips, weights, norms, and constants of Adam."""
    networks = _Networks(rng)
    recording = _Recording(networks, with_judge=True)
    hyper = networks.hyper | {
        "batch_per_domain": networks.batch,
        "ndf": networks.width,
        "base_lr_d": float(rng.uniform(5e-4, 2e-3)),
        "lr_d_min": float(rng.choice([0.0, 1e-4])),
        "adam_betas": [round(float(rng.uniform(0.5, 0.95)), 2), 0.98],
        "adam_weight_decay": float(rng.choice([0.0, 0.01])),
        "temperature": float(rng.uniform(1.0, 3.0)),
        "clip": float(rng.uniform(0.3, 0.9)),
        "lambda_adv": float(rng.uniform(0.01, 0.2)),
        "d_factor": float(rng.uniform(0.2, 0.8)),
    }
    sgd = Sgd(hyper["momentum"], hyper["weight_decay"])
    adam = Adam((hyper["adam_betas"][0], hyper["adam_betas"][1]), hyper["adam_weight_decay"])
    sizes = [(side(rng, 20, 50), side(rng, 20, 50)) for _ in range(2)]
    judge, classes = list(networks.judge.values()), networks.classes
    for iteration in range(networks.iterations):
        recording.clear()
        source, target = (normal(rng, networks.batch, 3, *size) for size in sizes)
        label = label_map(rng, (networks.batch, *sizes[0]), classes)
        recording.arrays |= {f"in/src_image/{iteration}": source, f"in/tgt_image/{iteration}": target}
        recording.arrays[f"in/src_label/{iteration}"] = label.astype(np.int16)
        features, logits = networks.forward(source)
        scaled = logits / hyper["temperature"]
        loss = _segmentation(scaled, torch.from_numpy(label))
        recording.note("loss_seg", loss)
        loss.backward()  # type: ignore[no-untyped-call]
        soft = scaled.detach().softmax(1).clamp(max=hyper["clip"])
        target_features, logits = networks.forward(target)
        probability = (logits / hyper["temperature"]).detach().softmax(1)
        target_soft = probability.clamp(max=hyper["clip"])
        deceived = -(target_soft * networks.judged(target_features, target)[:, :classes]).sum(1).mean()
        deceived = hyper["lambda_adv"] * deceived
        recording.note("loss_adv_tgt", deceived)
        encoder = {n: t for n, t in networks.encoder.items() if t.requires_grad}
        gradients = torch.autograd.grad(deceived, list(encoder.values()))
        for (name, tensor), gradient in zip(encoder.items(), gradients, strict=True):
            tensor.grad = tensor.grad + gradient
            if iteration == 0:
                at = "out/grad_first_iteration_adversarial_part/feature_extractor"
                recording.arrays[f"{at}/{name}"] = gradient
        ours = networks.judged(features.detach(), source)[:, :classes]
        theirs = networks.judged(target_features.detach(), target)[:, classes:]
        parts = [-hyper["d_factor"] * (a * b).sum(1).mean() for a, b in ((soft, ours), (target_soft, theirs))]
        (parts[0] + parts[1]).backward()  # type: ignore[no-untyped-call]
        for name, value in zip(("loss_D_src", "loss_D_tgt", "loss_D"), (*parts, sum(parts)), strict=True):
            recording.note(name, value)
        if iteration == 0:
            clipped = (probability > hyper["clip"]).any(1).double().mean()
            recording.arrays["out/first_iteration_clipped_fraction_target"] = clipped
            recording.arrays |= {f"out/grad_first_iteration/{n}": g for n, g in recording.gradients().items()}
        _step(networks, recording, sgd, iteration)
        rate = poly(hyper["base_lr_d"], hyper["lr_d_min"], hyper["lr_power"], iteration, hyper["max_iter"])
        recording.note("grad_norm/discriminator", norm(judge))
        recording.note("lr/discriminator", rate)
        adam.step(judge, rate)
    return recording.made(hyper)

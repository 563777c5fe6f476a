"""Whole trainings of FADA, by the method itself, and how it labels the target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from adaptbench.adaptation.class_discriminator import class_label
from adaptbench.contracts.labelling import Labeller
from adaptbench.data.batch import Batch, Images, LabelledImages
from adaptbench.draws import Draws
from adaptbench.networks import Segmentor
from adaptbench.networks.deeplabv2 import DeepLabV2Head
from adaptbench.networks.deeplabv2_multi import FOUR_BRANCHES
from adaptbench.networks.frozen_norm import freeze_norms
from adaptbench.networks.inference import Averaged, averaged_probability
from adaptbench.optim.optimizer import by_name
from methods.fada_alignment import FADAAlignment
from methods.fada_source import FADASource

from ..case import Case
from ..case_facts import said
from ..registry import handler
from ..stand_ins import TinyExtractor, task_of

_OWNERS = ("feature_extractor", "classifier", "discriminator")
#: Which trajectories do not state, only the case of single losses: "two discriminator backwards (factor 0.5 each)".
_D_FACTOR = 0.5


@handler("fada_trajectory")
def check_alignment(case: Case) -> None:
    settings = {
        **_settings(case),
        "learning_rate": case.hyper("base_lr"),
        "batch_size": case.hyper("batch_per_domain"),
        "discriminator_learning_rate": case.hyper("base_lr_d"),
        "discriminator_learning_rate_min": case.hyper("lr_d_min", 0.0),
        "discriminator_betas": case.hyper("adam_betas"),
        "discriminator_weight_decay": case.hyper("adam_weight_decay"),
        "discriminator_weight": case.hyper("d_factor", _D_FACTOR),
        "discriminator_width": case.hyper("ndf"),
        "temperature": case.hyper("temperature"),
        "soft_label_clip": case.hyper("clip"),
        "adversarial_weight": case.hyper("lambda_adv"),
    }
    method = _method(case, FADAAlignment, settings)
    training = _Training(case, method, [_pair(case, i) for i in range(case.hyper("iterations"))])
    names = {
        "loss_seg": "loss_seg",
        "loss_adv_tgt": "target.loss_adversarial",
        "loss_D_src": "discriminator.loss_source",
        "loss_D_tgt": "discriminator.loss_target",
    }
    for recorded, ours in names.items():
        case.compare(f"out/{recorded}", torch.stack([log[ours] for log in training.logs]))
    both = [log[names["loss_D_src"]] + log[names["loss_D_tgt"]] for log in training.logs]
    case.compare("out/loss_D", torch.stack(both))
    training.compare(_OWNERS)
    training.compare_gradients("out/grad_first_iteration/", training.gradients[-1])
    after_source, after_target = training.gradients[:2]
    part = {name: after_target[name] - gradient for name, gradient in after_source.items()}
    training.compare_gradients("out/grad_first_iteration_adversarial_part/", part)
    case.compare("out/first_iteration_clipped_fraction_target", _clipped(case))


@handler("fada_self_distill_trajectory")
def check_distillation(case: Case) -> None:
    settings = {**_settings(case), "learning_rate": case.hyper("base_lr"), "batch_size": case.hyper("batch")}
    method = _method(case, FADASource, settings)
    batches = [
        Batch(i, Draws(0, i), _labelled(case, f"in/image/{i}", f"in/pseudo_label/{i}"), None)
        for i in range(case.hyper("iterations"))
    ]
    training = _Training(case, method, batches)
    case.compare("out/loss_seg", torch.stack([log["loss_seg"] for log in training.logs]))
    training.compare(_OWNERS[:2])


@handler("fada_self_distill_inference")
def check_labels(case: Case) -> None:
    """The network of a training labels an image, and gives probabilities at several scales and mirrored."""
    method = _method(case, FADASource, {}).eval()
    image, size = case.tensor("in/image"), tuple(case.hyper("label_size"))
    with torch.no_grad():
        label = Labeller().label(method, image, size).label
        probability = averaged_probability(method.student, image, Averaged((1.0,)), size)
        flipped = averaged_probability(method.student, image, Averaged((1.0,), flip=True), size)
        scales = tuple(case.hyper("scales"))
        both = averaged_probability(method.student, image, Averaged(scales, flip=True), size)
        several = averaged_probability(method.student, image, Averaged(scales), size)
    for name, got in (("", probability), ("_flip", flipped), ("_multiscale_flip", both)):
        _compare_like(case, f"out/prob{name}", got)
    _compare_like(case, "out/prob_multiscale_per_class_mean", several.mean(dim=(2, 3)))
    two = probability.topk(2, dim=1).values[0]
    clear = two[0] - two[1] >= said(case, "argmax", "differ by less than", 0.0)
    for name in ("out/pseudo_label", "out/pseudo_label_png_index"):
        recorded = case.all_arrays[name]
        case.compare(name, label.reshape(recorded.shape), where=clear.reshape(recorded.shape))


def _compare_like(case: Case, name: str, got: Tensor) -> None:
    """Compares with an array that may lack the axis of the only image."""
    case.compare(name, got.reshape(case.all_arrays[name].shape))


class _Training:
    """Trains for the recorded number of iterations and notes losses, gradients and rates."""

    def __init__(self, case: Case, method: FADASource, batches: list[Batch]) -> None:
        self.case, self.method = case, method
        self.logs: list[Mapping[str, Tensor]] = []
        self.gradients: list[dict[str, Tensor]] = []
        self._norms: list[dict[str, Tensor]] = []
        self._rates: list[dict[str, float]] = []
        optimizers = method.optimizers()
        wrappers = by_name(optimizers)
        schedules = method.schedules(optimizers)
        backward, step = wrappers["student"].backward, wrappers["student"].step
        for batch in batches:
            self._rates.append(self._rates_of(wrappers))
            method.train()
            with (
                mock.patch.object(
                    wrappers["student"], "backward", lambda loss: self._backward(backward, loss)
                ),
                mock.patch.object(wrappers["student"], "step", lambda: self._step(step)),
            ):
                self.logs.append(method.train_step(batch, optimizers))
            for schedule in schedules:
                schedule.step()

    def compare(self, owners: tuple[str, ...]) -> None:
        """Compares gradient norms, rates and how much every tensor has changed."""
        state = self.method.state_dict()
        for owner in owners:
            norms = torch.stack([norm[owner] for norm in self._norms])
            self.case.compare(f"out/grad_norm/{owner}", norms)
            rates = torch.tensor([rate[owner] for rate in self._rates], dtype=torch.float64)
            recorded = self.case.all_arrays[f"out/lr/{owner}"]
            self.case.compare(f"out/lr/{owner}", rates.view(recorded.shape), rtol=1e-6)
            for name in self.case.arrays(f"out/final/{owner}/"):
                got = state[_our_name(owner, name)]
                self.case.compare(f"out/final/{owner}/{name}", got, since=f"param/{owner}/{name}")

    def compare_gradients(self, prefix: str, gradients: Mapping[str, Tensor]) -> None:
        """Compares gradients with those recorded under ``prefix``."""
        for recorded in self.case.arrays(prefix):
            owner, _, name = recorded.partition("/")
            self.case.compare(prefix + recorded, gradients[_our_name(owner, name)])

    def _backward(self, call: Any, loss: Tensor) -> None:
        call(loss)
        if not self._norms:
            self.gradients.append(self._current())

    def _step(self, call: Any) -> None:
        current = self._current()
        norms = {}
        for owner in _OWNERS:
            found = [g.norm() for name, g in current.items() if name.startswith(_PREFIXES[owner])]
            norms[owner] = torch.stack(found).norm() if found else torch.zeros(())
        self._norms.append(norms)
        call()

    def _current(self) -> dict[str, Tensor]:
        return {n: p.grad.clone() for n, p in self.method.named_parameters() if p.grad is not None}

    def _rates_of(self, wrappers: Mapping[str, Any]) -> dict[str, float]:
        rates = {
            id(p): group["lr"]
            for w in wrappers.values()
            for group in w.optimizer.param_groups
            for p in group["params"]
        }
        named = {n: rates[id(p)] for n, p in self.method.named_parameters() if id(p) in rates}
        return {
            o: next(r for n, r in named.items() if n.startswith(_PREFIXES[o]))
            for o in _OWNERS
            if any(n.startswith(_PREFIXES[o]) for n in named)
        }


_PREFIXES = {
    "feature_extractor": "student.backbone.",
    "classifier": "student.decode_head.",
    "discriminator": "discriminator.",
}


def _our_name(owner: str, name: str) -> str:
    """Our name of a recorded tensor."""
    if owner == "classifier":
        _, branch, kind = name.split(".")
        name = f"aspp_modules.{branch}.conv.{kind}"
    return _PREFIXES[owner] + name


def _settings(case: Case) -> dict[str, Any]:
    return {
        "momentum": case.hyper("momentum"),
        "weight_decay": case.hyper("weight_decay"),
        "poly_power": case.hyper("lr_power"),
        "iterations": case.hyper("iterations"),
        "schedule_iterations": case.hyper("max_iter"),
        "frozen_norm": case.hyper("norm") == "frozen",
    }


def _method(case: Case, kind: type[FADASource], settings: Mapping[str, Any]) -> FADASource:
    """The method on the stand-in network, with the recorded weights."""
    extractor = TinyExtractor(case.hyper("widths"), trained_norms=True)
    if case.hyper("norm") == "frozen":
        freeze_norms(extractor)
    dilations = case.hyper("dilations", FOUR_BRANCHES)
    head = DeepLabV2Head(case.hyper("widths")[-1], case.hyper("num_classes"), dilations)
    network: nn.Module = Segmentor(extractor, head)
    with mock.patch.object(kind, "build_student", lambda _: network):
        method = kind(task_of(case), kind.Settings.model_validate(settings))
    recorded = {
        _our_name(owner, name): torch.from_numpy(array.copy())
        for owner in _OWNERS
        for name, array in case.arrays(f"param/{owner}/").items()
    }
    missing = method.load_state_dict(recorded, strict=False)
    assert not missing.unexpected_keys
    assert all(key.endswith("num_batches_tracked") for key in missing.missing_keys), missing.missing_keys
    return method


def _labelled(case: Case, image: str, label: str) -> LabelledImages:
    labels = case.tensor(label).long()[:, None]
    return LabelledImages(case.tensor(image), tuple(str(i) for i in range(len(labels))), labels)


def _pair(case: Case, iteration: int) -> Batch:
    source = _labelled(case, f"in/src_image/{iteration}", f"in/src_label/{iteration}")
    target = Images(case.tensor(f"in/tgt_image/{iteration}"), source.names)
    return Batch(iteration, Draws(0, iteration), source, target)


def _clipped(case: Case) -> Tensor:
    """Share of target pixels of the first iteration whose soft label is clipped."""
    clip = case.hyper("clip")
    method = _method(case, FADAAlignment, {"discriminator_width": case.hyper("ndf")}).train()
    image = case.tensor("in/tgt_image/0")
    with torch.no_grad():
        logits = method.resized(method.student(image), image) / case.hyper("temperature")
    clipped: Tensor = class_label(logits, "soft", clip) == clip
    return clipped.any(dim=1).float().mean()

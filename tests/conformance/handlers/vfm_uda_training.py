"""VFM-UDA's training: pseudo-labels, mixing, teacher, optimiser, and whole trainings by the methods themselves."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from adaptbench.adaptation.class_mix import class_mask
from adaptbench.adaptation.ema import ema_alpha
from adaptbench.adaptation.pseudo_label import PseudoLabel
from adaptbench.adaptation.seg_loss import resize_logits
from adaptbench.adaptation.view_augment import viewed
from adaptbench.data.batch import Batch, Images, LabelledImages
from adaptbench.draws import Draws
from adaptbench.networks.segmentor import Segmentor
from adaptbench.optim.optimizer import build_optimizer, build_schedule

from ..case import Case
from ..registry import handler
from ..vfm_uda_parts import in_grey_levels, load, network_of, normalised, our_name
from ..vfm_uda_training import Decisions, Training, method_of, rates_of, settings_of, target_label


@handler("vfmuda_trajectory")
def check_training(case: Case) -> None:
    network = network_of(case)
    load(case, network)
    frozen = network_of(case) if case.has("param/frozen/") else None
    if frozen is not None:
        load(case, frozen, "param/frozen/")
    training = Training(case, network, frozen)
    for iteration in range(case.hyper("iterations")):
        _check_losses(case, training, iteration)
        _check_what_is_seen(case, training, iteration)
    rates = [[rates[first] for first in _groups(case, rates)] for rates in training.rates]
    case.compare("out/lr", rates)
    for name in case.arrays("out/grad_first_iteration/"):
        case.compare(f"out/grad_first_iteration/{name}", training.gradients[our_name(name)])
    for who in training.states[0]:
        _check_weights(case, training, who)


def _check_losses(case: Case, training: Training, iteration: int) -> None:
    prefix, log = f"out/it{iteration}/", training.logs[iteration]
    labelled = (case.tensor(f"in/it{iteration}/source_label") != 255).float().mean()
    values = {
        "train_loss_source": log["loss_seg"],
        "train_loss_mix": log.get("mix.loss_seg", torch.zeros(())),
        "loss_masked": log.get("masked.loss_seg", torch.zeros(())),
        "train_loss_fdist": log.get("source.loss_feature_distance", torch.zeros(())),
        "train_acc_source": log["acc_seg"] / 100 / labelled,
    }
    total = (values[name] for name in ("train_loss_source", "train_loss_mix", "loss_masked"))
    values["train_loss_total"] = torch.stack(list(total)).sum()  # without the feature distance
    pseudo = training.observed[iteration].get("pseudo")
    if pseudo is not None:
        true = target_label(case, iteration)
        values["train_acc_target"] = (pseudo["label"] == true)[true != 255].float().mean()
    for name in case.arrays(f"{prefix}log/"):
        case.compare(f"{prefix}log/{name}", values[name].float())
    case.compare(f"{prefix}grad_norm_after_each_backward", torch.stack(training.norms[iteration]))


def _check_what_is_seen(case: Case, training: Training, iteration: int) -> None:
    seen, label = training.observed[iteration], case.all_arrays[f"in/it{iteration}/source_label"]
    shown = {f"{group}_{part}": value for group, parts in seen.items() for part, value in parts.items()}
    shown["source_after_weak"] = in_grey_levels(shown["jittered_image"]) / 255
    if "mixed_image" in shown:
        shown["mixed_image"] = in_grey_levels(shown["mixed_image"]) / 255
    if "masked_image" in shown:
        shown["masked_input"] = shown["masked_image"]
    logits = training.logits[iteration]
    shown |= {f"student_logits_{q}": resize_logits(one, label.shape[-2:]) for q, one in enumerate(logits)}
    shown |= training.features[iteration]
    prefix = f"out/it{iteration}/"
    for name in case.arrays(prefix):
        if "/" in name or name == "grad_norm_after_each_backward":
            continue
        plain, _, stride = name.partition("_stride")
        value = shown[plain]
        case.compare(prefix + name, value[..., :: int(stride), :: int(stride)] if stride else value)


def _groups(case: Case, rates: dict[str, float]) -> list[str]:
    """One of our parameters for each of the reference's groups, all of whose parameters have one rate with us."""
    depth = case.hyper("net")["depth"]
    blocks = [[f"encoder.blocks.{number}."] for number in reversed(range(depth))]
    stem = [
        "encoder.mask_token",
        "encoder.norm.",
        "encoder.pos_embed",
        "encoder.patch_embed.",
        "encoder.cls_token",
    ]
    found = []
    for group in (["out.", "upscale."], *blocks, stem):
        ours = [name for name in rates if name.startswith(tuple(map(our_name, group)))]
        assert len({rates[name] for name in ours}) == 1, f"{case.name}: {ours} learn at different rates"
        found.append(ours[0])
    return found


def _check_weights(case: Case, training: Training, who: str) -> None:
    order, states = case.json["tensor_order"], training.states
    if case.has(f"out/{who}_norm_sum"):
        norms = [
            [[float(state[who][our_name(n)].norm()), float(state[who][our_name(n)].sum())] for n in order]
            for state in states[1:]
        ]
        known = np.array([name not in case.json.get("noise_driven_keys", ()) for name in order])
        case.compare(f"out/{who}_norm_sum", norms, where=known[None, :, None])
    for name in case.arrays(f"out/final/{who}/"):
        ours = states[-1][who][our_name(name)]
        case.compare(f"out/final/{who}/{name}", ours, since=f"param/{name}", where=_known(case, name, ours))


def _known(case: Case, name: str, value: Tensor) -> Tensor:
    """All but the biases of the keys, which have no gradient: rounding alone moves them."""
    known = torch.ones_like(value, dtype=torch.bool)
    if name in case.json.get("noise_driven_keys", ()):
        third = len(value) // 3
        known[third : 2 * third] = False
    return known


@handler("vfmuda_pseudo_label")
def check_labels(case: Case) -> None:
    """A threshold above 1, which no pixel reaches, is none of ours: there the labels alone are compared."""
    for number, call in enumerate(case.hyper("calls")):
        prefix = f"out/c{number}/"
        network = network_of(case)
        load(case, network)
        method = method_of(case, network, token_mask_ratio=0.0, pseudo_threshold=min(call["threshold"], 1.0))
        image, ignored = case.tensor(f"in/image_{number}"), case.tensor(f"in/ignore_mask_{number}") == 255
        target = Images(
            normalised(image), ("",) * len(image), trusted=(~ignored).to(torch.uint8).unsqueeze(1)
        )
        logits: list[Tensor] = []
        hook = method.teacher.network.register_forward_hook(
            lambda _, __, output, kept=logits, size=image.shape[-2:]: kept.append(resize_logits(output, size))
        )
        pseudo = method.label_target(target)
        hook.remove()
        plain, mirrored = logits
        probability = (plain.softmax(1) + mirrored.softmax(1).flip(3)) / 2
        confidence = probability.amax(1)
        best = ((plain + mirrored.flip(3)) / 2).topk(2, dim=1).values
        margin = best[:, 0] - best[:, 1]
        values = {
            "logits_plain": plain, "logits_of_mirrored_image": mirrored, "confidence": confidence,
            "share": (confidence >= call["threshold"]).float().mean(), "pseudo_label": pseudo.label,
            "pseudo_weight": pseudo.weight * (call["threshold"] <= 1),
            "margin_normalised": margin / (margin.amax((1, 2), keepdim=True) + 1e-12),
        }  # fmt: skip
        two = probability.topk(2, dim=1).values
        for name in case.arrays(prefix):
            plain_name, _, stride = name.partition("_stride")
            value = values[plain_name]
            where = (two[:, 0] - two[:, 1]) >= 1e-5 if plain_name == "pseudo_label" else None
            case.compare(
                prefix + name, value[..., :: int(stride), :: int(stride)] if stride else value, where=where
            )


@handler("vfmuda_class_mix")
def check_mix(case: Case) -> None:
    for number, call in enumerate(case.hyper("calls")):
        prefix, draws = f"out/c{number}/", Decisions(case, number)
        method = method_of(case, network_of(case), token_mask_ratio=0.0, crop=call["img_size"])
        label = case.tensor(f"in/source_label_{number}").unsqueeze(1)
        names = ("",) * len(label)
        source = LabelledImages(normalised(case.tensor(f"in/source_image_{number}")), names, label)
        target = Images(normalised(case.tensor(f"in/target_image_{number}")), names)
        pseudo = _pseudo(case, number)
        step = draws.step(label)
        mixed = method.mix(Batch(0, Draws(0, 0), source, target), target, pseudo, step)
        plain = draws.step(label, plain=True)
        before = method.mix(Batch(0, Draws(0, 0), source, target), target, pseudo, plain)
        values = {
            "class_mask": class_mask(label, step.classes),
            "target_after_weak": in_grey_levels(viewed(target.image, step.target, method.normalisation))
            / 255,
            "mixed_before_strong": in_grey_levels(before.image) / 255,
            "mixed_image": in_grey_levels(mixed.image) / 255,
            "mixed_label": mixed.label,
            "mixed_weight": mixed.weight,
        }
        for name in case.arrays(prefix):
            case.compare(prefix + name, values[name])


@handler("vfmuda_ema")
def check_teacher(case: Case) -> None:
    network = Segmentor(_Stem(case), nn.Conv2d(*_widths(case)[1:], 1, bias=False))
    network.load_state_dict(
        {_stem_name(name): case.tensor(f"param/{name}") for name in case.arrays("param/")}
    )
    training = Training(case, network)
    for name in case.arrays("out/teacher/"):
        states = [state["teacher"][_stem_name(name)] for state in training.states]
        case.compare(f"out/teacher/{name}", torch.stack(states))
    for name in case.arrays("out/student/"):
        states = [state["student"][_stem_name(name)] for state in training.states[1:]]
        case.compare(f"out/student/{name}", torch.stack(states))
    for name in case.arrays("out/teacher_before/"):
        case.compare(
            f"out/teacher_before/{name}", torch.stack([b[_stem_name(name)] for b in training.before])
        )
    counters = range(1, case.hyper("iterations") + 1)
    case.compare("out/step_counter_at_ema", list(counters))
    case.compare("out/alpha", [ema_alpha(counter, case.hyper("ema_alpha")) for counter in counters])


def _widths(case: Case) -> tuple[int, int, int]:
    stem, out = case.all_arrays["param/stem.weight"], case.all_arrays["param/out.weight"]
    return stem.shape[1], stem.shape[0], out.shape[0]


class _Stem(nn.Module):
    """The stand-in of the teacher's case: a buffer moves in training mode."""

    shift: Tensor

    def __init__(self, case: Case) -> None:
        super().__init__()
        colours, width, _ = _widths(case)
        self.stem = nn.Conv2d(colours, width, 1)
        self.scale = nn.Parameter(torch.ones(width, 1, 1))
        self.blocks = nn.ModuleList([nn.Conv2d(width, width, 3, padding=1, bias=False)])
        self.register_buffer("shift", torch.zeros(1, width, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        features = self.stem(image)
        if self.training:
            mean = features.detach().mean(dim=(0, 2, 3), keepdim=True)
            self.shift = 0.9 * self.shift + 0.1 * mean
        out: Tensor = self.blocks[0]((features - self.shift) * self.scale).relu()
        return out


def _stem_name(name: str) -> str:
    return name.replace("out.", "decode_head.") if name.startswith("out.") else f"backbone.{name}"


@handler("vfmuda_optimizer_schedule")
def check_optimizer(case: Case) -> None:
    network = network_of(case)
    load(case, network)
    settings = settings_of(case)
    optimizer = build_optimizer(network, settings)
    schedules = build_schedule(optimizer, settings, settings.iterations)
    parameters, order = dict(network.named_parameters()), case.json["tensor_order"]
    rates, norms = [], []
    for step in range(case.hyper("steps")):
        now = rates_of(network, optimizer)
        rates.append([now[first] for first in _groups(case, now)])
        for index, name in enumerate(order):
            without = name == "encoder.mask_token" and step in case.hyper("steps_without_mask_gradient")
            gradient = case.tensor(f"in/grad_base/{name}") * case.all_arrays["in/grad_scale"][step, index]
            parameters[our_name(name)].grad = None if without else gradient
        optimizer.step()
        for schedule in schedules:
            schedule.step()
        norms.append([float(parameters[our_name(name)].detach().norm()) for name in order])
    case.compare("out/lr", rates)
    case.compare("out/tensor_norm", norms)
    for name in case.arrays("out/final/"):
        case.compare(f"out/final/{name}", parameters[our_name(name)])
    case.compare("out/schedule_table", _table(case))


def _table(case: Case) -> list[list[float]]:
    """The rate's multiplier at the steps of the table."""
    total = case.hyper("table_total")
    settings = settings_of(case, warmup=case.hyper("table_warmup"), learning_rate=1.0, head_lr_factor=1.0)
    parameter = nn.Module()
    parameter.weight = nn.Parameter(torch.zeros(1))
    optimizer = build_optimizer(parameter, settings)
    (schedule,) = build_schedule(optimizer, settings, total)
    rows = []
    for step in case.hyper("table_index"):
        schedule.last_step = step
        rows.append([float(step), schedule._get_value()[0]])
    return rows


def _pseudo(case: Case, number: int) -> PseudoLabel:
    label = case.tensor(f"in/pseudo_label_{number}")
    return PseudoLabel(
        label, case.tensor(f"in/pseudo_weight_{number}"), torch.ones_like(label, dtype=torch.bool)
    )

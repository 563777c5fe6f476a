"""Parts of FADA: its discriminator, classifier and losses, its sampler, loaders, labels and scores."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from adaptbench.adaptation.class_discriminator import (
    ClassDiscriminator,
    DomainHalf,
    class_label,
    domain_cross_entropy,
)
from adaptbench.adaptation.seg_loss import labelled_cross_entropy, resize_logits
from adaptbench.data import transforms
from adaptbench.data.class_balanced_sampling import balanced_picks
from adaptbench.data.framing import ScaledCrop, ScaledCrops, WholeImages
from adaptbench.data.normalisation import Normalisation
from adaptbench.networks.deeplabv2 import DeepLabV2Head
from adaptbench.networks.deeplabv2_multi import FOUR_BRANCHES

from ..case import Array, Case
from ..case_facts import normalisation_of
from ..registry import handler


@handler("fada_discriminator")
def check_discriminator(case: Case) -> None:
    sizes = (case.hyper(key) for key in ("in_channels", "num_classes", "ndf"))
    _check_layer(case, ClassDiscriminator(*sizes), {})


@handler("fada_classifier")
def check_classifier(case: Case) -> None:
    dilations = case.hyper("dilations")
    head = DeepLabV2Head(case.hyper("in_channels"), case.hyper("num_classes"), dilations)
    _check_layer(case, _OnFeatures(head), _classifier_names(len(dilations)))


@handler("fada_losses")
def check_losses(case: Case) -> None:
    classes, channels = case.hyper("num_classes"), case.hyper("in_channels")
    dilations = case.hyper("dilations", FOUR_BRANCHES)
    head = _OnFeatures(DeepLabV2Head(channels, classes, dilations))
    names = _classifier_names(len(dilations))
    _load(case, head, "param/classifier/", names)
    discriminator = ClassDiscriminator(channels, classes, case.hyper("ndf"))
    _load(case, discriminator, "param/discriminator/", {})
    source = case.tensor("in/src_feature").requires_grad_()
    target = case.tensor("in/tgt_feature").requires_grad_()
    scaled = {
        "src": resize_logits(head(source), tuple(case.hyper("src_size")), True) / case.hyper("temperature"),
        "tgt": resize_logits(head(target), tuple(case.hyper("tgt_size")), True) / case.hyper("temperature"),
    }
    loss = labelled_cross_entropy(scaled["src"], case.tensor("in/src_label"), case.hyper("ignore_label"))
    case.compare("out/loss_seg", loss)
    trained = {f"classifier/{names[name]}": p for name, p in head.named_parameters()}
    _compare_gradients(case, "out/grad_seg/", loss, {"src_feature": source, **trained})
    labels = {key: class_label(logits, "soft", case.hyper("clip")) for key, logits in scaled.items()}
    for key, label in labels.items():
        case.compare(f"out/{key}_soft_label", label)
    clipped = [(label == case.hyper("clip")).any(dim=1).float().mean() for label in labels.values()]
    case.compare("out/clipped_fraction", torch.stack(clipped))

    def cross_entropy(feature: Tensor, key: str, half: DomainHalf, weight: Tensor | None = None) -> Tensor:
        scores = resize_logits(discriminator(feature), (labels[key].shape[2], labels[key].shape[3]), True)
        return domain_cross_entropy(scores, labels[key], half, weight)

    adversarial = case.hyper("lambda_adv") * cross_entropy(target, "tgt", "source")
    case.compare("out/loss_adv_tgt", adversarial)
    parameters = dict(discriminator.named_parameters())
    discarded = {f"discriminator/{name}": p for name, p in parameters.items()}
    _compare_gradients(case, "out/grad_adv_discarded/", adversarial, discarded)
    _compare_gradients(case, "out/grad_adv/", adversarial, {"tgt_feature": target})
    weighted = cross_entropy(target, "tgt", "source", case.tensor("in/pixel_weights"))
    case.compare("out/soft_label_cross_entropy_pixel_weighted", weighted)
    for key, feature, half in (("src", source, "source"), ("tgt", target, "target")):
        loss = case.hyper("d_factor") * cross_entropy(feature.detach(), key, half)  # type: ignore[arg-type]
        case.compare(f"out/loss_D_{key}", loss)
        _compare_gradients(case, f"out/grad_D_{key}/", loss, parameters)


@handler("fada_sampler")
def check_sampler(case: Case) -> None:
    """The recorded seed drives the generator that the list was drawn with."""
    arrays = case.all_arrays
    queues = np.split(arrays["in/label_to_file_flat"], arrays["in/label_to_file_offsets"][1:-1])
    random = _Recorder(case.hyper("numpy_seed"))
    shows = arrays["in/file_has_class"].astype(bool)
    picks = balanced_picks(
        shows,
        [queue.tolist() for queue in queues],
        case.hyper("max_iters"),
        random,
        case.hyper("sub_epoch"),
        case.hyper("epsilon"),
    )
    case.compare("out/picked_file", picks)
    case.compare("out/list_length", len(picks))
    case.compare("out/picked_class", random.classes)
    steps = arrays["out/weight_steps"]
    case.compare("out/weight_steps", steps)
    case.compare("out/weights", np.stack([random.weights[step] for step in steps]), rtol=1e-12)
    case.compare("out/shuffle_step", [step for step, _ in random.shuffles])
    case.compare("out/shuffle_class", [random.classes[step] for step, _ in random.shuffles])
    case.compare("out/shuffle_result_flat", np.concatenate([queue for _, queue in random.shuffles]))
    lengths = [0, *(len(queue) for _, queue in random.shuffles)]
    case.compare("out/shuffle_result_offsets", np.cumsum(lengths))


@handler("fada_input_pipeline")
def check_loaders(case: Case) -> None:
    image, label = case.all_arrays["in/image"], case.all_arrays["in/label"]
    size = (case.hyper("resize")[1], case.hyper("resize")[0])
    whole = WholeImages()
    mean, std = (255 * np.array(case.hyper(key)) for key in ("mean_rgb", "std_rgb"))
    rgb = normalisation_of(mean.tolist(), std.tolist(), bgr=False)
    bgr = normalisation_of(case.hyper("mean_bgr255"), case.hyper("std_bgr255"), bgr=True)
    for name, values in (("resize_rgb", rgb), ("resize_bgr255", bgr)):
        _compare_image(case, f"out/{name}/image", whole.image(image, size), values)
        case.compare(f"out/{name}/label", whole.label(label, size))
    _compare_image(case, "out/test/image", whole.image(image, size), rgb)
    case.compare("out/test/label", label)
    low, high = case.hyper("scale_range")
    crops = ScaledCrops(crop=(case.hyper("crop")[1], case.hyper("crop")[0]), scales=(low, high))
    for number, draw in enumerate(case.json["recorded_draws"]):
        top, left = draw["crop_top_left"]
        drawn = ScaledCrop(draw["scale"], top, left, draw["flipped"])
        cut = crops.cut(image, label, drawn)
        _compare_image(case, f"out/random_{number}/image", cut[0], rgb)
        case.compare(f"out/random_{number}/label", cut[1])


class _Recorder(np.random.RandomState):
    """Notes what is drawn."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.classes: list[int] = []
        self.weights: list[Array] = []
        self.shuffles: list[tuple[int, list[int]]] = []

    def choice(self, count: int, p: Array) -> int:  # type: ignore[override]
        self.weights.append(p)
        self.classes.append(int(super().choice(count, p=p)))
        return self.classes[-1]

    def shuffle(self, queue: list[int]) -> None:  # type: ignore[override]
        super().shuffle(queue)
        self.shuffles.append((len(self.classes) - 1, list(queue)))


class _OnFeatures(nn.Module):
    """A classifier that reads one feature map."""

    def __init__(self, head: DeepLabV2Head) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.head([features])
        return logits


def _check_layer(case: Case, module: nn.Module, names: dict[str, str]) -> None:
    """Logits, resized logits, and gradients of their product with the recorded cotangent.

    Gradients are sums of many terms that cancel; in float32 they hang on the order in which a machine adds them up.
    """
    _load(case, module, "param/", names)
    for dtype in (torch.float32, torch.float64):
        feature = case.tensor("in/feature").to(dtype).requires_grad_()
        logits = module.to(dtype)(feature)
        case.compare("out/logits", logits)
        resized = resize_logits(logits, tuple(case.hyper("up_size")), align_corners=True)
        case.compare("out/logits_up", resized)
    parameters = {names.get(name, name): p for name, p in module.named_parameters()}
    scalar = (resized * case.tensor("in/cotangent")).sum()
    _compare_gradients(case, "out/grad/", scalar, {"feature": feature, **parameters})


def _load(case: Case, module: nn.Module, prefix: str, names: dict[str, str]) -> None:
    """Fills ``module`` with recorded tensors; ``names`` are theirs by ours."""
    module.load_state_dict(
        {ours: case.tensor(prefix + names.get(ours, ours)) for ours in module.state_dict()}
    )


def _compare_gradients(case: Case, prefix: str, loss: Tensor, tensors: Mapping[str, Tensor]) -> None:
    gradients = torch.autograd.grad(loss, list(tensors.values()), retain_graph=True)
    for name, gradient in zip(tensors, gradients, strict=True):
        case.compare(prefix + name, gradient)


def _compare_image(case: Case, name: str, image: Array, values: Normalisation) -> None:
    """One grey level may differ, since versions of the imaging library do."""
    got = transforms.normalise(image, values)
    case.compare(name, got, atol=1.001 / min(values.std))


def _classifier_names(branches: int) -> dict[str, str]:
    """Our names of the classifier's tensors -> recorded ones."""
    return {
        f"head.aspp_modules.{i}.conv.{kind}": f"conv2d_list.{i}.{kind}"
        for i in range(branches)
        for kind in ("weight", "bias")
    }

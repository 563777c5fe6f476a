"""The network of VFM-UDA: what its encoder sees, hidden tokens, the light decoder, and names of published files."""

from __future__ import annotations

import torch
from torch import Tensor

from adaptbench.adaptation.masking import block_mask, mask_image
from adaptbench.adaptation.seg_loss import labelled_cross_entropy, resize_logits, weighted_cross_entropy
from adaptbench.networks.inference import resize
from adaptbench.networks.segmentor import Segmentor
from adaptbench.networks.vfm_uda import LightHead

from ..case import Case
from ..registry import handler
from ..vfm_uda_parts import RecordedViT, gradients, load, network_of, normalised, our_name
from ..vfm_uda_training import Decisions


@handler("vfmuda_encoder_input")
def check_input(case: Case) -> None:
    for number, variant in enumerate(case.hyper("variants")):
        sizes = {name: variant[name] for name in ("img_size", "pos_grid", "scale") if name in variant}
        network = network_of(case, **sizes)
        load(case, network, **{"encoder.pos_embed": f"param/pos_{variant['pos_grid']}"})
        image = normalised(case.tensor(f"in/image_{number}"))
        _check_variant(case, f"out/v{number}/", network.eval(), image, variant["via"] == "forward")
    table = []
    for side in case.hyper("size_table"):
        sizes = [_encoder_side(case, side, scale) for scale in (1.1, 1.0)]
        table.append([side, *sizes])
    case.compare("out/size_table", torch.tensor(table))


def _encoder_side(case: Case, side: int, scale: float) -> int:
    encoder = network_of(case, img_size=side, scale=scale).backbone
    return encoder.encoder_size((1, 1))[0]


@torch.no_grad()
def _check_variant(case: Case, prefix: str, network: Segmentor, image: Tensor, stretched: bool) -> None:
    encoder = network.backbone
    assert isinstance(encoder, RecordedViT)
    stated, _ = encoder.encoder_size((1, 1))
    if not stretched:  # the features of an image that fits
        encoder.side, encoder.scale = None, 1.0
    size = encoder.encoder_size((image.shape[-2], image.shape[-1]))
    seen = _inner(network)
    (features,) = encoder(image)
    compared = {
        "normalised": image,
        "resized": seen["resized"],
        "patch_tokens": seen["patch_tokens"].flatten(1, 2),
        "pos_embed": encoder.position_table(encoder.grid(size)),
        "tokens_into_first_block": seen["tokens"],
        "features": features,
        "vit_in_img_size": stated,
        "logits": resize(network.decode_head([features]), (image.shape[-2], image.shape[-1])),
    }
    for name in case.arrays(prefix):
        plain, stride = _strided(name)
        case.compare(prefix + name, _thinned(compared[plain], stride))


def _inner(network: torch.nn.Module) -> dict[str, Tensor]:
    """What goes into the patches, comes out of them, and goes into the first block; filled by a pass."""
    found: dict[str, Tensor] = {}
    model = network.get_submodule("backbone.model")
    model.get_submodule("patch_embed").register_forward_hook(
        lambda _, inputs, output: found.update(resized=inputs[0], patch_tokens=output)
    )
    model.get_submodule("blocks.0").register_forward_pre_hook(
        lambda _, inputs: found.update(tokens=inputs[0])
    )
    return found


def _strided(name: str) -> tuple[str, int]:
    plain, _, stride = name.partition("_stride")
    return plain, int(stride or 1)


def _thinned(value: Tensor | int, stride: int) -> Tensor | int:
    return value if isinstance(value, int) or stride == 1 else value[..., ::stride, ::stride]


@handler("vfmuda_head")
def check_head(case: Case) -> None:
    net = case.hyper("net")
    for number, _ in enumerate(case.hyper("calls")):
        prefix = f"out/c{number}/"
        head = LightHead(net["width"], net["num_classes"])
        head.load_state_dict(
            {name: case.tensor(f"param/{name}") for name in case.arrays("param/") if "encoder" not in name}
        )
        features = case.tensor(f"in/features_{number}").requires_grad_()
        label = case.tensor(f"in/label_{number}")
        layers: list[Tensor] = []
        for layer in head.upscale:
            layer.register_forward_hook(lambda _, __, output, kept=layers: kept.append(output))
        low = head([features])
        low.retain_grad()
        logits = resize_logits(low, (label.shape[-2], label.shape[-1]))
        loss = labelled_cross_entropy(logits, label)
        loss.backward()
        for layer_number, output in enumerate(layers):
            case.compare(f"{prefix}after_upscale_{layer_number}", output)
        case.compare(f"{prefix}logits_low", low)
        case.compare(f"{prefix}logits", logits)
        case.compare(f"{prefix}loss", loss)
        case.compare(f"{prefix}grad_logits_low", low.grad)
        case.compare(f"{prefix}grad_features", features.grad)
        for name, parameter in head.named_parameters():
            case.compare(f"{prefix}grad/{name}", parameter.grad)


@handler("vfmuda_token_masking")
def check_masking(case: Case) -> None:
    for number, call in enumerate(case.hyper("calls")):
        network = network_of(case).train(call.get("train", True))
        load(case, network)
        _check_masked(case, number, call.get("mask_ratio", 0.0), network)


def _check_masked(case: Case, number: int, ratio: float, network: Segmentor) -> None:
    """What was drawn says what is hidden: tokens, or blocks of the image that the encoder sees."""
    prefix, image, hidden = f"out/c{number}/", case.tensor(f"in/image_{number}"), None
    encoder, seen, size = network.backbone, _inner(network), (image.shape[-2], image.shape[-1])
    assert isinstance(encoder, RecordedViT)
    for drawn in Decisions(case, number).arrays():
        if drawn.dim() == 2:
            hidden = drawn < ratio
        else:
            stretched = encoder.encoder_size(size)
            image = mask_image(resize(image, stretched), block_mask(drawn, ratio, stretched))
    (features,) = encoder(image, hidden)
    logits = resize_logits(network.decode_head([features]), size)
    values = {
        "tokens_after_masking": encoder._hide(seen["patch_tokens"], hidden).flatten(1, 2),
        "masked_encoder_input": seen["resized"],
        "tokens_into_first_block": seen["tokens"],
        "features": features,
        "logits": logits,
    }
    if case.has(f"in/label_{number}"):
        weight = case.tensor(f"in/weight_{number}") if case.has(f"in/weight_{number}") else None
        values["loss"] = weighted_cross_entropy(logits, case.tensor(f"in/label_{number}"), weight)
        values["loss"].backward()
    found = gradients(network)
    values["has_mask_token_grad"] = torch.tensor("backbone.mask_token" in found)
    values |= {f"grad/{name}": found.get(our_name(name)) for name in case.arrays(f"{prefix}grad/")}
    for name in case.arrays(prefix):
        plain, stride = _strided(name)
        case.compare(prefix + name, _thinned(values[plain], stride))

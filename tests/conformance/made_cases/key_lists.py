"""Names and shapes of published networks, written down layer by layer, for other classes and encoders."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

from .making import Made, Rng, maker, side

#: Blocks per stage. Source: He et al., arXiv 1512.03385, table 1; Xie et al., SegFormer, arXiv 2105.15203, table 6.
_RESNET = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
_MIT = {
    0: (2, 2, 2, 2),
    1: (2, 2, 2, 2),
    2: (3, 4, 6, 3),
    3: (3, 4, 18, 3),
    4: (3, 8, 27, 3),
    5: (3, 6, 40, 3),
}
_WIDTHS = {0: (32, 64, 160, 256)}
_LARGE = (64, 128, 320, 512)


class _Row(NamedTuple):
    """A tensor; statistics are no parameters."""

    key: str
    shape: list[int]
    statistic: bool = False
    #: As FADA and ADVENT keep norm layers.
    norm: bool = False


def _layer(name: str, *shape: int, bias: bool = True) -> list[_Row]:
    """Weight and bias."""
    return [_Row(f"{name}.weight", [*shape]), *([_Row(f"{name}.bias", [shape[0]])] if bias else [])]


def _norm(name: str, width: int) -> list[_Row]:
    """Batch norm with its statistics."""
    return [
        _Row(f"{name}.weight", [width], norm=True),
        _Row(f"{name}.bias", [width], norm=True),
        _Row(f"{name}.running_mean", [width], statistic=True),
        _Row(f"{name}.running_var", [width], statistic=True),
        _Row(f"{name}.num_batches_tracked", [], statistic=True),
    ]


def _stages(depth: int, prefix: str) -> list[_Row]:
    """Bottleneck blocks of a ResNet."""
    rows: list[_Row] = []
    width = 64
    for stage, blocks in enumerate(_RESNET[depth]):
        inner = 64 * 2**stage
        for block in range(blocks):
            at = f"{prefix}layer{stage + 1}.{block}"
            for number, (out, into, kernel) in enumerate(
                ((inner, width, 1), (inner, inner, 3), (4 * inner, inner, 1)), start=1
            ):
                rows += _layer(f"{at}.conv{number}", out, into, kernel, kernel, bias=False)
                rows += _norm(f"{at}.bn{number}", out)
            if block == 0:
                rows += _layer(f"{at}.downsample.0", 4 * inner, width, 1, 1, bias=False)
                rows += _norm(f"{at}.downsample.1", 4 * inner)
            width = 4 * inner
    return rows


def _deep_stem() -> list[_Row]:
    rows: list[_Row] = []
    for number, (out, into) in enumerate(((32, 3), (32, 32), (64, 32))):
        rows += _layer(f"backbone.stem.{3 * number}", out, into, 3, 3, bias=False)
        rows += _norm(f"backbone.stem.{3 * number + 1}", out)
    return rows


def _plain_stem(prefix: str = "") -> list[_Row]:
    return [*_layer(f"{prefix}conv1", 64, 3, 7, 7, bias=False), *_norm(f"{prefix}bn1", 64)]


def _attention_block(at: str, width: int, reduction: int) -> list[_Row]:
    hidden = 4 * width
    reduced = [
        *_layer(f"{at}.attn.sr", width, width, reduction, reduction),
        *_layer(f"{at}.attn.norm", width),
    ]
    return [
        *_layer(f"{at}.norm1", width),
        *_layer(f"{at}.attn.q", width, width),
        *_layer(f"{at}.attn.kv", 2 * width, width),
        *_layer(f"{at}.attn.proj", width, width),
        *(reduced if reduction > 1 else []),
        *_layer(f"{at}.norm2", width),
        *_layer(f"{at}.mlp.fc1", hidden, width),
        *_layer(f"{at}.mlp.dwconv.dwconv", hidden, 1, 3, 3),
        *_layer(f"{at}.mlp.fc2", width, hidden),
    ]


def _transformer(size: int) -> list[_Row]:
    """A mix transformer: all embeddings, then each stage with its norm."""
    widths, rows = _WIDTHS.get(size, _LARGE), []
    for stage, (width, into) in enumerate(zip(widths, (3, *widths), strict=False), start=1):
        kernel = 7 if stage == 1 else 3
        rows += _layer(f"backbone.patch_embed{stage}.proj", width, into, kernel, kernel)
        rows += _layer(f"backbone.patch_embed{stage}.norm", width)
    for stage, (width, blocks) in enumerate(zip(widths, _MIT[size], strict=True), start=1):
        for block in range(blocks):
            rows += _attention_block(f"backbone.block{stage}.{block}", width, 2 ** (4 - stage))
        rows += _layer(f"backbone.norm{stage}", width)
    return rows


def _embeddings(at: str, size: int, classes: int) -> list[_Row]:
    rows = _layer(f"{at}conv_seg", classes, 256, 1, 1)
    for level, width in enumerate(_WIDTHS.get(size, _LARGE)):
        rows += _layer(f"{at}embed_layers.{level}.proj", 256, width)
    return rows


def _convolution(name: str, *shape: int) -> list[_Row]:
    return [*_layer(f"{name}.conv", *shape, bias=False), *_norm(f"{name}.bn", shape[0])]


def _decoder(at: str, size: int, classes: int) -> list[_Row]:
    """DAFormer's: four dilations, three of them depthwise, and a bottleneck."""
    fuse, rows = f"{at}fuse_layer", _embeddings(at, size, classes)
    rows += _convolution(f"{fuse}.aspp_modules.0", 256, 1024, 1, 1)
    for branch in range(1, 4):
        rows += _convolution(f"{fuse}.aspp_modules.{branch}.depthwise_conv", 1024, 1, 3, 3)
        rows += _convolution(f"{fuse}.aspp_modules.{branch}.pointwise_conv", 256, 1024, 1, 1)
    return rows + _convolution(f"{fuse}.bottleneck", 256, 1024, 3, 3)


def _scale_attention(size: int, channels: int) -> list[_Row]:
    at = "decode_head.scale_attention."
    return [*_embeddings(at, size, channels), *_convolution(f"{at}fuse_layer", 256, 1024, 1, 1)]


def _listed(rng: Rng, rows: Sequence[_Row]) -> Made:
    """A case with the list under some prefixes."""
    keys = [[r.key, r.shape, "int64" if r.key.endswith("tracked") else "float32"] for r in rows]
    lines = [f"{key} {'x'.join(map(str, shape))} {dtype}" for key, shape, dtype in keys]
    prefixes = ["model.", "ema_model.", "imnet_model."][: side(rng, 1, 3)]
    listing = "\n".join(prefix + line for prefix in prefixes for line in lines)
    content = {
        "prefixes_in_order": prefixes,
        "keys_per_prefix": len(keys),
        "parameters_per_prefix": sum(prod(row.shape) for row in rows if not row.statistic),
        "sha256_of_full_listing": hashlib.sha256(listing.encode()).hexdigest(),
        "keys": keys,
    }
    return Made(content, {})


@maker("checkpoint_keys_daformer_mitb2", count=1)
def keys_of_daformer(rng: Rng) -> Made:
    """DAFormer on another encoder, with another number of classes."""
    return _listed(rng, [*_transformer(2), *_decoder("decode_head.", 2, side(rng, 2, 70))])


@maker("checkpoint_keys_dlv2_r50", count=1)
def keys_of_deeplab(rng: Rng) -> Made:
    """DeepLabV2 on another ResNet, with another number of classes."""
    classes, head = side(rng, 2, 70), "decode_head.aspp_modules"
    rows = [row for branch in range(2) for row in _layer(f"{head}.{branch}.conv", classes, 2048, 3, 3)]
    return _listed(rng, [*_deep_stem(), *_stages(50, "backbone."), *rows])


@maker("checkpoint_keys_hrda_mitb0", count=2)
def keys_of_hrda(rng: Rng) -> Made:
    """HRDA on another encoder, with an attention of its own for every class, of one for all, or none."""
    classes = side(rng, 2, 70)
    attention = [_scale_attention(0, classes), _scale_attention(0, 1), []][side(rng, 0, 2)]
    return _listed(rng, [*_transformer(0), *_decoder("decode_head.head.", 0, classes), *attention])


@maker("checkpoint_keys_dg_hrda_shade_mitb1", count=1)
def keys_of_shade(rng: Rng) -> Made:
    """HRDA with another number of styles."""
    classes, styles = side(rng, 2, 70), [side(rng, 2, 90), 64]
    banks = [_Row(f"backbone.style_hallucination.proto_{part}", styles) for part in ("mean", "std")]
    heads = [*_decoder("decode_head.head.", 1, classes), *_scale_attention(1, classes)]
    return _listed(rng, [*_transformer(1), *banks, *heads])


_COLUMNS = ["key", "shape", "kind", "requires_grad"]


def _table(rows: Sequence[_Row], trained_norms: bool = True, keeps_count: bool = True) -> dict[str, Any]:
    """A list as FADA's: norms that are not trained are buffers, and count no batches."""
    found: list[list[Any]] = []
    for row in rows:
        if row.key.endswith("num_batches_tracked") and not keeps_count:
            continue
        buffer = row.statistic or (row.norm and not trained_norms)
        found.append([row.key, row.shape, "buffer" if buffer else "parameter", None if buffer else True])
    values = sum(prod(shape) for _, shape, kind, _ in found if kind == "parameter")
    return {"columns": _COLUMNS, "entries": len(found), "parameter_values": values, "rows": found}


def _times_listed(key: str) -> int:
    """In how many of the nested modules that are walked through a tensor is."""
    if "layer" not in key:
        return 1
    return 4 if "downsample" in key else 3


def _walked(rows: Sequence[_Row], trained_norms: bool) -> dict[str, Any]:
    """A list as ADVENT's and EHTDI's, with how often each tensor is listed; the stem's norm is never trained."""
    found: list[list[Any]] = []
    for row in rows:
        fast = row.key.startswith(("layer5", "layer6", "proto_classifier", "para", "fuse_weight"))
        frozen = row.norm and (row.key.startswith("bn1.") or not trained_norms)
        if row.statistic:
            found.append([row.key, row.shape, "buffer", None, None, None])
        elif frozen:
            found.append([row.key, row.shape, "parameter", False, 0, 0])
        else:
            times = (0, 1) if fast else (_times_listed(row.key), 0)
            found.append([row.key, row.shape, "parameter", True, *times])
    values = sum(prod(row.shape) for row in rows if not row.statistic)
    columns = [*_COLUMNS, "listed_1x", "listed_10x"]
    return {"columns": columns, "entries": len(found), "parameter_values": values, "rows": found}


def _branches(at: str, classes: int, width: int) -> list[_Row]:
    """Four dilated convolutions."""
    return [r for i in range(4) for r in _layer(f"{at}conv2d_list.{i}", classes, width, 3, 3)]


def _two_outputs(classes: int) -> list[_Row]:
    heads = [*_branches("layer5.", classes, 1024), *_branches("layer6.", classes, 2048)]
    return [*_plain_stem(), *_stages(101, ""), *heads]


def _vgg() -> list[_Row]:
    """VGG16 whose last convolutions replace the classifier; pools and activations take numbers, too."""
    widths = {2: 64, 5: 128, 7: 128, 10: 256, 12: 256, 14: 256, **dict.fromkeys(range(17, 29, 2), 512)}
    rows, into = _layer("backbone.0", 64, 3, 3, 3), 64
    for number, width in (widths | {29: 1024, 31: 1024}).items():
        rows += _layer(f"backbone.{number}", width, into, 3, 3)
        into = width
    return rows


def _fada(kind: str, classes: int, width: int) -> dict[str, Any]:
    """Classifier and discriminator on features of a width."""
    discriminator = [*_layer("D.0", 256, width, 3, 3), *_layer("D.2", 128, 256, 3, 3)]
    for name in ("cls1", "cls2"):
        discriminator += _layer(name, classes, 128, 3, 3)
    return {
        f"fada_{kind}_classifier_K{classes}": _table(_branches("", classes, width)),
        f"fada_{kind}_discriminator_K{classes}": _table(discriminator),
    }


def _output_discriminator(classes: int) -> dict[str, Any]:
    widths = (classes, 64, 128, 256, 512, 1)
    rows = [row for i in range(5) for row in _layer(f"{2 * i}", widths[i + 1], widths[i], 4, 4)]
    return {f"advent_fc_discriminator_K{classes}": _table(rows)}


@maker("published_state_dicts", count=2)
def published_networks(rng: Rng) -> Made:
    """Other numbers of classes, and some of the networks only."""
    classes, vgg = side(rng, 2, 40), bool(rng.integers(2))
    resnet = [*_plain_stem("backbone."), *_stages(101, "backbone.")]
    networks = {
        "fada_r101_feature_extractor_frozen_norm": _table(resnet, trained_norms=False, keeps_count=False),
        "fada_r101_feature_extractor_trainable_norm": _table(resnet),
        **_fada("r101", classes, 2048),
        **({"fada_vgg16_feature_extractor": _table(_vgg()), **_fada("vgg16", classes, 1024)} if vgg else {}),
        **_output_discriminator(side(rng, 2, 40)),
        f"advent_intrada_deeplabv2_multi_K{classes + 1}": _walked(_two_outputs(classes + 1), False),
    }
    parts = {"train_adv": ["iteration", "feature_extractor", "classifier", "model_D"]}
    parts = {key: [*names, "optimizer_fea", "optimizer_cls", "optimizer_D"] for key, names in parts.items()}
    structure = {"FADA": {"top_level": parts}}
    return Made({"networks": networks, "checkpoint_structure": structure, "tolerance": "exact"}, {})


@maker("ehtdi_state_dict", count=1)
def ehtdi_network(rng: Rng) -> Made:
    """Another number of classes."""
    classes = side(rng, 2, 40)
    rows = [
        *(_Row(name, [1]) for name in ("fuse_weight_1", "para")),
        *_two_outputs(classes),
        _Row("proto_classifier.weight", [classes, 2048, 1, 1]),
    ]
    networks = {f"ehtdi_deeplab_multi_K{classes}": _walked(rows, trained_norms=True)}
    meaning = {"state_dict": "the student", "shadow": "EMA of the weights"}
    content = {"networks": networks, "checkpoint_structure": {"meaning": meaning}, "tolerance": "exact"}
    return Made(content, {})

"""Mix transformer, DAFormer and DeepLab decoders, and HRDA's fusion as functions of their parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from .making import Rng, normal, side

State = dict[str, Tensor]
Config = Mapping[str, Any]

#: Side, stride and padding of the convolutions in front of the four stages.
_EMBEDDINGS = ((7, 4, 3), (3, 2, 1), (3, 2, 1), (3, 2, 1))


def resized(maps: Tensor, size: Sequence[int], align: bool = False) -> Tensor:
    """Bilinear."""
    return functional.interpolate(maps, tuple(size), mode="bilinear", align_corners=align)


def encoder_config(rng: Rng, depths: Sequence[int] | None = None) -> dict[str, Any]:
    """Of a small mix transformer."""
    heads = [1, *(side(rng, 1, 3) for _ in range(3))]
    return {
        "type": "MixVisionTransformer",
        "patch_size": 4,
        "embed_dims": [
            n * side(rng, -(-8 // n), -(-10 // n)) for n in heads
        ],  # norms of few channels round a lot
        "num_heads": heads,
        "mlp_ratios": [side(rng, 1, 3) for _ in heads],
        "qkv_bias": True,
        "depths": list(depths or (side(rng, 1, 2) for _ in heads)),
        "sr_ratios": [side(rng, 2, 6), side(rng, 2, 3), 2, 1],
        "drop_rate": 0.0,
        "attn_drop_rate": 0.0,
        "drop_path_rate": 0.0,
    }


class Parameters:
    """Parameters in the order of their making.

    Args:
        rng: draws them.
        scale: of weights, relative to that which keeps the variance.
    """

    def __init__(self, rng: Rng, scale: float = 1.0) -> None:
        self._rng, self._scale = rng, scale
        self.state: State = {}

    def layer(self, name: str, *shape: int, bias: bool = True, scale: float = 1.0) -> None:
        """A linear or convolutional layer."""
        fan = math.prod(shape[1:])
        self.state[f"{name}.weight"] = normal(self._rng, *shape, scale=scale * self._scale / math.sqrt(fan))
        if bias:
            self.state[f"{name}.bias"] = normal(self._rng, shape[0], scale=0.2)

    def norm(self, name: str, width: int, batch: bool = False) -> None:
        """A layer norm or a batch norm."""
        self.state[f"{name}.weight"] = (1 + normal(self._rng, width, scale=0.2)).float().double()
        self.state[f"{name}.bias"] = normal(self._rng, width, scale=0.2)
        if batch:
            self.state[f"{name}.running_mean"] = normal(self._rng, width, scale=0.2)
            self.state[f"{name}.running_var"] = (0.5 + normal(self._rng, width).abs()).float().double()
            self.state[f"{name}.num_batches_tracked"] = torch.tensor(side(self._rng, 0, 9))

    def encoder(self, config: Config, prefix: str = "") -> None:
        """A mix transformer."""
        widths = config["embed_dims"]
        for i, (kernel, _, _) in enumerate(_EMBEDDINGS):
            name, inputs = f"{prefix}patch_embed{i + 1}", widths[i - 1] if i else 3
            self.layer(f"{name}.proj", widths[i], inputs, kernel, kernel)
            self.norm(f"{name}.norm", widths[i])
        for i, width in enumerate(widths):
            hidden, ratio = width * config["mlp_ratios"][i], config["sr_ratios"][i]
            for block in range(config["depths"][i]):
                self._block(f"{prefix}block{i + 1}.{block}", width, hidden, ratio)
            self.norm(f"{prefix}norm{i + 1}", width)

    def _block(self, name: str, width: int, hidden: int, ratio: int) -> None:
        self.norm(f"{name}.norm1", width)
        self.layer(f"{name}.attn.q", width, width, scale=1.5)
        self.layer(f"{name}.attn.kv", 2 * width, width, scale=1.5)
        self.layer(f"{name}.attn.proj", width, width)
        if ratio > 1:
            self.layer(f"{name}.attn.sr", width, width, ratio, ratio)
            self.norm(f"{name}.attn.norm", width)
        self.norm(f"{name}.norm2", width)
        self.layer(f"{name}.mlp.fc1", hidden, width)
        self.layer(f"{name}.mlp.dwconv.dwconv", hidden, 1, 3, 3)
        self.layer(f"{name}.mlp.fc2", width, hidden)

    def decoder(self, config: Config, prefix: str = "") -> None:
        """A DAFormer decoder with a separable ASPP or a 1x1 convolution, or that of DeepLab."""
        classes = config["num_classes"]
        if "decoder_params" not in config:
            for i in range(len(config["dilations"])):
                self.layer(f"{prefix}aspp_modules.{i}.conv", classes, config["in_channels"], 3, 3)
            return
        width, inner = config["channels"], config["decoder_params"]["embed_dims"]
        self.layer(f"{prefix}conv_seg", classes, width, 1, 1, scale=3.0)
        for i, channels in enumerate(config["in_channels"]):
            self.layer(f"{prefix}embed_layers.{i}.proj", inner, channels)
        fusion, mixed = config["decoder_params"]["fusion_cfg"], inner * len(config["in_channels"])
        name = f"{prefix}fuse_layer"
        if fusion["type"] == "conv":
            self._convolved(name, width, mixed, 1)
            return
        for i, dilation in enumerate(fusion["dilations"]):
            at = f"{name}.aspp_modules.{i}"
            if dilation == 1:
                self._convolved(at, width, mixed, 1)
            else:
                self._convolved(f"{at}.depthwise_conv", mixed, 1, 3)
                self._convolved(f"{at}.pointwise_conv", width, mixed, 1)
        self._convolved(f"{name}.bottleneck", width, width * len(fusion["dilations"]), 3)

    def _convolved(self, name: str, width: int, inputs: int, kernel: int) -> None:
        self.layer(f"{name}.conv", width, inputs, kernel, kernel, bias=False)
        self.norm(f"{name}.bn", width, batch=True)


def encode(
    state: State,
    image: Tensor,
    config: Config,
    prefix: str = "",
    after_first: Callable[[Tensor], Tensor] | None = None,
) -> list[Tensor]:
    """Feature maps of a mix transformer; ``after_first`` changes those of the first stage."""
    maps, found = image, []
    for i, (_, stride, padding) in enumerate(_EMBEDDINGS):
        name = f"{prefix}patch_embed{i + 1}"
        maps = _conv(state, f"{name}.proj", maps, stride=stride, padding=padding)
        height, width = maps.shape[2:]
        tokens = _layer_norm(state, f"{name}.norm", maps.flatten(2).transpose(1, 2), 1e-5)
        for block in range(config["depths"][i]):
            at = f"{prefix}block{i + 1}.{block}"
            seen = _layer_norm(state, f"{at}.norm1", tokens, 1e-6)
            heads, ratio = config["num_heads"][i], config["sr_ratios"][i]
            tokens = tokens + _attention(state, f"{at}.attn", seen, (height, width), heads, ratio)
            seen = _layer_norm(state, f"{at}.norm2", tokens, 1e-6)
            tokens = tokens + _perceptron(state, f"{at}.mlp", seen, (height, width))
        tokens = _layer_norm(state, f"{prefix}norm{i + 1}", tokens, 1e-6)
        maps = tokens.transpose(1, 2).reshape(len(tokens), -1, height, width)
        if i == 0 and after_first is not None:
            maps = after_first(maps)
        found.append(maps)
    return found


def _linear(state: State, name: str, tokens: Tensor) -> Tensor:
    return tokens @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def _conv(state: State, name: str, maps: Tensor, **options: Any) -> Tensor:
    return functional.conv2d(maps, state[f"{name}.weight"], state.get(f"{name}.bias"), **options)


def _layer_norm(state: State, name: str, tokens: Tensor, epsilon: float) -> Tensor:
    mean, variance = tokens.mean(-1, keepdim=True), tokens.var(-1, unbiased=False, keepdim=True)
    return (tokens - mean) / (variance + epsilon).sqrt() * state[f"{name}.weight"] + state[f"{name}.bias"]


def _attention(
    state: State, name: str, tokens: Tensor, size: tuple[int, int], heads: int, ratio: int
) -> Tensor:
    seen = tokens
    if ratio > 1:
        maps = tokens.transpose(1, 2).reshape(len(tokens), -1, *size)
        maps = _conv(state, f"{name}.sr", maps, stride=ratio)
        seen = _layer_norm(state, f"{name}.norm", maps.flatten(2).transpose(1, 2), 1e-5)
    queries = _linear(state, f"{name}.q", tokens)
    keys, values = _linear(state, f"{name}.kv", seen).chunk(2, dim=-1)
    part = queries.shape[-1] // heads
    found = []
    for at in range(0, queries.shape[-1], part):
        q, k, v = (x[..., at : at + part] for x in (queries, keys, values))
        found.append((q @ k.transpose(1, 2) / math.sqrt(part)).softmax(-1) @ v)
    return _linear(state, f"{name}.proj", torch.cat(found, dim=-1))


def _perceptron(state: State, name: str, tokens: Tensor, size: tuple[int, int]) -> Tensor:
    hidden = _linear(state, f"{name}.fc1", tokens)
    maps = hidden.transpose(1, 2).reshape(len(hidden), -1, *size)
    maps = _conv(state, f"{name}.dwconv.dwconv", maps, padding=1, groups=maps.shape[1])
    active = maps * (1 + torch.erf(maps / math.sqrt(2))) / 2
    return _linear(state, f"{name}.fc2", active.flatten(2).transpose(1, 2))


def _active(state: State, name: str, maps: Tensor, training: bool, **options: Any) -> Tensor:
    """Convolution, batch norm, ReLU; in training the statistics move."""
    maps = _conv(state, f"{name}.conv", maps, **options)
    mean, variance = state[f"{name}.bn.running_mean"], state[f"{name}.bn.running_var"]
    if training:
        own = maps.mean((0, 2, 3)), maps.var((0, 2, 3), unbiased=False)
        unbiased = maps.detach().var((0, 2, 3), unbiased=True)
        state[f"{name}.bn.running_mean"] = 0.9 * mean + 0.1 * own[0].detach()
        state[f"{name}.bn.running_var"] = 0.9 * variance + 0.1 * unbiased
        state[f"{name}.bn.num_batches_tracked"] = state[f"{name}.bn.num_batches_tracked"] + 1
        mean, variance = own
    normed = (maps - mean[:, None, None]) / (variance[:, None, None] + 1e-5).sqrt()
    weight, bias = state[f"{name}.bn.weight"], state[f"{name}.bn.bias"]
    return (normed * weight[:, None, None] + bias[:, None, None]).relu()


def decode(state: State, maps: Sequence[Tensor], config: Config, training: bool, prefix: str = "") -> Tensor:
    """Logits of a decoder."""
    if "decoder_params" not in config:
        features = maps[config["in_index"]]
        parts = [
            _conv(state, f"{prefix}aspp_modules.{i}.conv", features, padding=d, dilation=d)
            for i, d in enumerate(config["dilations"])
        ]
        return torch.stack(parts).sum(0)
    size = maps[0].shape[2:]
    embedded = []
    for i, features in enumerate(maps):
        tokens = _linear(state, f"{prefix}embed_layers.{i}.proj", features.permute(0, 2, 3, 1))
        embedded.append(resized(tokens.permute(0, 3, 1, 2), size))
    fusion, name = config["decoder_params"]["fusion_cfg"], f"{prefix}fuse_layer"
    fused = torch.cat(embedded, dim=1)
    if fusion["type"] == "conv":
        fused = _active(state, name, fused, training)
    else:
        branches = []
        for i, d in enumerate(fusion["dilations"]):
            at, channels = f"{name}.aspp_modules.{i}", fused.shape[1]
            if d == 1:
                branches.append(_active(state, at, fused, training))
            else:
                options = {"padding": d, "dilation": d, "groups": channels}
                deep = _active(state, f"{at}.depthwise_conv", fused, training, **options)
                branches.append(_active(state, f"{at}.pointwise_conv", deep, training))
        fused = _active(state, f"{name}.bottleneck", torch.cat(branches, dim=1), training, padding=1)
    return _conv(state, f"{prefix}conv_seg", fused)


def decoder_config(rng: Rng, channels: Sequence[int], classes: int) -> dict[str, Any]:
    """Of a DAFormer decoder with a separable ASPP."""
    dilations = sorted({1, *rng.integers(2, 8, side(rng, 1, 2)).tolist()})
    return {
        "type": "DAFormerHead",
        "in_channels": list(channels),
        "channels": side(rng, 3, 7),
        "dropout_ratio": 0.0,
        "num_classes": classes,
        "decoder_params": {
            "embed_dims": side(rng, 3, 6),
            "embed_neck_cfg": {"type": "mlp"},
            "fusion_cfg": {"type": "aspp", "sep": True, "dilations": dilations},
        },
    }


def attention_config(head: Config) -> dict[str, Any]:
    """Of HRDA's attention beside a decoder: its own width, no ASPP, one output or one for every class."""
    outputs = head["num_classes"] if head["attention_classwise"] else 1
    if "decoder_params" not in head:
        return {**head, "num_classes": outputs}
    width = head["attention_embed_dim"]
    decoder = {"embed_dims": width, "fusion_cfg": {"type": "conv", "kernel_size": 1}}
    return {**head, "num_classes": outputs, "channels": width, "decoder_params": decoder}


def attended(state: State, maps: Sequence[Tensor], head: Config, training: bool, prefix: str = "") -> Tensor:
    """The attention of an HRDA head, 0..1, on the grid of the context."""
    if head.get("fixed_attention") is not None:
        grid = maps[0] if "decoder_params" in head else maps[head["in_index"]]
        return torch.full((1, 1, *grid.shape[2:]), head["fixed_attention"], dtype=torch.float64)
    config = attention_config(head)
    return decode(state, maps, config, training, f"{prefix}scale_attention.").sigmoid()


def windows(size: Sequence[int], window: Sequence[int], stride: Sequence[int]) -> list[list[int]]:
    """Top, bottom, left and right of windows over an image; the last ones are shifted back to its border."""
    starts = []
    for n, w, s in zip(size, window, stride, strict=True):
        count = max(n - w + s - 1, 0) // s + 1
        starts.append([max(min(i * s + w, n) - w, 0) for i in range(count)])
    ends = [[min(at + w, n) for at in places] for places, n, w in zip(starts, size, window, strict=True)]
    rows, columns = (list(zip(*pair, strict=True)) for pair in zip(starts, ends, strict=True))
    return [[top, bottom, left, right] for top, bottom in rows for left, right in columns]


def slid(
    image: Tensor, places: Sequence[Sequence[int]], function: Callable[[Tensor], Tensor], scale: int = 1
) -> Tensor:
    """The mean of what a function gives for windows, which it all sees at once; ``scale`` pixels per cell of it."""
    seen = torch.cat([image[..., top:bottom, left:right] for top, bottom, left, right in places])
    parts = function(seen).chunk(len(places))
    size = [n // scale for n in image.shape[2:]]
    total = torch.zeros((len(image), parts[0].shape[1], *size), dtype=torch.float64)
    count = torch.zeros(size, dtype=torch.float64)
    for part, place in zip(parts, places, strict=True):
        top, bottom, left, right = (edge // scale for edge in place)
        total[..., top:bottom, left:right] += part
        count[top:bottom, left:right] += 1
    return total / count


def segmented(
    state: State, image: Tensor, model: Config, training: bool = False, step: float = 0.5, blur: bool = False
) -> Tensor:
    """Logits of a whole network at its own stride; of HRDA, whose windows move by ``step`` of their side.

    The detail may be blurred to the resolution of the context.
    """
    head, backbone = model["decode_head"], model["backbone"]
    if model["type"] == "EncoderDecoder":
        return decode(state, encode(state, image, backbone, "backbone."), head, training, "decode_head.")
    low, high = min(model["scales"]) / max(model["scales"]), model["hr_crop_size"]
    small = resized(image, [int(n * low) for n in image.shape[2:]])
    context = encode(state, small, backbone, "backbone.")
    lr = decode(state, context, head, training, "decode_head.head.")
    attention = attended(state, context, head, training, "decode_head.")
    sharp = resized(small, image.shape[2:]) if blur else image

    def detail(seen: Tensor) -> Tensor:
        maps = encode(state, seen, backbone, "backbone.")
        return decode(state, maps, head, training, "decode_head.head.")

    places = windows(image.shape[2:], high, [int(n * step) for n in high])
    hr = slid(sharp, places, detail, scale=4)
    return resized(attention, hr.shape[2:]) * hr + resized((1 - attention) * lr, hr.shape[2:])


def model_config(rng: Rng, classes: int, two_scales: bool, crop: Sequence[int] = ()) -> dict[str, Any]:
    """Of a whole network; with a detail crop on two scales."""
    backbone = encoder_config(rng, depths=(1, 1, 1, 1)) | {
        "sr_ratios": [side(rng, 2, 4), side(rng, 1, 2), 1, 1]
    }
    head = decoder_config(rng, backbone["embed_dims"], classes)
    if not two_scales:
        return {"type": "EncoderDecoder", "backbone": backbone, "decode_head": head}
    head |= {"type": "HRDAHead", "single_scale_head": "DAFormerHead", "attention_embed_dim": side(rng, 2, 6)}
    head |= {"attention_classwise": bool(rng.integers(2)), "hr_loss_weight": 0.1, "lr_loss_weight": 0.0}
    return {
        "type": "HRDAEncoderDecoder",
        "backbone": backbone,
        "decode_head": head,
        "scales": [1, 0.5],
        "hr_crop_size": list(crop),
        "feature_scale": 0.5,
        "crop_coord_divisible": 8,
        "hr_slide_inference": True,
        "hr_slide_overlapping": True,
        "blur_hr_crop": False,
    }


def network(rng: Rng, model: Config) -> State:
    """Parameters of a whole network."""
    parameters = Parameters(rng)
    parameters.encoder(model["backbone"], "backbone.")
    head = model["decode_head"]
    if model["type"] == "EncoderDecoder":
        parameters.decoder(head, "decode_head.")
    else:
        parameters.decoder(head, "decode_head.head.")
        parameters.decoder(attention_config(head), "decode_head.scale_attention.")
    return parameters.state


def statistics_of(state: State) -> list[str]:
    """Names of the running statistics."""
    return [name for name in state if name.endswith(("running_mean", "running_var", "num_batches_tracked"))]

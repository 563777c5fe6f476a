"""The tiny networks of the recorded cases of test-time adaptation."""

from __future__ import annotations

from collections.abc import Sequence

import timm.models.vision_transformer as vit
import torch
from torch import Tensor, nn
from torch.nn import functional

from adaptbench.networks.inference import resize

from .case import Case


class TinySeg(nn.Module):
    """Three convolutions, two or three batch norms, and a classifier.

    Args:
        case: whose widths and options it takes.
        enlarged: logits at the size of the image, and not at a quarter of it.
    """

    def __init__(self, case: Case, enlarged: bool) -> None:
        super().__init__()
        first, second, third = case.hyper("widths")
        self.conv1 = nn.Conv2d(3, first, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.layer1 = nn.Sequential(
            nn.Conv2d(first, second, 3, 2, 1, bias=False), nn.BatchNorm2d(second), nn.ReLU()
        )
        self.conv3 = nn.Conv2d(second, third, 3, 1, 2, 2)
        if case.has("param/bn3.weight"):
            self.bn3 = nn.BatchNorm2d(third)
        self.gamma = _gamma(case, "gamma")
        self.seg_head = nn.Conv2d(third, case.hyper("num_classes"), 1)
        self.enlarged = enlarged

    def forward(self, image: Tensor) -> Tensor:
        features = self.conv3(self.layer1(torch.relu(self.bn1(self.conv1(image)))))
        features = torch.relu(self.bn3(features) if hasattr(self, "bn3") else features)
        logits: Tensor = self.seg_head(features if self.gamma is None else features * self.gamma)
        size = (image.shape[-2], image.shape[-1])
        return resize(logits, size, aligned=True) if self.enlarged else logits


class _ChannelNorm(nn.LayerNorm):
    """A layer norm over the channels of a map. Shape: ``(B, C, H, W)``, unchanged."""

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features.movedim(1, -1)).movedim(-1, 1)


class _Backbone(nn.Module):
    def __init__(self, first: int, second: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, first, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.conv2 = nn.Conv2d(first, second, 3, 2, 1)
        self.norm2 = _ChannelNorm(second)

    def forward(self, image: Tensor) -> Tensor:
        features = self.conv2(torch.relu(self.bn1(self.conv1(image))))
        return functional.gelu(self.norm2(features))


class _Head(nn.Module):
    def __init__(self, width: int, classes: int, gamma: nn.Parameter | None) -> None:
        super().__init__()
        self.linear_fuse = nn.Conv2d(width, width, 1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        self.gamma = gamma
        self.linear_pred = nn.Conv2d(width, classes, 1)

    def forward(self, features: Tensor) -> Tensor:
        features = torch.relu(self.bn(self.linear_fuse(features)))
        logits: Tensor = self.linear_pred(features if self.gamma is None else features * self.gamma)
        return logits


class TinySegFormer(nn.Module):
    """A batch norm and a layer norm in the encoder, a batch norm in the decoder; names as in the published network."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.backbone = _Backbone(*case.hyper("widths"))
        gamma = _gamma(case, "module.decode_head.gamma")
        self.decode_head = _Head(case.hyper("widths")[1], case.hyper("num_classes"), gamma)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.decode_head(self.backbone(image))
        return logits


class TinyViT(nn.Module):
    """Tokens without a class token, and a linear classifier. Logits have the resolution of the tokens."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        height, width = case.hyper("image_size")
        patch = case.hyper("patch_size")
        self.grid = (height // patch, width // patch)
        qkv = case.all_arrays["param/vit.blocks.0.mlp.fc1.weight"]
        self.vit = vit.VisionTransformer(
            img_size=(height, width), patch_size=patch, embed_dim=case.hyper("embed_dim"),
            depth=case.hyper("depth"), num_heads=case.hyper("num_heads"),
            mlp_ratio=qkv.shape[0] / qkv.shape[1], drop_path_rate=case.hyper("drop_path", 0.0),
            class_token=False, global_pool="", num_classes=0,
        )  # fmt: skip
        self.seg_head = nn.Linear(case.hyper("embed_dim"), case.hyper("num_classes"))

    def forward(self, image: Tensor) -> Tensor:
        tokens: Tensor = self.seg_head(self.vit.forward_features(image))
        return tokens.transpose(1, 2).unflatten(2, self.grid)


class MixedNorms(nn.Module):
    """Convolutions with a group norm, a batch norm and a layer norm between them, under the names of the case."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        state = {name: case.tensor(f"param/{name}") for name in case.arrays("param/")}
        owners = list(dict.fromkeys(name.rpartition(".")[0] for name in state))
        self.order = owners
        for place, owner in enumerate(owners):
            _put(self, owner, _layer(owner, state, is_first=place < 2))
        self.enlarged = case.all_arrays["out/logits/0"].shape[-2:] == tuple(case.hyper("image_size"))

    def forward(self, image: Tensor) -> Tensor:
        features = image
        for owner in self.order:
            layer = self.get_submodule(owner)
            features = layer(features)
            if isinstance(layer, nn.GroupNorm | nn.BatchNorm2d):
                features = torch.relu(features)
            elif isinstance(layer, nn.LayerNorm):
                features = functional.gelu(features)
        size = (image.shape[-2], image.shape[-1])
        return resize(features, size, aligned=True) if self.enlarged else features


def _layer(owner: str, state: dict[str, Tensor], is_first: bool) -> nn.Module:
    """A layer of `MixedNorms` by the shapes of its tensors: the first norm has two groups, the last is a layer norm."""
    weight = state[f"{owner}.weight"]
    if weight.dim() == 4:
        out, into, side, _ = weight.shape
        return nn.Conv2d(into, out, side, 2 if side == 3 else 1, side // 2, bias=f"{owner}.bias" in state)
    if f"{owner}.running_mean" in state:
        return nn.BatchNorm2d(len(weight))
    return nn.GroupNorm(2, len(weight)) if is_first else _ChannelNorm(len(weight))


def _put(network: nn.Module, name: str, layer: nn.Module) -> None:
    *path, last = name.split(".")
    for part in path:
        if not hasattr(network, part):
            network.add_module(part, nn.Module())
        network = network.get_submodule(part)
    network.add_module(last, layer)


def _gamma(case: Case, name: str) -> nn.Parameter | None:
    return nn.Parameter(case.tensor(f"param/{name}")) if case.has(f"param/{name}") else None


def load(case: Case, network: nn.Module, prefix: str = "param/") -> None:
    """Fills a network with the recorded state; counters of batches are not recorded."""
    state = {name: case.tensor(prefix + name) for name in case.arrays(prefix)}
    found = network.load_state_dict(state, strict=False)
    missing = [name for name in found.missing_keys if not name.endswith("num_batches_tracked")]
    assert not missing and not found.unexpected_keys, (missing, found.unexpected_keys)


def names_of(parameters: Sequence[nn.Parameter], network: nn.Module) -> list[str]:
    """Names of parameters in their network."""
    names = {id(value): name for name, value in network.named_parameters()}
    return [names[id(parameter)] for parameter in parameters]

"""ImageNet files in every published naming give the same features; what does not fit is refused with a reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from mmseg.registry import MODELS
from torch import Tensor, nn

from adaptbench.errors import WeightsError
from adaptbench.networks.mit import MiT
from adaptbench.networks.pretrained.encoders import encoder_state
from adaptbench.networks.timm_backbone import TimmEncoder

FILE = Path("weights.pth")
Tensors = dict[str, Tensor]
_TINY: Mapping[str, Any] = {"channels": (8, 16, 20, 32), "depths": (1, 2, 1, 1)}


def mit(seed: int = 0) -> MiT:
    torch.manual_seed(seed)
    return MiT(**_TINY).eval()


def built(kind: str, **options: Any) -> nn.Module:
    """A backbone of mmsegmentation in evaluation mode."""
    network: nn.Module = MODELS.build({"type": kind, **options})
    network.eval()
    return network


def plain_resnet() -> nn.Module:
    return built("ResNet", depth=18, norm_cfg={"type": "BN"})


def resnet_v1c(depth: int = 18) -> nn.Module:
    return built("ResNetV1c", depth=depth, norm_cfg={"type": "BN"})


def shaken(network: nn.Module) -> nn.Module:
    """A network whose every tensor differs from its neighbours', batch norm statistics included."""
    generator = torch.Generator().manual_seed(1)
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) * 0.1 + 0.02)
    network.eval()
    return network


def named(tensors: Mapping[str, Tensor], *rules: tuple[str, str]) -> Tensors:
    """``tensors`` under other names: every rule is applied to every name."""

    def name(text: str) -> str:
        for pattern, replacement in rules:
            text = re.sub(pattern, replacement, text)
        return text

    return {name(key): tensor for key, tensor in tensors.items()}


def counted_from_0(tensors: Mapping[str, Tensor]) -> Tensors:
    return {
        re.sub(
            r"(patch_embed|block|norm)([1-4])(?=\.)(?<!\.norm[12])", lambda m: f"{m[1]}<{int(m[2]) - 1}>", k
        ): v
        for k, v in tensors.items()
    }


def as_mmsegmentation(tensors: Tensors) -> Tensors:
    """One matrix for queries, keys and values, and 1x1 convolutions for linear layers."""
    found: Tensors = {}
    for name, tensor in counted_from_0(tensors).items():
        if ".attn.q." in name:
            both = torch.cat([tensor, counted_from_0(tensors)[name.replace(".q.", ".kv.")]])
            found[name.replace("attn.q.", "attn.attn.in_proj_")] = both
        elif ".attn.kv." not in name:
            found[name] = tensor[..., None, None] if re.search(r"mlp\.fc\d\.weight", name) else tensor
    return named(
        found,
        (r"^patch_embed<(\d)>\.proj", r"layers.\1.0.projection"),
        (r"^patch_embed<(\d)>", r"layers.\1.0"),
        (r"^block<(\d)>", r"layers.\1.1"),
        (r"^norm<(\d)>", r"layers.\1.2"),
        (r"attn\.proj", "attn.attn.out_proj"),
        (r"mlp\.fc1", "ffn.layers.0"),
        (r"mlp\.dwconv\.dwconv", "ffn.layers.1"),
        (r"mlp\.fc2", "ffn.layers.4"),
    )


def as_transformers(tensors: Tensors) -> Tensors:
    """A matrix each for queries, keys and values."""
    found: Tensors = {}
    for name, tensor in counted_from_0(tensors).items():
        if ".attn.kv." in name:
            key, value = tensor.chunk(2)
            found |= {
                name.replace("attn.kv", f"attention.self.{k}"): v for k, v in (("key", key), ("value", value))
            }
        else:
            found[name] = tensor
    return named(
        found,
        (r"patch_embed<(\d)>\.norm", r"patch_embeddings.\1.layer_norm"),
        (r"patch_embed<(\d)>", r"patch_embeddings.\1"),
        (r"^norm<(\d)>", r"layer_norm.\1"),
        (r"block<(\d)>", r"block.\1"),
        (r"attn\.q", "attention.self.query"),
        (r"attn\.proj", "attention.output.dense"),
        (r"attn\.norm", "attention.self.layer_norm"),
        (r"attn\.sr", "attention.self.sr"),
        (r"\.norm([12])\.", r".layer_norm_\1."),
        (r"mlp\.fc", "mlp.dense"),
        (r"^", "segformer.encoder."),
    )


def features(network: nn.Module, size: int = 64) -> list[Tensor]:
    torch.manual_seed(5)
    with torch.no_grad():
        return list(network(torch.randn(1, 3, size, size)))


def check_equal(network: nn.Module, other: nn.Module) -> None:
    for mine, theirs in zip(features(network), features(other), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


HEADS: Mapping[str, tuple[str, Callable[[Tensors], Tensors]]] = {
    "official": ("head", lambda tensors: tensors),
    "mmsegmentation": ("head", as_mmsegmentation),
    "transformers": ("classifier", as_transformers),
}


@pytest.mark.parametrize("naming", HEADS)
def test_mit_in_every_naming(naming: str) -> None:
    trained, fresh = mit(1), mit(2)
    head, convert = HEADS[naming]
    file = {
        **convert(dict(trained.state_dict())),
        f"{head}.weight": torch.ones(9, 32),
        f"{head}.bias": torch.ones(9),
    }
    fresh.load_state_dict(encoder_state(file, fresh, FILE))
    assert all(torch.equal(a, b) for a, b in zip(features(fresh), features(trained), strict=True))


def test_the_converted_names_are_those_of_mmsegmentation() -> None:
    """Its own network computes the same from the file, so that the test above tests the true format."""
    trained = mit(1)
    theirs = built(
        "MixVisionTransformer",
        embed_dims=4,
        num_heads=(2, 4, 5, 8),
        num_layers=(1, 2, 1, 1),
        sr_ratios=(8, 4, 2, 1),
    )
    mine = MiT(channels=(8, 16, 20, 32), depths=(1, 2, 1, 1), heads=(2, 4, 5, 8)).eval()
    mine.load_state_dict(trained.state_dict())
    theirs.load_state_dict(as_mmsegmentation(dict(trained.state_dict())), strict=True)
    check_equal(mine, theirs)


def classifier_features(model: nn.Module, image: Tensor) -> list[Tensor]:
    """The maps of the four stages inside a torchvision or timm classifier."""
    maps: list[Tensor] = []
    stages = [model.get_submodule(f"layer{number}") for number in (1, 2, 3, 4)]
    handles = [stage.register_forward_hook(lambda _, __, out: maps.append(out)) for stage in stages]
    with torch.no_grad():
        model.eval()(image)
    for handle in handles:
        handle.remove()
    return maps


def check_same_maps(network: nn.Module, classifier: nn.Module) -> None:
    torch.manual_seed(5)
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        maps = list(network(image))[-4:]
    for mine, theirs in zip(maps, classifier_features(classifier, image), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def test_torchvision_in_mmsegmentations_resnet() -> None:
    classifier = shaken(torchvision.models.resnet18(weights=None))
    network = plain_resnet()
    network.load_state_dict(encoder_state(classifier.state_dict(), network, FILE))
    check_same_maps(network, classifier)


def test_old_files_without_counters_of_batches() -> None:
    classifier = shaken(torchvision.models.resnet18(weights=None))
    file = {k: v for k, v in classifier.state_dict().items() if not k.endswith("num_batches_tracked")}
    network = plain_resnet()
    state = encoder_state(file, network, FILE)
    assert state["bn1.num_batches_tracked"] == 0
    network.load_state_dict(state)
    check_same_maps(network, classifier)


def test_timms_deep_stem_in_resnet_v1c() -> None:
    classifier = shaken(timm.create_model("resnet50c", pretrained=False))
    network = resnet_v1c(50)
    network.load_state_dict(encoder_state(classifier.state_dict(), network, FILE))
    check_same_maps(network, classifier)


def test_open_mmlabs_v1c_and_back_to_timm() -> None:
    """The file of a v1c network, with its classifier, in timm's encoder of the same form."""
    trained = shaken(resnet_v1c(50))
    file = {**trained.state_dict(), "fc.weight": torch.ones(9, 2048), "fc.bias": torch.ones(9)}
    network = TimmEncoder("resnet50c").eval()
    network.load_state_dict(encoder_state(file, network, FILE))
    for mine, theirs in zip(features(network)[1:], features(trained), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def test_mmpretrains_names() -> None:
    """A prefix for the encoder, and pairs of convolution and norm in the stem."""
    trained = shaken(resnet_v1c(18))
    kinds = {0: "conv", 1: "bn"}
    file = {
        re.sub(r"^stem\.(\d)", lambda m: f"stem.{int(m[1]) // 3}.{kinds[int(m[1]) % 3]}", name): tensor
        for name, tensor in trained.state_dict().items()
    }
    file = {f"backbone.{name}": tensor for name, tensor in file.items()} | {"head.fc.bias": torch.ones(9)}
    assert "backbone.stem.2.bn.running_var" in file
    network = resnet_v1c(18)
    network.load_state_dict(encoder_state(file, network, FILE))
    assert all(torch.equal(a, b) for a, b in zip(features(network), features(trained), strict=True))


@pytest.mark.parametrize("model", ["resnet18", "convnext_atto", "efficientnet_lite0", "vit_tiny_patch16_224"])
def test_timm_files_in_timm_encoders(model: str) -> None:
    """Whatever timm does to the names of its feature pyramids."""
    whole = shaken(timm.create_model(model, pretrained=False))
    network = TimmEncoder(model).eval()
    state = encoder_state(whole.state_dict(), network, FILE)
    network.load_state_dict(state)
    assert len({tensor.data_ptr() for tensor in state.values() if tensor.numel()}) == len(state)
    reference = timm.create_model(
        model,
        pretrained=True,
        features_only=True,
        pretrained_cfg_overlay={"state_dict": whole.state_dict(), "num_classes": 1000},
    )
    assert list(reference.state_dict().values())
    for mine, theirs in zip(
        network.model.state_dict().values(), reference.state_dict().values(), strict=True
    ):
        assert torch.equal(mine, theirs)


def refused(file: Mapping[str, Tensor], network: nn.Module) -> str:
    with pytest.raises(WeightsError) as error:
        encoder_state(file, network, FILE)
    return str(error.value)


def test_a_seven_by_seven_stem_is_told_in_words() -> None:
    said = refused(torchvision.models.resnet50(weights=None).state_dict(), resnet_v1c(50))
    assert said.startswith(
        "weights.pth does not fit the encoder (ResNetV1c): it lacks 18 of 330 tensors (stem.0.weight, "
    )
    assert "The file has the single 7x7 convolution of torchvision's ResNet as its stem" in said
    assert "use resnet50_v1c-2cccc1ad.pth of open-mmlab, or timm's resnet50c.gluon_in1k" in said


def test_a_deep_stem_for_a_network_with_a_plain_one() -> None:
    network = plain_resnet()
    assert "the network has torchvision's single 7x7 convolution" in refused(
        resnet_v1c(18).state_dict(), network
    )


def test_pooling_shortcuts_are_told_in_words() -> None:
    said = refused(timm.create_model("resnet50d", pretrained=False).state_dict(), resnet_v1c(50))
    assert "The file is of a ResNet-D, whose shortcuts pool" in said


def test_everything_missing_and_surplus_is_listed_up_to_a_number() -> None:
    file = dict(mit().state_dict())
    del file["norm4.weight"]
    file["decode_head.linear"] = torch.ones(2)
    said = refused(file, mit())
    assert (
        "it lacks 1 of 120 tensors (norm4.weight); it has 1 that the network does not have (decode_head.linear)"
        in said
    )
    deeper = MiT(channels=(8, 16, 20, 32), depths=(1, 2, 4, 1))
    assert re.search(
        r"it lacks 61 of 180 tensors \(block3\.1\.norm1\.weight, .* and 41 more\)", refused(file, deeper)
    )


def test_other_shapes_are_listed() -> None:
    said = refused(mit().state_dict(), MiT(channels=(8, 16, 20, 64), depths=(1, 2, 1, 1)))
    assert "have another shape (patch_embed4.proj.weight 32x20x3x3 instead of 64x20x3x3" in said


def test_only_classifiers_are_dropped() -> None:
    file = {**mit().state_dict(), "head.norm.weight": torch.ones(3)}
    assert "it has 1 that the network does not have (head.norm.weight)" in refused(file, mit())


def test_another_family() -> None:
    said = refused(torchvision.models.resnet18(weights=None).state_dict(), mit())
    assert said == ("weights.pth holds a ResNet in torchvision's names, but the encoder (MiT) is a MiT.")


def test_a_naming_nobody_knows() -> None:
    said = refused({"layer.kernel": torch.ones(2)}, mit())
    assert (
        "its names (layer.kernel) are of no known kind. Known: MiT in the official SegFormer's names, "
        in said
    )


def test_a_network_with_a_naming_of_its_own_takes_its_own_files_only() -> None:
    network = built("MixVisionTransformer", embed_dims=4, num_layers=(1, 1, 1, 1))
    own = network.state_dict()
    assert all(torch.equal(own[k], v) for k, v in encoder_state(own, network, FILE).items())
    assert "takes only files with mmsegmentation's names" in refused(mit().state_dict(), network)

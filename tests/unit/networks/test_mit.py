from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from adaptbench.networks import mit

SMALL = {"channels": (8, 8, 10, 16), "depths": (1, 2, 1, 1)}


def naive_attention(module: mit.Attention, tokens: Tensor, size: tuple[int, int]) -> Tensor:
    """Attention head by head, as the equations of the paper say it."""
    batch, _, channels = tokens.shape
    reduced = tokens
    if module.sr is not None:
        feature_map = tokens.transpose(1, 2).reshape(batch, channels, *size)
        reduced = module.norm(module.sr(feature_map).flatten(2).transpose(1, 2))
    query = module.q(tokens)
    key, value = module.kv(reduced)[..., :channels], module.kv(reduced)[..., channels:]
    width = channels // module.heads
    outputs = []
    for head in range(module.heads):
        part = slice(head * width, (head + 1) * width)
        scores = query[..., part] @ key[..., part].transpose(1, 2) / width**0.5
        outputs.append(scores.softmax(-1) @ value[..., part])
    out: Tensor = module.proj(torch.cat(outputs, -1))
    return out


@pytest.mark.parametrize("size", [(8, 8), (9, 13), (4, 7)])
@pytest.mark.parametrize(("heads", "reduction"), [(1, 4), (2, 2), (5, 1)])
def test_attention_is_that_of_the_paper(size: tuple[int, int], heads: int, reduction: int) -> None:
    torch.manual_seed(0)
    module = mit.Attention(10, heads, reduction)
    tokens = torch.randn(2, size[0] * size[1], 10)
    torch.testing.assert_close(module(tokens, size), naive_attention(module, tokens, size))


@pytest.mark.parametrize("size", [(64, 96), (70, 90), (33, 65)])
def test_maps_have_rounded_up_sizes_and_declared_channels(size: tuple[int, int]) -> None:
    maps = mit.MiT(**SMALL)(torch.zeros(1, 3, *size))
    for stride, channels, features in zip((4, 8, 16, 32), SMALL["channels"], maps, strict=True):
        assert features.shape == (1, channels, -(-size[0] // stride), -(-size[1] // stride))


def test_drop_path_rises_linearly_over_all_blocks() -> None:
    rates = [part.rate for part in mit.MiT(**SMALL).modules() if isinstance(part, mit.DropPath)]
    assert rates == pytest.approx([0, 0.025, 0.05, 0.075, 0.1])


def test_drop_path_drops_whole_samples_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    branch = torch.ones(4000, 3, 2)
    dropped = mit.DropPath(0.25)(branch)
    torch.testing.assert_close(dropped.flatten(1).amin(1), dropped.flatten(1).amax(1))
    kept = dropped[:, 0, 0] > 0
    torch.testing.assert_close(dropped[kept], torch.full_like(dropped[kept], 4 / 3))
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.05)


def test_drop_path_rests_in_evaluation() -> None:
    branch = torch.ones(50, 3, 2)
    assert torch.equal(mit.DropPath(0.5).eval()(branch), branch)


def test_checkpointing_changes_no_gradient() -> None:
    image = torch.randn(2, 3, 32, 64)
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        network = mit.MiT(**SMALL, checkpointing=checkpointing)
        torch.manual_seed(1)
        sum(features.square().mean() for features in network(image)).backward()  # type: ignore[union-attr]
        gradients.append([parameter.grad for parameter in network.parameters()])
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed)


def test_style_module_acts_behind_the_first_stage_in_training_only() -> None:
    class Double(nn.Module):
        def forward(self, features: Tensor) -> Tensor:
            return torch.cat([features, -features])

    network = mit.MiT(**SMALL)
    network.style_hallucination = Double()
    image = torch.randn(2, 3, 32, 32)
    assert [len(features) for features in network(image)] == [4, 4, 4, 4]
    assert [len(features) for features in network.eval()(image)] == [2, 2, 2, 2]


def test_heads_must_divide_the_channels() -> None:
    with pytest.raises(ValueError, match="multiple of 3 heads"):
        mit.Attention(8, 3, 1)


@pytest.mark.parametrize(
    ("name", "million"),
    [
        ("mit_b0", 3.3),
        ("mit_b1", 13.2),
        ("mit_b2", 24.2),
        ("mit_b3", 44.1),
        ("mit_b4", 60.8),
        ("mit_b5", 81.4),
    ],
)
def test_variants_have_the_published_number_of_parameters(name: str, million: float) -> None:
    config = {key: value for key, value in mit.VARIANTS[name].items() if key != "type"}
    with torch.device("meta"):
        network = mit.MiT(**config)
    assert sum(parameter.numel() for parameter in network.parameters()) / 1e6 == pytest.approx(
        million, abs=0.1
    )

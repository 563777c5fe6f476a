from __future__ import annotations

import torch

from adaptbench.networks.adapters.rein import Rein, start_bound


def test_start_values_are_uniform_up_to_the_bound() -> None:
    rein = Rein(layers=4, channels=24, tokens=30, rank=6, query_channels=5, patch=4)
    full = Rein(layers=4, channels=24, tokens=30, rank=None, query_channels=5, patch=4)
    for tensor, bound in (
        (rein.learnable_tokens_a, start_bound(4, 24, 6)),
        (rein.learnable_tokens_b, start_bound(4, 24, 6)),
        (full.learnable_tokens, start_bound(4, 24, None)),
    ):
        assert 0.95 * bound < tensor.abs().max() <= bound
        assert abs(float(tensor.detach().mean())) < 0.1 * bound
    assert rein.scale.shape == () and float(rein.scale.detach()) == torch.tensor(1e-3)


def test_it_may_change_nothing_at_the_start() -> None:
    rein = Rein(layers=2, channels=6, tokens=4, rank=None, query_channels=3, start_at_zero=True)
    sequence = torch.randn(2, 5, 6)
    assert torch.equal(rein(sequence, 1), sequence)
    assert "scale" not in rein.state_dict()
    rein(sequence, 1).square().sum().backward()
    assert rein.mlp_delta_f.weight.grad is not None and rein.mlp_delta_f.weight.grad.any()


def test_without_softmax_similarities_are_plain_products() -> None:
    rein = Rein(layers=1, channels=6, tokens=4, rank=None, query_channels=3, softmax=False)
    features, tokens = torch.randn(2, 5, 6), torch.randn(4, 6)
    expected = torch.einsum("bnc,tc->bnt", features, tokens)
    torch.testing.assert_close(rein.similarity(features, tokens), expected)


def test_any_number_of_entries_passes_unchanged() -> None:
    rein = Rein(layers=1, channels=6, tokens=4, rank=2, query_channels=3, scale=1.0)
    sequence = torch.randn(2, 9, 6)
    changed = rein(sequence, 0, passed=5)
    assert torch.equal(changed[:, :5], sequence[:, :5])
    assert (changed[:, 5:] != sequence[:, 5:]).all()

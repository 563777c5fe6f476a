from __future__ import annotations

import torch
from torch import nn

from adaptbench.networks.frozen_norm import FrozenBatchNorm2d, freeze_norms, keep_statistics


def test_statistics_are_kept_in_training_and_no_epsilon_is_added() -> None:
    norm = nn.BatchNorm2d(2)
    norm.running_mean.copy_(torch.tensor([1.0, -1.0]))  # type: ignore[union-attr]
    norm.running_var.copy_(torch.tensor([1e-6, 4.0]))  # type: ignore[union-attr]
    module = nn.Sequential(nn.Sequential(norm)).train()
    freeze_norms(module)
    image = torch.randn(2, 2, 3, 3)
    module.train()
    expected = (image - torch.tensor([1.0, -1.0]).view(2, 1, 1)) / torch.tensor([1e-3, 2.0]).view(2, 1, 1)
    torch.testing.assert_close(module(image), expected, rtol=1e-5, atol=1e-4)
    frozen = module[0][0]  # type: ignore[index]
    assert isinstance(frozen, FrozenBatchNorm2d)
    torch.testing.assert_close(frozen.running_mean, norm.running_mean, rtol=0, atol=0)
    assert not any(parameter.requires_grad for parameter in module.parameters())


def test_kept_statistics_leave_the_weights_to_training() -> None:
    """From the start, before anybody has switched to training mode, and after."""
    module = nn.Sequential(nn.BatchNorm2d(2), nn.ReLU())
    keep_statistics(module)
    image = 5 + torch.randn(4, 2, 3, 3)
    for network in (module, module.train()):
        torch.testing.assert_close(network[0](image), image / (1 + 1e-5) ** 0.5)
    assert torch.equal(module[0].running_mean, torch.zeros(2))  # type: ignore[arg-type]
    module(image).sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())

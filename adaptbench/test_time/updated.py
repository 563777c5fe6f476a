"""Which parameters test-time adaptation updates, restores and averages."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn
from torch.nn import Parameter

from adaptbench.errors import UsageError

#: What the official code of TENT, and its form for segmentation, update.
OFFICIAL = (nn.BatchNorm2d,)
#: What its form for classification updates.
ALL_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm)

_AFFINE = ("weight", "bias")


def train_norms(network: nn.Module, kinds: tuple[type[nn.Module], ...] = OFFICIAL) -> dict[str, Parameter]:
    """Makes weights and biases of norms the only ones that train, by name; those that were frozen train, too.

    Raises:
        UsageError: the network has no such norm.

    Source: TENT, arXiv 2006.10726, section 3.2; docs/quirks.md#t5.
    """
    network.requires_grad_(False)
    chosen = {name: p for name, p, owner in _affine(network) if isinstance(owner, kinds)}
    return _training(chosen, ", ".join(kind.__name__ for kind in kinds))


def train_named_norms(network: nn.Module) -> dict[str, Parameter]:
    """Makes parameters with "norm" or "bn" anywhere in their names the only ones that train.

    One that was frozen stays so.

    Raises:
        UsageError: the network has none.

    Source: code of CoTTA for ACDC; docs/quirks.md#t8.
    """
    trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
    network.requires_grad_(False)
    chosen = {name: p for name, p in trained.items() if "norm" in name or "bn" in name}
    return _training(chosen, 'parameter with "norm" or "bn" in its name')


def weights_and_biases(network: nn.Module) -> dict[str, Parameter]:
    """Trained parameters whose own names are weight or bias; tokens, positions and scales are left out.

    Source: code of CoTTA; docs/quirks.md#t21.
    """
    return {name: parameter for name, parameter, _ in _affine(network) if parameter.requires_grad}


def _affine(network: nn.Module) -> Iterator[tuple[str, Parameter, nn.Module]]:
    """Weights and biases with the modules that own them, in the order of modules."""
    for prefix, module in network.named_modules():
        for name, parameter in module.named_parameters(prefix, recurse=False):
            if name.rpartition(".")[2] in _AFFINE:
                yield name, parameter, module


def _training(chosen: dict[str, Parameter], what: str) -> dict[str, Parameter]:
    if not chosen:
        raise UsageError(
            f"This network has no {what} with weights, so there is nothing that entropy minimisation could update. "
            "Choose another network, or another form of test-time adaptation."
        )
    for parameter in chosen.values():
        parameter.requires_grad_(True)
    return chosen

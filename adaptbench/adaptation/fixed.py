"""What of a network is fixed at its start weights while an adapter is trained in its place.

It moves in no average and is written into no checkpoint: it is there wherever the start weights are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from torch import Tensor, nn

from adaptbench.storage.tensor_digest import digest

_MARK = "fixed_at_start"
#: Ends of names of what may be computed when start weights are read, with bits that differ between machines: patches
#: and positions of another size than in the file. They are small, and are written like what was trained.
_COMPUTED = ("pos_embed", "patch_embed.proj.weight")


@dataclass(frozen=True)
class Fixed:
    """What of an encoder is fixed.

    Attributes:
        network: name of the network that the encoder is of.
        pretraining: the setting that says what it starts from.
        data: what the start weights were trained on, in words.
        names: of its tensors, within the encoder.
        digest: of these tensors.
    """

    network: str
    pretraining: str
    data: str
    names: frozenset[str]
    digest: str

    def tensors(self, state: Mapping[str, Tensor], prefix: str = "") -> dict[str, Tensor]:
        """The fixed tensors of an encoder, from a state that has them behind a prefix."""
        return {name: state[prefix + name] for name in self.names}

    def holds(self, state: Mapping[str, Tensor], prefix: str = "") -> bool:
        """Whether these tensors are in the state, bit for bit."""
        return digest(self.tensors(state, prefix)) == self.digest


def fixed_names(encoder: nn.Module) -> frozenset[str]:
    """Names of the tensors of an encoder that nothing trains."""
    trained = {name for name, parameter in encoder.named_parameters() if parameter.requires_grad}
    return frozenset(
        name for name in encoder.state_dict() if name not in trained and not name.endswith(_COMPUTED)
    )


def fix(encoder: nn.Module, network: str, pretraining: str, data: str) -> None:
    """Notes that what nothing trains in the encoder is fixed as it is now; copies of the encoder know it, too."""
    names, state = fixed_names(encoder), encoder.state_dict()
    of = digest({name: state[name] for name in names})
    setattr(encoder, _MARK, Fixed(network, pretraining, data, names, of))


def refix(encoder: nn.Module, fixed: Fixed, digest: str) -> None:
    """Notes that what is fixed in the encoder has become other tensors, of that digest."""
    setattr(encoder, _MARK, replace(fixed, digest=digest))


def fixed_parts(network: nn.Module) -> Iterator[tuple[str, Fixed]]:
    """What is fixed in the encoders of a network, with the prefixes of their tensors' names."""
    for name, module in network.named_modules(remove_duplicate=False):
        found = getattr(module, _MARK, None)
        if isinstance(found, Fixed):
            yield f"{name}." if name else "", found


def release_changed(network: nn.Module) -> None:
    """Forgets what was fixed in encoders that have got other weights since."""
    state = network.state_dict()
    for prefix, fixed in list(fixed_parts(network)):
        if not fixed.holds(state, prefix):
            delattr(network.get_submodule(prefix.removesuffix(".")), _MARK)


def fixed_in(network: nn.Module) -> set[str]:
    """Names of all that is fixed in a network."""
    return {prefix + name for prefix, fixed in fixed_parts(network) for name in fixed.names}

"""What of a method is written to files, and how a method is filled from them: the one place for all weights of stages.

It is everything the method holds, but for what is fixed at start weights under an adapter (`adaptation.fixed`). Of that
only the digest is written, and whoever loads brings the start weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from adaptbench import networks
from adaptbench.adaptation.fixed import Fixed, fixed_parts, refix
from adaptbench.contracts.method import Method
from adaptbench.errors import WeightsError
from adaptbench.networks.adapters import soma
from adaptbench.networks.pretrained.fit import fitted
from adaptbench.storage.tensor_digest import digest as tensor_digest

#: In front of the names of a method's tensors in a file.
_METHOD = "method."
#: Fact of a file that lacks what is fixed: prefix of an encoder's tensors -> digest of what is fixed there.
_START = "start_weights"
#: Ends of the names of tensors that residuals are made anew with.
_FACTORS = (".start_A", ".start_B")


def full_state(method: nn.Module) -> dict[str, Tensor]:
    """Everything the method holds, under the names of a file."""
    return {_METHOD + name: tensor for name, tensor in method.state_dict().items()}


def written_state(method: nn.Module, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and facts that are written of a `full_state`, which may be an earlier one of the method.

    An encoder that does not hold its start weights any more is written whole.
    """
    tensors, digests = dict(state), {}
    for prefix, fixed in fixed_parts(method):
        if not fixed.holds(state, _METHOD + prefix):
            continue
        digests[prefix] = fixed.digest
        for name in fixed.names:
            del tensors[_METHOD + prefix + name]
        factors = soma.start_factors(_encoder(method, prefix))
        tensors.update({_METHOD + prefix + name: tensor for name, tensor in factors.items()})
    return tensors, {_START: digests} if digests else {}


def is_written(method: nn.Module, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> bool:
    """Whether a file is of the method as it is, bit for bit; older files hold everything."""
    state = full_state(method)
    own, own_facts = written_state(method, state) if needs_start_weights(facts) else (state, {})
    return facts.get(_START) == own_facts.get(_START) and tensor_digest(tensors) == tensor_digest(own)


def needs_start_weights(facts: Mapping[str, Any]) -> bool:
    """Whether a file lacks what is fixed, so that a method which is filled from it has to have its start weights."""
    return _START in facts


def fill(method: Method, tensors: Mapping[str, Tensor], facts: Mapping[str, Any], origin: Path) -> None:
    """Fills a method from what was written; it has its start weights where they are needed.

    Raises:
        WeightsError: names or shapes are others, or the start weights are not those that were trained on.
    """
    own = {name.removeprefix(_METHOD): t for name, t in tensors.items() if name.startswith(_METHOD)}
    digests: Mapping[str, str] = facts.get(_START, {})
    known = dict(fixed_parts(method))
    if unknown := sorted(digests.keys() - known.keys()):
        raise WeightsError(
            f"{origin} was trained around fixed weights of {unknown[0].removesuffix('.')}, of which the method "
            f"{method.name} has none."
        )
    state = method.state_dict()
    start = {prefix + name: state[prefix + name] for prefix in digests for name in known[prefix].names}
    written = {name: tensor for name, tensor in own.items() if not name.endswith(_FACTORS)}
    merged = fitted({**start, **written}, state, origin, f"the method {method.name}")
    for prefix, digest in digests.items():
        _start_as_written(_encoder(method, prefix), prefix, known[prefix], own, digest, origin)
    method.load_state_dict(merged)


def _start_as_written(
    encoder: nn.Module, prefix: str, fixed: Fixed, own: Mapping[str, Tensor], digest: str, origin: Path
) -> None:
    """Sees to it that what is fixed in an encoder is what a file was trained around."""
    if factors := soma.start_factors(encoder):
        found = {name.removeprefix(prefix): tensor for name, tensor in own.items() if name.startswith(prefix)}
        written = {name: tensor for name, tensor in found.items() if name.endswith(_FACTORS)}
        same = fitted(written, factors, origin, f"the components of {fixed.network}")
        soma.restart(encoder, same, networks.start_encoder(fixed.network, fixed.pretraining))
    if tensor_digest(fixed.tensors(encoder.state_dict())) != digest:
        raise WeightsError(
            f"{origin} holds only what was trained, around the weights that {fixed.network} starts from, and those "
            f"found here ({fixed.data}) are others. Bring the start weights of that training, or train again."
        )
    refix(encoder, fixed, digest)


def _encoder(method: nn.Module, prefix: str) -> nn.Module:
    return method.get_submodule(prefix.removesuffix("."))

"""What the recorded cases of test-time adaptation share: decisions, gradients, and states along a stream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from adaptbench.test_time.outcome import Outcome, Update

from .case import Case

#: Logits that differ by less are a tie, say the case files.
_TIE = 1e-5


@dataclass(frozen=True)
class Recorded:
    """The recorded decisions of one image. Crops and flips are recorded per step, masks per step or once."""

    case: Case
    image: int

    def places(self, step: int, image: tuple[int, int], crop: tuple[int, int]) -> Sequence[tuple[int, int]]:
        recorded = self.case.all_arrays["in/draws/crop"][self.image, step]
        assert (recorded >= 0).all() and (recorded + crop <= image).all()
        return [(int(top), int(left)) for top, left in recorded]

    def mirrored(self, step: int, scale: int) -> Tensor:
        return self.case.tensor("in/draws/flip")[self.image, step, scale].bool()

    def restored(self, step: int, name: str, value: Tensor, share: float) -> Tensor:
        return self.case.tensor(self._mask(step, name)).bool()

    def _mask(self, step: int, name: str) -> str:
        """Full name of a mask; parameters may have the prefix of a wrapper."""
        places = [f"in/draws/restore_mask/{self.image}/{part}" for part in (f"{step}/", "", "module.")]
        return next(place + name for place in places if self.case.has(place + name))

    def masked(self) -> set[str]:
        """Names of the parameters that have a mask."""
        names = self.case.arrays(f"in/draws/restore_mask/{self.image}/")
        return {name.lstrip("0123456789/").removeprefix("module.") for name in names}


class Gradients:
    """Gradients of every update, by names, as they stand when a backward pass is done."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.found: dict[str, list[Tensor]] = {}
        for name, parameter in network.named_parameters():
            if parameter.requires_grad:
                parameter.register_post_accumulate_grad_hook(self._keep(name))

    def _keep(self, name: str) -> Any:
        def keep(parameter: Tensor) -> None:
            assert parameter.grad is not None
            self.found.setdefault(name, []).append(parameter.grad.clone())

        return keep

    def compare(self, case: Case) -> None:
        """With ``out/grad/N/``, and with ``out/grad_first_step/``."""
        for name in case.arrays("out/grad/"):
            update, _, parameter = name.partition("/")
            case.compare(f"out/grad/{name}", self.found[parameter][int(update)])
        for name in case.arrays("out/grad_first_step/"):
            case.compare(f"out/grad_first_step/{name}", self.found[name][0])


def compare_state(case: Case, group: str, image: int, network: nn.Module, start: str = "param/") -> None:
    """The changes of all recorded parameters since the image before."""
    for name in case.arrays(f"out/{group}/{image}/"):
        before = f"out/{group}/{image - 1}/{name}" if image else start + name
        value = network.get_parameter(name)
        case.compare(f"out/{group}/{image}/{name}", value, since=before)


def compare_logits(case: Case, image: int, logits: Tensor) -> None:
    """Logits, and the most likely classes where two are not nearly equal."""
    case.compare(f"out/logits/{image}", logits)
    best = logits.topk(2, dim=1).values
    case.compare(f"out/prediction/{image}", logits.argmax(dim=1), where=best[:, 0] - best[:, 1] > _TIE)


def all_updates(outcomes: Iterable[Outcome]) -> list[Update]:
    return [update for outcome in outcomes for update in outcome.updates]


def compare_updates(case: Case, outcomes: Sequence[Outcome]) -> list[Update]:
    """Losses and decisions of all updates, in order; what is not recorded is left out."""
    updates = all_updates(outcomes)
    case.compare("out/loss", torch.stack([update.loss for update in updates]))
    if case.has("out/anchor_confidence"):
        confidences = [update.confidence for update in updates if update.confidence is not None]
        case.compare("out/anchor_confidence", torch.stack(confidences))
        case.compare("out/ensemble_used", [update.averaged for update in updates])
    return updates


def optimizer_of(case: Case, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimiser that a case states."""
    common: Mapping[str, Any] = {"lr": case.hyper("lr"), "weight_decay": case.hyper("weight_decay", 0.0)}
    if case.hyper("optimiser") == "Adam":
        return torch.optim.Adam(parameters, betas=(case.hyper("beta", 0.9), 0.999), **common)
    assert case.hyper("optimiser") == "SGD", case.hyper("optimiser")
    return torch.optim.SGD(
        parameters,
        momentum=case.hyper("momentum", 0.9),
        dampening=case.hyper("dampening", 0.0),
        nesterov=case.hyper("nesterov", True),
        **common,
    )


def images_of(case: Case) -> list[Tensor]:
    return [case.tensor(f"in/image/{number}") for number in case.numbered("in/image/")]

"""EHTDI in training on recorded images, and what is seen of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from adaptbench.adaptation.seg_loss import resize_logits
from adaptbench.optim.optimizer import by_name
from methods import ehtdi

from .boundary_mixing import Step, batch_of, method_of
from .case import Case
from .stand_ins import our_name, unused


class Training:
    """Trains for the recorded number of iterations.

    Put in the place of production code are only the network, the crops with their views, and the picks.

    Args:
        case: the trajectory.
        network: the stand-in, without the recorded weights.
        changes: of the settings.
    """

    def __init__(self, case: Case, network: nn.Module, **changes: Any) -> None:
        self.case = case
        self.method = method_of(case, network, **{**_training_settings(case), **changes})
        start = {our_name(name): case.tensor(f"param/{name}") for name in self._names("param/")}
        self.method.student.load_state_dict(start)
        self.method.average.network.load_state_dict(start)
        self.steps: list[Step] = []
        self.logs: list[dict[str, Tensor]] = []
        self.contrasts: list[dict[str, list[Tensor]]] = []
        self.rates: list[list[float]] = []
        self.norms: list[Tensor] = []
        self.gradients: dict[str, Tensor] = {}
        self.first_average: dict[str, Tensor] = {}
        self._train()
        self.average_before_the_end = _copied(self.method.average.network)
        self.method.finish()

    def log(self, key: str) -> Tensor:
        """A logged value of all iterations; 0 where there was none."""
        return torch.stack([log.get(key, torch.zeros(())) for log in self.logs])

    def compare_states(self, prefix: str, state: Mapping[str, Tensor]) -> None:
        """Compares how much every tensor has changed; what the reference never evaluates has not."""
        for name in self.case.arrays(prefix):
            start = f"param/{name}"
            ours = self.case.tensor(start) if unused(name) else state[our_name(name)]
            self.case.compare(prefix + name, ours, since=start)

    def compare_gradients(self, prefix: str) -> None:
        """Compares the gradients before the first step; what the reference never evaluates has none."""
        for name in self.case.arrays(prefix):
            assert not unused(name), f"{name} has a gradient"
            self.case.compare(prefix + name, self.gradients[our_name(name)])

    def output(self, network: nn.Module, image: Tensor) -> Tensor:
        """Main logits in evaluation mode, at the size of the image."""
        with torch.no_grad():
            logits = network.eval()(image)
        return resize_logits(logits, (image.shape[2], image.shape[3]), align_corners=True)

    def _names(self, prefix: str) -> list[str]:
        return [name for name in self.case.arrays(prefix) if not unused(name)]

    def _train(self) -> None:
        optimizers = self.method.optimizers()
        schedules = self.method.schedules(optimizers)
        wrapper = by_name(optimizers)["student"]
        for iteration in range(self.case.hyper("iterations")):
            self.rates.append(sorted({group["lr"] for group in wrapper.optimizer.param_groups}))
            step = Step(self.case, f"in/iter{iteration}/", f"out/iter{iteration}/")
            self.method.train()
            noting = mock.patch.object(wrapper, "step", self._noting_gradients(iteration, wrapper.step))
            with step.recorded(self.method), noting, self._noting_contrasts():
                batch = batch_of(self.case, f"in/iter{iteration}/", iteration)
                self.logs.append(self.method.train_step(batch, optimizers))
            self.steps.append(step)
            for schedule in schedules:
                schedule.step()
            if iteration == 0:
                self.first_average = _copied(self.method.average.network)

    def _noting_gradients(self, iteration: int, call: Callable[[], None]) -> Callable[[], None]:
        def step() -> None:
            named = self.method.student.named_parameters()
            gradients = {name: p.grad.clone() for name, p in named if p.grad is not None}
            self.norms.append(torch.stack([gradient.norm() for gradient in gradients.values()]).norm())
            if iteration == 0:
                self.gradients = gradients
            call()

        return step

    @contextlib.contextmanager
    def _noting_contrasts(self) -> Iterator[None]:
        """Within the block, the contrasts of one step are noted, each kind in the order of the samples."""
        found: dict[str, list[Tensor]] = {"prototype_contrast": [], "pixel_contrast": []}
        self.contrasts.append(found)
        with contextlib.ExitStack() as stack:
            for name, values in found.items():
                noting = _noting(getattr(ehtdi, name), values)
                stack.enter_context(mock.patch.object(ehtdi, name, noting))
            yield


def _noting(call: Callable[..., Tensor | None], values: list[Tensor]) -> Callable[..., Tensor | None]:
    def noting(*arguments: Any) -> Tensor | None:
        value = call(*arguments)
        values.extend([] if value is None else [value.detach()])
        return value

    return noting


def _copied(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def _training_settings(case: Case) -> dict[str, Any]:
    return {
        "learning_rate": case.hyper("lr"),
        "momentum": case.hyper("momentum"),
        "weight_decay": case.hyper("weight_decay"),
        "poly_power": case.hyper("poly_power"),
        "iterations": case.hyper("iterations"),
        "schedule_iterations": case.hyper("max_iterations"),
        "batch_size": case.hyper("batch"),
    }

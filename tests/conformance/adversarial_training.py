"""A method of the adversarial family in training on recorded images, and what is seen of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from adaptbench.data.batch import Batch, Images, LabelledImages
from adaptbench.draws import Draws
from adaptbench.optim.optimizer import by_name
from methods.minent import OutputAdaptation

from .case import Case
from .stand_ins import our_layer, our_name, task_of

#: How a logged value follows from the log of a method.
Reading = Callable[[Mapping[str, Tensor]], Tensor]


class Training:
    """Trains for the recorded number of iterations.

    Put in the place of production code are only the network and the images; nothing is drawn in these trainings.

    Args:
        case: the trajectory.
        kind: the method.
        settings: its settings.
        network: the stand-in, without the recorded weights.
        discriminators: recorded owners of discriminators -> names of outputs.
        constant_rate: whether the network's schedule is left out, as in the recorded training.
        dtype: of all numbers. Final weights are compared in float64: in float32 those of discriminators hang on how a
            machine rounds, since Adam turns rounding noise of next to no gradient into steps.
    """

    def __init__(
        self,
        case: Case,
        kind: type[OutputAdaptation],
        settings: Mapping[str, Any],
        network: nn.Module,
        discriminators: Mapping[str, str],
        constant_rate: bool = False,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.case = case
        self._owners = {
            "model": "student",
            **{owner: f"discriminators.{o}" for owner, o in discriminators.items()},
        }
        self._optimizer_of = {
            "model": "student",
            **{k: f"discriminator_{o}" for k, o in discriminators.items()},
        }
        with mock.patch.object(kind, "build_student", lambda _: network):
            self.method = kind(task_of(case), kind.Settings.model_validate(settings))
        self.method.load_state_dict(self._recorded("param/"))
        self.method.to(dtype)
        self._dtype = dtype
        self._optimizers = self.method.optimizers()
        self._wrappers = by_name(self._optimizers)
        self._logs: list[dict[str, Tensor]] = []
        self._norms: dict[str, list[Tensor]] = {name: [] for name in self._wrappers}
        self._rates: dict[str, list[list[float]]] = {name: [] for name in self._wrappers}
        self._gradients: list[dict[str, Tensor]] = []
        schedules = self.method.schedules(self._optimizers)
        constant = [self._wrappers["student"]] if constant_rate else []
        self._schedules = [schedule for schedule in schedules if schedule.optimizer not in constant]
        for iteration in range(case.hyper("iterations")):
            self._iterate(iteration)

    def compare_logs(self, prefix: str, readings: Mapping[str, Reading]) -> None:
        """Compares logged values: recorded name -> how it follows from our log."""
        for name, reading in readings.items():
            self.case.compare(prefix + name, torch.stack([reading(log) for log in self._logs]))

    def compare_norms(self) -> None:
        """Compares the norms of all gradients before the steps of each optimiser."""
        for owner in self._optimizer_of:
            self.compare_norm(f"out/grad_norm/{owner}", owner)

    def compare_norm(self, name: str, owner: str = "model") -> None:
        """Compares the norm of all gradients before the steps of one optimiser with the array ``name``."""
        self.case.compare(name, torch.stack(self._norms[self._optimizer_of[owner]]))

    def compare_rates(self) -> None:
        """Compares the learning rates that were recorded."""
        for owner, name in self._optimizer_of.items():
            if (array := f"out/lr/{owner}") in self.case.all_arrays:
                rates = torch.tensor(self._rates[name], dtype=torch.float64)
                self.case.compare(array, rates.view(self.case.all_arrays[array].shape), rtol=1e-6)

    def compare_first_gradients(self) -> None:
        """Compares gradients of the first iteration: before the step, and the part that comes from the target."""
        last, after_source = self._gradients[-1], self._gradients[0]
        for prefix, before in (("", {}), ("_adaptation_part", after_source)):
            prefix = f"out/grad_first_iteration{prefix}/"
            for recorded, ours in self._names(prefix).items():
                gradient = last[ours] - before[ours] if before else last[ours]
                self.case.compare(recorded, gradient)

    def compare_final(self, prefix: str = "out/final/") -> None:
        """Compares how much every tensor has changed."""
        state = self.method.state_dict()
        for recorded, ours in self._names(prefix).items():
            start = recorded.replace(prefix, "param/")
            self.case.compare(recorded, state[ours], since=start)

    def at_first(self, key: str) -> Tensor:
        """A logged value of the first iteration."""
        return self._logs[0][key]

    def _iterate(self, iteration: int) -> None:
        for name, wrapper in self._wrappers.items():
            self._rates[name].append([group["lr"] for group in wrapper.optimizer.param_groups])
        self.method.train()
        with self._watching(iteration):
            self._logs.append(self.method.train_step(self._batch(iteration), self._optimizers))
        for schedule in self._schedules:
            schedule.step()

    @contextlib.contextmanager
    def _watching(self, iteration: int) -> Iterator[None]:
        """Within the block, optimisers note gradients: norms before their step, all of the first iteration."""
        with contextlib.ExitStack() as stack:
            for name, wrapper in self._wrappers.items():
                noting = self._noting_norm(name, wrapper.step)
                stack.enter_context(mock.patch.object(wrapper, "step", noting))
            if iteration == 0:
                student = self._wrappers["student"]
                gradients = self._noting_gradients(student.backward)
                stack.enter_context(mock.patch.object(student, "backward", gradients))
            yield

    def _noting_norm(self, name: str, call: Callable[[], None]) -> Callable[[], None]:
        def step() -> None:
            groups = self._wrappers[name].optimizer.param_groups
            gradients = [p.grad.norm() for group in groups for p in group["params"] if p.grad is not None]
            self._norms[name].append(torch.stack(gradients).norm())
            call()

        return step

    def _noting_gradients(self, call: Callable[[Tensor], None]) -> Callable[[Tensor], None]:
        def backward(loss: Tensor) -> None:
            call(loss)
            named = self.method.named_parameters()
            self._gradients.append({name: p.grad.clone() for name, p in named if p.grad is not None})

        return backward

    def _recorded(self, prefix: str) -> dict[str, Tensor]:
        """Recorded tensors by our names."""
        return {ours: self.case.tensor(recorded) for recorded, ours in self._names(prefix).items()}

    def _names(self, prefix: str) -> dict[str, str]:
        """Full recorded names -> our names, of all owners."""
        names = {}
        for owner, ours in self._owners.items():
            translated = self._our_name if owner == "model" else our_layer
            for name in self.case.arrays(f"{prefix}{owner}/"):
                names[f"{prefix}{owner}/{name}"] = f"{ours}.{translated(name)}"
        return names

    def _our_name(self, recorded: str) -> str:
        return our_name(recorded, len(self.method.output_names()) > 1)

    def _batch(self, iteration: int) -> Batch:
        source, target = (
            self.case.tensor(f"in/{domain}_image/{iteration}").to(self._dtype) for domain in ("src", "tgt")
        )
        label = self.case.tensor(f"in/src_label/{iteration}").long()[:, None]
        names = tuple(str(i) for i in range(len(label)))
        labelled = LabelledImages(source, names, label)
        return Batch(iteration, Draws(0, iteration), labelled, Images(target, names))

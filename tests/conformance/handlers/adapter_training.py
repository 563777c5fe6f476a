"""Trainings of adapters: production's parts, optimiser, schedules and average around the recorded head and loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from adaptbench.adaptation.late_average import LateAverage
from adaptbench.adaptation.seg_loss import labelled_cross_entropy
from adaptbench.contracts.method import Method
from adaptbench.contracts.settings import Settings
from adaptbench.optim.optimizer import build_optimizer, build_schedule
from methods.rein_dg import ReinDG
from methods.soma_dg import SoMADG

from ..adapter_networks import Network, load, our_name, rein_network, soma_network
from ..case import Case
from ..registry import handler

#: The bias of keys has a gradient of zero, and AdamW makes steps of what rounding leaves of it.
_NOISE = "attn.k.bias"
#: Rates and shares are computed in float64 by the same framework.
_RATES = {"rtol": 1e-12}


@handler("rein_trajectory")
def check_rein(case: Case) -> None:
    network = rein_network(case.json["hyper_parameters"])
    load(network, case)
    training = Training(case, network, _settings(case, ReinDG, case.hyper("lr")))
    _check_rein_structure(case, training)
    training.run(lambda _: None)
    unused = case.json["expected_structure"]["trainable_without_gradient"]
    case.expect("without gradient", sorted(training.unused), sorted(unused))
    case.compare("out/lr", [rates["decode_head.conv_seg.bias"][0] for rates in training.rates], **_RATES)
    training.compare_final("out/final/", network)
    case.compare("out/final_logits_on_first_image", training.first_logits(network))


@handler("soma_trajectory")
def check_soma(case: Case) -> None:
    network = soma_network(case.json["hyper_parameters"])
    load(network, case)
    training = Training(case, network, _settings(case, SoMADG, case.hyper("lr") / 2))
    average = LateAverage(network, case.hyper("ema_begin_iter"), 1 - case.hyper("ema_momentum"))

    def follow(iteration: int) -> None:
        average.follow(network, iteration)
        _compare_average(case, average.network, iteration)

    training.run(follow)
    _check_soma_structure(case, training)
    for prefix, scored, suffix in (("out/final/", network, ""), ("out/final_ema/", average.network, "_ema")):
        training.compare_final(prefix, scored)
        case.compare(f"out/final_logits_on_first_image{suffix}", training.first_logits(scored))


def _settings(case: Case, kind: type[Method], rate: float) -> Settings:
    """The method's, with the numbers of the case; ``rate`` is the encoder's."""
    numbers = {
        "iterations": case.hyper("max_iters"),
        "learning_rate": rate,
        "weight_decay": case.hyper("weight_decay"),
        "weight_decay_end": case.hyper("weight_decay_end", None),
        "warmup": case.hyper("warmup_iters"),
        "warmup_start": case.hyper("warmup_start_factor"),
    }
    return kind.Settings.model_validate(numbers)


class Training:
    """Some iterations of a network.

    Attributes:
        rates: learning rate and weight decay of every parameter, by the reference's name, before every step.
        unused: names of trained parameters that get no gradient.
    """

    def __init__(self, case: Case, network: Network, settings: Settings) -> None:
        self.case, self.network = case, network
        self.names = {our_name(name): name for name in case.arrays("param/")}
        self.optimizer = build_optimizer(network, settings)
        self.schedules = build_schedule(self.optimizer, settings, settings.iterations)
        self.rates: list[dict[str, tuple[float, float]]] = []
        self.unused: list[str] = []

    def run(self, after: Callable[[int], None]) -> None:
        losses = []
        for iteration in range(self.case.hyper("iterations")):
            self.rates.append(self._rates())
            losses.append(self._step(iteration))
            for schedule in self.schedules:
                schedule.step()
            after(iteration)
        self.case.compare("out/loss", torch.stack(losses))

    def trained(self) -> list[tuple[str, nn.Parameter]]:
        """Parameters that are trained, by the reference's names."""
        return [(self.names[name], p) for name, p in self.network.named_parameters() if p.requires_grad]

    def first_logits(self, network: nn.Module) -> Tensor:
        with torch.no_grad():
            logits: Tensor = network(self.case.tensor("in/image/0"))
        return logits

    def compare_final(self, prefix: str, network: nn.Module) -> None:
        """What was trained, by how much it has changed."""
        state = network.state_dict()
        for name in self.case.arrays(prefix):
            tensor = state[our_name(name)]
            recorded = self.case.all_arrays[prefix + name]
            if name.endswith(_NOISE):
                farthest = 2 * sum(rates[name][0] for rates in self.rates)
                self.case.compare(prefix + name, tensor, atol=farthest)
            else:
                self.case.compare(prefix + name, tensor.reshape(recorded.shape), since=f"param/{name}")

    def _step(self, iteration: int) -> Tensor:
        self.network.train()
        self.optimizer.zero_grad()
        maps = self.network.backbone(self.case.tensor(f"in/image/{iteration}"))
        logits = self.network.logits(maps)
        loss = labelled_cross_entropy(logits, self.case.tensor(f"in/label/{iteration}"))
        self.optimizer.backward(loss)
        if iteration == 0:
            self._compare_first(maps, logits)
        self.optimizer.step()
        return loss.detach()

    def _compare_first(self, maps: Sequence[Tensor], logits: Tensor) -> None:
        for number in self.case.numbered("out/first_features/"):
            self.case.compare(f"out/first_features/{number}", maps[number])
        if self.case.has("out/first_logits"):
            self.case.compare("out/first_logits", logits)
        gradients = {name: p.grad for name, p in self.trained() if p.grad is not None}
        self.unused = [name for name, p in self.trained() if p.grad is None]
        recorded = self.case.arrays("out/grad_first_iteration/")
        assert sorted(gradients) == sorted(recorded), "other parameters have a gradient"
        for name, array in recorded.items():
            self.case.compare(f"out/grad_first_iteration/{name}", gradients[name].reshape(array.shape))
        if self.case.has("out/grad_norm_first"):
            norm = torch.stack([gradient.norm() for gradient in gradients.values()]).norm()
            self.case.compare("out/grad_norm_first", norm.reshape(1))

    def _rates(self) -> dict[str, tuple[float, float]]:
        groups = _groups(self.optimizer)
        return {name: groups[id(parameter)] for name, parameter in self.trained()}


def _groups(optimizer: OptimWrapper) -> dict[int, tuple[float, float]]:
    groups = optimizer.optimizer.param_groups
    return {id(p): (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}


def _compare_average(case: Case, average: nn.Module, iteration: int) -> None:
    state = average.state_dict()
    for array in case.arrays("out/ema_history/"):
        name, _, number = array.rpartition("/")
        if int(number) == iteration:
            case.compare(f"out/ema_history/{array}", state[our_name(name)])


def _check_rein_structure(case: Case, training: Training) -> None:
    recorded = case.json["expected_structure"]
    parameters = dict(training.trained())
    case.expect("trainable", sorted(parameters), sorted(recorded["trainable"]))
    frozen = [training.names[name] for name, p in training.network.named_parameters() if not p.requires_grad]
    case.expect("frozen", sorted(frozen), sorted(recorded["frozen"]))
    for part, prefix in (("backbone", "backbone."), ("head", "decode_head.")):
        values = sum(p.numel() for name, p in parameters.items() if name.startswith(prefix))
        case.expect(f"trainable {part}", values, recorded["number_of_trainable_values"][part])
    _check_modes(case, training.network)
    start = _named_groups(training)
    for row in recorded["optimiser_groups"]:
        found = start[row["parameter"]]
        case.expect(row["parameter"], found, (row["lr_initial"], row["weight_decay"]), rtol=1e-12)


def _check_modes(case: Case, network: nn.Module) -> None:
    """Which layers are in training mode when the network is."""
    network.train()
    found = [
        name for name, part in network.named_modules() if part.training and not len(list(part.children()))
    ]
    recorded = case.json["expected_structure"]["modules_in_training_mode"]
    layers = [
        name for name in recorded if name and not any(other.startswith(f"{name}.") for other in recorded)
    ]
    own = [name for name in found if next(network.get_submodule(name).parameters(), None) is not None]
    case.expect("modules_in_training_mode", sorted(own), sorted({*layers} - {"data_preprocessor"}))


def _named_groups(training: Training) -> dict[str, tuple[float, float]]:
    """Initial rate, whatever the warm-up makes of it, and weight decay."""
    groups = training.optimizer.optimizer.param_groups
    of = {id(p): (group["initial_lr"], group["weight_decay"]) for group in groups for p in group["params"]}
    return {name: of[id(parameter)] for name, parameter in training.trained()}


def _check_soma_structure(case: Case, training: Training) -> None:
    recorded = case.json["expected_structure"]
    names = [row["parameter"] for row in recorded["optimiser_groups"]]
    columns = [row["column"] for row in recorded["optimiser_groups"]]
    case.expect("trainable", sorted(name for name, _ in training.trained()), sorted(names))
    for array, index in (("out/lr", 0), ("out/weight_decay", 1)):
        table = [[rates[name][index] for name in names] for rates in training.rates]
        found = torch.empty(len(table), len(names), dtype=torch.float64)
        found[:, columns] = torch.tensor(table, dtype=torch.float64)
        case.compare(array, found, **_RATES)
    case.expect("without gradient", training.unused, recorded["trainable_without_gradient"])
    biases = [
        name for name, _ in training.trained() if name.startswith("backbone.") and name.endswith("bias")
    ]
    case.expect("biases", sorted(biases), sorted(recorded["trainable_biases_in_backbone"]))

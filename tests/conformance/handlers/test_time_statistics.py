"""Norm adaptation, and the order of streams."""

from __future__ import annotations

import torch

from adaptbench.test_time.norm_statistics import (
    MixedSettings,
    MixedStatistics,
    RunningSettings,
    RunningStatistics,
    batch_moments,
    batch_norms,
    batch_statistics,
)
from adaptbench.test_time.stream_order import CONDITIONS, ROUNDS, Place, stream_order

from ..case import Case
from ..registry import handler
from ..test_time_networks import TinySeg, load
from ..test_time_streams import images_of


def _network(case: Case) -> TinySeg:
    network = TinySeg(case, enlarged=True)
    load(case, network)
    return network


@handler("norm_adaptation")
@torch.no_grad()
def check(case: Case) -> None:
    source = _network(case).eval()
    for number, image in enumerate(images_of(case)):
        case.compare(f"out/source/logits/{number}", source(image))
    for alpha in case.hyper("alphas"):
        _check_mixed(case, alpha)
    _check_running(case)
    for name, options in case.hyper("official").items():
        _check_official(case, f"out/official_{name}", **options)


def _check_mixed(case: Case, alpha: float) -> None:
    prefix, network = f"out/alpha_{alpha}", _network(case)
    adapted = MixedStatistics(network, MixedSettings(alpha=alpha))
    seen: dict[str, list[torch.Tensor]] = {name: [] for name in batch_norms(network)}
    for name, norm in batch_norms(network).items():
        norm.register_forward_pre_hook(lambda _, inputs, kept=seen[name]: kept.append(inputs[0]))
    for number, image in enumerate(images_of(case)):
        case.compare(f"{prefix}/logits/{number}", adapted(image))
    for name, inputs in seen.items():
        for part, found in zip(("mean", "var"), batch_moments(inputs[0]), strict=True):
            case.compare(f"{prefix}/batch_{part}_first/{name}", found)


def _check_running(case: Case) -> None:
    network = _network(case)
    settings = RunningSettings(
        momentum=case.hyper("ema_momentum", case.hyper("momentum", 0.1)), episodic=case.hyper("ema_episodic")
    )
    adapted = RunningStatistics(network, settings)
    for number, image in enumerate(images_of(case)):
        case.compare(f"out/ema/logits/{number}", adapted(image))
        for name in case.arrays(f"out/ema/stats/{number}/"):
            case.compare(f"out/ema/stats/{number}/{name}", network.get_buffer(name))


def _check_official(
    case: Case, prefix: str, eps: float, momentum: float, reset_stats: bool, no_stats: bool
) -> None:
    network = _network(case)
    batch_statistics(network, eps, momentum, reset_stats, no_stats)
    for number, image in enumerate(images_of(case)):
        case.compare(f"{prefix}/logits/{number}", network(image))
    for name in case.arrays(f"{prefix}/stats_end/"):
        case.compare(f"{prefix}/stats_end/{name}", network.get_buffer(name))


@handler("stream_order")
def check_order(case: Case) -> None:
    published = case.json["cityscapes_to_acdc"]
    case.expect("conditions", published["conditions"], list(CONDITIONS))
    case.expect("rounds", published["rounds"], ROUNDS)
    count = case.hyper("images_per_condition")
    places = list(stream_order(dict.fromkeys(CONDITIONS, count), case.hyper("rounds")))
    expected = [Place(*row) for row in case.json["example"]["rows"]]
    case.expect("places", places == expected, True)

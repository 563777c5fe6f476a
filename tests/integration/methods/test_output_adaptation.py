"""What no recorded case states of MinEnt, AdaptSegNet, AdvEnt, and of HRDA on them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from adaptbench.adaptation.discriminator import SOURCE, TARGET, domain_loss
from adaptbench.adaptation.entropy import entropy_loss
from adaptbench.adaptation.seg_loss import resize_logits
from adaptbench.contracts.method import Method
from adaptbench.contracts.profiles import profile
from adaptbench.contracts.settings import resolve
from adaptbench.contracts.task import Task
from adaptbench.data.batch import Batch, Images, LabelledImages
from adaptbench.data.framing import Crops, WholeImages
from adaptbench.data.taxonomy import CITYSCAPES19
from adaptbench.draws import Draws
from adaptbench.errors import UsageError
from adaptbench.networks.hrda import hrda_loss
from adaptbench.networks.inference import Whole
from adaptbench.optim.optimizer import by_name
from methods.adaptsegnet import AdaptSegNet, OutputAdversarial
from methods.advent import AdvEnt
from methods.hrda_adaptsegnet import HRDAAdaptSegNet
from methods.hrda_minent import HRDAMinEnt
from methods.minent import MinEnt, OutputAdaptation

TASK = Task("test", "uda", CITYSCAPES19, profile("mini"))
ALL = [MinEnt, AdaptSegNet, AdvEnt, HRDAMinEnt, HRDAAdaptSegNet]
HRDA_SIZES = {"crop": 128, "detail_crop": 64}


def make(method: type[OutputAdaptation], **values: Any) -> Any:
    sizes = HRDA_SIZES if method in (HRDAMinEnt, HRDAAdaptSegNet) else {}
    default = {"network": "deeplabv2-mini", "pretraining": "none", **sizes, **values}
    torch.manual_seed(0)
    return method(TASK, method.Settings.model_validate(default)).train()


def batch(side: int = 64, iteration: int = 0) -> Batch:
    random = torch.Generator().manual_seed(iteration)
    images = torch.randn(2, 1, 3, side, side, generator=random)
    label = torch.randint(19, (1, 1, side, side), generator=random)
    target = Images(images[1], ("b",))
    return Batch(iteration, Draws(7, iteration), LabelledImages(images[0], ("a",), label), target)


@pytest.mark.parametrize("method", ALL, ids=lambda method: method.name)
@pytest.mark.parametrize("network", ["daformer-mini", "deeplabv2-multi-mini"])
def test_other_networks(method: type[OutputAdaptation], network: str) -> None:
    if network == "deeplabv2-multi-mini" and method in (HRDAMinEnt, HRDAAdaptSegNet):
        with pytest.raises(UsageError, match="HRDA goes around DAFormerHead, DeepLabV2Head"):
            make(method, network=network)
        return
    made = make(method, network=network)
    log = made.train_step(batch(128), made.optimizers())
    assert all(bool(torch.isfinite(value)) for value in log.values())
    outputs = 2 if network == "deeplabv2-multi-mini" else 1
    assert sum(key.endswith("loss_seg") and "hr" not in key for key in log) == outputs
    if isinstance(made, OutputAdversarial):
        assert len(made.discriminators) == outputs


@pytest.mark.parametrize("method", [AdaptSegNet, AdvEnt, HRDAAdaptSegNet])
def test_who_learns_from_which_loss(method: type[OutputAdversarial]) -> None:
    made = make(method)
    groups = iter(made.losses(batch(128)))
    learners = []
    for group in groups:
        made.zero_grad()
        sum(value for key, value in group.items() if key.rpartition(".")[2].startswith("loss")).backward()
        learners.append([_learned(made.student), _learned(made.discriminators)])
    assert learners == [[True, False], [True, False], [False, True]]


def _learned(module: torch.nn.Module) -> bool:
    return any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in module.parameters())


def test_hrda_adapts_the_fused_output_at_the_size_of_the_context() -> None:
    made, data = make(HRDAMinEnt), batch(128)
    assert data.target is not None
    groups = list(made.losses(data))
    again = make(HRDAMinEnt)
    boxes = [
        again.scales.draw_detail_crop(data.source.image, part, data.draws) for part in ("source", "target")
    ]
    assert boxes[0].size == boxes[1].size == (64, 64)
    expected = hrda_loss(again.student.forward_train(data.source.image, boxes[0]), data.source.label)
    assert groups[0].keys() == expected.keys()
    assert all(torch.equal(groups[0][key], value) for key, value in expected.items())
    fused = again.student.forward_train(data.target.image, boxes[1]).fused
    entropy = entropy_loss(resize_logits(fused, (64, 64)).softmax(1))
    assert float(groups[1]["target.loss_entropy"]) == pytest.approx(0.001 * float(entropy), rel=1e-6)


def test_least_squares_and_logistic_losses() -> None:
    seen: dict[str, Tensor] = {}
    for kind in ("ls", "bce"):
        made = make(AdaptSegNet, discriminator_loss=kind)
        losses = list(made.losses(batch()))[2]
        scores = [made.discriminators["main"](o["main"].softmax(1)) for o in _outputs(make(AdaptSegNet))]
        for key, domain, part in (("source", SOURCE, scores[0]), ("target", TARGET, scores[1])):
            expected = domain_loss(part, domain, kind) / 2  # type: ignore[arg-type]
            torch.testing.assert_close(losses[f"discriminator.loss_{key}"], expected)
        seen[kind] = losses["discriminator.loss_source"].detach()
    assert float(seen["ls"]) != float(seen["bce"])


def _outputs(made: AdaptSegNet) -> list[dict[str, Tensor]]:
    return [made.source_pass(batch())[1], made.target_pass(batch())]


@pytest.mark.parametrize("method", [MinEnt, AdvEnt])
def test_the_original_framework(method: type[OutputAdaptation]) -> None:
    settings = method.Settings()
    assert method.sampling(settings).framing == WholeImages("bicubic")
    assert not method.sampling(settings).distortion
    assert make(method).inference() == Whole(aligned=True)
    values = method.published[("gta5_to_cityscapes", "deeplabv2-multi-r101")]
    paper = resolve(method.Settings, profile("paper"), values, {}, "deeplabv2-multi-r101", {}).settings
    assert (paper.optimizer, paper.learning_rate, paper.head_lr_factor, paper.weight_decay) == (
        "sgd",
        2.5e-4,
        10,
        5e-4,
    )
    assert (paper.schedule_iterations, paper.parameter_listing, paper.batch_size) == (250_000, "repeated", 1)
    assert (paper.poly_power, paper.warmup, paper.momentum) == (0.9, 0, 0.9)


@pytest.mark.parametrize(("method", "origin"), [(MinEnt, MinEnt), (AdaptSegNet, None)])
def test_the_rerun(method: type[OutputAdaptation], origin: type[Method] | None) -> None:
    values = method.published[("gta5_to_cityscapes", "deeplabv2-r101")]
    rerun = resolve(method.Settings, profile("paper"), values, {}, "deeplabv2-r101", {}).settings
    assert (rerun.optimizer, rerun.learning_rate, rerun.head_lr_factor) == ("sgd", 2.5e-3, 1.0)
    assert (rerun.iterations, rerun.warmup, rerun.poly_power, rerun.batch_size) == (40_000, 1500, 1.0, 2)
    sampling = method.sampling(rerun)
    assert sampling.framing == Crops() and sampling.distortion
    made = make(method, pictures="crops", align_corners=False)
    assert made.inference() == Whole()
    if origin is None:
        assert method.Settings() == rerun


def test_hrda_rows_of_the_study() -> None:
    for method in (HRDAMinEnt, HRDAAdaptSegNet):
        settings = method.Settings()
        assert (settings.resolution, settings.crop, settings.detail_crop) == (2.0, 1024, 512)
        assert (settings.learning_rate, settings.optimizer) == (2.5e-3, "sgd")
        assert method.sampling(settings).rare is None and method.sampling(settings).distortion
        made = make(method)
        assert made.imagenet is None
        assert made.inference() == Whole(multiple=16)


def test_discriminators_have_a_schedule_of_their_own() -> None:
    made = make(AdaptSegNet, iterations=10, warmup=5, warmup_start=0.1)
    optimizers = made.optimizers()
    schedules = made.schedules(optimizers)
    wrappers = by_name(optimizers)
    assert list(wrappers) == ["student", "discriminator_main"]
    rates: dict[str, list[float]] = {name: [] for name in wrappers}
    for _ in range(10):
        for name, wrapper in wrappers.items():
            rates[name].append(wrapper.optimizer.param_groups[0]["lr"])
            wrapper.step()
        for schedule in schedules:
            schedule.step()
    assert rates["discriminator_main"] == pytest.approx([1e-4 * (1 - t / 10) ** 0.9 for t in range(10)])
    assert rates["student"][0] == pytest.approx(2.5e-4) and max(rates["student"]) > rates["student"][0]


@pytest.mark.parametrize(
    ("method", "shown"),
    [(MinEnt, "entropy"), (AdvEnt, "discriminator_main"), (AdaptSegNet, "discriminator_main")],
)
def test_what_is_shown_changes_nothing(method: type[OutputAdaptation], shown: str) -> None:
    seen: list[tuple[str, str]] = []
    alone, watched = make(method), make(method)
    watched.observers.append(lambda group, parts: seen.extend((group, name) for name in parts))
    logs = [made.train_step(batch(), made.optimizers()) for made in (alone, watched)]
    assert logs[0] == logs[1]
    assert ("target", shown) in seen

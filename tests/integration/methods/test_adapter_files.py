"""Files of trainings around frozen encoders: what was trained is in them, and loading brings back every bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import torch
from safetensors.torch import save_file
from tiny_training import Stream, build, train

from adaptbench import networks
from adaptbench.adaptation.fixed import fixed_in, fixed_names
from adaptbench.contracts.method import Method, Stage
from adaptbench.errors import InterruptedTrainingError, WeightsError
from adaptbench.execution.stages.weights import filled_method
from adaptbench.networks.adapters import soma
from adaptbench.networks.adapters.choice import Adapter
from adaptbench.optim.recipe import AdapterKind
from adaptbench.training import checkpoint, method_state, snapshots
from adaptbench.training.loop import TrainingLoop
from methods.dacs import DACS
from methods.daformer import DAFormer
from methods.soma_dg import SoMADG
from methods.source_only import SourceOnly
from methods.vfm_uda import VFMUDA

CROP = 64
VIT = "daformer-vit-mini"


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Start weights for the small transformer."""
    return weights_file(tmp_path_factory.mktemp("start") / "vit.safetensors", seed=3)


def weights_file(path: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    encoder = networks.start_encoder(VIT, "none").state_dict()
    save_file({name.removeprefix("model."): tensor for name, tensor in encoder.items()}, path)
    return path


def made(method: type[Method], kind: AdapterKind, start: Path | None, **changes: Any) -> Method:
    network = {"network": "daformer-mini"} if start is None else {"network": VIT, "pretraining": str(start)}
    given = {"adapter": kind, "crop": CROP, "iterations": 4, **network, **changes}
    return build(method, **given)


def stage(method: Method) -> Stage:
    return Stage("train", type(method), method.settings)


def written(method: Method, file: Path) -> Path:
    tensors, facts = method_state.written_state(method, method_state.full_state(method))
    checkpoint.save(file, tensors, facts)
    return file


def bits(method: Method) -> str:
    return checkpoint.digest(method.state_dict())


CASES: list[tuple[type[Method], AdapterKind, bool, dict[str, Any]]] = [
    (DACS, "lora", False, {}),
    (DAFormer, "rein", True, {}),
    (SoMADG, "soma", True, {"rank": 2, "alpha": 2, "average_begin": 1}),
    (VFMUDA, "frozen", True, {"token_mask_ratio": 0}),
]
IDS = [f"{method.name}-{kind}" for method, kind, _, _ in CASES]


@pytest.mark.parametrize(("method", "kind", "transformer", "changes"), CASES, ids=IDS)
def test_everything_comes_back_from_what_was_trained(
    method: type[Method],
    kind: AdapterKind,
    transformer: bool,
    changes: dict[str, Any],
    start: Path,
    tmp_path: Path,
) -> None:
    trained = made(method, kind, start if transformer else None, **changes)
    train(trained, 3, CROP)
    file = written(trained, tmp_path / "weights.safetensors")
    tensors, facts = checkpoint.load(file)
    assert len(facts["start_weights"]) >= 2, "student and teacher, or average"
    assert not {f"method.{name}" for name in fixed_in(trained)} & tensors.keys()
    torch.manual_seed(99)
    assert bits(filled_method(trained.task, stage(trained), file)) == bits(trained)
    assert method_state.is_written(trained, tensors, facts)
    assert bits(filled_method(trained.task, stage(trained), whole(trained, tmp_path))) == bits(trained)


def whole(method: Method, folder: Path) -> Path:
    """A file as older versions wrote it."""
    checkpoint.save(folder / "whole.safetensors", method_state.full_state(method), {})
    return folder / "whole.safetensors"


def test_trainings_of_whole_encoders_are_written_whole() -> None:
    method = made(DACS, "full", None)
    state = method_state.full_state(method)
    tensors, facts = method_state.written_state(method, state)
    assert tensors.keys() == state.keys()
    assert facts == {}


def test_random_encoders_are_written_whole(tmp_path: Path) -> None:
    """Nothing brings them back."""
    method = made(SourceOnly, "frozen", None, pretraining="none")
    tensors, _ = checkpoint.load(written(method, tmp_path / "weights.safetensors"))
    assert tensors.keys() == method_state.full_state(method).keys()
    assert bits(filled_method(method.task, stage(method), tmp_path / "weights.safetensors")) == bits(method)


@pytest.mark.parametrize("kind", ["frozen", "rein", "soma", "lora"])
def test_other_start_weights_are_refused(kind: AdapterKind, tmp_path: Path) -> None:
    place = weights_file(tmp_path / "vit.safetensors", seed=3)
    method = made(SourceOnly, kind, place)
    file = written(method, tmp_path / "weights.safetensors")
    weights_file(place, seed=4)
    with pytest.raises(WeightsError, match=r"holds only what was trained.*vit\.safetensors.* are others"):
        filled_method(method.task, stage(method), file)
    place.unlink()
    with pytest.raises(WeightsError, match=r"around start weights that are not here: .*no such file"):
        filled_method(method.task, stage(method), file)


def test_files_of_other_adapters_are_refused(start: Path, tmp_path: Path) -> None:
    one, other = made(SourceOnly, "rein", start), made(SourceOnly, "soma", start)
    for mine, foreign in [(one, other), (other, one)]:
        file = written(foreign, tmp_path / f"{foreign.settings.adapter}.safetensors")
        with pytest.raises(WeightsError, match="does not fit"):
            filled_method(mine.task, stage(mine), file)
    whole_encoder = made(SourceOnly, "full", start)
    with pytest.raises(
        WeightsError, match=r"fixed weights of student\.backbone, of which the method source_only"
    ):
        filled_method(whole_encoder.task, stage(whole_encoder), file)


def loop(folder: Path, start: Path, stop_at: int = 99) -> TrainingLoop:
    folder.mkdir(exist_ok=True)
    method = made(SoMADG, "soma", start, rank=2, alpha=2, average_begin=2)
    made_loop = TrainingLoop(
        method,
        cast("Any", Stream(SoMADG, 4)),
        folder,
        device=torch.device("cpu"),
        workers=0,
        checkpoint_every=1,
        hooks=[snapshots.Snapshots()],
        should_stop=lambda: made_loop.iter >= stop_at,
    )
    return made_loop


def other_machine(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A decomposition with other signs and other rounding."""
    left, values, right = torch.linalg.svd(matrix.double(), full_matrices=False)
    return -left.float(), values.float(), -right.float()


@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "on another machine"])
def test_a_training_goes_on_with_the_same_bits(
    elsewhere: bool, start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = loop(tmp_path / "straight", start)
    straight.run()
    with pytest.raises(InterruptedTrainingError):
        loop(tmp_path / "stopped", start, stop_at=2).run()
    if elsewhere:
        monkeypatch.setattr(soma, "_decomposed", other_machine)
    resumed = loop(tmp_path / "stopped", start)
    resumed.run()
    assert checkpoint.digest(resumed.model_state()) == checkpoint.digest(straight.model_state())
    last = snapshots.file_of(tmp_path / "stopped", 4)
    assert not any(name.endswith("fc1.weight") for name in checkpoint.load(last)[0])
    assert bits(filled_method(straight.model.task, stage(straight.model), last)) == bits(straight.model)


def test_the_other_machine_has_other_bits(start: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = bits(made(SourceOnly, "soma", start))
    monkeypatch.setattr(soma, "_decomposed", other_machine)
    assert bits(made(SourceOnly, "soma", start)) != here


def _frozen_bytes(kind: AdapterKind) -> tuple[int, int]:
    """Bytes of a ViT-L's training without its decoder, with the frozen part and without."""
    spec = networks.spec("daformer-dinov2_large")
    with torch.device("meta"):
        encoder = networks.MODELS.build(dict(spec.backbone))
        Adapter(kind).put_into(encoder)
    state = encoder.state_dict()
    left_out = fixed_names(encoder)
    factors = soma.start_factors(encoder)
    kept = [t for name, t in state.items() if name not in left_out] + list(factors.values())
    return sum(t.nbytes for t in state.values()), sum(t.nbytes for t in kept)


@pytest.mark.parametrize(("kind", "most"), [("frozen", 8), ("rein", 20), ("lora", 36), ("soma", 48)])
def test_what_is_kept_of_a_vit_l_is_megabytes(kind: AdapterKind, most: int) -> None:
    whole_size, kept = _frozen_bytes(kind)
    assert whole_size > 1200e6
    assert kept < most * 1e6

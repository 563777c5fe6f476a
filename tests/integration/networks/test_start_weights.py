"""Where encoders start: shipped, named, downloaded or random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from adaptbench import networks
from adaptbench.errors import AdaptBenchError, UsageError
from adaptbench.networks import start_weights
from adaptbench.networks.mini import pretrain
from adaptbench.networks.mini.images import cutouts, third_look

SHIPPED = Path(start_weights.__file__).parent / "mini"


@pytest.mark.parametrize(
    "name", [n for n in networks.names() if n.endswith("-mini") and networks.spec(n).start]
)
def test_mini_networks_start_from_shipped_weights(name: str) -> None:
    spec = networks.spec(name)
    assert spec.start is not None
    file = load_file(SHIPPED / spec.start.file)
    started = networks.build(name, 5, "default").get_submodule("backbone").state_dict()
    random = networks.build(name, 5).get_submodule("backbone").state_dict()
    assert file.keys() == started.keys()
    for key, tensor in file.items():
        assert torch.equal(started[key], tensor.to(started[key].dtype)), key
    assert any(not torch.equal(started[key], random[key]) for key in file)


def test_shipped_weights_are_small() -> None:
    assert sum(file.stat().st_size for file in SHIPPED.glob("*.safetensors")) <= 8 * 2**20


def test_a_file_of_the_users(tmp_path: Path) -> None:
    encoder = networks.build("deeplabv2-mini", 5).get_submodule("backbone")
    file = tmp_path / "mine.safetensors"
    save_file(encoder.state_dict(), file)
    found = networks.start_of("deeplabv2-mini", str(file))
    assert found is not None
    assert found.data == f"mine.safetensors ({found.sha256[:8]})"
    built = networks.build("deeplabv2-mini", 5, str(file)).get_submodule("backbone").state_dict()
    assert all(torch.equal(built[key], tensor) for key, tensor in encoder.state_dict().items())


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(
        UsageError, match=r"--set pretraining=nowhere.pth: no such file.*'none'.*deeplabv2-mini"
    ):
        networks.start_of("deeplabv2-mini", "nowhere.pth")


def test_a_file_of_another_encoder() -> None:
    with pytest.raises(AdaptBenchError, match=r"resnet-mini\.safetensors"):
        networks.build("daformer-mini", 5, str(SHIPPED / "resnet-mini.safetensors"))


def test_cutouts_are_keyed_by_split_and_number() -> None:
    first, again = (cutouts("train", range(3), 4, 16) for _ in range(2))
    assert (first.images == again.images).all()
    assert (first.images[8:] == cutouts("train", range(2, 3), 4, 16).images).all()
    assert (first.images != cutouts("held out", range(3), 4, 16).images).any()
    assert first.classes.min() >= 0
    assert first.classes.max() < 19


def test_pretraining_learns_and_is_the_same_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrain, "_HELD_OUT", 2)
    (first, _), (second, _) = (pretrain.pretrain("daformer-mini", images=8, epochs=2) for _ in range(2))
    states = first.state_dict(), second.state_dict()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    random = networks.build("daformer-mini", 5).get_submodule("backbone").state_dict()
    assert any(not torch.equal(states[0][key], random[key]) for key in random)


def test_every_image_of_the_third_look_has_its_own() -> None:
    looks = [third_look(np.random.default_rng(seed)) for seed in range(2)]
    assert looks[0] != looks[1]

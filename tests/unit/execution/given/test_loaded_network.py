"""Network files: what is wrong with one is said, and one that is right predicts what it states."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from normed_network import written
from safetensors.torch import save_file
from small_network import SMALL_NETWORK

from adaptbench.contracts.profiles import profile
from adaptbench.contracts.task import Task
from adaptbench.data.taxonomy import class_set
from adaptbench.errors import AdaptBenchError, RunStateError, UsageError, WeightsError
from adaptbench.execution.given.file_method import FileNetwork
from adaptbench.execution.given.loaded_network import LoadedNetwork, NetworkPlace, file_sha256, load
from adaptbench.networks.inference import segment
from adaptbench.records.start import FilePlace

LEVELS = torch.tensor([0.0, 20.0, 60.0, 240.0])


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.save({"levels": LEVELS}, tmp_path / "levels.pth")
    return tmp_path / "levels.pth"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "bright.py"
    path.write_text(SMALL_NETWORK)
    return path


def loaded(file: Path, weights: Path, function: str = "build") -> LoadedNetwork:
    return load(NetworkPlace.parse(f"{file}:{function}", weights), torch.device("cpu"))


def test_an_image_becomes_what_is_stated_and_outputs_count_as_stated(file: Path, weights: Path) -> None:
    """(blue - 10) / 2 / 0.5 is blue - 10: levels 10, 30, 70 and 250 are sky, building, pole and void."""
    blue = np.array([[10, 29, 31, 68], [80, 250, 239, 0]], np.uint8)
    image = np.dstack([np.full_like(blue, 255), np.full_like(blue, 99), blue])
    found = loaded(file, weights).predict(image, (2, 4))
    assert found.tolist() == [[0, 1, 1, 2], [2, 255, 255, 0]]
    assert found.dtype == np.uint8


def test_labels_of_another_size_get_resized_logits(file: Path, weights: Path) -> None:
    image = np.full((4, 6, 3), 30, np.uint8)
    assert loaded(file, weights).predict(image, (8, 12)).tolist() == [[1] * 12] * 8


def test_safetensors_are_read_as_well(file: Path, tmp_path: Path) -> None:
    save_file({"levels": LEVELS}, tmp_path / "levels.safetensors")
    facts = loaded(file, tmp_path / "levels.safetensors").facts()
    assert (facts["network"], facts["parameters"]) == ("Bright", 4)
    assert facts["stated"]["counts_as"] == {"lamp": "pole", "void": None}


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("a_tuple", r"returned a tuple; expected logits \(1, 4, h, w\), a tensor alone"),
        (
            "three_outputs",
            r"shape \(1, 3, 128, 256\).*one channel for each of the outputs that are named \(sky",
        ),
        ("swapped_axes", r"made 256x128 .* of an input of 128x256, which has another ratio"),
        ("noisy", "two passes over one image gave different logits, by up to"),
        ("drifting", "a pass changed the weights or buffers"),
        ("not_finite", "no finite numbers"),
        ("failing", r"failed on an input of shape \(1, 3, 128, 256\): RuntimeError"),
        ("unnamed_output", "outputs house are no class of camvid11 .* State in counts_as"),
        ("no_such_class", "counts_as leads to lantern; the classes of camvid11 are sky, "),
        ("nothing_called_so", "counts_as names tram, which outputs does not"),
        ("twice", "outputs names one twice"),
        ("other_order", "channels is 'GBR'; expected 'RGB' or 'BGR'"),
        ("no_spread", "std is .*; expected three numbers above 0"),
        ("two_means", "mean is .*; expected three numbers"),
        ("no_network", "returned a Bright; expected an adaptbench.contracts.network_file.NetworkFile"),
        ("raising", "the function failed: ValueError: no such luck"),
        ("bild", "has no function 'bild'; it has .*build"),
    ],
)
def test_what_is_wrong_is_said(function: str, message: str, file: Path, weights: Path) -> None:
    with pytest.raises(AdaptBenchError, match=f"(?s)bright.py.*{message}"):
        loaded(file, weights, function)


def test_a_file_that_cannot_be_imported(tmp_path: Path, weights: Path) -> None:
    (tmp_path / "broken.py").write_text("import no_such_package")
    with pytest.raises(AdaptBenchError, match=r"cannot be imported: ModuleNotFoundError.*one file"):
        loaded(tmp_path / "broken.py", weights)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"level": LEVELS}, r"lacks 1 of 1 tensors \(levels\); it has 1 that the network does not have"),
        ({"levels": LEVELS[:3]}, "1 have another shape .*levels 3 instead of 4"),
        ({"levels": LEVELS * float("nan")}, "no finite numbers"),
    ],
)
def test_weights_of_another_network(
    state: dict[str, torch.Tensor], message: str, file: Path, tmp_path: Path
) -> None:
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=message):
        loaded(file, tmp_path / "other.pth")


def test_a_pickle_is_not_run(file: Path, tmp_path: Path) -> None:
    torch.save({"levels": LEVELS, "extra": Path("x")}, tmp_path / "pickle.pth")
    with pytest.raises(WeightsError, match=r"It is not read. .*save its tensors alone"):
        loaded(file, tmp_path / "pickle.pth")


@pytest.mark.parametrize("text", ["bright.py", "bright.txt:build", "bright.py:", "bright.py:a-b"])
def test_places_are_files_with_functions(text: str, weights: Path) -> None:
    with pytest.raises(UsageError, match=r"expected FILE.py:FUNCTION"):
        NetworkPlace.parse(text, weights)


def test_files_that_are_missing_are_named(file: Path, tmp_path: Path, weights: Path) -> None:
    with pytest.raises(UsageError, match=r"--weights .*none.pth: there is no such file"):
        NetworkPlace.parse(f"{file}:build", tmp_path / "none.pth")
    with pytest.raises(UsageError, match=r"--network-file .*none.py: there is no such file"):
        NetworkPlace.parse(f"{tmp_path}/none.py:build", weights)


PADDED = """

class Even(Bright):
    def forward(self, image):
        assert image.shape[2] % 4 == image.shape[3] % 4 == 0
        return super().forward(image)

    def taken_size(self, size):
        return tuple(-(-side // 4) * 4 for side in size)


def even():
    return build(Even())
"""


def test_a_network_that_says_which_sizes_it_takes_gets_them(tmp_path: Path, weights: Path) -> None:
    (tmp_path / "even.py").write_text(SMALL_NETWORK + PADDED)
    image = np.full((5, 6, 3), 30, np.uint8)
    assert loaded(tmp_path / "even.py", weights, "even").predict(image, (5, 6)).tolist() == [[1] * 6] * 5


@pytest.mark.parametrize("size", [(8, 8), (5, 9)])
def test_as_a_stage_of_a_job_it_predicts_the_same(tmp_path: Path, size: tuple[int, int]) -> None:
    """What `evaluate` and a stream make of an image, bit for bit."""
    file, state = written(tmp_path)
    place = NetworkPlace(file, "build", state)
    stated = FilePlace(file=str(file), function="build", weights=str(state), file_sha256=file_sha256(file))
    settings = FileNetwork.Settings.model_validate({"network": "Normed", "place": stated})
    method = FileNetwork(Task("x", "tta", class_set("cityscapes19"), profile("mini")), settings)
    evaluated = load(place, torch.device("cpu"))
    method.scored_network().load_state_dict(evaluated.network.state_dict())
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    pixels = method.shown(image, (99, 99))
    found = method.counted(segment(method.scored_network().eval(), pixels, method.inference(), size))
    assert torch.equal(pixels, evaluated.shown(image))
    assert np.array_equal(found.numpy(), evaluated.predict(image, size))
    file.write_text(file.read_text() + "# changed")
    with pytest.raises(RunStateError, match="has changed since this job was planned"):
        FileNetwork(method.task, settings)

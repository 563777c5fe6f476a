"""``submit``: complete archives as the servers want them, or a reason why not."""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_checkpoint import NETWORK, published, trained

from adaptbench.contracts import plugins
from adaptbench.contracts.dataset import Dataset, Split
from adaptbench.data.id_tables import CITYSCAPES
from adaptbench.evaluation.scorer import Scorer
from adaptbench.planning import sources

Call = Callable[..., str]
CPU = ("--device", "cpu", "--profile", "mini")
SIZE = (64, 40)
IMAGES = {
    "cityscapes": "leftImg8bit/test/berlin/berlin_{:06d}_000019_leftImg8bit.png",
    "acdc": "rgb_anon/fog/test/GOPR0477/GOPR0477_frame_{:06d}_rgb_anon.png",
    "dark_zurich": "rgb_anon/test/night/GOPR0364/GOPR0364_frame_{:06d}_rgb_anon.png",
    "bdd100k": "images/10k/test/cabc30fc-{:08x}.jpg",
}


def of(name: str) -> type[Dataset]:
    return sources.dataset_class(plugins.discover(), name)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Test splits of all servers, as if the official ones had three small images."""
    rng = np.random.default_rng(0)
    for name, pattern in IMAGES.items():
        monkeypatch.setattr(of(name), "splits", {"test": Split(count=3, labelled=False)})
        monkeypatch.setattr(of(name), "image_size", SIZE)
        for number in range(3):
            path = tmp_path / "data" / name / pattern.format(number)
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
            Image.fromarray(pixels).save(path)
    return tmp_path / "data"


def content(path: Path) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        return {name: np.array(Image.open(io.BytesIO(archive.read(name)))) for name in archive.namelist()}


@pytest.mark.parametrize("server", IMAGES)
def test_the_archive_of_a_server(server: str, call: Call, mine: str, root: Path, out: Path) -> None:
    said = call("submit", mine, "--server", server, "--data-root", root, *CPU)
    path = out / "submissions" / f"mine-{server}.zip"
    assert str(path) in said and "state the training data" in said
    names = [Path(IMAGES[server].format(number)).with_suffix(".png").name for number in range(3)]
    folders = {"dark_zurich": ("confidence/", "labelTrainIds/", "labelTrainIds_invalid/")}.get(server, ("",))
    found = content(path)
    assert sorted(found) == sorted(f"{folder}{name}" for folder in folders for name in names)
    call("predict", mine, "--images", root / server, "--like", server, *CPU)
    kind = "label_ids" if server == "cityscapes" else "train_ids"
    for name in names:
        (same,) = (out / "predictions" / "mine" / server / kind).rglob(name)
        wanted = np.array(Image.open(same))
        for folder in folders:
            pixels = found[f"{folder}{name}"]
            assert pixels.shape == (SIZE[1], SIZE[0])
            assert pixels.dtype == (np.uint16 if folder == "confidence/" else np.uint8)
            assert folder == "confidence/" or np.array_equal(pixels, wanted)
    if server == "cityscapes":
        assert {int(value) for pixels in found.values() for value in np.unique(pixels)} <= CITYSCAPES.keys()


def test_missing_images_are_a_reason(call: Call, mine: str, root: Path, out: Path) -> None:
    next((root / "acdc").rglob("*.png")).unlink()
    said = call("submit", mine, "--server", "acdc", "--data-root", root, *CPU, status=2)
    assert (
        f"acdc/test under {root / 'acdc'}: 2 images instead of 3. The server takes predictions of all" in said
    )
    assert "Unpack the official release completely" in said
    shutil.rmtree(root / "acdc" / "rgb_anon")
    said = call("submit", mine, "--server", "acdc", "--data-root", root, *CPU, status=2)
    assert "no image matches rgb_anon/*/test/*/*_rgb_anon.png" in said
    assert not (out / "submissions").exists()


def test_images_of_another_size_are_a_reason(call: Call, mine: str, root: Path, out: Path) -> None:
    path = next((root / "acdc").rglob("*.png"))
    Image.new("RGB", (32, 20)).save(path)
    said = call("submit", mine, "--server", "acdc", "--data-root", root, *CPU, status=2)
    assert f"{path} has 32x20 pixels, and the server wants 64x40" in said
    assert not list((out / "submissions").glob("*.zip"))


def test_classes_that_the_server_does_not_know(call: Call, tmp_path: Path, root: Path, out: Path) -> None:
    path = tmp_path / "eleven.pth"
    torch.save(published(trained(11), trained(11)), path)
    words = ("--method", "daformer", "--network", NETWORK, "--classes", "camvid11", "--name", "eleven")
    call("import", path, *words)
    said = call("submit", "eleven", "--server", "cityscapes", "--data-root", root, *CPU, status=2)
    assert "Classes of 'camvid11' cannot be written as ids of 'cityscapes'" in said


def test_sixteen_classes_keep_their_cityscapes_ids(call: Call, tmp_path: Path, root: Path, out: Path) -> None:
    path = tmp_path / "sixteen.pth"
    torch.save(published(trained(16), trained(16)), path)
    words = ("--method", "daformer", "--network", NETWORK, "--classes", "cityscapes16", "--name", "sixteen")
    call("import", path, *words)
    call("submit", "sixteen", "--server", "acdc", "--data-root", root, *CPU)
    used = {
        int(v)
        for pixels in content(out / "submissions" / "sixteen-acdc.zip").values()
        for v in np.unique(pixels)
    }
    assert used <= set(range(19)) - {9, 14, 16}  # terrain, truck, train


def test_a_command_that_was_killed_goes_on_and_ends_with_the_same_archive(
    call: Call, mine: str, root: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("submit", mine, "--server", "cityscapes", "--data-root", root, *CPU)
    call(*words)
    path = out / "submissions" / "mine-cityscapes.zip"
    whole = path.read_bytes()
    shutil.rmtree(out / "submissions")
    predicted, done = Scorer.predicted, 0

    def dies(self: Scorer, *arguments: object) -> object:
        nonlocal done
        done += 1
        if done == 2:
            raise KeyboardInterrupt
        return predicted(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Scorer, "predicted", dies)
    call(*words, status=130)
    assert not path.exists()
    call(*words)
    assert done == 4  # one image before it was killed, and the two others after it
    assert path.read_bytes() == whole
    call(*words)
    assert done == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--server", "acdc"), "Name an import (here: mine)"),
        (("mine", "--server", "acdc"), "acdc: no data folder given"),
        (("mime", "--server", "acdc"), "Did you mean 'mine'"),
    ],
)
def test_wrong_words(words: tuple[str, ...], message: str, call: Call, mine: str, root: Path) -> None:
    assert message in call("submit", *words, "--device", "cpu", status=2)

"""``predict``: ids, colours and confidence for anybody's images; whatever went wrong is named."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image, ImageOps
from small_checkpoint import NETWORK, published, trained

from adaptbench.data.id_tables import CITYSCAPES
from adaptbench.data.taxonomy import CITYSCAPES19
from adaptbench.errors import RunStateError
from adaptbench.evaluation.scorer import Scorer
from adaptbench.execution.checkpoints.scored import open_checkpoint
from adaptbench.execution.checkpoints.scoring import scorer_of
from adaptbench.networks.hrda import HRDAOptions, build_hrda
from adaptbench.networks.inference import (
    Averaged,
    Sliding,
    Whole,
    predict,
    resize,
    segment,
    segment_confidently,
)
from adaptbench.prediction.images import read_upright
from adaptbench.prediction.partial_output import Kept

Call = Callable[..., str]
CPU = ("--device", "cpu", "--profile", "mini")


def read(path: Path) -> np.ndarray:
    return np.array(Image.open(path))


@pytest.mark.parametrize(
    "mode",
    [Whole(), Whole(aligned=True), Sliding((16, 16), (8, 8)), Averaged((0.5, 1.0), flip=True)],
    ids=str,
)
def test_confidence_is_the_softmax_of_the_winner(mode: Whole | Sliding | Averaged) -> None:
    torch.manual_seed(0)
    network, image = torch.nn.Conv2d(3, 5, 3, stride=2, padding=1).eval(), torch.randn(1, 3, 24, 32)
    size = (31, 45)
    ids, confidence = segment_confidently(network, image, mode, size)
    assert torch.equal(ids, segment(network, image, mode, size))
    if isinstance(mode, Averaged):
        return
    with torch.no_grad():
        aligned = isinstance(mode, Whole) and mode.aligned
        logits = network(image) if aligned else predict(network, image, mode)
        probability = resize(logits, size, aligned).softmax(dim=1)
    torch.testing.assert_close(confidence, probability.max(dim=1).values[0], atol=1e-6, rtol=1e-6)


def test_every_image_gets_four_maps_of_its_size(call: Call, mine: str, images: Path, out: Path) -> None:
    said = call("predict", mine, "--images", images, *CPU)
    folder = out / "predictions" / "mine" / "images"
    assert f"3 images predicted: {folder}" in said
    for name, size in (("a", (40, 64)), ("b", (40, 64)), ("trip/c", (56, 48))):
        ids, labels, colours, confidence = (
            read(folder / kind / f"{name}.png")
            for kind in ("train_ids", "label_ids", "colours", "confidence")
        )
        assert ids.shape == labels.shape == confidence.shape == size
        assert np.array_equal(np.vectorize({v: k for k, v in CITYSCAPES.items()}.get)(ids), labels)
        assert np.array_equal(np.array(CITYSCAPES19.palette)[ids], colours)
        assert confidence.dtype == np.uint16 and confidence.min() > 65535 // 19 - 2
    facts = json.loads((folder / "predictions.json").read_text())
    assert facts["classes"][13] == {"train_id": 13, "name": "car", "colour": [0, 0, 142], "label_id": 26}


def test_predictions_are_those_of_an_evaluation(call: Call, mine: str, official: Path, out: Path) -> None:
    """The very ids that are scored, as the images are those of the dataset."""
    val = official / "cityscapes" / "leftImg8bit" / "val"
    call("predict", mine, "--images", val, *CPU)
    call("evaluate", mine, *CPU, "--data", "official", "--data-root", official)
    (path,) = (out / "evaluations" / "mine").glob("cityscapes-val-*.json")
    with np.load(path.with_suffix(".npz")) as matrices:
        counted = matrices["matrices"].sum(axis=(0, 1))
    predicted = np.zeros(19, dtype=np.int64)
    for image in sorted(val.rglob("*.png")):
        ids = read(out / "predictions" / "mine" / "val" / "train_ids" / image.parent.name / image.name)
        label = read(
            official / "cityscapes" / "gtFine" / "val" / image.parent.name
            / image.name.replace("leftImg8bit", "gtFine_labelIds")
        )  # fmt: skip
        predicted += np.bincount(ids[np.isin(label, list(CITYSCAPES))], minlength=19)
    assert predicted.tolist() == counted.tolist()


def test_classes_without_cityscapes_ids(call: Call, tmp_path: Path, images: Path, out: Path) -> None:
    path = tmp_path / "eleven.pth"
    torch.save(published(trained(11), trained(11)), path)
    call(
        "import",
        path,
        "--method",
        "daformer",
        "--network",
        NETWORK,
        "--classes",
        "camvid11",
        "--name",
        "eleven",
    )
    assert "Say --like DATASET" in call("predict", "eleven", "--images", images, *CPU, status=2)
    call("predict", "eleven", "--images", images, "--like", "camvid", *CPU)
    assert not (out / "predictions" / "eleven" / "images" / "label_ids").exists()


def test_a_command_that_was_killed_goes_on(
    call: Call, mine: str, images: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, done = Scorer.predicted, 0

    def dies(self: Scorer, *arguments: object) -> object:
        nonlocal done
        done += 1
        if done == 2:
            raise KeyboardInterrupt
        return whole(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Scorer, "predicted", dies)
    call("predict", mine, "--images", images, *CPU, status=130)
    monkeypatch.setattr(Scorer, "predicted", whole)
    folder = out / "predictions" / "mine" / "images"
    with (folder / "done.jsonl").open("a") as journal:
        journal.write('{"name": "b", "sha')  # cut off
    assert "2 images predicted, 1 were there" in call("predict", mine, "--images", images, *CPU)
    assert "0 images predicted, 3 were there" in call("predict", mine, "--images", images, *CPU)
    (folder / "colours" / "a.png").unlink()
    assert "1 images predicted, 2 were there" in call("predict", mine, "--images", images, *CPU)
    Image.fromarray(np.zeros((40, 64, 3), dtype=np.uint8)).save(images / "b.png")
    (folder / "colours" / "trip" / "c.png").write_bytes(b"changed")
    assert "2 images predicted, 1 were there" in call("predict", mine, "--images", images, *CPU)


def test_unreadable_images_are_named_and_the_rest_is_predicted(call: Call, mine: str, images: Path) -> None:
    (images / "b.png").write_bytes((images / "b.png").read_bytes()[:200])
    (images / "d.jpeg").write_text("no image")
    said = call("predict", mine, "--images", images, *CPU, status=1)
    assert f"Left out. Damaged or unreadable image {images / 'b.png'}: truncated" in said
    assert f"unreadable image {images / 'd.jpeg'}: it cannot be decoded" in said
    assert "2 images predicted, 2 could not be read" in said


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_seen_as_viewers_show_them(orientation: int, tmp_path: Path) -> None:
    path = tmp_path / "phone.jpg"
    rng = np.random.default_rng(orientation)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(rng.integers(0, 256, (24, 40, 3), dtype=np.uint8)).save(path, exif=exif, quality=95)
    image, turned = read_upright(path)
    shown = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    assert turned == (orientation > 1)
    assert image.shape == shown.shape
    assert np.abs(image.astype(int) - shown).max() <= 3  # two JPEG decoders


def test_turned_images_are_named(call: Call, mine: str, images: Path, out: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(images / "a.jpg").save(images / "a.jpg", exif=exif)
    said = call("predict", mine, "--images", images, *CPU)
    assert (
        f"1 images are turned as their EXIF orientation says, and so are their predictions: {images}/a.jpg"
        in said
    )
    assert read(out / "predictions" / "mine" / "images" / "train_ids" / "a.png").shape == (64, 40)


def test_the_folder_holds_something_else(
    call: Call, mine: str, images: Path, out: Path, tmp_path: Path
) -> None:
    folder = out / "predictions" / "mine" / "images"
    folder.mkdir(parents=True)
    (folder / "holiday.txt").write_text("mine")
    said = call("predict", mine, "--images", images, *CPU, status=2)
    assert f"{folder} holds other content" in said and "--name or --out" in said
    call("predict", mine, "--images", images, *CPU, "--name", "first")
    other = Path(shutil.copytree(images, tmp_path / "other" / "images"))
    said = call("predict", mine, "--images", other, *CPU, "--name", "first", status=2)
    assert "holds predictions with another images, which would be mixed" in said


def test_a_full_disk(call: Call, mine: str, images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    said = call("predict", mine, "--images", images, *CPU, status=2)
    assert "No space left on device (" in said
    assert "Free some space and run again, or choose another folder with --out." in said


def test_two_commands_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    with (
        FileLock(folder / ".lock"),
        pytest.raises(RunStateError, match="written by another command"),
    ):
        Kept(folder, "facts.json", {"identity": {}})


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda folder: shutil.rmtree(folder), "there is no such folder"),
        (
            lambda folder: [p.unlink() for p in folder.rglob("*.*")],
            "it holds no image. Looked for .bmp, .jpeg",
        ),
        (lambda folder: shutil.copy(folder / "b.png", folder / "a.png"), "differ in the suffix only"),
    ],
)
def test_wrong_folders(
    prepare: Callable[[Path], object], message: str, call: Call, mine: str, images: Path
) -> None:
    prepare(images)
    assert message in call("predict", mine, "--images", images, *CPU, status=2)


def test_predictions_never_go_among_the_images(call: Call, mine: str, images: Path, out: Path) -> None:
    shutil.copytree(images, out, dirs_exist_ok=True)
    assert "among the images themselves" in call("predict", mine, "--images", out, *CPU, status=2)


def test_the_same_network_as_evaluate(call: Call, mine: str, out: Path) -> None:
    """A damaged import is refused, as by ``evaluate``."""
    weights = out / "imported" / "mine" / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    checkpoint = open_checkpoint("mine", out, "mini", ())
    with pytest.raises(RunStateError, match="has changed since its import"):
        scorer_of(checkpoint, "cpu", ())


def test_no_bad_image_stops_the_others(call: Call, mine: str, images: Path, out: Path) -> None:
    """Damaged, empty, of 16 bits, CMYK, a text, a link to nothing: each is named, whatever comes after it."""
    whole = (images / "b.png").read_bytes()
    (images / "a0.png").write_bytes(b"")
    (images / "a1.png").write_bytes(whole[: len(whole) // 2])
    (images / "a2.png").write_bytes(whole[:60] + bytes(8) + whole[68:])
    Image.fromarray(np.full((9, 9), 40_000, dtype=np.uint16)).save(images / "a3.png")
    Image.new("CMYK", (9, 9)).save(images / "a4.jpg")
    (images / "a5.webp").write_text("no image")
    (images / "a6.png").symlink_to(images / "nowhere.png")
    Image.new("F", (9, 9), 0.5).save(images / "a7.tif")
    said = call("predict", mine, "--images", images, *CPU, status=1)
    for name in ("a0.png", "a1.png", "a2.png", "a3.png", "a4.jpg", "a5.webp", "a6.png", "a7.tif"):
        assert str(images / name) in said.replace("\n", ""), name
    assert said.count("Left out.") == 8
    assert "3 images predicted, 8 could not be read" in said.replace("\n", " ")
    found = {path.name for path in (out / "predictions" / "mine" / "images" / "train_ids").rglob("*.png")}
    assert found == {"a.png", "b.png", "c.png"}


@pytest.mark.parametrize("method", ["daformer", "hrda"])
def test_images_of_any_size(method: str, call: Call, tmp_path: Path, out: Path) -> None:
    """From a single pixel and a line up, also where neither scale of HRDA has a grid."""
    network = trained() if method == "daformer" else build_hrda(NETWORK, 19, HRDAOptions((128, 128)))
    torch.save(published(network, network), tmp_path / "any.pth")
    call("import", tmp_path / "any.pth", "--method", method, "--network", NETWORK, "--name", "any")
    sizes = [(1, 1), (1, 70), (2000, 1), (3, 5), (12, 20), (333, 100), (618, 2048), (96, 128), (71, 67)]
    rng = np.random.default_rng(0)
    for height, width in sizes:
        path = tmp_path / "odd" / f"{height}x{width}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)
    call("predict", "any", "--images", tmp_path / "odd", *CPU)
    for size in sizes:
        path = out / "predictions" / "any" / "odd" / "train_ids" / f"{size[0]}x{size[1]}.png"
        assert read(path).shape == size

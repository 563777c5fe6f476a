"""``evaluate --network-file``: a network of anybody on CamVid's layout, under both conventions for void pixels."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from real_data import ROOT_OF_REAL_DATA
from small_network import SMALL_NETWORK

from adaptbench.contracts import plugins
from adaptbench.data import landlock
from adaptbench.evaluation.metrics import mean_class_accuracy
from adaptbench.records.average import Average
from adaptbench.records.checkpoint_scores import Evaluation, scan_evaluations
from adaptbench.records.confusion_files import PerImageConfusion

Call = Callable[..., str]
VOID_COUNTS = ("--protocol", "as-published:espnet")
ESPNET = ROOT_OF_REAL_DATA / "espnet" / "espnet_p_2_q_8_camvid.pth"
#: Images of CamVid test -> mIoU with void counted, mIoU with void ignored and class accuracy, measured with the network
#: and the evaluation of its authors.
MEASURED = {62: (55.6979, 57.51, 68.6996), 233: (55.6491, 57.17, 68.3027)}
#: One unit of the last digit: to a few pixels of ten million, convolutions of another processor give another end.
TIES = 1e-4

#: True ids of one image of CamVid (11 = void), and its blue channel; the network reads 10 as sky, 30 as building, 70 as
#: pole and 250 as void.
TRUTH = [[0, 0, 0, 1], [1, 1, 11, 11], [2, 2, 11, 4]]
BLUE = [[10, 10, 30, 30], [30, 250, 10, 250], [70, 10, 70, 70]]


@pytest.fixture
def network(tmp_path: Path) -> tuple[str, ...]:
    """The words of the command line that name a network and its weights."""
    (tmp_path / "bright.py").write_text(SMALL_NETWORK)
    torch.save({"levels": torch.tensor([0.0, 20.0, 60.0, 240.0])}, tmp_path / "levels.pth")
    return ("--network-file", f"{tmp_path / 'bright.py'}:build", "--weights", str(tmp_path / "levels.pth"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """CamVid as it is released, with one image."""
    image = np.zeros((3, 4, 3), np.uint8)
    image[..., 2] = BLUE
    for folder, content in (("test", image), ("testannot", np.array(TRUTH, np.uint8))):
        (tmp_path / "data" / "CamVid" / folder).mkdir(parents=True)
        Image.fromarray(content).save(tmp_path / "data" / "CamVid" / folder / "0001TP_008550.png")
    return tmp_path / "data"


def evaluate(call: Call, network: tuple[str, ...], data: Path, *words: str, status: int = 0) -> str:
    where = ("--data-root", data, "--splits", "camvid/test", "--device", "cpu")
    return call("evaluate", *network, *where, *words, status=status)


def only(out: Path, ignore: str) -> Evaluation:
    found, unreadable = scan_evaluations(out)
    assert not unreadable
    (one,) = (evaluation for evaluation in found if evaluation.protocol["ignore"] == ignore)
    return one


def test_void_is_ignored_or_counted_and_never_in_one_table(
    call: Call, network: tuple[str, ...], data: Path, out: Path
) -> None:
    """By hand. Sky: 2 of 3 hit, 1 pole taken for it, and 1 void; building: 2 of 3 hit, 1 sky taken for it; pole: 1 of 2
    hit, 1 sidewalk and 1 void taken for it; sidewalk: missed."""
    evaluate(call, network, data)
    ignored = only(out, "drop")
    assert [ignored.score.iou[name] for name in ("sky", "building", "pole", "sidewalk")] == pytest.approx(
        [100 * 2 / 4, 100 * 2 / 4, 100 * 1 / 3, 0]
    )
    said = evaluate(call, network, data, *VOID_COUNTS)
    assert "ignore is count instead of drop" in " ".join(said.split())
    counted = only(out, "count")
    ious = [100 * 2 / 5, 100 * 2 / 4, 100 * 1 / 4, 0]
    assert [counted.score.iou[name] for name in ("sky", "building", "pole", "sidewalk")] == pytest.approx(
        ious
    )
    assert counted.score.miou == pytest.approx(
        sum(ious) / 11
    )  # classes that do not occur are 0 in that protocol
    assert counted.evaluation_hash != ignored.evaluation_hash
    for one in (ignored, counted):
        assert one.class_accuracy == pytest.approx(100 * (2 / 3 + 2 / 3 + 1 / 2 + 0) / 4)
        assert one.score.accuracy == pytest.approx(100 * 5 / 9)
    page = (out / "leaderboards" / "checkpoints.md").read_text()
    assert page.count("## camvid/test in camvid11") == 2
    with (out / "leaderboards" / "checkpoints.csv").open() as file:
        assert len({row["protocol"] for row in csv.DictReader(file)}) == 2


def test_what_was_scored_is_in_the_document(
    call: Call, network: tuple[str, ...], data: Path, out: Path
) -> None:
    said = evaluate(call, network, data)
    one = only(out, "drop")
    assert (one.origin.kind, one.origin.source, one.network.name) == ("file", "levels.pth", "Bright")
    assert (one.settings["channels"], one.settings["function"], one.settings["mean"]) == (
        "BGR",
        "build",
        [10, 0, 0],
    )
    assert "build of bright.py on Bright" in " ".join(said.split())
    assert "1 images" not in evaluate(call, network, data)  # it is not scored twice
    file = Path(network[1].rpartition(":")[0])
    file.write_text(file.read_text() + "\n# other code may predict otherwise\n")
    assert "1 images" in evaluate(call, network, data)


@pytest.mark.parametrize("place", ["function", "forward"])
def test_its_code_cannot_open_a_label(
    place: str, call: Call, network: tuple[str, ...], data: Path, out: Path
) -> None:
    """Not even where it catches the refusal."""
    label = data / "CamVid" / "testannot" / "0001TP_008550.png"
    file = Path(network[1].rpartition(":")[0])
    peek = f"""
def peek():
    try:
        open({str(label)!r}, "rb").read()
    except BaseException:
        pass

def peeking():
    {"peek()" if place == "function" else "pass"}
    return wrapped(lambda network, logits: [logits, peek()][0])
"""
    file.write_text(SMALL_NETWORK + peek)
    words = (network[0], f"{file}:peeking", *network[2:])
    assert f"tried to open {label}" in evaluate(call, words, data, status=2).replace("\n", " ")
    assert not (out / "evaluations").exists()


@pytest.mark.skipif(landlock.missing() is not None, reason="the kernel has no sandbox")
def test_no_program_that_it_starts_can_open_a_label(
    call: Call, network: tuple[str, ...], data: Path, tmp_path: Path
) -> None:
    label, file = data / "CamVid" / "testannot" / "0001TP_008550.png", Path(network[1].rpartition(":")[0])
    halves = (
        str(label)[:5],
        str(label)[5:],
    )  # a whole path in the words of a program is seen by the hook already
    started = f"""
def starting():
    import subprocess
    words = ["sh", "-c", 'cat "$0$1" > /dev/null', *{halves!r}]
    raise ValueError(f"cat ended with {{subprocess.run(words, stderr=subprocess.DEVNULL).returncode}}")
"""
    file.write_text(SMALL_NETWORK + started)
    said = evaluate(call, (network[0], f"{file}:starting", *network[2:]), data, status=2)
    assert "cat ended with 1" in said


def test_a_process_that_ends_is_an_error(call: Call, network: tuple[str, ...], data: Path) -> None:
    file = Path(network[1].rpartition(":")[0])
    file.write_text(SMALL_NETWORK + "\ndef ending():\n    import os\n    os._exit(3)\n")
    said = evaluate(call, (network[0], f"{file}:ending", *network[2:]), data, status=2)
    assert "The process of the network ended without finishing (exit status 3)" in " ".join(said.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--network-file", "x.py:build"), "--network-file FILE.py:FUNCTION and --weights FILE go together"),
        (("--weights", "x.pth"), "--network-file FILE.py:FUNCTION and --weights FILE go together"),
        (
            ("mine", "--network-file", "x.py:build", "--weights", "x.pth"),
            "without a name or folder beside them",
        ),
    ],
)
def test_wrong_words(words: tuple[str, ...], message: str, call: Call) -> None:
    assert message in " ".join(call("evaluate", *words, status=2).split())


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("camvid/tset", "Unknown split of camvid 'tset'. Did you mean 'test'"),
        ("camwid/test", "Did you mean 'camvid'"),
    ],
)
def test_splits_that_are_not_known(
    split: str, message: str, call: Call, network: tuple[str, ...], data: Path
) -> None:
    words = ("--data-root", data, "--splits", split, "--device", "cpu")
    assert message in " ".join(call("evaluate", *network, *words, status=2).split())


@pytest.mark.slow
@pytest.mark.skipif(not ESPNET.is_file(), reason="needs the published network and CamVid")
def test_espnet_scores_what_its_authors_print(call: Call, out: Path) -> None:
    """The network of docs/examples on CamVid test: all 233 images, or its 62 at dusk (sequence 0001TP)."""
    example = plugins.ROOT / "docs" / "examples" / "espnet.py"
    network = ("--network-file", f"{example}:camvid", "--weights", str(ESPNET))
    evaluate(call, network, ROOT_OF_REAL_DATA, *VOID_COUNTS)
    counted = only(out, "count")
    expected = MEASURED[counted.score.images]
    assert counted.score.miou == pytest.approx(expected[0], abs=TIES)
    assert counted.class_accuracy == pytest.approx(expected[2], abs=TIES)
    (file,) = (out / "evaluations" / counted.checkpoint).glob("*.npz")
    dusk = PerImageConfusion.load(file).totals_by("sequence")["0001TP"]
    assert 100 * Average().miou(dusk, 11) == pytest.approx(MEASURED[62][0], abs=TIES)
    assert 100 * mean_class_accuracy(dusk[:11]) == pytest.approx(MEASURED[62][2], abs=TIES)
    evaluate(call, network, ROOT_OF_REAL_DATA)
    assert only(out, "drop").score.miou == pytest.approx(expected[1], abs=5e-3 + TIES)


NORMED = """
from adaptbench.contracts.network_file import NetworkFile
from torch import nn


def build():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 3, 1))
    numbers = (100.0, 100.0, 100.0)
    return NetworkFile(network, ("sky", "building", "pole"), "camvid11", numbers, numbers)
"""


@pytest.mark.parametrize("method", ["norm_adapt", "tent", "cotta"])
def test_a_network_adapts_in_its_own_process(
    call: Call, data: Path, out: Path, tmp_path: Path, method: str
) -> None:
    """A network whose statistics say sky everywhere, until those of the image take their place."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4), torch.nn.Conv2d(4, 3, 1))
    torch.nn.init.constant_(network[1].running_mean, 100.0)
    (tmp_path / "normed.py").write_text(NORMED)
    torch.save(network.state_dict(), tmp_path / "normed.pth")
    words = ("--network-file", f"{tmp_path / 'normed.py'}:build", "--weights", str(tmp_path / "normed.pth"))
    settings = {"norm_adapt": ("alpha=1",), "tent": ("crop_height=2", "crop_width=3"), "cotta": ()}
    evaluate(call, words, data)
    evaluate(
        call, words, data, "--adapt", method, *(("--set", *settings[method]) if settings[method] else ())
    )
    found, _ = scan_evaluations(out)
    plain, adapted = sorted(found, key=lambda evaluation: len(evaluation.checkpoint))
    assert adapted.checkpoint == f"{plain.checkpoint}-{method}"
    assert adapted.weights_sha256 == plain.weights_sha256
    assert adapted.evaluation_hash != plain.evaluation_hash
    assert (adapted.score.iou == plain.score.iou) == (method == "cotta"), (
        "source statistics stay in cotta alone"
    )

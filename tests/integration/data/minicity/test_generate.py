from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from adaptbench.data.minicity import WorldSpec, cache_folder, draw_image, ensure, fingerprint, generate
from adaptbench.data.minicity.write import GTA5_PALETTE
from adaptbench.data.taxonomy import label_map
from adaptbench.errors import DataError, UsageError

SPEC = WorldSpec(scale=0.06)
COUNTS = {"all": 3, "heldout": 2}


def names(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def left_overs(cache: Path) -> list[Path]:
    return [path for path in (cache / "minicity").iterdir() if ".tmp-" in path.name]


def test_gta5_layout(tmp_path: Path) -> None:
    root = ensure(SPEC, "gta5", COUNTS, cache=tmp_path, workers=1)
    assert root == tmp_path / "minicity" / f"gta5-{fingerprint(SPEC, 'gta5', COUNTS)}"
    images = [f"{kind}/{i:05d}.png" for kind in ("images", "labels") for i in (1, 2, 3)]
    heldout = [f"heldout/{kind}/{i:05d}.png" for kind in ("images", "labels") for i in (1, 2)]
    assert names(root) == sorted([*images, *heldout, "spec.json"])
    image, label = draw_image(SPEC, "gta5", "all", 1)
    assert np.array_equal(np.array(Image.open(root / "images/00002.png")), image)
    stored = Image.open(root / "labels/00002.png")
    assert stored.mode == "P"
    assert np.array_equal(np.array(stored), label)
    assert stored.getpalette()[: 3 * 34] == [channel for colour in GTA5_PALETTE for channel in colour]


def test_cityscapes_layout(tmp_path: Path) -> None:
    root = ensure(SPEC, "cityscapes", {"train": 18, "val": 17}, cache=tmp_path, workers=1)
    images = sorted((root / "leftImg8bit").rglob("*.png"))
    assert len(images) == 35
    assert {path.name for path in (root / "leftImg8bit/val").iterdir()} == {"frankfurt", "lindau", "munster"}
    for image in images:
        _, split, city, name = image.relative_to(root).parts
        truth = root / "gtFine" / split / city / name.replace("leftImg8bit.png", "gtFine_labelIds.png")
        assert image.name.startswith(f"{city}_")
        assert Image.open(truth).mode == "L"
        assert Image.open(truth).size == Image.open(image).size
        train_ids = np.array(Image.open(str(truth).replace("labelIds", "labelTrainIds")))
        assert np.array_equal(train_ids, label_map("cityscapes", "cityscapes19")[np.array(Image.open(truth))])


def test_a_finished_dataset_is_reused(tmp_path: Path) -> None:
    calls = []
    root = ensure(SPEC, "gta5", COUNTS, cache=tmp_path, workers=1, progress=lambda *at: calls.append(at))
    assert calls == [(i, 5) for i in range(1, 6)]
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert ensure(SPEC, "gta5", COUNTS, cache=tmp_path, progress=lambda *at: calls.append(at)) == root
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    assert len(calls) == 5


def test_images_do_not_depend_on_counts_or_workers(tmp_path: Path) -> None:
    few = ensure(SPEC, "gta5", {"all": 2}, cache=tmp_path, workers=1)
    more = ensure(SPEC, "gta5", {"all": 5, "heldout": 1}, cache=tmp_path, workers=2)
    for name in names(few):
        if name != "spec.json":
            assert (few / name).read_bytes() == (more / name).read_bytes()
    assert json.loads((few / "spec.json").read_text())["counts"] == {"all": 2}


def test_the_cache_folder_is_the_users_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTBENCH_CACHE", str(tmp_path / "chosen"))
    assert cache_folder() == tmp_path / "chosen"
    monkeypatch.delenv("ADAPTBENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "adaptbench"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "adaptbench"


@pytest.mark.parametrize(
    ("dataset", "counts", "message"),
    [("gta", {"all": 1}, "gta5"), ("gta5", {"val": 1}, "heldout"), ("gta5", {"all": -1}, "all images"),
     ("cityscapes", {"train": 1.5}, "whole number")],
)  # fmt: skip
def test_bad_requests(tmp_path: Path, dataset: str, counts: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ensure(SPEC, dataset, counts, cache=tmp_path)


def _ensure(cache: Path) -> None:
    ensure(SPEC, "gta5", {"all": 12}, cache=cache, workers=1)


def test_two_processes_generate_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=_ensure, args=(tmp_path,)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
    assert len([path for path in (tmp_path / "minicity").iterdir() if path.is_dir()]) == 1


@pytest.mark.parametrize(
    ("ending", "workers"), [(signal.SIGKILL, 1), (signal.SIGKILL, 2), (signal.SIGINT, 2)]
)
def test_a_killed_generation_is_never_taken_for_finished(
    tmp_path: Path, ending: signal.Signals, workers: int
) -> None:
    counts = {"all": 5000}
    code = (
        "import signal; from pathlib import Path; from adaptbench.data.minicity import WorldSpec, ensure\n"
        "if __name__ == '__main__':\n"
        "    signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # ignored in a shell's background
        f"    cache = Path({str(tmp_path)!r})\n"
        f"    ensure(WorldSpec(scale=0.06), 'gta5', {counts}, cache=cache, workers={workers})"
    )
    script = tmp_path / "generate.py"
    script.write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(Path(generate.__file__).parents[3])}
    process = subprocess.Popen([sys.executable, str(script)], env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("minicity/.gta5-*/images/*.png")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(ending)
    assert process.wait(120) != 0
    folder = tmp_path / "minicity"
    assert not [path for path in folder.iterdir() if path.name.startswith("gta5-")]
    if ending == signal.SIGINT:
        assert not left_overs(tmp_path)
    # The next process that wants this dataset sweeps the remains.
    deadline = time.monotonic() + 20
    while left_overs(tmp_path):  # a worker may still be at its last image
        assert time.monotonic() < deadline
        generate._sweep(folder / f"gta5-{fingerprint(SPEC, 'gta5', counts)}")
        time.sleep(0.2)


def test_a_script_without_a_guard_ends_with_the_reason(tmp_path: Path) -> None:
    """Its workers read it again, and would wait for the lock of the one that waits for them."""
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\n"
        "from adaptbench.data.minicity import WorldSpec, ensure\n"
        f"ensure(WorldSpec(scale=0.06), 'gta5', {{'all': 4}}, cache=Path({str(tmp_path)!r}), workers=2)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert done.returncode != 0 and 'The script needs `if __name__ == "__main__":`' in done.stderr


def test_stale_remains_are_swept_and_an_unmarked_folder_is_redone(tmp_path: Path) -> None:
    root = tmp_path / "minicity" / f"gta5-{fingerprint(SPEC, 'gta5', COUNTS)}"
    (root / "images").mkdir(parents=True)
    stale = root.parent / f".{root.name}.tmp-dead"
    stale.mkdir()
    assert len(names(ensure(SPEC, "gta5", COUNTS, cache=tmp_path, workers=1))) == 11
    assert not stale.exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_says_where_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    # Workers are fresh processes and do not see a patch; the error they send home is the same.
    monkeypatch.setattr(generate, "_write" if workers == 1 else "_run", full)
    with pytest.raises(DataError, match=r"(?s)No space left.*minicity.*ADAPTBENCH_CACHE"):
        ensure(SPEC, "gta5", COUNTS, cache=tmp_path, workers=workers)
    assert not left_overs(tmp_path)


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "minicity").write_text("a file where the folder should be")
    with pytest.raises(DataError, match="ADAPTBENCH_CACHE"):
        ensure(SPEC, "gta5", COUNTS, cache=tmp_path, workers=1)

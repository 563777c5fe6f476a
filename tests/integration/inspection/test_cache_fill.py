"""``data cache`` on small generated datasets, passed off as official ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from adaptbench.cli import main
from adaptbench.contracts import plugins
from adaptbench.data import image_cache
from adaptbench.data.image_cache import ImageCache


@pytest.fixture(autouse=True)
def small_reserve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_cache, "SPARED", 0)


def fill(official: Path, folder: Path, *names: str, jobs: int = 1) -> int:
    where = ("--data-root", str(official), "--image-cache", str(folder), "--jobs", str(jobs))
    return main(["data", "cache", *names, *where])


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_it_is_filled_and_read(official: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "decoded"
    assert fill(official, folder, "gta5", "cityscapes") == 0
    said = capsys.readouterr().out
    dataset = plugins.load(plugins.discover().find("dataset", "cityscapes"))(official / "cityscapes")
    count = len(dataset.samples("train"))
    assert f"cityscapes/train: {count} images added" in said and "gta5/all" in said
    assert "images take about" in said and "cityscapes/val" not in said, "which no training reads"
    cache = ImageCache(folder, print)
    for sample in dataset.samples("train"):
        cache.read(dataset, sample)
    assert str(cache).endswith(f"{count} images read from it, 0 decoded and added")
    left = files(folder)[0].with_name(".killed.0123456789ab.tmp")
    left.touch()
    assert fill(official, folder, "cityscapes") == 0
    assert f"cityscapes/train: 0 images added (0.00 GiB), {count} were there" in capsys.readouterr().out
    assert not left.exists()


def test_by_several_processes(official: Path, tmp_path: Path) -> None:
    assert fill(official, tmp_path / "one", "gta5") == 0
    assert fill(official, tmp_path / "two", "gta5", jobs=2) == 0
    one, two = ({path.name: path.read_bytes() for path in files(tmp_path / name)} for name in ("one", "two"))
    assert one == two


def test_what_it_cannot_do(
    official: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(code: int, *words: str) -> None:
        assert code == 2
        said = capsys.readouterr()
        for word in words:
            assert word in said.out + said.err

    refused(main(["data", "cache", "gta5", "--data-root", str(official)]), "--image-cache DIR")
    (tmp_path / "file").touch()
    refused(fill(official, tmp_path / "file", "gta5"), "is no folder")
    refused(fill(official, Path("/dev/shm/decoded"), "gta5"), "share memory")
    monkeypatch.setattr(image_cache, "SPARED", 1 << 60)
    refused(fill(official, tmp_path / "decoded", "gta5"), "do not fit", "Free some space")
    assert not (tmp_path / "decoded").exists()


def test_damaged_files_are_named(official: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "decoded"
    assert fill(official, folder, "cityscapes") == 0
    entry = files(folder)[0]
    whole = entry.read_bytes()
    entry.write_bytes(whole[:-5])
    capsys.readouterr()
    assert fill(official, folder, "cityscapes") == 0
    assert f"{entry} is not used" in capsys.readouterr().out
    assert entry.read_bytes() == whole

    images = sorted((official / "cityscapes" / "leftImg8bit" / "train").rglob("*.png"))
    images[-1].write_bytes(images[-1].read_bytes()[:-20])
    assert fill(official, folder, "cityscapes") == 1
    assert f"image {images[-1]}: truncated" in capsys.readouterr().out

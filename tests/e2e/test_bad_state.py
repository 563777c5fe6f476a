"""States of the disk that must end in one clear paragraph and change nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from adaptbench.cli import main
from adaptbench.flags import EXIT_UNFINISHED, EXIT_USAGE

from .bench import ITERATIONS, PLUGINS, Bench

OPTIONS = ("--benchmarks", "tiny", "--device", "cpu", "--limit", str(ITERATIONS))
Asked = Callable[..., tuple[int, str]]


@pytest.fixture
def ask(reference: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Asked:
    """The command in this process: exit status and everything it printed."""
    monkeypatch.setenv("ADAPTBENCH_CACHE", str(reference.cache))

    def call(*arguments: str, plugins: tuple[Path, ...] = ()) -> tuple[int, str]:
        paths = [str(path) for path in (PLUGINS / "tiny.py", *plugins)]
        code = main([*arguments, *OPTIONS, "--plugins", *paths])
        return code, "".join(capsys.readouterr())

    return call


@pytest.fixture
def planned(ask: Asked, reference: Bench, tmp_path: Path) -> Path:
    """A results folder with the job file and record of a finished dacs job."""
    folder = reference.folder("dacs")
    copy = tmp_path / folder.relative_to(reference.out)
    copy.mkdir(parents=True)
    for name in ("job.json", "record.json", "status"):
        (copy / name).write_bytes((folder / name).read_bytes())
    return copy


@pytest.mark.parametrize("name", ["job.json", "record.json"])
@pytest.mark.parametrize("force", [(), ("--force",)])
def test_folder_of_a_newer_version(
    ask: Asked, planned: Path, tmp_path: Path, name: str, force: tuple[str, ...]
) -> None:
    content = json.loads((planned / name).read_text())
    (planned / name).write_text(json.dumps({**content, "schema_version": 99, "unknown": 1}))
    before = _everything(tmp_path)
    arguments = ("--methods", "dacs", "--set", "crop=64", "dacs.crop=128")
    code, output = ask(*arguments, *force, "--out", str(tmp_path))
    assert code == EXIT_USAGE
    assert "version 99" in output and "Update AdaptBench" in output
    assert "Traceback" not in output
    assert _everything(tmp_path) == before


def test_results_folder_below_a_file(ask: Asked, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    code, output = ask("--methods", "dacs", "--out", str(tmp_path / "file" / "results"))
    assert code == EXIT_USAGE
    assert "Cannot write" in output and "Not a directory" in output and "--out" in output
    assert (tmp_path / "file").read_text() == "not a folder"


def test_broken_plugin_file_is_named_and_left_out(ask: Asked, tmp_path: Path) -> None:
    boom = tmp_path / "boom.py"
    boom.write_text(
        'from methods.dacs import DACS\n\nclass Boom(DACS):\n    name = "boom"\n    title = "Boom"\n'
        '    tags = ()\n\nraise ImportError("no such luck")\n'
    )
    out = str(tmp_path / "out")
    code, output = ask("--methods", "all", "--dry-run", "--out", out, plugins=(boom,))
    flat = " ".join(output.split())
    assert code == EXIT_UNFINISHED
    assert "no such luck" in flat and "boom.py" in flat
    assert "source_only" in flat and "dacs" in flat


def _everything(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

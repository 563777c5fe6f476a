"""Results of strangers: nothing they bring is run, nothing is written elsewhere, and what is damaged is named."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from made_records import make_record
from stored_job import StoredJob
from stored_runs import put

from adaptbench.cli import main
from adaptbench.contracts import plugins
from adaptbench.records.confusion_files import matrices_file
from adaptbench.records.formatting import file_name
from adaptbench.records.jobspec import save_job
from adaptbench.records.record import folder_of, save_record
from adaptbench.reporting.figures.gallery import draw_all
from adaptbench.reporting.matrices import cluster_names
from adaptbench.storage import sealed_json

EVIL = """
from pathlib import Path
from adaptbench.contracts.study import Study
Path({place!r}).touch()
class Evil(Study):
    name, title, table, benchmarks, variants = "evil", "Evil", "none", ("gta5_to_cityscapes",), ()
"""


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    """A plug-in that lies in a results folder."""
    file = tmp_path / "out" / "evil.py"
    file.parent.mkdir(exist_ok=True)
    file.write_text(EVIL.format(place=str(tmp_path / "run")))
    return file


@pytest.mark.parametrize("way", ["absolute", "relative", "link"])
def test_no_plugin_of_a_study_is_run(
    way: str, evil: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = evil.parent
    monkeypatch.chdir(out)
    (tmp_path / "link.py").symlink_to(evil)
    named = {"absolute": str(evil), "relative": "evil.py", "link": str(tmp_path / "link.py")}[way]
    series = {"study": "evil", "file": named, "board": "minicity/x", "profile": "mini", "ranking_hash": "0"}
    content = {**series, "schema_version": 1, "device": "cpu", "settings": [], "limit": None, "variants": {}}
    sealed_json.write(out / "studies" / "evil" / "0.json", content)
    assert main(["report", "--out", str(out)]) == 0
    assert "left out study evil: Unknown study 'evil'" in " ".join(capsys.readouterr().out.split())
    assert not (tmp_path / "run").exists()


def test_no_plugin_of_a_job_is_run(job: StoredJob, evil: Path, tmp_path: Path) -> None:
    save_job(job.spec.model_copy(update={"plugins": [str(evil)]}), job.folder)
    assert cluster_names(tmp_path / "out", job.record, "cityscapes/val", ["a"])
    assert not (tmp_path / "run").exists()


def test_plugins_elsewhere_are_used(evil: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    found = plugins.named_by_results([str(mine), str(evil), "mine.py"], evil.parent)
    assert found == [mine]


def test_names_of_folders_stay_in_the_folder() -> None:
    assert [
        file_name(text) for text in ("minicity/gta5_to_cityscapes", "..", "../../x", "a\0b", "", "x" * 300)
    ] == [*("minicity-gta5_to_cityscapes", "unnamed", "-..-x", "a-b", "unnamed", "x" * 100)]


def test_a_benchmark_called_like_a_path(tmp_path: Path) -> None:
    out = tmp_path / "out"
    one = make_record(benchmark="..")
    save_record(one, out / "runs" / "a" / "b" / "0-01234567" / "record.json")
    for path in draw_all([one], out, lambda text: None):
        assert path.parent == out / "leaderboards" / "unnamed"


def test_damaged_matrices_are_named_and_the_rest_is_drawn(tmp_path: Path) -> None:
    first, second = make_record("dacs", 40.0), make_record("fada", 30.0)
    put(tmp_path, [first, second])
    file = matrices_file(folder_of(first, tmp_path), "cityscapes/val")
    arrays = dict(np.load(file))
    arrays["matrices"][0, 0, 0] += 1
    np.savez_compressed(file, **arrays)
    said: list[str] = []
    drawn = draw_all([first, second], tmp_path, said.append)
    assert [path.name for path in drawn] == ["leaderboard.png", "classes.png"]
    assert any(
        f"no image of the confusion. {file} is no file of confusion matrices (it was changed after" in text
        for text in said
    )


@pytest.mark.parametrize("name", ["record.json", "job.json", "status"])
@pytest.mark.parametrize("kind", ["pipe", "device", "deep", "sparse"])
def test_ls_and_report_name_it_and_go_on(
    name: str, kind: str, job: StoredJob, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job.save([0])
    path, out = job.folder / name, tmp_path / "out"
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "deep":
        path.write_text("[" * 100_000)
    else:
        with path.open("wb") as file:
            file.truncate(1 << 40)
    assert main(["ls", "runs", "--json", "--out", str(out)]) == 0
    assert path.name in capsys.readouterr().out
    assert main(["report", "--out", str(out)]) == 0
    assert name != "record.json" or "record.json is not a record" in " ".join(capsys.readouterr().out.split())

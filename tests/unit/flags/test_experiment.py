"""Experiments in files and as keywords: what is read, what goes before what, and what is written."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from adaptbench.cli import main, parse
from adaptbench.commands.run import request_of
from adaptbench.errors import UsageError
from adaptbench.flags import Run, Tracking, Work, experiment
from adaptbench.planning.plan import Plan, make_plan

EVERYTHING = Run(
    start="net.py:build",
    weights=Path("net.pth"),
    methods=("dacs", "hrda"),
    benchmarks=("gta5_to_cityscapes", "minicity/synthia_to_cityscapes"),
    study="hrda/components",
    seeds=(0, 3),
    networks=("deeplabv2-mini",),
    profile="paper",
    data="official",
    data_root=Path("data"),
    data_path=("gta5=~/gta=5", "cityscapes=../c"),
    out=Path("here"),
    jobs=2,
    timeout="1h30m",
    device="cpu",
    set=(
        "iterations=10",
        "dacs.pseudo_threshold=0.90",
        "lr=6e-5",
        "sizes=[1,2]",
        'network="3"',
        "a=True",
        "b=",
    ),
    full=True,
    limit=4,
    protocol="as-published:fada",
    checkpoint="snd",
    debug_images=5,
    activation_checkpointing=True,
    keep_weights="last",
    devices=2,
    image_cache=Path("decoded"),
    workers=3,
    precision="bf16",
    compile=True,
    accumulate=4,
    force=True,
    only_failed=True,
    plugins=(Path("plugins/one.py"),),
    tracking=Tracking("offline", "p", "e", "g", ("t", "u"), True),
)


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "experiment.yaml"
    file.write_text(text)
    return file


def read(tmp_path: Path, text: str, *arguments: str) -> Run:
    command = parse(["--config", str(written(tmp_path, text)), *arguments])
    assert isinstance(command, Run)
    return command


def planned(arguments: list[str]) -> Plan:
    command = parse(arguments)
    assert isinstance(command, Run)
    return make_plan(request_of(command))


def stated(command: Run) -> dict[str, Any]:
    """What differs from the defaults, apart from the file."""
    return {
        field.name: getattr(command, field.name)
        for field in fields(Run)
        if field.name != "config" and getattr(command, field.name) != getattr(Run(), field.name)
    }


def test_every_flag_comes_back_as_it_was_written(tmp_path: Path) -> None:
    assert stated(EVERYTHING).keys() == {field.name for field in fields(Run)} - {
        *("config", "write_config", "dry_run", "yes", "launcher", "cluster", "requeue")
    }
    file = tmp_path / "experiment.yaml"
    experiment.save(EVERYTHING, file)
    command = parse(["--config", str(file)])
    assert isinstance(command, Run)
    assert stated(command) == stated(EVERYTHING)


def test_values_are_those_of_the_command_line(tmp_path: Path) -> None:
    text = "methods: [dacs]\ndata_path: {gta5: ~/g}\nforce: true\n"
    text += "set: {iterations: 10, dacs: {crop: 64}, minicity.gap: 0}\n"
    assert stated(read(tmp_path, text)) == {
        "methods": ("dacs",),
        "set": ("iterations=10", "dacs.crop=64", "minicity.gap=0"),
        "data_path": ("gta5=~/g",),
        "force": True,
    }


def test_the_command_line_goes_before_the_file(tmp_path: Path) -> None:
    text = "methods: [dacs]\nseeds: [0]\nout: a\nwandb: offline\nwandb_tags: [t]\nset: {crop: 64, iterations: 5}\n"
    command = read(tmp_path, text, "--seeds", "1", "2", "--out=b", "--wandb", "online", "--set", "crop=32")
    assert stated(command) == {
        "methods": ("dacs",),
        "seeds": (1, 2),
        "out": Path("b"),
        "set": ("crop=32", "iterations=5"),
        "tracking": Tracking("online", wandb_tags=("t",)),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "seeds: [0]\nmethodes: [dacs]\n",
            "line 2, key 'methodes': there is no such key. Did you mean 'methods'",
        ),
        ("methods: dacs\n", "line 1, key 'methods': Input should be a valid list, found 'dacs'"),
        ("seeds: [true]\n", "line 1, key 'seeds.0': Input should be a valid integer, found True"),
        ("jobs: yes\n", "line 1, key 'jobs': Input should be a valid integer, found True"),
        ("profile: big\n", "line 1, key 'profile': Input should be 'mini', 'small' or 'paper', found 'big'"),
        ("config: other.yaml\n", "line 1, key 'config': there is no such key"),
        ("seeds: [0]\nseeds: [1]\n", "line 2, key 'seeds': it is stated twice"),
        ("- dacs\n", "line 1: expected keys with values"),
    ],
)
def test_a_wrong_file_is_explained(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        read(tmp_path, text)
    assert str(raised.value).startswith(f"{tmp_path / 'experiment.yaml'}, {message}")


def test_a_missing_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", "nowhere.yaml"]) == 2
    assert "Cannot read nowhere.yaml" in capsys.readouterr().err


def test_a_written_experiment_is_the_same_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ADAPTBENCH_CACHE", str(tmp_path / "cache"))
    file, out = tmp_path / "made" / "experiment.yaml", tmp_path / "out"
    asked = ["--methods", "dacs", "source_only", "--seeds", "0", "1", "--limit", "3", "--out", str(out)]
    asked += ["--set", "dacs.pseudo_threshold=0.9", "learning_rate=6e-5", "minicity.gap=0", "--device", "cpu"]
    assert main([*asked, "--dry-run", "--write-config", str(file)]) == 0
    assert f"written {file}" in capsys.readouterr().out
    assert not out.exists()
    plans = [planned(asked), planned(["--config", str(file)])]
    first, second = ([(job.spec.job_hash, job.folder) for job in plan.jobs] for plan in plans)
    assert len(first) == 4
    assert first == second
    assert yaml.safe_load(file.read_text())["set"]["minicity.gap"] == 0


def test_keywords_mean_the_same() -> None:
    command = experiment.of_keywords(
        {"methods": ("dacs",), "seeds": [1], "out": "o", "set": {"dacs": {"crop": 64}}, "wandb_tags": ["t"]}
    )
    assert command == Run(
        methods=("dacs",),
        seeds=(1,),
        out=Path("o"),
        set=("dacs.crop=64",),
        tracking=Tracking(wandb_tags=("t",)),
    )


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"method": ["dacs"]}, "Unknown keyword 'method'. Did you mean 'methods'"),
        ({"seeds": 3}, "seeds: Input should be a valid list, found 3"),
        ({"set": {1: 2}}, "set.1.\\[key\\]: Input should be a valid string"),
    ],
)
def test_a_wrong_keyword_is_explained(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        experiment.of_keywords(keywords)


def test_a_worker_reads_the_same_file(tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text("methods: [dacs]\nseeds: [0, 1]\njobs: 2\n")
    command = parse(["work", "--plan", str(file), "--seeds", "3", "--leave"])
    assert isinstance(command, Work) and command.leave
    assert (command.methods, command.seeds, command.jobs) == (("dacs",), (3,), 2)


@pytest.mark.parametrize("flag", ["--force", "--dry-run", "--yes", "--write-config=x.yaml"])
def test_flags_of_one_run_are_none_of_a_worker(flag: str) -> None:
    with pytest.raises(SystemExit):
        parse(["work", "--methods", "dacs", flag])

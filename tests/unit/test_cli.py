"""Words on the command line become commands; exit codes say how it ended."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import get_args

import pytest
import yaml
from forks import in_fork

import adaptbench
from adaptbench import signals
from adaptbench.cli import main, parse
from adaptbench.commands.run import request_of
from adaptbench.contracts import plugins
from adaptbench.errors import UsageError
from adaptbench.flags import Command, Compare, Doctor, Evaluate, Import, Ls, Report, Run, Tracking
from adaptbench.planning.plan import Job, make_plan
from adaptbench.planning.request import Request, parse_paths
from adaptbench.records.jobspec import save_job


def test_run_is_the_verb_where_there_is_none() -> None:
    assert parse([]) == Run() == parse(["run"])
    assert isinstance(parse(["ls"]), Ls)
    assert isinstance(parse(["report", "--publish"]), Report)
    assert isinstance(parse(["doctor", "--data-root", "/d"]), Doctor)
    assert parse(["compare", "a", "b", "--benchmark", "c"]) == Compare("a", "b", benchmark="c")


def test_import_and_evaluate() -> None:
    assert parse(
        [
            "import",
            "a.pth",
            "--method",
            "hrda",
            "--set",
            "crop=512",
            "--set",
            "resolution=1",
            "--trust-pickle",
        ]
    ) == Import(Path("a.pth"), "hrda", set=("crop=512", "resolution=1"), trust_pickle=True)
    assert parse(
        ["evaluate", "one", "two", "--benchmarks", "a", "--data", "generated", "--limit", "3"]
    ) == Evaluate(("one", "two"), benchmarks=("a",), data="generated", limit=3)


def test_flags() -> None:
    text = (
        "--methods hrda fada --benchmarks a b --seeds 0 1 2 --profile paper --data-root /d --out o --jobs 3 "
        "--device cpu --limit 7 --debug-images 9 --activation-checkpointing --image-cache c "
        "--workers 0 --precision bf16 --compile --accumulate 2 --dry-run --force --plugins p q --timeout 2h "
        "--only-failed"
    )
    assert parse(text.split()) == Run(
        methods=("hrda", "fada"),
        benchmarks=("a", "b"),
        seeds=(0, 1, 2),
        profile="paper",
        data_root=Path("/d"),
        out=Path("o"),
        jobs=3,
        device="cpu",
        limit=7,
        debug_images=9,
        activation_checkpointing=True,
        image_cache=Path("c"),
        workers=0,
        precision="bf16",
        compile=True,
        accumulate=2,
        dry_run=True,
        force=True,
        timeout="2h",
        only_failed=True,
        plugins=(Path("p"), Path("q")),
    )


@pytest.mark.parametrize(
    "text",
    ["--set a=1 b=2", "--set a=1 --set b=2", "--set=a=1 --seeds 0 --set b=2", "run --set a=1 --set=b=2"],
)
def test_repeated_flags_are_joined(text: str) -> None:
    assert parse(text.split()) == Run(set=("a=1", "b=2"))


def test_flags_of_trackers_have_no_prefix_and_are_joined() -> None:
    text = "run --wandb offline --wandb-tags a --tensorboard --wandb-tags b"
    assert parse(text.split()) == Run(tracking=Tracking("offline", wandb_tags=("a", "b"), tensorboard=True))


def test_of_a_repeated_single_value_the_last_counts() -> None:
    assert parse(
        ["--out", "a", "--seeds", "1", "--out", "b", "--seeds", "2", "--dry-run", "--dry-run"]
    ) == Run(out=Path("b"), seeds=(1, 2), dry_run=True)


def test_what_to_list_may_stand_anywhere() -> None:
    listed = Ls(what=("methods", "runs"), out=Path("x"))
    assert (
        parse(["ls", "methods", "runs", "--out", "x"])
        == listed
        == parse(["ls", "--out", "x", "methods", "runs"])
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--debug-images", "often"], "--debug-images"),
        (["--frobnicate", "3"], "Unrecognized options: --frobnicate"),
        (["--method", "dacs"], "--methods"),
        (["--profile", "big"], "invalid choice 'big'"),
        (["--seeds", "one"], "--seeds"),
        (["--limit"], "Missing value for argument '--limit'"),
        (["ls", "everything"], "invalid choice 'everything'"),
    ],
)
def test_a_wrong_flag_is_explained(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_an_unknown_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["raport"]) == 2
    assert "Unknown verb 'raport'. Did you mean 'report' or 'import' or 'export'?" in capsys.readouterr().err


def test_help_ends_well(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "--methods METHOD ..." in capsys.readouterr().out


@pytest.mark.parametrize("what", ["methods", "benchmarks", "datasets", "profiles", "runs"])
def test_ls(what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls", what, "--out", str(tmp_path)]) == 0
    assert what in capsys.readouterr().out.lower()


def test_ls_names_what_it_leaves_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.py").write_text("def (:\n")
    assert main(["ls", "methods", "--plugins", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "dacs" in shown
    assert "SyntaxError" in shown


def test_doctor_and_report_on_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--out", str(tmp_path)]) == 0
    assert "torch" in capsys.readouterr().out
    assert main(["report", "--out", str(tmp_path / "out")]) == 0


@pytest.mark.parametrize("flag", ["--methods", "--benchmarks", "--seeds"])
def test_an_empty_list_is_no_request(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([flag, "--dry-run"]) == 2
    assert f"{flag}: give at least one" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--limit", "--jobs", "--debug-images"])
def test_numbers_start_at_one(flag: str) -> None:
    command = parse([flag, "0"])
    assert isinstance(command, Run)
    with pytest.raises(UsageError, match=f"{flag} 0: give at least 1"):
        request_of(command)


@pytest.mark.parametrize("text", ["gta5", "gta5=", "=/data"])
def test_data_paths_need_a_name_and_a_path(text: str) -> None:
    with pytest.raises(UsageError, match="expected DATASET=PATH, for example gta5=/data/gta5"):
        parse_paths([text])


def test_data_paths() -> None:
    assert parse_paths(["a=/x", "b=/y=z", "c=~"]) == {"a": Path("/x"), "b": Path("/y=z"), "c": Path.home()}


def test_a_plan_is_shown_and_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["--methods", "dacs", "--seeds", "0", "1", "--out", str(out), "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("dacs") == 2
    assert shown.count("planned") == 2
    assert not out.exists()


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"adaptbench {adaptbench.__version__}\n"
    heading = re.search(r"^## (\S+)", (plugins.ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert heading is not None and heading[1] == adaptbench.__version__
    assert yaml.safe_load((plugins.ROOT / "CITATION.cff").read_text())["version"] == adaptbench.__version__


@pytest.mark.parametrize("verb", get_args(Command), ids=lambda verb: verb.__name__.lower())
def test_every_help_ends_with_examples_that_are_commands(
    verb: type[Command], capsys: pytest.CaptureFixture[str]
) -> None:
    name = verb.__name__.lower()
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    _, shown = capsys.readouterr().out.split("examples:\n")
    assert 2 <= len(verb.examples) <= 3
    for example in verb.examples:
        called = f"adaptbench {example}" if verb is Run else f"adaptbench {name} {example}"
        assert f"  {called.rstrip()}\n" in shown
        assert isinstance(parse([name, *_without_config(example)]), verb)


def _without_config(example: str) -> list[str]:
    """The words of an example; there is no file for the test to read."""
    return example.replace("--config experiment.yaml ", "").replace("--plan experiment.yaml", "").split()


def test_the_first_help_lists_all_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    _, shown = capsys.readouterr().out.split("verbs, each with --help:\n")
    assert [line.split()[0] for line in shown.splitlines()[: len(get_args(Command))]] == [
        verb.__name__.lower() for verb in get_args(Command)
    ]


def test_a_piped_list_breaks_no_name(tmp_path: Path) -> None:
    command = [sys.executable, str(plugins.ROOT / "run_all.py"), "ls"]
    environment = {**os.environ, "COLUMNS": "40"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    registry = plugins.discover()
    for kind in plugins.KINDS:
        for name in registry.names(kind):
            title = registry.plugins[kind][name].title
            assert any(line.split()[:1] == [name] and title in line for line in lines)


@pytest.mark.parametrize("what", ["methods", "benchmarks", "datasets", "studies", "profiles", "protocols"])
def test_ls_as_json(what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.py").write_text("def (:\n")
    assert main(["ls", what, "--json", "--plugins", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    (rows,) = json.loads(printed.out).values()
    assert all({"name", "title"} <= row.keys() for row in rows)
    assert "SyntaxError" in printed.err
    if what == "methods":
        assert next(row for row in rows if row["name"] == "oracle")["tags"] == ["control", "oracle"]


def test_runs_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = tmp_path / "runs" / "b" / "dacs" / "0-01234567"
    damaged.mkdir(parents=True)
    (damaged / "job.json").write_text("{}")
    assert main(["ls", "runs", "--json", "--out", str(tmp_path)]) == 0
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    assert (run["state"], run["folder"]) == ("unreadable", str(damaged))
    assert str(damaged) in run["reason"]


def test_runs_show_smoke_runs_and_changed_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = {"methods": ("dacs",), "device": "cpu", "out": tmp_path}
    smoke = make_plan(Request(**asked, limit=3)).jobs
    changed = make_plan(Request(**asked, settings=("pseudo_threshold=0.5",))).jobs
    for job in (*smoke, *changed):
        save_job(job.spec, job.folder)
    assert main(["ls", "runs", "--out", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum("planned (smoke run of 3 iterations)" in line for line in lines) == len(smoke)
    assert sum("pseudo_threshold=0.5" in line for line in lines) == len(changed)
    assert main(["ls", "runs", "--json", "--out", str(tmp_path)]) == 0
    runs = json.loads(capsys.readouterr().out)["runs"]
    assert {(run["smoke"], run["overrides"]) for run in runs} == {
        (True, ""),
        (False, "pseudo_threshold=0.5"),
    }


def test_doctor_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["doctor", "--json", "--out", str(tmp_path), "--data-path", f"gta5={tmp_path / 'gta5'}"]
    assert main(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ready"] is True
    assert found["packages"]["torch"] == metadata.version("torch")
    assert found["label_firewall"].startswith(("kernel and audit hook", "audit hook alone (no Landlock: "))
    assert found["folders"]["results"]["writable"] is True
    assert found["folders"]["results"]["free_bytes"] > 0
    assert found["datasets"]["gta5"]["path"] is None
    assert "not found" in found["datasets"]["gta5"]["missing"]


class Answers(io.StringIO):
    """A terminal on which somebody types."""

    def isatty(self) -> bool:
        """Somebody is there."""
        return True


BARE = ("--limit", "1", "--device", "cpu")


def test_without_methods_and_without_anybody_to_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert main([*BARE, "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "all of them would be trained" in said and "jobs to run" in said
    assert "--methods" in said and "--yes" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("typed", ["n\n", "\n", ""])
def test_without_methods_the_answer_may_be_no(
    typed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", Answers(typed))
    assert main([*BARE, "--out", str(tmp_path / "out")]) == 1
    assert "Train them all?" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "typed"), [((), "y\n"), (("--yes",), ""), (("-y",), ""), (("--methods", "all"), "")]
)
def test_without_methods_the_answer_may_be_yes(
    arguments: tuple[str, ...], typed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []

    @contextmanager
    def stopped(jobs: Sequence[Job]) -> Iterator[None]:
        started.append(len(jobs))
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr("adaptbench.commands.run.prepared", stopped)
    monkeypatch.setattr(sys, "stdin", Answers(typed))
    assert main([*BARE, *arguments, "--out", str(tmp_path / "out")]) == 130
    assert started == [len(plugins.discover().names("method"))]


@pytest.fixture
def no_nohup() -> Iterator[None]:
    """Under nohup a closed terminal is ignored, and commands leave it so."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("no_nohup")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_ends_a_command_with_one_line_and_its_status(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(_: object) -> int:
        os.kill(os.getpid(), number)
        raise AssertionError("went on")

    before = [signal.getsignal(each) for each in signals.STOPS]
    monkeypatch.setattr("adaptbench.commands.ls.execute", stopped)
    assert main(["ls", "methods"]) == 128 + number
    assert capsys.readouterr().err == "adaptbench: stopped.\n"
    assert [signal.getsignal(each) for each in signals.STOPS] == before


def test_flags_keep_their_former_names() -> None:
    assert parse(["--methods", "dacs", "--debug-pictures", "5"]) == Run(methods=("dacs",), debug_images=5)
    assert parse(["--debug-pictures=5"]) == Run(debug_images=5)
    assert parse(["report", "--pictures"]) == Report(images=True)


def test_a_name_that_is_no_utf8(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls", "runs", "--out", os.fsdecode(b"results\xff")]) == 2
    assert "'results\\udcff' holds bytes that are not read as UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize("written", [("--out=-my results",), ("--out", "a", "--out=-my results")])
def test_a_folder_that_begins_with_a_dash(written: tuple[str, ...]) -> None:
    assert parse(["ls", "runs", *written]) == Ls(("runs",), out=Path("-my results"))
    assert parse(["ls", "runs", *written, "--out=b"]) == Ls(("runs",), out=Path("b"))


def test_standard_output_that_is_full(capsys: pytest.CaptureFixture[str]) -> None:
    in_fork(_with_standard_output_full)


def _with_standard_output_full() -> None:
    os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), io.StringIO()
    assert main(["ls", "methods"]) == 2
    assert sys.stderr.getvalue() == (
        "adaptbench: standard output: No space left on device. Free some space and run again.\n"
    )
    sys.stdout.flush()


@pytest.mark.parametrize(
    ("number", "way_out"),
    [
        (errno.EACCES, "Change its permissions, or choose another place with --out"),
        (errno.ENOSPC, "Free some space and run again."),
        (errno.EROFS, "Choose another place with --out"),
        (errno.EMFILE, "Allow more open files, as with ulimit -n 4096"),
        (errno.ENAMETOOLONG, "Choose a shorter name"),
        (errno.EIO, "The disk, or the way to it, fails"),
    ],
)
def test_an_error_of_the_system_that_nobody_expected(
    number: int, way_out: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """File, cause and what to do; standard output is blamed for its own errors alone."""
    for place, named in (("a\nfile", "a\\nfile: "), (None, "")):

        def fail(_: object, place: str | None = place) -> int:
            raise OSError(number, os.strerror(number), place)

        monkeypatch.setattr("adaptbench.cli._execute", fail)
        with monkeypatch.context() as patch:
            patch.setattr("adaptbench.cli.streams.silence", lambda: None)
            assert main(["ls", "methods"]) == 2
        said = capsys.readouterr().err
        assert (
            said.startswith(f"adaptbench: {named}{os.strerror(number)}. {way_out}") and said.count("\n") == 1
        )


@pytest.mark.parametrize(
    "words",
    [
        ("--methods", "majority", "--out", "{}"),
        ("doctor", "--out", "{}/x"),
        ("contribute", "{}"),
        ("merge", "{}"),
    ],
)
def test_a_link_that_leads_to_itself(
    words: Sequence[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    link = tmp_path / "link"
    link.symlink_to(link)
    assert main([word.format(link) for word in words]) == 2
    said = capsys.readouterr().err
    assert f" {link}" in said and "this link leads to itself" in said and said.count("\n") == 1


def test_no_home_folder(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("ADAPTBENCH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", unknown)
    assert main(["--methods", "source_only", "--dry-run"]) == 2
    assert "Set HOME, or ADAPTBENCH_CACHE to a folder." in capsys.readouterr().err

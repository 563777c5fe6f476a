"""Names that hold what ends a line or what a terminal obeys are shown escaped, wherever they are shown."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from adaptbench.cli import main
from adaptbench.commands.output import say
from adaptbench.errors import DataError, printable
from adaptbench.execution.launch.endings import reason_of
from adaptbench.records import formatting
from adaptbench.records.jobspec import job_folder
from adaptbench.records.record import Record, save_record
from adaptbench.reporting.columns import column
from adaptbench.reporting.table import Table

BAD = "a\n\x1b[2Jb\r\x9b\u202ec\x07"
SHOWN = r"a\n\x1b[2Jb\r\x9b\u202ec\x07"


def test_an_error_is_one_line() -> None:
    error = DataError(f"{BAD}: no image.")
    assert str(error) == f"{SHOWN}: no image."
    assert str(DataError(f"left out: {error}")) == f"left out: {SHOWN}: no image."
    assert reason_of(ValueError(BAD)) == f"ValueError: {SHOWN}"


def test_other_letters_stay() -> None:
    names = "ü ñ 北京 \N{FAMILY}\u200d\N{WOMAN} שלום c:\\new 'quoted'"
    assert printable(names) == names


def test_lines_and_tables() -> None:
    console = Console(file=StringIO(), width=200)
    say(console, BAD)
    console.print(Table([column("name", str)], [BAD]).to_rich(BAD))
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert said.count(SHOWN) == 3
    assert not set(BAD) - set("a[2Jbc\n") & set(said)
    for escape in (formatting.markdown, formatting.latex):
        assert not set(BAD) - set("a[2Jbc\n") & set(escape(BAD))


@pytest.mark.parametrize("verb", [("ls", "runs"), ("report",), ("doctor",)])
def test_verbs_on_a_folder_of_such_a_name(
    verb: tuple[str, ...], record: Callable[..., Record], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / BAD
    one = record("dacs", overrides={"note": BAD})
    save_record(one, job_folder(out, one.benchmark, one.method, one.seed, one.job_hash) / "record.json")
    (out / "runs/minicity/x/y/0-z").mkdir(parents=True)
    (out / "runs/minicity/x/y/0-z/job.json").write_text("{}")
    assert main([*verb, "--out", str(out)]) == 0
    printed = capsys.readouterr()
    said = printed.out + printed.err
    assert SHOWN[:2] in said and not set("\x1b\r\x9b\u202e\x07") & set(said)

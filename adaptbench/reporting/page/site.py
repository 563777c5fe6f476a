"""Writes the web page of a results folder: every file in one go, or none."""

from __future__ import annotations

import contextlib
import errno
import itertools
import logging
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from adaptbench.records.documents import Unreadable
from adaptbench.records.record import Record, folder_of
from adaptbench.reporting.board import Board, Row, boards
from adaptbench.reporting.page.boards import board_page
from adaptbench.reporting.page.curves import read_metrics
from adaptbench.reporting.page.printed import printed_page
from adaptbench.reporting.page.runs import run_page
from adaptbench.reporting.published.comparison import Facts
from adaptbench.reporting.standing import significance
from adaptbench.reporting.standing.significance import Significances
from adaptbench.storage.atomic import cannot_write, folder_beside

_log = logging.getLogger(__name__)


def write_page(
    records: Iterable[Record],
    out: Path,
    facts: Facts,
    unreadable: Sequence[Unreadable] = (),
    say: Callable[[str], None] = _log.warning,
    tests: Significances | None = None,
) -> Path:
    """Writes ``OUT/leaderboards/page`` anew and returns its ``index.html``.

    The folder needs nothing outside of itself. The same results folder gives the same bytes. Curves and images are
    read from the job folders in ``out``; ``say`` is told why a board has no images.
    """
    target = out / "leaderboards" / "page"
    try:
        with folder_beside(target) as temporary:
            new = temporary / "page"
            (new / "assets").mkdir(parents=True)
            for file in (Path(__file__).parent / "static").iterdir():
                shutil.copyfile(file, new / "assets" / file.name)
            _write(new, list(records), out, facts, unreadable, say, tests or {})
            _exchange(new, target, temporary)
    except OSError as error:
        raise cannot_write(target, error) from error
    return target / "index.html"


def _exchange(new: Path, target: Path, aside: Path) -> None:
    """Puts a folder in the place of another, which goes aside; who came between at the same moment does, too."""
    for number in itertools.count():
        with contextlib.suppress(FileNotFoundError):
            target.rename(aside / f"old{number}")
        try:
            new.rename(target)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise


def _write(
    folder: Path,
    records: list[Record],
    out: Path,
    facts: Facts,
    unreadable: Sequence[Unreadable],
    say: Callable[[str], None],
    tests: Significances,
) -> None:
    environment = _environment()

    def write(href: str, template: str, **content: object) -> None:
        text = environment.get_template(template).render(**content)
        (folder / href).write_text(text, encoding="utf-8")

    metrics = {r.job_hash: read_metrics(folder_of(r, out) / "metrics.jsonl", say) for r in records}
    pages = [
        board_page(board, out, folder, facts, metrics, tests.get(significance.key(board)))
        for board in boards(records)
    ]
    for page in pages:
        board, href, reason = page["board"], page["href"], page["strips"].reason
        if reason:
            say(f"{board.benchmark}: no images on the page. {reason}")
        same = [other for other in pages if other["board"].benchmark == board.benchmark]
        write(href, "board.html.j2", page=page, protocols=same)
        for row, record in _runs(board):
            run = run_page(record, row, folder_of(record, out), folder, href, metrics[record.job_hash], say)
            write(run["href"], "run.html.j2", page=run)
    printed = [printed_page(facts.published, benchmark) for benchmark in facts.published.benchmarks]
    for one in printed:
        write(one["href"], "published.html.j2", page=one)
    write("index.html", "index.html.j2", pages=pages, printed=printed, unreadable=unreadable)


def _runs(board: Board) -> list[tuple[Row, Record]]:
    return [(row, record) for row in board.all_rows for record in row.records]


def _environment() -> Any:
    """What renders templates; everything they are given is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("adaptbench.reporting.page")
    return Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )

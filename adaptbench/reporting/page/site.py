"""Writes the web page of a results folder: every file in one go, or none."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from adaptbench.errors import RunStateError
from adaptbench.records.documents import Unreadable
from adaptbench.records.record import Record, folder_of
from adaptbench.reporting.board import boards
from adaptbench.reporting.page.boards import board_page
from adaptbench.reporting.page.curves import read_metrics
from adaptbench.reporting.page.printed import printed_pages
from adaptbench.reporting.page.runs import run_page
from adaptbench.reporting.published.comparison import Facts
from adaptbench.reporting.standing import significance
from adaptbench.reporting.standing.significance import Significances

_log = logging.getLogger(__name__)
_ASSETS = ("page.css", "tables.css", "charts.css", "images.css", "page.js")


@dataclass(frozen=True)
class _Writer:
    """Renders templates into files of a folder; everything they are given is escaped."""

    folder: Path
    environment: Any

    def write(self, href: str, template: str, **content: object) -> None:
        text = self.environment.get_template(template).render(**content)
        (self.folder / href).write_text(text, encoding="utf-8")


def write_page(
    records: Iterable[Record],
    out: Path,
    facts: Facts,
    unreadable: Sequence[Unreadable] = (),
    say: Callable[[str], None] = _log.warning,
    tests: Significances | None = None,
) -> Path:
    """Writes ``OUT/leaderboards/page`` anew and returns its ``index.html``.

    The folder needs nothing outside of itself. The same results folder gives the same bytes.

    Args:
        records: any number, in any order.
        out: the results folder they come from; curves and images are read from their job folders.
        facts: printed numbers.
        unreadable: record files that are not in the tables; listed on the first page.
        say: told why a board has no images.
        tests: what the statistics say about the boards, where it is known.

    Raises:
        RunStateError: the folder cannot be written.
    """
    target = out / "leaderboards" / "page"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".page-") as temporary:
            new = Path(temporary) / "page"
            new.mkdir()
            _write(_Writer(new, _environment()), list(records), out, facts, unreadable, say, tests or {})
            if target.exists():
                target.rename(Path(temporary) / "old")
            new.rename(target)
    except OSError as error:
        raise RunStateError(
            f"Cannot write {target}: {error.strerror or error}. Choose another folder with --out."
        ) from error
    return target / "index.html"


def _write(
    writer: _Writer,
    records: list[Record],
    out: Path,
    facts: Facts,
    unreadable: Sequence[Unreadable],
    say: Callable[[str], None],
    tests: Significances,
) -> None:
    _copy_assets(writer.folder)
    found = boards(records)
    metrics = {r.job_hash: read_metrics(folder_of(r, out) / "metrics.jsonl") for r in records}
    pages = [
        board_page(board, out, writer.folder, facts, metrics, tests.get(significance.key(board)))
        for board in found
    ]
    printed = printed_pages(facts.published)
    for page in pages:
        board, href, reason = page["board"], page["href"], page["strips"].reason
        if reason:
            say(f"{board.benchmark}: no images on the page. {reason}")
        same = [other for other in pages if other["board"].benchmark == board.benchmark]
        writer.write(href, "board.html.j2", page=page, protocols=same)
        for record in board.records:
            job = folder_of(record, out)
            run = run_page(record, job, writer.folder, href, metrics[record.job_hash])
            writer.write(run["href"], "run.html.j2", page=run)
    for printed_page in printed:
        writer.write(printed_page["href"], "published.html.j2", page=printed_page)
    writer.write("index.html", "index.html.j2", pages=pages, printed=printed, unreadable=unreadable)


def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("adaptbench.reporting.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _copy_assets(folder: Path) -> None:
    (folder / "assets").mkdir()
    for name in _ASSETS:
        with resources.as_file(resources.files(__package__) / "static" / name) as source:
            shutil.copyfile(source, folder / "assets" / name)

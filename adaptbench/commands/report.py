"""``report``: leaderboards and tables of studies from records."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

from rich.console import Console

from adaptbench.commands.output import Noted, finally_raised, print_json, say
from adaptbench.contracts import plugins
from adaptbench.contracts.study import load_study
from adaptbench.errors import AdaptBenchError, DataError, ReadOnlyError
from adaptbench.flags import Report
from adaptbench.records.found import FoundRecords, scan_records
from adaptbench.reporting import leaderboard
from adaptbench.reporting.board import boards
from adaptbench.reporting.checkpoint_rules import write_checkpoint_rules
from adaptbench.reporting.checkpoints import write_checkpoints
from adaptbench.reporting.latex import render_latex
from adaptbench.reporting.leaderboard import data_sentence, write_leaderboards
from adaptbench.reporting.published import comparison, context
from adaptbench.reporting.published.comparison import Facts
from adaptbench.reporting.published.controls import Control, load_controls
from adaptbench.reporting.published.facts import FOLDER, load_published
from adaptbench.reporting.published.published_board import write_published
from adaptbench.reporting.standing import significance
from adaptbench.reporting.standing.cached_tests import tests_of
from adaptbench.reporting.standing.significance import Significances
from adaptbench.reporting.studies import study_page
from adaptbench.reporting.studies.series import current, find_series
from adaptbench.reporting.studies.study_page import caution, circumstances, write_studies
from adaptbench.reporting.studies.study_table import StudyTable, study_table
from adaptbench.reporting.terminal import context_table, leaderboard_table, study_tables
from adaptbench.storage.atomic import sweep_abandoned, write_text


def execute(command: Report) -> int:
    """Writes leaderboards and studies of ``--out``, and the committed leaderboard with ``--publish``.

    ``--json`` asks for no files: of a read-only folder it prints what they would say.
    """
    console = Console(stderr=command.json)
    warn = partial(say, console, style="yellow")
    found = scan_records(command.out)
    shown = () if command.json else None
    with finally_raised() as noted:
        tests = show_boards(console, command.out, found, shown, not command.json, noted)
        studies = show_studies(console, command.out, found, shown, not command.json, noted)
        if command.json:
            made = leaderboard.to_json(found.records, tests, printed_facts())
            print_json({"boards": made, "studies": study_page.to_json(studies)})
    if command.publish:
        from adaptbench.commands.publishing import publish
        from adaptbench.handbook.write import write_pages

        registry, results = plugins.discover(), plugins.ROOT / "results"
        facts = comparison.gather(load_published(), registry, ())  # its own controls are the committed ones
        for line in publish(found.records, studies, command.out, results, tests, facts):
            say(console, line)
        for path in [*write_published(load_published(), FOLDER), *write_pages(registry)]:
            say(console, f"published {path}")
    if command.images:
        from adaptbench.reporting.figures.gallery import draw_all

        for path in draw_all(found.records, command.out, warn):
            say(console, f"drawn {path}")
    if command.page:
        from adaptbench.reporting.page.site import write_page

        page = write_page(found.records, command.out, printed_facts(), found.unreadable, warn, tests)
        say(console, f"Page: {page}")
    tracking = command.tracking
    if tracking.wandb != "disabled" or tracking.tensorboard:
        from adaptbench.tracking.backends import trackers
        from adaptbench.tracking.upload import upload

        for tracker in trackers(tracking, command.out):
            say(console, upload(found.records, command.out, tracker))
    return 0


def show_studies(
    console: Console,
    out: Path,
    finished: FoundRecords,
    names: Collection[str] | None = None,
    files: bool = True,
    noted: Noted = nullcontext,
) -> list[StudyTable]:
    """Prints tables (of the studies ``names``, if given), rewrites ``OUT/leaderboards/studies`` and returns all.

    A read-only folder is an error only if ``files`` are asked for; ``noted`` keeps errors until all is shown.
    """
    found, unreadable = find_series(out)
    tables = []
    for series in current(found, finished.records):
        try:
            # Which may lie outside of the checkout.
            extra = [] if series.file is None else plugins.named_by_results([series.file], out)
            study = load_study(plugins.discover(extra), series.study)
            tables.append(study_table(study, series, finished.records))
        except AdaptBenchError as error:
            say(console, f"left out study {series.study}: {error}", "yellow")
    for table in tables:
        if names is None or table.study.name in names:
            for drawn in study_tables(table):
                console.print(drawn)
            for sentence in filter(None, (circumstances(table), caution(table))):
                console.print(sentence, style="italic", highlight=False, markup=False)
    for problem in unreadable:
        say(console, f"left out {problem.path}: {problem.reason}", "yellow")
    with noted(), _writing(console, files):
        for page in write_studies(tables, out / "leaderboards" / "studies"):
            say(console, f"Study: {page}")
    return tables


@contextmanager
def _writing(console: Console, asked: bool) -> Iterator[None]:
    try:
        yield
    except ReadOnlyError as error:
        if asked:
            raise
        say(console, str(error), "yellow")


def printed_facts() -> Facts:
    """What papers print for the methods and benchmarks of the checkout, and the controls of its board."""
    return comparison.gather(load_published(), plugins.discover(), committed_controls())


def committed_controls(warn: Callable[[str], None] = lambda text: None) -> tuple[Control, ...]:
    """The controls of the committed boards; none, with a warning, where one is damaged."""
    try:
        return load_controls()
    except DataError as error:
        warn(f"left out the committed controls: {error}")
        return ()


def show_boards(
    console: Console,
    out: Path,
    found: FoundRecords,
    names: Collection[str] | None = None,
    files: bool = True,
    noted: Noted = nullcontext,
) -> Significances:
    """Prints the boards (those in ``names``, if given), rewrites ``OUT/leaderboards`` and returns their tests.

    A read-only folder is an error only if ``files`` are asked for; ``noted`` keeps errors until all is shown.
    """
    made = boards(found.records)
    tests = tests_of(made, out)
    controls = committed_controls(partial(say, console, style="yellow"))
    for board in made:
        if names is None or board.benchmark in names:
            result = tests.get(significance.key(board))
            console.print(leaderboard_table(board, console.width, result))
            for text in (significance.sentence(board, result), data_sentence(board)):
                if text:
                    console.print(text, style="italic", highlight=False, markup=False)
            beside = context_table(board, controls, console.width)
            if beside is not None:
                console.print(beside)
                console.print(context.NOTE, style="italic", highlight=False, markup=False)
    for problem in found.unreadable:
        say(console, f"left out {problem.path}: {problem.reason}", "yellow")
    with noted(), _writing(console, files):
        sweep_abandoned(out / "leaderboards")
        _write_boards(console, out, found, tests)
    return tests


def _write_boards(console: Console, out: Path, found: FoundRecords, tests: Significances) -> None:
    facts, folder = printed_facts(), out / "leaderboards"
    written = write_leaderboards(found.records, folder, found.unreadable, tests, facts)
    write_text(folder / "leaderboard.tex", render_latex(found.records, facts))
    say(console, f"Leaderboard: {written[0]}")
    rules = write_checkpoint_rules(found.records, out)
    for title, page in (("Single checkpoints", write_checkpoints(out)), ("Checkpoint rules", rules)):
        if page is not None:
            say(console, f"{title}: {page}")

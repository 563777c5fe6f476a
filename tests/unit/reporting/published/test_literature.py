"""The order of a board against the order of printed numbers: which rows are compared, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from adaptbench.contracts import plugins
from adaptbench.records.record import Record
from adaptbench.reporting.board import Board, boards
from adaptbench.reporting.leaderboard import render_markdown
from adaptbench.reporting.published import literature
from adaptbench.reporting.published.comparison import Facts, gather
from adaptbench.reporting.published.facts import load_published

Maker = Callable[..., Record]
#: In the order in which papers print them.
DAFORMER = ("mic", "hrda", "daformer")


@pytest.fixture(scope="module")
def facts() -> Facts:
    return gather(load_published(), plugins.discover())


def only(records: list[Record]) -> Board:
    (board,) = boards(records)
    return board


def ordered(record: Maker, *methods: str, network: str = "daformer-lite0", seeds: int = 2) -> list[Record]:
    """Records with the best method first, five points between two."""
    return [
        record(method, 50.0 - 5 * place + seed, seed, network=network)
        for place, method in enumerate(methods)
        for seed in range(seeds)
    ]


def test_the_same_order_and_its_reverse(record: Maker, facts: Facts) -> None:
    line, over_all = literature.lines(only(ordered(record, *DAFORMER)), facts)
    assert (line.network, line.methods, line.interval) == (
        "daformer-lite0",
        "mic, hrda, daformer",
        "1.00 to 1.00",
    )
    assert (line.agreement.tau, over_all.network) == (1.0, "all")
    reverse, _ = literature.lines(only(ordered(record, *reversed(DAFORMER))), facts)
    assert reverse.agreement.tau == -1.0


def test_networks_have_lines_of_their_own_where_there_are_three(record: Maker, facts: Facts) -> None:
    made = [*ordered(record, *DAFORMER), *ordered(record, "dacs", "fada", network="deeplabv2-lite0")]
    first, over_all = literature.lines(only(made), facts)
    assert (first.network, over_all.network, len(over_all.rows)) == ("daformer-lite0", "all", 5)
    few = [*ordered(record, "mic"), *ordered(record, "dacs", network="deeplabv2-lite0")]
    assert literature.lines(only(few), facts) == []


def test_the_first_line_whose_network_becomes_that_of_the_row_counts(record: Maker, facts: Facts) -> None:
    first = next(name for (method, _), name in facts.published.methods.items() if method == "fada")
    for network, expected in (("deeplabv2-lite0", first), ("deeplabv2-fada-r101", first), ("other", None)):
        found = literature.printed_name(record("fada", network=network), facts.published)
        assert found == expected
    paper = record("fada", network="deeplabv2-lite0", profile="paper")
    assert literature.printed_name(paper, facts.published) is None


def test_controls_and_variants_are_left_out(record: Maker, facts: Facts) -> None:
    further = [
        record("source_only", 80.0, tags=("control",), network="daformer-lite0"),
        record("oracle", 90.0, tags=("oracle",), network="daformer-lite0"),
        record("daformer", 99.0, network="daformer-lite0", overrides={"learning_rate": 1.0}),
        record("unheard_of", 99.0, network="daformer-lite0"),
    ]
    line, _ = literature.lines(only([*ordered(record, *DAFORMER, seeds=1), *further]), facts)
    assert (line.methods, line.interval) == ("mic, hrda, daformer", "none: a row has one seed")


def test_the_page_says_what_is_compared(record: Maker, facts: Facts) -> None:
    made = ordered(record, *DAFORMER)
    after = render_markdown(made, facts=facts).split(literature.TITLE)[1]
    assert (
        "not compared with printed ones, only their order" in after
        and "(cityscapes19, cityscapes/val)" in after
    )
    assert "| mic, hrda, daformer " in after
    other = [one.model_copy(update={"benchmark": "minicity/other"}) for one in made]
    assert literature.TITLE not in render_markdown(other, facts=facts)
    assert literature.TITLE not in render_markdown(made)

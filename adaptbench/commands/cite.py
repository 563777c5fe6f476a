"""``cite``: BibTeX and data licences for what a table contains."""

from __future__ import annotations

import sys

from adaptbench.contracts import plugins
from adaptbench.errors import unknown_name
from adaptbench.flags import Cite
from adaptbench.records.found import find_records
from adaptbench.reporting.board import boards
from adaptbench.reporting.published import citations
from adaptbench.reporting.published.citations import Citations
from adaptbench.reporting.published.facts import load_published

_PUBLISHED = "published/"


def execute(command: Cite) -> int:
    """Prints the citations of the boards asked for, each entry once."""
    registry, published = plugins.discover(command.plugins), load_published()
    found = boards(find_records(command.out))
    names = command.boards or tuple(dict.fromkeys(board.benchmark for board in found))
    known = {board.benchmark for board in found}
    parts: list[Citations] = []
    for name in names:
        if name.startswith(_PUBLISHED):
            parts.append(citations.of_published(name.removeprefix(_PUBLISHED), published, registry))
        elif name in known:
            own = [board for board in found if board.benchmark == name]
            parts.append(citations.of_boards(own, published, registry))
        else:
            raise unknown_name("board", name, {*known, *(_PUBLISHED + key for key in published.benchmarks)})
    sys.stdout.write(citations.merged(parts).render())
    return 0

"""``cite``: BibTeX and data licences for what a table contains."""

from __future__ import annotations

import sys

from adaptbench.contracts import plugins
from adaptbench.errors import unknown_name
from adaptbench.flags import Cite
from adaptbench.records.found import find_records
from adaptbench.reporting.board import boards
from adaptbench.reporting.published.citations import Citations
from adaptbench.reporting.published.facts import load_published

_PUBLISHED = "published/"


def execute(command: Cite) -> int:
    """Prints the citations of the boards asked for, each entry once."""
    registry, published = plugins.discover(command.plugins), load_published()
    found = boards(find_records(command.out))
    names = command.boards or tuple(dict.fromkeys(board.benchmark for board in found))
    known = {board.benchmark for board in found}
    citations = Citations(published, registry)
    for name in names:
        if name.startswith(_PUBLISHED):
            citations.add_published(name.removeprefix(_PUBLISHED))
        elif name in known:
            citations.add_boards(board for board in found if board.benchmark == name)
        else:
            raise unknown_name("board", name, {*known, *(_PUBLISHED + key for key in published.benchmarks)})
    sys.stdout.write(citations.render())
    return 0

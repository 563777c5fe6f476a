"""File names of pages: made of plain letters, whatever a record calls itself."""

from __future__ import annotations

import re

from adaptbench.records.record import Record
from adaptbench.reporting.board import Board

_LONGEST = 80


def slug(*parts: str) -> str:
    """Parts as lower-case letters, digits, ``_`` and ``-``."""
    joined = "-".join(parts).casefold()
    return re.sub(r"[^a-z0-9_]+", "-", joined).strip("-")[:_LONGEST] or "unnamed"


def of_board(board: Board) -> str:
    """Of a board: smoke runs may share the protocol of finished ones on another split."""
    return f"{slug(board.benchmark, board.view.split)}-{slug(board.ranking_hash[:8])}"


def of_run(record: Record) -> str:
    """Of a run."""
    return f"{slug(record.benchmark, record.method, str(record.seed))}-{slug(record.job_hash[:16])}"


def run_href(record: Record) -> str:
    """File name of a run's page."""
    return f"run-{of_run(record)}.html"


def published_href(benchmark: str) -> str:
    """File name of the page of a benchmark's printed numbers."""
    return f"published-{slug(benchmark)}.html"

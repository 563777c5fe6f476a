"""Leaderboards as LaTeX tables (booktabs): best ranked row in bold, second underlined; same records, same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from adaptbench.records import formatting
from adaptbench.records.record import Record
from adaptbench.reporting.board import MIOU, Board, Row, View, boards
from adaptbench.reporting.leaderboard import data_sentence
from adaptbench.reporting.published.comparison import Facts, Pair, pairs, printed_of
from adaptbench.reporting.standing import gap
from adaptbench.statistics.equivalence import MARGIN
from adaptbench.storage import atomic

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "\u2020": r"$\dagger$",
    '"': "''",  # \textquotedbl is an error in the default font encoding
    formatting.MISSING: "--",
}
_HEADER = (
    "% Needs \\usepackage{booktabs,graphicx}. Written by `python run_all.py report`; changes are lost.\n"
)

#: Around a table that is wider than the text, and only then.
_SHRINK = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
#: Headers of more columns than this stand upright.
_MOST_LEVEL = 3

#: The origin of rows that need no mark.
_OURS = "maintainer"

#: A header as plain text, and a finished cell for a row.
_Column = tuple[str, Callable[[Row], str]]


def escape(text: str) -> str:
    """``text`` with everything escaped that LaTeX would take as markup; line breaks become spaces."""
    return "".join(_ESCAPES.get(character, character) for character in " ".join(text.split()))


def render_latex(records: Iterable[Record], facts: Facts | None = None) -> str:
    """Tables of every board: mIoU of every split, IoU per class, and printed values beside ours where there are any.

    Smoke runs are left out.
    """
    found = [board for board in boards(records) if board.rows]
    return "\n".join([_HEADER, *(table for board in found for table in _tables(board, facts))])


def _tables(board: Board, facts: Facts | None) -> list[str]:
    ranked, *further = (_score(board, view, MIOU, _short(view, board.view)) for view in _views(board))
    closed = _gap(board)
    said = f"mIoU in percent ({board.view.class_set}), mean and standard deviation (n-1) over seeds"
    explained = f" {gap.EXPLANATION}" if closed else ""
    classes = [_score(board, board.view, name, name, short=True) for name in board.classes]
    return [
        _table(board, "miou", said, [ranked, *closed, *further], explained),
        _table(board, "class", f"IoU per class ({board.view}) in percent, mean over seeds", classes),
        *(_printed(board, found) if facts and (found := pairs(board, facts)) else []),
    ]


def _views(board: Board) -> tuple[View, ...]:
    return board.view, *board.further


def _score(board: Board, view: View, quantity: str, header: str, short: bool = False) -> _Column:
    marks = _marks(board, (view, quantity))
    return header, lambda row: _cell(row, (view, quantity), marks, short)


def _gap(board: Board) -> list[_Column]:
    """The share of the gap that is closed, where it is known of any row."""
    closed = gap.gaps_closed(board)
    return [(gap.HEADER, lambda row: escape(gap.cell(row, closed)))] if closed else []


def _table(board: Board, name: str, content: str, columns: Sequence[_Column], explained: str = "") -> str:
    caption = f"{board.title}: {content}. {board.images} images of {board.view.split}. {_legend(board)}"
    header = _turned if len(columns) > _MOST_LEVEL else escape
    headers = ["method", "network", "seeds", *(header(text) for text, _ in columns)]
    lines = [
        " & ".join(
            [_method(row), escape(row.first.network.name), str(len(row.seeds))]
            + [cell(row) for _, cell in columns]
        )
        for row in board.rows
    ]
    return _float(board, caption + explained, name, "llr" + "r" * len(columns), headers, lines)


def _short(view: View, ranked: View) -> str:
    """The split; its class set, too, where it is not the one in the caption."""
    return view.split if view.class_set == ranked.class_set else str(view)


def _printed(board: Board, found: Sequence[Pair]) -> list[str]:
    """Printed values beside ours."""
    caption = (
        f"{board.title}: published values beside ours, mIoU in percent ({board.view}). Verdict: equivalence test "
        f"with a margin of {MARGIN:.1f} points. \u2020 marks a value that a single source prints."
    )
    headers = ["method", "network", "ours", "seeds", "published", "difference", "verdict", "paper"]
    body = [" & ".join(map(escape, _printed_line(pair))) for pair in found]
    return [_float(board, caption, "published", "llrrrrll", headers, body)]


def _printed_line(pair: Pair) -> list[str]:
    row, verdict = pair.row, [formatting.signed(pair.difference), pair.verdict]
    ours = [row.label, row.first.network.name, str(row.miou), str(len(row.seeds))]
    return [*ours, printed_of(pair.result), *verdict, pair.result.paper.citation]


def _float(
    board: Board, caption: str, name: str, columns: str, headers: Sequence[str], lines: Sequence[str]
) -> str:
    """A table of finished cells; the caption is escaped here."""
    label = f"tab:{board.benchmark}-{board.ranking_hash[:8]}-{name}".replace("/", "-")
    return "\n".join(
        [
            r"\begin{table*}",
            r"\centering\footnotesize\setlength{\tabcolsep}{3pt}\setlength{\belowcaptionskip}{4pt}",
            rf"\caption{{{escape(caption)}}}",
            rf"\label{{{''.join(c for c in label if c.isalnum() or c in ':-')}}}",
            _SHRINK,
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            " & ".join(headers) + r" \\",
            r"\midrule",
            *(line + r" \\" for line in lines),
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table*}",
            "",
        ]
    )


def _legend(board: Board) -> str:
    """What a caption must say of the marks, of the protocol and of the data."""
    marks = "Bold: best ranked row, underlined: second; rows marked control or oracle are not ranked."
    if any(row.origin != _OURS for row in board.rows):
        marks += (
            " Rows marked submitted were run by others; their scores were recomputed from confusion matrices."
        )
    protocol = f"Not comparable with the first protocol: {board.departs}." if board.departs else None
    return " ".join(filter(None, [marks, protocol, data_sentence(board)]))


def _turned(name: str) -> str:
    return rf"\rotatebox{{90}}{{{escape(name)}}}"


def _method(row: Row) -> str:
    marks = [row.standing] * (row.standing != "ranked") + [row.origin] * (row.origin != _OURS)
    return escape(row.label + (f" [{', '.join(marks)}]" if marks else ""))


def _marks(board: Board, key: tuple[View, str]) -> dict[float, str]:
    """The best and the second mean of the ranked rows, and the command that sets them apart."""
    means = {row.statistics[key].mean for row in board.ranked if key in row.statistics}
    return dict(zip(sorted(means, reverse=True), (r"\textbf", r"\underline"), strict=False))


def _cell(row: Row, key: tuple[View, str], marks: dict[float, str], short: bool) -> str:
    found = row.statistics.get(key)
    if found is None:
        return "--"
    text = escape(f"{found.mean:.1f}" if short else str(found))
    command = marks.get(found.mean) if row.standing == "ranked" else None
    return f"{command}{{{text}}}" if command else text


def write_latex(records: Iterable[Record], folder: Path, facts: Facts | None = None) -> Path:
    """Writes ``leaderboard.tex`` into ``folder`` and returns its path.

    Raises:
        RunStateError: the folder cannot be written.
    """
    path = folder / "leaderboard.tex"
    atomic.write_text(path, render_latex(records, facts))
    return path

"""What boards of test-time adaptation say beside the ranking: gain, forgetting, rounds, and rows of other boards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from statistics import fmean
from typing import Any

from adaptbench.records import formatting
from adaptbench.records.record import Record, StreamPart
from adaptbench.reporting.board import MIOU, Board, Row, View
from adaptbench.reporting.columns import Column, column, mean_and_std, number
from adaptbench.reporting.standing import gap
from adaptbench.reporting.table import Table

CURVE_TITLE = "The stream: mean IoU of every condition in every round"
NOTE = (
    "Every prediction counts as it is made; `predicted` says whether before or after the network has changed by the "
    "image. `forgotten` is the mean IoU that the first further split lost over the stream, in points; further "
    "splits are scored with the network after the stream."
)
CONTEXT_TITLE = "Context: rows of other boards on the same images"
CONTEXT_NOTE = (
    "They are trained by other rules, on images of the target or on its labels, and see the test once with a fixed "
    "network: context, neither tested nor ranked here."
)


def is_stream(board: Board) -> bool:
    """Whether it is a board of test-time adaptation."""
    return any(record.stream is not None for record in board.records)


def images(board: Board) -> str:
    """How many images the ranked score is of; of a stream, in how many rounds they came."""
    rounds = max((part.round for record in board.records for part in _parts(record)), default=1)
    each = f"{board.images // rounds} images"
    return each if rounds == 1 else f"{each}, in each of {rounds} rounds,"


def predicted(row: Row) -> str | None:
    """When an image is predicted: before or after the update; None for a network that does not adapt."""
    stream = row.first.stream
    return None if stream is None or stream.predictions == "unadapted" else f"{stream.predictions} the update"


def gain(board: Board, row: Row) -> float | None:
    """Mean IoU over that of the unadapted network, points; None for itself, or where it is not there."""
    floor = gap.controls(board, gap.FLOOR).get(gap.network_of(row))
    return None if floor is None or row.first.method == gap.FLOOR else row.miou.mean - floor.miou.mean


def forgotten(row: Row) -> float | None:
    """What the first split beside the stream lost in mean IoU, points, mean over seeds; None = nothing is known."""
    lost = [value for record in row.records if (value := _lost(record)) is not None]
    return fmean(lost) if lost else None


def _lost(record: Record) -> float | None:
    if record.stream is None or len(record.scores) < 2:
        return None
    first = record.scores[1]
    before = record.stream.before.get(first.split)
    return None if before is None else before - first.miou


def columns(board: Board) -> list[Column[Any]]:
    """Beside the score, for lines with a row; none on other boards."""
    if not is_stream(board):
        return []
    return [
        column("predicted", lambda e: predicted(e.row), key="predicted", optional=True, terminal=110),
        number(
            f"gain over {gap.FLOOR} (points)",
            lambda e: gain(e.board, e.row) if e.view == board.view else None,
            formatting.signed,
            key="gain",
            optional=True,
            terminal=100,
        ),
        number(
            "forgotten (points)",
            lambda e: forgotten(e.row),
            formatting.signed,
            key="forgotten",
            optional=True,
            terminal=120,
        ),
    ]


@dataclass(frozen=True)
class CurveLine:
    """A row in one condition.

    Attributes:
        rounds: mean IoU per round, mean over seeds, percent; rounds without labelled pixels are left out.
    """

    row: Row
    condition: str
    rounds: Mapping[int, float]


def curve_table(board: Board) -> Table[CurveLine]:
    """One line per row and condition, a column per round."""
    lines = [line for row in board.finished for line in _curve(row)]
    numbers = sorted({number for line in lines for number in line.rounds})
    described = [
        column("method", "row.label", key="label"),
        column("condition", lambda line: line.condition or None, key="condition", optional=True),
    ]
    return Table([*described, *map(_round, numbers)], lines)


def _round(which: int) -> Column[CurveLine]:
    return number(
        f"round {which}", lambda line: line.rounds.get(which), "{:.1f}".format, key=f"round_{which}"
    )


def _curve(row: Row) -> Iterator[CurveLine]:
    parts = [part for record in row.records for part in _parts(record)]
    for condition in dict.fromkeys(part.condition for part in parts):
        found: dict[int, list[float]] = {}
        for part in parts:
            if part.condition == condition and part.miou is not None:
                found.setdefault(part.round, []).append(part.miou)
        yield CurveLine(row, condition, {which: fmean(values) for which, values in found.items()})


@dataclass(frozen=True)
class ContextLine:
    """A row of another board that was scored on the images of a stream."""

    board: Board
    row: Row
    view: View

    @property
    def standing(self) -> str:
        """As what it is shown; ``trained on the target`` for what is ranked there."""
        return "trained on the target" if self.row.standing in ("ranked", "variant") else self.row.standing


def context_lines(board: Board, everything: Iterable[Board]) -> list[ContextLine]:
    """Finished rows of boards without a stream that were scored in the ranked view on the same images, best first."""
    others = [other for other in everything if not is_stream(other)]
    found = [
        ContextLine(other, row, board.view)
        for other in others
        for row in other.finished
        if (board.view, MIOU) in row.statistics and _same_images(board, row)
    ]
    return sorted(found, key=lambda line: -line.row.statistics[board.view, MIOU].mean)


def _same_images(board: Board, row: Row) -> bool:
    """Whether a row saw the images of one round: of the same profile, world and number."""
    mine, theirs = board.all_rows[0].first, row.first
    rounds = max(part.round for part in _parts(mine))
    score = next(score for score in theirs.scores if (score.class_set, score.split) == board.view)
    dataset = board.view.split.partition("/")[0]
    worlds = [_world(record.data.get(dataset, {})) for record in (mine, theirs)]
    same = worlds[0] == worlds[1] and mine.profile == theirs.profile
    return same and score.images * rounds == board.images


def _parts(record: Record) -> Sequence[StreamPart]:
    return record.stream.parts if record.stream is not None else ()


def _world(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Provenance and dials of data; its version says which other splits a benchmark uses."""
    return {key: value for key, value in facts.items() if key != "version"}


def context_table(board: Board, lines: Sequence[ContextLine]) -> Table[ContextLine]:
    """One line per row of another board."""
    shown = [
        column("board", "board.benchmark", key="benchmark"),
        column("method", "row.label", key="label"),
        column("marked", "standing", key="standing"),
        number(
            f"mIoU ({board.view})",
            lambda line: line.row.statistics[line.view, MIOU],
            parts=mean_and_std("miou"),
        ),
        column("seeds", "row.seeds", formatting.seed_list, key="seeds"),
        column("network", attrgetter("row.first.network.name"), key="network"),
    ]
    return Table(shown, lines)


def blocks(board: Board, everything: Iterable[Board]) -> list[str]:
    """What the columns say, curve and context under their titles, in markdown; nothing for other boards."""
    if not is_stream(board) or not board.finished:
        return []
    title, found = f"**{CURVE_TITLE} ({formatting.markdown(str(board.view))})**", [NOTE]
    if any(len(_parts(record)) > 1 for record in board.records):  # else it is the score itself
        found += [title, curve_table(board).to_markdown()]
    lines = context_lines(board, everything)
    if lines:
        found += [f"**{CONTEXT_TITLE}**", context_table(board, lines).to_markdown(), CONTEXT_NOTE]
    return found

"""What boards of test-time adaptation show beside the ranking."""

from __future__ import annotations

from typing import Any

import pytest
from made_records import make_record, score

from adaptbench.records.record import Record, Stream, StreamPart
from adaptbench.reporting import streams
from adaptbench.reporting.board import Board, boards
from adaptbench.reporting.leaderboard import render_markdown, to_json
from adaptbench.reporting.matrices import cluster_names

RANKED = "acdc/train"
ROUNDS = 2
DATA = {name: {"provenance": "generated", "version": "1", "gap": 1.0} for name in ("acdc", "cityscapes")}


def parts(miou: float, per_round: float = 0.0) -> list[StreamPart]:
    return [
        StreamPart(round=number, condition=condition, images=36, miou=miou + shift + per_round * (number - 1))
        for number in range(1, ROUNDS + 1)
        for condition, shift in (("fog", 1.0), ("night", -1.0))
    ]


def streamed(method: str, miou: float, seed: int = 0, *, after: float = 50.0, **changes: Any) -> Record:
    predictions = changes.pop("predictions", "after")
    adapts = predictions != "unadapted"
    ranked = score(miou, RANKED).model_copy(update={"images": 72 * ROUNDS})
    return make_record(method, miou, seed=seed, tags=["control"] if not adapts else []).model_copy(
        update={
            "benchmark": "minicity/stream",
            "setting": "tta",
            "ranking_hash": "5" * 16,
            "data": DATA,
            "scores": [ranked, score(after, "cityscapes/val")],
            "stream": Stream(
                predictions=predictions,
                parts=parts(miou, changes.pop("per_round", 0.0)),
                before={"cityscapes/val": 55.0} if adapts else {},
            ),
            **changes,
        }
    )


@pytest.fixture
def records() -> list[Record]:
    return [
        streamed("source_only", 40.0, predictions="unadapted", after=55.0),
        streamed("tent", 42.0, per_round=-2.0),
        streamed("tent", 44.0, 1, after=48.0, per_round=-2.0),
        streamed("cotta", 39.0, predictions="before"),
    ]


def board_of(records: list[Record]) -> Board:
    (board,) = [board for board in boards(records) if streams.is_stream(board)]
    return board


def row_of(board: Board, method: str) -> Any:
    (row,) = [row for row in board.finished if row.first.method == method]
    return row


def test_gain_forgetting_and_when_it_is_predicted(records: list[Record]) -> None:
    board = board_of(records)
    tent, cotta, unadapted = (row_of(board, name) for name in ("tent", "cotta", "source_only"))
    assert streams.gain(board, tent) == pytest.approx(3.0)
    assert streams.gain(board, cotta) == pytest.approx(-1.0)
    assert streams.gain(board, unadapted) is None
    assert streams.forgotten(tent) == pytest.approx(6.0)
    assert streams.forgotten(unadapted) is None
    assert [streams.predicted(row) for row in (tent, cotta, unadapted)] == [
        "after the update",
        "before the update",
        None,
    ]


def test_without_the_unadapted_network_there_is_no_gain(records: list[Record]) -> None:
    board = board_of(records[1:])
    assert streams.gain(board, row_of(board, "tent")) is None


def test_the_unadapted_network_has_no_place(records: list[Record]) -> None:
    board = board_of(records)
    assert row_of(board, "source_only").rank is None
    assert row_of(board, "tent").rank == 1


def test_a_line_per_condition_and_a_column_per_round(records: list[Record]) -> None:
    lines = [line for line in streams.curve_table(board_of(records)).lines if line.row.first.method == "tent"]
    assert [(line.condition, dict(line.rounds)) for line in lines] == [
        ("fog", {1: 44.0, 2: 42.0}),
        ("night", {1: 42.0, 2: 40.0}),
    ]


def other(method: str = "dacs", images: int = 72, **changes: Any) -> Record:
    ranked = score(47.0, RANKED).model_copy(update={"images": images})
    data = {"acdc": {**DATA["acdc"], "version": "another benchmark uses other splits, too"}}
    usual = {"benchmark": "minicity/uda", "data": data, "scores": [ranked]}
    return make_record(method, 47.0).model_copy(update={**usual, **changes})


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({}, True),
        ({"images": 71}, False),
        ({"profile": "paper"}, False),
        ({"data": {"acdc": {"provenance": "official", "version": "1"}}}, False),
        ({"scores": [score(47.0, "acdc/val")]}, False),
    ],
)
def test_rows_of_other_boards_on_the_same_images_are_context(
    records: list[Record], changes: dict[str, Any], shown: bool
) -> None:
    everything = boards([*records, other(**changes)])
    board = next(board for board in everything if streams.is_stream(board))
    found = streams.context_lines(board, everything)
    assert [line.row.first.method for line in found] == (["dacs"] if shown else [])
    page = render_markdown([*records, other(**changes)])
    assert (streams.CONTEXT_TITLE in page) is shown


def test_oracles_are_marked(records: list[Record]) -> None:
    everything = boards([*records, other("oracle", oracle=True, tags=["control", "oracle"])])
    board = next(board for board in everything if streams.is_stream(board))
    (line,) = streams.context_lines(board, everything)
    assert line.standing == "oracle"


def test_pages_of_streams(records: list[Record]) -> None:
    page = render_markdown(records)
    assert "Scored on 72 images, in each of 2 rounds, of acdc/train" in page
    assert streams.CURVE_TITLE in page and "forgotten (points)" in page
    (board,) = to_json(records)
    tent = next(row for row in board["rows"] if row["method"] == "tent" and row["ranked_split"])
    assert (tent["predicted"], tent["gain"], tent["forgotten"]) == ("after the update", 3.0, 6.0)


def test_other_boards_have_none_of_it() -> None:
    page = render_markdown([make_record(), make_record("source_only", 30.0)])
    assert not any(text in page for text in (streams.CURVE_TITLE, "forgotten", "predicted", "gain over"))


def test_an_image_in_several_rounds_is_one_cluster(records: list[Record], tmp_path: Any) -> None:
    names = ["GOPR1_frame_1 (round 1)", "GOPR1_frame_2 (round 1)", "GOPR1_frame_1 (round 2)"]
    assert set(cluster_names(tmp_path, records[0], RANKED, names)) == {"GOPR1"}
    assert cluster_names(tmp_path, records[0], "gone/val", ["a (round 1)", "a (round 2)"]) == ["a", "a"]


def test_a_single_round_of_one_condition_is_the_score_itself(records: list[Record]) -> None:
    assert records[0].stream is not None
    once = records[0].stream.model_copy(update={"parts": records[0].stream.parts[:1]})
    assert streams.CURVE_TITLE not in render_markdown([records[0].model_copy(update={"stream": once})])


def test_a_network_trained_elsewhere_is_marked_and_measured_against_itself(records: list[Record]) -> None:
    """Gain is over the same network without adaptation, here 20; the one that was trained here has 40."""

    def given(method: str, miou: float, **changes: Any) -> Record:
        made = streamed(method, miou, **changes)
        network = made.network.model_copy(update={"pretraining": "somebody-1"})
        hashes = {"group_hash": f"given-{method}", "job_hash": f"given-{method}"}
        return made.model_copy(update={"network": network, "overrides": {"start": "somebody-1"}, **hashes})

    board = board_of([*records, given("source_only", 20.0, predictions="unadapted"), given("tent", 25.0)])
    rows = {row.first.method: row for row in board.variants if row.first.overrides}
    assert {row.variant for row in rows.values()} == {"network trained elsewhere"}
    assert rows["tent"].rank is None and rows["tent"].standing == "variant"
    assert streams.gain(board, rows["tent"]) == pytest.approx(5.0)
    assert streams.gain(
        board, next(row for row in board.rows if row.first.method == "tent")
    ) == pytest.approx(3.0)
    assert "start=somebody-1" in render_markdown([record for row in board.finished for record in row.records])

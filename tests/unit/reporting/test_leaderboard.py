from __future__ import annotations

import csv
import io
import random
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from adaptbench.errors import RunStateError
from adaptbench.records import formatting
from adaptbench.records.documents import Unreadable
from adaptbench.records.record import Record
from adaptbench.reporting.board import Board, boards
from adaptbench.reporting.leaderboard import (
    SMOKE_TITLE,
    main_table,
    render_csv,
    render_markdown,
    write_leaderboards,
)
from adaptbench.reporting.terminal import leaderboard_table

Maker = Callable[..., Record]


def only_board(records: list[Record]) -> Board:
    (board,) = boards(records)
    return board


def places(board: Board) -> dict[str, str]:
    return {row.label: str(row.rank or row.standing) for row in board.finished}


def csv_lines(records: list[Record]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(render_csv(records))))


# ------------------------------------------------------------------- ranking


def test_controls_stand_at_their_score_without_a_place(records: list[Record]) -> None:
    assert list(places(only_board(records)).items()) == [
        ("oracle", "oracle"),
        ("dacs", "1"),
        ("fada", "2"),
        ("source_only", "control"),
        ("majority", "control"),
    ]


def test_what_starts_from_an_oracle_is_an_oracle(record: Maker) -> None:
    assert places(only_board([record("refined", tags=("control",), oracle=True)])) == {"refined": "oracle"}


def test_equal_means_share_a_place(record: Maker) -> None:
    board = only_board([record("a", 30.0), record("b", 40.0), record("c", 40.0), record("d", 20.0)])
    assert places(board) == {"b": "1", "c": "1", "a": "3", "d": "4"}


def test_ranking_stays_within_one_ranking_hash(record: Maker) -> None:
    no_gap = {"data": {"gta5": {"gap": 0.0}}}
    made = [
        record("dacs", 40.0),
        record("fada", 30.0),
        record("dacs", 60.0, ranking=no_gap, overrides={"minicity.gap": 0.0}),
    ]
    first, second = boards(made)
    assert places(first) == {"dacs": "1", "fada": "2"}
    assert places(second) == {"dacs": "1"}
    assert first.departs == ""
    assert "data.gta5.gap is 0.0 instead of 1.0" in second.departs
    page = render_markdown(made)
    assert page.index("Protocol 1 of 2") < page.index("Protocol 2 of 2") < page.index("Not comparable")


def test_protocol_is_put_into_words(records: list[Record]) -> None:
    protocol = only_board(records).protocol
    assert "scored at the size of the label files" in protocol
    assert "profile: mini" in protocol
    assert "splits: cityscapes/val, gta5/heldout" in protocol
    assert protocol.endswith("; cityscapes and gta5: generated (gap=1.0, version=1)")
    assert "limit" not in protocol


def test_seeds_are_averaged_with_the_sample_deviation(record: Maker) -> None:
    values = {0: 31.0, 1: 34.5, 7: 36.0}
    (row,) = only_board([record(miou=value, seed=seed) for seed, value in values.items()]).rows
    assert row.seeds == (0, 1, 7)
    assert row.miou.mean == pytest.approx(statistics.mean(values.values()))
    assert row.miou.std == pytest.approx(statistics.stdev(values.values()))
    assert row.miou_by_seed == (31.0, 34.5, 36.0)
    assert row.peak_memory_mib == 907.0
    assert row.training_seconds == pytest.approx(100 + 8 / 3)


def test_one_seed_has_no_deviation(record: Maker) -> None:
    (row,) = only_board([record(miou=31.25)]).rows
    assert row.miou.std is None
    assert str(row.miou) == "31.2"
    assert csv_lines([record()])[0]["miou_std"] == ""


def test_smoke_runs_are_listed_apart_and_never_averaged_in(record: Maker) -> None:
    made = [
        record("dacs", 40.0),
        record("fada", 90.0, smoke=True, ranking={"limit": 10}),
        record("dacs", 99.0, seed=1, smoke=True, ranking={"limit": 3}),
        record("dacs", 98.0, seed=1, smoke=True),
    ]
    board = only_board(made)
    assert places(board) == {"dacs": "1"}
    assert [(row.first.method, str(row.rank or row.standing)) for row in board.smoke] == [
        ("dacs", "smoke"),
        ("dacs", "smoke"),
        ("fada", "smoke"),
    ]
    before, after = render_markdown(made).split(f"**{SMOKE_TITLE}**")
    assert "fada" not in before
    assert "**90.0**" not in after
    assert "90.0" in after


def test_only_smoke_runs_make_no_ranked_table(record: Maker) -> None:
    page = render_markdown([record(smoke=True)])
    assert SMOKE_TITLE in page
    assert "IoU per class" not in page


# ------------------------------------------------- telling rows of one method apart


def test_overrides_are_visible(record: Maker) -> None:
    made = [record("dacs", 40.0), record("dacs", 41.0, overrides={"pseudo_threshold": 0.9})]
    assert places(only_board(made)) == {"dacs (pseudo_threshold=0.9)": "variant", "dacs": "1"}
    assert "published; pseudo_threshold=0.9" in render_markdown(made).replace("\\", "")
    assert {line["overrides"] for line in csv_lines(made)} == {"", "pseudo_threshold=0.9"}


def test_networks_of_one_method_are_told_apart(record: Maker) -> None:
    made = [record("dacs", 40.0), record("dacs", 42.0, network="mit-b0", settings_origin="transferred")]
    assert places(only_board(made)) == {"dacs (mit-b0)": "variant", "dacs (deeplabv2-mini)": "1"}


def test_a_network_that_was_set_is_named_once(record: Maker) -> None:
    made = [record("dacs", 40.0), record("dacs", 42.0, network="mit-b0", overrides={"network": "mit-b0"})]
    assert places(only_board(made)) == {"dacs (mit-b0)": "variant", "dacs (deeplabv2-mini)": "1"}


def test_settings_and_at_last_the_group_tell_rows_apart(record: Maker) -> None:
    made = [
        record(settings={"lr": 1}),
        record(settings={"lr": 2}),
        record("fada"),
        record("fada", group_hash="f" * 64, job_hash="f" * 64),
    ]
    labels = set(places(only_board(made)))
    assert {"dacs (lr=1)", "dacs (lr=2)"} < labels
    assert "fada (group ffffffff)" in labels
    assert len(labels) == 4


# -------------------------------------------------------------------- page and csv


def test_miou_is_never_without_class_set_and_split(records: list[Record]) -> None:
    table = main_table(only_board(records), only_board(records).rows)
    scored = [header for header in table.headers if "mIoU" in header]
    assert scored == ["mIoU (cityscapes19, cityscapes/val)", "mIoU (cityscapes19, gta5/heldout)"]


def test_the_best_ranked_number_is_bold(records: list[Record]) -> None:
    page = render_markdown(records)
    assert "**39.5 ± 1.5**" in page  # dacs, and not the better oracle
    assert "**53.5 ± 1.5**" not in page
    assert "53.5 ± 1.5" in page


def test_absent_classes_are_dashes(records: list[Record]) -> None:
    assert f" {formatting.MISSING} |" in render_markdown(records)
    assert csv_lines(records)[0]["iou:train"] == ""


def test_csv_is_complete(records: list[Record]) -> None:
    lines = csv_lines(records)
    assert len(lines) == 10  # five groups, two splits
    dacs = next(line for line in lines if line["method"] == "dacs" and line["ranked_split"] == "True")
    assert dacs["rank"] == "1"
    assert (dacs["split"], dacs["class_set"], dacs["images"]) == ("cityscapes/val", "cityscapes19", "72")
    assert (dacs["n_seeds"], dacs["seeds"]) == ("3", "0 1 2")
    assert (dacs["miou_mean"], dacs["miou_std"]) == ("39.5000", "1.5000")
    assert (dacs["training_seconds"], dacs["peak_memory_mib"]) == ("101.0000", "902.0000")
    assert float(dacs["iou:road"]) == pytest.approx(59.5, abs=1e-4)


def test_the_same_records_give_the_same_bytes(records: list[Record], camvid_record: Maker) -> None:
    made = [*records, *(camvid_record(seed=s) for s in (0, 1)), records[0].model_copy(update={"smoke": True})]
    page, table = render_markdown(made), render_csv(made)
    for seed in range(5):
        shuffled = random.Random(seed).sample(made, len(made))
        assert render_markdown(shuffled) == page
        assert render_csv(shuffled) == table
    assert "\r" not in page + table


def test_empty_results_are_friendly(tmp_path: Path) -> None:
    paths = write_leaderboards([], tmp_path / "new")
    assert [path.name for path in paths] == ["leaderboard.md", "leaderboard.csv"]
    assert "No finished runs yet" in paths[0].read_text(encoding="utf-8")
    assert paths[1].read_text(encoding="utf-8").startswith("benchmark,")


def test_writing_replaces_whole_files(records: list[Record], tmp_path: Path) -> None:
    write_leaderboards([], tmp_path)
    write_leaderboards(records, tmp_path)
    assert (tmp_path / "leaderboard.md").read_text(encoding="utf-8") == render_markdown(records)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["leaderboard.csv", "leaderboard.md"]


def test_an_unwritable_folder_is_a_clear_error(records: list[Record], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunStateError, match="Cannot write"):
        write_leaderboards(records, tmp_path / "file")


def test_unreadable_records_are_named_on_the_page(records: list[Record]) -> None:
    page = render_markdown(records, [Unreadable("runs/x/record.json", "runs/x/record.json is <broken>")])
    assert page.endswith("- runs/x/record.json is &lt;broken&gt;\n")


def test_generated_data_is_said_first(records: list[Record], camvid_record: Maker) -> None:
    generated = render_markdown(records).split("##")[0]
    assert "All numbers on this page come from MiniCity, a generated world" in generated
    mixed = render_markdown([camvid_record()])
    assert "wholly or in part from MiniCity" in mixed.split("##")[0]
    assert "Generated source, real target: gta5 comes from MiniCity" in mixed
    assert "camvid and the images scored (camvid/val) are real photographs" in mixed


def test_official_data_carries_no_such_sentence(record: Maker) -> None:
    facts = {name: {"provenance": "official"} for name in ("gta5", "cityscapes")}
    page = render_markdown([record(benchmark="gta5_to_cityscapes", data=facts)])
    assert "MiniCity" not in page.replace("GTA5 to Cityscapes in MiniCity", "")


# ---------------------------------------------------------------------- escaping


def test_markup_in_names_stays_text(record: Maker) -> None:
    page = render_markdown([record("a|b<script>*x*", overrides={"note": "[l](u)|\nnext"})])
    assert "a\\|b&lt;script&gt;\\*x\\*" in page
    assert "<script>" not in page
    assert "\\[l\\](u)\\| next" in page
    rows = [line for line in page.splitlines() if "script" in line]
    assert {line.replace("\\|", "").count("|") for line in rows} == {12, 15, 22}


@given(st.text(max_size=40))
def test_escaped_text_is_one_cell(text: str) -> None:
    escaped = formatting.markdown(text)
    assert "\n" not in escaped
    assert "<" not in escaped
    assert "|" not in escaped.replace("\\|", "")


def test_the_terminal_shows_names_literally(record: Maker) -> None:
    console = Console(width=300, record=True, file=io.StringIO())
    console.print(leaderboard_table(only_board([record("[red]x[/]", 40.0), record("b", smoke=True)])))
    text = console.export_text()
    assert "[red]x[/]" in text
    assert "smoke" in text
    assert "cityscapes/val)" in text


@pytest.mark.parametrize("width", [60, 80, 120, 400])
def test_a_narrow_terminal_keeps_the_score(records: list[Record], width: int) -> None:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(leaderboard_table(only_board(records), width))
    text = console.export_text()
    assert "39.5 ± 1.5" in text
    assert ("no room for" in text) == (width < 200)
    assert max(map(len, text.splitlines())) <= width


# ------------------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0s"),
        (9.94, "9.9s"),
        (9.96, "10s"),
        (59.6, "1m 00s"),
        (252, "4m 12s"),
        (3599.7, "1h 00m 00s"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert formatting.duration(seconds) == text


@pytest.mark.parametrize(("mib", "text"), [(812.4, "812 MiB"), (1023.7, "1.0 GiB"), (13517, "13.2 GiB")])
def test_memory(mib: float, text: str) -> None:
    assert formatting.memory(mib) == text


@pytest.mark.parametrize(
    ("seeds", "text"),
    [([0], "1 (0)"), ([1, 0], "2 (0, 1)"), ([4, 2, 3], "3 (2-4)"), ([0, 1, 2, 7], "4 (0-2, 7)")],
)
def test_seed_lists(seeds: list[int], text: str) -> None:
    assert formatting.seed_list(seeds) == text

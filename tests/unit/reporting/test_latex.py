"""Leaderboards as LaTeX."""

from __future__ import annotations

import re
from collections.abc import Callable

from adaptbench.records import formatting
from adaptbench.records.record import Record
from adaptbench.reporting.latex import render_latex

Maker = Callable[..., Record]


def test_best_is_bold_and_second_underlined_among_ranked_rows(record: Maker) -> None:
    ranked = [record("a", 50.0), record("b", 40.0), record("c", 30.0)]
    text = render_latex([*ranked, record("oracle", 70.0, tags=("oracle",)), record("s", 90.0, smoke=True)])
    assert r"\textbf{50.0}" in text and r"\underline{40.0}" in text
    assert "& 30.0" in text and "oracle [oracle] & deeplabv2-mini & 1 & 70.0" in text
    assert "deeplabv2-mini & 1 & 90.0 \\" not in text and "smoke" not in text
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 2


def test_submitted_rows_are_marked(record: Maker) -> None:
    text = render_latex(
        [record("a", origin="submitted"), record("b"), record("c", tags=("control",), origin="submitted")]
    )
    assert "a [submitted] &" in text
    assert "c [control, submitted] &" in text
    assert "b &" in text
    assert "Rows marked submitted were run by others" in text


def test_a_caption_says_what_was_scored_and_that_data_is_generated(record: Maker) -> None:
    text = render_latex([record("a")])
    assert "72 images of cityscapes/val" in text and "generated world" in text
    assert "mIoU in percent (cityscapes19)" in text and "& seeds & cityscapes/val" in text


def test_names_cannot_become_markup(record: Maker) -> None:
    text = render_latex([record("a_b", benchmark_title=r"50 % \input{x} & more")])
    assert r"a\_b" in text and r"50 \% \textbackslash{}input\{x\} \& more" in text
    assert formatting.latex("~^$#") == r"\textasciitilde{}\textasciicircum{}\$\#"


def test_every_line_of_a_table_has_its_columns(record: Maker) -> None:
    made = [record("a&b", 50.0, seed=seed, further={"gta5/heldout": 40.0}) for seed in range(3)]
    made += [record("source_only", 30.0, tags=("control",)), record("oracle", 70.0, tags=("oracle",))]
    tables = re.findall(r"\\begin\{tabular\}\{(\w+)\}(.*?)\\end\{tabular\}", render_latex(made), re.DOTALL)
    assert [len(columns) for columns, _ in tables] == [3 + 3, 3 + 19]
    for columns, body in tables:
        lines = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert [len(re.findall(r"(?<!\\)&", line)) for line in lines] == 4 * [len(columns) - 1]


def test_the_gap_closed_stands_beside_the_ranked_split(record: Maker) -> None:
    ends = [record("source_only", 30.0, tags=("control",)), record("oracle", 70.0, tags=("oracle",))]
    rows = [record("a", 50.0), record("b", 45.0, network="daformer-mini")]
    text = render_latex([*ends, *rows])
    assert "seeds & cityscapes/val & gap closed" in text
    assert r"1 & \textbf{50.0} & 50 \% \\" in text and r"1 & \underline{45.0} & -- \\" in text
    assert r"source\_only (0 \%) to oracle (100 \%)" in text
    assert "gap closed" not in render_latex(rows).casefold()


def test_a_table_fits_the_text_and_says_its_protocol(record: Maker) -> None:
    text = render_latex([record("a"), record("b", ranking={"checkpoint": "entropy"}), record("b")])
    shrunk = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
    assert text.count(shrunk) == text.count(r"\end{tabular}}") == 4
    assert text.count("Not comparable with the first protocol: checkpoint is") == 2
    assert text.count("{") == text.count("}")


def test_a_quote_needs_no_font_encoding() -> None:
    assert formatting.latex('say "x"') == "say ''x''"


def test_the_order_of_records_does_not_matter(record: Maker) -> None:
    records = [record("a", 50.0, seed=s) for s in range(3)] + [record("b", 40.0)]
    assert render_latex(records) == render_latex(records[::-1])

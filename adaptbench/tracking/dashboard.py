"""A dashboard as code: a workspace and a report of Weights & Biases that show what a results folder holds."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any

from adaptbench.errors import UsageError
from adaptbench.reporting import averaged
from adaptbench.reporting.board import Board
from adaptbench.reporting.leaderboard import data_sentence, main_tables
from adaptbench.tracking.failures import told
from adaptbench.tracking.wandb_runs import table_names

TITLE = "AdaptBench"
_CURVES = ("train/loss", "train/acc_seg", "train/mix.acc_seg", "train/mix.confidence", "train/learning_rate")
_COSTS = {"cost/training_seconds": "training (s)", "cost/peak_memory_mib": "peak memory (MiB)"}
#: Panels stand in a grid of 24 columns.
_WIDTH, _HEIGHT, _COLUMNS = 8, 6, 3
_METHOD = "method"


def workspace(boards: Sequence[Board], project: str, entity: str) -> Any:
    """The workspace: a section per board with scores, costs and images, and one with the training curves."""
    import wandb_workspaces.workspaces as ws

    sections = [
        ws.Section(name=_heading(board), panels=_laid_out(_score_panels(board, table)), is_open=True)
        for table, board in table_names(boards).items()
    ]
    sections.append(ws.Section(name="Training", panels=_laid_out(_curve_panels()), is_open=True))
    grouped = ws.RunsetSettings(groupby=[ws.Config(_METHOD)])
    return ws.Workspace(
        entity=entity, project=project, name=TITLE, sections=sections, runset_settings=grouped
    )


def report(boards: Sequence[Board], project: str, entity: str) -> Any:
    """The report: the leaderboards as text, each with the panels of its runs."""
    import wandb_workspaces.reports.v2 as wr

    blocks: list[Any] = [wr.TableOfContents()]
    for table, board in table_names(boards).items():
        chosen = (
            f"Config('benchmark') == '{board.benchmark}' and Config('ranking_hash') == '{board.ranking_hash}'"
        )
        runs = wr.Runset(name=board.benchmark, filters=chosen, groupby=[f"config.{_METHOD}"])
        words = "\n\n".join(
            filter(
                None,
                [data_sentence(board), f"{board.protocol}.", averaged.sentence(board), *main_tables(board)],
            )
        )
        panels = _laid_out([*_score_panels(board, table), *_curve_panels()])
        blocks += [wr.H2(text=_heading(board)), wr.MarkdownBlock(text=words)]
        blocks.append(wr.PanelGrid(runsets=[runs], panels=panels))
    return wr.Report(
        project=project, entity=entity, title=f"{TITLE}: leaderboards", blocks=blocks, width="fluid"
    )


def specification(boards: Sequence[Board], project: str, entity: str) -> dict[str, Any]:
    """What would be sent, as plain data; needs no network and no account."""
    made = {"workspace": workspace(boards, project, entity), "report": report(boards, project, entity)}
    plain = {
        name: one._to_model().model_dump_json(by_alias=True, exclude_none=True) for name, one in made.items()
    }
    numbers = itertools.count(1)
    return {name: _numbered(json.loads(text), numbers) for name, text in plain.items()}


def _numbered(part: Any, numbers: Iterator[int]) -> Any:
    """``part`` with numbers in the place of drawn ids, so that the same boards give the same text."""
    if isinstance(part, list):
        return [_numbered(one, numbers) for one in part]
    if not isinstance(part, dict):
        return part
    drawn = {key: str(next(numbers)) for key in ("__id__", "id") if part.get(key)}
    return {key: drawn.get(key) or _numbered(value, numbers) for key, value in part.items()}


def send(boards: Sequence[Board], project: str, entity: str | None) -> list[str]:
    """Makes both on the server and returns their addresses.

    Raises:
        UsageError: the server cannot be reached or refuses.
    """
    try:
        import wandb

        whose = entity or str(wandb.Api().default_entity)
        made = [workspace(boards, project, whose), report(boards, project, whose)]
        for one in made:
            one.save()
        return [str(one.url) for one in made]
    except Exception as error:  # the libraries raise whatever they like
        raise UsageError(
            f"W&B refused the dashboard ({told(error)}). Check WANDB_API_KEY, --project and --entity, or write it to a "
            "file with --spec FILE."
        ) from None


def _heading(board: Board) -> str:
    return f"{board.benchmark} ({board.view}, protocol {board.ranking_hash[:8]})"


def _score_panels(board: Board, table: str) -> list[Any]:
    """Bars per method, mIoU against costs, IoU per class, the leaderboard's table, predictions."""
    import wandb_workspaces.reports.v2 as wr

    views = [board.view, *board.further]
    miou = [f"{view.class_set}/{view.split}/mIoU" for view in views]

    def bars(title: str, keys: list[str]) -> Any:
        return wr.BarPlot(title=title, metrics=list(map(wr.SummaryMetric, keys)), groupby=wr.Config(_METHOD))

    ious = [f"{board.view.class_set}/{board.view.split}/IoU/{name}" for name in board.classes]
    return [
        *(bars(f"mIoU ({view})", [key]) for view, key in zip(views, miou, strict=True)),
        *(
            wr.ScatterPlot(title=f"mIoU against {said}", x=wr.SummaryMetric(key), y=wr.SummaryMetric(miou[0]))
            for key, said in _COSTS.items()
        ),
        bars(f"IoU per class ({board.view})", ious),
        wr.WeavePanelSummaryTable(table_name=table),
        wr.MediaBrowser(title="Predictions", media_keys=[f"predictions/{view.split}" for view in views]),
    ]


def _curve_panels() -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    return [
        wr.LinePlot(title=key.partition("/")[2], x="Step", y=[key], groupby=wr.Config(_METHOD))
        for key in _CURVES
    ]


def _laid_out(panels: list[Any]) -> list[Any]:
    """The panels, row by row."""
    import wandb_workspaces.reports.v2 as wr

    for i, panel in enumerate(panels):
        row, column = divmod(i, _COLUMNS)
        panel.layout = wr.Layout(x=column * _WIDTH, y=row * _HEIGHT, w=_WIDTH, h=_HEIGHT)
    return panels

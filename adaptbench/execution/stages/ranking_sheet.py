"""Which pseudo-labelled images a training uses, in the order its method ranked them: a table and a contact sheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from adaptbench.data import files
from adaptbench.data.normalisation import IMAGENET
from adaptbench.data.pseudo_labels import Entry, PseudoLabels
from adaptbench.data.taxonomy import ClassSet
from adaptbench.drawing.contact_sheet import Column, Panel, Pixels, contact_sheet
from adaptbench.drawing.panels import Painter
from adaptbench.storage.atomic import write_text

TABLE, SHEET = "ranking.csv", "ranking.png"
#: Rows of the contact sheet: as many of the first images as of the last.
ROWS = 6


@dataclass(frozen=True)
class Ranking:
    """The images of a labelling stage as `Method.partition` put them in order.

    Attributes:
        labelled: trained on with their pseudo-labels.
        unlabelled: trained on without.
    """

    labelled: Collection[str]
    unlabelled: Collection[str]
    entries: Mapping[str, Entry]

    @property
    def order(self) -> list[str]:
        """Names of all images that are used, those with pseudo-labels first."""
        return list(dict.fromkeys([*self.labelled, *self.unlabelled]))


def write_table(ranking: Ranking, path: Path) -> None:
    """Writes a line per image: place, name, whether its pseudo-label is used, and what was noted of it."""
    facts = sorted({key for entry in ranking.entries.values() for key in entry.facts})
    labelled = set(ranking.labelled)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["place", "image", "part", *facts])
    for place, name in enumerate(ranking.order, start=1):
        noted = ranking.entries[name].facts
        part = "labelled" if name in labelled else "unlabelled"
        table.writerow([place, name, part, *(noted.get(key, "") for key in facts)])
    write_text(path, text.getvalue())


def draw_sheet(
    ranking: Ranking,
    kept: PseudoLabels,
    images: Mapping[str, Callable[[], Pixels]],
    classes: ClassSet,
    title: str,
    path: Path,
) -> None:
    """Draws the first and the last images with what the network made of them."""
    painter, places = Painter(classes, IMAGENET), {name: i for i, name in enumerate(ranking.order, start=1)}

    def columns(word: str, names: Sequence[str]) -> list[Column]:
        frames = [Panel(images[name](), f"{places[name]}. {Path(name).name}") for name in names]
        labels = [_label_panel(painter, kept, ranking.entries[name]) for name in names]
        return [Column(word, frames), Column("pseudo-label", labels)]

    order = ranking.order
    first, last = order[:ROWS], order[: -ROWS - 1 : -1]
    used = f"{len(set(ranking.labelled))} of {len(order)} images are trained on with their pseudo-labels"
    legend = classes.legend(range(len(classes)))
    contact_sheet([*columns("first", first), *columns("last", last)], [title, used], legend, path)


def _label_panel(painter: Painter, kept: PseudoLabels, entry: Entry) -> Panel:
    label = files.read_index_image(kept.file(entry.name))
    noted = ", ".join(f"{name} {value:.3g}" for name, value in sorted(entry.facts.items()))
    return replace(painter.panel("label", {"label": label}, entry.name), caption=noted)

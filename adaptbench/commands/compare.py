"""``compare``: two methods or runs side by side."""

from __future__ import annotations

from rich.console import Console

from adaptbench.commands.output import print_json, say
from adaptbench.errors import ReadOnlyError, RunStateError
from adaptbench.flags import Compare
from adaptbench.records.found import find_records
from adaptbench.reporting.comparison import comparison_page
from adaptbench.reporting.comparison.compared import Comparison, compare
from adaptbench.reporting.comparison.sides import find_sides
from adaptbench.reporting.matrices import cluster_names, load_tallies
from adaptbench.storage.atomic import sweep_abandoned


def execute(command: Compare) -> int:
    """Prints the comparison and writes it to ``OUT/comparisons``, unless that is read-only."""
    comparison = compared(command)
    console = Console(stderr=command.json)
    if command.json:
        print_json(comparison_page.to_json(comparison))
    else:
        _show(console, comparison)
    try:
        sweep_abandoned(command.out / "comparisons")
        for path in comparison_page.write_comparison(comparison, command.out / "comparisons"):
            say(console, f"written {path}")
    except ReadOnlyError as error:
        say(console, str(error), "yellow")
    return 0


def _show(console: Console, comparison: Comparison) -> None:
    say(console, comparison_page.sides_sentence(comparison))
    say(console, comparison.conclusion, "bold")
    for heading, table in comparison_page.tables(comparison):
        if table.lines:
            console.print(table.to_rich(heading))
    say(console, comparison_page.note(comparison), "italic")


def compared(command: Compare) -> Comparison:
    """The comparison that is asked for."""
    sides = find_sides(
        find_records(command.out), command.first, command.second, command.benchmark, command.any_protocol
    )
    split = sides[0].view.split
    first, second = (load_tallies(command.out, side.records, split) for side in sides)
    if not first.same_images(second):
        raise RunStateError(
            f"{sides[0]} and {sides[1]} were scored on other images, or on other labels of {split}. Only scores on "
            "the same images can be compared: run both on the same data."
        )
    classes = tuple(sides[0].first.scores[0].iou)
    if any(one.truth.shape[1] != len(classes) for one in (first, second)):
        raise RunStateError(
            f"The confusion matrices of {sides[0]} have {first.truth.shape[1]} classes, those of {sides[1]} "
            f"{second.truth.shape[1]}, and the record names {len(classes)}. Run what is damaged again with --force."
        )
    clusters = cluster_names(command.out, sides[0].first, split, first.names)
    return compare(sides, (first, second), classes, clusters)

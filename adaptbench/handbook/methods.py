"""A page per method: what it is, its settings, what others print for it, what was measured here, what is checked."""

from __future__ import annotations

from collections.abc import Sequence

from adaptbench.contracts import plugins
from adaptbench.contracts.method import Method
from adaptbench.contracts.plugins import Plugin, Registry
from adaptbench.contracts.stream_method import StreamMethod
from adaptbench.handbook.conformance import cases_of
from adaptbench.handbook.markdown import docstring_of, first_line, page, prose, section, table
from adaptbench.records import formatting
from adaptbench.reporting.published.facts import UNVERIFIED, Published
from adaptbench.reporting.published.published_board import view_of

_A_STREAM = "minicity/cityscapes_to_acdc_stream"
_UNITS = (
    "Defaults are those of the method where no paper or network recipe says otherwise, lengths in pixels of the full "
    "size; a profile may scale them."
)
_PRINTED = f"As printed; {UNVERIFIED} marks a value that fewer than two independent sources print."
_MEASURED = (
    "Numbers from MiniCity, a generated world, say how mechanisms work, not how it scores on real streets."
)
_CHECKED = (
    "Recorded from the reference implementation and recomputed by `pytest tests/conformance`; trainings run this "
    "method's own step, parts are shared with other methods. Further cases are not in the repository, for their size."
)


def method_page(
    plugin: Plugin, registry: Registry, published: Published, measured: Sequence[dict[str, str]]
) -> str:
    """The page of a method of the checkout."""
    method: type[Method] = plugins.load(plugin)
    docstring = docstring_of(plugin)
    return page(
        f"{plugin.title} (`{plugin.name}`)",
        [
            first_line(docstring),
            _facts(plugin, method, published),
            prose(docstring),
            section("Settings", _UNITS, _settings(method)),
            section("Where its numbers are claimed", _claimed(method)),
            section("Published", _printed(plugin.name, published)),
            section("Measured here", _measured(plugin.name, measured)),
            section("Conformance", _conformance(plugin, registry)),
        ],
    )


def index(registry: Registry, names: Sequence[str]) -> str:
    """The list of methods."""
    rows = []
    for name in names:
        plugin = registry.plugins["method"][name]
        tags, paper = ", ".join(plugin.literals["tags"]), str(plugin.literals.get("paper") or "")
        rows.append([f"[`{name}`]({name}.md)", plugin.title, paper, tags])
    said = (
        "Add your own: [a method is one file](../add-a-method.md), from [building blocks](../building-blocks.md). "
        "What the published code does beside its papers: [quirks](../quirks.md)."
    )
    return page("Methods", [table(["name", "title", "paper", "tags"], rows), said])


def _facts(plugin: Plugin, method: type[Method], published: Published) -> str:
    paper = published.paper_of(method.paper)
    cited = f"[{paper.title}]({paper.url}), {paper.citation}" if paper else method.paper or "none"
    network = str(method.Settings.model_fields["network"].default)
    rows = [
        ["paper", cited],
        ["tags", ", ".join(method.tags)],
        ["version", str(method.version)],
        ["network", f"`{network}`"],
        ["sees", _sees(method)],
        ["source", f"[methods/{plugin.file.name}](../../methods/{plugin.file.name})"],
        ["run it", f"`python run_all.py --methods {plugin.name}{_where(method)}`"],
    ]
    return table(["", ""], rows)


def _where(method: type[Method]) -> str:
    """The benchmark that a command must name, since the usual one has no stream."""
    return f" --benchmarks {_A_STREAM}" if issubclass(method, StreamMethod) else ""


def _sees(method: type[Method]) -> str:
    """What its trainings and labelling stages are shown of the target."""
    stages = method.stages(method.Settings.model_validate({}))
    if any(stage.adapts for stage in stages):
        return "the source; then, without it, the test images as a stream"
    if any(stage.method.supervision == "target" for stage in stages):
        return f"{'the source and ' if len(stages) > 1 else ''}labelled images of the target"
    images = any(stage.method.uses_target_images or stage.labeller is not None for stage in stages)
    return "the source and images of the target" if images else "the source alone"


def _settings(method: type[Method]) -> str:
    rows = []
    for name, field in method.Settings.model_fields.items():
        if not field.is_required():
            default = formatting.value(field.get_default(call_default_factory=True))
            rows.append([f"`{name}`", f"`{default}`", field.description or ""])
    return table(["setting", "default", "what it is"], rows)


def _claimed(method: type[Method]) -> str:
    """What published settings differ in, per benchmark and network."""
    rows = []
    for (benchmark, network), settings in sorted(method.published.items()):
        rows.append([f"`{benchmark}`", f"`{network}`", formatting.assignments(settings) or "the defaults"])
    return table(["benchmark", "network", "settings"], rows)


def _printed(name: str, published: Published) -> str:
    """Every benchmark for which a row of the method is printed."""
    names = {row for (plugin, _), row in published.methods.items() if plugin == name}
    rows = []
    for result in (result for result in published.results if result.name in names):
        link = f"[{result.benchmark}](../../results/published/{result.benchmark}.md)"
        miou, std = f"{result.miou} ({view_of(result)})", result.std or formatting.MISSING
        rows.append([link, result.network, miou, std, result.paper.citation])
    headers = ["benchmark", "network", "mIoU", "std", "paper"]
    return "\n\n".join([table(headers, rows), _PRINTED]) if rows else ""


def _measured(name: str, measured: Sequence[dict[str, str]]) -> str:
    rows = []
    for row in measured:
        if row["method"] == name and row["ranked_split"] == "True" and row["smoke"] != "True":
            std = f" ± {float(row['miou_std']):.1f}" if row["miou_std"] else ""
            miou = f"{float(row['miou_mean']):.1f}{std} ({row['class_set']}, {row['split']})"
            counted = [row["n_seeds"], row["rank"], row.get("origin") or "maintainer"]
            rows.append([row["benchmark"], f"`{row['ranking_hash'][:8]}`", row["label"], miou, *counted])
    headers = ["benchmark", "protocol", "row", "mIoU", "seeds", "rank", "origin"]
    own = [row for row in measured if row["method"] == name]
    said = [_MEASURED] if any(row["provenance"] == "generated" for row in own) else []
    shown = dict.fromkeys(row["collection"] for row in own)
    links = ", ".join(f"[{one}](../../results/{one}/leaderboard.md)" for one in shown)
    all_rows = f"All rows, intervals and tests: {links}."
    return "\n\n".join([*said, table(headers, rows), all_rows]) if rows else ""


def _conformance(plugin: Plugin, registry: Registry) -> str:
    found = cases_of(plugin.name, plugin.file, registry.names("method"))
    found.sort(key=lambda case: (not case.whole, case.name))
    rows = [[f"`{case.name}`", "training" if case.whole else "part", case.computes] for case in found]
    none = "No recorded case of this repository bears on it."
    return "\n\n".join([_CHECKED, table(["case", "", "what was recorded"], rows)]) if rows else none

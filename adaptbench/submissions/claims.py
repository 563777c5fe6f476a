"""What a contributed record claims beside its scores: settings, iterations, costs, snapshots, versions of data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from adaptbench.contracts.benchmark import Benchmark, SplitRef
from adaptbench.contracts.plugins import Registry
from adaptbench.contracts.profiles import profile
from adaptbench.errors import UsageError
from adaptbench.planning import sources
from adaptbench.planning.enlargement import unenlarged
from adaptbench.planning.request import Request
from adaptbench.records import start
from adaptbench.records.record import Cost, Record, Snapshot

if TYPE_CHECKING:
    from adaptbench.contracts.method import Method

#: Rules that choose by a score without labels; the others are the last iterate, and the labels of the target.
_LAST, _BY_LABELS = "last", "oracle-best"
#: Of scores that are copied. Units: percent.
_TOLERANCE = 1e-9


def numbers(record: Record) -> Iterator[str]:
    """Seed and costs are possible numbers."""
    if record.seed < 0:
        yield f"seed {record.seed} is negative"
    for name in Cost.model_fields:
        value = getattr(record.cost, name)
        if isinstance(value, int | float) and value < 0:
            yield f"{name} is {value:g}"
    if record.cost.device not in ("cpu", "cuda"):
        yield f"there is no device {record.cost.device!r}"


def settings(record: Record, method: type[Method], registry: Registry) -> Iterator[str]:
    """The settings are the method's own with the stated changes, and give the stated iterations."""
    from adaptbench import networks  # which imports torch
    from adaptbench.contracts.settings import resolve

    if start.KEY in record.overrides:
        yield f"it starts from {record.overrides[start.KEY]}, a network that is not part of the contribution"
        return
    changed = {key: value for key, value in record.overrides.items() if not key.startswith("minicity.")}
    unknown = sorted({*record.settings, *changed} - {*method.Settings.model_fields})
    if unknown:
        yield f"{record.method} has no setting {', '.join(unknown)}"
        return
    network = str(record.settings.get("network"))
    name = record.benchmark.rpartition("/")[2]
    printed = method.published.get((name, network)) if record.settings_origin == "published" else None
    if record.settings_origin == "published" and printed is None:
        yield f"no paper states settings of {record.method} for {name} with {network}"
        return
    stated = {key: value for key, value in changed.items() if key != "network"}
    official = [dataset for dataset, facts in record.data.items() if facts.get("provenance") == "official"]
    shown = unenlarged(profile(record.profile), registry, official)
    found = resolve(method.Settings, shown, printed, networks.spec(network).recipe, network, stated)
    expected = found.settings.model_dump(mode="json")
    for key in sorted({*expected, *record.settings}):
        if expected.get(key) != record.settings.get(key):
            yield (
                f"setting {key} is {record.settings.get(key)!r}, with the stated changes it is {expected.get(key)!r}"
            )
    stages = method.stages(found.settings)
    iterations = sum(stage.settings.iterations for stage in stages if stage.trains)
    if record.iterations != iterations:
        yield f"{record.iterations} iterations are stated, these settings train {iterations}"


def snapshots(record: Record) -> Iterator[str]:
    """The table of snapshots is there if one was chosen, is in order, and the chosen one is the one that was scored."""
    rule = str(record.ranking.get("checkpoint", _LAST))
    if record.snapshots is None:
        return  # also where there was nothing to choose
    if rule == _LAST:
        yield "it has a table of snapshots, and scores the last iterate"
        return
    taken = [snapshot.iterations for snapshot in record.snapshots]
    if not taken or taken != sorted(set(taken)) or taken[0] < 1 or taken[-1] > record.iterations:
        yield f"its snapshots were taken after {taken} of {record.iterations} iterations"
        return
    if any(not 0 <= snapshot.miou <= 100 for snapshot in record.snapshots):
        yield "a snapshot has a mean IoU below 0 or above 100"
    try:
        chosen = max(record.snapshots, key=lambda one: (_value(one, rule), -one.iterations))
    except KeyError:
        yield f"a snapshot has no score by the rule {rule}"
        return
    if abs(chosen.miou - record.scores[0].miou) > _TOLERANCE:
        yield (
            f"by {rule} the snapshot after {chosen.iterations} iterations is chosen, with {chosen.miou:.4f}, and "
            f"{record.scores[0].miou:.4f} was scored"
        )


def _value(snapshot: Snapshot, rule: str) -> float:
    return snapshot.miou if rule == _BY_LABELS else snapshot.label_free[rule]


def data_versions(record: Record, benchmark: type[Benchmark], registry: Registry) -> Iterator[str]:
    """Generated data is of the version that its dials give here."""
    for name, facts in record.data.items():
        if facts.get("provenance") != "generated":
            continue
        dials = {key: value for key, value in facts.items() if key in sources.DIALS}
        search = sources.Search(profile(record.profile), registry, Request(), dials)
        try:
            found = search.generated(name, _refs(benchmark, name))
        except (UsageError, TypeError, ValueError) as error:
            yield f"{name}: {error}"
            continue
        if _without_scale(found.identity()) != _without_scale(facts):
            yield f"{name}: its version is {facts.get('version')!r}, the world of its dials has {found.version!r} here"


def _refs(benchmark: type[Benchmark], name: str) -> list[SplitRef]:
    return [ref for ref in sources.refs(benchmark) if ref.dataset == name]


def _without_scale(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in facts.items() if key != "scale"}

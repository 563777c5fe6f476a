"""From a request to jobs: resolves names, data and settings, and hashes what can change a result."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

from adaptbench import networks
from adaptbench.contracts import plugins, protocols
from adaptbench.contracts.benchmark import PREFIX, Benchmark, CheckpointRule
from adaptbench.contracts.method import Method
from adaptbench.contracts.precision import require_precision
from adaptbench.contracts.profiles import Profile, Provenance, profile
from adaptbench.contracts.settings import Resolved, resolve, stated_iterations
from adaptbench.contracts.stream_method import StreamMethod
from adaptbench.contracts.study import Study, load_study
from adaptbench.contracts.task import Task
from adaptbench.data.taxonomy import class_set
from adaptbench.errors import DataError, PluginError, RunStateError, UsageError
from adaptbench.planning import given, sources
from adaptbench.planning.adapters import require_adapters
from adaptbench.planning.check_benchmark import require_known
from adaptbench.planning.check_stream import require_conditions, require_fitting
from adaptbench.planning.devices import device_name
from adaptbench.planning.enlargement import unenlarged
from adaptbench.planning.identity import group_identity, ranking_identity
from adaptbench.planning.overrides import Overrides
from adaptbench.planning.request import Request
from adaptbench.planning.shown_sizes import size_notes
from adaptbench.planning.study_plan import Asked, asked_for, methods_of, require_distinct
from adaptbench.records import jobspec
from adaptbench.records.curves import stage_folders
from adaptbench.records.jobspec import DataSource, JobSpec, State, content_hash, load_job, read_status
from adaptbench.records.record import load_record

#: Of a finished job that is to be scored on further splits.
_TRAINED_AGAIN = "Without weights, which were removed, further splits are scored after another training."


@dataclass(frozen=True)
class Job:
    """A planned job.

    Attributes:
        state: where it stands: done, interrupted, failed or planned, or skipped.
        reason: why it is skipped, or why it failed before, or why it is trained again.
        iterations: of the trainings of its stages, in order; none of a job that is skipped.
    """

    spec: JobSpec
    folder: Path
    state: State
    reason: str = ""
    iterations: tuple[int, ...] = ()


@dataclass(frozen=True)
class Plan:
    """All jobs of a request, plug-in files that had to be left out, with the reason, and what a user must know.

    For a study also what it is, and the variant of every job by the job's folder.
    """

    jobs: list[Job]
    broken: list[tuple[Path, str]]
    notes: list[str]
    study: type[Study] | None = None
    variants: Mapping[Path, str] = field(default_factory=dict)


def make_plan(request: Request) -> Plan:
    """Resolves ``request`` into jobs. Reads file lists and no image.

    Raises:
        UsageError: an unknown name, key or value.
        PluginError: no method, or a benchmark, dataset or study, can be loaded.
        DataError: official data or labels are missing.
        RunStateError: a job folder was written by a newer version.
    """
    registry = plugins.discover(request.plugins)
    broken = list(registry.broken)
    study = None if request.study is None else load_study(registry, request.study)
    methods = _load_methods(registry, methods_of(study, registry) if study else request.methods, broken)
    overrides = Overrides.parse(request.settings, methods)
    asked = asked_for(study, methods, broken, overrides.of)
    chosen = profile(request.profile)
    search = sources.Search(chosen, registry, request, overrides.world)
    jobs: dict[Path, Job] = {}  # two names of one benchmark are one job
    variants: dict[Path, str] = {}
    located: list[Mapping[str, DataSource]] = []
    notes: list[str] = []
    for text in request.benchmarks or (study.benchmarks if study else ()):
        benchmark, provenance = _benchmark(
            registry, text, request.data or chosen.data, request.data is not None
        )
        data = search.locate(benchmark, provenance)
        if overrides.world and not any(source.provenance == "generated" for source in data.values()):
            raise UsageError(f"--set minicity...: {text} uses no generated data. Leave the dials out.")
        require_conditions(benchmark, data, registry)
        if request.given is not None:
            classes = protocols.class_set_of(request.protocol, benchmark)
            given.require_stream(benchmark, classes, request.given)
        also, missing = search.locate_also(benchmark, provenance)
        located += [data, {ref.partition("/")[0]: source for ref, source in also.items()}]
        if missing:
            notes.append(f"{benchmark.name}: not scored beside, since not there: {', '.join(missing)}.")
        unlabelled = sources.unlabelled_targets(benchmark, registry)
        shown = unenlarged(chosen, registry, sources.official_names(data))
        for one, network in product(asked, request.networks or (None,)):
            resolved = _resolve(one, benchmark, data, shown, overrides.on(network))
            if request.given is not None:
                resolved = given.settings_from(resolved, one.method, request.given)
            resolved, note = _with_start_weights(one.method, resolved, request)
            notes += [note] if note and note not in notes else []
            _require_streams(search, one.method, benchmark, resolved)
            for seed in request.seeds:
                job = _job(search, one.method, benchmark, data, also, resolved, seed)
                if unlabelled and one.method.supervision == "target":
                    reason = f"It trains on target labels, and {', '.join(unlabelled)} has none."
                    job = replace(job, state=State.SKIPPED, reason=reason)
                jobs[job.folder] = job
                if study:
                    require_distinct(study, chosen, one.label, variants.setdefault(job.folder, one.label))
    _require_paths_used(request.data_paths, registry, located)
    if again := sum(job.reason == _TRAINED_AGAIN for job in jobs.values()):
        notes.append(f"{again} finished {'job is' if again == 1 else 'jobs are'} planned. {_TRAINED_AGAIN}")
    notes += size_notes(registry, [job.spec for job in jobs.values() if job.state != State.SKIPPED])
    return Plan(list(jobs.values()), broken, notes, study, variants)


def _require_paths_used(
    paths: Mapping[str, Path], registry: plugins.Registry, located: Iterable[Mapping[str, DataSource]]
) -> None:
    """A --data-path that is not used would leave a user believing in other data than is scored."""
    official = {name for data in located for name in sources.official_names(data)}
    for name in paths:
        registry.find("dataset", name)
        if name not in official:
            raise UsageError(
                f"--data-path {name}=...: no benchmark asked for uses the official {name}. "
                "Add --data official (profile mini generates its data), or leave the path out."
            )


def _load_methods(
    registry: plugins.Registry, names: Sequence[str], broken: list[tuple[Path, str]]
) -> list[type[Method]]:
    """Method classes; files that raise on import are left out and noted in ``broken``."""
    wanted = [n for name in names for n in (registry.names("method") if name == "all" else [name])]
    classes = []
    for plugin in [registry.find("method", name) for name in dict.fromkeys(wanted)]:
        try:
            classes.append(_checked(plugin))
        except PluginError as error:
            broken.append((plugin.file, str(error)))
    if not classes:
        raise PluginError(" ".join(reason for _, reason in broken) or "No method was asked for.")
    return classes


def method_class(registry: plugins.Registry, name: str) -> type[Method]:
    """The method called ``name``; a UsageError or PluginError if there is none that can be used."""
    return _checked(registry.find("method", name))


def _checked(plugin: plugins.Plugin) -> type[Method]:
    loaded = plugins.load_subclass(plugin, Method)
    if (loaded.supervision == "target") != ("oracle" in loaded.tags):
        raise PluginError(f"{plugin.file}: supervision 'target' and the tag 'oracle' go together.")
    return loaded


def _benchmark(
    registry: plugins.Registry, text: str, provenance: Provenance, explicit: bool
) -> tuple[type[Benchmark], Provenance]:
    """The benchmark called ``text`` and the provenance of its data; ``minicity/`` means generated."""
    name = text.removeprefix(PREFIX)
    if text.startswith(PREFIX):
        if explicit and provenance == "official":
            raise UsageError(f"{text} is scored on generated data; drop --data official, or ask for {name}.")
        provenance = "generated"
    plugin = registry.find("benchmark", name)
    loaded = plugins.load_subclass(plugin, Benchmark)
    require_known(plugin, loaded, registry)
    return loaded, provenance


def _resolve(
    asked: Asked,
    benchmark: type[Benchmark],
    data: Mapping[str, DataSource],
    chosen: Profile,
    overrides: Overrides,
) -> Resolved:
    method, stated = asked.method, asked.stated(chosen)
    wanted = overrides.of(method)
    default = str(method.Settings.model_fields["network"].default)
    usual = chosen.networks.get(default, default)
    network = str(wanted.pop("network", stated.pop("network", usual)))
    if network != usual:
        wanted["network"] = network
    known = networks.spec(network)
    # What a paper states holds for its data and its start weights, too.
    pretrained = known.start is not None and {**stated, **wanted}.get("pretraining", "default") == "default"
    as_published = pretrained and all(s.provenance == "official" for s in data.values())
    printed: dict[str, Any] | None = {} if benchmark.name in asked.printed_for else None
    published = method.published.get((benchmark.name, network), printed) if as_published else None
    try:
        return resolve(method.Settings, chosen, published, known.recipe, network, wanted, stated)
    except UsageError as error:
        several = overrides.common and len(overrides.by_method) > 1
        hint = " METHOD.KEY=VALUE sets it for one method only." if several else ""
        raise UsageError(f"{asked.name}: {error}{hint}") from error


def _with_start_weights(method: type[Method], resolved: Resolved, request: Request) -> tuple[Resolved, str]:
    """``resolved`` once its start weights are found; a smoke run goes on without them, and a note says so."""
    if request.given is not None:
        return resolved, ""
    try:
        networks.start_of(resolved.settings.network, resolved.settings.pretraining)
    except DataError as error:
        if request.limit is None:
            raise
        settings = resolved.settings.model_copy(update={"pretraining": "none"})
        return replace(resolved, settings=settings), f"{method.name}: smoke run from RANDOM weights. {error}"
    return resolved, ""


def _job(
    search: sources.Search,
    method: type[Method],
    benchmark: type[Benchmark],
    data: Mapping[str, DataSource],
    also: Mapping[str, DataSource],
    resolved: Resolved,
    seed: int,
) -> Job:
    request, chosen = search.request, search.profile
    board = board_name(benchmark, data)
    start = None if request.given is None else request.given.start
    averages = method.test_time_augmentation(resolved.settings)
    ranking = {
        **ranking_identity(request, benchmark, data, chosen),
        "test_time_augmentation": averages if start is None else start.test_time_augmentation,
    }
    settings = _limited(resolved.settings.model_dump(mode="json"), request.limit)
    device = device_name(request.device, elsewhere=request.elsewhere)
    require_precision(request.precision, device)
    group = group_identity(
        [method.name, method.version],
        benchmark,
        ranking,
        settings,
        chosen,
        device,
        request.precision,
        compiled=request.compiled,
        accumulate=request.accumulate,
        start=start,
    )
    spec = JobSpec(
        job_hash=content_hash({**group, "seed": seed}),
        group_hash=content_hash(group),
        ranking_hash=content_hash(ranking),
        ranking=ranking,
        method=method.name,
        benchmark=benchmark.name,
        board=board,
        profile=chosen.name,
        seed=seed,
        limit=request.limit,
        device=device,
        threads=chosen.threads,
        settings=settings,
        settings_origin=resolved.origin,
        overrides={
            **resolved.overrides,
            **{f"minicity.{dial}": value for dial, value in search.moved_dials().items()},
        },
        data=dict(data),
        also=dict(also),
        precision=request.precision,
        compiled=request.compiled,
        accumulate=request.accumulate,
        start=start,
        **_not_hashed(request),
    )
    folder = jobspec.job_folder(request.out, board, method.name, seed, spec.job_hash)
    task = _task(search, benchmark)
    skip = method.skip(task) or _no_choice(ranking["checkpoint"], method, benchmark)
    skip = skip or (given.no_start(method) if start is not None else None)
    job = _with_state(spec, folder, skip)
    if skip or start is not None:
        return job
    return replace(job, iterations=_iterations(method, settings, changed=bool(resolved.overrides)))


def _iterations(method: type[Method], settings: Mapping[str, Any], *, changed: bool) -> tuple[int, ...]:
    """Of the trainings of a method; a UsageError if changed settings ask for an adapter that an encoder cannot have."""
    stages = method.stages(method.Settings.model_validate(settings))
    if changed:  # else it is what the plug-in itself combines
        require_adapters(stages)
    return tuple(stage.settings.iterations for stage in stages if stage.trains)


def _task(search: sources.Search, benchmark: type[Benchmark]) -> Task:
    classes = protocols.class_set_of(search.request.protocol, benchmark)
    return Task(benchmark.name, benchmark.setting, class_set(classes), search.profile)


def _require_streams(
    search: sources.Search, method: type[Method], benchmark: type[Benchmark], resolved: Resolved
) -> None:
    """Raises UsageError where a method cannot adapt its network to the images of the stream."""
    task = _task(search, benchmark)
    if issubclass(method, StreamMethod) and method.skip(task) is None:
        dataset = sources.dataset_class(search.registry, benchmark.evaluation[0].dataset)
        require_fitting(method, resolved.settings, task, dataset, search.request.given)


def _limited(settings: dict[str, Any], limit: int | None) -> dict[str, Any]:
    """The settings of a smoke run, which has at most so many iterations; None = they stay."""
    if limit is None:
        return settings
    stated = stated_iterations(settings)
    return {**settings, **{name: min(number, limit) for name, number in stated.items()}}


def _not_hashed(request: Request) -> dict[str, Any]:
    """What a job is told besides: it changes no number, or no more than another kind of GPU would."""
    return {
        "debug_pictures": request.debug_images,
        "activation_checkpointing": request.activation_checkpointing,
        "image_cache": None if request.image_cache is None else os.path.realpath(request.image_cache),
        "keep_weights": request.keep_weights,
        "devices": request.devices,
        "plugins": [os.path.realpath(path) for path in request.plugins],
    }


def _no_choice(rule: CheckpointRule, method: type[Method], benchmark: type[Benchmark]) -> str | None:
    """Why the snapshots of a method cannot be compared by the rule that was asked for; None if they can."""
    if rule != "last" and benchmark.setting == "tta":
        return f"checkpoint {rule}: the network is chosen before any image of the stream is seen; only last can be."
    if rule in ("last", "oracle-best"):
        return None
    if benchmark.setting == "dg":
        return f"--checkpoint {rule}: target images are out of reach in domain generalization."
    if rule == "agreement" and not method.has_teacher():
        return "--checkpoint agreement: it has no teacher to agree with."
    return None


def board_name(benchmark: type[Benchmark], data: Mapping[str, DataSource]) -> str:
    """Name in results: ``minicity/NAME`` where the ranked split is generated."""
    generated = data[benchmark.evaluation[0].dataset].provenance == "generated"
    return (PREFIX if generated else "") + benchmark.name


def _with_state(spec: JobSpec, folder: Path, skip: str | None) -> Job:
    if skip is not None:
        return Job(spec, folder, State.SKIPPED, skip)
    if (folder / "job.json").exists():
        load_job(folder)
    status = read_status(folder)
    if (folder / "record.json").exists():
        record = load_record(folder / "record.json")
        if record.job_hash != spec.job_hash:
            raise RunStateError(
                f"{folder} holds the record of another job. Move it away or use another --out."
            )
        if record.covers(spec.also):
            return Job(spec, folder, State.DONE)
        if status.state is State.DONE:
            reason = "" if _has_weights(folder) else _TRAINED_AGAIN
            return Job(spec, folder, State.PLANNED, reason)  # only further splits are to be scored
    state = State.INTERRUPTED if status.state is State.DONE else status.state
    return Job(spec, folder, state, status.reason)


def _has_weights(folder: Path) -> bool:
    """Whether the last stage of a finished job has any weights."""
    return any(any(stage.glob("*.safetensors")) for stage in stage_folders(folder)[-1:])

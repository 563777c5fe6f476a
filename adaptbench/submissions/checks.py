"""What a contributed run is checked for. Every check has a name, and says what is wrong or nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from adaptbench.contracts import plugins, protocols
from adaptbench.contracts.benchmark import PREFIX, Benchmark
from adaptbench.contracts.dataset import Dataset
from adaptbench.contracts.profiles import PROFILES, profile
from adaptbench.data.taxonomy import class_set
from adaptbench.errors import AdaptBenchError, DataError
from adaptbench.evaluation.metrics import score as rescore
from adaptbench.records.confusion_files import PerImageConfusion
from adaptbench.records.jobspec import content_hash
from adaptbench.records.record import Record, Score
from adaptbench.records.stream_parts import stream_parts
from adaptbench.submissions import claims
from adaptbench.submissions.pack import Contribution

if TYPE_CHECKING:
    from adaptbench.contracts.method import Method

#: Scores are functions of whole numbers; only the order of a sum may differ between machines. Units: percent.
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Objection:
    """Why a contribution is not taken: the name of the check that failed, and a sentence for its author."""

    check: str
    reason: str

    def __str__(self) -> str:
        return f"[{self.check}] {self.reason}"


@dataclass(frozen=True)
class Known:
    """What the checks may look at beside the contribution.

    Attributes:
        same_board: matrices of its protocol here, by split.
        siblings: runs of its method and protocol here, with their matrices on the ranked split.
    """

    registry: plugins.Registry
    same_board: Mapping[str, PerImageConfusion]
    siblings: Sequence[tuple[Record, PerImageConfusion]] = ()


def objections(found: Contribution, known: Known) -> list[Objection]:
    """Everything that is wrong; checks that rest on others are left out when those fail."""
    for group in _GROUPS:
        wrong: list[Objection] = []
        for name, check in group.items():
            try:
                wrong += [Objection(name, reason) for reason in check(found, known)]
            except AdaptBenchError as error:
                wrong.append(Objection(name, str(error)))
        if wrong:
            return wrong
    return []


def _finished(found: Contribution, known: Known) -> Iterator[str]:
    if found.record.smoke or found.record.ranking.get("limit") is not None:
        yield "this is a smoke run (--limit), which is never ranked"


def _plugins(found: Contribution, known: Known) -> Iterator[str]:
    """Method and benchmark are here, in the same version, and are described as they are."""
    record = found.record
    method, benchmark = _method(record, known), _benchmark(record, known)
    if method.version != record.method_version:
        yield f"it was run with version {record.method_version} of {record.method}; here is version {method.version}"
    declared = (method.title, method.paper, list(method.tags))
    if (record.method_title, record.paper, record.tags) != declared:
        yield f"title, paper or tags of {record.method} are not those of the method here"
    if record.benchmark_title != benchmark.title or record.setting != benchmark.setting:
        yield f"title or setting of {record.benchmark} are not those of the benchmark here"
    if record.profile not in PROFILES:
        yield f"there is no profile {record.profile!r}"
    chosen = record.ranking.get("checkpoint") != "last"
    if ("oracle" in method.tags or method.supervision == "target" or chosen) and not record.oracle:
        yield "target labels were used, but it is not marked as an oracle"


def _protocol(found: Contribution, known: Known) -> Iterator[str]:
    """The ranking hash is that of the protocol, which is the one that is named, and that of the benchmark."""
    record, benchmark = found.record, _benchmark(found.record, known)
    ranking = record.ranking
    if content_hash(ranking) != record.ranking_hash:
        yield f"the ranking hash is {record.ranking_hash}, that of its protocol is {content_hash(ranking)}"
    name = str(ranking.get("protocol", protocols.DEFAULT))
    classes = protocols.class_set_of(name, benchmark)
    rules = protocols.rules_of(name, benchmark, ranking.get("checkpoint"))
    official = {name for name in record.data if _provenance(record.data, name) == "official"}
    declared = {
        "benchmark": benchmark.name,
        "setting": benchmark.setting,
        "class_set": classes,
        "head_width": len(class_set(classes)),
        "profile": record.profile,
        "splits": benchmark.splits_in_hashes(official),
        "label_size": rules.label_size,
        "ignore": rules.ignore,
        "absent_classes": rules.absent_classes,
        "data": {name: record.data.get(name) for name in benchmark.datasets()},
        **benchmark.stream_ranking(profile(record.profile)),
    }
    for key, value in declared.items():
        if ranking.get(key) != value:
            yield f"{key} of the protocol is {ranking.get(key)!r}, of the benchmark {value!r}"
    generated = record.scores[0].provenance == "generated"
    if record.benchmark != (PREFIX if generated else "") + benchmark.name:
        yield f"a score on {record.scores[0].provenance} data does not belong to {record.benchmark}"


def _identity(found: Contribution, known: Known) -> Iterator[str]:
    """Group and job hash are those of the settings."""
    from adaptbench.planning.identity import group_identity  # which imports torch

    record, benchmark = found.record, _benchmark(found.record, known)
    method = [record.method, record.method_version]
    try:
        group = group_identity(
            method,
            benchmark,
            record.ranking,
            record.settings,
            profile(record.profile),
            record.cost.device,
            record.precision,
            compiled=record.compilation is not None,
            accumulate=record.accumulate,
        )
    except DataError as error:
        yield f"its hashes cannot be checked without the start weights that it was trained from. {error}"
        return
    expected = {"group": content_hash(group), "job": content_hash({**group, "seed": record.seed})}
    for name, stated in (("group", record.group_hash), ("job", record.job_hash)):
        if stated != expected[name]:
            yield (
                f"the {name} hash is {stated}, that of its settings is {expected[name]}: the record was changed, or "
                "made by another version"
            )


def _splits(found: Contribution, known: Known) -> Iterator[str]:
    """The scores are those that the benchmark asks for."""
    record, benchmark = found.record, _benchmark(found.record, known)
    stated = [score.split for score in record.scores]
    wanted = [str(ref) for ref in benchmark.scored()]
    if stated[: len(wanted)] != wanted or len(set(stated)) < len(stated):
        yield f"its scores are on {', '.join(stated)}; the benchmark scores {', '.join(wanted)}"
    if record.averaged not in ([], [str(ref) for ref in benchmark.averaged]):  # none in older records
        yield f"it averages {', '.join(record.averaged) or 'nothing'}, and the benchmark does not"
    extra = set(stated) - set(wanted) - {str(ref) for ref in benchmark.beside()}
    if extra:
        yield f"the benchmark does not score {', '.join(sorted(extra))}"
    for score in record.scores:
        if score.class_set != record.ranking["class_set"]:
            yield f"{score.split} is scored in {score.class_set}, the protocol in {record.ranking['class_set']}"
        if score.provenance != _provenance(record.data, score.split.partition("/")[0]):
            yield f"{score.split}: the score says {score.provenance}, the data says otherwise"


def _images(found: Contribution, known: Known) -> Iterator[str]:
    """As many images as the split has, and the same as in runs that are here, with the same labels."""
    for score in found.record.scores:
        matrices = found.matrices[score.split]
        size = len(class_set(score.class_set)) + (found.record.ranking.get("ignore", "drop") != "drop")
        if matrices.matrices.shape[1] != size:
            yield f"{score.split}: matrices with {matrices.matrices.shape[1]} rows, {score.class_set} needs {size}"
            continue
        if len(set(matrices.names)) < len(matrices.names):
            yield f"{score.split}: an image is there twice"
        if len(matrices.names) != score.images:
            yield f"{score.split}: {score.images} images were scored, there are matrices of {len(matrices.names)}"
        full = _full_count(score, known)
        if full is not None and score is found.record.scores[0]:
            full *= found.record.ranking.get("stream", {}).get("rounds", 1)
        if full is not None and full != score.images:
            yield f"{score.split}: {score.images} images were scored, the split has {full}"
        if score.split in known.same_board and not _same(matrices, known.same_board[score.split]):
            yield f"{score.split}: other images, or other labels, than in the runs of this protocol that are here"


def _scores(found: Contribution, known: Known) -> Iterator[str]:
    """Every number is what its matrices give."""
    for stated in found.record.scores:
        again = rescore(
            found.matrices[stated.split].total(),
            class_set(stated.class_set),
            split=stated.split,
            provenance=stated.provenance,
            images=stated.images,
            absent=found.record.ranking["absent_classes"],
        )
        numbers, computed = _numbers(stated), _numbers(again)
        for name in dict.fromkeys([*computed, *numbers]):
            said, is_ = numbers.get(name, math.nan), computed.get(name, math.nan)
            same = (
                said is is_ if said is None or is_ is None else abs(said - is_) <= TOLERANCE
            )  # false for NaN
            if not same:
                yield f"{stated.split}: {name} is {_shown(said)} in the record and {_shown(is_)} from the matrices"


def _streams(found: Contribution, known: Known) -> Iterator[str]:
    """What is said of a stream is what its matrices give, and how its method says that it predicts."""
    from adaptbench.contracts.stream_method import StreamMethod  # which imports torch

    record, method = found.record, _method(found.record, known)
    if (record.stream is None) != ("stream" not in record.ranking):
        yield "it tells of a stream, and its protocol has none, or the other way round"
    if record.stream is None or "stream" not in record.ranking:
        return
    said = method.predictions if issubclass(method, StreamMethod) else "unadapted"
    if record.stream.predictions != said:
        yield f"its predictions are {record.stream.predictions!r}, those of {record.method} are {said!r}"
    first = record.scores[0]
    again = stream_parts(found.matrices[first.split], record.ranking, len(class_set(first.class_set)))
    if [part.model_copy(update={"miou": None}) for part in again] != [
        part.model_copy(update={"miou": None}) for part in record.stream.parts
    ]:
        yield "the conditions and rounds of its stream are not those of its matrices"
        return
    for part, stated in zip(again, record.stream.parts, strict=True):
        same = part.miou == stated.miou or (
            part.miou is not None and stated.miou is not None and abs(part.miou - stated.miou) <= TOLERANCE
        )
        if not same:
            yield (
                f"round {part.round}, {part.condition}: mIoU is {_shown(stated.miou)} in the record and "
                f"{_shown(part.miou)} from the matrices"
            )


def _claims(found: Contribution, known: Known) -> Iterator[str]:
    """Settings, iterations, costs, snapshots and versions of data are possible, and follow from each other."""
    record = found.record
    yield from claims.numbers(record)
    yield from claims.settings(record, _method(record, known), known.registry)
    yield from claims.snapshots(record)
    yield from claims.data_versions(record, _benchmark(record, known), known.registry)


def _duplicates(found: Contribution, known: Known) -> Iterator[str]:
    """No two seeds end with the same weights, or the same matrices; controls may, which draw nothing."""
    record = found.record
    if "control" in record.tags:
        return
    matrices = found.matrices[record.scores[0].split].matrices
    for other, kept in known.siblings:
        same = [
            *(["weights"] if other.weights_sha256 == record.weights_sha256 else []),
            *(["confusion matrices"] if np.array_equal(kept.matrices, matrices) else []),
        ]
        if same and other.job_hash != record.job_hash:
            yield f"its {' and '.join(same)} are those of seed {other.seed}, job {other.job_hash}, which is here"


#: In the order in which they are made; a group is left out if an earlier one objects.
_GROUPS: tuple[dict[str, Callable[[Contribution, Known], Iterator[str]]], ...] = (
    {"smoke run": _finished, "plug-ins": _plugins},
    {"protocol": _protocol, "identity": _identity, "splits": _splits, "claims": _claims},
    {"images": _images},
    {"scores": _scores, "stream": _streams, "duplicate": _duplicates},
)


def _method(record: Record, known: Known) -> type[Method]:
    loaded: type[Method] = plugins.load(known.registry.find("method", record.method))
    return loaded


def _benchmark(record: Record, known: Known) -> type[Benchmark]:
    name = record.benchmark.removeprefix(PREFIX)
    loaded: type[Benchmark] = plugins.load(known.registry.find("benchmark", name))
    return loaded


def _provenance(data: Mapping[str, Mapping[str, object]], dataset: str) -> object:
    return data.get(dataset, {}).get("provenance")


def _full_count(score: Score, known: Known) -> int | None:
    """Images of an official split without those that are broken; None where it is not known."""
    if score.provenance != "official":
        return None
    name, _, split = score.split.partition("/")
    dataset: type[Dataset] = plugins.load(known.registry.find("dataset", name))
    declared = dataset.splits.get(split)
    return None if declared is None or declared.count is None or dataset.broken else declared.count


def _same(first: PerImageConfusion, second: PerImageConfusion) -> bool:
    truths = (one.matrices.sum(axis=2, dtype=np.int64) for one in (first, second))
    return first.names == second.names and np.array_equal(*truths)


def _numbers(score: Score) -> dict[str, float | None]:
    of_classes = {f"IoU of {name}": iou for name, iou in score.iou.items()}
    return {"mIoU": score.miou, "accuracy": score.accuracy, **of_classes}


def _shown(value: float | None) -> str:
    return "absent" if value is None else f"{value:.4f}"

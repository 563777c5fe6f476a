"""The benchmark contract: what a file in benchmarks/ declares, and the protocol behind a number."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from adaptbench.contracts.profiles import Profile
from adaptbench.contracts.profiles import Provenance as Provenance

Setting = Literal["uda", "dg", "tta"]
LabelSize = Literal["native", "1280x640"]
AbsentClasses = Literal["labelled", "skip", "zero"]
VoidRule = Literal["drop", "count"]
#: Of the names that benchmarks have in results where the scored data is generated.
PREFIX = "minicity/"
CheckpointRule = Literal["last", "oracle-best", "entropy", "infomax", "snd", "agreement"]


@dataclass(frozen=True)
class SplitRef:
    """A split of a dataset, written ``dataset/split`` in tables.

    Attributes:
        generated_only: the split exists in generated worlds only, where it is scored beside.
    """

    dataset: str
    split: str
    generated_only: bool = False

    def __str__(self) -> str:
        return f"{self.dataset}/{self.split}"

    @classmethod
    def parse(cls, text: str) -> SplitRef:
        """The split written ``dataset/split``."""
        dataset, _, split = text.partition("/")
        return cls(dataset, split)


@dataclass(frozen=True)
class Protocol:
    """What must be equal for two numbers to be comparable, beside class set, splits and data.

    Attributes:
        label_size: size at which labels are scored; ``"native"`` = size of the label file, ``"1280x640"`` = resized to
            this size of the profile, whatever their ratio, taking the nearest pixel.
        ignore: what a pixel is whose ground truth is void, or no class of the class set; ``"drop"`` = not counted,
            ``"count"`` = an error of the class that is predicted there.
        absent_classes: ``"labelled"`` = the mean is over the classes that occur in the ground truth of the split, for
            every method the same; ``"skip"`` = over those in ground truth or prediction, so that one which only some
            methods predict counts 0 for them and not for the others; ``"zero"`` = over all, where a class in neither
            counts as 0.
        checkpoint: which weights are scored; ``"last"`` = the last iterate, ``"oracle-best"`` = the snapshot that is
            best on the labels of the ranked split, in every stage, as several papers report it. Such rows are oracles.
            The others choose a snapshot in every stage, too, by what `adaptbench.evaluation.validators` say of its
            predictions on unlabelled training images of the target.
        test_time_augmentation: what is averaged; a method may depart from ``"none"`` where its settings say so.
    """

    label_size: LabelSize = "native"
    ignore: VoidRule = "drop"
    absent_classes: AbsentClasses = "labelled"
    checkpoint: CheckpointRule = "last"
    test_time_augmentation: Literal["none"] = "none"


@dataclass(frozen=True)
class StreamOrder:
    """The order in which a network meets the images of the ranked split that it adapts to.

    Round by round, one condition after the other, and within a condition in the order of the split.

    Attributes:
        conditions: values of the tag ``condition`` of its images; empty = the order of the split alone.
        rounds: how often everything comes, at most; a profile may have fewer.
    """

    conditions: tuple[str, ...] = ()
    rounds: int = 1


class Benchmark:
    """One adaptation problem: labelled source, unlabelled target, and what is scored.

    A plug-in sets the class attributes as literals; the first evaluation split is the one ranked,
    the others are columns.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    version: ClassVar[int] = 1
    setting: ClassVar[Setting] = "uda"
    class_set: ClassVar[str]
    source: ClassVar[tuple[SplitRef, ...]]
    target: ClassVar[tuple[SplitRef, ...]]
    evaluation: ClassVar[tuple[SplitRef, ...]]
    #: Evaluation splits whose mean of mean IoUs is a column: all targets, or all unseen domains; empty = no column.
    averaged: ClassVar[tuple[SplitRef, ...]] = ()
    #: Further labelled splits, scored with the same network where their data is there. They are columns of the
    #: leaderboard and part of no hash: neither weights nor ranked numbers depend on them.
    also: ClassVar[tuple[SplitRef, ...]] = ()
    #: Datasets whose provenance is fixed whatever ``--data`` says.
    provenance: ClassVar[Mapping[str, Provenance]] = {}
    protocol: ClassVar[Protocol] = Protocol()
    #: In the setting ``tta`` alone: how the images of the ranked split come.
    stream: ClassVar[StreamOrder | None] = None
    #: Key of the published results of this problem, where there are any.
    published: ClassVar[str | None] = None

    @classmethod
    def datasets(cls) -> list[str]:
        """Names of all datasets that training or ranking need, in order of first use."""
        refs = (*cls.source, *cls.target, *cls.evaluation)
        return list(dict.fromkeys(ref.dataset for ref in refs))

    @classmethod
    def scored(cls) -> list[SplitRef]:
        """What every run is scored on, the ranked split first."""
        return [ref for ref in cls.evaluation if not ref.generated_only]

    @classmethod
    def splits_in_hashes(cls, official: Collection[str]) -> list[str]:
        """What is scored, in words.

        Of ``official`` datasets also what only generated worlds have: it is in the hash of runs finished before.
        """
        refs = cls.evaluation
        return [str(ref) for ref in refs if not ref.generated_only or ref.dataset in official]

    @classmethod
    def stream_ranking(cls, profile: Profile) -> dict[str, Any]:
        """What of a stream must be equal: conditions in their order, and how often they come; nothing without one."""
        if cls.stream is None:
            return {}
        order = {"conditions": list(cls.stream.conditions), "rounds": profile.rounds(cls.stream.rounds)}
        return {"stream": order}

    @classmethod
    def beside(cls) -> list[SplitRef]:
        """Further splits, scored where their data is there, or is generated because it was asked for."""
        return [*(ref for ref in cls.evaluation if ref.generated_only), *cls.also]

"""The study contract: what a file in studies/ declares, and the consistency that every declaration must have.

A study is a table of a paper: variants of methods, what the paper measured for each, and the differences it draws
its conclusions from. Imports nothing heavy, so that reports can read studies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from adaptbench.contracts import plugins
from adaptbench.errors import PluginError


@dataclass(frozen=True)
class Published:
    """What a paper prints for a variant.

    Attributes:
        miou: mean IoU in percent, on official data at full size.
        std: standard deviation over the seeds, if it is printed.
        seeds: their number, if it is stated.
        class_set: classes that are averaged.
        split: ``dataset/split`` that is scored.
        memory_gb: memory of the training on a GPU, if it is printed.
    """

    miou: float
    std: float | None = None
    seeds: int | None = None
    class_set: str = "cityscapes19"
    split: str = "cityscapes/val"
    memory_gb: float | None = None


@dataclass(frozen=True)
class Variant:
    """A row: a method with some settings.

    Attributes:
        label: short name, unique in the study.
        method: name of the method.
        settings: what differs from the method's own settings, as full-size numbers and full-size networks; the
            profile converts them like the method's own.
        published: what the paper prints; None if it has no such row.
    """

    label: str
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    published: Published | None = None


@dataclass(frozen=True)
class Delta:
    """A difference that the paper draws a conclusion from.

    Attributes:
        claim: the conclusion, in a few words.
        variant: label of a variant.
        minus: label of the variant whose mean IoU is subtracted.
        published: the difference as the paper states it, in points; None = that of the printed values.
    """

    claim: str
    variant: str
    minus: str
    published: float | None = None


class Study:
    """Base of all studies.

    A plug-in is a file in studies/ (or a --plugins path) with one subclass. Its name is the path below studies/
    without suffix.

    Attributes:
        name: what users type after ``--study``.
        title: one line for listings.
        paper: ``"arXiv:NNNN.NNNNN"`` or None.
        table: which table of the paper it mirrors.
        benchmarks: the problems it is about; they are run unless the user names others.
        variants: its rows.
        reference: label of the variant that all others are compared with; None = none is.
        checks: differences that are compared with the published ones.
        notes: what a reader must know, printed below the table.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    paper: ClassVar[str | None] = None
    table: ClassVar[str]
    benchmarks: ClassVar[tuple[str, ...]]
    variants: ClassVar[tuple[Variant, ...]]
    reference: ClassVar[str | None] = None
    checks: ClassVar[tuple[Delta, ...]] = ()
    notes: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def methods(cls) -> tuple[str, ...]:
        """Names of the methods of all variants, in order of first use."""
        return tuple(dict.fromkeys(variant.method for variant in cls.variants))

    @classmethod
    def variant(cls, label: str) -> Variant:
        """The variant called ``label``."""
        return next(variant for variant in cls.variants if variant.label == label)

    @classmethod
    def published_difference(cls, check: Delta) -> float | None:
        """What the paper found for ``check``: as stated, else from the printed values; None if it has none."""
        if check.published is not None:
            return check.published
        first, second = cls.variant(check.variant).published, cls.variant(check.minus).published
        return None if first is None or second is None else round(first.miou - second.miou, 2)


def load_study(registry: plugins.Registry, name: str) -> type[Study]:
    """The study called ``name``; a PluginError if it cannot be imported or contradicts itself."""
    plugin = registry.find("study", name)
    loaded = plugins.load_subclass(plugin, Study)
    for problem in _problems(loaded):
        raise PluginError(f"{plugin.file}: {problem}")
    return loaded


def _problems(study: type[Study]) -> Iterable[str]:
    """Everything in which a declaration contradicts itself."""
    labels = [variant.label for variant in study.variants]
    if not labels:
        yield "it has no variant."
    yield from (f"two variants are called {label!r}." for label, n in Counter(labels).items() if n > 1)
    named = [label for check in study.checks for label in (check.variant, check.minus)]
    named += [] if study.reference is None else [study.reference]
    for label in named:
        if label not in labels:
            yield f"it names a variant {label!r} that it does not have; its variants: {', '.join(labels)}."

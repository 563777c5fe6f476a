"""What a request runs: methods as they are, or the variants of a study."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adaptbench.contracts import plugins
from adaptbench.contracts.method import Method
from adaptbench.contracts.profiles import Profile
from adaptbench.contracts.settings import check_key
from adaptbench.contracts.study import Study, Variant
from adaptbench.errors import PluginError, UsageError


@dataclass(frozen=True)
class Asked:
    """A method, with what a study states for it.

    Attributes:
        label: the study's name for it; empty outside of studies.
        settings: settings the study states, as full-size numbers and networks.
        printed_for: benchmarks for which the paper prints a value with these settings.
    """

    method: type[Method]
    label: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    printed_for: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What error messages call it."""
        return f"variant {self.label!r} ({self.method.name})" if self.label else self.method.name

    def stated(self, profile: Profile) -> dict[str, Any]:
        """Its settings, with the profile's network in the place of a full-size one; still full-size numbers."""
        settings = dict(self.settings)
        if "network" in settings:
            settings["network"] = profile.networks.get(settings["network"], settings["network"])
        return settings


def methods_of(study: type[Study], registry: plugins.Registry) -> tuple[str, ...]:
    """Names of the methods of all variants; a UsageError for one that does not exist."""
    for variant in study.variants:
        try:
            registry.find("method", variant.method)
        except UsageError as error:
            raise UsageError(f"The study {study.name}, variant {variant.label!r}: {error}") from error
    return study.methods()


def asked_for(
    study: type[Study] | None,
    methods: Sequence[type[Method]],
    broken: Iterable[tuple[Path, str]],
    by_user: Callable[[type[Method]], Mapping[str, Any]],
) -> list[Asked]:
    """Every method of the request, or every variant of its study.

    Raises:
        PluginError: a method of the study cannot be used.
        UsageError: a variant states an unknown setting, or one that the user sets, too.
    """
    if study is None:
        return [Asked(method) for method in methods]
    known = {method.name: method for method in methods}
    if set(study.methods()) - known.keys():
        raise PluginError(f"The study {study.name} cannot be run. {' '.join(reason for _, reason in broken)}")
    asked = [_variant(study, variant, known[variant.method]) for variant in study.variants]
    for one in asked:
        _require_free(study, one, by_user(one.method))
    return asked


def _variant(study: type[Study], variant: Variant, method: type[Method]) -> Asked:
    for key in variant.settings:
        check_key(
            method.Settings, key, f"{method.name} in the study {study.name}, variant {variant.label!r},"
        )
    printed_for = () if variant.published is None else study.benchmarks
    return Asked(method, variant.label, variant.settings, printed_for)


def _require_free(study: type[Study], asked: Asked, by_user: Mapping[str, Any]) -> None:
    """What a study varies is the study's to set: else its rows would not be what they are called."""
    for key in asked.settings:
        if key in by_user:
            varied = sorted({name for variant in study.variants for name in variant.settings})
            raise UsageError(
                f"--set {key}: the study {study.name} varies it itself ({asked.name} has {key}={asked.settings[key]}). "
                f"Leave it out; --set is for everything but {', '.join(varied)}."
            )


def require_distinct(study: type[Study], profile: Profile, label: str, other: str) -> None:
    """Raises UsageError unless two variants that are one job are one variant."""
    if label != other:
        raise UsageError(
            f"The variants {label!r} and {other!r} of the study {study.name} are one and the same job in profile "
            f"{profile.name}: what tells them apart becomes equal there. Run the study in another profile, or change "
            "its file."
        )

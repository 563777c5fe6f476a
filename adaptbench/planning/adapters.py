"""Whether what the settings say of an encoder can be done to it, asked before anything is trained."""

from __future__ import annotations

from collections.abc import Iterable

from adaptbench import networks
from adaptbench.contracts.method import Stage
from adaptbench.contracts.settings import Training
from adaptbench.errors import UsageError


def require_adapters(stages: Iterable[Stage]) -> None:
    """Raises UsageError where an encoder cannot have its adapter, or settings of another one are given."""
    for stage in stages:
        _require_adapter(stage)


def _require_adapter(stage: Stage) -> None:
    settings = stage.settings
    if settings.adapter != "lora":
        for name, field in Training.model_fields.items():
            if name.startswith("lora_") and getattr(settings, name) != field.default:
                raise UsageError(
                    f"{stage.method.name}: {name} is of adapter=lora, and adapter is {settings.adapter}. Set "
                    "adapter=lora, or leave it out."
                )
    if settings.adapter != "full":
        try:
            networks.require_adapter(settings.network, stage.method.adapter(settings))
        except UsageError as error:
            raise UsageError(f"{stage.method.name}: {error}") from error

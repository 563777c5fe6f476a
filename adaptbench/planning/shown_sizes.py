"""At which size a profile shows images whose size a YAML file states: nobody shall believe in another one."""

from __future__ import annotations

from collections.abc import Iterable

from adaptbench.contracts import plugins
from adaptbench.contracts.profiles import profile
from adaptbench.evaluation.sizes import input_size
from adaptbench.planning import sources
from adaptbench.records.jobspec import JobSpec


def size_notes(registry: plugins.Registry, specs: Iterable[JobSpec]) -> list[str]:
    """A sentence per dataset of a YAML file whose images a profile shows at another size than the file states."""
    seen: dict[str, dict[tuple[int, int], set[str]]] = {}
    scaled = [spec for spec in specs if profile(spec.profile).scale != 1]
    for spec in scaled:
        for name in (name for name, source in spec.data.items() if source.provenance == "official"):
            if registry.find("dataset", name).file.suffix in (".yaml", ".yml"):
                dataset = sources.dataset_class(registry, name)
                size = input_size(dataset, float(spec.settings["resolution"]), profile(spec.profile))
                seen.setdefault(name, {}).setdefault(size, set()).add(spec.method)
    return [_sentence(registry, name, sizes, scaled[0].profile) for name, sizes in seen.items()]


def _sentence(
    registry: plugins.Registry, name: str, sizes: dict[tuple[int, int], set[str]], used: str
) -> str:
    width, height = sources.dataset_class(registry, name).training_size
    shown = [
        f"{w}x{h}" + (f" ({', '.join(sorted(methods))})" if len(sizes) > 1 else "")
        for (w, h), methods in sorted(sizes.items())
    ]
    return (
        f"{name}: the file states a size of {width}x{height}, and profile {used} shows networks {' and '.join(shown)}: "
        f"it takes {profile(used).scale:g} of all lengths. Use --profile paper for the stated size."
    )

"""``import``: a published checkpoint becomes weights of one of our networks."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from rich.console import Console

from adaptbench.commands.output import say
from adaptbench.contracts import plugins
from adaptbench.contracts.method import Method
from adaptbench.contracts.profiles import profile
from adaptbench.contracts.settings import check_key, parse_value, resolve
from adaptbench.data.taxonomy import class_set
from adaptbench.errors import UsageError
from adaptbench.execution.given import imported, places
from adaptbench.flags import Import
from adaptbench.networks.pretrained.foreign import read_content
from adaptbench.networks.pretrained.published import published_state
from adaptbench.planning.plan import method_class
from adaptbench.training import checkpoint

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def execute(command: Import) -> int:
    """Converts the file, checks it by filling the network, and keeps it."""
    console = Console()
    class_set(command.classes)
    if command.name is not None and not _NAME.fullmatch(command.name):
        raise UsageError(f"--name {command.name!r}: use letters, digits, dots, dashes and underscores.")
    method = method_class(plugins.discover(command.plugins), command.method)
    which = command.weights or method.published_files.scored
    network, overrides = _choices(command, method)
    content = read_content(command.file, command.trust_pickle)
    paper = profile("paper")
    stage = imported.stage_of(method, network, overrides, paper)
    target = imported.build(stage, command.classes, paper).scored_network()
    title = f"the scored network of {method.name} on {network}"
    state = published_state(
        content,
        method.published_files,
        which,
        target.state_dict(),
        command.file,
        title,
        lambda: imported.start_tensors(stage, str(overrides.get("pretraining", "default")), command.file),
    )
    target.load_state_dict(state, strict=True)
    with command.file.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    of = "" if which == "student" else f"-{which}"
    facts = imported.Imported(
        name=command.name or f"{command.method}{of}-{digest[:8]}",
        method=method.name,
        network=network,
        class_set=command.classes,
        weights=which,
        overrides=overrides,
        source_file=command.file.name,
        source_sha256=digest,
        weights_sha256=checkpoint.digest(target.state_dict()),
        parameters=sum(parameter.numel() for parameter in target.parameters()),
        plugins=[str(path.resolve()) for path in command.plugins],
    )
    new = imported.keep(command.out, facts, target.state_dict())
    _report(console, facts, places.folder(command.out, facts.name), new)
    return 0


def _choices(command: Import, method: type[Method]) -> tuple[str, dict[str, Any]]:
    """The network, and the settings that differ from the method's defaults."""
    overrides = {}
    for text in command.set:
        key, separator, value = text.partition("=")
        if not separator:
            raise UsageError(f"--set {text!r}: expected KEY=VALUE, without spaces.")
        check_key(method.Settings, key, method.name)
        overrides[key] = parse_value(value)
    network = command.network or overrides.pop("network", method.Settings.model_fields["network"].default)
    overrides.pop("network", None)
    resolved = resolve(method.Settings, profile("paper"), None, {}, str(network), overrides)
    settings = resolved.settings.model_dump(mode="json")  # as they were understood
    return str(network), {key: settings[key] for key in sorted(overrides)}


def _report(console: Console, facts: imported.Imported, place: Path, new: bool) -> None:
    lines = [
        f"{'Imported' if new else 'Already imported'}: {facts.name}",
        f"  the {facts.weights} of {facts.source_file} (sha256 {facts.source_sha256[:16]})",
        f"  as the scored network of {facts.method} on {facts.network}, {facts.parameters:,} parameters, in the "
        f"classes of {facts.class_set}",
        f"  kept in {place}",
        f"Score it: python run_all.py evaluate {facts.name} --data-root DATA",
    ]
    for line in lines:
        say(console, line)

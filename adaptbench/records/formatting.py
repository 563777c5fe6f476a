"""How values read in reports: durations, memory, seeds, settings, protocols. No file, no clock, no locale."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from adaptbench.errors import printable

#: Units: letters.
_LONGEST_NAME = 100
MISSING = "–"  # noqa: RUF001 (an en dash, as in printed tables)

#: Protocol key and value -> how a paper would say it.
_PROTOCOL_PHRASES: dict[tuple[str, str], str] = {
    ("setting", "uda"): "unsupervised domain adaptation",
    ("setting", "dg"): "domain generalization",
    ("setting", "tta"): "test-time adaptation: the source is closed, and images come one after the other",
    ("label_size", "native"): "scored at the size of the label files",
    ("label_size", "1280x640"): "labels are resized to 1280x640 of the profile before they are scored",
    ("ignore", "drop"): "ignored pixels are not counted",
    ("ignore", "count"): "void pixels of the truth count as errors of the class predicted there",
    ("absent_classes", "labelled"): "the mean is over the classes in the truth of the split",
    (
        "absent_classes",
        "skip",
    ): "the mean is over the classes in truth or prediction, which differ from row to row",
    (
        "absent_classes",
        "zero",
    ): "the mean is over all classes, and those in neither truth nor prediction count as 0",
    ("checkpoint", "last"): "the last iterate is scored",
    ("checkpoint", "oracle-best"): "the snapshot that is best on the labels it is scored on is scored",
    ("checkpoint", "entropy"): "the snapshot with the least entropy on the target is scored",
    ("checkpoint", "infomax"): "the snapshot with the most mutual information on the target is scored",
    ("checkpoint", "snd"): "the snapshot with the densest soft neighbourhoods on the target is scored",
    ("checkpoint", "agreement"): "the snapshot whose student and teacher agree most on the target is scored",
    ("test_time_augmentation", "none"): "no test-time augmentation",
}
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "\u2020": r"$\dagger$",
    '"': "''",  # \textquotedbl is an error in the default font encoding
    MISSING: "--",
}
_HASH = re.compile(r"[0-9a-f]{24,}")


def duration(seconds: float) -> str:
    """Time in hours, minutes and seconds: ``1h 02m 03s``, ``4m 12s``, ``8.4s``.

    Units: seconds in.
    """
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h {minutes:02d}m {rest:02d}s"
    return f"{minutes}m {rest:02d}s" if minutes else f"{rest}s"


def memory(mib: float) -> str:
    """Memory as ``812 MiB`` or, from 1024 MiB on, ``13.2 GiB``.

    Units: MiB in.
    """
    return f"{mib:.0f} MiB" if round(mib) < 1024 else f"{mib / 1024:.1f} GiB"


def parameters(count: int) -> str:
    """Number of network parameters: ``3.7 M``, ``850 k``."""
    if count >= 1_000_000:
        return f"{count / 1e6:.1f} M"
    return f"{count / 1e3:.0f} k" if count >= 1000 else str(count)


def start(pretraining: str) -> str:
    """What a training started from: the data of its pretraining, or ``random weights``."""
    return "random weights" if pretraining == "none" else pretraining


def p_value(p: float) -> str:
    """A p-value: ``p = 0.031``, ``p < 0.001``."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def signed(points: float) -> str:
    """A difference with its sign: ``+1.4``, ``-0.3``; never ``-0.0``."""
    return f"{round(points, 1) + 0.0:+.1f}"


def interval(low: float, high: float) -> str:
    """A confidence interval: ``35.1 to 37.0``."""
    return f"{low:.1f} to {high:.1f}"


def seed_list(seeds: Iterable[int]) -> str:
    """Number of seeds and which: ``3 (0-2)``, ``2 (0, 7)``."""
    ordered = sorted(seeds)
    spans: list[list[int]] = []
    for seed in ordered:
        if spans and seed == spans[-1][-1] + 1:
            spans[-1].append(seed)
        else:
            spans.append([seed])
    parts = [f"{s[0]}-{s[-1]}" if len(s) > 2 else ", ".join(map(str, s)) for s in spans]
    return f"{len(ordered)} ({', '.join(parts)})"


def value(content: Any) -> str:
    """A setting's value: text as it is, everything else as JSON with sorted keys."""
    if isinstance(content, str):
        return content[:12] if _HASH.fullmatch(content) else content
    if isinstance(content, list | tuple) and all(isinstance(item, str) for item in content):
        return ", ".join(value(item) for item in content) or "none"
    return json.dumps(content, sort_keys=True, default=str)


def assignments(settings: Mapping[str, Any]) -> str:
    """Settings as the command line writes them, sorted: ``lr=0.001, minicity.gap=0``."""
    return ", ".join(f"{key}={value(content)}" for key, content in sorted(flatten(settings).items()))


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one level with dotted keys; empty mappings vanish."""
    flat: dict[str, Any] = {}
    for key, content in tree.items():
        if isinstance(content, Mapping):
            flat |= flatten(content, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = content
    return flat


def protocol(ranking: Mapping[str, Any]) -> str:
    """What a ranking hash was made from, as one line of words, in a fixed order; unset entries are left out.

    An entry ``data`` holds the facts of every dataset; datasets with equal facts are named together.
    """
    data = ranking.get("data")
    facts = data if isinstance(data, Mapping) else {}
    flat = flatten({key: content for key, content in ranking.items() if content is not facts})
    phrases = [_phrase(key, content) for key, content in sorted(flat.items()) if content is not None]
    return "; ".join([*phrases, *_data_phrases(facts)])


def _data_phrases(data: Mapping[str, Any]) -> list[str]:
    named: dict[str, list[str]] = {}
    for name, facts in sorted(data.items()):
        known = dict(facts) if isinstance(facts, Mapping) else {"version": facts}
        provenance = value(known.pop("provenance", "data"))
        details = assignments(known)
        named.setdefault(f"{provenance} ({details})" if details else provenance, []).append(name)
    return [f"{enumeration(names)}: {text}" for text, names in named.items()]


def protocol_difference(ranking: Mapping[str, Any], reference: Mapping[str, Any]) -> str:
    """In which points ``ranking`` departs from ``reference``; empty if in none."""
    here, there = flatten(ranking), flatten(reference)
    missing = object()
    changed = [key for key in sorted(here | there) if here.get(key, missing) != there.get(key, missing)]
    return "; ".join(
        f"{key} is {value(here[key]) if key in here else 'not set'} "
        f"instead of {value(there[key]) if key in there else 'not set'}"
        for key in changed
    )


def _phrase(key: str, content: Any) -> str:
    known = _PROTOCOL_PHRASES.get((key.rsplit(".", 1)[-1], value(content)))
    return known or f"{key.removeprefix('protocol.').replace('_', ' ')}: {value(content)}"


def markdown(text: str) -> str:
    """``text`` with everything escaped that markdown, HTML or a pipe table would take as markup."""
    plain = html.escape(printable(" ".join(text.split())), quote=False)
    plain = plain.replace("\\", "&#92;")
    return re.sub(r"([|*`\[\]~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))", r"\\\1", plain)


def no_formula(value: Any) -> Any:
    """A cell of a CSV file: a text that a spreadsheet would compute gets an apostrophe, and no text ends a line."""
    if not isinstance(value, str):
        return value
    guard = "'" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else ""
    return guard + value.replace("\r", " ")


def bullets(texts: Iterable[str]) -> str:
    """Texts as a list in markdown."""
    return "\n".join(f"- {markdown(text)}" for text in texts)


def latex(text: str) -> str:
    """``text`` with everything escaped that LaTeX would take as markup; line breaks become spaces."""
    return "".join(_LATEX.get(character, character) for character in printable(" ".join(text.split())))


def enumeration(names: Iterable[str]) -> str:
    """Names joined for a sentence: ``a``, ``a and b``, ``a, b and c``."""
    listed = list(names)
    return " and ".join(filter(None, [", ".join(listed[:-1]), *listed[-1:]]))


def file_name(text: str) -> str:
    """``text``, which a stranger may have written, as the name of a file or folder in one that is ours."""
    return re.sub(r"[^\w.=+-]+", "-", text).strip(".")[:_LONGEST_NAME] or "unnamed"

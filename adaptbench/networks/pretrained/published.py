"""Checkpoints that the authors of a method publish: which tensors in them are the network that is scored.

A training program saves everything it owns: student, teacher, frozen encoders. Which is which is told by prefixes of
the names. How a family of methods lays its files out is one `Layout`; a method names its own in `published_files`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from torch import Tensor

from adaptbench.errors import WeightsError
from adaptbench.networks.pretrained.fit import fitted
from adaptbench.networks.pretrained.foreign import Content, flatten, listed, look_through

#: Which of the networks in a checkpoint is meant.
Which: TypeAlias = Literal["student", "teacher"]
Tensors: TypeAlias = Mapping[str, Tensor]


@dataclass(frozen=True)
class Layout:
    """How the checkpoints of a family name what is in them. The defaults are those of the self-training family.

    A file without any of the prefixes holds one network alone and counts as the student.

    Attributes:
        student: prefixes of the student's tensors in the file -> prefixes in our scored network. A prefix may also be
            the name of a part of the file, as in ``{"feature_extractor": {...}, "classifier": {...}}``.
        teacher: the same for the teacher; empty if the family has none.
        others: prefixes of everything else that belongs into such a file: frozen encoders, discriminators.
        convert: further changes of the chosen tensors, after the prefixes.
        scored: the network that the papers of the family score.
        frozen: tells of a name in our network whether a file may lack it: then it lacks all such names, which are those
            of the encoder's start weights. None = files hold everything.

    Source: HRDA's repository, which saves ``model.``, ``ema_model.`` and ``imnet_model.``.
    """

    student: Mapping[str, str] = field(default_factory=lambda: {"model.": ""})
    teacher: Mapping[str, str] = field(default_factory=lambda: {"ema_model.": ""})
    others: tuple[str, ...] = ("imnet_model.",)
    convert: Callable[[Tensors], dict[str, Tensor]] = dict
    scored: Which = "student"
    frozen: Callable[[str], bool] | None = None

    @property
    def prefixes(self) -> tuple[str, ...]:
        """All prefixes that such a file may have."""
        return (*self.student, *self.teacher, *self.others)

    def tensors(self, content: Content, which: Which, origin: Path) -> dict[str, Tensor]:
        """The tensors of the student or the teacher, by the names of our scored network.

        Names outside of all prefixes are kept, so that they are noticed as surplus. A WeightsError if there is none.
        """
        everything = self._everything(content, origin)
        known = [prefix for prefix in self.prefixes if any(name.startswith(prefix) for name in everything)]
        wanted = self.student if which == "student" else self.teacher
        if not known and which == "student":
            return self.convert(everything)
        if not set(known) & set(wanted):
            raise WeightsError(_absent(origin, which, wanted, known))
        chosen: dict[str, Tensor] = {}
        for name, tensor in everything.items():
            prefix = next((prefix for prefix in known if name.startswith(prefix)), None)
            if prefix is None:
                chosen[name] = tensor
            elif prefix in wanted:
                chosen[wanted[prefix] + name.removeprefix(prefix)] = tensor
        return self.convert(chosen)

    def _everything(self, content: Content, origin: Path) -> dict[str, Tensor]:
        """All tensors; parts of the file that are named like a prefix become prefixes."""
        named_parts = any(f"{part}." in self.prefixes for part in content)
        return flatten(content) if named_parts else look_through(content, origin)


#: Student, teacher and frozen ImageNet encoder in one file: DACS, DAFormer, HRDA, MIC and domain generalization.
SELF_TRAINING = Layout()


def published_state(
    content: Content,
    layout: Layout,
    which: Which,
    network: Tensors,
    origin: Path,
    title: str = "the scored network",
    start: Callable[[], Tensors] = dict,
) -> dict[str, Tensor]:
    """The state dict of our scored network, from a published checkpoint.

    Where the file holds nothing of what is frozen, ``start`` gives it: the encoder's tensors by their names in our
    network.

    Raises:
        WeightsError: the file does not hold that network, or names are missing or surplus, or shapes differ.
    """
    found = layout.tensors(content, which, origin)
    left_out = _left_out(layout, found, network)
    held = {name: tensor for name, tensor in network.items() if name not in left_out}
    state = fitted(found, held, origin, title, _hint(found, network))
    if left_out:
        brought = {name: tensor for name, tensor in start().items() if name in left_out}
        state |= fitted(brought, {name: network[name] for name in left_out}, origin, f"the start of {title}")
    broken = [name for name, tensor in state.items() if not bool(tensor.isfinite().all())]
    if broken:
        raise WeightsError(
            f"{origin} holds values that are no finite numbers, in {listed(broken)}. The training has diverged or the "
            "file is damaged."
        )
    return state


def _left_out(layout: Layout, found: Tensors, network: Tensors) -> set[str]:
    """Names of our network that the file leaves to the start weights: all that is frozen, or nothing."""
    frozen = {name for name in network if layout.frozen is not None and layout.frozen(name)}
    return set() if frozen & found.keys() else frozen


def _absent(origin: Path, which: Which, wanted: Mapping[str, str], known: list[str]) -> str:
    if not wanted:
        return f"{origin}: the published files of this method hold no {which}. Use --weights student."
    there = f"only {', '.join(f'{prefix}*' for prefix in known)}" if known else "one network without a prefix"
    names = " or ".join(f"{prefix}*" for prefix in wanted)
    other = "student" if which == "teacher" else "teacher"
    return (
        f"{origin} holds no {which} (names {names}), but {there}. Perhaps --weights {other} is what you want."
    )


_MASK_DECODER = (
    "The decoder in the file is Mask2Former's, which is not here: an adapter alone gives no predictions."
)
#: Names that only some networks have, and what to do if file and network differ in them.
_TELLING: Mapping[str, tuple[str, str]] = {
    "decode_head.scale_attention.": (
        "The file is of a network with two scales: it belongs to --method hrda, mic or hrda_dg.",
        "The file is of a network with one scale: it belongs to --method daformer, mic_daformer or daformer_dg, or "
        "attention is fixed in it (--set attention=fixed).",
    ),
    "backbone.style_hallucination.": (
        "The file was trained with SHADE: it belongs to --method daformer_dg or hrda_dg.",
        "The file was trained without SHADE: add --set style_hallucination=false.",
    ),
    "decode_head.querys2feat.": (_MASK_DECODER, ""),
    "decode_head.query_feat.": (_MASK_DECODER, ""),
}


def _hint(found: Tensors, network: Tensors) -> str:
    """What names or shapes tell about a file that does not fit."""
    hints = []
    for prefix, (surplus, missing) in _TELLING.items():
        there, here = (any(name.startswith(prefix) for name in names) for names in (found, network))
        if there != here:
            hints.append(surplus if there else missing)
    layers = [name for name in network if name.endswith("conv_seg.bias") and name in found]
    if any(found[name].shape != network[name].shape for name in layers):
        hints.append(f"The file has {len(found[layers[0]])} classes; --classes names the class set.")
    return " ".join(hints)

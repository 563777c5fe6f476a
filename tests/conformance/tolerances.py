"""How far a result may be from its recorded value.

Numbers come from the case files. Only what a case file says in prose, and which of its named tolerances
belongs to which array, is transcribed here, once, by kind.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, TypeVar

Entry = TypeVar("Entry")


@dataclass(frozen=True)
class Tolerance:
    """|got - expected| <= atol + rtol * |expected|."""

    atol: float = 0.0
    rtol: float = 0.0

    def __str__(self) -> str:
        if self == EXACT:
            return "exact"
        parts = [f"{name} {value:.0e}" for name, value in vars(self).items() if value]
        return " ".join(parts)


EXACT = Tolerance()

_PROPORTIONAL = "loosen atol in proportion to the float32_versus_float64 figures"

# What the case files of the adversarial trainings name; parameters are compared by how much they have changed.
_ADVERSARIAL: Mapping[str, str] = {
    "out/*final/*running_*": "running_statistics",
    "out/*final/d*": "adam_params",
    "out/*final/*": "sgd_params",
    "out/*grad_norm*": "grad_norms",
    "out/grad_first_iteration_adaptation_part/*": "grad_norms",
    "out/grad_first_iteration/*": "sgd_params",
    "out/*": "losses",
}

# The same of EHTDI's trainings.
_EHTDI: Mapping[str, str] = {
    "out/ema_*running_*": "running_statistics",
    "out/ema_*": "ema",
    "out/*final/*running_*": "running_statistics",
    "out/*final/*": "params",
    "out/*grad_norm": "grad_norms",
    "out/*grad_first_iteration/*": "params",
    "out/*": "losses",
}

# And of FADA's.
_FADA: Mapping[str, str] = {
    "out/final/discriminator/*": "adam_params",
    "out/final/*": "sgd_params",
    "out/*grad_norm*": "grad_norms",
    "out/grad_first_iteration_adversarial_part/*": "grad_norms",
    "out/grad_first_iteration/*": "sgd_params",
    "out/*": "losses",
}

# And of VFM-UDA's networks and trainings; shares of pixels and changed weights are compared as their neighbours are.
_FORWARD: Mapping[str, str] = {"out/*grad*": "gradients", "out/*": "forward"}
_VFM_UDA: Mapping[str, str] = {
    "out/*grad_norm*": "grad_norms",
    "out/*norm_sum": "final",
    "out/final/*": "final",
}

# And of the trainings of adapters.
_ADAPTERS: Mapping[str, str] = {
    "out/final/*": "adam_params",
    "out/final_ema/*": "adam_params",
    "out/ema_history/*": "adam_params",
    "out/grad_*": "gradients",
    "out/loss": "losses",
}

# And of test-time adaptation; gradients are compared as parameters are, losses and confidences as logits are, where a
# file names nothing for them.
_TEST_TIME: Mapping[str, str] = {
    "out/params/*": "params",
    "out/student/*": "params",
    "out/teacher/*": "params",
    "out/grad*": "params",
    "out/*logits*": "logits",
    "out/loss": "logits",
    "out/anchor_confidence": "logits",
}
_TEST_TIME_ACDC: Mapping[str, str] = {
    **{pattern: name for pattern, name in _TEST_TIME.items() if name == "params"},
    "out/loss": "losses",
    "out/source_confidence/*": "losses",
    "out/share_above_threshold": "losses",
}

# Array pattern -> name of the tolerance in the case file. Integer arrays are exact without an entry.
NAMED: Mapping[str, Mapping[str, str]] = {
    "mic_mask": {"out/*mask*": "mask", "out/*": "img"},
    "advent_trajectory": _ADVERSARIAL,
    "advent_resnet_trajectory": _ADVERSARIAL,
    "intrada_rank": {"out/mean_self_information": "mean_self_information", "out/normaliser": "order"},
    "intrada_trajectory": _ADVERSARIAL,
    "minent_trajectory": _ADVERSARIAL,
    "cutmix": {"out/*/images": "images"},
    "ehtdi_edge_trajectory": _EHTDI,
    "ehtdi_resnet_trajectory": _EHTDI,
    "ehtdi_source_paste": {"out/strong_*": "images", "out/weak_*": "images"},
    "ehtdi_trajectory": _EHTDI,
    "fada_trajectory": _FADA,
    "fada_self_distill_trajectory": _FADA,
    "cotta_acdc_step": _TEST_TIME_ACDC,
    "cotta_official_step": _TEST_TIME,
    "cotta_step": _TEST_TIME,
    "tent_acdc_hard": _TEST_TIME_ACDC,
    "tent_layernorm": _TEST_TIME,
    "tent_official_step": _TEST_TIME,
    "tent_step": _TEST_TIME,
    "vfmuda_class_mix": {
        "out/*mask": "labels_and_masks",
        "out/*label": "labels_and_masks",
        "out/*": "images",
    },
    "vfmuda_ema": {"out/*": "teacher"},
    "vfmuda_encoder_input": _FORWARD,
    "vfmuda_head": _FORWARD,
    "vfmuda_inference": {"out/*probability*": "probability", "out/*iou_*": "iou"},
    "vfmuda_optimizer_schedule": {"out/lr": "lr", "out/schedule_table": "lr", "out/*": "final"},
    "vfmuda_pseudo_label": {"out/*share": "share", "out/*weight": "share", "out/*": "probabilities"},
    "vfmuda_rare_class_sampler": {"out/*probability": "probability", "out/minimum_pixels*": "probability"},
    "vfmuda_token_masking": _FORWARD,
    "vfmuda_trajectory": {**_VFM_UDA, "out/*": "losses"},
    "rein_trajectory": _ADAPTERS,
    "soma_trajectory": _ADAPTERS,
    # These name no tolerance for running statistics.
    "advseg": {"out/*running_*": "losses", **_ADVERSARIAL},
    "minent_mmseg": {"out/*running_*": "losses", **_ADVERSARIAL},
}


@dataclass(frozen=True)
class Stated:
    """A number in a sentence of a case file: under which name the sentence is, what precedes it, and what it is."""

    name: str
    words: str
    relative: bool

    def read(self, declared: object) -> Tolerance | None:
        """The tolerance, None if the case file has no such sentence."""
        text = declared.get(self.name, "") if isinstance(declared, Mapping) else ""
        found = re.search(rf"{self.words} (\d[\d.e+-]*)", str(text))
        if found is None:
            return None
        return Tolerance(rtol=float(found[1])) if self.relative else Tolerance(atol=float(found[1]))


# Array pattern -> where the case file gives its tolerance in a sentence.
SENTENCES: Mapping[str, Mapping[str, Stated]] = {
    "train_trajectory": {
        "out/it*/log/*acc*": Stated("log", "acc values absolute", relative=False),
        "out/it*/log/*": Stated("log", "losses rtol", relative=True),
        "out/it*/grad_norm*": Stated("grad_norm", "rtol", relative=True),
        "out/final/*": Stated("final", "atol", relative=False),
    }
}

# Of EHTDI's trainings. Their files name no tolerance for logits; this is the one of ehtdi_deeplab_small.
_DECISIONS: Mapping[str, Tolerance] = {
    "out/iter*": EXACT,
    "out/eval_main_output_*": Tolerance(atol=2e-5, rtol=1e-4),
}

# Trainings of adapters name no tolerance for features and logits; this is the one of rein_delta.
_FEATURES: Mapping[str, Tolerance] = {
    "out/first_*": Tolerance(atol=1e-5, rtol=1e-4),
    "out/final_logits*": Tolerance(atol=1e-5, rtol=1e-4),
}

# Array pattern -> tolerance that the case file gives in words.
PROSE: Mapping[str, Mapping[str, Tolerance]] = {
    "ehtdi_augment": {
        "out/label": EXACT,
        "out/recovered_rgb_uint8": EXACT,
        "out/*": Tolerance(atol=1.0),  # one grey level
    },
    "ehtdi_edge_trajectory": _DECISIONS,
    "ehtdi_input_pipeline": {"out/*/image": Tolerance(atol=1.0), "out/*": EXACT},
    "ehtdi_resnet_trajectory": {"out/iter*": EXACT},
    "ehtdi_trajectory": _DECISIONS,
    "intrada_pseudo_label": {"out/*/image": Tolerance(atol=1.0), "out/*": EXACT},
    # These name no tolerance for logits, single gradients and images; they are those of the other cases of the network.
    "vfmuda_trajectory": {
        "out/grad_first_iteration/*": Tolerance(atol=1e-5, rtol=1e-3),
        "out/it*/student_logits*": Tolerance(atol=1e-5, rtol=1e-4),
        "out/it*/*_features*": Tolerance(atol=1e-5, rtol=1e-4),
        "out/it*/mixed_image*": Tolerance(atol=2e-5),
        "out/it*/source_after_weak*": Tolerance(atol=2e-5),
        "out/it*/masked_input*": Tolerance(atol=2e-5 / 0.224),  # normalised
    },
    "rein_trajectory": _FEATURES,
    "soma_trajectory": _FEATURES,
    "mit_backbone_lowvar": {"out/*": Tolerance(atol=2e-5, rtol=1e-3)},
    "train_trajectory": {
        "out/it*/log/*acc*": Tolerance(atol=0.05),
        "out/it*/log/*": Tolerance(rtol=1e-4),
        "out/it*/grad_norm*": Tolerance(rtol=1e-4),
        "out/final/*": Tolerance(atol=5e-5),
        # The case files say nothing about these. Weights are shares of pixels in float32; images are normalised.
        "out/it*/*_weight": Tolerance(atol=1e-6),
        "out/it*/*_img_stride2": Tolerance(atol=1e-4),
        "out/it*/grad/*": Tolerance(atol=2e-5, rtol=1e-3),
        "out/it*/lr_*": Tolerance(rtol=1e-6),
    },
}


# Arrays whose recorded values are farther from their computation in float64 than the tolerance lets them be, as the
# case files themselves say ("a correct implementation should land within a few times that figure").
ROUNDED: Mapping[str, Mapping[str, bool]] = {
    "vfmuda_pseudo_label": {"out/*logits*": True},
    "vfmuda_trajectory": {"out/it*/student_logits*": True, "out/it*/*_features*": True},
}


def tolerance_for(
    case: str,
    kind: str,
    declared: object,
    array: str,
    integral: bool,
    rounding: Mapping[str, Any] | None = None,
) -> Tolerance:
    """Find the tolerance of one array.

    In this order: a number in a sentence of the case file, prose transcribed for the case's kind, a named tolerance
    of the case file, exactness of integer arrays, the general tolerance of the case file.

    Args:
        case: name of the case; a transcription may be for a longer prefix of it than the kind.
        kind: kind of the case.
        declared: the value of ``tolerance`` in the case file, None if there is none.
        array: name of the array, for example ``out/logits``.
        integral: whether the recorded array holds integers or booleans.
        rounding: by groups of arrays, how far the recorded numbers are from their computation in float64, as the case
            file says.

    Raises:
        LookupError: nobody says how exact the array has to be.
    """
    found = _stated(case, kind, declared, array, integral, rounding or {})
    if _first_match(_longest(ROUNDED, case, kind), array):
        return Tolerance(max(found.atol, _figure(array, rounding or {})), found.rtol)
    return found


def _stated(
    case: str, kind: str, declared: object, array: str, integral: bool, rounding: Mapping[str, Any]
) -> Tolerance:
    """What sentences, transcriptions and numbers of a case file say."""
    sentence = _first_match(_longest(SENTENCES, case, kind), array)
    stated = None if sentence is None else sentence.read(declared)
    if stated is not None:
        return stated
    prose = _first_match(_longest(PROSE, case, kind), array)
    if prose is not None:
        return prose
    name = _first_match(_longest(NAMED, case, kind), array)
    if name is not None and isinstance(declared, Mapping):
        return _parse(declared[name], array)
    if integral:
        return EXACT
    general = _parse(declared, array)
    return (
        Tolerance(max(general.atol, _figure(array, rounding)), general.rtol)
        if _proportional(declared)
        else general
    )


def _proportional(declared: object) -> bool:
    """Whether a file says "loosen atol in proportion to the float32_versus_float64 figures".

    No exactness of ours could take its place: the recorded gradients of fada_discriminator are 3.6 times their
    general tolerance from their own values in float64, and the same operations in the same order in float32 miss them
    by 1.6 times that on a processor of another make (its convolutions add up in another order).
    """
    return isinstance(declared, Mapping) and _PROPORTIONAL in str(declared.get("note", ""))


def _figure(array: str, rounding: Mapping[str, Any]) -> float:
    """How far an array is from its computation in float64; 0 where the case file does not say."""
    group = max((g for g in rounding if array == g or array.startswith(f"{g}/")), key=len, default=None)
    return 0.0 if group is None else float(rounding[group]["max_abs"])


def _parse(declared: object, array: str) -> Tolerance:
    if declared in ("exact", "equal") or (isinstance(declared, Mapping) and declared.get("exact") is True):
        return EXACT
    if isinstance(declared, int | float) and not isinstance(declared, bool):
        return Tolerance(atol=float(declared))
    if isinstance(declared, Mapping) and ("atol" in declared or "rtol" in declared):
        return Tolerance(atol=float(declared.get("atol", 0.0)), rtol=float(declared.get("rtol", 0.0)))
    raise LookupError(
        f"{array}: the case file gives no number that applies to it (tolerance: {declared!r}); "
        "transcribe what it says in tests/conformance/tolerances.py"
    )


def _longest(table: Mapping[str, Mapping[str, Entry]], case: str, kind: str) -> Mapping[str, Entry]:
    names = [name for name in table if case.startswith(name) or kind == name]
    return table[max(names, key=len)] if names else {}


def _first_match(patterns: Mapping[str, Entry], array: str) -> Entry | None:
    return next((value for pattern, value in patterns.items() if fnmatchcase(array, pattern)), None)

"""How checkpoints of the adversarial family are laid out: FADA, and ADVENT with IntraDA.

Source: the code that saves them, JDAI-CV/FADA and valeoai/ADVENT.
"""

from __future__ import annotations

import re

from torch import Tensor

from adaptbench.networks.pretrained.published import Layout, Tensors

_STEM_AND_STAGES = ("conv1.", "bn1.", "layer1.", "layer2.", "layer3.", "layer4.")


def _branches(tensors: Tensors) -> dict[str, Tensor]:
    """The dilated convolutions of the classifiers by our names."""
    return {
        re.sub(r"\.conv2d_list\.(\d)\.", r".aspp_modules.\1.conv.", name): tensor
        for name, tensor in tensors.items()
    }


#: Encoder, classifier and discriminator are parts of the file, each possibly behind ``module.``.
ENCODER_AND_CLASSIFIER = Layout(
    student={"feature_extractor.": "", "classifier.": "decode_head."},
    teacher={},
    others=("model_D.", "optimizer_fea.", "optimizer_cls.", "optimizer_D."),
    convert=_branches,
)
#: The file is the network, with the auxiliary classifier as fifth layer and the main one as sixth.
TWO_CLASSIFIERS = Layout(
    student={
        **{prefix: f"backbone.{prefix}" for prefix in _STEM_AND_STAGES},
        "layer5.": "decode_head.aux.",
        "layer6.": "decode_head.main.",
    },
    teacher={},
    others=(),
    convert=_branches,
)

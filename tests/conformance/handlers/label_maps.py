"""From label ids to train ids, in 19 classes and in the 16 of SYNTHIA."""

from __future__ import annotations

import numpy as np

from adaptbench.data.taxonomy import CITYSCAPES16, IGNORE, label_map

from ..case import Case
from ..registry import handler


@handler("fada_label_maps")
def check(case: Case) -> None:
    case.compare("out/fada_gta5", label_map("cityscapes", "cityscapes19"))
    case.compare("out/fada_cityscapes19", label_map("cityscapes", "cityscapes19"))
    case.compare("out/fada_cityscapes16", label_map("cityscapes", "cityscapes16"))
    case.compare("out/fada_synthia16", label_map("synthia", "cityscapes16"))
    back = label_map("cityscapes_train", "cityscapes16")
    case.compare("out/fada_16_to_19", [int(np.flatnonzero(back == i)[0]) for i in range(len(CITYSCAPES16))])
    case.expect("ids that are dropped", np.flatnonzero(back[:19] == IGNORE), [9, 14, 16])

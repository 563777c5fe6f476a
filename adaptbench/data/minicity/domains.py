"""The look of every dataset that MiniCity stands in for, each a variation of another one."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from adaptbench.data.minicity.looks import CITYSCAPES, GTA5, Look, Paint, blend
from adaptbench.data.minicity.variations import fog, night, rain, repainted, snow, twilight, vary
from adaptbench.errors import unknown_name

#: Crisp and plain renderings: clean surfaces, strong colours, any place to stand; no terrain, truck or train.
SYNTHIA = vary(
    GTA5,
    often={"terrain": 0, "truck": 0, "train": 0, "bus": 0.6, "person": 4.0, "bicycle": 0.7, "pole": 3.0},
    layout={"left": (6.0, 9.0), "right": (3.6, 6.0), "building_height": (8.0, 34.0), "gaps": 0.2, "signal_arm": 0.3},
    lens={"focal": (0.5, 0.62), "horizon": (0.4, 0.56), "elevation": (1.4, 3.2), "hood": (-0.1, -0.05),
          "sun": (0.45, 0.7), "haze": (0.0, 0.15), "contrast": (1.1, 1.3), "saturation": (1.1, 1.4), "vignette": 0.0,
          "white_balance": (1.0, 1.0, 1.02), "blur": (0.15, 0.25), "noise": (0.3, 1.0)},
    paints={
        "road": Paint(((70, 70, 72), (84, 82, 80), (58, 60, 64)), (0.12, 0.02, 0.02)),
        "sidewalk": Paint(((150, 132, 112), (176, 150, 128), (134, 128, 124)), (0.02, 0.08, 0.02)),
        "building": Paint(((188, 120, 84), (210, 196, 168), (120, 96, 88), (168, 172, 180), (202, 158, 104)),
                          (0.02, 0.06, 0.02)),
        "leaves": Paint(((54, 120, 34), (70, 138, 40), (44, 100, 30)), (0.34, 0.16, 0.04)),
        "wall": Paint(((160, 150, 140), (140, 130, 124), (176, 166, 150)), (0.02, 0.02, 0.02)),
    },
)  # fmt: skip

#: Renderings made after Cityscapes: its streets, a sun, and a clean camera.
SYNSCAPES = vary(
    blend(CITYSCAPES, GTA5, 0.25),
    lens={"sun": (0.2, 0.6), "contrast": (1.0, 1.2), "noise": (0.8, 2.0), "blur": (0.3, 0.45), "hood": (-0.1, -0.05),
          "exposure": (0.85, 1.2)},
)  # fmt: skip

#: A better camera than Cityscapes', in towns of the same kind; by day and in clear weather nobody labels it.
_ACDC_DAY = vary(
    CITYSCAPES,
    lens={"focal": (0.56, 0.64), "horizon": (0.44, 0.52), "elevation": (1.3, 1.5), "hood": (-0.05, 0.03),
          "noise": (1.5, 3.5)},
)  # fmt: skip

#: A wide camera on a dashboard, without a hood; the same towns by day.
_ZURICH_DAY = vary(
    _ACDC_DAY,
    lens={"focal": (0.5, 0.58), "sun": (0.15, 0.4), "saturation": (0.9, 1.1), "noise": (1.0, 2.5)},
    layout={"gaps": 0.2, "building_height": (9.0, 18.0)},
)

#: A phone behind the windscreen: dashboard below, glare, wide American streets, many cars.
_BDD_DAY = vary(
    GTA5,
    often={"car": 4.5, "person": 1.2, "bicycle": 0.2, "rider": 0.25, "motorcycle": 0.25, "train": 0.15, "truck": 0.6},
    layout={"left": (6.0, 9.0), "right": (3.6, 5.6), "gaps": 0.45, "signal_arm": 0.8},
    lens={"focal": (0.7, 0.95), "horizon": (0.4, 0.56), "elevation": (1.1, 1.5), "hood": (0.02, 0.2), "sun": (0.1, 0.5),
          "haze": (0.3, 1.0), "haze_colour": (220, 224, 230), "exposure": (0.8, 1.25), "contrast": (0.85, 1.05),
          "saturation": (0.6, 0.95), "white_balance": (0.97, 1.0, 1.06), "vignette": 0.35, "blur": (0.6, 1.1),
          "noise": (2.0, 5.0)},
    paints={
        "hood": Paint(((34, 34, 38),)),
        "road": Paint(((118, 116, 114), (100, 100, 102), (134, 130, 124)), (0.08, 0.06, 0.06)),
        "sidewalk": Paint(((178, 176, 170), (164, 160, 154), (186, 182, 174)), (0.06, 0.04, 0.04)),
    },
)  # fmt: skip

#: Vistas: as many cameras as images, on foot and on the road.
_VISTAS_SUN = vary(
    blend(GTA5, CITYSCAPES, 0.5),
    lens={"focal": (0.5, 0.95), "horizon": (0.36, 0.58), "elevation": (1.2, 2.4), "hood": (-0.15, 0.06),
          "exposure": (0.85, 1.25), "saturation": (0.8, 1.25), "noise": (1.0, 3.0), "blur": (0.2, 0.5)},
)  # fmt: skip
_VISTAS_SOUTH = vary(
    _VISTAS_SUN,
    often={"motorcycle": 1.0, "rider": 1.0, "person": 4.0},
    layout={"building_height": (3.5, 11.0), "gaps": 0.4},
    lens={"sun": (0.4, 0.7), "white_balance": (1.08, 1.0, 0.88)},
    paints=repainted(_VISTAS_SUN, ("terrain", "sidewalk", "road"), (196.0, 160.0, 112.0), 0.45),
)
_VISTAS_NORTH = vary(
    _VISTAS_SUN,
    lens={"sun": (0.0, 0.15), "haze": (0.6, 1.4), "saturation": (0.6, 0.9), "white_balance": (0.95, 1.0, 1.07)},
    paints=repainted(_VISTAS_SUN, ("sky", "cloud"), (206.0, 212.0, 220.0), 0.7),
)  # fmt: skip

_PANORAMA = {"hood": (-0.1, -0.05), "elevation": (2.2, 2.7), "horizon": (0.44, 0.52), "noise": (1.0, 2.5)}
_RIO = vary(
    CITYSCAPES,
    layout={"gaps": 0.45, "building_height": (6.0, 30.0)},
    lens={**_PANORAMA, "sun": (0.3, 0.6), "saturation": (1.0, 1.25), "white_balance": (1.05, 1.0, 0.94)},
    paints=repainted(CITYSCAPES, ("leaves", "terrain"), (46.0, 128.0, 40.0), 0.5),
)
_ROME = vary(
    CITYSCAPES,
    often={"motorcycle": 0.9},
    layout={"gaps": 0.12, "building_height": (12.0, 22.0), "left": (3.6, 5.0)},
    lens={**_PANORAMA, "sun": (0.3, 0.6), "white_balance": (1.06, 1.0, 0.92)},
    paints=repainted(CITYSCAPES, ("building", "wall"), (214.0, 150.0, 92.0), 0.6),
)
_TAIPEI = vary(
    CITYSCAPES,
    often={"motorcycle": 1.6, "rider": 1.4, "traffic sign": 3.0},
    layout={"gaps": 0.08, "building_height": (10.0, 32.0)},
    lens={**_PANORAMA, "haze": (0.6, 1.4), "saturation": (0.8, 1.1)},
    paints=repainted(CITYSCAPES, ("building", "wall"), (150.0, 156.0, 150.0), 0.5),
)
_TOKYO = vary(
    CITYSCAPES,
    often={"person": 5.0, "bicycle": 1.4, "pole": 4.5},
    layout={"gaps": 0.06, "building_height": (14.0, 40.0), "left": (4.0, 7.0)},
    lens={**_PANORAMA, "saturation": (0.7, 0.95), "white_balance": (0.95, 1.0, 1.06)},
    paints=repainted(CITYSCAPES, ("building", "sidewalk"), (196.0, 198.0, 204.0), 0.55),
)

#: Renderings of a city centre: high houses, crowded, a clean camera like that of Cityscapes.
_URBANSYN = vary(
    blend(GTA5, CITYSCAPES, 0.6),
    often={"person": 5.0, "pole": 3.4, "car": 3.6},
    layout={"building_height": (14.0, 40.0), "gaps": 0.1},
    lens={"sun": (0.3, 0.6), "contrast": (1.05, 1.2), "noise": (0.3, 1.0), "blur": (0.15, 0.3), "vignette": 0.0},
)  # fmt: skip

#: India: low houses, dust, and more two-wheelers than cars.
_IDD = vary(
    _VISTAS_SOUTH,
    often={"motorcycle": 2.4, "rider": 2.6, "person": 4.5, "bus": 0.7, "truck": 0.7, "bicycle": 0.6},
    layout={"gaps": 0.3},
    lens={"focal": (0.56, 0.66), "horizon": (0.44, 0.52), "elevation": (1.3, 1.6), "hood": (-0.05, 0.04),
          "haze": (0.5, 1.2), "haze_colour": (224, 208, 180), "saturation": (0.7, 0.95)},
)  # fmt: skip

#: WildDash: what goes wrong with dashboard cameras, anywhere.
_WILDDASH_DAY = vary(
    _VISTAS_SUN,
    lens={
        "hood": (-0.05, 0.16),
        "exposure": (0.75, 1.35),
        "noise": (2.0, 5.0),
        "blur": (0.4, 1.0),
        "vignette": 0.3,
    },
)

#: Name -> look at full gap. The first one is the look that every other becomes at gap 0.
LOOKS: dict[str, Look] = {
    "gta5": GTA5,
    "cityscapes": CITYSCAPES,
    "synthia": SYNTHIA,
    "synscapes": SYNSCAPES,
    "acdc fog": fog(_ACDC_DAY),
    "acdc night": night(_ACDC_DAY, 0.74),
    "acdc rain": rain(_ACDC_DAY),
    "acdc snow": snow(_ACDC_DAY),
    "dark_zurich day": _ZURICH_DAY,
    "dark_zurich twilight": twilight(_ZURICH_DAY),
    "dark_zurich night": night(_ZURICH_DAY, 0.82),
    "bdd100k day": _BDD_DAY,
    "bdd100k dusk": twilight(_BDD_DAY),
    "bdd100k night": night(_BDD_DAY, 0.8),
    "mapillary sun": _VISTAS_SUN,
    "mapillary south": _VISTAS_SOUTH,
    "mapillary north": _VISTAS_NORTH,
    "crosscity rio": _RIO,
    "crosscity rome": _ROME,
    "crosscity taipei": _TAIPEI,
    "crosscity tokyo": _TOKYO,
    "urbansyn": _URBANSYN,
    "idd": _IDD,
    "wilddash2 day": _WILDDASH_DAY,
    "wilddash2 night": night(_WILDDASH_DAY, 0.78),
    "wilddash2 rain": rain(_WILDDASH_DAY),
    "wilddash2 fog": fog(_WILDDASH_DAY),
    "wilddash2 snow": snow(_WILDDASH_DAY),
}

#: Conditions of ACDC; images take turns, so that few of them show all four.
CONDITIONS = ("fog", "night", "rain", "snow")
_BDD_HOURS = ("day", "day", "dusk", "day", "night")
_VISTAS_PLACES = ("sun", "south", "north")
_WILDDASH_HAZARDS = ("day", "night", "rain", "fog", "snow")

#: Dataset -> the look of an image by its split and number, where a dataset has several.
_CHOICE: dict[str, Callable[[str, int], str]] = {
    "acdc": lambda split, index: f"acdc {CONDITIONS[index % len(CONDITIONS)]}",
    "bdd100k": lambda split, index: f"bdd100k {_BDD_HOURS[index % len(_BDD_HOURS)]}",
    "dark_zurich": lambda split, index: f"dark_zurich {split.partition('_')[2] or 'night'}",
    "crosscity": lambda split, index: f"crosscity {split.partition('_')[0]}",
    "wilddash2": lambda split, index: f"wilddash2 {_WILDDASH_HAZARDS[index % len(_WILDDASH_HAZARDS)]}",
    **dict.fromkeys(
        ("mapillary", "mapillary_rein", "mapillary_v2"),
        lambda split, index: f"mapillary {_VISTAS_PLACES[index % len(_VISTAS_PLACES)]}",
    ),
}


def look_name(dataset: str, split: str, index: int) -> str:
    """Name of the look of an image, a key of `LOOKS`."""
    choose = _CHOICE.get(dataset)
    return dataset if choose is None else choose(split, index)


@lru_cache(maxsize=64)
def look_of(name: str, gap: float) -> Look:
    """Look at a given gap (0: the source look, 1: its own).

    Raises:
        UsageError: MiniCity does not know it.
    """
    if name not in LOOKS:
        raise unknown_name("MiniCity dataset", name, LOOKS)
    return blend(GTA5, LOOKS[name], gap)

"""How one look becomes another: other numbers here and there, or another weather."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from adaptbench.data.minicity.looks import Colour, Look, Paint

#: Paints that shine by themselves.
LIGHTS = ("lamp", "signal_on", "rear_light", "front_light")


def vary(
    look: Look,
    *,
    often: Mapping[str, float] | None = None,
    layout: Mapping[str, Any] | None = None,
    lens: Mapping[str, Any] | None = None,
    paints: Mapping[str, Paint] | None = None,
) -> Look:
    """``look`` with other street statistics, another camera or other paints; what is not named stays."""
    streets = replace(look.layout, **(layout or {}), often={**look.layout.often, **(often or {})})
    return Look(streets, replace(look.lens, **(lens or {})), {**look.paints, **(paints or {})})


def mixed(colours: Iterable[Colour], other: Colour, share: float) -> tuple[Colour, ...]:
    """Colours moved towards another one, 0 (not at all) to 1 (all the way)."""
    red, green, blue = other
    return tuple(
        (r + (red - r) * share, g + (green - g) * share, b + (blue - b) * share) for r, g, b in colours
    )


def repainted(look: Look, names: Iterable[str], other: Colour, share: float) -> dict[str, Paint]:
    """The named paints of a look, moved towards a colour."""
    return {
        name: replace(look.paints[name], palette=mixed(look.paints[name].palette, other, share))
        for name in names
    }


def _sky(look: Look, colour: Colour, spread: float = 8.0) -> dict[str, Paint]:
    """A sky of about one colour."""
    red, green, blue = colour
    shades = [(red + step, green + step, blue + step) for step in (-spread, 0.0, spread)]
    palettes = {"sky": tuple(shades), "cloud": (shades[-1],)}
    return {name: replace(look.paints[name], palette=palette) for name, palette in palettes.items()}


def fog(look: Look) -> Look:
    """Everything beyond some metres fades into a pale grey."""
    lens = {"sun": (0.0, 0.05), "haze": (3.0, 7.0), "haze_colour": (198, 202, 204), "saturation": (0.5, 0.75),
            "contrast": (0.85, 0.98), "vignette": 0.15}  # fmt: skip
    return vary(look, lens=lens, paints=_sky(look, (200.0, 204.0, 206.0), 4.0))


def rain(look: Look) -> Look:
    """Dark clouds, a wet road that mirrors, drops that blur."""
    lens = {"sun": (0.0, 0.06), "haze": (1.0, 2.2), "haze_colour": (140, 146, 152), "exposure": (0.72, 0.88),
            "saturation": (0.6, 0.85), "contrast": (0.9, 1.02), "blur": (0.7, 1.15), "noise": (3.0, 6.0),
            "wet": 0.5}  # fmt: skip
    wet = repainted(look, ("road", "sidewalk", "curb"), (54.0, 58.0, 64.0), 0.45)
    return vary(look, lens=lens, paints={**_sky(look, (150.0, 156.0, 164.0), 12.0), **wet})


def snow(look: Look) -> Look:
    """White ground and roofs, a road between grey and white, bare trees."""
    ground = repainted(look, ("terrain", "sidewalk", "curb", "roof"), (236.0, 240.0, 246.0), 0.82)
    road = repainted(look, ("road", "track", "marking"), (196.0, 202.0, 210.0), 0.55)
    trees = repainted(look, ("leaves",), (206.0, 208.0, 210.0), 0.45)
    lens = {"sun": (0.0, 0.1), "haze": (0.9, 2.0), "haze_colour": (222, 226, 232), "exposure": (0.98, 1.1),
            "saturation": (0.5, 0.75), "white_balance": (0.97, 1.0, 1.05), "vignette": 0.15}  # fmt: skip
    return vary(look, lens=lens, paints={**_sky(look, (220.0, 224.0, 230.0)), **ground, **road, **trees})


def night(look: Look, darkness: float = 0.8) -> Look:
    """Nothing but lamps, headlights, signals and a few windows shines; the sensor is noisy.

    Everything else gets darker by ``darkness``, 0..1; 0.8 is a lit street, 0.9 a dim one.
    """
    dark = repainted(look, [name for name in look.paints if name not in LIGHTS], (8.0, 8.0, 12.0), darkness)
    dim = mixed(look.paints["window"].palette[1:], (14.0, 14.0, 16.0), darkness)
    windows = Paint((*dim, (228.0, 186.0, 110.0)), (0.02, 0.12, 0.14))
    near = repainted(look, ("road", "sidewalk"), (26.0, 22.0, 18.0), darkness - 0.25)
    lens = {"sun": (0.0, 0.05), "haze": (0.1, 0.4), "haze_colour": (20, 18, 18), "exposure": (0.9, 1.3),
            "contrast": (1.0, 1.1), "saturation": (0.7, 1.0), "white_balance": (1.16, 0.98, 0.78), "vignette": 0.75,
            "blur": (0.6, 1.0), "noise": (6.0, 11.0), "glow": 2.2}  # fmt: skip
    lights = {
        "lamp": Paint(((255.0, 236.0, 190.0),)),
        "front_light": Paint(((255.0, 250.0, 236.0),)),
        "rear_light": Paint(((255.0, 60.0, 50.0),)),
    }
    paints = {**dark, **_sky(look, (16.0, 15.0, 20.0), 6.0), "window": windows, **near, **lights}
    return vary(look, lens=lens, paints=paints)


def twilight(look: Look) -> Look:
    """Between day and night: a blue sky over dark streets, lamps already lit."""
    dark = repainted(look, [name for name in look.paints if name not in LIGHTS], (30.0, 34.0, 52.0), 0.5)
    lens = {"sun": (0.0, 0.05), "haze": (0.3, 0.8), "haze_colour": (84, 92, 116), "white_balance": (0.95, 0.97, 1.1),
            "vignette": 0.45, "noise": (4.0, 7.0), "glow": 1.0}  # fmt: skip
    return vary(look, lens=lens, paints={**dark, **_sky(look, (96.0, 110.0, 150.0), 16.0)})

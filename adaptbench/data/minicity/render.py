"""Turns a scene into an image and its labels.

Integer polygons alone decide the labels. The same polygons paint the image, which then gets shadow,
texture, haze and the errors of a camera.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from adaptbench.data.minicity.geometry import Patch
from adaptbench.data.minicity.looks import Lens, Look, Paint
from adaptbench.data.minicity.objects import LABEL
from adaptbench.data.minicity.roadside import draw_within
from adaptbench.data.minicity.scene import Scene

Image = npt.NDArray[np.uint8]
Frame = npt.NDArray[np.float32]

#: Distance is kept as a byte: this many steps per metre.
_STEPS = 4.0
#: Grain sizes of the fine, middle and coarse texture, pixels at 256 rows.
_GRAINS = (1.2, 3.5, 24.0)
#: Objects of one palette colour differ in brightness by this share.
_BRIGHTNESS = 0.12
_GREY = np.array([0.299, 0.587, 0.114], np.float32)


class Canvas:
    """Three aligned planes, all uint8.

    Attributes:
        colour: RGB, shape ``(H, W, 3)``.
        label: Cityscapes label ids, shape ``(H, W)``.
        surface: index of the paint and coded distance, shape ``(H, W, 2)``.
    """

    def __init__(self, scene: Scene, look: Look) -> None:
        shape = (scene.camera.height, scene.camera.width)
        self.look = look
        self.material = {name: i for i, name in enumerate(look.paints)}
        self.colour: Image = np.zeros((*shape, 3), np.uint8)
        self.label: Image = np.full(shape, LABEL["sky"], np.uint8)
        self.surface: Image = np.zeros((*shape, 2), np.uint8)
        self.surface[..., 0] = self.material["sky"]

    def paint(self, patch: Patch) -> None:
        """Fills the polygons of a patch; a patch without paint only changes the label."""
        polygons = list(patch.polygons)
        cv2.fillPoly(self.label, polygons, patch.label)
        if patch.paint:
            paint = self.look.paints[patch.paint]
            surface = (self.material[patch.paint], min(255, int(patch.depth * _STEPS)))
            cv2.fillPoly(self.surface, polygons, surface)
            cv2.fillPoly(self.colour, polygons, _colour(paint, patch.pick, patch.tone))


def _colour(paint: Paint, pick: float, tone: float = 1.0) -> tuple[float, float, float]:
    """RGB of a patch: an entry of the palette, a little lighter or darker."""
    place = min(pick, 0.9999) * len(paint.palette)
    factor = tone * (1 + _BRIGHTNESS * (2 * (place - int(place)) - 1))
    red, green, blue = (min(255.0, channel * factor) for channel in paint.palette[int(place)])
    return red, green, blue


def _noise(rng: np.random.Generator, shape: tuple[int, int], cell: float) -> Frame:
    """Smooth noise of about unit spread whose blobs are ``cell`` pixels wide; shape ``(H, W)``."""
    height, width = shape
    small = (max(2, int(height / cell)), max(2, int(width / cell)))
    seeds = rng.random(small, dtype=np.float32) * 3.46 - 1.73
    return np.asarray(cv2.resize(seeds, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _sky(canvas: Canvas, horizon: float, clouds: Frame, rng: np.random.Generator) -> None:
    """Fills the canvas with a sky that gets paler towards the horizon."""
    paints = canvas.look.paints
    top, pale = (
        np.array(_colour(paints[name], float(rng.random())), np.float32) for name in ("sky", "cloud")
    )
    rows = int(horizon) + 2
    fade = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
    share = (0.6 * fade * fade + 0.35 * clouds[:rows].clip(0, None)).clip(0, 1)[..., None]
    canvas.colour[:rows] = (top + (pale - top) * share).astype(np.uint8)


def _ground(canvas: Canvas, scene: Scene, rng: np.random.Generator) -> None:
    """Paints the ground, its distance (a matter of the row alone) and the shadows on it."""
    for patch in scene.ground:
        canvas.paint(patch)
    camera = scene.camera
    rows = np.maximum(np.arange(camera.height) - camera.horizon, 1.0)
    metres = camera.focal * camera.elevation / rows
    canvas.surface[..., 1] = np.minimum(metres * _STEPS, 255).astype(np.uint8)[:, None]
    shade = np.zeros_like(canvas.label)
    cv2.fillPoly(shade, list(scene.shadows), 255) if scene.shadows else None
    shade[: int(camera.horizon) + 1] = 0
    shade = cv2.blur(shade, (1 + 2 * (camera.height // 170),) * 2)
    depth = draw_within(rng, canvas.look.lens.sun) / 255
    canvas.colour[:] = (canvas.colour * (1 - depth * shade[..., None].astype(np.float32))).astype(np.uint8)


def _texture(canvas: Canvas, octaves: list[Frame]) -> Frame:
    """Brightness factor of every pixel, from the grain of its material; shape ``(H, W)``."""
    grains = np.array([paint.grain for paint in canvas.look.paints.values()], np.float32)
    material = canvas.surface[..., 0]
    factor = np.ones(material.shape, np.float32)
    for strength, octave in zip(grains.T, octaves, strict=True):
        factor += strength[material] * octave
    return factor


def _mirror(image: Frame, canvas: Canvas, horizon: float) -> Frame:
    """What stands on a wet road is seen in it, upside down and smeared."""
    rows = np.arange(image.shape[0])
    above = np.clip(2 * int(horizon) - rows, 0, len(rows) - 1)
    smeared = cv2.blur(image[above], (3, 1 + 2 * (len(rows) // 40)))
    road = np.isin(canvas.label, (LABEL["road"], LABEL["sidewalk"])) & (rows > horizon)[:, None]
    share = (canvas.look.lens.wet * road.astype(np.float32))[..., None]
    return np.asarray(image + (smeared - image) * share, np.float32)


def _glow(image: Frame, strength: float) -> Frame:
    """Bright spots light up what is around them."""
    sigma = image.shape[0] / 40
    light = np.maximum(image - 150, 0)
    return np.asarray(image + strength * cv2.GaussianBlur(light, (0, 0), sigma), np.float32)


def _haze(image: Frame, distance: Image, lens: Lens, rng: np.random.Generator) -> Frame:
    """Mixes in the colour of the air, more of it with distance."""
    metres = np.arange(256, dtype=np.float32) / _STEPS
    share = (1 - np.exp(-metres * draw_within(rng, lens.haze) / 100))[distance][..., None]
    return np.asarray(image + (np.array(lens.haze_colour, np.float32) - image) * share, np.float32)


def _expose(image: Frame, lens: Lens, rng: np.random.Generator) -> Frame:
    """Colour balance, saturation, contrast, exposure and vignette."""
    height, width = image.shape[:2]
    gains = [gain * (0.97 + 0.06 * float(rng.random())) for gain in lens.white_balance]
    saturation = draw_within(rng, lens.saturation)
    mix = np.eye(3, dtype=np.float32) * saturation + _GREY * (1 - saturation)
    mix = mix * np.array(gains, np.float32)[:, None]
    contrast, exposure = draw_within(rng, lens.contrast), draw_within(rng, lens.exposure)
    y, x = np.linspace(-1, 1, height, dtype=np.float32), np.linspace(-1, 1, width, dtype=np.float32)
    corner = 1 - lens.vignette * (y[:, None] ** 2 + x**2) / 2
    offset = np.full(3, 128 * (1 - contrast), np.float32)
    balanced = cv2.transform(image, np.column_stack([mix * contrast, offset]))
    return np.asarray(balanced * (exposure * corner)[..., None], np.float32)


def _sensor(image: Frame, lens: Lens, rng: np.random.Generator) -> Image:
    """Blur of the optics, then noise of the sensor."""
    scale = image.shape[0] / 256
    sigma = draw_within(rng, lens.blur) * scale
    blurred = cv2.GaussianBlur(image, (0, 0), sigma)
    noise = rng.standard_normal(image.shape, dtype=np.float32) * draw_within(rng, lens.noise)
    return np.asarray((blurred + noise + 0.5).clip(0, 255), np.uint8)


def render(scene: Scene, look: Look, rng: np.random.Generator) -> tuple[Image, Image]:
    """Paints a scene with the paints and the camera of a look; labels do not depend on ``rng``.

    Shape: RGB ``(H, W, 3)``, and Cityscapes label ids ``(H, W)``; both uint8.
    """
    canvas = Canvas(scene, look)
    shape = canvas.label.shape
    octaves = [_noise(rng, (shape[0], shape[1]), cell * shape[0] / 256) for cell in _GRAINS]
    _sky(canvas, scene.camera.horizon, octaves[2], rng)
    _ground(canvas, scene, rng)
    for patch in scene.upright:
        canvas.paint(patch)
    canvas.surface[..., 1][canvas.label == LABEL["sky"]] = 0
    image = canvas.colour * _texture(canvas, octaves)[..., None]
    if look.lens.wet:
        image = _mirror(np.asarray(image, np.float32), canvas, scene.camera.horizon)
    image = _haze(image, canvas.surface[..., 1], look.lens, rng)
    if look.lens.glow:
        image = _glow(image, look.lens.glow)
    image[scene.hood :] = look.paints["hood"].palette[0]
    canvas.label[scene.hood :] = LABEL["ego vehicle"]
    return _sensor(_expose(image, look.lens, rng), look.lens, rng), canvas.label

"""MiniCity: a seeded street world with all 19 Cityscapes classes, on disk in the official layouts.

The world in words (raise `VERSION` with any change that moves a pixel):

- An image is a pure function of `WorldSpec`, dataset, split and index, not of how many there are. Two
  random streams belong to it: one lays out the street, one decides how it looks. Labels follow from the
  first alone, by integer polygons, and are the same on every machine; images agree within one grey level.
- A straight street in metres (scene.py): road with lane markings, kerbs and sidewalks; beyond them green or
  paved front yards, a wall or a fence, buildings or groves of trees (roadside.py); a row of buildings or
  trees closes it. On it stand, far to near and never inside each other, cars, trucks, buses and trains
  (along the street, parked at the kerb, or crossing), people, bicycles, motorcycles, riders on either,
  street lamps, traffic lights, signs, trees and bins (objects.py). The own vehicle's hood, rail tracks and
  bins are void, as in Cityscapes.
- A pinhole camera (geometry.py) sees it. Then come textures, shadows, haze, exposure, white balance,
  vignette, blur and noise (render.py). Everything scales with the image.
- A domain is one `Look` (looks.py), or several whose images take turns: street statistics, camera, weather and
  paints. ``gta5`` is a wide, sunny and saturated city with dry lawns and signals on arms; ``cityscapes`` a narrow one
  under a pale sky, with more people and bicycles, brick, and a lower, noisier, softer camera. Vehicles keep their
  shapes but only partly their colours. The others are variations of these two (domains.py): ``synthia`` is crisp and
  plain, without terrain, trucks and trains; ``synscapes`` a rendered ``cityscapes``; ``acdc`` has fog, night, rain and
  snow (variations.py), ``dark_zurich`` day, twilight and night, ``bdd100k`` phones behind windscreens, ``mapillary``
  images of many cameras and sizes, ``crosscity`` four cities, ``urbansyn`` a rendered city centre, ``idd`` streets full
  of two-wheelers, ``wilddash2`` poor cameras in any weather.
- Dials: ``gap`` moves every number of a target's look to the source's, so that at 0 both domains are the same
  distribution; ``imbalance`` moves how often every object and roadside feature occurs from nearly always (0)
  to the domain's own rates (1); ``small_objects`` sets how far away objects may stand, from 10 m (0) to 24 m
  (1); ``pixel_balance`` moves numbers and distances of objects, in all domains alike, to where object classes have
  about equally many pixels (1), whatever ``imbalance`` is; ``scale`` is the image size relative to the official
  one; ``seed`` names the city.
"""

from adaptbench.data.minicity.generate import cache_folder, ensure
from adaptbench.data.minicity.spec import VERSION, WorldSpec, fingerprint, image_size
from adaptbench.data.minicity.world import draw_image

__all__ = ["VERSION", "WorldSpec", "cache_folder", "draw_image", "ensure", "fingerprint", "image_size"]

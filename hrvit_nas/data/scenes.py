"""`scenes`: street scenes drawn from a seed, made so that architecture matters.

Looking along a quay, with a road on one side of it and a canal on the other:

- *Thin structures.* Poles and the wires between them are one or two pixels wide.
- *Small far objects.* Vehicles, persons and signs stand at depths drawn log-uniformly, so
  most of them are far away and a few pixels high.
- *Context from afar.* Road and canal are the same grey surface: same colour, same texture,
  same traffic on top. The canal lies on the side of the sun, which stands in an upper
  corner of the sky and lights nothing but the sky. Drawn with the sun on the other side, a
  scene is equal in every pixel below the skyline while the two labels change places. A
  network that sees only its pixel's surroundings can do no better than toss a coin.
- *Little from colour.* Base colours of buildings, pavement and ground overlap, and light,
  tint, haze and noise vary.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SCENE_CLASSES: tuple[str, ...] = (
    "sky",
    "building",
    "road",
    "canal",
    "pavement",
    "tree",
    "pole",
    "sign",
    "person",
    "vehicle",
)
DEFAULT_SIZE = (96, 128)

_SKY, _BUILDING, _ROAD, _CANAL, _PAVEMENT, _TREE, _POLE, _SIGN, _PERSON, _VEHICLE = range(10)
_SUPERSAMPLING = 2
_TILE = 64
"""Side of the repeating ground texture, in texels."""

Colour = NDArray[np.float64]
Image8 = NDArray[np.uint8]


def draw_scene(
    seed: int, index: int, size: tuple[int, int] = DEFAULT_SIZE, *, sun_on_left: bool | None = None
) -> tuple[Image8, Image8]:
    """Draws one scene, a pure function of its arguments.

    Args:
        seed: Seed of the set.
        index: Number of the scene in the set.
        size: Height and width in pixels.
        sun_on_left: Puts the sun (and the canal under it) on this side instead of a random one.

    Returns:
        Image (height, width, 3) and labels (height, width), places in `SCENE_CLASSES`.
    """
    rng = np.random.default_rng([seed, index])
    random_side = bool(rng.random() < 0.5)
    scene = _Scene(rng, size, random_side if sun_on_left is None else sun_on_left)
    return scene.render()


class _Scene:
    """The canvas, the camera and the list of materials of one scene.

    Things are drawn far to near as material numbers, at twice the size. Rendering looks up
    the colour and class of the materials, then adds sky, texture, light and noise.
    Metres: x to the right of the camera, y above the ground, z (depth) away from it.
    """

    def __init__(self, rng: np.random.Generator, size: tuple[int, int], sun_on_left: bool) -> None:
        self.rng = rng
        self.height, self.width = size
        self.sun_on_left = sun_on_left
        # Everything is framed for 3:4 pictures; other shapes see more or less to the sides.
        self.unit = float(min(self.height * 4 / 3, self.width)) * _SUPERSAMPLING
        self.horizon = rng.uniform(0.36, 0.47) * self.height * _SUPERSAMPLING
        self.vanishing = rng.uniform(0.38, 0.62) * self.width * _SUPERSAMPLING
        self.camera = rng.uniform(1.9, 3.2)
        self.haze_depth = rng.uniform(90, 350)
        self.haze = self.grey(160, 225, 12)
        self.classes: list[int] = []
        self.colours: list[Colour] = []
        self.grains: list[float] = []
        canvas = (self.width * _SUPERSAMPLING, self.height * _SUPERSAMPLING)
        self.canvas = Image.new("I", canvas, self.material(_SKY, np.zeros(3), grain=0.0))
        self.draw = ImageDraw.Draw(self.canvas)
        self.wall = rng.uniform(14, 17)
        self.kerb = rng.uniform(9.0, 11.0)
        self.quay = rng.uniform(0.6, 1.8)
        self.street_end = rng.uniform(110, 160)

        self.draw_ground()
        self.draw_street_end()
        for side in (-1, 1):
            self.draw_buildings(side)
        self.draw_things()

    # Camera and materials

    def material(self, label: int, colour: Colour, *, z: float = 0.0, grain: float = 4.0) -> int:
        """Number of a new material; colour in 0..255, hazed by its depth."""
        haze = 1 - math.exp(-z / self.haze_depth) if label != _SKY else 0.0
        self.classes.append(label)
        self.colours.append(colour + haze * (self.haze - colour))
        self.grains.append(grain)
        return len(self.classes) - 1

    def point(self, x: float, y: float, z: float) -> tuple[float, float]:
        """Canvas position of a point in metres."""
        scale = self.unit / z
        return self.vanishing + x * scale, self.horizon + (self.camera - y) * scale

    def highest(self, z: float) -> float:
        """Height in metres that may be reached at a depth without covering the sun's strip."""
        limit = 0.2 * self.height * _SUPERSAMPLING
        return self.camera + (self.horizon - limit) * z / self.unit

    def grey(self, low: float, high: float, tint: float) -> Colour:
        """A random colour: a random lightness plus a random tint a channel."""
        return self.rng.uniform(low, high) + self.rng.uniform(-tint, tint, 3)

    def box(self, x: float, y: float, z: float, width: float, height: float, fill: int) -> None:
        """A rectangle that faces the camera and stands on height y, at least a pixel wide."""
        left, top = self.point(x - width / 2, y + height, z)
        right, bottom = self.point(x + width / 2, y, z)
        right = max(right, left + _SUPERSAMPLING - 1)
        self.draw.rectangle((left, min(top, bottom), right, bottom), fill=fill)

    # What is in the scene

    def draw_ground(self) -> None:
        near = 1.0
        pavement = self.material(_PAVEMENT, self.grey(120, 180, 8), grain=5.0)
        surface = self.grey(100, 160, 5)
        left, right = (_CANAL, _ROAD) if self.sun_on_left else (_ROAD, _CANAL)
        self.draw.rectangle((0, self.horizon, *self.canvas.size), fill=pavement)
        for side, label in ((-1, left), (1, right)):
            fill = self.material(label, surface, grain=5.0)
            inner, outer = side * self.quay, side * self.kerb
            far = 400.0
            corners = ((inner, near), (inner, far), (outer, far), (outer, near))
            self.draw.polygon([self.point(x, 0, z) for x, z in corners], fill=fill)

    def draw_street_end(self) -> None:
        """Houses and trees across the end of the street."""
        z = self.street_end
        x = -self.wall - 20
        while x < self.wall + 20:
            width = self.rng.uniform(4, 10)
            height = self.rng.uniform(4, 11)
            if self.rng.random() < 0.35:
                fill = self.material(_TREE, self.leaf(), z=z, grain=9.0)
            else:
                fill = self.material(_BUILDING, self.facade(), z=z)
            self.box(x + width / 2, 0, z, width + 0.5, height, fill)
            x += width

    def facade(self) -> Colour:
        """Colour of a house: grey to sandstone."""
        warm: Colour = self.rng.random() * np.array([30.0, 0.0, -26.0])
        return self.grey(85, 215, 10) + warm

    def leaf(self) -> Colour:
        """Colour of leaves, seldom autumnal."""
        autumn = self.rng.random() ** 3
        green: Colour = np.array([50 * autumn - 12, 22.0, -28.0])
        return self.grey(55, 110, 8) + green

    def draw_buildings(self, side: int) -> None:
        rng = self.rng
        houses = []
        z = rng.uniform(12, 20)
        while z < self.street_end:
            length = rng.uniform(7, 18)
            if rng.random() < 0.88:
                houses.append((z, min(z + length, self.street_end)))
            z += length
        for front, back in reversed(houses):
            height = min(rng.uniform(5, 12), self.highest(max(front, 22.0)))
            x = side * (self.wall + rng.uniform(0, 0.8))
            middle = (front + back) / 2
            colour = self.facade()
            wall = self.material(_BUILDING, colour, z=middle, grain=6.0)
            gable = self.material(_BUILDING, 0.8 * colour, z=front, grain=6.0)
            self.quad(x, 0, height, front, back, wall)
            self.box(x + side * 6, 0, front, 12, height, gable)
            self.draw_windows(x, height, front, back, colour)

    def quad(self, x: float, low: float, high: float, z0: float, z1: float, fill: int) -> None:
        """A rectangle in the plane of a facade, from depth z0 to z1."""
        corners = ((low, z0), (high, z0), (high, z1), (low, z1))
        self.draw.polygon([self.point(x, y, z) for y, z in corners], fill=fill)

    def draw_windows(self, x: float, height: float, z0: float, z1: float, wall: Colour) -> None:
        rng = self.rng
        if z0 > 90:
            return
        lit = rng.random() < 0.3
        colour = self.grey(170, 215, 12) if lit else 0.45 * wall + self.grey(0, 35, 8)
        pane = self.material(_BUILDING, colour, z=(z0 + z1) / 2)
        floors = max(1, int(height / 3))
        columns = max(2, int((z1 - z0) / 3))
        pitch = (z1 - z0) / columns
        for floor in range(floors):
            low = height * (floor + 0.3) / floors
            for column in range(columns):
                start = z0 + pitch * (column + 0.25)
                self.quad(x, low, low + 1.3, start, start + 0.5 * pitch, pane)

    def draw_things(self) -> None:
        """Everything that stands in the street, far to near."""
        rng = self.rng

        def depth(near: float, far: float) -> float:
            return math.exp(rng.uniform(math.log(near), math.log(far)))

        things: list[tuple[float, Callable[[Any, float], None], Any]] = []
        for _ in range(rng.integers(5, 10)):
            middle = (self.quay + self.kerb) / 2
            x = middle + rng.uniform(-0.3, 0.3) * (self.kerb - self.quay)
            things.append((depth(11, 95), self.draw_vehicle, x * rng.choice((-1, 1))))
        for _ in range(rng.integers(6, 13)):
            on_quay = rng.random() < 0.45
            x = rng.uniform(0, self.quay) if on_quay else rng.uniform(self.kerb + 0.4, self.wall)
            things.append((depth(9, 75), self.draw_person, x * rng.choice((-1, 1))))
        for _ in range(rng.integers(3, 7)):
            x = self.kerb + rng.uniform(0.3, 1.2)
            things.append((depth(14, 70), self.draw_sign, x * rng.choice((-1, 1))))
        for _ in range(rng.integers(2, 6)):
            x = rng.uniform(self.kerb + 1.5, self.wall + 2)
            things.append((depth(22, 100), self.draw_tree, x * rng.choice((-1, 1))))
        spacing, start = rng.uniform(13, 20), rng.uniform(12, 20)
        pole_height = rng.uniform(6, 8)
        for side in (-1, 1):
            for number in range(6):
                z = start + number * spacing
                x = side * (self.kerb + 0.3)
                things.append((z, self.draw_pole, (x, pole_height, spacing)))
        things.sort(key=lambda thing: -thing[0])
        for z, paint, where in things:
            paint(where, z)

    def draw_vehicle(self, x: float, z: float) -> None:
        rng = self.rng
        body = self.grey(50, 215, 45)
        width, height = rng.uniform(1.8, 2.5), rng.uniform(1.3, 2.2)
        shade = self.material(_VEHICLE, 0.3 * body, z=z)
        fill = self.material(_VEHICLE, body, z=z)
        glass = self.material(_VEHICLE, self.grey(40, 150, 10), z=z)
        self.box(x, 0, z, width * 0.96, 0.35, shade)
        self.box(x, 0.3, z, width, height * 0.55, fill)
        self.box(x, 0.3 + height * 0.5, z, width * 0.8, height * 0.45, fill)
        self.box(x, 0.3 + height * 0.55, z, width * 0.66, height * 0.28, glass)

    def draw_person(self, x: float, z: float) -> None:
        rng = self.rng
        height = rng.uniform(1.55, 1.95)
        coat = self.material(_PERSON, self.grey(30, 190, 50), z=z)
        legs = self.material(_PERSON, self.grey(25, 90, 15), z=z)
        skin = self.material(_PERSON, np.array([200.0, 160, 135]) * rng.uniform(0.45, 1.1), z=z)
        self.box(x, 0, z, 0.34, height * 0.5, legs)
        self.box(x, height * 0.45, z, 0.55, height * 0.4, coat)
        left, top = self.point(x - 0.15, height, z)
        right, bottom = self.point(x + 0.15, height - 0.32, z)
        self.draw.ellipse((left, top, right, bottom), fill=skin)

    def draw_pole(self, where: tuple[float, float, float], z: float) -> None:
        x, height, spacing = where
        fill = self.material(_POLE, self.grey(45, 105, 8), z=z)
        foot, tip = self.point(x, 0, z), self.point(x, height, z)
        thickness = max(_SUPERSAMPLING, round(0.16 * self.unit / z))
        self.draw.line((foot, tip), fill=fill, width=thickness)
        arm = self.point(x - math.copysign(1.6, x), height, z)
        self.draw.line((tip, arm), fill=fill, width=_SUPERSAMPLING)
        # The wire to the next pole hangs in a parabola.
        steps = np.linspace(0.0, 1.0, 7)
        sag = 0.9 * 4 * steps * (1 - steps)
        wire = [self.point(x, height - s, z + spacing * t) for s, t in zip(sag, steps, strict=True)]
        self.draw.line(wire, fill=fill, width=_SUPERSAMPLING + 1)

    def draw_sign(self, x: float, z: float) -> None:
        rng = self.rng
        post = self.material(_POLE, self.grey(70, 130, 6), z=z)
        colours = ([185, 45, 45], [50, 80, 170], [205, 175, 60], [215, 215, 215])
        plate = self.material(_SIGN, np.array(rng.choice(colours)) + self.grey(-15, 15, 15), z=z)
        face = self.material(_SIGN, self.grey(150, 230, 15), z=z)
        side, low = rng.uniform(0.9, 1.3), rng.uniform(2.0, 2.6)
        self.box(x, 0, z, 0.1, low, post)
        left, top = self.point(x - side / 2, low + side, z)
        right, bottom = self.point(x + side / 2, low, z)
        inset = 0.25 * (right - left)
        inner = (left + inset, top + inset, right - inset, bottom - inset)
        round_sign = rng.random() < 0.5
        paint = self.draw.ellipse if round_sign else self.draw.rectangle
        paint((left, top, right, bottom), fill=plate)
        paint(inner, fill=face)

    def draw_tree(self, x: float, z: float) -> None:
        rng = self.rng
        height = min(rng.uniform(4.5, 8), self.highest(z))
        colour = self.leaf()
        trunk = self.material(_TREE, np.array([80.0, 66, 54]) + self.grey(-15, 15, 8), z=z)
        leaves = [self.material(_TREE, colour * light, z=z, grain=12.0) for light in (0.75, 1, 1.2)]
        self.box(x, 0, z, 0.35, height * 0.5, trunk)
        for number in range(9):
            radius = height * rng.uniform(0.14, 0.22)
            dx = rng.uniform(-0.24, 0.24) * height
            y = height * (0.45 + 0.045 * number)
            y = min(y, height - radius)
            left, top = self.point(x + dx - radius, y + radius, z)
            right, bottom = self.point(x + dx + radius, y - radius, z)
            self.draw.ellipse((left, top, right, bottom), fill=leaves[number // 3])

    # From materials to pixels

    def render(self) -> tuple[Image8, Image8]:
        rng = self.rng
        materials = np.asarray(self.canvas)
        middle = slice(_SUPERSAMPLING // 2, None, _SUPERSAMPLING)
        classes = np.array(self.classes, np.uint8)
        labels = classes[materials[middle, middle]]

        colours = np.clip(self.colours, 0, 255).astype(np.uint8)
        image = self.reduced(colours[materials])
        sky_share = (
            self.reduced(np.where(classes == _SKY, 255, 0).astype(np.uint8)[materials]) / 255
        )
        rows = math.ceil(self.horizon / _SUPERSAMPLING)
        image[:rows] += sky_share[:rows, :, None] * self.sky(rows)

        grain = np.array(self.grains, np.float32)[materials[middle, middle]]
        grain *= rng.standard_normal(grain.shape, np.float32)
        image += (grain + self.ground_texture(labels))[..., None]
        image *= (rng.uniform(0.75, 1.25) * (1 + rng.uniform(-0.03, 0.03, 3))).astype(np.float32)
        image += np.float32(rng.uniform(1, 4)) * rng.standard_normal(image.shape, np.float32)
        return np.clip(image, 0, 255).astype(np.uint8), labels

    @staticmethod
    def reduced(fine: Image8) -> NDArray[np.float32]:
        """Mean over the canvas pixels of each picture pixel, which softens edges."""
        return np.array(Image.fromarray(fine).reduce(_SUPERSAMPLING), np.float32)

    def pixel_rays(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Columns (1, width) and rows (height, 1) of pixel centres, in canvas units."""
        x = (np.arange(self.width, dtype=np.float32) + 0.5) * _SUPERSAMPLING
        y = (np.arange(self.height, dtype=np.float32) + 0.5) * _SUPERSAMPLING
        return x[None, :], y[:, None]

    def ground_texture(self, labels: Image8) -> NDArray[np.float32]:
        """Paving stones on the pavement; one and the same streaked grain on road and canal."""
        rng = self.rng
        x, y = self.pixel_rays()
        below = np.maximum(y - self.horizon, 1.0)
        z = self.camera * self.unit / below
        across = (x - self.vanishing) * (z / self.unit)
        tile = rng.standard_normal((_TILE, _TILE), np.float32)
        tile += np.roll(tile, 1, axis=1) + np.roll(tile, 2, axis=1)
        depth_index = np.floor(z * 2.0).astype(np.int64) % _TILE
        across_index = np.floor(across * 1.5).astype(np.int64) % _TILE
        streaks = 4.0 * tile[depth_index, across_index]
        stones = (np.floor(z / 1.2).astype(np.int64) + np.floor(across / 0.8).astype(np.int64)) % 2
        fade = np.exp(-z / 25)
        paving = 10.0 * (stones - 0.5) * fade
        surface = (labels == _ROAD) | (labels == _CANAL)
        return np.where(surface, streaks, np.where(labels == _PAVEMENT, paving, 0)).astype(
            np.float32
        )

    def sky(self, rows: int) -> NDArray[np.float32]:
        """The upper rows of the sky (rows, width, 3): clouds, and the sun with its glow."""
        rng = self.rng
        x, y = self.pixel_rays()
        y = y[:rows]
        zenith = np.array([110.0, 150, 200]) + self.grey(-35, 30, 10)
        low = np.array([195.0, 200, 205]) + self.grey(-25, 15, 10)
        rise = np.clip(1 - y / self.horizon, 0, 1)[..., None]
        sky = (low + rise * (zenith - low)).astype(np.float32)
        cells = Image.fromarray(rng.random((5, 6), np.float32))
        clouds = np.asarray(cells.resize((self.width, rows), Image.Resampling.BICUBIC))
        sky = sky + 70 * np.clip(clouds - 0.5, 0, 0.5)[..., None]

        height, width = self.height * _SUPERSAMPLING, self.width * _SUPERSAMPLING
        offset, sun_y = rng.uniform(0.06, 0.24) * width, rng.uniform(0.05, 0.14) * height
        sun_x = offset if self.sun_on_left else width - offset
        distance = (np.hypot(x - sun_x, y - sun_y) / self.unit).astype(np.float32)[..., None]
        glow = 0.55 * np.exp(-((distance / 0.22) ** 2))
        sky += glow * (np.array([255, 236, 170], np.float32) - sky)
        disc = np.clip((0.035 - distance) * (self.unit / _SUPERSAMPLING) + 0.5, 0, 1)
        lit: NDArray[np.float32] = sky + disc * (np.array([255, 250, 225], np.float32) - sky)
        return lit

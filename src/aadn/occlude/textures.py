"""Colours and textures of occluders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from aadn.occlude.overlay import FaceFrame, Image

Colour = tuple[float, float, float]

HAIR = ((20, 16, 14), (48, 34, 24), (84, 58, 38), (128, 92, 58), (176, 140, 92), (120, 116, 112),
        (150, 70, 40), (222, 214, 204))  # fmt: skip
SKIN = ((240, 204, 180), (224, 180, 150), (198, 150, 118), (160, 112, 84), (116, 78, 58),
        (72, 48, 38))  # fmt: skip


def tone(rng: np.random.Generator, palette: Sequence[tuple[int, int, int]]) -> Colour:
    """A colour near one of a palette."""
    base = np.array(palette[int(rng.integers(len(palette)))], np.float64)
    mixed = np.clip(base * rng.uniform(0.7, 1.15) + rng.normal(0, 8, 3), 0, 255)
    return float(mixed[0]), float(mixed[1]), float(mixed[2])


def any_colour(rng: np.random.Generator) -> Colour:
    """A colour as things have it: often grey, black or white, sometimes vivid."""
    value = rng.uniform(0, 255)
    spread = rng.choice([0.0, 15.0, 70.0], p=[0.3, 0.35, 0.35])
    mixed = np.clip(value + rng.normal(0, spread + 1e-9, 3), 0, 255)
    return float(mixed[0]), float(mixed[1]), float(mixed[2])


def flat(height: int, width: int, colour: Colour) -> NDArray[np.float32]:
    """One colour everywhere."""
    return np.broadcast_to(np.array(colour, np.float32), (height, width, 3)).copy()


def clouds(rng: np.random.Generator, height: int, width: int, cells: int) -> NDArray[np.float32]:
    """Smooth noise in [-1, 1] with about `cells` bumps across, (height, width)."""
    return _clouds(rng, height, width, cells, 1)[..., 0]


def _clouds(
    rng: np.random.Generator, height: int, width: int, cells: int, channels: int
) -> NDArray[np.float32]:
    """As `clouds`, in channels of their own: (height, width, channels)."""
    grid = rng.uniform(-1, 1, (max(2, cells), max(2, cells), channels)).astype(np.float32)
    smooth = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(smooth, np.float32).reshape(height, width, channels)


def shade(
    rng: np.random.Generator, texture: NDArray[np.float32], strength: float = 0.35
) -> NDArray[np.float32]:
    """Light that falls off across a texture, and folds."""
    height, width = texture.shape[:2]
    light = 1 + strength * clouds(rng, height, width, int(rng.integers(2, 5)))
    return texture * light[..., None]


def _grain(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float32]:
    """Specks of all colours or of greys, coarse to fine, faint or stark, as of leaves or gravel.

    (height, width, 3) in [0, 255].
    """
    drawn = flat(height, width, any_colour(rng))
    cells = float(rng.uniform(8, 40))
    channels = int(rng.choice([1, 3]))
    strength = rng.uniform(20, 140)
    while cells < max(height, width):
        drawn += np.float32(strength) * _clouds(rng, height, width, round(cells), channels)
        cells *= 2
        strength *= rng.uniform(0.3, 1.0)
    return np.clip(drawn, 0, 255)


@dataclass(frozen=True)
class Look:
    """A face's colours in its picture, RGB in [0, 255].

    Attributes:
        skin, hair: of the cheeks and the nose, and of what is above the brows.
        light: gain of R, G, B that takes a thing from even white light into the picture's.
        grey: whether the picture has no colours.
    """

    skin: Colour
    hair: Colour
    light: Colour
    grey: bool

    @classmethod
    def of(cls, image: Image, frame: FaceFrame) -> Look:
        """Read off a picture (H, W, 3) and the frame of its face."""
        cheeks = [(u, v) for u in (-0.95, -0.75, 0.75, 0.95) for v in (0.45, 0.6)]
        skin = _sampled(image, frame, [*cheeks, (-0.1, 0.45), (0.1, 0.45)])
        hairline = [(u, v) for u in (-0.9, -0.45, 0.0, 0.45, 0.9) for v in (-1.35, -1.5, -1.65)]
        hair = _sampled(image, frame, hairline)
        # Grey world, halfway: a picture of snow is not only brightly lit.
        coarse = image[::8, ::8].reshape(-1, 3).astype(np.float64)
        mean = coarse.mean(axis=0)
        grey = bool(np.ptp(coarse, axis=1).mean() < 4)
        gain = np.clip(((mean + 20) / 130) ** 0.6, 0.45, 1.25)
        return cls(skin, hair, (float(gain[0]), float(gain[1]), float(gain[2])), grey)


def _sampled(image: Image, frame: FaceFrame, places: list[tuple[float, float]]) -> Colour:
    """The median colour at face coordinates."""
    height, width = image.shape[:2]
    columns, rows = np.rint(frame.place(places)).astype(int).T
    found = image[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)]
    red, green, blue = np.median(found, axis=0)
    return float(red), float(green), float(blue)


def clipped(colour: NDArray[np.floating]) -> Colour:
    """Three numbers as a colour in [0, 255]."""
    red, green, blue = np.clip(colour, 0, 255)
    return float(red), float(green), float(blue)


@dataclass(frozen=True)
class Paints:
    """Where colours and textures come from: drawn, cut from other pictures, or the user's own.

    Attributes:
        pictures: (N, H, W, 3) uint8, crops of other faces to cut pieces from, or None.
        points: (N, L, 2) their landmarks, of the scheme that is painted over, or None.
        textures: RGB pictures of fabrics and the like.
        look: the colours of the face that is painted over, or None.
    """

    pictures: NDArray[np.uint8] | None = None
    points: NDArray[np.float64] | None = None
    textures: Sequence[Image] = ()
    look: Look | None = None

    def lit(self, colour: Colour) -> Colour:
        """A colour in the picture's light."""
        return clipped(np.array(colour) * (self.look.light if self.look else 1.0))

    def skin(self, rng: np.random.Generator) -> Colour:
        """Skin: mostly this face's own, else any."""
        if self.look and rng.random() < 0.7:
            return clipped(np.array(self.look.skin) * rng.uniform(0.8, 1.15))
        return self.lit(tone(rng, SKIN))

    def hair(self, rng: np.random.Generator) -> Colour:
        """Hair: mostly this face's own, else any."""
        if self.look and rng.random() < 0.65:
            unlike = np.abs(np.subtract(self.look.hair, self.look.skin)).max()
            if unlike > 30:  # else a bald head, or a hand there
                return clipped(np.array(self.look.hair) * rng.uniform(0.8, 1.15))
        return self.lit(tone(rng, HAIR))

    def surface(
        self,
        rng: np.random.Generator,
        height: int,
        width: int,
        colour: Colour,
        strength: float = 0.3,
    ) -> NDArray[np.float32]:
        """One colour (height, width, 3) in [0, 255], lit unevenly."""
        return np.clip(shade(rng, flat(height, width, colour), strength), 0, 255)

    def texture(self, rng: np.random.Generator, height: int, width: int) -> NDArray[np.float32]:
        """A random texture (height, width, 3) in [0, 255], lit unevenly, in the picture's light."""
        kinds = ["flat", "gradient", "clouds", "stripes", "checks", "grain"]
        weights = [0.25, 0.1, 0.1, 0.08, 0.05, 0.15]
        if self.pictures is not None and len(self.pictures):
            kinds.append("picture")
            weights.append(0.6)
        if self.textures:
            kinds.append("fabric")
            weights.append(0.2)
        kind = rng.choice(kinds, p=np.array(weights) / sum(weights))
        first = np.array(any_colour(rng), np.float32)
        second = np.array(any_colour(rng), np.float32)
        if kind in ("picture", "fabric"):
            drawn = self._cut(rng, height, width, fabric=kind == "fabric")
        elif kind == "grain":
            drawn = _grain(rng, height, width)
        else:
            drawn = flat(height, width, any_colour(rng))
            if kind != "flat":
                blend = self._pattern(rng, str(kind), height, width)[..., None]
                drawn = first * blend + second * (1 - blend)
            drawn = drawn * np.array(self.lit((1.0, 1.0, 1.0)), np.float32)
        return np.clip(shade(rng, drawn, float(rng.uniform(0, 0.4))), 0, 255)

    @staticmethod
    def _pattern(
        rng: np.random.Generator, kind: str, height: int, width: int
    ) -> NDArray[np.float32]:
        if kind == "clouds":
            return np.clip(clouds(rng, height, width, int(rng.integers(3, 20))) / 2 + 0.5, 0, 1)
        angle = rng.uniform(0, np.pi)
        y, x = np.mgrid[:height, :width].astype(np.float32) / max(height, width)
        along = x * np.cos(angle) + y * np.sin(angle)
        if kind == "gradient":
            return np.asarray(np.clip(along * rng.uniform(0.5, 1.5), 0, 1), np.float32)
        period = rng.uniform(4, 24)
        wave = np.sin(2 * np.pi * period * along)
        if kind == "checks":
            wave *= np.sin(2 * np.pi * period * (y * np.cos(angle) - x * np.sin(angle)))
        return np.asarray(np.clip(wave * rng.uniform(1, 6) / 2 + 0.5, 0, 1), np.float32)

    def _cut(
        self, rng: np.random.Generator, height: int, width: int, *, fabric: bool
    ) -> NDArray[np.float32]:
        """A random piece of a picture, resized to fill."""
        pool = self.textures if fabric else self.pictures
        assert pool is not None
        source = pool[int(rng.integers(len(pool)))]
        rows, columns = source.shape[:2]
        part = rng.uniform(0.12, 0.6)
        cut_h, cut_w = max(2, int(rows * part)), max(2, int(columns * part))
        top, left = rng.integers(rows - cut_h + 1), rng.integers(columns - cut_w + 1)
        piece = source[top : top + cut_h, left : left + cut_w]
        return np.asarray(cv2.resize(piece, (width, height)), np.float32)

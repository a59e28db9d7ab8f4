"""Colours and textures of occluders."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from aadn.occlude.overlay import Image

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
    """Smooth noise in [-1, 1] with about `cells` bumps across."""
    grid = rng.uniform(-1, 1, (max(2, cells), max(2, cells))).astype(np.float32)
    smooth = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(smooth, np.float32)


def shade(
    rng: np.random.Generator, texture: NDArray[np.float32], strength: float = 0.35
) -> NDArray[np.float32]:
    """Light that falls off across a texture, and folds."""
    height, width = texture.shape[:2]
    light = 1 + strength * clouds(rng, height, width, int(rng.integers(2, 5)))
    return texture * light[..., None]


class Paints:
    """Where textures come from: drawn, cut from other pictures, or the user's own.

    Args:
        pictures: (N, H, W, 3) uint8, crops of other faces to cut pieces from, or None.
        textures: RGB pictures of fabrics and the like.
    """

    def __init__(
        self, pictures: NDArray[np.uint8] | None = None, textures: Sequence[Image] = ()
    ) -> None:
        self.pictures = pictures
        self.textures = textures

    def texture(self, rng: np.random.Generator, height: int, width: int) -> Image:
        """A random texture (height, width, 3) uint8, lit unevenly."""
        kinds = ["flat", "gradient", "clouds", "stripes", "checks"]
        weights = [0.25, 0.1, 0.12, 0.08, 0.05]
        if self.pictures is not None and len(self.pictures):
            kinds.append("picture")
            weights.append(0.3)
        if self.textures:
            kinds.append("fabric")
            weights.append(0.2)
        kind = rng.choice(kinds, p=np.array(weights) / sum(weights))
        first = np.array(any_colour(rng), np.float32)
        second = np.array(any_colour(rng), np.float32)
        if kind in ("picture", "fabric"):
            drawn = self._cut(rng, height, width, fabric=kind == "fabric")
        elif kind == "flat":
            drawn = flat(height, width, any_colour(rng))
        else:
            blend = self._pattern(rng, str(kind), height, width)[..., None]
            drawn = first * blend + second * (1 - blend)
        drawn = shade(rng, drawn, float(rng.uniform(0, 0.4)))
        drawn = drawn + rng.normal(0, rng.uniform(0, 8), (height, width, 1)).astype(np.float32)
        return np.clip(drawn, 0, 255).astype(np.uint8)

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
        part = rng.uniform(0.25, 0.9)
        cut_h, cut_w = max(2, int(rows * part)), max(2, int(columns * part))
        top, left = rng.integers(rows - cut_h + 1), rng.integers(columns - cut_w + 1)
        piece = source[top : top + cut_h, left : left + cut_w]
        return np.asarray(cv2.resize(piece, (width, height)), np.float32)

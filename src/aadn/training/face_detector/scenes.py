"""Training pictures for the face detector: pieces of sources, turned, scaled, pasted, photographed.

Everything is drawn from one generator, so a seed gives the same pictures. All ranges are our
choice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from aadn.geometry import FloatArray, transform

Image = NDArray[np.uint8]
Rng = np.random.Generator

SMALLEST = 7.0
"""Faces of fewer pixels (the geometric mean of the sides) are neither right nor wrong."""

UPRIGHT = 0.5
"""How far a face of an unknown angle is believed to be upright in its photograph."""

MOST = 48
"""Faces that a picture may have; what is beyond is left to be neither right nor wrong."""


@dataclass(frozen=True)
class Photograph:
    """A source in memory.

    Attributes:
        levels: the picture (H, W, 3), and copies that are half, a quarter … as large.
        faces: (N, 6) as in `sources.Source`, and how far the angle is to be believed, in [0, 1].
        ignored: (K, 4) as in `sources.Source`.
    """

    levels: tuple[Image, ...]
    faces: FloatArray
    ignored: FloatArray

    @classmethod
    def of(cls, image: Image, faces: FloatArray, ignored: FloatArray) -> Photograph:
        """With its smaller copies, down to 32 pixels; faces (N, 5) and ignored of a source."""
        levels = [image]
        while min(levels[-1].shape[:2]) >= 64:
            height, width = (side // 2 for side in levels[-1].shape[:2])
            small = cv2.resize(
                levels[-1][: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA
            )
            levels.append(np.asarray(small, np.uint8))
        known = np.isfinite(faces[:, 4:])
        believed = np.where(known, 1.0, UPRIGHT)
        return cls(tuple(levels), np.hstack([np.nan_to_num(faces), believed]), ignored)


@dataclass(frozen=True)
class Album:
    """What scenes are drawn from.

    Attributes:
        groups: pictures with any number of faces; portraits: with one main face; empty: none.
    """

    groups: Sequence[Photograph]
    portraits: Sequence[Photograph]
    empty: Sequence[Photograph]


@dataclass
class Scene:
    """A training picture (H, W, 3) uint8, its faces (N, 6) and regions to ignore (K, 4)."""

    image: Image
    faces: FloatArray
    ignored: FloatArray


def draw_scene(album: Album, side: int, rng: Rng) -> Scene:
    """A square picture of `side` pixels."""
    kind = rng.choice(4, p=[0.35, 0.32, 0.25, 0.08])
    if kind == 0:
        scene = _piece(album, side, side, rng)
    elif kind == 1:
        scene = _mosaic(album, side, rng)
    elif kind == 2:
        scene = _pasted(album, side, rng)
    else:
        scene = _cut(_any(album.empty, rng), side, side, rng)
    scene.image = photographed(scene.image, rng)
    return _counted(scene)


def _any(photographs: Sequence[Photograph], rng: Rng) -> Photograph:
    return photographs[int(rng.integers(len(photographs)))]


def _piece(album: Album, height: int, width: int, rng: Rng) -> Scene:
    chosen = rng.random()
    of = album.groups if chosen < 0.6 else album.portraits if chosen < 0.93 else album.empty
    return _cut(_any(of, rng), height, width, rng)


def _mosaic(album: Album, side: int, rng: Rng) -> Scene:
    """Two to four rows of two to four pieces."""
    scene = Scene(np.empty((side, side, 3), np.uint8), np.empty((0, 6)), np.empty((0, 4)))
    rows = _split(side, rng)
    for top, bottom in pairwise(rows):
        columns = _split(side, rng)
        for left, right in pairwise(columns):
            piece = _piece(album, bottom - top, right - left, rng)
            scene.image[top:bottom, left:right] = piece.image
            scene.faces = np.vstack([scene.faces, piece.faces + np.array([left, top, 0, 0, 0, 0])])
            scene.ignored = np.vstack(
                [scene.ignored, piece.ignored + np.array([left, top, left, top])]
            )
    return scene


def _split(side: int, rng: Rng) -> list[int]:
    """Where a side is cut: from 0 to `side`, two to four parts that are not too unlike."""
    shares = rng.uniform(0.6, 1.4, int(rng.choice([2, 3, 4], p=[0.5, 0.3, 0.2])))
    return [0, *(int(v) for v in np.cumsum(shares / shares.sum())[:-1] * side), side]


def _pasted(album: Album, side: int, rng: Rng) -> Scene:
    """Heads on a picture without faces."""
    scene = _cut(_any(album.empty, rng), side, side, rng)
    largest = side * float(rng.uniform(0.06, 0.35))
    upright = rng.random() < 0.4
    taken: list[tuple[float, float, float]] = []
    for _ in range(int(rng.integers(3, 28))):
        size = math.exp(rng.uniform(math.log(8), math.log(max(largest, 10))))
        x, y = rng.uniform(0, side, 2)
        if any(math.hypot(x - a, y - b) < 0.9 * (size + c) for a, b, c in taken):
            continue
        portrait = _any(album.portraits, rng)
        if len(portrait.faces) != 1:
            continue
        taken.append((x, y, size))
        _paste(scene, portrait, (x, y), size, _angle(rng, upright), rng)
    return scene


def _paste(
    scene: Scene,
    portrait: Photograph,
    middle: tuple[float, float],
    size: float,
    angle: float,
    rng: Rng,
) -> None:
    """Paste a portrait's head, its face `size` pixels large and turned by `angle` more."""
    face = portrait.faces[0]
    level, matrix = _towards(portrait, face, middle, size, angle, rng.random() < 0.5)
    reach = int(size * 1.6) + 2
    x0, y0 = int(middle[0]) - reach, int(middle[1]) - reach
    side = 2 * reach + 1
    local = matrix.copy()
    local[:, 2] -= [x0, y0]
    image = cv2.warpAffine(level, local, (side, side))
    grid = np.arange(side, dtype=np.float32)
    turned = _moved(face[None], matrix, portrait.levels[0].shape, level.shape)[0]
    cos, sin = math.cos(math.radians(turned[4])), math.sin(math.radians(turned[4]))
    dx, dy = grid[None, :] - (turned[0] - x0), grid[:, None] - (turned[1] - y0)
    across, down = cos * dx + sin * dy, -sin * dx + cos * dy
    # A head: an ellipse that reaches above the brows to the hair, and some of what is around it.
    wide, high = rng.uniform(0.62, 1.3), rng.uniform(0.8, 1.4)
    radius = np.hypot(across / (wide * turned[2]), (down + 0.15 * turned[3]) / (high * turned[3]))
    soft = float(rng.uniform(0.03, 0.25))
    alpha = np.clip((1 - radius) / soft, 0, 1)
    valid = np.full(level.shape[:2], 255, np.uint8)
    alpha *= cv2.warpAffine(valid, local, (side, side)) > 250
    height, width = scene.image.shape[:2]
    a0, b0, a1, b1 = max(x0, 0), max(y0, 0), min(x0 + side, width), min(y0 + side, height)
    if a1 <= a0 or b1 <= b0:
        return
    part = (slice(b0, b1), slice(a0, a1))
    own = (slice(b0 - y0, b1 - y0), slice(a0 - x0, a1 - x0))
    weight = alpha[own][..., None]
    mixed = scene.image[part] * (1 - weight) + image[own] * weight
    scene.image[part] = mixed.astype(np.uint8)
    inside = 0 <= turned[0] < width and 0 <= turned[1] < height
    if inside:
        scene.faces = np.vstack([scene.faces, turned])


def _angle(rng: Rng, upright: bool) -> float:
    return float(rng.normal(0, 12)) if upright else float(rng.uniform(-180, 180))


def _cut(photograph: Photograph, height: int, width: int, rng: Rng) -> Scene:
    """A piece of a photograph, turned and scaled about one of its faces, or about any place."""
    angle = _angle(rng, bool(rng.random() < 0.5))
    flip = bool(rng.random() < 0.5)
    middle = (float(rng.uniform(0, width)), float(rng.uniform(0, height)))
    rows, columns = photograph.levels[0].shape[:2]
    if len(photograph.faces):
        face = photograph.faces[int(rng.integers(len(photograph.faces)))]
        own, cell = float(face[2:4].max()), min(height, width)
        if rng.random() < 0.5:
            size = math.exp(rng.uniform(math.log(8), math.log(0.95 * cell)))
        else:
            size = (
                own * cell / min(rows, columns) * math.exp(rng.uniform(math.log(0.7), math.log(3)))
            )
        # The photograph covers half of the piece or more, and is enlarged fourfold at most.
        least = 0.5 * own * max(height, width) / max(rows, columns)
        size = float(np.clip(size, max(least, 6.0), max(least, min(0.95 * cell, 4 * own))))
        if size > 0.3 * min(height, width):
            middle = (
                float(rng.uniform(0.25, 0.75) * width),
                float(rng.uniform(0.25, 0.75) * height),
            )
        # By its own angle, a face of a known one is turned to any other.
        turned = angle - float(face[4]) if rng.random() < 0.3 else angle
    else:
        face = np.array([rng.uniform(0, columns), rng.uniform(0, rows), 1.0, 1.0, 0.0, 0.0])
        size = (
            math.exp(rng.uniform(math.log(0.4), math.log(4)))
            * min(height, width)
            / min(rows, columns)
        )
        turned = angle
    level, matrix = _towards(photograph, face, middle, size, turned, flip)
    image = _warped(level, matrix, height, width, rng)
    faces = _moved(photograph.faces, matrix, photograph.levels[0].shape, level.shape)
    corners = photograph.ignored[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    shrink = level.shape[1] / columns
    corners = transform(corners * shrink, matrix)
    ignored = np.hstack([corners.min(axis=1), corners.max(axis=1)])
    return _inside(Scene(image, faces, ignored), height, width)


def _towards(
    photograph: Photograph,
    face: FloatArray,
    middle: tuple[float, float],
    size: float,
    angle: float,
    flip: bool,
) -> tuple[Image, FloatArray]:
    """The copy of a photograph to take, and the matrix that lays a face, `size` large, there."""
    scale = size / float(face[2:4].max())
    number = (
        min(len(photograph.levels) - 1, max(0, math.floor(math.log2(1 / scale) + 0.3)))
        if scale < 1
        else 0
    )
    level = photograph.levels[number]
    shrink = level.shape[1] / photograph.levels[0].shape[1]
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    linear = scale / shrink * np.array([[cos, -sin], [sin, cos]])
    if flip:
        linear = linear @ np.diag([-1.0, 1.0])
    shift = np.array(middle) - linear @ (face[:2] * shrink)
    return level, np.hstack([linear, shift[:, None]])


def _warped(image: Image, matrix: FloatArray, height: int, width: int, rng: Rng) -> Image:
    border = rng.random()
    mode = cv2.BORDER_REPLICATE if border < 0.25 else cv2.BORDER_CONSTANT
    colour = (
        (127, 127, 127)
        if border < 0.5
        else (0, 0, 0)
        if border < 0.75
        else rng.integers(0, 256, 3).tolist()
    )
    flags = cv2.INTER_LINEAR
    return np.asarray(
        cv2.warpAffine(
            image, matrix, (width, height), flags=flags, borderMode=mode, borderValue=colour
        ),
        np.uint8,
    )


def _moved(
    faces: FloatArray, matrix: FloatArray, shape: tuple[int, ...], level: tuple[int, ...]
) -> FloatArray:
    """Faces (N, 6) of a photograph after a matrix that takes one of its copies."""
    shrink = level[1] / shape[1]
    mirrored = np.linalg.det(matrix[:, :2]) < 0
    scale = math.sqrt(abs(np.linalg.det(matrix[:, :2]))) * shrink
    first = matrix[:, 0] * (-1 if mirrored else 1)
    turn = math.degrees(math.atan2(first[1], first[0]))
    moved = faces.copy()
    moved[:, :2] = transform(faces[:, :2] * shrink, matrix)
    moved[:, 2:4] *= scale
    moved[:, 4] = turn + (-faces[:, 4] if mirrored else faces[:, 4])
    return moved


def _inside(scene: Scene, height: int, width: int) -> Scene:
    """Without faces whose middles are cut off; where a part of one is seen, it is ignored."""
    faces = scene.faces
    inside = ((faces[:, :2] >= 0) & (faces[:, :2] < [width, height])).all(axis=1)
    half = faces[:, 2:4].max(axis=1, keepdims=True) / 2 if len(faces) else np.empty((0, 1))
    boxes = np.hstack([faces[:, :2] - half, faces[:, :2] + half])
    ignored = np.vstack([scene.ignored, boxes[~inside]])
    ignored = np.clip(ignored, 0, [width, height, width, height])
    seen = (ignored[:, 2:] - ignored[:, :2] > 1).all(axis=1)
    return Scene(scene.image, faces[inside], ignored[seen])


def _counted(scene: Scene) -> Scene:
    """Faces that are too small, or too many, become regions to ignore."""
    size = np.sqrt(scene.faces[:, 2] * scene.faces[:, 3])
    order = np.argsort(-size, kind="stable")
    kept = order[(size[order] >= SMALLEST)][:MOST]
    rest = np.setdiff1d(order, kept)
    half = (
        scene.faces[rest, 2:4].max(axis=1, keepdims=True) * 0.75 if len(rest) else np.empty((0, 1))
    )
    more = np.hstack([scene.faces[rest, :2] - half, scene.faces[rest, :2] + half])
    return Scene(scene.image, scene.faces[kept], np.vstack([scene.ignored, more])[:MOST])


def photographed(image: Image, rng: Rng) -> Image:
    """As another camera, in another light, would have taken it."""
    if rng.random() < 0.8:
        gain = np.exp(rng.normal(0, 0.25) + rng.normal(0, 0.08, 3))
        gamma = math.exp(rng.normal(0, 0.3))
        if rng.random() < 0.1:  # darkness
            gain = gain * rng.uniform(0.15, 0.5)
        offset = rng.normal(0, 12)
        ramp = np.linspace(0, 1, 256)[:, None] ** gamma * 255 * gain + offset
        table = np.clip(ramp, 0, 255).astype(np.uint8)[None]
        image = np.asarray(cv2.LUT(image, table), np.uint8)
    if rng.random() < 0.12:
        image = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    if rng.random() < 0.15:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.8))), np.uint8)
    elif rng.random() < 0.05:
        image = np.asarray(cv2.filter2D(image, -1, _streak(rng)), np.uint8)
    if rng.random() < 0.15:
        side = image.shape[0]
        small = cv2.resize(
            image, None, fx=(f := float(rng.uniform(0.4, 0.8))), fy=f, interpolation=cv2.INTER_AREA
        )
        image = np.asarray(
            cv2.resize(small, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8
        )
    if rng.random() < 0.15:
        noise = rng.standard_normal(image.shape, np.float32) * np.float32(rng.uniform(2, 14))
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.25:
        quality = int(rng.integers(20, 90))
        data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        image = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return image


def _streak(rng: Rng) -> NDArray[np.float32]:
    size = int(rng.integers(1, 4)) * 2 + 1
    kernel = np.zeros((size, size), np.float32)
    angle = rng.uniform(0, math.pi)
    reach = size // 2
    dx, dy = round(reach * math.cos(angle)), round(reach * math.sin(angle))
    cv2.line(kernel, (reach - dx, reach - dy), (reach + dx, reach + dy), 1.0)
    streak: NDArray[np.float32] = kernel / kernel.sum()
    return streak

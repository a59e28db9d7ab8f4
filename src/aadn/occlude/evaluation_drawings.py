"""The evaluation's drawings, which training never paints.

They share no drawing with the training's painters (PAINTERS): other outlines, other surfaces, and
a hand whose skin is shaded from a surface instead of drawn in rings. A network that has learned
the training's drawings rather than what hides a face does worse on them.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from aadn.geometry import FloatArray
from aadn.occlude.overlay import Colours, FaceFrame, Image, Overlay

Rng = np.random.Generator
Grid = NDArray[np.float32]
Rgb = NDArray[np.floating]


def skin(image: Image, frame: FaceFrame) -> Rgb:
    """The mean colour (3,) of a patch of each cheek of a picture (H, W, 3)."""
    height, width = image.shape[:2]
    side = max(1, round(0.08 * frame.unit))
    patches = []
    for x, y in np.rint(frame.place([(-0.8, 0.5), (0.8, 0.5)])).astype(int):
        x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
        patch = image[max(0, y - side) : y + side + 1, max(0, x - side) : x + side + 1]
        patches.append(patch.reshape(-1, 3).mean(axis=0))
    return np.asarray(np.mean(patches, axis=0), np.float64)


def _face_grid(overlay: Overlay, frame: FaceFrame) -> tuple[Grid, Grid]:
    """Face coordinates u and v of every pixel, (H, W) each."""
    y, x = np.mgrid[: overlay.shape[0], : overlay.shape[1]].astype(np.float32)
    inverse = np.linalg.inv(np.stack([frame.across, frame.down], axis=1)).astype(np.float32)
    x, y = x - np.float32(frame.origin[0]), y - np.float32(frame.origin[1])
    return inverse[0, 0] * x + inverse[0, 1] * y, inverse[1, 0] * x + inverse[1, 1] * y


def mask(overlay: Overlay, frame: FaceFrame, points: NDArray[np.floating], rng: Rng) -> None:
    """A moulded mask with a ridge and welded seams, or a pleated one with a printed pattern.

    Its outline is of straight and round pieces about the mouth, and reaches the lower landmarks'
    hull; lower down than the nose's bridge everything there is covered.
    """
    moulded = rng.random() < 0.5
    top = rng.uniform(0.3, 0.6)
    if moulded:  # pointed at the bridge, egg-shaped
        half = [(0.28, top + 0.02), (0.8, top + 0.3), (1.5, 0.75), (1.75, 1.1), (1.3, 1.6),
                (0.6, 1.95)]  # fmt: skip
    else:  # a rectangle with cut corners
        half = [(0.5, top), (1.0, top + 0.1), (1.7, 0.6), (1.85, 0.9), (1.6, 1.45), (0.9, 1.9)]
    right = np.array(half) * [rng.uniform(0.95, 1.08), 1.0]
    left = right[::-1] * [-1.0, 1.0]
    corners = frame.place(np.concatenate([[(0.0, top)], right, [(0.0, 2.0)], left]))
    below = np.asarray(points, np.float64)
    below = below[np.isfinite(below).all(axis=1)]
    inverse = np.linalg.inv(np.stack([frame.across, frame.down], axis=1))
    below = below[((below - frame.origin) @ inverse.T)[:, 1] > 0.85]
    middle = frame.place([(0.0, 1.0)])[0]
    every = np.concatenate([corners, middle + (below - middle) * 1.05]).astype(np.float32)
    hull = cv2.convexHull(every)[:, 0].astype(np.float64)
    alpha = overlay.polygon(hull, 0.008 * frame.unit)
    u, v = _face_grid(overlay, frame)
    if moulded:
        base = np.array(((238, 238, 234), (36, 38, 44), (205, 222, 238))[rng.integers(3)])
        # Two planes that meet in a ridge, each bulging.
        light = 0.82 + 0.16 * np.exp(-((np.abs(u) - 0.35) ** 2) / 0.3) - 0.1 * np.clip(u, -2, 2)
        light -= 0.25 * np.exp(-((u / 0.03) ** 2))
        edge = cv2.blur(alpha, (2 * max(1, round(0.07 * frame.unit)) + 1,) * 2)
        welded = (edge > 0.55) & (edge < 0.8) & (np.sin(u * 45 + v * 45) > 0)
        light -= 0.12 * welded
        surface = base * light[..., None]
    else:
        surface = _print(rng, u, v)
        pleats = 0.5 + 0.5 * np.cos((v - top) / rng.uniform(0.28, 0.36) * 2 * np.pi)
        light = 0.72 + 0.3 * np.clip(pleats, 0.0, 1.0) ** 0.4 - 0.12 * (u / 1.8) ** 2
        surface = surface * light[..., None]
        wire = np.exp(-(((v - top - 0.09 - 0.05 * np.abs(u)) / 0.025) ** 2)) * (np.abs(u) < 0.6)
        surface = surface * (1 - 0.2 * wire[..., None])
    # From the mask's corners to behind the ears.
    ears = [(side * reach, height) for side in (-1, 1) for reach, height in
            ((2.3, 0.0), (1.6, 0.75), (2.3, 0.4), (1.6, 1.2))]  # fmt: skip
    cords = list(frame.place(ears).reshape(4, 2, 2))
    width = max(1, round(0.025 * frame.unit))
    overlay.paint(overlay.lines(cords, [width] * 4, 0.4), (222, 222, 218), hides=True)
    overlay.paint(alpha, _rgb(surface), hides=True)


def _print(rng: Rng, u: Grid, v: Grid) -> Colours:
    """A printed cloth in face coordinates: dots, bricks or rings, two colours."""
    one, two = rng.uniform(20, 245, (2, 3))
    cell = rng.uniform(0.14, 0.4)
    kind = rng.integers(3)
    row = np.floor(v / cell)
    x, y = (u / cell + 0.5 * (row % 2)) % 1 - 0.5, (v / cell) % 1 - 0.5
    if kind == 0:
        ink = np.hypot(x, y) < rng.uniform(0.2, 0.35)
    elif kind == 1:
        ink = (np.abs(x) > 0.44) | (np.abs(y) > 0.4)
    else:
        ink = np.hypot(u, v - 1) / cell % 1 < 0.35
    soft = cv2.GaussianBlur(np.asarray(ink, np.float32), (0, 0), 0.7)[..., None]
    return np.asarray(one * (1 - soft) + two * soft, np.float32)


def sunglasses(overlay: Overlay, frame: FaceFrame, rng: Rng) -> None:
    """Round, aviator or visor glasses, lenses graded from almost black to dark, opaque enough."""
    kind = ("round", "aviator", "visor")[rng.integers(3)]
    u, v = _face_grid(overlay, frame)
    drop = rng.uniform(0.0, 0.12)
    x, y = np.abs(u) - 1.0, v - drop
    # Distances from the lens's rim in face units, negative within it.
    if kind == "round":
        radius = rng.uniform(0.55, 0.72)
        tall = float(np.hypot(*frame.down) / np.hypot(*frame.across))
        away = np.hypot(x, y * tall) - radius
    elif kind == "aviator":  # a drop that hangs outwards
        lean = x - 0.25 * y
        away = np.hypot(lean / (0.86 - 0.25 * y), np.where(y < 0, y / 0.34, y / 0.52)) - 1
        away *= 0.6
    else:
        away = np.maximum(np.abs(u) - 2.0, np.abs(y - 0.06 * u * u) - rng.uniform(0.32, 0.42))
    pixel = 2.0 / frame.unit
    lens = np.clip(0.5 - away / pixel, 0, 1)
    shade = np.clip((v - drop + 0.45) / 0.9, 0, 1)[..., None]
    tint = rng.uniform(0, 70, 3)
    surface = tint * (0.25 + 0.9 * shade) + 10
    sky = np.exp(-(((u * 0.6 + v - rng.uniform(-0.5, 0.3)) / 0.09) ** 2))[..., None]
    surface = surface + sky * rng.uniform(0, 90)
    opacity = rng.uniform(0.9, 1.0) - 0.08 * shade[..., 0]
    overlay.paint(np.asarray(lens * opacity, np.float32), _rgb(surface), hides=True)
    metal = (190.0, 170.0, 110.0) if rng.random() < 0.5 else (60.0, 60.0, 64.0)
    rim = np.exp(-((away / (0.45 * pixel + 0.012)) ** 2))
    bridge = np.exp(-(((v - drop + 0.1) / 0.03) ** 2)) * (np.abs(u) < 0.4) * (away > 0)
    arms = np.exp(-(((v - drop + 0.08) / 0.04) ** 2)) * (np.abs(u) > 1.6) * (np.abs(u) < 2.2)
    wire = np.maximum(rim, np.maximum(bridge, arms * (away > 0)))
    overlay.paint(np.asarray(wire, np.float32), metal, hides=False)


def hand(overlay: Overlay, frame: FaceFrame, rng: Rng, skin_colour: Rgb) -> None:
    """A hand before the lower face or an eye, shaded as a surface of capsules, one per phalanx."""
    spots = np.array([(0.0, 0.95), (0.0, 1.5), (0.9, 0.9), (-0.9, 0.9), (0.9, 0.1), (-0.9, 0.1)])
    spot = spots[rng.integers(len(spots))] + rng.normal(0, 0.15, 2)
    lean = np.radians(rng.uniform(-70, 70))
    unit = frame.unit * rng.uniform(0.85, 1.05)
    turn = float(np.arctan2(frame.down[1], frame.down[0]) - np.pi / 2 + lean)
    side = rng.choice([-1.0, 1.0])
    cos, sin = np.cos(turn), np.sin(turn)
    centre = frame.place(spot[None])[0]
    y, x = np.mgrid[: overlay.shape[0], : overlay.shape[1]].astype(np.float32)
    x, y = (x - np.float32(centre[0])) / unit, (y - np.float32(centre[1])) / unit
    # In the hand's coordinates the fingers point to -y and their middle joints are at the centre.
    x, y = np.float32(side) * (cos * x + sin * y), cos * y - sin * x
    height = np.full(overlay.shape, -1.0, np.float32)
    for start, end, first, last in _bones(rng):
        # Skin webs what is broad, and sinks between fingers.
        web = 0.012 if first < 0.14 else 0.1
        height = _join(height, _capsule(x, y, start, end, first, last), web)
    alpha = np.clip(0.5 + height * np.float32(unit), 0, 1)
    relief = cv2.GaussianBlur(
        np.sqrt(np.maximum(np.minimum(height, 0.16), 0) * 0.3), (0, 0), 0.022 * unit + 0.5
    )
    down, across = (_slope(np.asarray(relief * unit), axis) for axis in (0, 1))
    normal = np.stack([-across, -down, np.full_like(down, 1.1)])
    normal /= np.linalg.norm(normal, axis=0)
    lamp = np.array([rng.uniform(-0.5, 0.5), rng.uniform(-0.7, -0.2), 0.9])
    lamp /= np.linalg.norm(lamp)
    light = np.clip(np.tensordot(lamp, normal, 1), 0, 1)
    red = cv2.resize(rng.normal(0, 1, (9, 9)).astype(np.float32), overlay.shape[::-1],
                     interpolation=cv2.INTER_CUBIC)[..., None]  # fmt: skip
    surface = skin_colour * rng.uniform(0.85, 1.1) * (0.42 + 0.68 * light[..., None])
    surface = surface * (1 + red * np.array([0.015, 0.03, 0.035]))
    overlay.paint(np.asarray(alpha, np.float32), _rgb(surface), hides=True)


def _slope(heights: NDArray[np.floating], axis: int) -> NDArray[np.floating]:
    """How heights (H, W) rise along an axis; level on a strip of one pixel."""
    wide = heights.shape[axis] > 1
    return np.asarray(np.gradient(heights, axis=axis) if wide else np.zeros_like(heights))


def _bones(rng: Rng) -> list[tuple[FloatArray, FloatArray, float, float]]:
    """A hand's capsules: start and end (2,), and the radius at each, in face units."""
    bones = []
    spread = rng.uniform(0.0, 0.16)
    for finger, long in enumerate((0.42, 0.5, 0.46, 0.36)):
        knuckle = np.array([-0.36 + 0.24 * finger, 0.48 + 0.05 * abs(finger - 1.4)])
        angle = (finger - 1.5) * spread + rng.normal(0, 0.04)
        joint = knuckle
        for phalanx, radius in ((1.0, 0.125), (0.68, 0.115), (0.5, 0.1)):
            angle += rng.normal(0, 0.05)
            tip = joint + long * phalanx * np.array([np.sin(angle), -np.cos(angle)])
            bones.append((joint, tip, radius + 0.008, radius - 0.008))
            joint = tip
        bones.append((np.array([-0.2 + 0.13 * finger, 1.45]), knuckle, 0.22, 0.17))
    out = rng.uniform(0.2, 0.8)
    base, middle = np.array([-0.28, 1.25]), np.array([-0.62, 0.8])
    bones.append((base, middle, 0.24, 0.15))
    tip = middle + np.array([-0.4 * out, -0.36])
    bones.append((middle, tip, 0.145, 0.12))
    bones.append((tip, tip + np.array([-0.12 * out, -0.3]), 0.12, 0.1))
    bones.append((np.array([0.0, 1.5]), np.array([rng.normal(0, 0.8), 6.0]), 0.34, 0.5))
    return bones


def _capsule(
    x: Grid, y: Grid, start: FloatArray, end: FloatArray, first: float, last: float
) -> Grid:
    """How far within a capsule each pixel is; negative outside."""
    run, rise = (end - start).astype(np.float32)
    along = ((x - np.float32(start[0])) * run + (y - np.float32(start[1])) * rise) / (
        run * run + rise * rise
    )
    along = np.clip(along, 0, 1)
    away = np.hypot(x - (np.float32(start[0]) + along * run),
                    y - (np.float32(start[1]) + along * rise))  # fmt: skip
    return np.asarray(first + (last - first) * along - away, np.float32)


def _join(one: Grid, two: Grid, round_off: float) -> Grid:
    """The smooth maximum of two heights."""
    mixed = np.clip(0.5 + 0.5 * (one - two) / round_off, 0, 1)
    return np.asarray(two + (one - two) * mixed + round_off * mixed * (1 - mixed), np.float32)


def _rgb(surface: NDArray[np.floating]) -> Image:
    return np.asarray(np.clip(surface + 0.5, 0, 255), np.uint8)

"""Painters of hair: fringes, locks, long hair, and beards, which hide nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aadn.geometry import FloatArray
from aadn.occlude.overlay import FaceFrame, Overlay
from aadn.occlude.shapes import bezier, strands
from aadn.occlude.textures import Paints

Rng = np.random.Generator
Points = NDArray[np.floating]


def _locks(rng: Rng, controls: FloatArray, count: int, spread: float) -> FloatArray:
    """Strands (N * count, 9, 2) of N locks, from their middle curves (N, 4, 2): tips run together.

    All in face coordinates; `spread` is a lock's half-width at its root.
    """
    wide = rng.normal(0, spread, (len(controls), count, 1, 2)) * [[1.0], [1.0], [0.8], [0.35]]
    wild = rng.normal(0, 0.12 * spread, (len(controls), count, 4, 2))
    return bezier((controls[:, None] + wide + wild).reshape(-1, 4, 2))


def _curve(
    root: FloatArray, tip: FloatArray, bow: FloatArray, rng: Rng, wild: float = 0.05
) -> FloatArray:
    """Control points (N, 4, 2) from roots to tips (N, 2) that leave the line by bow (N, 2)."""
    one, two = root + (tip - root) / 3 + bow, root + (tip - root) * 0.7 + bow
    controls = np.stack([root, one, two, tip], axis=1)
    controls[:, 1:] += rng.normal(0, wild, controls[:, 1:].shape)
    return controls


def _comb(
    overlay: Overlay,
    frame: FaceFrame,
    rng: Rng,
    paints: Paints,
    uv: FloatArray,
    thick: tuple[float, float],
) -> None:
    """Paint strands (N, S, 2) of face coordinates, `thick` from … to of the unit."""
    curves = frame.place(uv.reshape(-1, 2)).reshape(uv.shape)
    width = frame.unit * float(rng.uniform(*thick))
    # Fine hair lets some of the face through even where it lies.
    fine = rng.random() < 0.2
    opacity = float(rng.uniform(0.5, 0.9) if fine else rng.uniform(0.9, 1.0))
    strands(overlay, rng, curves, paints.hair(rng), width, opacity=opacity)


def fringe(overlay: Overlay, frame: FaceFrame, points: Points, rng: Rng, paints: Paints) -> None:
    """Hair over the forehead and the brows: straight down, swept to a side, or parted."""
    count = int(rng.choice([6, 12, 20], p=[0.25, 0.4, 0.35]))
    deep = rng.normal(-0.15, 0.22)
    style = rng.choice(["straight", "swept", "parted"], p=[0.35, 0.45, 0.2])
    if style == "straight":
        left, right = -rng.uniform(0.3, 2.1), rng.uniform(0.3, 2.1)
        u = np.linspace(left, right, count) + rng.normal(0, 0.06, count)
        root = np.stack([u * 0.8, np.full(count, -1.7)], axis=1)
        # Longer towards the temples.
        v = deep + 0.1 * u**2 * rng.uniform(0, 1.2) + rng.normal(0, 0.1, count)
        tip = np.stack([u + rng.normal(0, 0.2) + rng.normal(0, 0.1, count), v], axis=1)
        bow = np.stack([0.1 * u, np.zeros(count)], axis=1)
    else:
        parting = rng.uniform(-0.6, 0.6)
        side = rng.choice([-1.0, 1.0], count) if style == "parted" else rng.choice([-1.0, 1.0])
        share = np.linspace(0, 1, count) + rng.normal(0, 0.05, count)
        u = parting + side * rng.uniform(-0.4, 0.6, count)
        root = np.stack([u, rng.uniform(-1.8, -1.4, count)], axis=1)
        u = parting + side * (0.35 + share * rng.uniform(1.0, 2.4))
        tip = np.stack([u, deep + 0.45 * share**2 + rng.normal(0, 0.08, count)], axis=1)
        bow = np.stack([side * np.full(count, rng.uniform(0.05, 0.3)),
                        np.full(count, rng.uniform(-0.35, 0.0))], axis=1)  # fmt: skip
    uv = _locks(rng, _curve(root, tip, bow, rng), int(rng.integers(10, 22)), rng.uniform(0.08, 0.2))
    _comb(overlay, frame, rng, paints, uv, (0.025, 0.08))


def wisps(overlay: Overlay, frame: FaceFrame, points: Points, rng: Rng, paints: Paints) -> None:
    """A few locks or single strands across a brow, an eye, a temple or a cheek."""
    count = int(rng.integers(1, 5))
    start = rng.uniform(-1.9, 1.9)
    root = np.stack([start + rng.normal(0, 0.25, count), rng.uniform(-1.7, -1.2, count)], axis=1)
    end = np.array([start * rng.uniform(0.5, 1.2) + rng.normal(0, 0.6), rng.uniform(-0.4, 1.5)])
    tip = end + rng.normal(0, 0.25, (count, 2))
    bow = rng.normal(0, 0.25, (1, 2)) + rng.normal(0, 0.06, (count, 2))
    uv = _locks(rng, _curve(root, tip, bow, rng), int(rng.choice([1, 3, 8, 14])),
                rng.uniform(0.02, 0.09))  # fmt: skip
    _comb(overlay, frame, rng, paints, uv, (0.015, 0.07))


def long_hair(overlay: Overlay, frame: FaceFrame, points: Points, rng: Rng, paints: Paints) -> None:
    """Hair that hangs over temples, cheeks and jaw, at times over an eye."""
    sides = (-1.0, 1.0) if rng.random() < 0.45 else (float(rng.choice([-1, 1])),)
    length = rng.uniform(0.2, 2.8)
    for side in sides:
        hang_long_hair(overlay, frame, rng, paints, side, rng.uniform(0.75, 1.9), length)


def hang_long_hair(
    overlay: Overlay,
    frame: FaceFrame,
    rng: Rng,
    paints: Paints,
    side: float,
    inner: float,
    length: float,
) -> None:
    """One side's hair, from u = `inner` outwards and down to v = `length`."""
    count = int(rng.integers(5, 14))
    u = inner + np.linspace(0, 1.3, count) + rng.normal(0, 0.05, count)
    root = np.stack([side * (u - 0.3 - rng.uniform(0.0, 0.7)), np.full(count, -1.7)], axis=1)
    tip_u = side * (u + rng.normal(0, 0.25) + rng.normal(0, 0.08, count))
    tip = np.stack([tip_u, rng.normal(length, 0.2, count)], axis=1)
    bow = np.full((count, 2), [side * rng.normal(0.2, 0.2), 0.0])
    uv = _locks(rng, _curve(root, tip, bow, rng), int(rng.integers(10, 22)), rng.uniform(0.08, 0.2))
    _comb(overlay, frame, rng, paints, uv, (0.02, 0.08))


def side_hair(overlay: Overlay, frame: FaceFrame, points: Points, rng: Rng, paints: Paints) -> None:
    """Hair that frames the face: over the temples and the cheeks' edge, to the ear or further."""
    sides = (-1.0, 1.0) if rng.random() < 0.7 else (float(rng.choice([-1, 1])),)
    length = rng.uniform(0.1, 0.9) if rng.random() < 0.4 else rng.uniform(0.9, 2.8)
    inner, sway = rng.uniform(1.5, 2.05), rng.normal(0, 0.2)
    count, parts = int(rng.integers(7, 15)), []
    for side in sides:
        share = np.linspace(0, 1, count)
        u = inner + rng.normal(0, 0.1) + rng.uniform(0.7, 1.2) * share
        root = np.stack([0.4 + 1.4 * share, np.full(count, rng.uniform(-1.7, -1.4))], axis=1)
        temple = np.stack([u, rng.normal(-0.6, 0.1, count)], axis=1)
        cheek = np.stack([u + rng.normal(0, 0.03, count), np.full(count, 0.4 * length)], axis=1)
        tip = np.stack([u + sway, rng.normal(length, 0.12, count)], axis=1)
        parts.append(np.stack([root, temple, cheek, tip], axis=1) * [side, 1.0])
    uv = _locks(rng, np.concatenate(parts), int(rng.integers(12, 24)), rng.uniform(0.06, 0.15))
    _comb(overlay, frame, rng, paints, uv, (0.02, 0.08))


def beard(overlay: Overlay, frame: FaceFrame, points: Points, rng: Rng, paints: Paints) -> None:
    """A beard, a moustache or stubble: short hair on the jaw and about the lips."""
    count = int(rng.choice([200, 400]))
    u, v = rng.uniform(-1.95, 1.95, count), rng.uniform(0.62, 1.85, count)
    lips = (np.abs(u) < 0.8) & (np.abs(v - 1.02) < 0.17)
    beside = np.abs(u) > 0.6
    cheek = beside & (v < 0.55 + 0.45 * (2.0 - np.abs(u)))
    part = rng.choice(["full", "moustache", "chin"], p=[0.5, 0.2, 0.3])
    kept = ~lips & ~cheek & (v < 1.9 - 0.25 * u**2)
    if part == "moustache":
        kept &= (v < 0.88) & (np.abs(u) < 0.75)
    elif part == "chin":
        kept &= (np.abs(u) < 0.75) & (v > 0.8)
    if not kept.any():
        return
    root = np.stack([u, v], axis=1)[kept]
    lean = np.stack([0.12 * root[:, 0], np.full(len(root), 0.15)], axis=1)
    tip = root + lean * rng.uniform(0.4, 1.4) + rng.normal(0, 0.05, root.shape)
    uv = bezier(_curve(root, tip, np.zeros_like(root), rng, 0.02), 4)
    curves = frame.place(uv.reshape(-1, 2)).reshape(uv.shape)
    strands(overlay, rng, curves, paints.hair(rng), frame.unit * float(rng.uniform(0.01, 0.03)),
            opacity=float(rng.uniform(0.3, 0.95)), hides=False)  # fmt: skip

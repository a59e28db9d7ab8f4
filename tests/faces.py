"""Small faces that the tests draw: 68 landmarks and a picture in which they can be found."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from aadn.data.pts import format_pts
from aadn.schemes import IBUG68


def _arc(
    centre: tuple[float, float], radii: tuple[float, float], degrees: list[float]
) -> list[tuple[float, float]]:
    turn = np.radians(degrees)
    return [
        (centre[0] + radii[0] * float(np.cos(t)), centre[1] - radii[1] * float(np.sin(t)))
        for t in turn
    ]


def _shape() -> NDArray[np.float64]:
    """68 points in a frame where the face spans about -1 … 1; y points down."""
    points = _arc((0, -0.15), (0.95, 1.15), list(np.linspace(180, 360, 17)))  # jaw
    points += _arc((-0.45, -0.35), (0.32, 0.2), list(np.linspace(160, 30, 5)))  # brows
    points += _arc((0.45, -0.35), (0.32, 0.2), list(np.linspace(150, 20, 5)))
    points += [(0.0, y) for y in np.linspace(-0.25, 0.2, 4)]  # nose
    points += [(x, 0.32 + 0.06 * (1 - abs(x) / 0.18)) for x in np.linspace(-0.18, 0.18, 5)]
    for x in (-0.42, 0.42):  # eyes
        points += _arc((x, -0.2), (0.17, 0.08), [180, 120, 60, 0, 300, 240])
    points += _arc((0, 0.62), (0.34, 0.14), [180, 150, 120, 90, 60, 30, 0, 330, 300, 270, 240, 210])
    points += _arc((0, 0.62), (0.22, 0.05), [180, 135, 90, 45, 0, 315, 270, 225])
    return np.array(points)


IBUG_SHAPE = _shape()


def drawn_face(
    size: int, rng: np.random.Generator | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """A picture (size, size, 3) uint8 RGB with one face, and its points (68, 2) in pixels."""
    turn, scale, shift = 0.0, 0.3 * size, np.zeros(2)
    skin, hair = (214, 170, 140), (60, 40, 30)
    if rng is not None:
        turn, scale = float(rng.normal(0, 0.2)), size * float(rng.uniform(0.22, 0.34))
        shift = rng.uniform(-0.06, 0.06, 2) * size
        light = rng.uniform(0.5, 1.1)
        skin = (int(light * 214), int(light * 170), int(light * 140))
        hair = (int(rng.integers(10, 120)), int(rng.integers(10, 120)), int(rng.integers(10, 120)))
    cos, sin = np.cos(turn), np.sin(turn)
    rotation = np.array([[cos, -sin], [sin, cos]])
    points = (IBUG_SHAPE * scale) @ rotation.T + size / 2 + shift
    back = (110, 130, 120) if rng is None else tuple(int(v) for v in rng.integers(40, 220, 3))
    image = np.full((size, size, 3), back, np.uint8)

    def at(x: float, y: float) -> tuple[int, int]:
        place = rotation @ np.array([x, y]) * scale + size / 2 + shift
        return round(float(place[0])), round(float(place[1]))

    degrees = float(np.degrees(turn))
    axes = (int(1.05 * scale), int(1.25 * scale))
    cv2.ellipse(image, at(0, -0.35), axes, degrees, 0, 360, hair, -1, cv2.LINE_AA)
    axes = (int(0.95 * scale), int(1.15 * scale))
    cv2.ellipse(image, at(0, -0.15), axes, degrees, 0, 360, skin, -1, cv2.LINE_AA)
    thick = max(1, round(0.05 * scale))
    for name, (indices, closed) in IBUG68.contours.items():
        if name == "jaw":
            continue
        curve = np.rint(points[list(indices)] * 16).astype(np.int32)
        if "eye" in name:
            cv2.fillPoly(image, [curve], (250, 250, 250), cv2.LINE_AA, 4)
        if name == "outer lips":
            cv2.fillPoly(image, [curve], (180, 70, 80), cv2.LINE_AA, 4)
        cv2.polylines(image, [curve], closed, hair, thick, cv2.LINE_AA, 4)
    for group in (slice(36, 42), slice(42, 48)):
        middle = np.rint(points[group].mean(axis=0)).astype(int)
        cv2.circle(image, tuple(middle), max(1, round(0.06 * scale)), (30, 30, 30), -1)
    return image, points


def write_faces(folder: Path, count: int, size: int = 96, seed: int = 0) -> Path:
    """A folder in 300W's layout with drawn faces."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        image, points = drawn_face(size, np.random.default_rng([seed, i]))
        cv2.imwrite(str(folder / f"face_{i:04d}.png"), image[..., ::-1])
        (folder / f"face_{i:04d}.pts").write_text(format_pts(points))
    return folder


def trapezoid(y: NDArray[np.float64], x: NDArray[np.float64]) -> float:
    """The integral of y over x by trapezoids; NumPy before 2 has another name for it."""
    return float(((y[1:] + y[:-1]) / 2 * np.diff(x)).sum())

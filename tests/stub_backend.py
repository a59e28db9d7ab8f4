"""A network small enough to check by hand, in NumPy; `stub_network` writes the same as a file."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aadn.inference.backend import Card, check_crops
from aadn.inference.estimates import Estimates
from aadn.schemes import IBUG68, Scheme

SIZE = 56


def base_points(landmarks: int = 68) -> NDArray[np.float32]:
    """(L, 2) crop pixels, the same for every crop: a spiral inside the landmark box.

    Of 68 points those of the eyes lie level, the right eye's on the left.
    """
    turn = np.linspace(0, 12, landmarks)
    radius = np.linspace(0.1, 0.36, landmarks) * SIZE
    points = radius * np.exp(1j * turn)
    if landmarks == IBUG68.size:
        across = points[42:48].mean() - points[36:42].mean()
        points *= abs(across) / across
    return (np.stack([points.real, points.imag], axis=1) + (SIZE - 1) / 2).astype(np.float32)


class StubBackend:
    """Landmark 0 is the centre of mass of the crop's red (R above G), the others `base_points`.

    Visibility is 1 for the even landmarks, the crop's mean brightness for the odd ones. The
    occlusion map is the mean brightness of each of the 7×7 parts. The uncertainty of landmark i is
    i times the crop's mean brightness. `changes` replace outputs. `calls` are the crops' numbers.
    """

    def __init__(self, scheme: Scheme = IBUG68, threshold: float = 0.5, **changes: Any) -> None:
        self.card = Card("stub", scheme, SIZE, 1.3, threshold)
        self.changes = changes
        self.calls: list[int] = []

    def __call__(self, crops: NDArray[np.uint8]) -> Estimates:
        check_crops(crops, self.card)
        self.calls.append(len(crops))
        landmarks = self.card.landmarks
        count, pixels = len(crops), crops.astype(np.float64)
        weight = np.maximum(pixels[..., 0] - pixels[..., 1], 0) + 1e-6
        total, ramp = weight.sum(axis=(1, 2)), np.arange(SIZE)
        points = np.tile(base_points(landmarks), (count, 1, 1))
        points[:, 0, 0] = (weight.sum(axis=1) * ramp).sum(axis=1) / total
        points[:, 0, 1] = (weight.sum(axis=2) * ramp).sum(axis=1) / total
        bright = pixels.mean(axis=(1, 2, 3))[:, None] / 255
        odd = np.arange(landmarks) % 2
        grid = pixels.reshape(count, 7, SIZE // 7, 7, 3 * SIZE // 7)
        outputs: dict[str, Any] = {
            "points": points,
            "visibility": bright * odd + 1 - odd,
            "uncertainty": bright * np.arange(landmarks),
            "occlusion": grid.mean(axis=(2, 4)) / 255,
        } | self.changes
        given = {k: np.asarray(v, np.float32) for k, v in outputs.items() if v is not None}
        return Estimates(**given)

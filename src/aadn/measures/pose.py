"""How heads are turned, from the landmarks that are seen and a small 3D model of heads.

Ours, not the paper's. Yaw, pitch and roll are what one sees: a face of yaw 30 looks to the
picture's right, of pitch 10 up, and of roll 20 it is turned clockwise in the picture. In this order
they turn a head that looks into the camera: about its own upright axis, then a nod, then in the
picture's plane. The projection has no perspective, so a pose is that towards the camera, wherever
in the picture the face is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aadn.measures.head_fit import HeadPoints, fit_head
from aadn.schemes import IBUG68, WFLW98, Scheme

HEAD = Path(__file__).with_name("head_points.npz")
"""The landmarks of ICT's head model (MIT, head_points.LICENSE); benchmarks/head_points.py."""

OF_WFLW = (
    *range(0, 33, 2), *range(33, 38), *range(42, 47), *range(51, 61), 61, 63, 64, 65, 67, 68, 69,
    71, 72, 73, 75, *range(76, 96),
)  # fmt: skip
"""For each of iBUG's 68 landmarks, WFLW's at that place."""

ORDERS: dict[Scheme, list[int]] = {IBUG68: list(range(IBUG68.size)), WFLW98: list(OF_WFLW)}
"""Schemes whose landmarks the model's are among: which these are."""

_RAYLEIGH = float(np.sqrt(np.pi / 2))
"""Expected distance of a point over the deviation of each of its coordinates, if these err as
normal variables."""


@dataclass(frozen=True, eq=False)
class HeadPoses:
    """How heads are turned.

    Attributes:
        angles: (…, 3) yaw, pitch and roll in degrees, in (-180, 180]; NaN where too few landmarks
            are seen, or the scheme is neither iBUG's nor WFLW's.
        rotations: (…, 3, 3) from the head's axes (x to the person's left, y up, z forward) to the
            camera's (x to the picture's right, y up, z to the camera); NaN alike.
        uncertainty: (…, 3) standard deviations of the angles in degrees, if the landmarks err as
            the network expects and independently of each other; NaN alike.
    """

    angles: NDArray[np.float32]
    rotations: NDArray[np.float32]
    uncertainty: NDArray[np.float32]


@lru_cache(1)
def head_points() -> HeadPoints:
    """The landmarks of the head model in the package."""
    with np.load(HEAD, allow_pickle=False) as file:
        neutral, modes = (file[name].astype(np.float64) for name in ("neutral", "modes"))
        return HeadPoints.of(neutral, modes, int(file["identities"]))


def head_poses(
    scheme: Scheme,
    points: NDArray[np.floating],
    seen: NDArray[np.bool_],
    uncertainty: NDArray[np.floating],
    rolls: NDArray[np.floating],
) -> HeadPoses:
    """How heads are turned, by their landmarks that are seen.

    Args:
        scheme: whose landmarks they are.
        points: (…, L, 2) pixels.
        seen: (…, L) those that count.
        uncertainty: (…, L) pixels by which they are expected to be off; NaN where not known.
        rolls: (…) degrees by which the faces are about turned clockwise in the picture.
    """
    shape = rolls.shape
    angles, rotations, deviations = (
        np.full((*shape, *own), np.nan, np.float32) for own in [(3,), (3, 3), (3,)]
    )
    if scheme in ORDERS:
        rows = ORDERS[scheme]
        expected = np.nan_to_num(uncertainty[..., rows]) / _RAYLEIGH
        for i in np.ndindex(shape):
            fit = fit_head(
                head_points(),
                points[i][rows],
                used=seen[i][rows],
                deviation=expected[i],
                roll=float(rolls[i]),
            )
            if fit is not None:
                angles[i], rotations[i], deviations[i] = fit.angles, fit.rotation, fit.deviations
    return HeadPoses(angles, rotations, deviations)

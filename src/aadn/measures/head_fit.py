"""A 3D model of a head's landmarks, laid over a face's: its pose and its shape.

Ours, not the paper's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aadn.geometry import FloatArray

STEADY = (*range(6, 11), *range(17, 68))
"""Landmarks of iBUG's 68 that the model is fitted to: brows, eyes, nose, mouth and chin. The rest
of the jaw line is labelled on the outline of the face, which is another place on each turned
head."""

FEWEST = 12
"""Of STEADY that a fit needs (our choice)."""

NOISE = 0.015
"""Standard deviation of labels about a head's true places, as a share of the face's extent (our
choice): beside it, a coefficient's prior deviation is 1 for identities and half for expressions."""

_POSE_STEPS, _STEPS = 8, 15
_SMALL = 1e-4
"""A step that changes nothing by more than this (radians, shares of the extent, deviations) is the
last."""
_FIRST_SCALE = 0.06
"""Of a centimetre, as a share of the face's extent: a face is about 17 cm high."""
_TOLERANCE = 0.02
"""Where the soft-L1 loss turns from square to linear, as a share of the face's extent."""
_FIRST_YAWS = (-60.0, 0.0, 60.0)


@dataclass(frozen=True, eq=False)
class HeadPoints:
    """Where a head has its landmarks, and how that differs between people and expressions.

    Lengths are in centimetres; x points to the person's left, y up and z forward.

    Attributes:
        neutral: (68, 3) the landmarks' places.
        modes: (K, 68, 3) what identities, then expressions, add.
        prior: (K,) what a coefficient's square costs in the fit.
    """

    neutral: FloatArray
    modes: FloatArray
    prior: FloatArray

    @classmethod
    def of(cls, neutral: FloatArray, modes: FloatArray, identities: int) -> HeadPoints:
        """With the usual prior: the first `identities` modes are identities."""
        prior = np.full(len(modes), 4 * NOISE**2)
        prior[:identities] = NOISE**2
        return cls(neutral, modes, prior)


@dataclass(frozen=True, eq=False)
class HeadFit:
    """A head laid over a face.

    Attributes:
        rotation: (3, 3) from the model's axes to the camera's: x to the picture's right, y up, z
            to the camera. A turn by yaw, then a nod by pitch, then a roll in the picture's plane.
        scale: pixels of a centimetre.
        coefficients: (K,) of the model's modes.
        residual: root-mean-square distance to the points it was fitted to, as a share of the
            face's extent.
        covariance: (3, 3) of a further turn about the camera's axes, in radians, if points err
            independently of each other.
    """

    rotation: FloatArray
    scale: float
    coefficients: FloatArray
    residual: float
    covariance: FloatArray

    @property
    def angles(self) -> FloatArray:
        """(3,) yaw, pitch and roll, see `angles_of`."""
        return angles_of(self.rotation)

    @property
    def deviations(self) -> FloatArray:
        """(3,) standard deviations of yaw, pitch and roll in degrees, by `covariance`."""
        step, now = 1e-5, angles_of(self.rotation)
        turned = [angles_of(rotation_of(axis) @ self.rotation) for axis in step * np.eye(3)]
        change = np.array([(angles - now + 180) % 360 - 180 for angles in turned]).T / step
        return np.asarray(np.sqrt(np.diag(change @ self.covariance @ change.T)))


def angles_of(rotation: FloatArray) -> FloatArray:
    """(3,) degrees of a `HeadFit`'s rotation.

    The yaw, in (-180, 180], by which the face, set upright, looks to the picture's right; the
    pitch, in [-90, 90], by which it is nodded up; and the roll, in (-180, 180], by which it is
    turned clockwise in the picture.
    """
    pitch = np.arcsin(np.clip(-rotation[2, 1], -1, 1))
    yaw = np.arctan2(-rotation[2, 0], rotation[2, 2])
    roll = np.arctan2(rotation[0, 1], rotation[1, 1])
    return np.asarray(np.degrees([yaw, pitch, roll]))


def fit_head(
    model: HeadPoints,
    points: NDArray[np.floating],
    *,
    used: NDArray[np.bool_] | None = None,
    deviation: NDArray[np.floating] | None = None,
    roll: float = 0.0,
) -> HeadFit | None:
    """The pose, identity and expression that bring the model's landmarks nearest to a face's.

    Scaled orthographic projection; a soft-L1 loss over STEADY, by iterated Gauss-Newton steps; what
    is most probable for a head is preferred.

    Args:
        model: the head.
        points: (68, 2) pixels, NaN where not known.
        used: (68,) those that count; all if left out.
        deviation: (68,) pixels by which points err along x and along y; those that err more than
            NOISE count less.
        roll: degrees by which the face is about turned clockwise in the picture.

    Returns:
        None where fewer than FEWEST of STEADY are known and used.
    """
    steady = np.array(STEADY)
    steady = steady[np.isfinite(points[steady]).all(axis=1)]
    extent = max(float(np.ptp(points[steady], axis=0).max()), 1e-9) if len(steady) else 1.0
    if used is not None:
        steady = steady[used[steady]]
    if len(steady) < FEWEST:
        return None
    target = points[steady].astype(np.float64) * [1.0, -1.0]
    target = (target - target.mean(axis=0)) / extent
    weight = np.ones(len(steady))
    if deviation is not None:
        weight = np.square(NOISE * extent / np.maximum(deviation[steady], NOISE * extent))
    some = HeadPoints(model.neutral[steady], model.modes[:, steady], model.prior)
    starts = [_Descent(some, target, weight, yaw, roll) for yaw in _FIRST_YAWS]
    for descent in starts:
        descent.run(_POSE_STEPS, shaped=False)  # first the pose alone: a shape bends to a wrong one
    best = min(starts, key=lambda descent: descent.cost())
    best.run(_STEPS, shaped=True)
    return best.fit(extent)


class _Descent:
    """Iterated Gauss-Newton steps from a first yaw and roll, in degrees.

    The model's points (n) shall come to target (n, 2), centred, y up, over the face's extent.
    """

    def __init__(
        self, model: HeadPoints, target: FloatArray, weight: FloatArray, yaw: float, roll: float
    ) -> None:
        self.model, self.target, self.weight = model, target, weight
        upright = rotation_of(np.array([0.0, np.radians(yaw), 0.0]))
        self.rotation = rotation_of(np.array([0.0, 0.0, -np.radians(roll)])) @ upright
        self.scale, self.shift = _FIRST_SCALE, np.zeros(2)
        self.coefficients = np.zeros(len(model.modes))

    def _state(self) -> tuple[FloatArray, FloatArray]:
        """The turned places (n, 3), and what the target is away from them (n, 2)."""
        shape = self.model.neutral + np.tensordot(self.coefficients, self.model.modes, 1)
        turned = shape @ self.rotation.T
        return turned, self.target - (self.scale * turned[:, :2] + self.shift)

    def run(self, steps: int, *, shaped: bool) -> None:
        """Some steps of pose, and of shape too if `shaped`."""
        for _ in range(steps):
            turned, error = self._state()
            flat = self._jacobian(turned, shaped=shaped).reshape(error.size, -1)
            soft = self.weight / np.sqrt(1 + np.square(error).sum(1) / _TOLERANCE**2)
            weighted = flat * np.repeat(soft, 2)[:, None]
            normal, slope = self._normal(weighted, flat), weighted.T @ error.reshape(-1)
            if shaped:
                slope[6:] -= self.model.prior * self.coefficients
            step = np.linalg.solve(normal, slope)
            self._move(step)
            if np.abs(step).max() < _SMALL:
                return

    def _normal(self, weighted: FloatArray, flat: FloatArray) -> FloatArray:
        """The normal equations' matrix; with the prior of the shape, if that is there."""
        normal = weighted.T @ flat + 1e-9 * np.eye(flat.shape[1])
        if len(normal) > 6:
            normal[6:, 6:] += np.diag(self.model.prior)
        return normal

    def _jacobian(self, turned: FloatArray, *, shaped: bool) -> FloatArray:
        """How the places move (n, 2, P) with turns about x, y and z, scale, shifts and modes."""
        x, y, z = turned.T
        none, all_ = np.zeros_like(x), np.ones_like(x)
        scale = self.scale
        along = [none, scale * z, -scale * y, x, all_, none]
        down = [-scale * z, none, scale * x, y, none, all_]
        pose = np.stack([np.stack(along, 1), np.stack(down, 1)], 1)
        if not shaped:
            return pose
        bent = scale * np.einsum("kni,ji->njk", self.model.modes, self.rotation[:2])
        return np.concatenate([pose, bent], 2)

    def _move(self, step: FloatArray) -> None:
        """Take a step, no turn of more than half a radian."""
        turn = step[:3] * min(1.0, 0.5 / max(float(np.linalg.norm(step[:3])), 1e-9))
        self.rotation = rotation_of(turn) @ self.rotation
        self.scale = float(np.clip(self.scale + step[3], 0.5 * self.scale, 2 * self.scale))
        self.shift = self.shift + step[4:6]
        self.coefficients[: len(step) - 6] += step[6:]
        np.clip(self.coefficients, -3, 3, out=self.coefficients)

    def cost(self) -> float:
        """Mean soft-L1 loss of the distances."""
        square = np.square(self._state()[1]).sum(1)
        return float(np.average(np.sqrt(1 + square / _TOLERANCE**2), weights=self.weight))

    def fit(self, extent: float) -> HeadFit:
        """What was reached, for a face whose extent is so many pixels."""
        turned, error = self._state()
        flat = self._jacobian(turned, shaped=True).reshape(error.size, -1)
        normal = self._normal(flat * np.repeat(self.weight, 2)[:, None], flat)
        residual = float(np.sqrt(np.square(error).sum(1).mean()))
        covariance = np.asarray(NOISE**2 * np.linalg.inv(normal)[:3, :3], np.float64)
        return HeadFit(self.rotation, self.scale * extent, self.coefficients, residual, covariance)


def rotation_of(vector: FloatArray) -> FloatArray:
    """The rotation about a vector (3,) by its length in radians, right-handed (Rodrigues)."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)

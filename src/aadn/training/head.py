"""A 3D model of heads, fitted to a face's landmarks: its pose and its shape.

Ours, not the paper's. The model is ICT's (Li et al., *Learning Formation of Physically-Based Face
Attributes*, CVPR 2020; MIT licence): a neutral head and vectors of identity and of expression that
are added to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aadn.errors import InputError
from aadn.geometry import FloatArray
from aadn.schemes import IBUG68

IDENTITIES = 15
"""Identity vectors that are fitted, the first: later ones move the skin by less than half a
millimetre (our choice)."""

EXPRESSIONS = (
    "eyeBlink_L", "eyeBlink_R", "browDown_L", "browDown_R", "browInnerUp_L", "browInnerUp_R",
    "jawOpen", "mouthFunnel", "mouthPucker", "mouthSmile_L", "mouthSmile_R",
    "mouthStretch_L", "mouthStretch_R",
)  # fmt: skip
"""Expressions that are fitted: those that move landmarks most (our choice)."""

STEADY = (*range(6, 11), *range(17, 68))
"""Landmarks of iBUG's 68 that the model is fitted to: brows, eyes, nose, mouth and chin. The rest
of the jaw line is labelled on the outline of the face, which is another place on each turned
head."""

_POSE_STEPS, _STEPS = 8, 15
_FIRST_SCALE = 0.06
"""Of a centimetre, as a share of the face's extent: a face is about 17 cm high."""
_TOLERANCE = 0.02
"""Where the soft-L1 loss turns from square to linear, as a share of the face's extent."""
_NOISE = 0.015
"""Standard deviation of labels about a head's true places, as a share of the face's extent (our
choice): beside it, a coefficient's prior deviation is 1 for identities and half for expressions."""


@dataclass(frozen=True, eq=False)
class HeadModel:
    """A head's surface, and how it differs between people and expressions.

    Lengths are in centimetres; x points to the person's left, y up and z forward.

    Attributes:
        neutral: (V, 3) vertices.
        quads: (Q, 4) indices of vertices; seen from outside they run counter-clockwise.
        modes: (K, V, 3) what identities, then expressions, add.
        landmarks: (68,) the vertices of iBUG's landmarks.
        prior: (K,) what a coefficient's square costs in the fit.
    """

    neutral: FloatArray
    quads: NDArray[np.intp]
    modes: FloatArray
    landmarks: NDArray[np.intp]
    prior: FloatArray

    @classmethod
    def load(cls, path: Path) -> HeadModel:
        """Read the model's .npz (see `aadn train --head-model`).

        Its arrays: neutral (V, 3), quads (Q, 4), identity (I, V, 3), expression (E, V, 3),
        expression_names (E,) and landmarks68 (68,). Raises InputError for any other file.
        """
        names = "neutral", "quads", "identity", "expression", "expression_names", "landmarks68"
        try:
            with np.load(path, allow_pickle=False) as file:
                neutral, quads, identity, expression, known, landmarks = (file[n] for n in names)
            chosen = [known.tolist().index(name) for name in EXPRESSIONS]
            modes = np.concatenate([identity[:IDENTITIES], expression[chosen]]).astype(np.float64)
            valid = neutral.shape == modes.shape[1:] and landmarks.shape == (IBUG68.size,)
            if not valid or quads.max() >= len(neutral) or landmarks.max() >= len(neutral):
                raise ValueError("arrays do not fit each other")
        except (OSError, KeyError, ValueError, IndexError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path}: expected a head model, an .npz with {', '.join(names)}; {error}"
            ) from None
        prior = np.full(len(modes), 4 * _NOISE**2)
        prior[: len(identity[:IDENTITIES])] = _NOISE**2
        vertices = neutral.astype(np.float64)
        return cls(vertices, quads.astype(np.intp), modes, landmarks.astype(np.intp), prior)

    def surface(self, coefficients: FloatArray) -> FloatArray:
        """The vertices (V, 3) of a head with coefficients (K,)."""
        return self.neutral + np.tensordot(coefficients, self.modes, 1)


@dataclass(frozen=True, eq=False)
class HeadFit:
    """A head model laid over a face.

    Attributes:
        rotation: (3, 3) from the model's axes to the camera's: x to the picture's right, y up, z
            to the camera.
        scale: pixels of a centimetre.
        coefficients: (K,) of the model's modes.
        residual: root-mean-square distance to the points it was fitted to, as a share of their
            extent.
    """

    rotation: FloatArray
    scale: float
    coefficients: FloatArray
    residual: float

    @property
    def yaw(self) -> float:
        """Degrees in (-180, 180] by which the face, set upright, looks to the picture's right."""
        return float(np.degrees(np.arctan2(-self.rotation[2, 0], self.rotation[2, 2])))

    @property
    def pitch(self) -> float:
        """Degrees in [-90, 90] by which the face, set upright, is nodded up.

        `rotation` is a turn by yaw, then a nod by pitch, then a roll in the picture's plane.
        """
        return float(np.degrees(np.arcsin(np.clip(-self.rotation[2, 1], -1, 1))))


def fit_head(model: HeadModel, points: NDArray[np.floating]) -> HeadFit | None:
    """The pose, identity and expression that bring the model's landmarks nearest to a face's.

    Scaled orthographic projection; a soft-L1 loss over STEADY, by iterated Gauss-Newton steps; what
    is most probable for a head is preferred. Points (68, 2) in pixels, NaN where not labelled.
    None where fewer than 12 of STEADY are labelled.
    """
    steady = np.array(STEADY)
    steady = steady[np.isfinite(points[steady]).all(axis=1)]
    if len(steady) < 12:
        return None
    target = points[steady] * [1.0, -1.0]
    middle, extent = target.mean(axis=0), float(np.ptp(target, axis=0).max())
    target = (target - middle) / max(extent, 1e-9)
    places = model.landmarks[steady]
    starts = [_Descent(model, places, target, yaw) for yaw in (-60.0, 0.0, 60.0)]
    for descent in starts:
        descent.run(_POSE_STEPS, shaped=False)  # first the pose alone: a shape bends to a wrong one
    best = min(starts, key=lambda descent: descent.cost())
    best.run(_STEPS, shaped=True)
    return best.fit(extent)


class _Descent:
    """Iterated Gauss-Newton steps from a first yaw, in degrees.

    places (n,) vertices that shall come to target (n, 2), centred and of extent 1, y up.
    """

    def __init__(
        self, model: HeadModel, places: NDArray[np.intp], target: FloatArray, yaw: float
    ) -> None:
        self.neutral, self.modes = model.neutral[places], model.modes[:, places]
        self.target = target
        self.prior = model.prior
        self.rotation = rotation_of(np.array([0.0, np.radians(yaw), 0.0]))
        self.scale, self.shift = _FIRST_SCALE, np.zeros(2)
        self.coefficients = np.zeros(len(model.modes))

    def _state(self) -> tuple[FloatArray, FloatArray]:
        """The turned places (n, 3), and what the target is away from them (n, 2)."""
        shape = self.neutral + np.tensordot(self.coefficients, self.modes, 1)
        turned = shape @ self.rotation.T
        return turned, self.target - (self.scale * turned[:, :2] + self.shift)

    def run(self, steps: int, *, shaped: bool) -> None:
        """Some steps of pose, and of shape too if `shaped`."""
        for _ in range(steps):
            turned, error = self._state()
            flat = self._jacobian(turned, shaped=shaped).reshape(error.size, -1)
            soft = 1 / np.sqrt(1 + np.square(error).sum(1) / _TOLERANCE**2)
            weighted = flat * np.repeat(soft, 2)[:, None]
            normal, slope = weighted.T @ flat, weighted.T @ error.reshape(-1)
            normal += 1e-9 * np.eye(len(normal))
            if shaped:
                normal[6:, 6:] += np.diag(self.prior)
                slope[6:] -= self.prior * self.coefficients
            self._move(np.linalg.solve(normal, slope))

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
        bent = scale * np.einsum("kni,ji->njk", self.modes, self.rotation[:2])
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
        return float(np.mean(np.sqrt(1 + square / _TOLERANCE**2)))

    def fit(self, extent: float) -> HeadFit:
        """What was reached, for points whose extent is so many pixels."""
        residual = float(np.sqrt(np.square(self._state()[1]).sum(1).mean()))
        return HeadFit(self.rotation, self.scale * extent, self.coefficients, residual)


def rotation_of(vector: FloatArray) -> FloatArray:
    """The rotation about a vector (3,) by its length in radians, right-handed (Rodrigues)."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)

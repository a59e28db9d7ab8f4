"""A 3D model of heads: the skin, and where the landmarks lie on it.

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
from aadn.measures.head_fit import HeadPoints
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


@dataclass(frozen=True, eq=False)
class HeadModel:
    """A head's surface, and how its landmarks differ between people and expressions.

    Lengths are in centimetres; x points to the person's left, y up and z forward.

    Attributes:
        neutral: (V, 3) vertices.
        quads: (Q, 4) indices of vertices; seen from outside they run counter-clockwise.
        landmarks: (68,) the vertices of iBUG's landmarks.
        points: the landmarks alone, to be fitted to a face's.
    """

    neutral: FloatArray
    quads: NDArray[np.intp]
    landmarks: NDArray[np.intp]
    points: HeadPoints

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
            modes = [identity[:IDENTITIES, landmarks], expression[chosen][:, landmarks]]
            valid = neutral.shape == identity.shape[1:] == expression.shape[1:]
            if not valid or landmarks.shape != (IBUG68.size,) or quads.max() >= len(neutral):
                raise ValueError("arrays do not fit each other")
        except (OSError, KeyError, ValueError, IndexError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path}: expected a head model, an .npz with {', '.join(names)}; {error}"
            ) from None
        vertices = neutral.astype(np.float64)
        points = HeadPoints.of(
            vertices[landmarks], np.concatenate(modes).astype(np.float64), len(modes[0])
        )
        return cls(vertices, quads.astype(np.intp), landmarks.astype(np.intp), points)

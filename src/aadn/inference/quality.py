"""How far a face's landmarks can be trusted: the chance that they are right.

The landmark network says how far it expects each landmark to be from its true place. What it
expects on average, over the distance of the eyes that it sees, is the face's expected error e; on
what is no face it is large. A logistic curve turns it into a chance:

    quality = 1 / (1 + exp(-(bias + slope · ln e)))

Landmarks are right where their mean error is at most RIGHT. `benchmarks/fit_quality.py` fits the
two numbers on validation faces, well and badly cut out, and on pictures without faces.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aadn.faces import Float32
from aadn.geometry import FloatArray
from aadn.schemes import Scheme

RIGHT = 8.0
"""Percent of the scheme's usual normaliser that the mean error of right landmarks has at most, as
failures are usually counted (300-W)."""

LEAST = 1e-6
"""Lengths and errors are taken to be at least so large, and errors at most its inverse."""


@dataclass(frozen=True)
class Quality:
    """A network's calibration, see above; `slope` is negative in any that makes sense."""

    bias: float
    slope: float

    def __call__(
        self, points: NDArray[np.floating], uncertainty: NDArray[np.floating], scheme: Scheme
    ) -> Float32:
        """The chance that landmarks are right, (N,) float32 in [0, 1].

        Args:
            points: (N, L, 2) in any pixels.
            uncertainty: (N, L) in the same; NaN gives NaN.
            scheme: whose points they are.
        """
        with np.errstate(over="ignore"):
            logit = self.bias + self.slope * np.log(expected_error(points, uncertainty, scheme))
            return np.asarray(1 / (1 + np.exp(-logit)), np.float32)


def expected_error(
    points: NDArray[np.floating], uncertainty: NDArray[np.floating], scheme: Scheme
) -> FloatArray:
    """The mean error that a network expects, as a share of the scheme's usual normaliser, (N,).

    That length is measured on the points themselves; see `Quality` for the arguments.
    """
    where = np.asarray(points, np.float64)
    if scheme.normaliser in scheme.normalisers:
        first, second = (
            where[:, list(group)].mean(axis=1) for group in scheme.normalisers[scheme.normaliser]
        )
        length = np.linalg.norm(first - second, axis=1)
    else:
        length = np.sqrt(np.ptp(where, axis=1).prod(axis=1))
    error: FloatArray = uncertainty.mean(axis=1, dtype=np.float64) / np.maximum(length, LEAST)
    return np.clip(error, LEAST, 1 / LEAST)

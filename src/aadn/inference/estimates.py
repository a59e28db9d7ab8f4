"""What a network says of crops: the one record that leaves it, wherever it runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aadn.errors import NetworkError
from aadn.faces import OCCLUSION_GRID, Float32

FARTHEST = 1e6
"""Crop pixels: thousands of crops away, where no working network puts a point (our choice)."""


@dataclass(frozen=True, eq=False)
class Estimates:
    """A network's answers to N crops of S×S pixels. What a network does not give is None.

    Attributes:
        points: (N, L, 2) float32 crop pixels, (0, 0) the centre of the top-left one; at most
            FARTHEST from it.
        visibility: (N, L) float32 in [0, 1]: the probability of the state "seen"; that of
            "covered" is what is left beside it and `turned`.
        uncertainty: (N, L) float32 crop pixels, 0 or more: the expected distance of each point to
            its true place; or None.
        occlusion: (N, 7, 7) float32 in [0, 1], rows from the top: how far that part of the crop is
            covered; or None.
        turned: (N, L) float32 in [0, 1]: the probability of the state "turned away"; or None.

    Raises NetworkError for values that no network may give: NaN, or out of range.
    """

    points: Float32
    visibility: Float32
    uncertainty: Float32 | None = None
    occlusion: Float32 | None = None
    turned: Float32 | None = None

    def __post_init__(self) -> None:
        count, landmarks = self.points.shape[:2]
        grid = (count, OCCLUSION_GRID, OCCLUSION_GRID)
        for name, shape, low, high in (
            ("points", (count, landmarks, 2), -FARTHEST, FARTHEST),
            ("visibility", (count, landmarks), 0, 1),
            ("uncertainty", (count, landmarks), 0, FARTHEST),
            ("turned", (count, landmarks), 0, 1),
            ("occlusion", grid, -1e-3, 1 + 1e-3),  # 1 - P, of float32
        ):
            values = getattr(self, name)
            if values is None:
                continue
            if values.shape != shape:
                raise NetworkError(f"expected {name} of shape {shape}, got {values.shape}")
            if not ((values >= low) & (values <= high)).all():  # nor NaN
                raise NetworkError(
                    f"the network gives {name} that is not finite or out of range; its weights "
                    "are broken: export them again, or train with a lower --learning-rate"
                )

    @property
    def landmarks(self) -> int:
        """L."""
        return int(self.points.shape[1])

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, rows: slice | NDArray[np.intp]) -> Estimates:
        """The answers to some of the crops."""
        return Estimates(
            self.points[rows],
            self.visibility[rows],
            None if self.uncertainty is None else self.uncertainty[rows],
            None if self.occlusion is None else self.occlusion[rows],
            None if self.turned is None else self.turned[rows],
        )

    @classmethod
    def none(cls, landmarks: int) -> Estimates:
        """The answers to no crops."""
        return cls(np.empty((0, landmarks, 2), np.float32), np.empty((0, landmarks), np.float32))

    @classmethod
    def joined(cls, parts: list[Estimates]) -> Estimates:
        """The answers to some batches of the same network, at least one, as one."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            np.concatenate([part.points for part in parts]),
            np.concatenate([part.visibility for part in parts]),
            _joined([part.uncertainty for part in parts]),
            _joined([part.occlusion for part in parts]),
            _joined([part.turned for part in parts]),
        )


def _joined(parts: list[Float32 | None]) -> Float32 | None:
    known = [part for part in parts if part is not None]
    return np.concatenate(known) if known else None

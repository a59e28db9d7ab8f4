"""Faces: what detection returns, as arrays over the faces of one picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aadn.errors import InputError
from aadn.geometry import CROP_FACTOR

Float32 = NDArray[np.float32]

VISIBILITY_THRESHOLD = 0.5
"""A landmark of lower visibility counts as hidden, unless a network brings a threshold of its own,
which training chose on validation faces."""

OCCLUSION_GRID = 7
"""Rows and columns of the occlusion map."""


@dataclass(frozen=True, eq=False)
class Face:
    """One face; the rows of `Faces` without their first axis.

    Attributes:
        points: (L, 2) float32 picture pixels (x, y), (0, 0) the centre of the top-left pixel.
        visibility: (L,) float32 in [0, 1], 1 = seen.
        uncertainty: (L,) float32 picture pixels, see `Faces`.
        box: (4,) float32 x0, y0, x1, y1.
        score: the detector's, in [0, 1].
        occlusion: (7, 7) float32 in [0, 1], 1 = hidden; NaN from a network without it.
    """

    points: Float32
    visibility: Float32
    uncertainty: Float32
    box: Float32
    score: float
    occlusion: Float32
    scheme: str
    visibility_threshold: float = VISIBILITY_THRESHOLD
    crop_factor: float = CROP_FACTOR

    @property
    def hidden(self) -> NDArray[np.bool_]:
        """(L,) True where the landmark is hidden: visibility below the threshold."""
        return self.visibility < self.visibility_threshold


@dataclass(frozen=True, eq=False)
class Faces:
    """The N faces of one picture; N may be 0.

    `faces[0]` and iteration give a `Face`; slices, masks and lists of indices give `Faces`.

    Attributes:
        points: (N, L, 2) float32 picture pixels (x, y), (0, 0) the centre of the top-left pixel.
        visibility: (N, L) float32 in [0, 1], 1 = seen.
        uncertainty: (N, L) float32 picture pixels, 0 or more: the expected distance between the
            landmark's point and its true place. NaN from a network that does not give it.
        boxes: (N, 4) float32 x0, y0, x1, y1 around the landmarks, as the detector or the caller
            gave them.
        scores: (N,) float32 in [0, 1] of the detector; 1 for boxes that the caller gave.
        occlusion: (N, 7, 7) float32 in [0, 1], rows from the top: how far that part of the face's
            crop is covered. Beyond the face it means nothing: training does not say what is right
            there. NaN from a network without such a map.
        scheme: the landmark scheme's name, "ibug68" for example.
        visibility_threshold: `hidden` is visibility below it.
        crop_factor: side of the crop, which `occlusion` covers, over the box's longer side.

    Raises InputError if shapes or ranges do not fit.
    """

    points: Float32
    visibility: Float32
    uncertainty: Float32
    boxes: Float32
    scores: Float32
    occlusion: Float32
    scheme: str
    visibility_threshold: float = VISIBILITY_THRESHOLD
    crop_factor: float = CROP_FACTOR

    def __post_init__(self) -> None:
        for name in ("points", "visibility", "uncertainty", "boxes", "scores", "occlusion"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), np.float32))
        count, size = (*self.points.shape, 0, 0)[:2]
        for name, shape in {
            "points": (count, size, 2),
            "visibility": (count, size),
            "uncertainty": (count, size),
            "boxes": (count, 4),
            "scores": (count,),
            "occlusion": (count, OCCLUSION_GRID, OCCLUSION_GRID),
        }.items():
            got = getattr(self, name).shape
            if got != shape:
                raise InputError(f"expected {name} of shape {shape}, got {got}")
        if not ((self.visibility >= 0) & (self.visibility <= 1)).all():
            raise InputError("expected visibility in [0, 1]")
        known = self.uncertainty[~np.isnan(self.uncertainty)]
        if not ((known >= 0) & np.isfinite(known)).all():
            raise InputError("expected uncertainty of 0 or more pixels, or NaN")

    @classmethod
    def empty(cls, landmarks: int = 68, scheme: str = "ibug68") -> Faces:
        """No face: arrays with their usual shapes, and 0 for N."""

        def none(*shape: int) -> Float32:
            return np.zeros((0, *shape), np.float32)

        grid = OCCLUSION_GRID
        return cls(
            none(landmarks, 2),
            none(landmarks),
            none(landmarks),
            none(4),
            none(),
            none(grid, grid),
            scheme,
        )

    @property
    def hidden(self) -> NDArray[np.bool_]:
        """(N, L) True where the landmark is hidden: visibility below the threshold."""
        return self.visibility < self.visibility_threshold

    def __len__(self) -> int:
        return len(self.points)

    @overload
    def __getitem__(self, index: int) -> Face: ...

    @overload
    def __getitem__(self, index: slice | ArrayLike) -> Faces: ...

    def __getitem__(self, index: int | slice | ArrayLike) -> Face | Faces:
        rest = (self.scheme, self.visibility_threshold, self.crop_factor)
        if isinstance(index, int | np.integer):
            return Face(
                self.points[index],
                self.visibility[index],
                self.uncertainty[index],
                self.boxes[index],
                float(self.scores[index]),
                self.occlusion[index],
                *rest,
            )
        rows = index if isinstance(index, slice) else np.asarray(index)
        return Faces(
            self.points[rows],
            self.visibility[rows],
            self.uncertainty[rows],
            self.boxes[rows],
            self.scores[rows],
            self.occlusion[rows],
            *rest,
        )

    def __iter__(self) -> Iterator[Face]:
        return (self[i] for i in range(len(self)))

"""The face detector's first look: where in a picture faces may be.

What a file holds (`aadn.training.face_detector.export` writes it): input `images` (N, H, W, 3)
uint8 RGB of any size; outputs `scores` (N, C) in [0, 1] and `faces` (N, C, 6) for the C cells of
its grids, see `aadn.models.face_detector`; metadata `aadn_face_detector`, the JSON of the strides.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from aadn.errors import WeightsError
from aadn.geometry import FloatArray, turned_extent
from aadn.inference.detections import Detections, suppress
from aadn.inference.session import OnnxSession

KEY = "aadn_face_detector"
"""Where a file's metadata say that it is one of ours."""

SIDE = 640
"""Pixels of the longer side of the copy that it looks at, unless it is told the smallest face (our
choice, measured on validation pictures)."""

ENLARGED = 2.0
"""Pictures are enlarged at most so many times."""

FINDS = 20.0
"""The smallest face, in pixels of the copy, that it finds reliably: on validation pictures, where
most are under masks, three in four of 20 to 25 pixels."""

TILE = 1280
"""Pixels of the longer side of a piece that is looked at at once, which bounds the memory."""

OVERLAP = 128
"""Pixels that neighbouring pieces share; larger faces are found on the copy of the whole."""

MOST = 1000
"""Places that may be faces, at most: the best of them."""


class FaceProposals:
    """Runs the first network. It pickles, and works in threads and after a fork."""

    def __init__(self, path: str | Path, *, threads: int | None = None) -> None:
        """Open a file; WeightsError if it is missing, broken or no face detector of ours."""
        self.session = OnnxSession(path, threads=threads)
        self._strides = _strides(self.session)

    def __call__(
        self, image: NDArray[np.uint8], min_score: float, smallest: float | None
    ) -> Detections:
        """What may be faces in an RGB picture (H, W, 3) uint8, the best first.

        `smallest` is in pixels, see `FaceDetector`.
        """
        views = _views(image.shape[:2], smallest)
        found = Detections.joined([self._look(image, view, min_score) for view in views])
        found = found.rows(np.argsort(-found.scores, kind="stable")[:MOST])
        return found.rows(suppress(turned_extent(found.boxes, found.angles), found.scores))

    def _look(self, image: NDArray[np.uint8], view: _View, min_score: float) -> Detections:
        """What the network finds in a part of a picture, in the picture's pixels."""
        part = image[view.top : view.bottom, view.left : view.right]
        small = resized(part, view.scale)
        scores, faces = self.session(small[None], ("scores", "faces"))
        cells = np.flatnonzero(scores[0] >= min_score)
        middles, strides = _cells(small.shape[:2], self._strides, cells)
        face = np.asarray(faces[0, cells], np.float64)
        middle = middles + face[:, :2] * strides
        half = face[:, 2:4] * strides / 2
        factor = np.divide(part.shape[1::-1], small.shape[1::-1])
        # The network's pixels are counted from the picture's corner, ours from a pixel's middle.
        middle, half = middle * factor - 0.5, half * factor
        own = view.owns(middle, image.shape[:2])
        boxes = np.hstack([middle - half, middle + half]) + [view.left, view.top] * 2
        angles = np.degrees(np.arctan2(face[:, 5], face[:, 4]))
        return Detections(boxes, scores[0, cells].astype(np.float64), angles).rows(own)


def _strides(session: OnnxSession) -> tuple[int, ...]:
    """The strides that a file's metadata name; WeightsError if it is no face detector of ours."""
    try:
        content = json.loads(session.metadata[KEY])
        return tuple(int(stride) for stride in content["strides"])
    except (KeyError, ValueError, TypeError):
        raise WeightsError(
            f"{session.path}: an ONNX file, but no face detector of aadn's (no metadata '{KEY}'); "
            "for YuNet's file, aadn.inference.detectors.YuNet(file)"
        ) from None


@dataclass(frozen=True)
class _View:
    """A part of a picture, in its pixels, and how much larger or smaller it is looked at."""

    top: int
    bottom: int
    left: int
    right: int
    scale: float

    def owns(self, middles: FloatArray, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Which faces, by their middles (N, 2) in the part, are not a neighbour's to find."""
        margin = OVERLAP / 2 / self.scale
        x, y = middles[:, 0] + self.left, middles[:, 1] + self.top
        return (
            ((x >= self.left + margin) | (self.left == 0))
            & ((x < self.right - margin) | (self.right == shape[1]))
            & ((y >= self.top + margin) | (self.top == 0))
            & ((y < self.bottom - margin) | (self.bottom == shape[0]))
        )


def _views(shape: tuple[int, ...], smallest: float | None) -> Iterator[_View]:
    """The whole picture, and where that is too large at the scale that is needed, its tiles."""
    height, width = shape[:2]
    longest = max(height, width)
    whole = SIDE / longest
    scale = min(whole if smallest is None else FINDS / smallest, ENLARGED)
    scale = max(scale, 1 / min(height, width))
    if longest * scale <= TILE:
        yield _View(0, height, 0, width, scale)
        return
    yield _View(0, height, 0, width, whole)
    for top, bottom in _tiles(height, scale):
        for left, right in _tiles(width, scale):
            yield _View(top, bottom, left, right, scale)


def _tiles(side: int, scale: float) -> Iterator[tuple[int, int]]:
    """Where to cut a side: parts of at most TILE pixels of the copy that share OVERLAP of them."""
    size, step = TILE / scale, (TILE - OVERLAP) / scale
    count = max(1, int(np.ceil((side - size) / step)) + 1)
    for number in range(count):
        # Spread evenly, so that none is a sliver.
        start = round(number * (side - size) / max(1, count - 1)) if count > 1 else 0
        yield start, min(side, round(start + size)) if number < count - 1 else side


def resized(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """A copy of an RGB picture, `scale` times as large; a pixel at least."""
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    if (height, width) == image.shape[:2]:
        return np.ascontiguousarray(image)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=how), np.uint8)


def _cells(
    shape: tuple[int, ...], strides: tuple[int, ...], cells: NDArray[np.intp]
) -> tuple[FloatArray, FloatArray]:
    """Middles (N, 2) and strides (N, 1) of some of the network's cells, by their numbers."""
    middles, steps = np.empty((len(cells), 2)), np.empty((len(cells), 1))
    first = 0
    for stride in strides:
        rows, columns = -(-shape[0] // stride), -(-shape[1] // stride)
        here = (cells >= first) & (cells < first + rows * columns)
        row, column = np.divmod(cells[here] - first, columns)
        middles[here] = (np.stack([column, row], axis=1) + 0.5) * stride
        steps[here] = stride
        first += rows * columns
    return middles, steps

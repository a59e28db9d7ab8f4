"""The face detector that comes with the package: a picture to its faces, however far turned.

What a file holds (`aadn.training.face_detector.export` writes it): input `images` (N, H, W, 3)
uint8 RGB of any size; outputs `scores` (N, C) in [0, 1] and `faces` (N, C, 6) for the C cells of
its grids, see `aadn.models.face_detector`; metadata `aadn_face_detector`, the JSON of the strides.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from aadn.errors import InputError, WeightsError
from aadn.geometry import FloatArray, turned_extent
from aadn.inference.detections import MIN_SCORE, Detections, suppress
from aadn.inference.session import OnnxSession

WEIGHTS = Path(__file__).parents[1] / "weights" / "face_detector.onnx"

KEY = "aadn_face_detector"
"""Where a file's metadata say that it is one of ours."""

SIDE = 640
"""Pixels of the longer side of the copy on which it looks, unless it is told the smallest face (our
choice, measured on validation pictures)."""

ENLARGED = 2.0
"""Pictures are enlarged at most so many times."""

FINDS = 10.0
"""The smallest face, in pixels of the copy, that it is trained to find with certainty."""

TILE = 1280
"""Pixels of the longer side of a piece that is looked at at once, which bounds the memory."""

OVERLAP = 128
"""Pixels that neighbouring pieces share; larger faces are found on the smaller copy of the whole."""


class FaceDetector:
    """Finds faces under masks and behind things, small ones, and turned by any angle.

    It may be called from several threads, after a fork and in spawned processes; it pickles.

    Examples:
        >>> from aadn import FaceDetector, load_image
        >>> boxes, scores, angles = FaceDetector()(load_image("examples/astronaut.jpg"))
        >>> boxes.shape, scores.shape, bool(abs(angles[0]) < 20)
        ((1, 4), (1,), True)
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        min_score: float = MIN_SCORE,
        min_size: float | None = None,
        max_faces: int | None = None,
        threads: int | None = None,
    ) -> None:
        """Open the network.

        Args:
            path: an ONNX file of another such network; None for the one that is embedded.
            min_score: faces of a lower score, in [0, 1], are left out.
            min_size: the smallest face to find, in pixels of the longer side of the box around its
                landmarks, or, below 1, as a share of the picture's longer side. It decides on how
                large a copy of the picture the network looks, so how long it takes: a larger
                smallest face is faster. None for a copy of SIDE pixels, on which faces of a
                sixty-fourth of the longer side are found. Smaller faces are left out.
            max_faces: that many at most, those of the best scores.
            threads: that compute it; None for one for each core.

        Raises:
            InputError: a value is out of range.
            WeightsError: the file is missing, broken or no face detector of ours.
        """
        if not 0 <= min_score <= 1:
            raise InputError(f"expected a minimum score in [0, 1], got {min_score}")
        if min_size is not None and not 0 < min_size < np.inf:
            raise InputError(
                "expected a smallest face of more than 0 pixels, or a share of the picture below "
                f"1, got {min_size}"
            )
        if max_faces is not None and max_faces < 1:
            raise InputError(f"expected 1 face or more at most, got {max_faces}")
        self.min_score = min_score
        self.min_size = min_size
        self.max_faces = max_faces
        self.session = OnnxSession(WEIGHTS if path is None else path, threads=threads)
        self._strides = _strides(self.session)

    def __call__(self, image: NDArray[np.uint8]) -> Detections:
        """The faces of an RGB picture (H, W, 3) uint8, the best first."""
        smallest = self._smallest(image)
        found = Detections.joined(
            [self._look(image, view) for view in _views(image.shape[:2], smallest)]
        )
        if smallest is not None:
            found = found.rows((found.boxes[:, 2:] - found.boxes[:, :2]).max(axis=1) >= smallest)
        kept = suppress(turned_extent(found.boxes, found.angles), found.scores)
        return found.rows(kept[: self.max_faces])

    def _smallest(self, image: NDArray[np.uint8]) -> float | None:
        if self.min_size is None or self.min_size >= 1:
            return self.min_size
        return self.min_size * max(image.shape[:2])

    def _look(self, image: NDArray[np.uint8], view: _View) -> Detections:
        """What the network finds in a part of a picture, in the picture's pixels."""
        part = image[view.top : view.bottom, view.left : view.right]
        small = _resized(part, view.scale)
        scores, faces = self.session(small[None], ("scores", "faces"))
        cells = np.flatnonzero(scores[0] >= self.min_score)
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

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (
            self.session.path,
            self.min_score,
            self.min_size,
            self.max_faces,
            self.session.threads,
        )


def _rebuilt(
    path: Path,
    min_score: float,
    min_size: float | None,
    max_faces: int | None,
    threads: int | None,
) -> FaceDetector:
    return FaceDetector(
        path, min_score=min_score, min_size=min_size, max_faces=max_faces, threads=threads
    )


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


def _resized(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
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

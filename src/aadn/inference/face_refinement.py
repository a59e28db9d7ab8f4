"""The face detector's second look at what may be faces, each levelled and of one size.

What a file holds (`aadn.training.face_detector.export` writes it): input `images` (N, S, S, 3)
uint8 RGB crops; output `answers` (N, 7), see `aadn.models.face_refiner`; metadata
`aadn_face_refiner`, the JSON of the crop's size and its side over the box's.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aadn.errors import WeightsError
from aadn.geometry import Crop, turn, wrapped
from aadn.inference.detections import Detections
from aadn.inference.session import OnnxSession

KEY = "aadn_face_refiner"
"""Where a file's metadata say that it is one of ours."""


class FaceRefinement:
    """Runs the second network. It pickles, and works in threads and after a fork."""

    def __init__(self, path: str | Path, *, threads: int | None = None) -> None:
        """Open a file; WeightsError if it is missing, broken or no second network of ours."""
        self.session = OnnxSession(path, threads=threads)
        try:
            content = json.loads(self.session.metadata[KEY])
            self.size, self.factor = int(content["size"]), float(content["factor"])
        except (KeyError, ValueError, TypeError):
            raise WeightsError(
                f"{self.session.path}: an ONNX file, but not the second network of a face detector "
                f"of aadn's (no metadata '{KEY}')"
            ) from None

    def __call__(self, image: NDArray[np.uint8], found: Detections) -> Detections:
        """The same places of a picture, with scores, boxes and angles as it sees them."""
        if len(found.scores) == 0:
            return found
        crops = [
            self._crop(box, angle) for box, angle in zip(found.boxes, found.angles, strict=True)
        ]
        pixels = np.stack([crop.cut(image) for crop in crops])
        (answers,) = self.session(pixels, ("answers",))
        return refined(found, answers.astype(np.float64))

    def _crop(self, box: NDArray[np.float64], angle: float) -> Crop:
        return Crop.around(box, self.size, self.factor, float(angle))


def refined(found: Detections, answers: NDArray[np.float64]) -> Detections:
    """Places (N) as the second network's answers (N, 7) to them say."""
    middles = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
    sizes = found.boxes[:, 2:] - found.boxes[:, :2]
    side = sizes.max(axis=1, keepdims=True)
    turns = np.array([turn(angle) for angle in found.angles]).reshape(-1, 2, 2)
    # Offsets are in the levelled crop.
    middles = middles + np.einsum("nij,nj->ni", turns, answers[:, 1:3] * side)
    half = sizes * np.exp(np.clip(answers[:, 3:5], -1, 1)) / 2
    angles = found.angles + np.degrees(np.arctan2(answers[:, 6], answers[:, 5]))
    scores = 1 / (1 + np.exp(-answers[:, 0]))
    return Detections(np.hstack([middles - half, middles + half]), scores, wrapped(angles))

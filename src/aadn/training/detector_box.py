"""Where the faces that a network learns lie in the boxes that the detector finds.

The detector's boxes fit around iBUG's 68 points, from the brows to the chin. A network with other
points is trained on boxes around those, so what is detected must be cut by such boxes too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from aadn.data.samples import Sample
from aadn.inference.detections import Detector
from aadn.inference.detectors import BoxTransform

FACES = 300
"""So many faces are looked at (our choice)."""

LEAST = 3
"""With fewer faces found, nothing is said (our choice)."""

FloatArray = NDArray[np.float64]


def detector_box(samples: Sequence[Sample], detector: Detector) -> BoxTransform | None:
    """From the detector's boxes to the samples': medians of shift and size over the faces found.

    None if the detector finds fewer than LEAST of them.
    """
    chosen = np.linspace(0, len(samples) - 1, min(FACES, len(samples))).round().astype(int)
    rows = []
    for index in tqdm(chosen, "looking at the detector's boxes", unit="face", disable=None):
        sample = samples[index]
        boxes = np.asarray(detector(sample.picture())[0], np.float64)
        box = _around(boxes, sample.box)
        if box is not None:
            size, own = box[2:] - box[:2], sample.box[2:] - sample.box[:2]
            shift = (sample.box[:2] + own / 2 - box[:2] - size / 2) / size
            rows.append([*shift, *(own / size)])
    if len(rows) < LEAST:
        return None
    return BoxTransform(*(round(float(value), 4) for value in np.median(rows, axis=0)))


def _around(boxes: FloatArray, own: FloatArray) -> FloatArray | None:
    """Of detected boxes (N, 4) the one that has most of a face's own box, and at least half."""
    if len(boxes) == 0:
        return None
    sides = np.minimum(boxes[:, 2:], own[2:]) - np.maximum(boxes[:, :2], own[:2])
    shares = np.clip(sides, 0, None).prod(axis=1) / (own[2:] - own[:2]).prod()
    best = int(np.argmax(shares))
    return boxes[best] if shares[best] >= 0.5 else None

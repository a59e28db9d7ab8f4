"""The faces of a data set cut out once and kept in memory, so that no epoch decodes a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from aadn.data.folders import check_points
from aadn.data.samples import Sample
from aadn.geometry import CROP_FACTOR, Crop, FloatArray, beyond
from aadn.schemes import Scheme

MARGIN = 1.5
"""Stored crops are this much wider than what a network sees: room to turn and shift."""


@dataclass(frozen=True)
class CropSet:
    """N faces with L landmarks each.

    Attributes:
        images: (N, T, T, 3) uint8 RGB.
        points: (N, L, 2) float64, pixels of the stored crops; NaN = not labelled.
        visible: (N, L) float64, 1 seen, 0 hidden, NaN unknown. Where nobody says, every landmark in
            the picture counts as seen.
        turned: (N, L) float64, 1 where the head itself hides the landmark, 0 where it does not, NaN
            unknown.
        margin: side of a stored crop over the side of what a network sees.
        scales: (N,) pixels of the stored crop for one of the source picture.
        scheme: whose landmarks they are.
        factor: side of what a network sees over the longer side of the box around the landmarks.
        guessed: (N, L) bool, True where a point is a guess, not to be learned from; None for none.
    """

    images: NDArray[np.uint8]
    points: NDArray[np.float64]
    visible: NDArray[np.float64]
    turned: NDArray[np.float64]
    margin: float
    scales: NDArray[np.float64]
    scheme: Scheme
    factor: float = CROP_FACTOR
    guessed: NDArray[np.bool_] | None = None

    def box_for(self, factor: float) -> FloatArray:
        """The box (4,) around which a network with that crop factor sees what one in training does:
        the middle of each stored crop."""
        side = self.images.shape[1]
        return Crop(np.eye(2, 3), side).inner_box(factor * self.margin)


def cut_crops(
    samples: Sequence[Sample],
    scheme: Scheme,
    size: int,
    margin: float = MARGIN,
    *,
    factor: float = CROP_FACTOR,
    title: str = "reading",
) -> CropSet:
    """Read and cut every sample.

    `size` is the network's input in pixels: a stored crop has round(size·margin) pixels a side,
    so what the network sees keeps its resolution; `factor` as in `CropSet`. Raises ImageError for a
    picture that cannot be read and AnnotationError for points that cannot belong to it.
    """
    stored = round(size * margin)
    count, landmarks = len(samples), scheme.size
    images = np.empty((count, stored, stored, 3), np.uint8)
    points = np.empty((count, landmarks, 2))
    visible = np.ones((count, landmarks))
    scales = np.empty(count)
    for i, sample in enumerate(tqdm(samples, title, unit="face", disable=None)):
        image = sample.picture()
        check_points(sample, image.shape[1], image.shape[0])
        crop = Crop.around(sample.box, stored, factor * margin)
        images[i] = crop.cut(image)
        scales[i] = crop.scale
        points[i] = crop.to_crop(sample.points)
        if sample.visible is not None:
            visible[i] = sample.visible
        outside = beyond(sample.points, image.shape[1], image.shape[0])
        visible[i][outside | beyond(points[i], stored, stored)] = 0.0
    turned = np.full((count, landmarks), np.nan)
    none = np.zeros(landmarks, bool)
    guessed = np.array([none if s.guessed is None else s.guessed for s in samples])
    return CropSet(images, points, visible, turned, margin, scales, scheme, factor, guessed)

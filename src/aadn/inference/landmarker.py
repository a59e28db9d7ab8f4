"""Landmarker: a picture to its faces' landmarks, on ONNX Runtime alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aadn.errors import InputError
from aadn.faces import OCCLUSION_GRID, Faces, Float32
from aadn.geometry import crop_matrix, invert, scale_of, transform, warp
from aadn.images import load_image
from aadn.inference.detectors import Detector, default_detector
from aadn.inference.onnx import Card, Network

Source = str | Path | bytes | NDArray[np.uint8]


class Landmarker:
    """Finds faces and their landmarks.

    >>> faces = Landmarker()("photo.jpg")  # doctest: +SKIP
    >>> faces.points.shape, faces.hidden.sum(axis=1)  # doctest: +SKIP
    """

    def __init__(self, weights: str | Path | None = None, detector: Detector | None = None) -> None:
        """Load the network.

        Args:
            weights: an ONNX file that `aadn export` wrote; None for the embedded model.
            detector: any callable from an RGB picture to boxes (N, 4) and scores (N,), see
                `aadn.inference.detectors`; None for `default_detector()`, made when first needed.

        Raises:
            WeightsError: the file is missing, broken or not one of ours.
        """
        self._network = Network.load(weights)
        self._detector = detector

    @property
    def card(self) -> Card:
        """What the network is: name, landmark scheme, crop size, threshold of visibility."""
        return self._network.card

    def __call__(self, image: Source, boxes: ArrayLike | None = None) -> Faces:
        """The faces of one picture; all of them go through the network together.

        Args:
            image: path, bytes or array, see `aadn.images.load_image`.
            boxes: (N, 4) x0, y0, x1, y1 tight around each face's landmarks (brows to chin), in
                pixels; replaces the detector, and the scores are then 1.

        Raises:
            ImageError: the picture cannot be read.
            InputError: an array or boxes of another shape, or a box without extent.
        """
        return self.many([image], None if boxes is None else [boxes])[0]

    def many(
        self, images: Iterable[Source], boxes: Sequence[ArrayLike] | None = None
    ) -> list[Faces]:
        """The faces of several pictures, whose crops go through the network together.

        Args:
            images: the pictures; one of them at a time is in memory.
            boxes: for each picture its boxes (N, 4); None for the detector.

        Returns:
            One Faces for each picture, in order.

        Raises:
            ImageError, InputError: as for a single picture; InputError if there is not one array
                of boxes for each picture.
        """
        found: list[tuple[Float32, Float32]] = []
        inverses: list[NDArray[np.float64]] = []
        crops: list[NDArray[np.uint8]] = []
        for i, source in enumerate(images):
            if boxes is not None and i == len(boxes):
                raise InputError(f"expected boxes for each picture, got {i} arrays")
            image = load_image(source)
            found.append(self._boxes(image, None if boxes is None else boxes[i]))
            for box in found[-1][0]:
                matrix = crop_matrix(box, self.card.size, self.card.crop_factor)
                inverses.append(invert(matrix))
                crops.append(warp(image, matrix, self.card.size))
        if boxes is not None and len(found) != len(boxes):
            raise InputError(
                f"expected boxes for each of {len(found)} pictures, got {len(boxes)} arrays"
            )
        size = self.card.size
        stack = np.stack(crops) if crops else np.empty((0, size, size, 3), np.uint8)
        points, visibility, occlusion, uncertainty = self._network(stack)
        for face, inverse in enumerate(inverses):
            points[face] = transform(points[face], inverse)
            uncertainty[face] *= scale_of(inverse)
        faces = []
        start = 0
        for picture_boxes, scores in found:
            rows = slice(start, start := start + len(picture_boxes))
            faces.append(
                self._faces(
                    points[rows],
                    visibility[rows],
                    uncertainty[rows],
                    picture_boxes,
                    scores,
                    occlusion[rows],
                )
            )
        return faces

    def crops(self, crops: NDArray[np.uint8]) -> Faces:
        """The landmarks of ready-made crops, one face each, in crop pixels.

        Args:
            crops: (N, S, S, 3) uint8 RGB, S = `card.size`, cut as `geometry.crop_matrix` does
                with `card.crop_factor`.

        Raises:
            InputError: crops of another shape or type.
        """
        points, visibility, occlusion, uncertainty = self._network(crops)
        half = self.card.size / 2 / self.card.crop_factor
        middle = (self.card.size - 1) / 2
        box = np.array([middle - half, middle - half, middle + half, middle + half], np.float32)
        boxes = np.tile(box, (len(crops), 1))
        scores = np.ones(len(crops), np.float32)
        return self._faces(points, visibility, uncertainty, boxes, scores, occlusion)

    def _boxes(self, image: NDArray[np.uint8], given: ArrayLike | None) -> tuple[Float32, Float32]:
        """Boxes (N, 4) and scores (N,), checked; float32 before anything is cut by them, so that
        `faces.boxes`, given back, gives the same points to the last bit."""
        if given is None:
            if self._detector is None:
                self._detector = default_detector()
            boxes, scores = (np.asarray(a, np.float32) for a in self._detector(image))
            if scores.shape != (len(boxes),):
                raise InputError(
                    f"expected a score for each box of the detector, got boxes {boxes.shape} and "
                    f"scores {scores.shape}"
                )
        else:
            try:
                boxes = np.asarray(given, np.float32)
            except (TypeError, ValueError):
                raise InputError("expected boxes as an array of numbers (N, 4)") from None
            if boxes.size == 0:  # an empty list too means no face
                boxes = boxes.reshape(0, 4)
            scores = np.ones(len(boxes) if boxes.ndim else 0, np.float32)
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise InputError(f"expected boxes of shape (N, 4): x0, y0, x1, y1; got {boxes.shape}")
        good = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        if not good.all():
            bad = int(np.argmin(good))
            raise InputError(
                f"box {bad}: expected finite numbers with x0 < x1 and y0 < y1, "
                f"got {boxes[bad].tolist()}"
            )
        return boxes, scores

    def _faces(
        self,
        points: Float32,
        visibility: Float32,
        uncertainty: Float32,
        boxes: Float32,
        scores: Float32,
        occlusion: Float32,
    ) -> Faces:
        return Faces(
            points,
            visibility,
            uncertainty,
            boxes,
            scores,
            occlusion.reshape(-1, OCCLUSION_GRID, OCCLUSION_GRID),
            self.card.scheme,
            self.card.visibility_threshold,
            self.card.crop_factor,
        )

"""dlib's names for faces and landmarks, so that scripts that were written for it run with aadn.

    import aadn.dlib as dlib                     # was: import dlib

    detector = dlib.get_frontal_face_detector()
    predictor = dlib.shape_predictor()           # was: dlib.shape_predictor(path)

What scripts for landmarks use is here: finding faces, predicting their 68 points, rectangles,
points and shapes. Points are whole pixels, as dlib's are; `shape.face` has all that aadn knows of a
face, exactly, with what is hidden. dlib itself is not needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from os import PathLike, fspath

import numpy as np
from numpy.typing import NDArray

from aadn.errors import InputError
from aadn.faces import Face
from aadn.images import load_image
from aadn.inference.face_detector import FaceDetector
from aadn.inference.landmarker import Landmarker

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class point:
    """A place in whole pixels."""

    x: int
    y: int

    def __iter__(self) -> Iterator[int]:
        return iter((self.x, self.y))

    def __add__(self, other: point) -> point:
        return point(self.x + other.x, self.y + other.y)

    def __sub__(self, other: point) -> point:
        return point(self.x - other.x, self.y - other.y)


class rectangle:
    """A box in whole pixels, its sides part of it, as dlib has them.

    Attributes:
        angle: degrees by which the face in it is turned clockwise; None where nobody says.
        score: the detector's.
    """

    def __init__(
        self,
        left: int,
        top: int,
        right: int,
        bottom: int,
        *,
        angle: float | None = None,
        score: float = 1.0,
    ) -> None:
        self._sides = int(left), int(top), int(right), int(bottom)
        self.angle = angle
        self.score = score

    def left(self) -> int:
        """The first column."""
        return self._sides[0]

    def top(self) -> int:
        """The first row."""
        return self._sides[1]

    def right(self) -> int:
        """The last column."""
        return self._sides[2]

    def bottom(self) -> int:
        """The last row."""
        return self._sides[3]

    def width(self) -> int:
        """Columns."""
        return max(self.right() - self.left() + 1, 0)

    def height(self) -> int:
        """Rows."""
        return max(self.bottom() - self.top() + 1, 0)

    def area(self) -> int:
        """Pixels."""
        return self.width() * self.height()

    def is_empty(self) -> bool:
        """Whether it has no pixel."""
        return self.area() == 0

    def center(self) -> point:
        """The middle."""
        return point((self.left() + self.right()) // 2, (self.top() + self.bottom()) // 2)

    def tl_corner(self) -> point:
        """Top left."""
        return point(self.left(), self.top())

    def br_corner(self) -> point:
        """Bottom right."""
        return point(self.right(), self.bottom())

    def contains(self, place: point) -> bool:
        """Whether a point is in it."""
        across = self.left() <= place.x <= self.right()
        return across and self.top() <= place.y <= self.bottom()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, rectangle) and self._sides == other._sides

    def __hash__(self) -> int:
        return hash(self._sides)

    def __repr__(self) -> str:
        return f"rectangle({self.left()},{self.top()},{self.right()},{self.bottom()})"

    def __str__(self) -> str:
        return f"[({self.left()}, {self.top()}) ({self.right()}, {self.bottom()})]"


class full_object_detection:
    """The landmarks of a face, in whole pixels.

    Attributes:
        rect: the box that they were predicted in.
        face: what aadn knows of them: `face.points` exactly, `face.hidden`, `face.uncertainty`, …
        num_parts: how many they are.
    """

    def __init__(self, rect: rectangle, face: Face) -> None:
        self.rect = rect
        self.face = face
        self.num_parts = len(face.points)
        self._points = [point(x, y) for x, y in np.rint(face.points).astype(int).tolist()]

    def part(self, index: int) -> point:
        """A landmark; IndexError for one that there is not."""
        if not 0 <= index < self.num_parts:
            raise IndexError(f"expected a part from 0 to {self.num_parts - 1}, got {index}")
        return self._points[index]

    def parts(self) -> list[point]:
        """All of them."""
        return list(self._points)


class fhog_object_detector:
    """Finds faces, those with the best scores first."""

    def __call__(self, image: Image, upsample_num_times: int = 0) -> list[rectangle]:
        """The boxes of the faces in an RGB or grey picture.

        `upsample_num_times` doubles the picture in dlib, to find smaller faces; here each time
        halves the size of the smallest face that is looked for.
        """
        return self.run(image, upsample_num_times)[0]

    def run(
        self, image: Image, upsample_num_times: int = 0, adjust_threshold: float = 0.0
    ) -> tuple[list[rectangle], list[float], list[int]]:
        """The boxes, their scores, and a zero for each.

        `adjust_threshold` is passed over: scores here are in [0, 1] and mean something else.
        """
        if upsample_num_times < 0:
            raise InputError(f"expected to upsample 0 times or more, got {upsample_num_times}")
        found = _detector(2.0**-upsample_num_times / 32)(load_image(image))
        boxes = [
            rectangle(*np.rint(box).tolist(), angle=float(angle), score=float(score))
            for box, score, angle in zip(found.boxes, found.scores, found.angles, strict=True)
        ]
        return boxes, [box.score for box in boxes], [0] * len(boxes)


class shape_predictor:
    """Predicts the landmarks of a face in a box."""

    def __init__(self, weights: str | PathLike[str] | None = None) -> None:
        """Load a network.

        Args:
            weights: an embedded network's name or an ONNX file, as `Landmarker` takes it. dlib's
                .dat files are of no use here.

        Raises WeightsError for what is no such network, InputError for one of dlib's files.
        """
        if weights is not None and str(weights).lower().endswith(".dat"):
            raise InputError(
                f"{weights} is a model of dlib's; leave it out, and the network of aadn is taken"
            )
        self._landmarker = Landmarker(None if weights is None else fspath(weights))

    def __call__(self, image: Image, box: rectangle) -> full_object_detection:
        """The landmarks of the face in a box, which dlib's detector or this one found."""
        sides = [[box.left(), box.top(), box.right(), box.bottom()]]
        angle = getattr(box, "angle", None)  # dlib's own boxes have none
        angles = None if angle is None else [angle]
        faces = self._landmarker(image, sides, angles)
        return full_object_detection(box, faces[0])


def get_frontal_face_detector() -> fhog_object_detector:
    """What finds faces: of any angle, not frontal ones alone."""
    return fhog_object_detector()


def load_rgb_image(path: str | PathLike[str]) -> Image:
    """A picture (H, W, 3) uint8 RGB; ImageError if it cannot be read."""
    return load_image(path)


@lru_cache(4)
def _detector(smallest: float) -> FaceDetector:
    """One that looks for faces of this share of a picture's longer side."""
    return FaceDetector(min_size=smallest)


__all__: Sequence[str] = (
    "fhog_object_detector", "full_object_detection", "get_frontal_face_detector",
    "load_rgb_image", "point", "rectangle", "shape_predictor",
)  # fmt: skip

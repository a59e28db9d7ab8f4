"""Boxes, crops and matrices: the only pixel arithmetic in the project.

Pixel coordinates are float (x, y); (0, 0) is the *centre* of the top-left pixel. A box is
(x0, y0, x1, y1) in the same coordinates. A matrix is (2, 3) float64 and maps (x, y, 1) to (x', y').
Crop units, in which networks give points, go from 0 at the left (top) edge of a crop to 1 at its
right (bottom) edge.

An angle is in degrees in (-180, 180], clockwise as one sees the picture; 0 is a face upright. The
box of a turned face is tight around its landmarks once it is turned upright about the box's centre;
so its outline in the picture is the box turned by the angle about that centre.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from aadn.errors import InputError

FloatArray = NDArray[np.float64]

Numbers = TypeVar("Numbers", bound=Any)
"""A NumPy array or a PyTorch tensor of any shape."""

Floats = TypeVar("Floats", NDArray[np.float32], NDArray[np.float64])

CROP_FACTOR = 1.3
"""Side of the square crop over the longer side of the landmark box (our choice)."""

BORDER_VALUE = (127, 127, 127)
"""What a crop shows beyond the picture's border: a flat grey that no face has (our choice)."""

MAX_TURNED = 32_766
"""OpenCV's affine warp makes no picture with a longer side."""


def box_of_points(points: NDArray[np.floating], angle: float = 0.0) -> FloatArray:
    """Tight box (x0, y0, x1, y1) around points (L, 2); rows with NaN are left out.

    With an angle, that of the points of a face turned by it: see above. Raises InputError if no
    finite point is left.
    """
    finite = points[np.isfinite(points).all(axis=1)]
    if len(finite) == 0:
        raise InputError("expected at least one finite point to draw a box around, got none")
    if angle == 0:
        return np.concatenate([finite.min(axis=0), finite.max(axis=0)]).astype(np.float64)
    level = np.asarray(finite, np.float64) @ turn(-angle).T
    low, high = level.min(axis=0), level.max(axis=0)
    centre, half = turn(angle) @ (low + high) / 2, (high - low) / 2
    return np.concatenate([centre - half, centre + half])


def turned_extent(boxes: NDArray[np.floating], angles: NDArray[np.floating]) -> FloatArray:
    """The boxes (N, 4) about faces that are turned in the picture's plane.

    Args:
        boxes: (N, 4) x0, y0, x1, y1 of the upright faces.
        angles: (N,) degrees, by which they are turned about their boxes' middles.

    A face is about an ellipse, which is what this is the box of: half as wide as
    √((w/2 · cos a)² + (h/2 · sin a)²), and as high with cosine and sine exchanged.
    """
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    width, height = ((boxes[:, 2:] - boxes[:, :2]) / 2).T
    cos, sin = np.cos(np.radians(angles)), np.sin(np.radians(angles))
    half = np.hypot([width * cos, width * sin], [height * sin, height * cos]).T
    return np.hstack([middle - half, middle + half]).astype(np.float64)


@dataclass(frozen=True)
class Crop:
    """How a face is cut out of its picture: a square, and the map from the one to the other.

    Attributes:
        matrix: (2, 3) float64, from picture pixels to crop pixels.
        size: side in pixels.
    """

    matrix: FloatArray
    size: int

    @classmethod
    def around(
        cls,
        box: NDArray[np.floating],
        size: int,
        factor: float = CROP_FACTOR,
        angle: float = 0.0,
    ) -> Crop:
        """The crop around a box (4,), its side `factor` times the longer side of the box.

        A face turned by `angle` is upright in it. Raises InputError for a box without extent, or an
        angle that is not finite.
        """
        return cls(crop_matrix(box, size, factor, angle), size)

    @property
    def scale(self) -> float:
        """Crop pixels for one pixel of the picture."""
        return scale_of(self.matrix)

    def cut(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The crop (size, size, 3) of an RGB picture (H, W, 3), see `warp`."""
        return warp(image, self.matrix, self.size)

    def of_smaller(self, factor: int) -> Crop:
        """The same crop, of a copy of the picture that is so many times smaller."""
        if factor == 1:
            return self
        linear, shift = self.matrix[:, :2], self.matrix[:, 2]
        # A pixel of the copy spans factor × factor pixels.
        offset = shift + linear @ np.full(2, (factor - 1) / 2)
        return Crop(np.column_stack([linear * factor, offset]), self.size)

    def to_crop(self, points: NDArray[np.floating]) -> FloatArray:
        """Picture pixels (..., 2) to crop pixels."""
        return transform(points, self.matrix)

    def to_picture(self, points: NDArray[np.floating]) -> FloatArray:
        """Crop pixels (..., 2) to picture pixels."""
        return transform(points, invert(self.matrix))

    def length_to_picture(self, lengths: Floats) -> Floats:
        """Lengths in crop pixels, any shape, to picture pixels; of the same type."""
        pixels: Floats = lengths * scale_of(invert(self.matrix))
        return pixels

    def to_units(self, points: NDArray[np.floating]) -> FloatArray:
        """Picture pixels (..., 2) to crop units."""
        return to_units(self.to_crop(points), self.size)

    def inner_box(self, factor: float = CROP_FACTOR) -> FloatArray:
        """The box (4,) in crop pixels, square, around which `around` cuts such a crop."""
        half, middle = self.size / 2 / factor, (self.size - 1) / 2
        return np.array([middle - half, middle - half, middle + half, middle + half])


def to_units(pixels: Numbers, size: int) -> Numbers:
    """Crop pixels to crop units, for a crop of `size` pixels; any shape, array or tensor."""
    units: Numbers = (pixels + 0.5) / size
    return units


def from_units(units: Numbers, size: int) -> Numbers:
    """Crop units to crop pixels, for a crop of `size` pixels; any shape, array or tensor."""
    pixels: Numbers = units * size - 0.5
    return pixels


def inner_units(units: Numbers, margin: float) -> Numbers:
    """Units of a crop to those of the crop in its middle that is `margin` times smaller."""
    inner: Numbers = (units - 0.5) * margin + 0.5
    return inner


def grid_units(units: Numbers) -> Numbers:
    """Crop units to those of PyTorch's `grid_sample`: -1 and 1 are the crop's edges."""
    grid: Numbers = units * 2 - 1
    return grid


def read_map(cells: NDArray[np.floating], units: NDArray[np.floating]) -> FloatArray:
    """A map (h, w) that covers a crop, read at points (L, 2) in crop units; (L,).

    Bilinear between the cells' centres; beyond the outermost ones it goes on unchanged.
    """
    x, y = np.asarray(units * cells.shape[::-1] - 0.5, np.float32).T
    maps = np.asarray(cells, np.float32)
    read = cv2.remap(maps, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(read, np.float64).ravel()


def crop_matrix(
    box: NDArray[np.floating], size: int, factor: float = CROP_FACTOR, angle: float = 0.0
) -> FloatArray:
    """Matrix from picture pixels to the pixels of a square crop around a box.

    The crop has `size`×`size` pixels, its centre is the box's centre, its side covers `factor`
    times the longer side of the box, and it is turned by `angle`. Raises InputError for a box
    without extent, or an angle that is not finite.
    """
    x0, y0, x1, y1 = (float(v) for v in box)
    side = factor * max(x1 - x0, y1 - y0)
    if not (np.isfinite(side) and side > 0 and x1 > x0 and y1 > y0):
        raise InputError(
            f"expected a box x0 < x1, y0 < y1 of finite numbers, got ({x0}, {y0}, {x1}, {y1})"
        )
    linear = size / side * turn(-angle)
    centre = np.array([x0 + x1, y0 + y1])
    return np.column_stack([linear, (size - 1) / 2 - linear @ centre / 2])


def turn(angle: float) -> FloatArray:
    """The (2, 2) matrix that turns vectors (x, y) by an angle; quarter turns are exact.

    Raises InputError for an angle that is not finite.
    """
    if not math.isfinite(angle):
        raise InputError(f"expected an angle in degrees, got {angle}")
    quarters = round(angle / 90)
    rest = math.radians(angle - 90 * quarters)
    cos, sin = math.cos(rest), math.sin(rest)
    for _ in range(quarters % 4):
        cos, sin = -sin, cos
    matrix: FloatArray = np.array([[cos, -sin], [sin, cos]]) + 0.0  # no -0.0
    return matrix


def wrapped(angles: NDArray[np.floating]) -> FloatArray:
    """Angles in degrees, any shape, brought to (-180, 180]; those that are there stay exactly."""
    wide = np.asarray(angles, np.float64)
    within: FloatArray = np.minimum(wide - 360 * np.ceil((wide - 180) / 360), 180)
    return within


def corners(box: NDArray[np.floating], angle: float = 0.0) -> FloatArray:
    """The corners (4, 2) of a box (4,) turned by an angle about its centre.

    They go around clockwise, from the one that is at the top left of the upright face.
    """
    x0, y0, x1, y1 = np.asarray(box, np.float64)
    centre = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
    upright = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    outline: FloatArray = centre + (upright - centre) @ turn(angle).T
    return outline


def compose(second: FloatArray, first: FloatArray) -> FloatArray:
    """The (2, 3) matrix that applies `first`, then `second`."""
    linear = second[:, :2] @ first[:, :2]
    shift = second[:, :2] @ first[:, 2:] + second[:, 2:]
    return np.hstack([linear, shift])


def invert(matrix: FloatArray) -> FloatArray:
    """The (2, 3) matrix that undoes `matrix`."""
    inverse = np.linalg.inv(matrix[:, :2])
    return np.hstack([inverse, -inverse @ matrix[:, 2:]])


def transform(points: NDArray[np.floating], matrix: FloatArray) -> FloatArray:
    """Points (..., 2) mapped by a (2, 3) matrix, float64."""
    return np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]


def beyond(points: NDArray[np.floating], width: int, height: int) -> NDArray[np.bool_]:
    """Which points (L, 2) lie outside a picture of that many pixels, (L,) bool; NaN does not."""
    x, y = points[:, 0], points[:, 1]
    return (x < -0.5) | (y < -0.5) | (x > width - 0.5) | (y > height - 0.5)


def scale_of(matrix: FloatArray) -> float:
    """Length magnification of a (2, 3) matrix: √|det|."""
    return float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))


def warp(image: NDArray[np.uint8], matrix: FloatArray, size: int) -> NDArray[np.uint8]:
    """The `size`×`size` crop of an RGB picture (H, W, 3) that `matrix` describes.

    Bilinear; where the crop shrinks the picture more than twofold, the region it shows is first
    averaged down by a whole factor, so that nothing aliases and a huge picture costs no more
    than its face. Beyond the border the crop is BORDER_VALUE.
    """
    shrink = int(1 / max(scale_of(matrix), 1e-6))
    if shrink >= 2:
        corners = np.array([[-1, -1], [size, -1], [-1, size], [size, size]], np.float64)
        seen = transform(corners, invert(matrix))
        low = np.floor(seen.min(axis=0)).astype(int)
        high = np.ceil(seen.max(axis=0)).astype(int) + 1
        x0, y0 = np.clip(low, 0, [image.shape[1], image.shape[0]])
        x1, y1 = np.clip(high, 0, [image.shape[1], image.shape[0]])
        columns, rows = (x1 - x0) // shrink, (y1 - y0) // shrink
        if columns and rows:
            region = image[y0 : y0 + rows * shrink, x0 : x0 + columns * shrink]
            small = cv2.resize(region, (int(columns), int(rows)), interpolation=cv2.INTER_AREA)
            image = np.asarray(small, np.uint8)
            # Pixel i of the small picture averages pixels shrink*i … shrink*i + shrink-1.
            offset = (shrink - 1) / 2
            grow = np.array([[shrink, 0.0, float(x0) + offset], [0.0, shrink, float(y0) + offset]])
            matrix = compose(matrix, grow)
    crop = cv2.warpAffine(
        image,
        matrix,
        (size, size),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=BORDER_VALUE,
    )
    return np.asarray(crop, np.uint8)


def turning(width: int, height: int, angle: float) -> tuple[FloatArray, int, int]:
    """How a picture is turned about its centre, and the size of a picture that then holds it all.

    Args:
        width, height: of the picture in pixels.
        angle: degrees, clockwise as one sees the picture.

    Returns:
        The matrix from the picture's pixels to those of the turned one, whose width and height.
    """
    linear = turn(angle)
    cos, sin = linear[:, 0]
    across = int(np.ceil(width * abs(cos) + height * abs(sin) - 1e-6))
    down = int(np.ceil(width * abs(sin) + height * abs(cos) - 1e-6))
    middle, turned = (np.array([w - 1, h - 1]) / 2 for w, h in ((width, height), (across, down)))
    return np.hstack([linear, (turned - linear @ middle)[:, None]]), across, down


def turn_picture(image: NDArray[np.uint8], angle: float) -> NDArray[np.uint8]:
    """An RGB picture (H, W, 3) turned by `turning`; the rest of the larger one is BORDER_VALUE.

    By multiples of 90° each pixel stays as it is, otherwise bilinear. Raises InputError for a
    picture that has more than MAX_TURNED pixels a side once it is turned.
    """
    quarters, rest = divmod(angle, 90)
    if rest == 0:
        return np.ascontiguousarray(np.rot90(image, -int(quarters)))
    matrix, width, height = turning(image.shape[1], image.shape[0], angle)
    if max(width, height) > MAX_TURNED:
        raise InputError(
            f"expected a picture that has at most {MAX_TURNED} pixels a side once it is turned by "
            f"{angle:g}°, got {width}×{height}; shrink it"
        )
    turned = cv2.warpAffine(
        image,
        matrix,
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=BORDER_VALUE,
    )
    return np.asarray(turned, np.uint8)


def intersections(boxes: FloatArray, others: FloatArray) -> FloatArray:
    """The areas (N, M) that boxes (N, 4) share with others (M, 4)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return np.asarray(np.clip(high - low, 0, None).prod(axis=2), np.float64)


def areas(boxes: FloatArray) -> FloatArray:
    """The areas (N,) of boxes (N, 4)."""
    return np.asarray(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1), np.float64)

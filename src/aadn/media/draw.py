"""Draws faces on a picture: contours, seen and hidden landmarks, boxes, the occlusion map."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from aadn.faces import Face, Faces
from aadn.geometry import Crop, compose, corners
from aadn.images import Source, load_image
from aadn.palette import BOX, COVERED, EDGE, LINE, OCCLUDED, SEEN, Colour

_SHIFT = 4  # OpenCV draws at sixteenths of a pixel
_UNIT = 1 << _SHIFT


def draw(
    image: Source,
    faces: Faces | Face,
    *,
    contours: bool = True,
    boxes: bool = True,
    occlusion: bool = False,
) -> NDArray[np.uint8]:
    """A copy of the picture with the faces on it.

    A seen landmark is a filled dot, a covered one a ring of another colour, and one that is turned
    away a hollow dot; contours are drawn, and dashed where they touch a hidden landmark. Sizes
    follow the face's.

    Args:
        image: (H, W, 3) uint8 RGB, or what else `load_image` takes; it stays as it is.
        faces: in the picture's pixels; one face will do.
        contours: draw lines between the landmarks.
        boxes: draw the landmark boxes, with the faces' numbers where they have any.
        occlusion: lay the occlusion map over each face; nothing where it is NaN.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ImageError, InputError: it is no picture.

    Examples:
        >>> from aadn import Landmarker, draw, load_image
        >>> image = load_image("examples/astronaut.jpg")
        >>> faces = Landmarker()(image)
        >>> draw(image, faces).shape, draw(image, faces[0], occlusion=True).shape
        ((512, 512, 3), (512, 512, 3))
    """
    canvas = load_image(image).copy()
    shown = [faces] if isinstance(faces, Face) else list(faces)
    for face in shown:
        if occlusion:
            _overlay(canvas, face)
    for face in shown:
        _draw_face(canvas, face, contours, boxes)
    return canvas


def _draw_face(canvas: NDArray[np.uint8], face: Face, contours: bool, box: bool) -> None:
    side = float((face.box[2:] - face.box[:2]).max())
    radius = max(side / 100, 0.6)  # of a dot; our choice
    thickness = max(1, round(side / 300))
    if box:
        outline = np.array([_at(corner) for corner in corners(face.box, face.angle)], np.int32)
        cv2.polylines(canvas, [outline], True, BOX, thickness, cv2.LINE_AA, _SHIFT)
        if face.id >= 0:
            _number(canvas, face.id, corners(face.box, face.angle)[0], side)
    hidden = face.hidden
    if contours:
        for indices, closed in face.scheme.contours.values():
            ends = indices[1:] + indices[:1] if closed else indices[1:]
            for a, b in zip(indices, ends, strict=False):
                dashed = bool(hidden[a] or hidden[b])
                _line(canvas, face.points[a], face.points[b], thickness, radius, dashed)
    edge = radius >= 2.2  # a dark rim, where there is room for it
    ring = max(1, round(radius * 0.5))
    for point, covered, turned in zip(face.points, face.covered, face.turned, strict=True):
        if covered or turned:
            reach = max(1.3 * radius, 1)
            if edge:
                _circle(canvas, point, reach, EDGE, ring + 2)
            _circle(canvas, point, reach, COVERED if covered else SEEN, ring)
        else:
            if edge:
                _circle(canvas, point, radius + max(1, radius / 4), EDGE, cv2.FILLED)
            _circle(canvas, point, radius, SEEN, cv2.FILLED)


def _number(
    canvas: NDArray[np.uint8], number: int, corner: NDArray[np.floating], side: float
) -> None:
    """A face's number, above a corner of its box."""
    size = float(np.clip(side / 200, 0.4, 2))
    place = np.clip(corner - [0, 6 * size], -1e4, 1e4)
    at = round(float(place[0])), round(float(place[1]))
    for colour, thick in ((EDGE, round(4 * size) + 1), (BOX, max(1, round(1.5 * size)))):
        cv2.putText(canvas, str(number), at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, thick,
                    cv2.LINE_AA)  # fmt: skip


def _line(
    canvas: NDArray[np.uint8],
    start: NDArray[np.floating],
    end: NDArray[np.floating],
    thickness: int,
    radius: float,
    dashed: bool,
) -> None:
    pieces = 1
    if dashed:
        pieces = 2 * max(1, round(float(np.linalg.norm(end - start)) / (4 * radius))) + 1
    stops = np.linspace(start, end, pieces + 1)
    for i in range(0, pieces, 2):
        cv2.line(canvas, _at(stops[i]), _at(stops[i + 1]), LINE, thickness, cv2.LINE_AA, _SHIFT)


def _circle(
    canvas: NDArray[np.uint8],
    centre: NDArray[np.floating],
    radius: float,
    colour: Colour,
    thickness: int,
) -> None:
    cv2.circle(canvas, _at(centre), round(radius * _UNIT), colour, thickness, cv2.LINE_AA, _SHIFT)


def _overlay(canvas: NDArray[np.uint8], face: Face) -> None:
    """Tint the face, inside its landmarks, by the occlusion map, at most half covered."""
    if not np.isfinite(face.occlusion).all():
        return
    height, width = canvas.shape[:2]
    columns = face.occlusion.shape[1]
    # Its pixels are the map's cells.
    crop = Crop.around(face.box, columns, face.crop_factor, face.angle)
    edge = columns - 0.5
    seen = crop.to_picture(np.array([[-0.5, -0.5], [edge, -0.5], [edge, edge], [-0.5, edge]]))
    x0, y0 = np.clip(np.ceil(seen.min(axis=0)), 0, [width, height]).astype(int)
    x1, y1 = np.clip(np.floor(seen.max(axis=0)) + 1, 0, [width, height]).astype(int)
    if x0 >= x1 or y0 >= y1:
        return
    # From the region's pixels to the map's.
    into = compose(crop.matrix, np.array([[1.0, 0.0, x0], [0.0, 1.0, y0]]))
    alpha = cv2.warpAffine(
        face.occlusion,
        into,
        (int(x1 - x0), int(y1 - y0)),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )[:, :, None]
    hull = cv2.convexHull(np.array([_at(point - [x0, y0]) for point in face.points], np.int32))
    inside = np.zeros(alpha.shape[:2], np.uint8)
    cv2.fillConvexPoly(inside, hull, 255, cv2.LINE_AA, _SHIFT)
    alpha = alpha * (inside[:, :, None] / np.float32(255))
    region = canvas[y0:y1, x0:x1]
    tinted = region + 0.5 * alpha * (np.array(OCCLUDED, np.float32) - region)
    canvas[y0:y1, x0:x1] = np.rint(tinted).astype(np.uint8)


def _at(point: NDArray[np.floating]) -> tuple[int, int]:
    """The point in OpenCV's fixed-point numbers, kept within what those can hold."""
    x, y = np.clip(np.rint(np.asarray(point, np.float64) * _UNIT), -(2**28), 2**28)
    return int(x), int(y)

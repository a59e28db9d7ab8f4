"""The pictures that the face detector learns from, and where their faces are.

Sets of faces come in two kinds. *Portraits* show one face each; where it lies is read off its
labelled landmarks, or off those that the landmark network finds. *Scenes* have boxes drawn by
people, each set in its own way; they are mapped to boxes around the landmarks, by the landmark
network where it is sure, and else by the median of what it says of the set's other faces.
What a detector finds beside the labelled faces may be a face that nobody labelled: a region to
ignore.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from aadn.data.pts import read_pts
from aadn.geometry import box_of_points, invert, scale_of, transform, warp
from aadn.images import load_image
from aadn.inference.detectors import BoxTransform, Detector
from aadn.inference.landmarker import Landmarker

FloatArray = NDArray[np.float64]

SURE = 0.045
"""Mean uncertainty, in sides of the box, below which the landmark network counts as sure (our
choice)."""

SMALLEST = 20
"""Pixels of a face's longer side below which nobody asks the landmark network."""

TURNS = 3
"""How often the landmark network looks at a face, each time levelled by what it said before."""


@dataclass
class Source:
    """A picture and its faces.

    Attributes:
        path: of the picture.
        faces: (N, 5) centre x and y, width and height of the box around the landmarks of the
            upright face, in pixels, and its angle in degrees, clockwise; NaN = not known, then the
            box is that of an upright face.
        ignored: (K, 4) x0, y0, x1, y1 where there may be faces that are not labelled.
    """

    path: Path
    faces: FloatArray = field(default_factory=lambda: np.empty((0, 5)))
    ignored: FloatArray = field(default_factory=lambda: np.empty((0, 4)))


def angle_of(points: FloatArray) -> float:
    """The angle of a face in degrees, clockwise, by the line of its eyes; iBUG's 68 points (68, 2)."""
    across = points[42:48].mean(axis=0) - points[36:42].mean(axis=0)
    return float(np.degrees(np.arctan2(across[1], across[0])))


def face_of(points: FloatArray) -> FloatArray:
    """Centre, size and angle (5,) of the box around a face's 68 points (68, 2), see `Source`."""
    angle = angle_of(points)
    upright = turn(-angle)
    x0, y0, x1, y1 = box_of_points(transform(points, upright))
    middle = transform(np.array([(x0 + x1) / 2, (y0 + y1) / 2]), invert(upright))
    return np.array([*middle, x1 - x0, y1 - y0, angle])


def turn(angle: float) -> FloatArray:
    """The matrix (2, 3) that turns about the origin, by degrees, clockwise."""
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0]])


def settled(
    landmarker: Landmarker, images: Sequence[NDArray[np.uint8]], faces: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """What the landmark network makes of faces (N, 5), one in each picture, after TURNS looks.

    Returns them as `Source` has them, and its mean uncertainty (N,) in sides of the box.
    """
    faces = faces.copy()
    unsure = np.full(len(faces), np.inf)
    for _ in range(TURNS):
        crops = [_crop(face, landmarker.card.size, landmarker.card.crop_factor) for face in faces]
        pixels = [
            warp(image, crop, landmarker.card.size)
            for image, crop in zip(images, crops, strict=True)
        ]
        found = landmarker.crops(np.stack(pixels))
        for i, crop in enumerate(crops):
            points = transform(found.points[i], invert(crop))
            faces[i] = face_of(points)
            side = faces[i, 2:4].max()
            unsure[i] = float(found.uncertainty[i].mean()) / scale_of(crop) / side
    return faces, unsure


def _crop(face: FloatArray, size: int, factor: float) -> FloatArray:
    """The matrix (2, 3) from a picture to the crop of a face (5,), levelled."""
    scale = size / factor / face[2:4].max()
    linear = scale * turn(-(0.0 if np.isnan(face[4]) else face[4]))[:, :2]
    return np.hstack([linear, ((size - 1) / 2 - linear @ face[:2])[:, None]])


def extent(faces: FloatArray) -> FloatArray:
    """Boxes (N, 4) x0, y0, x1, y1 about the ellipses in faces' turned boxes (N, 5)."""
    angle = np.radians(np.nan_to_num(faces[:, 4]))
    cos, sin = np.cos(angle), np.sin(angle)
    half = (
        np.stack(
            [
                np.hypot(faces[:, 2] * cos, faces[:, 3] * sin),
                np.hypot(faces[:, 2] * sin, faces[:, 3] * cos),
            ],
            axis=1,
        )
        / 2
    )
    return np.hstack([faces[:, :2] - half, faces[:, :2] + half])


def overlaps(boxes: FloatArray, others: FloatArray) -> FloatArray:
    """Intersection over union of boxes (N, 4) and others (M, 4): (N, M)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(axis=2)
    area, other = ((b[:, 2:] - b[:, :2]).prod(axis=1) for b in (boxes, others))
    return np.asarray(common / (area[:, None] + other[None] - common))


def _upright(boxes: FloatArray) -> FloatArray:
    """Boxes (N, 4) as faces (N, 5) of unknown angle."""
    size = boxes[:, 2:] - boxes[:, :2]
    return np.hstack([boxes[:, :2] + size / 2, size, np.full((len(boxes), 1), np.nan)])


def labelled_portraits(folder: Path, teacher: Detector) -> list[Source]:
    """Pictures with `.pts` files; what the teacher finds beside their faces is ignored."""
    sources: dict[Path, Source] = {}
    for file in sorted(folder.glob("*.pts")):
        path = file.with_suffix(".jpg")
        source = sources.setdefault(path, Source(path))
        source.faces = np.vstack([source.faces, face_of(read_pts(file))])
    for source in tqdm(sources.values(), f"{folder.name}", disable=None):
        _ignore_more(source, load_image(source.path), teacher)
    return list(sources.values())


def _ignore_more(source: Source, image: NDArray[np.uint8], teacher: Detector) -> None:
    boxes = np.asarray(teacher(image)[0], np.float64)
    if len(boxes):
        known = np.vstack([extent(source.faces), source.ignored])
        new = boxes[(overlaps(boxes, known) < 0.2).all(axis=1)] if len(known) else boxes
        source.ignored = np.vstack([source.ignored, new])


GUESSES = (0.5, 0.7, 0.9)
"""Sides of guessed boxes in a portrait's middle, over its shorter side."""


def portraits(folder: Path, landmarker: Landmarker, teacher: Detector) -> list[Source]:
    """Pictures of one main face each, without labels; those where the network is not sure go."""
    sources = []
    files = [p for p in sorted(folder.glob("*.jpg"))]
    for file in tqdm(files, folder.name, disable=None):
        image = load_image(file)
        height, width = image.shape[:2]
        middle = [(width - 1) / 2, (height - 1) / 2]
        guesses = [[*middle, s * min(height, width), s * min(height, width), 0.0] for s in GUESSES]
        boxes = np.asarray(teacher(image)[0], np.float64)
        if len(boxes):
            size = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
            guesses.append(_upright(boxes[[int(size.argmax())]])[0].tolist())
        start = np.nan_to_num(np.array(guesses))
        faces, unsure = settled(landmarker, [image] * len(start), start)
        best = int(unsure.argmin())
        large = faces[best, 2:4].max() > 0.25 * min(height, width)
        if unsure[best] < SURE and large:
            source = Source(file, faces[best : best + 1])
            _ignore_more(source, image, teacher)
            sources.append(source)
    return sources


def scenes(folder: Path, landmarker: Landmarker) -> tuple[list[Source], BoxTransform]:
    """Pictures with the boxes of `boxes.json`, and the median map from these to landmark boxes."""
    given: dict[str, Any] = json.loads((folder / "boxes.json").read_text())
    ignore: dict[str, Any] = {}
    if (folder / "ignore.json").is_file():
        ignore = json.loads((folder / "ignore.json").read_text())
    sources, looked, boxes_of, where = [], [], [], []
    for name, rows in tqdm(sorted(given.items()), folder.name, disable=None):
        boxes = np.array(rows, np.float64).reshape(-1, 4)
        others = np.array(ignore.get(name, []), np.float64).reshape(-1, 5)[:, :4]
        source = Source(folder / "images" / name, _upright(boxes), others)
        sources.append(source)
        large = (
            np.flatnonzero((boxes[:, 2:] - boxes[:, :2]).max(axis=1) >= SMALLEST)
            if len(boxes)
            else []
        )
        if len(large) == 0:
            continue
        image = load_image(source.path)
        faces, unsure = settled(
            landmarker, [image] * len(large), np.nan_to_num(source.faces[large])
        )
        for i, face, doubt in zip(large, faces, unsure, strict=True):
            near = overlaps(extent(face[None]), boxes[[i]])[0, 0] > 0.4
            if doubt < SURE and near:
                looked.append(face)
                boxes_of.append(boxes[i])
                where.append((source, int(i)))
    fitted = median_map(np.array(boxes_of).reshape(-1, 4), np.array(looked).reshape(-1, 5))
    for source in sources:
        if len(source.faces):
            mapped = fitted(extent(source.faces))
            source.faces = _upright(mapped)
    for (source, i), face in zip(where, looked, strict=True):
        if overlaps(extent(face[None]), extent(source.faces[[i]]))[0, 0] > 0.5:
            source.faces[i] = face
    return sources, fitted


def median_map(boxes: FloatArray, faces: FloatArray) -> BoxTransform:
    """From boxes (N, 4) to the boxes about upright faces (N, 5), by medians."""
    level = np.abs(faces[:, 4]) < 15
    if level.sum() < 10:
        return BoxTransform(0.0, 0.0, 1.0, 1.0)
    boxes, true = boxes[level], extent(faces[level] * [1, 1, 1, 1, 0])
    size, other = (b[:, 2:] - b[:, :2] for b in (boxes, true))
    shift = ((true[:, :2] + true[:, 2:]) - (boxes[:, :2] + boxes[:, 2:])) / 2 / size
    return BoxTransform(*np.median(np.hstack([shift, other / size]), axis=0).tolist())


def to_json(sources: Sequence[Source], root: Path) -> str:
    """Sources as text, their paths below `root`."""
    rows = [
        {
            "path": str(source.path.relative_to(root)),
            "faces": [
                [None if np.isnan(v) else round(v, 2) for v in face]
                for face in source.faces.tolist()
            ],
            "ignored": np.round(source.ignored, 1).tolist(),
        }
        for source in sources
    ]
    return json.dumps(rows)


def from_json(text: str, root: Path) -> Iterator[Source]:
    """What `to_json` wrote."""
    for row in json.loads(text):
        faces = np.array(row["faces"], np.float64).reshape(-1, 5)
        yield Source(root / row["path"], faces, np.array(row["ignored"], np.float64).reshape(-1, 4))

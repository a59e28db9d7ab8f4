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
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from aadn.data.pts import read_pts
from aadn.geometry import (
    FloatArray,
    box_of_points,
    invert,
    scale_of,
    transform,
    turned_extent,
    warp,
)
from aadn.images import load_image
from aadn.inference.detections import Detector
from aadn.inference.detectors import BoxTransform
from aadn.inference.landmarker import Landmarker

SURE = 0.045
"""Mean uncertainty, in sides of the box, below which the landmark network counts as sure (our
choice)."""

SMALLEST = 20
"""Pixels of a face's longer side below which nobody asks the landmark network."""

GUESSES = (0.5, 0.7, 0.9)
"""Sides of guessed boxes in a portrait's middle, over its shorter side."""

TURNS = 3
"""How often the landmark network looks at a face, each time levelled by what it said before."""


Kind = Literal["labelled", "portraits", "scenes"]


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
    """The angle of a face in degrees, clockwise, by its eyes; points (68, 2) of iBUG's."""
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
    """Boxes (N, 4) x0, y0, x1, y1 about faces (N, 5), see `turned_extent`."""
    half = faces[:, 2:4] / 2
    boxes = np.hstack([faces[:, :2] - half, faces[:, :2] + half])
    return turned_extent(boxes, np.nan_to_num(faces[:, 4]))


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


def label(kind: Kind, folder: Path, landmarker: Landmarker, teacher: Detector) -> list[Source]:
    """The pictures of a set and their faces; how they are found depends on the set's kind.

    `labelled` portraits have `.pts` files; `portraits` have no labels, and those of whose landmarks
    the network is not sure are left out; of `scenes`, the boxes are in `boxes.json`.
    """
    if kind == "labelled":
        return _labelled(folder, teacher)
    if kind == "portraits":
        return _portraits(folder, landmarker, teacher)
    return _scenes(folder, landmarker)


def _labelled(folder: Path, teacher: Detector) -> list[Source]:
    sources: dict[Path, Source] = {}
    for file in sorted(folder.glob("*.pts")):
        path = file.with_suffix(".jpg")
        source = sources.setdefault(path, Source(path))
        source.faces = np.vstack([source.faces, face_of(read_pts(file))])
    for source in tqdm(sources.values(), str(folder), disable=None):
        _ignore_more(source, load_image(source.path), teacher)
    return list(sources.values())


def _ignore_more(source: Source, image: NDArray[np.uint8], teacher: Detector) -> None:
    """What the teacher finds beside the faces that are labelled is ignored."""
    boxes = np.asarray(teacher(image)[0], np.float64)
    if len(boxes):
        known = np.vstack([extent(source.faces), source.ignored])
        new = boxes[(overlaps(boxes, known) < 0.2).all(axis=1)] if len(known) else boxes
        source.ignored = np.vstack([source.ignored, new])


def _portraits(folder: Path, landmarker: Landmarker, teacher: Detector) -> list[Source]:
    sources = []
    for file in tqdm(sorted(folder.glob("*.jpg")), str(folder), disable=None):
        image = load_image(file)
        side = min(image.shape[:2])
        start = _guesses(image, teacher)
        faces, unsure = settled(landmarker, [image] * len(start), start)
        best = int(unsure.argmin())
        if unsure[best] < SURE and faces[best, 2:4].max() > 0.25 * side:
            source = Source(file, faces[[best]])
            _ignore_more(source, image, teacher)
            sources.append(source)
    return sources


def _guesses(image: NDArray[np.uint8], teacher: Detector) -> FloatArray:
    """Where a portrait's face may be (N, 5): in the middle, or the teacher's largest."""
    height, width = image.shape[:2]
    side = np.array(GUESSES) * min(height, width)
    middle = np.tile([(width - 1) / 2, (height - 1) / 2], (len(side), 1))
    guesses = np.hstack([middle, side[:, None], side[:, None], np.zeros((len(side), 1))])
    boxes = np.asarray(teacher(image)[0], np.float64)
    if len(boxes):
        largest = int((boxes[:, 2:] - boxes[:, :2]).prod(axis=1).argmax())
        guesses = np.vstack([guesses, np.nan_to_num(_upright(boxes[[largest]]))])
    return guesses


def _scenes(folder: Path, landmarker: Landmarker) -> list[Source]:
    """The boxes that people drew, mapped to boxes around the landmarks."""
    sources = list(_drawn(folder))
    sure: list[tuple[Source, int, FloatArray]] = []
    for source in tqdm(sources, str(folder), disable=None):
        large = np.flatnonzero(source.faces[:, 2:4].max(axis=1, initial=0) >= SMALLEST)
        if len(large):
            images = [load_image(source.path)] * len(large)
            faces, unsure = settled(landmarker, images, np.nan_to_num(source.faces[large]))
            near = overlaps(extent(faces), extent(source.faces[large])).diagonal() > 0.4
            for i, face in zip(
                large[near & (unsure < SURE)], faces[near & (unsure < SURE)], strict=True
            ):
                sure.append((source, int(i), face))
    given = np.array([extent(source.faces[[i]])[0] for source, i, _ in sure]).reshape(-1, 4)
    fitted = median_map(given, np.array([face for *_, face in sure]).reshape(-1, 5))
    for source in sources:
        source.faces = _upright(fitted(extent(source.faces)))
    for source, i, face in sure:
        if overlaps(extent(face[None]), extent(source.faces[[i]]))[0, 0] > 0.5:
            source.faces[i] = face
    return sources


def _drawn(folder: Path) -> Iterator[Source]:
    """The pictures of a folder with `boxes.json`, boxes as they are there."""
    given: dict[str, Any] = json.loads((folder / "boxes.json").read_text("utf-8"))
    file = folder / "ignore.json"
    ignore: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    for name, rows in sorted(given.items()):
        boxes = np.array(rows, np.float64).reshape(-1, 4)
        others = np.array([row[:4] for row in ignore.get(name, [])], np.float64).reshape(-1, 4)
        yield Source(folder / "images" / name, _upright(boxes), others)


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

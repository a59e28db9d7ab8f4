"""A face detector on pictures with labelled boxes: what it finds, beside what is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from aadn.data.face_boxes import FaceBoxes
from aadn.errors import InputError
from aadn.evaluation.box_conventions import (
    Convention,
    Fit,
    drawn_by,
    fit,
    transforms_of,
)
from aadn.evaluation.detection import IGNORED, OVERLAP, Outcomes, match
from aadn.geometry import areas, intersections, transform, turn_picture, turned_extent, turning
from aadn.images import load_image
from aadn.inference.detections import MIN_SCORE, Detector
from aadn.inference.detectors import IDENTITY, BoxTransform

FloatArray = NDArray[np.float64]

LOW_SCORE = 0.05
"""What a detector should be asked for, so that the curve has its low end (our choice)."""

LOOSE = 0.3
"""Overlap at which recall and false alarms are told a second time: what is found so, and not by
the setting's overlap, is found, but its box is drawn differently (our choice)."""

PAIRED = 0.2
"""Overlap by which finds and labels are paired to fit a convention (our choice)."""


@dataclass(frozen=True)
class DetectionSetting:
    """How a detector is measured.

    Attributes:
        convention: how the set draws its boxes, see `aadn.evaluation.box_conventions`; with "any"
            each find is compared in all of them and the best counts.
        fit: fit the convention of each folder on its own faces instead, as they are found in the
            pictures as they are.
        overlap: intersection over union from which a find is a face's, in (0, 1].
        min_score: of the figures that count finds; the curve has all scores.
        rolls: the pictures are turned by each of these angles in turn, degrees clockwise, and each
            is measured apart.
    """

    convention: Convention = "any"
    fit: bool = False
    overlap: float = OVERLAP
    min_score: float = MIN_SCORE
    rolls: tuple[float, ...] = (0.0,)

    def check(self) -> None:
        """Raise InputError for a value out of range."""
        if self.convention not in get_args(Convention):
            known = ", ".join(get_args(Convention))
            raise InputError(f"expected a convention of {known}; got {self.convention!r}")
        if self.fit and self.convention != "any":
            raise InputError(
                f"expected a convention that is fitted or one that is named, got both (fit and "
                f"{self.convention})"
            )
        if not 0 < self.overlap <= 1:
            raise InputError(f"expected an overlap above 0 and up to 1, got {self.overlap}")
        if not 0 <= self.min_score <= 1:
            raise InputError(f"expected a minimum score in [0, 1], got {self.min_score}")
        turns = [angle % 360 for angle in self.rolls]
        if not turns or not np.isfinite(turns).all() or len(set(turns)) < len(turns):
            raise InputError(
                f"expected at least one roll, finite and each once, got {list(self.rolls)}"
            )
        if self.fit and 0 not in turns:
            raise InputError(
                f"a convention is fitted on pictures as they are; expected 0 among the rolls, got "
                f"{list(self.rolls)}"
            )


class Found(NamedTuple):
    """What a detector finds in one picture, the best score first.

    Attributes:
        boxes: (D, 4) float32, landmark boxes in the frames of the faces.
        scores: (D,) float32.
        angles: (D,) float32 degrees; NaN from a detector that does not know them.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    angles: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Rolled:
    """A detector on the pictures turned by one angle.

    Attributes:
        roll: degrees, clockwise.
        found: what it found in each picture.
        faces: for each picture (D,), which of its labelled boxes each find is, see
            `aadn.evaluation.detection.match`.
        outcomes: the same of all pictures together.
        loose: the outcomes with the overlap LOOSE, or the setting's if that is lower.
    """

    roll: float
    found: Sequence[Found]
    faces: Sequence[NDArray[np.intp]]
    outcomes: Outcomes
    loose: Outcomes


@dataclass(frozen=True, eq=False)
class Detected:
    """A detector on labelled pictures.

    Attributes:
        setting: how it was measured.
        pictures: (P) the labelled pictures.
        shapes: their widths and heights.
        fits: the conventions that were fitted, by folder.
        rolls: what was found at each roll, in the setting's order.
    """

    setting: DetectionSetting
    pictures: Sequence[FaceBoxes]
    shapes: Sequence[tuple[int, int]]
    fits: dict[str, Fit]
    rolls: Sequence[Rolled]


def measure_detector(
    detector: Detector,
    pictures: Sequence[FaceBoxes],
    setting: DetectionSetting | None = None,
    *,
    progress: bool | None = None,
) -> Detected:
    """Run a detector on labelled pictures and match what it finds.

    Pictures are read one at a time; only what is found is kept.

    Args:
        detector: any callable from a picture to landmark boxes and scores, and perhaps angles. For
            a whole curve it should give finds of low scores too, LOW_SCORE for example.
        pictures: at least one, as `aadn.data.face_boxes.read_face_boxes` gives them.
        setting: how; None for the usual one.
        progress: show a bar; None for a bar where the error output is a terminal.

    Raises:
        InputError: for settings out of range, no picture, a detector that gives something else, or
            too few faces to fit a convention.
        ImageError: for a picture that cannot be read.
    """
    setting = setting or DetectionSetting()
    setting.check()
    if not pictures:
        raise InputError("expected at least one labelled picture to evaluate on, got none")
    shapes, found = _found(detector, pictures, setting.rolls, progress)
    fits: dict[str, Fit] = {}
    if setting.fit:
        upright = [angle % 360 for angle in setting.rolls].index(0)
        fits = _fits(pictures, shapes, found[upright], setting.min_score)
    rolls = [
        _rolled(pictures, shapes, finds, roll, setting, fits)
        for roll, finds in zip(setting.rolls, found, strict=True)
    ]
    return Detected(setting, pictures, shapes, fits, rolls)


def _found(
    detector: Detector,
    pictures: Sequence[FaceBoxes],
    rolls: Sequence[float],
    progress: bool | None,
) -> tuple[list[tuple[int, int]], list[list[Found]]]:
    """Widths and heights of the pictures, and for each roll what is found in each of them."""
    shapes: list[tuple[int, int]] = []
    found: list[list[Found]] = [[] for _ in rolls]
    hide = progress if progress is None else not progress
    with tqdm(
        total=len(pictures) * len(rolls), desc="looking for faces", unit="picture", disable=hide
    ) as bar:
        for record in pictures:
            image = load_image(record.image)
            shapes.append((image.shape[1], image.shape[0]))
            for roll, finds in zip(rolls, found, strict=True):
                finds.append(look(detector, turn_picture(image, roll)))
                bar.update()
    return shapes, found


def look(detector: Detector, image: NDArray[np.uint8]) -> Found:
    """What a detector finds in an RGB picture; InputError if it gives something else."""
    answer = detector(image)
    try:
        boxes, scores, *rest = (np.asarray(part, np.float32) for part in answer)
        (angles,) = rest or [np.full(len(scores), np.nan, np.float32)]
    except (TypeError, ValueError):
        raise InputError(
            "expected boxes (N, 4) and scores (N,) of the detector, and perhaps angles (N,), got "
            "something else"
        ) from None
    boxes = boxes.reshape(0, 4) if boxes.size == 0 else boxes
    shapes = boxes.shape, scores.shape, angles.shape
    if shapes != ((len(boxes), 4), (len(boxes),), (len(boxes),)):
        raise InputError(
            "expected boxes (N, 4), scores (N,) and perhaps angles (N,) of the detector, got "
            f"{', '.join(map(str, shapes))}"
        )
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()) or np.isinf(angles).any():
        raise InputError("expected finite boxes, scores and angles of the detector, got others")
    order = np.argsort(-scores, kind="stable")
    return Found(boxes[order], scores[order], angles[order])


# What is compared


def labels_at(record: FaceBoxes, shape: tuple[int, int], roll: float) -> FloatArray:
    """The labelled boxes (N, 4) in a picture of that width and height, turned by `roll` degrees.

    A face is taken for the ellipse in its box, see `aadn.geometry.turned_extent`.
    """
    matrix, _, _ = turning(*shape, roll)
    low, high = record.boxes[:, :2], record.boxes[:, 2:]
    moved = transform((low + high) / 2, matrix) - (low + high) / 2
    return turned_extent(record.boxes + np.tile(moved, 2), np.array(roll))


def compare(
    found: Found,
    labels: FloatArray,
    shape: tuple[int, int],
    transforms: Sequence[BoxTransform],
) -> tuple[FloatArray, FloatArray]:
    """What `match` compares, `overlaps` and `covered` (D, F), each by the best of the transforms.

    Boxes are compared as far as they lie in the picture, as many labels end at its border. Finds
    of unknown angle are taken as upright.

    Args:
        found: in the picture.
        labels: (F, 4) there.
        shape: width and height of the picture.
        transforms: from landmark boxes to those of the labels.
    """
    labels = _inside(labels, shape)
    boxes = found.boxes.astype(np.float64)
    angles = np.nan_to_num(found.angles.astype(np.float64), nan=0.0)
    overlaps, covered = np.zeros((2, len(boxes), len(labels)))
    for to_set in transforms:
        drawn = _inside(drawn_by(to_set, boxes, angles), shape)
        common, area = intersections(drawn, labels), areas(drawn)[:, None]
        union = area + areas(labels) - common
        overlaps = np.maximum(overlaps, common / np.maximum(union, 1e-9))
        covered = np.maximum(covered, common / np.maximum(area, 1e-9))
    return overlaps, covered


def _inside(boxes: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """What of boxes (N, 4) lies in a picture of that width and height."""
    return np.clip(boxes, -0.5, np.tile(shape, 2) - 0.5)


def _fits(
    pictures: Sequence[FaceBoxes],
    shapes: Sequence[tuple[int, int]],
    found: Sequence[Found],
    min_score: float,
) -> dict[str, Fit]:
    """The convention of each folder that has faces, by those found in its upright pictures."""
    pairs: dict[str, list[FloatArray]] = {}
    for record, shape, finds in zip(pictures, shapes, found, strict=True):
        if not len(record.faces):
            continue
        rows = pairs.setdefault(record.part, [])
        count = int(np.count_nonzero(finds.scores >= min_score))
        sure = Found(*(part[:count] for part in finds))
        nearest = match(
            *compare(sure, record.boxes, shape, transforms_of("any")), record.ignored, PAIRED
        )
        for find in np.flatnonzero(nearest >= 0):
            angle = np.nan_to_num(sure.angles[find], nan=0.0)
            rows.append(np.hstack([sure.boxes[find], angle, record.boxes[nearest[find]]]))
    fits = {}
    for part, rows in pairs.items():
        table = np.array(rows, np.float64).reshape(-1, 9)
        fits[part] = fit(table[:, :4], table[:, 4], table[:, 5:], part)
    return fits


def _rolled(
    pictures: Sequence[FaceBoxes],
    shapes: Sequence[tuple[int, int]],
    found: Sequence[Found],
    roll: float,
    setting: DetectionSetting,
    fits: dict[str, Fit],
) -> Rolled:
    faces, loose = [], []
    for record, shape, finds in zip(pictures, shapes, found, strict=True):
        transforms = transforms_for(record.part, setting, fits)
        labels, canvas = labels_at(record, shape, roll), turning(*shape, roll)[1:]
        compared = compare(finds, labels, canvas, transforms)
        faces.append(match(*compared, record.ignored, setting.overlap))
        loose.append(match(*compared, record.ignored, min(LOOSE, setting.overlap)))
    outcomes, loosely = (_outcomes(pictures, found, one, roll) for one in (faces, loose))
    return Rolled(roll, found, faces, outcomes, loosely)


def transforms_for(
    part: str, setting: DetectionSetting, fits: dict[str, Fit]
) -> tuple[BoxTransform, ...]:
    """By what the finds in a folder are compared."""
    if not setting.fit:
        return transforms_of(setting.convention)
    return (fits[part].transform if part in fits else IDENTITY,)


def _outcomes(
    pictures: Sequence[FaceBoxes],
    found: Sequence[Found],
    faces: Sequence[NDArray[np.intp]],
    roll: float,
) -> Outcomes:
    scores, right, sizes, errors = [], [], [], []
    for record, finds, matched in zip(pictures, found, faces, strict=True):
        counted, is_right = matched != IGNORED, matched >= 0
        size = longer_sides(finds.boxes)
        size[is_right] = longer_sides(record.boxes)[matched[is_right]]
        off = np.abs((finds.angles - roll + 180) % 360 - 180)
        scores.append(finds.scores[counted])
        right.append(is_right[counted])
        sizes.append(size[counted])
        errors.append(np.where(is_right, off, np.nan)[counted])
    indices = np.arange(len(pictures))
    return Outcomes(
        np.concatenate(scores).astype(np.float64),
        np.concatenate(right),
        np.concatenate(sizes),
        np.concatenate(errors),
        np.repeat(indices, [len(part) for part in scores]),
        np.concatenate([longer_sides(record.faces) for record in pictures]),
        np.repeat(indices, [len(record.faces) for record in pictures]),
        np.array([len(record.boxes) == 0 for record in pictures]),
    )


def longer_sides(boxes: NDArray[np.floating]) -> FloatArray:
    """The longer side (N,) of each of some boxes (N, 4)."""
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0), np.float64)

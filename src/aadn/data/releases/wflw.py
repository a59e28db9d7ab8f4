"""WFLW: 98 landmarks and six attributes of each face (Wu et al., CVPR 2018)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aadn.data.folders import face_box, stays_below
from aadn.data.release import Release, Split
from aadn.data.samples import Sample
from aadn.errors import AnnotationError
from aadn.schemes import WFLW98

_ATTRIBUTES = ("pose", "expression", "illumination", "make-up", "occlusion", "blur")
_COORDINATES = 2 * 98
_COLUMNS = _COORDINATES + 4 + len(_ATTRIBUTES) + 1
_LISTS = Path("list_98pt_rect_attr_train_test")


def read_wflw(folder: Path, split: Split) -> list[Sample]:
    """Samples of a split in the order of its list, without visibility.

    The folder holds WFLW_annotations/ and WFLW_images/, or a folder WFLW/ with both, or it is
    WFLW_annotations/ itself with the pictures beside it.

    Raises AnnotationError, with the line, for a list that is missing or broken. Pictures may be
    missing.
    """
    above = _annotations(folder)
    path = above / _LISTS / f"list_98pt_rect_attr_{split}.txt"
    images = above.parent / "WFLW_images"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AnnotationError(
            f"{path}: expected the list of WFLW's {split} faces, it cannot be read ({error}); "
            f"get it from {RELEASE.source}"
        ) from None
    return [
        _sample(line, images, f"{path}, line {number}")
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip()
    ]


def _annotations(folder: Path) -> Path:
    places = [folder / "WFLW_annotations", folder / "WFLW" / "WFLW_annotations", folder]
    for place in places:
        if (place / _LISTS).is_dir():
            return place
    raise AnnotationError(
        f"{folder}: expected {Path('WFLW_annotations') / _LISTS} in it, found no such folder; "
        f"unpack WFLW_annotations there, from {RELEASE.source}"
    )


def _sample(line: str, images: Path, where: str) -> Sample:
    words = line.split()
    if len(words) != _COLUMNS:
        raise AnnotationError(
            f"{where}: expected {_COLUMNS} columns (196 coordinates, 4 of the box, 6 attributes, "
            f"the picture's name), got {len(words)}"
        )
    if not stays_below(words[-1]):
        raise AnnotationError(
            f"{where}: expected a picture below WFLW_images, got {words[-1][:200]!r}"
        )
    numbers = _numbers(words[:-1], where)
    points = numbers[:_COORDINATES].reshape(-1, 2)
    left, top, right, bottom = numbers[_COORDINATES : _COORDINATES + 4]
    attributes = numbers[_COORDINATES + 4 :]
    if not (right > left and bottom > top):
        raise AnnotationError(
            f"{where}: expected a box x_min y_min x_max y_max with an extent, "
            f"got {left:g} {top:g} {right:g} {bottom:g}"
        )
    for name, value in zip(_ATTRIBUTES, attributes, strict=True):
        if value not in (0, 1):
            raise AnnotationError(f"{where}: expected 0 or 1 for {name}, got {value:g}")
    box = face_box(points, where)
    parts = tuple(name for name, value in zip(_ATTRIBUTES, attributes, strict=True) if value)
    return Sample(images / words[-1], points, box, parts=parts)


def _numbers(words: list[str], where: str) -> NDArray[np.float64]:
    try:
        numbers = np.array([float(word) for word in words])
    except ValueError as error:
        raise AnnotationError(
            f"{where}: expected numbers before the picture's name ({error})"
        ) from None
    if not np.isfinite(numbers).all():
        column = int(np.argmin(np.isfinite(numbers)))
        raise AnnotationError(
            f"{where}: expected finite numbers, got {words[column]!r} in column {column + 1}"
        )
    return numbers


RELEASE = Release(
    name="wflw",
    title="WFLW",
    scheme=WFLW98,
    counts={
        "train": {"all": 7500},
        "test": {
            "all": 2500,
            "pose": 326,
            "expression": 314,
            "illumination": 698,
            "make-up": 206,
            "occlusion": 736,
            "blur": 773,
        },
    },
    read=read_wflw,
    holds="""\
WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_train.txt   7500, train
WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_test.txt    2500, test
WFLW_images/*/*.jpg""",
    source="https://wywu.github.io/projects/LAB/WFLW.html",
    licence="research only, not for commercial use",
    normaliser="inter-ocular",
    threshold=10.0,
    converts="Pixels are counted from 0 in the release and are left as they are. The box is tight "
    "around the landmarks instead of the release's own. "
    "The release does not say which landmarks are seen.",
)

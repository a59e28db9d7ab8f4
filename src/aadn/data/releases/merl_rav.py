"""MERL-RAV: 68 landmarks on faces of AFLW, each seen, hidden by an object or by the face itself.

Kumar et al., CVPR 2020 (LUVLi). The sign of a row in a `.pts` file says which of them it is.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aadn.data.pts import read_rows
from aadn.data.release import Release, Split
from aadn.data.samples import Sample
from aadn.errors import AnnotationError
from aadn.geometry import box_of_points
from aadn.schemes import IBUG68

# Poses as the release has them in folders, and as the paper reports them.
_PARTS = {
    "frontal": "frontal",
    "left": "profile",
    "lefthalf": "half-profile",
    "right": "profile",
    "righthalf": "half-profile",
}


def read_merl_rav(folder: Path, split: Split) -> list[Sample]:
    """Samples of a split, with visibility: by pose, then by name.

    Labels are in merl_rav_labels/ (as released), merl_rav_organized/ (as the authors' script
    leaves them, the pictures copied beside them), or in the folder itself. Pictures are those
    beside the labels, in images/ beside labels/, or those of AFLW in aflw/flickr.

    Raises AnnotationError for labels that are broken. Pictures may be missing.
    """
    files = [
        (path, part)
        for pose, part in _PARTS.items()
        for path in _label_files(_labels(folder) / pose / f"{split}set")
    ]
    aflw = _aflw_pictures(folder)
    samples = []
    for path, part in files:
        points, visible = read_signed(path)
        image = _image(path, aflw)
        # A point that the face itself hides has no place.
        turned = np.isnan(points[:, 0]).astype(np.float64)
        samples.append(Sample(image, points, _box(points, path), visible, (part,), turned=turned))
    return samples


def read_signed(path: Path) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Landmarks and visibility of one `.pts` file of MERL-RAV.

    Positive rows are seen landmarks, negative ones are hidden by an object and lie at the absolute
    value, and (-1, -1) is hidden by the face itself, its place unknown.

    Returns:
        points (68, 2) float64 in pixels counted from 0, NaN where unknown, and visible (68,),
        False wherever hidden.

    Raises:
        AnnotationError: as `read_pts`, and for another number of rows or one with mixed signs.
    """
    rows = read_rows(path)
    if len(rows) != RELEASE.landmarks:
        raise AnnotationError(f"{path}: expected {RELEASE.landmarks} landmarks, got {len(rows)}")
    negative = rows < 0
    mixed = negative[:, 0] != negative[:, 1]
    if mixed.any():
        first = int(np.argmax(mixed))
        raise AnnotationError(
            f"{path}: expected both coordinates positive or both negative, got "
            f"{rows[first, 0]:g} {rows[first, 1]:g} for landmark {first} (from 0)"
        )
    points = np.abs(rows) - 1.0
    points[(rows == -1).all(axis=1)] = np.nan
    return points, ~negative[:, 0]


def _box(points: NDArray[np.float64], path: Path) -> NDArray[np.float64]:
    if np.isfinite(points).any():
        box = box_of_points(points)
        if (box[2:] > box[:2]).all():
            return box
    raise AnnotationError(
        f"{path}: all landmarks are hidden by the face itself, or lie in one place or on one "
        "line; expected a face's landmarks"
    )


def _labels(folder: Path) -> Path:
    names = ("merl_rav_organized", "merl_rav_labels")
    return next((folder / name for name in names if (folder / name).is_dir()), folder)


def _label_files(folder: Path) -> list[Path]:
    """The labels in a folder, or in labels/ below it."""
    found = [*folder.glob("*.pts"), *(folder / "labels").glob("*.pts")]
    return sorted(path for path in found if not path.name.startswith("."))


def _image(labels: Path, aflw: dict[str, Path]) -> Path:
    beside = labels.with_suffix(".jpg")
    places = (
        beside,
        labels.parent.parent / "images" / beside.name,
        aflw.get(_aflw_name(labels), beside),
    )
    return next((path for path in places if path.is_file()), beside)


def _aflw_pictures(folder: Path) -> dict[str, Path]:
    pictures: dict[str, Path] = {}
    for place in ("aflw/flickr", "aflw/data/flickr"):
        for path in sorted((folder / place).glob("*/*.jpg")):
            pictures.setdefault(path.stem, path)
    return pictures


def _aflw_name(face: Path) -> str:
    """The stem of AFLW's picture: image20991_2 is a face of image20991."""
    return face.stem.split("_")[0]


RELEASE = Release(
    name="merl-rav",
    title="MERL-RAV",
    scheme=IBUG68,
    counts={
        "train": {"all": 15_449, "frontal": 8778, "half-profile": 2401, "profile": 4270},
        "test": {"all": 3865, "frontal": 2195, "half-profile": 601, "profile": 1069},
    },
    read=read_merl_rav,
    holds="""\
merl_rav_labels/frontal/{trainset,testset}/labels/*.pts     8778 train, 2195 test
merl_rav_labels/left/{trainset,testset}/labels/*.pts        2080 train, 521 test
merl_rav_labels/lefthalf/{trainset,testset}/labels/*.pts    1180 train, 295 test
merl_rav_labels/right/{trainset,testset}/labels/*.pts       2190 train, 548 test
merl_rav_labels/righthalf/{trainset,testset}/labels/*.pts   1221 train, 306 test
aflw/flickr/{0,2,3}/*.jpg                                   the pictures of AFLW
or merl_rav_organized/, which the authors' script makes of them""",
    source="https://github.com/abhi1kumar/MERL-RAV_dataset (labels), "
    "https://www.tugraz.at/institute/icg/research/team-bischof/lrs/downloads/aflw/ (pictures)",
    licence="research only, as AFLW; the pictures on request",
    normaliser="box",
    threshold=7.0,
    converts="Pixels are taken as counted from 1, as in other .pts files (the release does not "
    "say), and are counted from 0 instead. Negative coordinates become hidden landmarks at their "
    "absolute value; (-1, -1) becomes hidden and not labelled. The box is tight around the "
    "labelled landmarks.",
)

"""The layout of 300W: folders of pictures, each with its landmarks in a `.pts` file beside it.

`x.pts` belongs to the picture `x.jpg`. So do the files that `aadn detect --pts` writes: `x_1.pts`
and `x_2.pts` for several faces of it, and `x.jpg.pts` or `x.jpg_1.pts` where the shorter name could
be another picture's. A picture whose own name fits goes first: AFW has `x_1.pts` and `x_1.jpg`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path, PureWindowsPath

import numpy as np
from numpy.typing import NDArray

from aadn.data.pts import read_pts
from aadn.data.samples import Sample
from aadn.errors import AnnotationError
from aadn.geometry import box_of_points
from aadn.images import SUFFIXES

USUAL = frozenset({".jpg", ".jpeg", ".png", ".bmp"})
"""Where several pictures have one name, those with these suffixes (lower case) count, if any."""

_NUMBERED = re.compile(r"(.+)_[1-9][0-9]*", re.DOTALL)
"""The name of the labels of one face of several."""


def read_folders(folders: Sequence[str | Path], landmarks: int | None = None) -> list[Sample]:
    """Every labelled face in some folders and the folders below them.

    Args:
        folders: in the order of the result; within a folder the samples are sorted by path. What
            is found twice, because folders overlap, counts once, for the first.
        landmarks: how many each face must have; None for as many as most of them have.

    Returns:
        Samples without visibility, their boxes tight around the landmarks, each with its folder,
        as given, as its part. Pictures without a `.pts` file and hidden files (`._x.pts` of macOS
        archives) are left out.

    Raises:
        AnnotationError: for a folder that is missing or without `.pts` files, a `.pts` file that
            is broken, without its picture or with several, with another number of landmarks, or
            with all of them on one line or in one place.
    """
    found: dict[Path, tuple[Path, str]] = {}
    for folder in map(Path, folders):
        for labels in _label_files(folder):
            found.setdefault(labels.resolve(), (labels, str(folder)))
    samples = read_labels([labels for labels, _ in found.values()], landmarks)
    return [
        replace(sample, parts=(folder,))
        for sample, (_, folder) in zip(samples, found.values(), strict=True)
    ]


def read_folder(folder: Path, landmarks: int) -> list[Sample]:
    """Every labelled picture directly in one folder of a release, sorted by path.

    Mirrored copies (`x_mirror.pts`), which some distributions add to the release, are left out, and
    so are hidden files and pictures without a `.pts` file. No samples if there is no such folder.
    Each file belongs to a picture of just its name; one without it gives a sample whose `image`,
    without a suffix, is not there. Raises AnnotationError otherwise as `read_folders` does, but not
    for a folder without `.pts` files.
    """
    labels = (p for p in folder.glob("*.pts") if not p.name.startswith("."))
    files = sorted(p for p in labels if not p.stem.endswith("_mirror"))
    return read_labels(files, landmarks, of_release=True)


def read_labels(
    files: Sequence[Path], landmarks: int | None = None, *, of_release: bool = False
) -> list[Sample]:
    """Samples of some `.pts` files, in their order; see `read_folders` and `read_folder`."""
    pictures = cache(_pictures)
    samples = []
    for labels in files:
        named = pictures(labels.parent)
        candidates = named.get(labels.stem, [])
        if not candidates and not of_release and (face := _NUMBERED.fullmatch(labels.stem)):
            candidates = named.get(face[1], [])
        if not candidates and of_release:
            image = labels.with_suffix("")
        else:
            image = _picture_of(labels, candidates)
        points = read_pts(labels)
        box = face_box(points, labels)
        samples.append(Sample(image, points, box))
    counts = Counter(len(sample.points) for sample in samples)
    if counts:
        wanted = landmarks if landmarks is not None else counts.most_common(1)[0][0]
        for labels, sample in zip(files, samples, strict=True):
            if len(sample.points) != wanted:
                raise AnnotationError(
                    f"{labels}: expected {wanted} landmarks"
                    + ("" if landmarks is not None else " as in the other files")
                    + f", got {len(sample.points)}"
                )
    return samples


def has_picture(file: Path) -> bool:
    """Whether a picture's file is there and not empty; it is not opened."""
    try:
        return file.is_file() and file.stat().st_size > 0
    except OSError:
        return False


def stays_below(name: str) -> bool:
    """Whether a picture's name in a list of labels, on any system, leads to no folder above."""
    path = PureWindowsPath(name)
    return not path.anchor and ".." not in path.parts


def face_box(points: NDArray[np.floating], where: object) -> NDArray[np.float64]:
    """The tight box (4,) of a face's landmarks (L, 2); AnnotationError if it has no extent.

    One landmark, or several on one line, are no face's. `where` they stand goes into the message.
    """
    box = box_of_points(points)
    if not (box[2:] > box[:2]).all():
        raise AnnotationError(
            f"{where}: all {len(points)} landmarks lie in one place or on one line; "
            "expected a face's landmarks"
        )
    return box


def check_points(sample: Sample, width: int, height: int) -> None:
    """Raise AnnotationError if a landmark cannot belong to its picture of width×height pixels.

    That is a landmark further than one picture's size outside of it (our choice): faces at the
    border have landmarks beyond it, but no face is that much larger than its picture.
    """
    size = np.array([width, height])
    far = ((sample.points < -size) | (sample.points > 2 * size - 1)).any(axis=1)
    if far.any():
        first = int(np.argmax(far))
        x, y = sample.points[first]
        raise AnnotationError(
            f"{sample.image}: landmark {first} at ({x:.1f}, {y:.1f}) lies far outside of the "
            f"picture of {width}×{height} pixels; the labels may belong to another picture or scale"
        )


def _label_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        kind = "a file" if folder.exists() else "nothing there"
        raise AnnotationError(
            f"{folder}: expected a folder of pictures with .pts files, got {kind}"
        )
    files = [p for p in folder.rglob("*") if p.suffix.lower() == ".pts"]
    labels = sorted(p for p in files if not p.name.startswith(".") and p.is_file())
    if not labels:
        pictures = sum(p.suffix.lower() in SUFFIXES for p in folder.rglob("*"))
        raise AnnotationError(
            f"{folder}: expected pictures with .pts files, here or in folders below, "
            f"found {pictures} pictures and no .pts file"
        )
    return labels


def _pictures(folder: Path) -> dict[str, list[Path]]:
    """The pictures directly in a folder, by their names without suffix and by those with it."""
    pictures = [p for p in sorted(folder.iterdir()) if p.suffix.lower() in SUFFIXES]
    named: dict[str, list[Path]] = {}
    for path in pictures:
        named.setdefault(path.stem, []).append(path)
    for stem, paths in named.items():
        named[stem] = [p for p in paths if p.suffix.lower() in USUAL] or paths
    for path in pictures:
        named.setdefault(path.name, [path])
    return named


def _picture_of(labels: Path, candidates: list[Path]) -> Path:
    if len(candidates) != 1:
        names = " and ".join(path.name for path in candidates) or "none"
        raise AnnotationError(
            f"{labels}: expected one picture {labels.stem} beside it (.jpg, .png or another "
            f"format), found {names}"
        )
    return candidates[0]

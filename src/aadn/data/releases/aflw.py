"""AFLW with the 19 landmarks and the split of Zhu et al. (CVPR 2016), "AFLW-Full"."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aadn.data.folders import stays_below
from aadn.data.mat import load_mat
from aadn.data.release import Release, Split
from aadn.data.samples import Sample
from aadn.errors import AnnotationError
from aadn.schemes import AFLW19

FILE = "AFLWinfo_release.mat"
"""The labels of both splits."""

_TRAIN = 20_000  # The first of the release's order are for training, the others for testing.
_FOLDERS = (Path("data") / "flickr", Path("flickr"), Path())


def read_aflw(folder: Path, split: Split) -> list[Sample]:
    """Samples of a split in the release's order (`ra`), without visibility.

    Raises AnnotationError, with the face's row from 1, for a file that is missing, broken or not
    as released; MissingDependencyError without scipy. Pictures may be missing.
    """
    file = folder / FILE
    if not file.is_file():
        raise AnnotationError(
            f"{file}: expected AFLW's labels, got no such file; see {RELEASE.source}"
        )
    loaded = load_mat(file, ["nameList", "bbox", "data", "mask_new", "ra"])
    names = _names(loaded["nameList"], file)
    count = len(names)
    boxes = _numbers(loaded["bbox"], "bbox", (count, 4), file)
    data = _numbers(loaded["data"], "data", (count, 38), file)
    mask = _numbers(loaded["mask_new"], "mask_new", (count, 19), file)
    order = _order(loaded["ra"], count, file)
    samples = []
    for index in order[:_TRAIN] if split == "train" else order[_TRAIN:]:
        where = f"{file}, row {index + 1}"
        points, box = _face(data[index], mask[index], boxes[index], where)
        parts = ("frontal",) if np.isfinite(points).all() else ()
        samples.append(Sample(_image(folder, names[index]), points, box, parts=parts))
    return samples


def _face(
    data: NDArray[np.float64], mask: NDArray[np.float64], bbox: NDArray[np.float64], where: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points (19, 2), NaN where not labelled, and box (4,), both in pixels counted from 0."""
    if not np.isin(mask, (0, 1)).all():
        wrong = mask[~np.isin(mask, (0, 1))][0]
        raise AnnotationError(f"{where}: expected 0 or 1 in mask_new, got {wrong:g}")
    labelled = mask == 1
    if not labelled.any():
        raise AnnotationError(f"{where}: expected a labelled landmark in mask_new, got none")
    points = data.reshape(2, 19).T - 1.0
    if not np.isfinite(points[labelled]).all():
        raise AnnotationError(f"{where}: expected finite coordinates in data, got NaN or infinity")
    points[~labelled] = np.nan
    left, right, top, bottom = bbox
    if not (np.isfinite(bbox).all() and right > left and bottom > top):
        raise AnnotationError(
            f"{where}: expected a box left, right, top, bottom with an extent in bbox, "
            f"got {left:g}, {right:g}, {top:g}, {bottom:g}"
        )
    return points, np.array([left, top, right, bottom]) - 1.0


def _image(folder: Path, name: str) -> Path:
    places = [folder / place / name for place in _FOLDERS]
    return next((place for place in places if place.is_file()), places[0])


def _names(cells: NDArray[Any], file: Path) -> list[str]:
    names = []
    for row, cell in enumerate(cells.ravel(), 1):
        text = np.ravel(cell)
        if len(text) != 1 or not isinstance(text[0], str):
            raise AnnotationError(f"{file}, row {row}: expected a picture's name in nameList")
        if not stays_below(text[0]):
            raise AnnotationError(
                f"{file}, row {row}: expected a picture below the folder of pictures in nameList, "
                f"got {text[0][:200]!r}"
            )
        names.append(text[0])
    return names


def _numbers(
    array: NDArray[Any], name: str, shape: tuple[int, int], file: Path
) -> NDArray[np.float64]:
    if array.shape != shape or array.dtype.kind not in "biuf":
        raise AnnotationError(
            f"{file}: expected numbers of shape {shape} in {name}, as nameList has {shape[0]} "
            f"faces, got shape {array.shape} of {array.dtype}"
        )
    return array.astype(np.float64)


def _order(array: NDArray[Any], count: int, file: Path) -> NDArray[np.intp]:
    """The indices of the faces, from 0, in the release's order."""
    if array.dtype.kind not in "iuf" or not np.array_equal(
        np.sort(array, axis=None), np.arange(1, count + 1)
    ):
        raise AnnotationError(
            f"{file}: expected each of 1 to {count} once in ra, "
            f"got shape {array.shape} of {array.dtype} with others"
        )
    return array.ravel().astype(np.intp) - 1


RELEASE = Release(
    name="aflw",
    title="AFLW",
    scheme=AFLW19,
    # How many of the training faces are frontal is not published.
    counts={"train": {"all": 20_000}, "test": {"all": 4386, "frontal": 1314}},
    read=read_aflw,
    holds="""\
AFLWinfo_release.mat      24386 faces: 20000 train, 4386 test
data/flickr/0/*.jpg       the pictures of AFLW
data/flickr/2/*.jpg
data/flickr/3/*.jpg""",
    source="http://mmlab.ie.cuhk.edu.hk/projects/compositional.html (labels), "
    "https://www.tugraz.at/institute/icg/research/team-bischof/lrs/downloads/aflw/ (pictures)",
    licence="research only, not for commercial use; the pictures on request",
    normaliser="width",
    threshold=10.0,
    converts="Pixels are taken as counted from 1, as in MATLAB (the release does not say), and are "
    "counted from 0 instead. The box is the release's own of the face. Landmarks that are not "
    "labelled are left out. The release does not say which landmarks are seen.",
)

"""COFW-68: COFW's test faces with 68 landmarks and their visibility (Ghiasi and Fowlkes, 2015)."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from aadn.data.folders import check_points, face_box
from aadn.data.mat import load_mat
from aadn.data.release import Release, Split
from aadn.data.releases.cofw import FILES, cell_pictures
from aadn.data.releases.cofw import SOURCE as COFW_SOURCE
from aadn.data.samples import Sample
from aadn.errors import AnnotationError
from aadn.schemes import IBUG68

_LABELS = re.compile(r"(\d+)_points\.mat")


def read_cofw68(folder: Path, split: Split) -> list[Sample]:
    """Samples in the order of COFW's test pictures, each with its visibility.

    `test_annotations/` and COFW_test_color.mat lie in the folder or in its `COFW68_Data/`. The
    release is a test set as a whole.

    Raises:
        AnnotationError: for a file that is missing, broken or not as released, and for labels
            whose picture COFW_test_color.mat does not have.
        MissingDependencyError: without scipy or h5py.
    """
    labels = {
        int(match[1]): path
        for path in _find(folder, "test_annotations", RELEASE.source).glob("*.mat")
        if (match := _LABELS.fullmatch(path.name))
    }
    pictures = cell_pictures(_find(folder, FILES["test"], COFW_SOURCE), "test")
    samples = []
    for number, path in sorted(labels.items()):
        if not 1 <= number <= len(pictures):
            raise AnnotationError(
                f"{path}: expected a number from 1 to {len(pictures)}, that of a picture in "
                f"{FILES['test']}"
            )
        picture, width, height = pictures[number - 1]
        variables = load_mat(path, ("Points", "Occ"))
        points, occluded = variables["Points"], variables["Occ"].ravel()
        for name, array, shape in (("Points", points, (68, 2)), ("Occ", occluded, (68,))):
            if array.shape != shape or array.dtype.kind not in "fiub":
                raise AnnotationError(
                    f"{path}: expected {name} with {shape} numbers, got {array.dtype} of shape "
                    f"{array.shape}"
                )
        if not np.isfinite(points).all() or not np.isin(occluded, (0, 1)).all():
            raise AnnotationError(
                f"{path}: expected finite numbers in Points and 0 or 1 in Occ, got others"
            )
        points = points.astype(np.float64) - 1.0
        box = face_box(points, path)
        sample = Sample(picture.name, points, box, occluded == 0, read=picture)
        check_points(sample, width, height)
        samples.append(sample)
    return samples


RELEASE = Release(
    name="cofw68",
    title="COFW-68",
    scheme=IBUG68,
    counts={"test": {"all": 507}},
    read=read_cofw68,
    holds="""\
test_annotations/1_points.mat … 507_points.mat  or COFW68_Data/test_annotations/…
COFW_test_color.mat                             or COFW68_Data/COFW_test_color.mat, from COFW""",
    source="https://github.com/golnazghiasi/cofw68-benchmark",
    licence="not stated in the release",
    normaliser="inter-pupil",
    threshold=10.0,
    converts="Pixels are counted from 0 instead of 1. Occ becomes its opposite, visible. The box "
    "is tight around the landmarks; the release's cofw68_test_bboxes.mat is not read. The pictures "
    "are those of COFW_test_color.mat with the same numbers.",
)


def _find(folder: Path, name: str, source: str) -> Path:
    places = [folder / name, folder / "COFW68_Data" / name]
    for place in places:
        if place.exists():
            return place
    raise AnnotationError(
        f"{folder}: expected {name} in it or in its COFW68_Data, got neither; get it from {source}"
    )

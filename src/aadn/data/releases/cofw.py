"""COFW: 29 landmarks, each seen or occluded (Burgos-Artizzu, Perona and Dollár, ICCV 2013).

A split is one MATLAB v7.3 file, which is an HDF5 file; its arrays come with their axes reversed.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aadn.data.folders import check_points, face_box
from aadn.data.release import Release, Split
from aadn.data.samples import Sample
from aadn.errors import AnnotationError, ImageError, MissingDependencyError
from aadn.schemes import COFW29

FILES: dict[Split, str] = {"train": "COFW_train_color.mat", "test": "COFW_test_color.mat"}
"""The file of each split."""

IMAGES: dict[Split, str] = {"train": "IsTr", "test": "IsT"}
"""The cell array of pictures in the file of each split."""

SOURCE = "https://data.caltech.edu/records/20099"
"""Where to get COFW."""

_LABELS: dict[Split, tuple[str, str]] = {
    "train": ("phisTr", "bboxesTr"),
    "test": ("phisT", "bboxesT"),
}
_FROM_LFPW = 845  # The training faces begin with those of LFPW's training set.


@dataclass(frozen=True)
class CellPicture:
    """A picture in a cell array of a MATLAB v7.3 file; calling it reads the picture.

    The file stays open for the next picture.

    Attributes:
        file: the .mat file.
        variable: the cell array, (1, N) or (N, 1).
        index: of the picture in it, from 0.
    """

    file: Path
    variable: str
    index: int

    @property
    def name(self) -> Path:
        """What stands for the picture's file in a Sample: the file / the number from 1."""
        return self.file / f"{self.index + 1:04d}"

    def __call__(self) -> NDArray[np.uint8]:
        """The picture (H, W, 3) uint8 RGB, grey ones with three equal channels.

        Raises ImageError if it cannot be read, AnnotationError if it is no such picture and
        MissingDependencyError without h5py.
        """
        with _clear_errors(self.file):
            opened = _open(self.file)
            dataset = _picture(opened, _cells(opened, self.variable, self.file), self)
        try:
            pixels = np.asarray(dataset[()], np.uint8)
        except (OSError, RuntimeError) as error:
            raise ImageError(
                f"{self.name}: cannot be read ({error}); get the file again from {SOURCE}"
            ) from None
        if pixels.ndim == 2:
            pixels = np.stack([pixels] * 3)
        return np.ascontiguousarray(pixels.T)


def cell_pictures(file: Path, split: Split) -> list[tuple[CellPicture, int, int]]:
    """The pictures of one of COFW's files, unread, each with its width and height in pixels.

    Raises AnnotationError for a file that is missing, broken, cut off or without pictures of
    (H, W) or (H, W, 3) uint8, and MissingDependencyError without h5py.
    """
    if not file.is_file():
        raise AnnotationError(f"{file}: expected COFW's pictures, got no such file; see {SOURCE}")
    with _clear_errors(file), _h5py().File(file, "r") as opened:
        cells = _cells(opened, IMAGES[split], file)
        pictures = []
        for index in range(len(cells)):
            picture = CellPicture(file, IMAGES[split], index)
            width, height = _picture(opened, cells, picture).shape[-2:]
            pictures.append((picture, int(width), int(height)))
    return pictures


def read_cofw(folder: Path, split: Split) -> list[Sample]:
    """Samples of a split in the file's order, each with its visibility.

    Raises AnnotationError, with the face's number from 1, for a file that is missing, cut off or
    not as released, and MissingDependencyError without h5py.
    """
    file = folder / FILES[split]
    pictures = cell_pictures(file, split)
    labels, boxes = _LABELS[split]
    with _clear_errors(file), _h5py().File(file, "r") as opened:
        rows = _columns(opened, labels, 3 * RELEASE.landmarks, len(pictures), file)
        sizes = _columns(opened, boxes, 4, len(pictures), file)[:, 2:]
    samples = []
    for index, ((picture, width, height), row) in enumerate(zip(pictures, rows, strict=True)):
        x, y, occluded = row.reshape(3, -1)
        points = np.stack([x, y], axis=1) - 1.0
        if not np.isin(occluded, (0, 1)).all():
            raise AnnotationError(
                f"{picture.name}: expected 29 flags of 0 or 1 in the last rows of {labels}, got "
                f"{occluded[~np.isin(occluded, (0, 1))][0]:g}"
            )
        if not (sizes[index] > 0).all():
            raise AnnotationError(
                f"{picture.name}: expected a box x, y, width, height with an extent in {boxes}, "
                f"got width {sizes[index, 0]:g} and height {sizes[index, 1]:g}"
            )
        box = face_box(points, picture.name)
        parts: tuple[str, ...] = ()
        if split == "train":
            parts = ("lfpw",) if index < _FROM_LFPW else ("cofw",)
        sample = Sample(picture.name, points, box, occluded == 0, parts, picture)
        check_points(sample, width, height)
        samples.append(sample)
    return samples


RELEASE = Release(
    name="cofw",
    title="COFW",
    scheme=COFW29,
    counts={"train": {"all": 1345, "lfpw": 845, "cofw": 500}, "test": {"all": 507}},
    read=read_cofw,
    holds="""\
COFW_train_color.mat  1345 faces: IsTr, phisTr, bboxesTr
COFW_test_color.mat   507 faces: IsT, phisT, bboxesT""",
    source=SOURCE,
    licence="not stated here; see its source",
    normaliser="inter-pupil",
    threshold=10.0,
    converts="Pixels are counted from 0 instead of 1. The occluded flags become their opposite, "
    "visible. The box is tight around the landmarks; the release's own boxes are checked and not "
    "used. Grey pictures get three equal channels.",
)


def _h5py() -> Any:
    try:
        import h5py
    except ImportError:
        raise MissingDependencyError(
            "reading COFW's .mat files (MATLAB v7.3) needs h5py: pip install '.[data]'"
        ) from None
    return h5py


@functools.lru_cache(maxsize=2)
def _open(file: Path) -> Any:
    return _h5py().File(file, "r")


@contextmanager
def _clear_errors(file: Path) -> Iterator[None]:
    """What h5py raises for broken files as an AnnotationError."""
    try:
        yield
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise AnnotationError(
            f"{file}: expected COFW's MATLAB v7.3 (HDF5) file, got one that is broken, cut off or "
            f"of another kind ({error}); get it again from {SOURCE}"
        ) from None


def _dataset(opened: Any, name: str, file: Path) -> Any:
    dataset = opened.get(name)
    if isinstance(dataset, _h5py().Dataset):
        return dataset
    names = [key for key in opened if not key.startswith("#")]
    if name not in names:
        got = f"the file has {', '.join(names) or 'none'}"
    elif dataset is None:
        got = "got a link that leads nowhere"
    else:
        got = f"got an HDF5 {type(dataset).__name__.lower()}, not an array"
    raise AnnotationError(f"{file}: expected the variable {name}, {got}; see {SOURCE}")


def _cells(opened: Any, name: str, file: Path) -> NDArray[np.object_]:
    """The references (N,) to the pictures of a cell array."""
    dataset = _dataset(opened, name, file)
    is_cell = _h5py().check_ref_dtype(dataset.dtype) is _h5py().Reference
    if not is_cell or len(dataset.shape) != 2 or 1 not in dataset.shape:
        raise AnnotationError(
            f"{file}: expected {name} to be a cell array (N, 1) of pictures, got {dataset.dtype} "
            f"of shape {dataset.shape}"
        )
    return np.ravel(dataset[()])


def _picture(opened: Any, cells: NDArray[np.object_], picture: CellPicture) -> Any:
    """The dataset of a picture: (3, W, H) or (W, H) uint8."""
    if picture.index >= len(cells):
        raise AnnotationError(f"{picture.name}: {picture.variable} has {len(cells)} pictures only")
    reference = cells[picture.index]
    dataset = opened[reference] if reference else None
    if isinstance(dataset, _h5py().Dataset):
        shape: tuple[int, ...] = dataset.shape
        colour = len(shape) == 3 and shape[0] == 3
        if dataset.dtype == np.uint8 and (colour or len(shape) == 2) and 0 not in shape:
            return dataset
        kind = f"{dataset.dtype} of shape {shape[::-1]}"
    else:
        kind = "none"
    raise AnnotationError(
        f"{picture.name}: expected a picture of (H, W) or (H, W, 3) uint8, got {kind}"
    )


def _columns(opened: Any, name: str, size: int, faces: int, file: Path) -> NDArray[np.float64]:
    """A matrix of one row of `size` finite numbers for each face, (faces, size)."""
    dataset = _dataset(opened, name, file)
    if dataset.shape != (size, faces) or dataset.dtype.kind not in "fiub":
        raise AnnotationError(
            f"{file}: expected {name} with {size} numbers for each of {faces} pictures, got "
            f"{dataset.dtype} of shape {dataset.shape[::-1]}"
        )
    values = np.asarray(dataset[()], np.float64).T
    wrong = ~np.isfinite(values).all(axis=1)
    if wrong.any():
        raise AnnotationError(
            f"{file / f'{int(np.argmax(wrong)) + 1:04d}'}: expected finite numbers in {name}, got "
            "NaN or infinity"
        )
    return values

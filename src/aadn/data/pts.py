"""`.pts` files, the form of iBUG's releases: one face's landmarks as text.

    version: 1
    n_points: 68
    {
    105.005 134.878
    …
    }

Files count pixels from 1: reading subtracts 1, writing adds it. The header and the braces may be
missing together; the file then has rows only.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aadn.errors import AnnotationError, InputError
from aadn.files import write_whole

FloatArray = NDArray[np.float64]

_LARGEST = 1_000_000
"""Bytes; no face has so many landmarks, so a larger file is something else."""

_HEADER = re.compile(r"([A-Za-z]\w*)\s*:\s*(.*)")


def read_pts(path: str | Path) -> FloatArray:
    """Landmarks (L, 2) float64 in pixels, (0, 0) the centre of the top-left one; L ≥ 1.

    Raises AnnotationError as `read_rows` does.
    """
    return read_rows(path) - 1.0


def read_rows(path: str | Path) -> FloatArray:
    """The numbers of a `.pts` file as they stand there, (L, 2) float64; L ≥ 1.

    Raises AnnotationError, with the file and the line, for a file that is missing, empty, binary
    or cut off, for a row that is not two finite numbers, and where `n_points` and the rows differ.
    """
    path = Path(path)
    rows: list[tuple[float, float]] = []
    wanted: int | None = None
    header = opened = closed = False
    for number, line in enumerate(_text(path).splitlines(), 1):
        where, line = f"{path}, line {number}", line.strip()
        if not line:
            continue
        if closed:
            raise AnnotationError(f"{where}: expected nothing after '}}', got {line[:40]!r}")
        if line == "{":
            if opened or rows:
                raise AnnotationError(f"{where}: expected a single '{{', before the first point")
            opened = True
        elif line == "}":
            if not opened:
                raise AnnotationError(f"{where}: '}}' without a '{{' before it")
            closed = True
        elif not (opened or rows) and (match := _HEADER.fullmatch(line)):
            header = True
            if match[1].lower() == "n_points":
                if not match[2].isdecimal():
                    raise AnnotationError(
                        f"{where}: expected n_points: a number, got {line[:40]!r}"
                    )
                wanted = int(match[2])
        elif header and not opened:
            raise AnnotationError(
                f"{where}: expected '{{' between the header and the points, got {line[:40]!r}"
            )
        else:
            rows.append(_row(line, where))
    if opened and not closed:
        raise AnnotationError(f"{path}: expected '}}' after the points; the file may be cut off")
    if wanted is not None and wanted != len(rows):
        raise AnnotationError(f"{path}: n_points is {wanted}, but the file has {len(rows)} points")
    if not rows:
        raise AnnotationError(f"{path}: expected a landmark 'x y' in each row, found no points")
    return np.array(rows)


def format_pts(points: NDArray[np.floating]) -> str:
    """The text of a `.pts` file for landmarks (L, 2) in pixels counted from 0.

    Six decimals, as in the releases. Raises InputError unless the shape is (L, 2) and all values
    are finite.
    """
    points = np.asarray(points, np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise InputError(
            f"expected landmarks of shape (L, 2), all finite; got shape {points.shape}"
            + (" with NaN or infinity" if not np.isfinite(points).all() else "")
        )
    rows = "".join(f"{x:.6f} {y:.6f}\n" for x, y in points + 1.0)
    return f"version: 1\nn_points: {len(points)}\n{{\n{rows}}}\n"


def write_pts(path: str | Path, points: NDArray[np.floating]) -> None:
    """Write landmarks (L, 2) in pixels counted from 0 as a `.pts` file, whole or not at all.

    Raises InputError as `format_pts` does and OutputError if the file cannot be written.
    """
    write_whole(Path(path), format_pts(points))


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise AnnotationError(
            f"{path}: cannot be read ({error.strerror or error}); check the path"
        ) from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text or len(data) > _LARGEST:
        raise AnnotationError(f"{path}: expected landmarks as text, got a binary or huge file")
    if not text.strip():
        raise AnnotationError(f"{path}: expected landmarks, got an empty file")
    return text


def _row(line: str, where: str) -> tuple[float, float]:
    try:
        x, y = (float(word) for word in line.split())
    except ValueError:
        raise AnnotationError(f"{where}: expected two numbers 'x y', got {line[:40]!r}") from None
    if not (np.isfinite(x) and np.isfinite(y)):
        raise AnnotationError(f"{where}: expected finite coordinates, got {line[:40]!r}")
    return x, y

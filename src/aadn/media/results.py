"""What detection found, as JSON, CSV and `.pts` text.

Numbers are rounded, pixels to a thousandth. Landmarks count from 0, as in their scheme; faces
count from 1 in CSV and file names, the best score first.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aadn.faces import Face, Faces
from aadn.inference.onnx import Card
from aadn.schemes import scheme_of

FORMAT = 1
"""Version of the JSON's layout."""


@dataclass(frozen=True)
class Result:
    """One picture: its size in pixels and its faces, or the error for which it has none."""

    image: Path
    width: int = 0
    height: int = 0
    faces: Faces | None = None
    error: str = ""


def to_json(results: Sequence[Result], card: Card | None) -> str:
    """The JSON text: format, model, scheme and images.

    Each image has `image` (its path) and either `error`, or `width`, `height` and `faces`. Each
    face has `box` (x0, y0, x1, y1), `score`, `points` [[x, y], …] in pixels with (0, 0) the centre
    of the top-left one, `visibility` in [0, 1], `hidden` (indices of landmarks), `uncertainty`
    (pixels) and `occlusion` (7 rows of 7 in [0, 1]); these two are null from a network without
    them. Model and scheme are null for `card` None: no network was needed.
    """
    content = {
        "format": FORMAT,
        "model": card and card.model,
        "scheme": card and card.scheme,
        "images": [_image(result) for result in results],
    }
    return json.dumps(content, allow_nan=False) + "\n"


def to_csv(results: Sequence[Result]) -> bytes:
    """One row for each landmark: image, face, landmark, name, x, y, visibility, uncertainty.

    UTF-8; uncertainty (pixels) is empty from a network without it.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "face", "landmark", "name", "x", "y", "visibility", "uncertainty"])
    for result in results:
        for number, face in enumerate(result.faces or (), 1):
            names = scheme_of(len(face.points)).point_names()
            points, visibility = _rounded(face.points, 3), _rounded(face.visibility, 4)
            uncertainty = _known(face.uncertainty, 3) or [None] * len(names)
            for i, name in enumerate(names):
                row = [result.image, number, i, name, *points[i], visibility[i], uncertainty[i]]
                writer.writerow(row)
    return text.getvalue().encode("utf-8", "surrogateescape")  # paths may be any bytes


def _image(result: Result) -> dict[str, Any]:
    entry: dict[str, Any] = {"image": str(result.image)}
    if result.faces is None:
        return {**entry, "error": result.error}
    faces = [_face(face) for face in result.faces]
    return {**entry, "width": result.width, "height": result.height, "faces": faces}


def _face(face: Face) -> dict[str, Any]:
    return {
        "box": _rounded(face.box, 3),
        "score": round(face.score, 4),
        "points": _rounded(face.points, 3),
        "visibility": _rounded(face.visibility, 4),
        "hidden": np.flatnonzero(face.hidden).tolist(),
        "uncertainty": _known(face.uncertainty, 3),
        "occlusion": _known(face.occlusion, 4),
    }


def _known(values: NDArray[np.floating], digits: int) -> Any:
    """The values rounded; None from a network without them, which says NaN."""
    return _rounded(values, digits) if np.isfinite(values).all() else None


def _rounded(values: NDArray[np.floating], digits: int) -> Any:
    return np.round(values.astype(np.float64), digits).tolist()

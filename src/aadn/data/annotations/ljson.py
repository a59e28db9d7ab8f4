"""Menpo's `.ljson` files, a file beside each picture.

Points are [y, x] in pixels, 0 the centre of the first one, null where missing; labels name groups
of them. Version 2 has one face; version 3 groups, of which each is a face here. `states`, which
menpo passes over, has the states by name. `x.ljson` belongs to the picture `x.jpg` beside it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aadn.data.annotations.pictures import face, located, number, read_json
from aadn.data.annotations.states import states_of
from aadn.data.samples import Sample
from aadn.errors import AnnotationError
from aadn.images import SUFFIXES
from aadn.schemes import Scheme


def read_ljson(file: Path, images: Path | None = None) -> list[Sample]:
    """The faces of an `.ljson` file, whose picture is beside it, or in the folder `images`.

    Raises AnnotationError for what is broken, and without the picture.
    """
    content = read_json(file)
    groups = content.get("groups") if isinstance(content, dict) else None
    if isinstance(groups, dict):
        faces = list(groups.items())
    elif isinstance(content, dict) and isinstance(content.get("landmarks"), dict):
        faces = [("landmarks", content)]
    else:
        raise AnnotationError(f"{file}: expected landmarks of version 2 or 3 of menpo's .ljson")
    image = _picture(file, images or file.parent)
    return [_face(entry, image, f"{file}: {name}") for name, entry in faces]


def _picture(file: Path, folder: Path) -> Path:
    named = (folder / f"{file.stem}{suffix}" for suffix in sorted(SUFFIXES))
    found = [path for path in named if path.is_file()]
    if len(found) != 1:
        names = " and ".join(path.name for path in found) or "none"
        raise AnnotationError(f"{file}: expected one picture {file.stem} in {folder}; got {names}")
    return located(found[0].name, folder, file)


def _face(entry: Any, image: Path, where: str) -> Sample:
    landmarks = entry.get("landmarks") if isinstance(entry, dict) else None
    landmarks = landmarks if isinstance(landmarks, dict) else {}
    rows = landmarks.get("points")
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise AnnotationError(f"{where}: expected points, a list of [y, x]")
    if not rows or {len(row) for row in rows} != {2}:
        raise AnnotationError(f"{where}: expected points [y, x], one at least")
    points = [[np.nan if v is None else number(v, where) for v in row[::-1]] for row in rows]
    states = landmarks.get("states") or ["unknown"] * len(rows)
    if not isinstance(states, list) or len(states) != len(rows):
        raise AnnotationError(f"{where}: expected {len(rows)} states")
    return face(image, points, states, where)


def ljson(faces: Sequence[Sample], scheme: Scheme) -> str:
    """The text of the `.ljson` file of a picture's faces: version 2 for one, 3 for several."""
    groups = [_group(sample, scheme) for sample in faces]
    if len(groups) == 1:
        return json.dumps({"version": 2, **groups[0]}, allow_nan=False) + "\n"
    named = {f"face {i}": group for i, group in enumerate(groups, 1)}
    return json.dumps({"version": 3, "groups": named}, allow_nan=False) + "\n"


def _group(sample: Sample, scheme: Scheme) -> dict[str, Any]:
    rows = [[None if np.isnan(v) else round(float(v), 6) for v in p[::-1]] for p in sample.points]
    labels = [
        {"label": name, "mask": list(indices)} for name, (indices, _) in scheme.contours.items()
    ]
    if not labels:
        labels = [{"label": "all", "mask": list(range(scheme.size))}]
    points = {"points": rows, "connectivity": [list(edge) for edge in scheme.edges()]}
    return {"labels": labels, "landmarks": {**points, "states": states_of(sample)}}

"""What `aadn detect --json` wrote, as labelled faces: to be corrected, or to be learned from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aadn.data.annotations.pictures import face, located, number
from aadn.data.samples import Sample
from aadn.errors import AnnotationError


def read_detections(content: Any, file: Path, images: Path) -> list[Sample]:
    """The faces of a document's `content`, whose pictures are in the folder `images`.

    Raises AnnotationError for what is broken.
    """
    samples = []
    for entry in content["images"]:
        name = entry.get("image") if isinstance(entry, dict) else None
        where = f"{file}: {name}"
        faces = entry.get("faces") or [] if isinstance(entry, dict) else None
        if not isinstance(faces, list) or not all(isinstance(found, dict) for found in faces):
            raise AnnotationError(f"{where}: expected a picture's faces")
        image = located(name, images, where) if faces else Path()
        for found in faces:
            points = found.get("points")
            if not isinstance(points, list) or any(len(p) != 2 for p in points):
                raise AnnotationError(f"{where}: expected points [[x, y], …]")
            states = ["seen"] * len(points)
            hidden = "hidden" if "covered" not in found else "covered"  # aadn 0.1 has two states
            for key, state in ((hidden, hidden), ("turned", "turned")):
                for index in found.get(key) or []:
                    states[_index(index, len(points), where)] = state
            rows = [[number(value, where) for value in point] for point in points]
            samples.append(face(image, rows, states, where))
    return samples


def _index(value: object, count: int, where: str) -> int:
    if type(value) is not int or not 0 <= value < count:
        raise AnnotationError(f"{where}: expected landmarks' indices below {count}; got {value!r}")
    return value

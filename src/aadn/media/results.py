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

from aadn.faces import Faces
from aadn.inference.backend import Card

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

    def to_dict(self) -> dict[str, Any]:
        """Plain values: `image` (its path), and either `error` or `width`, `height` and `faces`."""
        entry: dict[str, Any] = {"image": str(self.image)}
        if self.faces is None:
            return {**entry, "error": self.error}
        faces = self.faces.to_dict()["faces"]
        return {**entry, "width": self.width, "height": self.height, "faces": faces}


def to_json(results: Sequence[Result], card: Card | None) -> str:
    """The JSON text: format, model, scheme and images.

    Each image is a `Result.to_dict`, its faces `aadn.Face.to_dict`. Model and scheme are null for
    `card` None: no network was needed.
    """
    content = {
        "format": FORMAT,
        "model": card and card.model,
        "scheme": card and card.scheme.name,
        "images": [result.to_dict() for result in results],
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
            names, plain = face.scheme.point_names(), face.to_dict()
            uncertainty = plain["uncertainty"] or [None] * len(names)
            for i, name in enumerate(names):
                at, seen = plain["points"][i], plain["visibility"][i]
                writer.writerow([result.image, number, i, name, *at, seen, uncertainty[i]])
    return text.getvalue().encode("utf-8", "surrogateescape")  # paths may be any bytes

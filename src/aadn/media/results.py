"""What detection found, as JSON, JSON lines and CSV.

Numbers are rounded, pixels to a thousandth. Landmarks count from 0, as in their scheme; faces
count from 1 in CSV and file names, the best score first.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aadn.faces import STATES
from aadn.inference.backend import Card
from aadn.inference.landmarker import Result
from aadn.media.growing import Frame

FORMAT = 1
"""Version of the JSON's layout."""

COLUMNS = (
    *("image", "face", "landmark", "name", "x", "y", "visibility", "uncertainty"),
    *("hidden", "threshold", "box_x0", "box_y0", "box_x1", "box_y1", "score", "angle"),
    *("quality", "error", "state", "turned_away", "turned_threshold"),
)
"""Of the CSV."""


@dataclass(frozen=True)
class Form:
    """A kind of file: what frames its entries, and the text of one picture's result.

    `entry` takes the picture's name and the result; its bytes belong to `frame`.
    """

    frame: Frame
    entry: Callable[[str | Path, Result], bytes]


def json_document(card: Card | None) -> Form:
    """One JSON document: format, model, scheme and images, each a `picture_dict` on its line.

    Where no network is loaded, the card is None, and model and scheme are null.
    """
    head = json.dumps(_about(card))[:-1]
    frame = Frame(f'{head}, "images": [\n'.encode(), b",\n", b"\n]}\n")
    return Form(frame, lambda name, result: _json(picture_dict(name, result)))


def json_lines(card: Card | None) -> Form:
    """A JSON document in each line: `picture_dict` after format, model and scheme."""
    about = _about(card)
    return Form(
        Frame(), lambda name, result: _json({**about, **picture_dict(name, result)}) + b"\n"
    )


def csv_table() -> Form:
    """One row for each landmark, its columns COLUMNS; in UTF-8.

    Names of files that are not UTF-8 keep their bytes.

    `visibility` is the probability of being seen, `turned_away` that of being turned away, `state`
    one of seen, covered and turned, `hidden` 1 for the last two, else 0. `threshold` and
    `turned_threshold` are those of `aadn.Faces`. Uncertainty (pixels), quality and `turned_away`
    are empty from a network without them. A picture without faces has a row with its image alone,
    one that failed its image and its error.
    """
    return Form(Frame(_csv([COLUMNS])), lambda name, result: _csv(_rows(name, result)))


def picture_dict(name: str | Path, result: Result) -> dict[str, Any]:
    """Plain values: `image` (the name), and either `error` or `width`, `height` and `faces`.

    The faces are as in `aadn.Face.to_dict`.
    """
    if result.faces is None or result.size is None:
        return {"image": str(name), "error": str(result.error)}
    width, height = result.size
    faces = result.faces.to_dict()["faces"]
    return {"image": str(name), "width": width, "height": height, "faces": faces}


def _about(card: Card | None) -> dict[str, Any]:
    if card is None:
        return {"format": FORMAT, "model": None, "scheme": None}
    return {"format": FORMAT, "model": card.model, "scheme": card.scheme.name}


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, allow_nan=False).encode()


def _rows(name: str | Path, result: Result) -> list[list[Any]]:
    """The CSV's rows of one picture, at least one."""
    if not result.faces:
        at = COLUMNS.index("error")
        return [[name, *[None] * (at - 1), result.error, *[None] * (len(COLUMNS) - at - 1)]]
    rows: list[list[Any]] = []
    for number, face in enumerate(result.faces, 1):
        values = face.to_dict()
        names, hidden = face.scheme.point_names(), set(values["hidden"])
        unknown = [None] * len(names)
        uncertainty, away = (values[name] or unknown for name in ("uncertainty", "turned_away"))
        states = _states(values, len(names))
        of_face = [face.visibility_threshold, *values["box"]]
        of_face += [values["score"], values["angle"], values["quality"], None]
        for i, landmark in enumerate(names):
            at, visibility = values["points"][i], values["visibility"][i]
            row = [name, number, i, landmark, *at, visibility, uncertainty[i], int(i in hidden)]
            rows.append([*row, *of_face, states[i], away[i], face.turned_threshold])
    return rows


def _states(values: dict[str, Any], landmarks: int) -> list[str]:
    """The state of each landmark of a face, from its plain values."""
    seen, covered, turned = STATES
    names = [seen] * landmarks
    for state, key in ((covered, "covered"), (turned, "turned")):
        for index in values[key]:
            names[index] = state
    return names


def _csv(rows: list[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8", "surrogateescape")  # paths may be any bytes

"""What was found in a film, frame by frame: JSON lines, CSV, and OpenFace's CSV.

Times are seconds from the film's beginning. What is not known is null, or empty in CSV.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from aadn.errors import InputError
from aadn.faces import STATES, Face, Faces
from aadn.schemes import IBUG68, Scheme

COLUMNS = (
    *("frame", "time", "face", "landmark", "name", "x", "y", "state", "visibility", "turned_away"),
    *("uncertainty", "quality", "yaw", "pitch", "roll", "right_eye", "left_eye", "mouth"),
)
"""Of the CSV, a row for each landmark."""


def film_json(index: int, time: float, faces: Faces) -> bytes:
    """A line: frame, time and faces, each as `aadn.Face.to_dict` with pose and openness."""
    found = []
    for face in faces:
        pose, (right, left) = _rounded(face.pose, 2), _rounded(face.eye_openness, 4)
        mouth = _rounded([face.mouth_openness], 4)[0]
        more = {"pose": pose, "eye_openness": [right, left], "mouth_openness": mouth}
        found.append({**face.to_dict(), **more})
    line = {"frame": index, "time": round(time, 4), "faces": found}
    return json.dumps(line, allow_nan=False).encode() + b"\n"


def film_csv_head() -> bytes:
    """The first line of the CSV."""
    return _csv([COLUMNS])


def film_csv(index: int, time: float, faces: Faces) -> bytes:
    """`film_rows` as CSV."""
    return _csv(film_rows(index, time, faces))


def film_rows(index: int, time: float, faces: Faces) -> list[list[Any]]:
    """The rows of a frame, COLUMNS; one without faces has a row with its number and time alone."""
    if not faces:
        return [[index, round(time, 4), *[None] * (len(COLUMNS) - 2)]]
    rows: list[list[Any]] = []
    for face in faces:
        of_face = _rounded([face.quality], 4) + _rounded([*face.pose], 2)
        of_face += _rounded([*face.eye_openness, face.mouth_openness], 4)
        state = np.where(face.turned, 2, np.where(face.covered, 1, 0))
        values = zip(
            face.scheme.point_names(),
            face.points.astype(np.float64).round(3).tolist(),
            (STATES[i] for i in state),
            _rounded(face.visibility, 4),
            _rounded(face.turned_away, 4),
            _rounded(face.uncertainty, 3),
            strict=True,
        )
        rows += [
            [index, round(time, 4), face.id, i, name, *point, *rest, *of_face]
            for i, (name, point, *rest) in enumerate(values)
        ]
    return rows


def openface_head(scheme: Scheme) -> bytes:
    """The first line of OpenFace's CSV; InputError for landmarks other than iBUG's 68."""
    if scheme != IBUG68:
        raise InputError(f"OpenFace's CSV has iBUG's 68 landmarks; got those of {scheme.name}")
    columns = ["frame", "face_id", "timestamp", "confidence", "success"]
    columns += ["pose_Rx", "pose_Ry", "pose_Rz"]
    columns += [f"{axis}_{i}" for axis in "xy" for i in range(scheme.size)]
    return _csv([columns])


def openface_csv(index: int, time: float, faces: Faces) -> bytes:
    """The rows of a frame, one for each face; frames count from 1, faces from 0, as in OpenFace.

    `confidence` is the face's quality, `success` 1 where it is 0.5 or more, and the pose in radians
    about OpenFace's axes (x to the right, y down, z away from the camera; R = Rx · Ry · Rz). A
    frame without faces has a row of zeros.
    """
    rows = []
    for face in faces:
        pose = [0.0 if value is None else value for value in _rounded(openface_angles(face), 4)]
        quality = 0.0 if np.isnan(face.quality) else float(face.quality)
        head = [index + 1, max(face.id - 1, 0), round(time, 4), round(quality, 4)]
        points = [*face.points[:, 0], *face.points[:, 1]]
        rows.append([*head, int(quality >= 0.5), *pose, *_rounded(points, 2)])
    if not rows:
        rows = [[index + 1, 0, round(time, 4), 0, 0, *[0] * (3 + 2 * IBUG68.size)]]
    return _csv(rows)


def openface_angles(face: Face) -> list[float]:
    """Rx, Ry and Rz in radians about OpenFace's axes; NaN where the pose is not known."""
    flip = np.diag([1.0, -1.0, -1.0])  # y down, z away from the camera
    rotation = flip @ face.rotations @ flip
    return [
        float(np.arctan2(-rotation[1, 2], rotation[2, 2])),
        float(np.arcsin(np.clip(rotation[0, 2], -1, 1))),
        float(np.arctan2(-rotation[0, 1], rotation[0, 0])),
    ]


def _rounded(values: Any, digits: int) -> list[float | None]:
    """Rounded, None for NaN."""
    found = np.round(np.asarray(values, np.float64), digits).tolist()
    return [None if value != value else value for value in found]


def _csv(rows: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()

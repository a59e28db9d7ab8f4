"""COCO's JSON of keypoints, and COCO-WholeBody's of faces.

Keypoints are x, y, v: pixels, 0 the centre of the first one, and v 2 = seen, 1 = labelled but
hidden, 0 = not labelled. `keypoint_states`, which COCO does not know and others pass over, has the
states by name. Boxes are x, y, width, height, from the picture's outer edge. A file of COCO-
WholeBody has `face_kpts` beside the body's keypoints, and those are read; written are both, alike.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aadn.data.annotations.pictures import face, located, number, pictures_of, relative
from aadn.data.annotations.states import State, states_of
from aadn.data.samples import Sample
from aadn.errors import AnnotationError
from aadn.schemes import Scheme

VALUES: dict[State, int] = {
    "seen": 2, "unknown": 2, "covered": 1, "turned": 1, "hidden": 1, "missing": 0,
}  # fmt: skip
"""COCO's v of each state."""

_STATES = {2: "seen", 1: "hidden", 0: "missing"}


def read_coco(content: Any, file: Path, images: Path) -> list[Sample]:
    """The faces of a COCO file's `content`, whose pictures are in the folder `images`.

    Annotations without keypoints are passed over. Raises AnnotationError for what is broken.
    """
    named = {}
    for entry in _entries(content, "images", file):
        named[entry.get("id")] = entry.get("file_name")
    annotations = _entries(content, "annotations", file)
    of_faces = any(entry.get("face_valid") for entry in annotations)
    samples = []
    for entry in annotations:
        where = f"{file}: annotation {entry.get('id')}"
        values = entry.get("face_kpts" if of_faces else "keypoints")
        if not values or (of_faces and not entry.get("face_valid")):
            continue
        if entry.get("image_id") not in named:
            raise AnnotationError(f"{where}: no image has the id {entry.get('image_id')!r:.40}")
        image = located(named[entry["image_id"]], images, where)
        if not isinstance(values, list) or len(values) % 3:
            raise AnnotationError(f"{where}: expected keypoints x, y, v; got {values!r:.40}")
        rows = np.array([number(value, where) for value in values]).reshape(-1, 3)
        # COCO-WholeBody has a score in place of v.
        flags = [2 if v > 0 else 0 for v in rows[:, 2]] if of_faces else rows[:, 2].tolist()
        states = entry.get("keypoint_states") or [_flagged(flag, where) for flag in flags]
        if not isinstance(states, list) or len(states) != len(rows):
            raise AnnotationError(f"{where}: expected {len(rows)} keypoint_states")
        points = np.where(rows[:, 2:] > 0, rows[:, :2], np.nan)
        if len(points) > 0 and np.isfinite(points).any():
            samples.append(face(image, points, states, where))
    return samples


def _entries(content: Any, key: str, file: Path) -> list[dict[str, Any]]:
    entries = content.get(key)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise AnnotationError(f"{file}: expected COCO's list of {key}")
    return entries


def _flagged(flag: float, where: str) -> str:
    if flag not in _STATES:
        raise AnnotationError(f"{where}: expected v of 0, 1 or 2; got {flag:g}")
    return _STATES[int(flag)]


def coco_json(samples: Sequence[Sample], scheme: Scheme, folder: Path) -> str:
    """The text of a COCO file in a folder, from which pictures are named.

    Raises as `pictures_of` does.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for picture in pictures_of(samples):
        image = {"id": len(images) + 1, "file_name": relative(picture.file, folder)}
        images.append({**image, "width": picture.width, "height": picture.height})
        for sample in picture.faces:
            annotation = {"id": len(annotations) + 1, "image_id": image["id"], "category_id": 1}
            annotations.append({**annotation, **_annotation(sample)})
    category = {
        "id": 1,
        "name": "face",
        "supercategory": "person",
        "keypoints": scheme.point_names(),
        "skeleton": [[first + 1, second + 1] for first, second in scheme.edges()],
    }
    content = {
        "info": {"description": f"faces with {scheme.size} landmarks ({scheme.name})"},
        "images": images,
        "annotations": annotations,
        "categories": [category],
    }
    return json.dumps(content, allow_nan=False) + "\n"


def _annotation(sample: Sample) -> dict[str, Any]:
    states = states_of(sample)
    keypoints: list[float] = []
    for (x, y), state in zip(np.round(sample.points, 4).tolist(), states, strict=True):
        keypoints += (0.0, 0.0, 0) if state == "missing" else (x, y, VALUES[state])
    low, high = sample.box[:2] + 0.5, sample.box[2:] + 0.5
    box = np.round([*low, *(high - low)], 4).tolist()
    return {
        "bbox": box,
        "area": round(box[2] * box[3], 4),
        "iscrowd": 0,
        "num_keypoints": sum(state != "missing" for state in states),
        "keypoints": keypoints,
        "keypoint_states": states,
        "face_box": box,
        "face_kpts": keypoints,
        "face_valid": True,
    }

"""Label Studio's JSON of tasks: a landmark is a keypoint, its state a choice.

Coordinates are percent of the picture's width and height, from its outer edge. Which face a
keypoint belongs to stands in its note, "face 1", as keypoints have no parents; without notes a task
has one face. A task's last annotation counts, or, where nobody has corrected it yet, its last
prediction. `labelling_config` is what a project for such tasks is set up with.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import quoteattr

import numpy as np

from aadn.data.annotations.pictures import Picture, face, located, number, pictures_of, relative
from aadn.data.annotations.states import STATES, states_of
from aadn.data.samples import Sample
from aadn.errors import AnnotationError
from aadn.schemes import MOST_POINTS, Scheme

_UPLOADED = re.compile(r"^[0-9a-f]{8}-")
"""Before the name of a picture that was uploaded."""

_NUMBERED = re.compile(r"(\d{1,5})(\D.*)?", re.DOTALL)
_FACE = re.compile(r"face (\d{1,6})")
SIZE = 0.3
"""Of a keypoint, in percent of the picture's width."""


def read_label_studio(tasks: Any, file: Path, images: Path) -> list[Sample]:
    """The faces of a file's tasks, whose pictures are in the folder `images`.

    Keypoints are labelled "36 right eye 0", or by anything that begins with a landmark's number.
    Raises AnnotationError for what is broken.
    """
    samples = []
    size = 0
    found = []
    for i, task in enumerate(tasks):
        where = f"{file}: task {task.get('id', i) if isinstance(task, dict) else i}"
        if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
            raise AnnotationError(f"{where}: expected a task with its data")
        faces = _faces(_regions(task, where), where)
        if faces:
            image = _image(task["data"], images, where)
            found += [(image, faces[name], f"{where}, {name}") for name in sorted(faces)]
            size = max(size, *(max(landmarks) + 1 for landmarks in faces.values()))
    for image, landmarks, where in found:
        points, states = np.full((size, 2), np.nan), ["missing"] * size
        for index, (x, y, state) in landmarks.items():
            points[index], states[index] = (x - 0.5, y - 0.5), state
        samples.append(face(image, points, states, where))
    return samples


def _regions(task: dict[str, Any], where: str) -> list[dict[str, Any]]:
    """The regions of the version that counts."""
    done = [a for a in task.get("annotations") or [] if not a.get("was_cancelled")]
    versions = done or task.get("predictions") or []
    regions = versions[-1].get("result") if versions else []
    if not isinstance(regions, list) or not all(isinstance(r, dict) for r in regions):
        raise AnnotationError(f"{where}: expected a result, a list of regions")
    return regions


def _image(data: dict[str, Any], images: Path, where: str) -> Path:
    """The picture's file: by its own name, or by what its address says."""
    if isinstance(data.get("file"), str):
        return located(data["file"], images, where)
    address = next((v for key, v in data.items() if "ima" in key and isinstance(v, str)), None)
    if address is None:
        raise AnnotationError(f"{where}: expected the address of its image")
    parts = urlsplit(address)
    local = parse_qs(parts.query).get("d")
    name = local[0] if local else unquote(parts.path).lstrip("/")
    try:
        return located(name, images, where)
    except AnnotationError:
        short = _UPLOADED.sub("", Path(name).name)
        if short == Path(name).name:
            raise
        return located(short, images, where)


Landmarks = dict[int, tuple[float, float, str]]


def _faces(regions: list[dict[str, Any]], where: str) -> dict[str, Landmarks]:
    """By face, then landmark: x and y in pixels from the outer edge, and the state."""
    chosen = {
        region.get("id"): (region.get("value") or {}).get("choices") or []
        for region in regions
        if region.get("type") == "choices"
    }
    faces: dict[str, Landmarks] = {}
    for region in regions:
        if region.get("type") != "keypointlabels":
            continue
        value = region.get("value") or {}
        label = str((value.get("keypointlabels") or [""])[0])
        named = _NUMBERED.fullmatch(label)
        if named is None or int(named[1]) >= MOST_POINTS:
            raise AnnotationError(
                f"{where}: expected keypoints labelled by landmarks' numbers, such as "
                f"'36 right eye 0'; got {label!r:.40}"
            )
        notes = " ".join(map(str, (region.get("meta") or {}).get("text") or []))
        note = _FACE.search(notes)
        own = faces.setdefault(f"face {int(note[1]):06}" if note else "face", {})
        if int(named[1]) in own:
            raise AnnotationError(
                f"{where}: {label} is there twice in one face; give the keypoints of each face a "
                "note, 'face 1', 'face 2'"
            )
        sides = (number(region.get(key), where) for key in ("original_width", "original_height"))
        x, y = (
            number(value.get(a), where) * side / 100 for a, side in zip("xy", sides, strict=True)
        )
        state = next(iter(chosen.get(region.get("id"), [])), "unknown")
        own[int(named[1])] = x, y, str(state)
    if "face" in faces and len(faces) > 1:
        raise AnnotationError(
            f"{where}: some keypoints have the note which face they belong to, others none"
        )
    return faces


def label_studio_json(samples: Sequence[Sample], scheme: Scheme, folder: Path) -> str:
    """The text of a file of tasks in a folder, from which pictures are named.

    The faces are predictions, which Label Studio offers for correction. Raises as `pictures_of`.
    """
    labels, tasks = labels_of_keypoints(scheme), []
    for i, picture in enumerate(pictures_of(samples), 1):
        name = relative(picture.file, folder)
        result: list[dict[str, Any]] = []
        for n, sample in enumerate(picture.faces, 1):
            result += _written(sample, n, picture, labels)
        data = {"image": f"/data/local-files/?d={name}", "file": name}
        prediction = {"model_version": "aadn", "result": result}
        tasks.append({"id": i, "data": data, "predictions": [prediction]})
    return json.dumps(tasks, allow_nan=False) + "\n"


def labels_of_keypoints(scheme: Scheme) -> list[str]:
    """What Label Studio calls each landmark: its number and name."""
    return [f"{i} {name}" for i, name in enumerate(scheme.point_names())]


def _written(
    sample: Sample, number_: int, picture: Picture, labels: list[str]
) -> list[dict[str, Any]]:
    """The regions of a face: a keypoint and a choice for each landmark."""
    regions: list[dict[str, Any]] = []
    for i, state in enumerate(states_of(sample)):
        if state == "missing":
            continue
        x, y = (100 * (sample.points[i] + 0.5) / [picture.width, picture.height]).tolist()
        place = {"x": round(x, 8), "y": round(y, 8), "width": SIZE}
        common = {
            "id": f"face{number_}-{i}",
            "to_name": "image",
            "original_width": picture.width,
            "original_height": picture.height,
            "image_rotation": 0,
        }
        keypoint = {"from_name": "landmark", "type": "keypointlabels"}
        value = {**place, "keypointlabels": [labels[i]]}
        note = {"text": [f"face {number_}"]}
        regions.append({**common, **keypoint, "value": value, "meta": note})
        choice = {"from_name": "state", "type": "choices", "value": {**place, "choices": [state]}}
        regions.append({**common, **choice})
    return regions


def labelling_config(scheme: Scheme) -> str:
    """The labelling interface of a project for such tasks."""
    labels = "".join(f"    <Label value={quoteattr(n)}/>\n" for n in labels_of_keypoints(scheme))
    choices = "".join(f"    <Choice value={quoteattr(s)}/>\n" for s in STATES if s != "missing")
    return (
        '<View>\n  <Image name="image" value="$image" zoom="true"/>\n'
        f'  <KeyPointLabels name="landmark" toName="image">\n{labels}  </KeyPointLabels>\n'
        '  <Choices name="state" toName="image" perRegion="true" choice="single-radio">\n'
        f"{choices}  </Choices>\n</View>\n"
    )

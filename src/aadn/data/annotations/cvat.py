"""CVAT's XML for images: a face is a skeleton, to be corrected point by point.

Coordinates count from the picture's outer edge, so the centre of its first pixel is 0.5. A point
that is `outside` is missing, one that is `occluded` hidden, and its attribute `state` says by what.
The skeleton's label must be there before such a file is uploaded: `cvat_labels` is what CVAT's
"Raw" constructor of labels takes. Faces that are drawn as `points` shapes are read too.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aadn.data.annotations.pictures import face, located, number, pictures_of, relative
from aadn.data.annotations.states import STATES, State, states_of
from aadn.data.samples import Sample
from aadn.errors import AnnotationError
from aadn.schemes import MOST_POINTS, Scheme

LABEL = "face"
HIDDEN: tuple[State, ...] = ("covered", "turned", "hidden")


def read_cvat(root: ElementTree.Element, file: Path, images: Path) -> list[Sample]:
    """The faces of a CVAT file, whose pictures are in the folder `images`.

    Raises AnnotationError for what is broken.
    """
    samples = []
    for place in root.iter("image"):
        name = place.get("name")
        where = f"{file}: {name}"
        shapes = [shape for shape in place if shape.tag in ("skeleton", "points")]
        image = located(name, images, where) if shapes else Path()
        for shape in shapes:
            read = _skeleton if shape.tag == "skeleton" else _points
            points, states = read(shape, where)
            if len(points) > 1 and set(states) != {"missing"}:  # a single point is no face
                samples.append(face(image, np.array(points) - 0.5, states, where))
    return samples


def _skeleton(shape: ElementTree.Element, where: str) -> tuple[list[list[float]], list[str]]:
    """Points and states in the order of the elements' names, which are numbers from 0."""
    elements: dict[int, ElementTree.Element] = {}
    for element in shape.iter("points"):
        name = element.get("label") or ""
        index = int(name) if name.isdecimal() and len(name) < 6 else MOST_POINTS
        if index >= MOST_POINTS or index in elements:
            raise AnnotationError(
                f"{where}: expected a skeleton's points to be labelled by their numbers, each of "
                f"them once; got {name!r:.40}"
            )
        elements[index] = element
    points, states = [], []
    for index in range(max(elements, default=-1) + 1):
        found = elements.get(index)
        if found is None or found.get("outside") == "1":
            points.append([np.nan, np.nan])
            states.append("missing")
        else:
            points += _pairs(found, where)[:1]
            states.append(_state(found))
    return points, states


def _points(shape: ElementTree.Element, where: str) -> tuple[list[list[float]], list[str]]:
    """Points of one shape, all of one state."""
    pairs = _pairs(shape, where)
    return pairs, [_state(shape)] * len(pairs)


def _pairs(element: ElementTree.Element, where: str) -> list[list[float]]:
    texts = [pair.split(",") for pair in (element.get("points") or "").split(";")]
    if any(len(pair) != 2 for pair in texts):
        raise AnnotationError(f"{where}: expected points 'x,y'; got {element.get('points')!r:.40}")
    return [[number(value, where) for value in pair] for pair in texts]


def _state(element: ElementTree.Element) -> str:
    """The flag decides whether a point is hidden, the attribute by what."""
    said = next((a.text for a in element.iter("attribute") if a.get("name") == "state"), None)
    if element.get("occluded") == "1":
        return said if said in HIDDEN else "hidden"
    return "unknown" if said == "unknown" else "seen"


def cvat_xml(samples: Sequence[Sample], scheme: Scheme, folder: Path) -> str:
    """The text of a CVAT file in a folder, from which pictures are named.

    Raises as `pictures_of` does.
    """
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    for i, picture in enumerate(pictures_of(samples)):
        about = {"id": str(i), "name": relative(picture.file, folder)}
        size = {"width": str(picture.width), "height": str(picture.height)}
        entry = ElementTree.SubElement(root, "image", about | size)
        for sample in picture.faces:
            kind = {"label": LABEL, "source": "auto", "z_order": "0"}
            skeleton = ElementTree.SubElement(entry, "skeleton", kind)
            for index, state in enumerate(states_of(sample)):
                skeleton.append(_element(index, sample.points[index], state))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, "unicode") + "\n"


def _element(index: int, point: Any, state: State) -> ElementTree.Element:
    missing = state == "missing"
    x, y = (0.0, 0.0) if missing else (point + 0.5).tolist()
    attributes = {
        "label": str(index),
        "source": "auto",
        "outside": str(int(missing)),
        "occluded": str(int(state in HIDDEN)),
        "points": f"{x:.4f},{y:.4f}",
    }
    element = ElementTree.Element("points", attributes)
    ElementTree.SubElement(element, "attribute", {"name": "state"}).text = state
    return element


def cvat_labels(samples: Sequence[Sample], scheme: Scheme) -> str:
    """The skeleton's label for CVAT's constructor, its points where the mean face has them."""
    middle = _mean_face(samples)
    lines = [
        f'<line x1="{middle[a][0]}" y1="{middle[a][1]}" x2="{middle[b][0]}" y2="{middle[b][1]}" '
        f'stroke="black" data-type="edge" data-node-from="{a + 1}" stroke-width="0.3" '
        f'data-node-to="{b + 1}"></line>'
        for a, b in scheme.edges()
    ]
    circles = [
        f'<circle r="0.6" stroke="black" fill="#b3b3b3" cx="{x}" cy="{y}" stroke-width="0.1" '
        f'data-type="element node" data-element-id="{i + 1}" data-node-id="{i + 1}" '
        f'data-label-name="{i}"></circle>'
        for i, (x, y) in enumerate(middle)
    ]
    state = {
        "name": "state",
        "mutable": True,
        "input_type": "select",
        "default_value": "seen",
        "values": list(STATES),
    }
    points = [{"name": str(i), "type": "points", "attributes": [state]} for i in range(scheme.size)]
    label = {"name": LABEL, "type": "skeleton", "attributes": [], "sublabels": points}
    return json.dumps([{**label, "svg": "".join(lines + circles)}], indent=1) + "\n"


def _mean_face(samples: Sequence[Sample]) -> list[list[float]]:
    """Where the landmarks lie on average (L, 2), in percent of a square about the face."""
    shapes = []
    for sample in samples:
        low, high = sample.box[:2], sample.box[2:]
        shapes.append((sample.points - (low + high) / 2) / (high - low).max())
    known = np.isfinite(shapes).all(axis=2, keepdims=True)
    count = np.maximum(known.sum(axis=0), 1)
    middle = np.where(known, shapes, 0).sum(axis=0) / count
    rounded: list[list[float]] = np.round(50 + 90 * middle, 2).tolist()
    return rounded

"""dlib's imglab XML: images, a box for each face, a part for each landmark.

Parts are whole pixels, 0 the first, as dlib reads no others; `exact_x` and `exact_y`, which it
passes over, have the fractions, and `state` the state. A landmark that is missing has no part.
Parts are named by their landmarks' numbers, or, in files of others, by anything: then they count in
the order of their names, as in dlib.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aadn.data.annotations.pictures import face, located, number, pictures_of, relative
from aadn.data.annotations.states import states_of
from aadn.data.samples import Sample
from aadn.errors import AnnotationError
from aadn.schemes import Scheme


def read_imglab(root: ElementTree.Element, file: Path, images: Path) -> list[Sample]:
    """The faces of an imglab file, whose pictures are in the folder `images`.

    Boxes without parts, or marked to be ignored, are passed over. Raises AnnotationError for what
    is broken.
    """
    found = []
    for place in root.iter("image"):
        boxes = [box for box in place.iter("box") if box.get("ignore") != "1"]
        boxes = [box for box in boxes if box.find("part") is not None]
        if boxes:
            image = located(place.get("file"), images, file)
            found += [(image, _parts(box, f"{file}: {image.name}")) for box in boxes]
    names = sorted({name for _, parts in found for name in parts})
    if all(name.isdecimal() for name in names):
        indices = {name: int(name) for name in names}
    else:
        indices = {name: i for i, name in enumerate(names)}
    size = max(indices.values(), default=-1) + 1
    samples = []
    for image, parts in found:
        points, states = np.full((size, 2), np.nan), ["missing"] * size
        for name, (x, y, state) in parts.items():
            points[indices[name]], states[indices[name]] = (x, y), state
        samples.append(face(image, points, states, f"{file}: {image.name}"))
    return samples


def _parts(box: ElementTree.Element, where: str) -> dict[str, tuple[float, float, str]]:
    """x, y and state of each part, by its name."""
    parts = {}
    for part in box.iter("part"):
        name = part.get("name")
        if name is None or name in parts:
            raise AnnotationError(f"{where}: expected parts with a name each, got {name!r:.40}")
        x, y = (number(part.get(f"exact_{axis}", part.get(axis)), where) for axis in "xy")
        rounded = [number(part.get(axis), where) for axis in "xy"]
        if max(abs(x - rounded[0]), abs(y - rounded[1])) > 0.5001:  # moved by another tool
            x, y = rounded
        parts[name] = x, y, part.get("state", "unknown")
    return parts


def imglab_xml(samples: Sequence[Sample], scheme: Scheme, folder: Path) -> str:
    """The text of an imglab file in a folder, from which pictures are named.

    Raises as `pictures_of` does.
    """
    root = ElementTree.Element("dataset")
    ElementTree.SubElement(root, "name").text = f"{scheme.size} landmarks ({scheme.name})"
    entries = ElementTree.SubElement(root, "images")
    digits = len(str(scheme.size - 1))
    for picture in pictures_of(samples):
        size = {"width": str(picture.width), "height": str(picture.height)}
        about = {"file": relative(picture.file, folder), **size}
        entry = ElementTree.SubElement(entries, "image", about)
        for sample in picture.faces:
            left, top, right, bottom = np.rint(sample.box).astype(int).tolist()
            side = {"width": str(right - left + 1), "height": str(bottom - top + 1)}
            box = ElementTree.SubElement(entry, "box", {"top": str(top), "left": str(left), **side})
            for i, state in enumerate(states_of(sample)):
                if state == "missing":
                    continue
                x, y = sample.points[i].tolist()
                part = {"name": f"{i:0{digits}}", "x": str(round(x)), "y": str(round(y))}
                part |= {"exact_x": f"{x:.4f}", "exact_y": f"{y:.4f}", "state": state}
                ElementTree.SubElement(box, "part", part)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, "unicode") + "\n"

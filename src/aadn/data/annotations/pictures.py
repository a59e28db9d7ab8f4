"""Pictures with their labelled faces, as annotation files have them: each picture once."""

from __future__ import annotations

import json
import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aadn.data.annotations.states import labels_of
from aadn.data.folders import face_box
from aadn.data.samples import Sample
from aadn.errors import AnnotationError
from aadn.images import picture_size

LARGEST = 1 << 30
"""Bytes of an annotation file; a larger one is something else."""


@dataclass(frozen=True)
class Picture:
    """A picture's file and its labelled faces.

    Attributes:
        file: the picture.
        width, height: in pixels, upright.
        faces: in their order.
    """

    file: Path
    width: int
    height: int
    faces: tuple[Sample, ...]


def pictures_of(samples: Sequence[Sample]) -> list[Picture]:
    """Faces by picture, in the order of each picture's first face.

    Raises ImageError for a picture that cannot be read, AnnotationError for a face of none.
    """
    faces: dict[Path, list[Sample]] = {}
    for sample in samples:
        if sample.read is not None:
            raise AnnotationError(
                f"{sample.image}: expected faces of pictures' files, got one of a video or an array"
            )
        faces.setdefault(sample.image, []).append(sample)
    return [Picture(file, *picture_size(file), tuple(own)) for file, own in faces.items()]


def face(image: Path, points: Any, states: Sequence[str], where: object) -> Sample:
    """A labelled face from what a file says of it.

    Args:
        image: the picture's file.
        points: (L, 2) pixels, (0, 0) the centre of the top-left one; NaN where missing.
        states: a word of `aadn.data.annotations.states` for each.
        where: goes into the message of an AnnotationError.

    Its box is tight around the landmarks: other tools' boxes are drawn in many ways.
    """
    points = np.asarray(points, np.float64).reshape(-1, 2)
    states = [
        "missing" if missing else state
        for missing, state in zip(~np.isfinite(points).all(axis=1), states, strict=True)
    ]
    visible, turned = labels_of(states, where)
    known = points[np.isfinite(points).all(axis=1)]
    if len(known) == 0:
        raise AnnotationError(f"{where}: expected a face's landmarks, none of them is labelled")
    return Sample(image, points, face_box(known, where), visible, turned=turned)


def located(name: object, folder: Path, where: object) -> Path:
    """The file of a picture that annotations name, seen from the folder of pictures.

    Where it is not there, its last part alone. AnnotationError where neither is there.
    """
    if not isinstance(name, str) or not name.strip():
        raise AnnotationError(f"{where}: expected a picture's name, got {name!r:.40}")
    text = name.replace("\\", "/")
    for file in (folder / text, folder / Path(text).name):
        if file.is_file():
            return file
    raise AnnotationError(
        f"{where}: its picture {name} is not in {folder}; name the folder of the pictures with "
        "--images"
    )


def relative(file: Path, folder: Path) -> str:
    """What annotations in a folder call a picture: its path from there, with /."""
    return Path(os.path.relpath(file.resolve(), folder.resolve())).as_posix()


def _read(path: Path) -> bytes:
    """An annotation file; AnnotationError if it cannot be read."""
    try:
        if path.stat().st_size > LARGEST:
            raise AnnotationError(f"{path}: above {LARGEST:,} bytes, expected annotations")
        return path.read_bytes()
    except OSError as error:
        raise AnnotationError(
            f"{path}: cannot be read ({error.strerror or error}); check the path"
        ) from None


def read_json(path: Path) -> Any:
    """The content of a JSON file; AnnotationError if it is broken."""
    try:
        return json.loads(_read(path).decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{path}: no complete JSON ({error})") from None


def read_xml(path: Path) -> ElementTree.Element:
    """The root of an XML file; AnnotationError if it is broken, or defines entities.

    Entities, of which no annotation tool writes any, could grow without end.
    """
    content = _read(path)
    if b"<!ENTITY" in content.replace(b"\0", b""):  # in UTF-16 too
        raise AnnotationError(f"{path}: defines entities; expected annotations without")
    try:
        return ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise AnnotationError(f"{path}: no complete XML ({error})") from None


def number(value: object, where: object) -> float:
    """A finite number from JSON or from an attribute of XML; AnnotationError for anything else."""
    try:
        if isinstance(value, bool):
            raise TypeError
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        found = np.nan
    if not np.isfinite(found):
        raise AnnotationError(f"{where}: expected a number, got {value!r:.40}")
    return found

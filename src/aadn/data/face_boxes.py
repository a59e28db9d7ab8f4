"""Pictures with a box around each face, as sets for face detectors are distributed.

Three forms of labels are read, each by what is in the file:

- a folder's own, `boxes.json`: `{"file.jpg": [[x0, y0, x1, y1], …], "nobody.jpg": []}`. Beside it
  there may be an `ignore.json` of the same form; a fifth number, a score, is passed over;
- WIDER FACE's `wider_face_*_bbx_gt.txt`, whose invalid faces are ignored;
- COCO's JSON, whose crowds (`iscrowd`) are ignored.

The pictures lie in the folder's own folder `images/`, or, where there is none, in the folder.

WIDER and COCO give left, top, width and height between pixels' edges. Here (0, 0) is the centre of
the top-left pixel, so half a pixel is taken off; boxes of `boxes.json` are as `aadn detect` gives
them. Boxes of WIDER and COCO without an extent, which both have, are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aadn.data.folders import stays_below
from aadn.errors import AnnotationError, InputError

FloatArray = NDArray[np.float64]

BOXES, IGNORE = "boxes.json", "ignore.json"

_FORMS = (
    f"{BOXES} ({{file: [[x0, y0, x1, y1], …]}}), WIDER FACE's bbx_gt.txt or COCO's JSON with "
    "images and annotations"
)


@dataclass(frozen=True, eq=False)
class FaceBoxes:
    """The labelled faces of one picture.

    Attributes:
        image: the picture's file.
        boxes: (N, 4) float64 x0, y0, x1, y1 in pixels, (0, 0) the centre of the top-left pixel, as
            the set draws them.
        ignored: (N,) bool, True where the box is of something that need not be found, and may be:
            a face that is too blurred to label, or a crowd.
        part: the folder that the picture belongs to, to be reported apart.
    """

    image: Path
    boxes: FloatArray
    ignored: NDArray[np.bool_]
    part: str = ""

    @property
    def faces(self) -> FloatArray:
        """The boxes (M, 4) of the faces that are to be found."""
        return self.boxes[~self.ignored]


def read_face_boxes(
    folder: str | Path, labels: str | Path | None = None, *, category: str | None = None
) -> list[FaceBoxes]:
    """The labelled pictures of a folder, in the order of their labels.

    Pictures without labels are left out; those with an empty list of faces are without any.

    Args:
        folder: of the pictures, or of `images/` with them; also the part of each.
        labels: a file in one of the forms above; None for `boxes.json` in the folder.
        category: the name of COCO's category that has the faces. None where it is called "face",
            or is the only one.

    Raises:
        AnnotationError: labels or pictures are missing, or labels are broken.
        InputError: a category is given and the labels are not COCO's, or do not have it.
    """
    folder = Path(folder)
    file = Path(labels) if labels is not None else folder / BOXES
    text = _text(file, given=labels is not None)
    if file.suffix.lower() != ".json":
        if category is not None:
            raise InputError(f"{file}: categories are of COCO's JSON; leave out the category")
        pictures = _wider(text, str(file))
    else:
        pictures = _of_json(_json(text, file), file, category)
    if not pictures:
        raise AnnotationError(f"{file}: expected labels of pictures, got none")
    return _located(pictures, folder, file)


_Labels = dict[str, tuple[FloatArray, NDArray[np.bool_]]]
"""By a picture's name: boxes and which are ignored."""


def _text(file: Path, given: bool) -> str:
    try:
        return file.read_text("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        hint = "" if given else ", or name another file of labels"
        raise AnnotationError(
            f"{file}: cannot be read as face boxes ({reason}); expected {_FORMS}{hint}"
        ) from None


def _json(text: str, file: Path) -> Any:
    try:
        return json.loads(text)
    except (RecursionError, ValueError) as error:
        raise AnnotationError(f"{file}: is no JSON ({error}); expected {_FORMS}") from None


def _of_json(content: Any, file: Path, category: str | None) -> _Labels:
    if not isinstance(content, dict):
        raise AnnotationError(f"{file}: expected {_FORMS}, got {type(content).__name__}")
    if isinstance(content.get("annotations"), list) and isinstance(content.get("images"), list):
        return _coco(content, file, category)
    if category is not None:
        raise InputError(f"{file}: categories are of COCO's JSON; leave out the category")
    return _own(content, file)


def _located(pictures: _Labels, folder: Path, file: Path) -> list[FaceBoxes]:
    """The records of some labels, their pictures there; AnnotationError where one is not."""
    below = folder / "images" if (folder / "images").is_dir() else folder
    if outside := next((name for name in pictures if not stays_below(name)), None):
        raise AnnotationError(f"{file}: expected a picture below {below}, got {outside[:200]!r}")
    found = [
        FaceBoxes(below / name, boxes, ignored, str(folder))
        for name, (boxes, ignored) in pictures.items()
    ]
    missing = [record.image for record in found if not record.image.is_file()]
    if missing:
        raise AnnotationError(
            f"{missing[0]}: no such picture, but {file} has labels of it ({len(missing)} of "
            f"{len(found)} pictures are missing); give the folder that the names start from"
        )
    return found


# A folder's own form


def _own(content: dict[str, Any], file: Path) -> _Labels:
    pictures = {name: _rows(rows, (4,), f"{file}: {name}") for name, rows in content.items()}
    beside = file.with_name(IGNORE)
    extra = _json(_text(beside, given=True), beside) if beside.is_file() else {}
    if not isinstance(extra, dict):
        raise AnnotationError(f"{beside}: expected the form of {BOXES}, got {type(extra).__name__}")
    if unknown := next((name for name in extra if name not in pictures), None):
        raise AnnotationError(f"{beside}: {unknown} has no labels in {file.name}")
    ignored = {name: _rows(rows, (4, 5), f"{beside}: {name}") for name, rows in extra.items()}
    none = np.empty((0, 4))
    return {name: _joined(rows, ignored.get(name, none)) for name, rows in pictures.items()}


def _rows(rows: Any, lengths: Sequence[int], where: str) -> FloatArray:
    """Boxes (N, 4) of a list of lists, each with an extent."""
    expected = f"expected a list of boxes [x0, y0, x1, y1] with x0 < x1 and y0 < y1 at {where}"
    if not isinstance(rows, list):
        raise AnnotationError(f"{expected}, got {type(rows).__name__}")
    boxes = np.empty((len(rows), 4))
    for box, row in zip(boxes, rows, strict=True):
        box[:] = _box(row, lengths, expected)
        if not (box[2:] > box[:2]).all():
            raise AnnotationError(f"{expected}, got {row}")
    return boxes


def _box(row: Any, lengths: Sequence[int], expected: str) -> list[float]:
    """The first four numbers of a row that has as many as it may."""
    numbers = isinstance(row, list) and all(type(value) in (int, float) for value in row)
    if not numbers or len(row) not in lengths or not np.isfinite(row).all():
        raise AnnotationError(f"{expected}, got {str(row)[:200]}")
    return [float(value) for value in row[:4]]


def _joined(boxes: FloatArray, ignored: FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
    flags = np.repeat([False, True], [len(boxes), len(ignored)])
    return np.concatenate([boxes, ignored]), flags


# WIDER FACE

_COLUMNS = 10
_INVALID = 7
"""Column of a face that is too hard to label: x, y, w, h, blur, expression, illumination, invalid,
occlusion, pose."""

_ROW = re.compile(r"[-+.\d\s]+")


def _wider(text: str, file: str) -> _Labels:
    """The blocks of the file: a picture's name, how many faces it has, and a row for each.

    A picture without faces has one row of zeros all the same.
    """
    lines = [(n, line.strip()) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
    pictures: _Labels = {}
    at = 0
    while at < len(lines):
        number, name = lines[at]
        where = f"{file}, line {number}"
        count = lines[at + 1][1] if at + 1 < len(lines) else ""
        if not count.isdecimal():
            raise AnnotationError(
                f"{where}: expected a picture's name and below it the number of its faces, got "
                f"{name[:80]!r} and {count[:80]!r}"
            )
        if name in pictures:
            raise AnnotationError(f"{where}: {name} is there twice")
        first = at + 2
        end = first + int(count)
        if end == first and end < len(lines) and _ROW.fullmatch(lines[end][1]):
            end += 1
        if end > len(lines):
            raise AnnotationError(f"{where}: expected {count} faces, got {len(lines) - first}")
        rows = [_wider_row(line, f"{file}, line {n}") for n, line in lines[first:end]]
        pictures[name] = _with_extent([row[:4] for row in rows], [row[_INVALID] for row in rows])
        at = end
    return pictures


def _wider_row(line: str, where: str) -> list[float]:
    words = line.split()
    try:
        row = [float(word) for word in words]
    except ValueError:
        row = []
    if len(row) != _COLUMNS or not np.isfinite(row).all():
        raise AnnotationError(
            f"{where}: expected {_COLUMNS} numbers of a face (x, y, width, height, blur, "
            f"expression, illumination, invalid, occlusion, pose), got {line[:80]!r}"
        )
    return row


def _with_extent(
    boxes: Iterable[Sequence[float]], ignored: Iterable[Any]
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Boxes x, y, width, height between pixels' edges as ours; those without an extent go."""
    rows = np.array(list(boxes), np.float64).reshape(-1, 4)
    keep = (rows[:, 2:] > 0).all(axis=1)
    corners = np.hstack([rows[:, :2], rows[:, :2] + rows[:, 2:]]) - 0.5
    return corners[keep], np.array([bool(flag) for flag in ignored], bool)[keep]


# COCO


def _coco(content: dict[str, Any], file: Path, category: str | None) -> _Labels:
    names = _each(content["images"], lambda row: (row["id"], str(row["file_name"])), file, "images")
    pictures = dict(names)
    chosen = _category(content, category, file)
    boxes: dict[Any, list[list[float]]] = {key: [] for key in pictures}
    ignored: dict[Any, list[bool]] = {key: [] for key in pictures}

    def add(row: Any) -> None:
        if chosen is not None and row["category_id"] != chosen:
            return
        image = row["image_id"]
        box = _box(row["bbox"], (4,), f"{file}: expected bbox [x, y, width, height]")
        boxes[image].append(box)
        ignored[image].append(bool(row.get("iscrowd") or row.get("ignore")))

    _each(content["annotations"], add, file, "annotations")
    return {name: _with_extent(boxes[key], ignored[key]) for key, name in pictures.items()}


def _each(rows: list[Any], read: Callable[[Any], Any], file: Path, what: str) -> list[Any]:
    """What is read of each row; AnnotationError, with the row's number, for one that is broken."""
    result = []
    for number, row in enumerate(rows):
        try:
            result.append(read(row))
        except (AttributeError, KeyError, TypeError) as error:
            raise AnnotationError(
                f"{file}: {what}[{number}] is not as in COCO's JSON "
                f"({type(error).__name__}: {error})"
            ) from None
    return result


def _category(content: dict[str, Any], name: str | None, file: Path) -> Any:
    """The id of the category of faces; None where there are no categories."""
    rows = content.get("categories")
    rows = rows if isinstance(rows, list) else []
    known = dict(_each(rows, lambda row: (str(row["name"]), row["id"]), file, "categories"))
    if name is None and not known:
        return None
    if name is None and len(known) == 1:
        return next(iter(known.values()))
    wanted = name or "face"
    for title, key in known.items():
        if title.lower() == wanted.lower():
            return key
    names = ", ".join(known) or "none"
    raise InputError(
        f"{file}: expected a category {wanted!r}, got {names[:200]}; name the one of the faces"
    )

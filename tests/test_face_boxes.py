"""Readers of face boxes, on small files in the forms of the releases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aadn.data.face_boxes import FaceBoxes, read_face_boxes
from aadn.errors import AnnotationError, InputError


def pictures(folder: Path, *names: str) -> Path:
    """A folder with files of these names in images/; they are not opened."""
    for name in names:
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not opened")
    return folder


def own(folder: Path, boxes: Any, ignore: Any = None) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "boxes.json").write_text(json.dumps(boxes), "utf-8")
    if ignore is not None:
        (folder / "ignore.json").write_text(json.dumps(ignore), "utf-8")
    return folder


def told(records: list[FaceBoxes]) -> dict[str, list[tuple[list[float], bool]]]:
    """Boxes and whether they are ignored, by the picture's name."""
    return {
        r.image.name: list(zip(r.boxes.tolist(), r.ignored.tolist(), strict=True)) for r in records
    }


# A folder's own form


def test_a_folder_of_pictures_with_its_boxes(tmp_path: Path) -> None:
    pictures(tmp_path, "b.jpg", "a.png", "unlabelled.jpg")
    own(tmp_path, {"b.jpg": [[1, 2, 3.5, 4]], "a.png": []}, {"b.jpg": [[5, 6, 7, 8, 0.25]]})
    first, second = records = read_face_boxes(tmp_path)
    assert told(records) == {
        "b.jpg": [([1, 2, 3.5, 4], False), ([5, 6, 7, 8], True)],
        "a.png": [],
    }
    assert first.image == tmp_path / "images" / "b.jpg"
    assert first.part == str(tmp_path)
    assert first.faces.tolist() == [[1, 2, 3.5, 4]]
    assert (second.boxes.shape, second.ignored.dtype) == ((0, 4), np.dtype(bool))


def test_pictures_may_lie_in_the_folder_itself(tmp_path: Path) -> None:
    own(tmp_path, {"a.jpg": []})
    (tmp_path / "a.jpg").write_bytes(b"")
    assert read_face_boxes(str(tmp_path))[0].image == tmp_path / "a.jpg"


@pytest.mark.parametrize(
    ("boxes", "ignore", "message"),
    [
        ({"a.jpg": [[1, 2, 3]]}, None, r"a.jpg, got \[1, 2, 3\]"),
        ({"a.jpg": [[1, 2, 3, 4, 0.5]]}, None, "x0 < x1"),
        ({"a.jpg": [[3, 2, 1, 4]]}, None, r"got \[3, 2, 1, 4\]"),
        ({"a.jpg": [[1, 2, 3, "4"]]}, None, "'4'"),
        ({"a.jpg": [[1, 2, 3, float("nan")]]}, None, "nan"),
        ({"a.jpg": 3}, None, "expected a list of boxes"),
        ([1], None, "got list"),
        ({}, None, "got none"),
        ({"a.jpg": []}, {"b.jpg": []}, "b.jpg has no labels in boxes.json"),
        ({"a.jpg": []}, [], "got list"),
        ({"a.jpg": []}, {"a.jpg": [[1, 2, 3]]}, "ignore.json: a.jpg"),
        ({"../a.jpg": []}, None, "expected a picture below"),
        ({"a.jpg": [], "c.jpg": []}, None, r"c.jpg: no such picture.*1 of 2"),
    ],
)
def test_a_folder_that_is_not_as_it_should_be(
    tmp_path: Path, boxes: Any, ignore: Any, message: str
) -> None:
    own(pictures(tmp_path, "a.jpg"), boxes, ignore)
    with pytest.raises(AnnotationError, match=message):
        read_face_boxes(tmp_path)


def test_labels_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"No such file.*expected boxes\.json"):
        read_face_boxes(tmp_path)
    (tmp_path / "boxes.json").write_bytes(b"{")
    with pytest.raises(AnnotationError, match="is no JSON"):
        read_face_boxes(tmp_path)
    (tmp_path / "boxes.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(AnnotationError, match="cannot be read as face boxes"):
        read_face_boxes(tmp_path)


# WIDER FACE

WIDER = """\
9--Press/9_Press_1.jpg
2
10 20 30 40 0 0 0 0 0 0
5 6 7 8 2 0 0 1 0 0
0--Parade/0_Parade_Parade_0_452.jpg
0
0 0 0 0 0 0 0 0 0 0
9--Press/last one.jpg
1
1 2 0 4 0 0 0 0 0 0
"""


def wider(folder: Path, text: str) -> Path:
    file = folder / "wider_face_val_bbx_gt.txt"
    file.write_bytes(text.encode())
    return file


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_wider(tmp_path: Path, end: str) -> None:
    names = [line for line in WIDER.splitlines() if line.endswith(".jpg")]
    pictures(tmp_path, *names)
    records = read_face_boxes(tmp_path, wider(tmp_path, WIDER.replace("\n", end)))
    assert told(records) == {
        "9_Press_1.jpg": [([9.5, 19.5, 39.5, 59.5], False), ([4.5, 5.5, 11.5, 13.5], True)],
        "0_Parade_Parade_0_452.jpg": [],
        "last one.jpg": [],  # its box has no extent
    }
    assert [str(r.image.relative_to(tmp_path / "images")) for r in records] == names


def test_wider_without_the_row_of_zeros(tmp_path: Path) -> None:
    pictures(tmp_path, "a.jpg", "b.jpg")
    file = wider(tmp_path, "a.jpg\n0\nb.jpg\n1\n1 1 2 2 0 0 0 0 0 0\n")
    assert told(read_face_boxes(tmp_path / "images", file)) == {
        "a.jpg": [],
        "b.jpg": [([0.5, 0.5, 2.5, 2.5], False)],
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.jpg\n2\n1 1 2 2 0 0 0 0 0 0\n", "line 1: expected 2 faces, got 1"),
        ("a.jpg\n1\n1 1 2 2 0 0 0\n", "line 3: expected 10 numbers"),
        ("a.jpg\n1\n1 1 2 x 0 0 0 0 0 0\n", "line 3: expected 10 numbers"),
        ("a.jpg\n1\n1 1 2 nan 0 0 0 0 0 0\n", "line 3: expected 10 numbers"),
        ("a.jpg\nb.jpg\n", "line 1: expected a picture's name and below it the number"),
        ("a.jpg\n", "line 1: expected a picture's name and below it the number"),
        ("a.jpg\n0\na.jpg\n0\n", "line 3: a.jpg is there twice"),
        ("", "got none"),
    ],
)
def test_wider_that_is_broken(tmp_path: Path, text: str, message: str) -> None:
    pictures(tmp_path, "a.jpg", "b.jpg")
    with pytest.raises(AnnotationError, match=message):
        read_face_boxes(tmp_path, wider(tmp_path, text))


# COCO


def coco(folder: Path, **changes: Any) -> Path:
    content: dict[str, Any] = {
        "images": [{"id": 7, "file_name": "a.jpg"}, {"id": 3, "file_name": "b.jpg"}],
        "annotations": [
            {"image_id": 7, "category_id": 1, "bbox": [10, 20, 5, 6], "iscrowd": 0},
            {"image_id": 7, "category_id": 1, "bbox": [0, 0, 50, 60], "iscrowd": 1},
            {"image_id": 7, "category_id": 1, "bbox": [0, 0, 0, 6]},
            {"image_id": 7, "category_id": 2, "bbox": [1, 2, 3, 4]},
        ],
        "categories": [{"id": 1, "name": "Face"}, {"id": 2, "name": "person"}],
    }
    file = folder / "instances.json"
    file.write_text(json.dumps(content | changes), "utf-8")
    return file


def test_coco(tmp_path: Path) -> None:
    pictures(tmp_path, "a.jpg", "b.jpg")
    faces = [([9.5, 19.5, 14.5, 25.5], False), ([-0.5, -0.5, 49.5, 59.5], True)]
    assert told(read_face_boxes(tmp_path, coco(tmp_path))) == {"a.jpg": faces, "b.jpg": []}
    people = read_face_boxes(tmp_path, coco(tmp_path), category="person")
    assert told(people) == {"a.jpg": [([0.5, 1.5, 3.5, 5.5], False)], "b.jpg": []}


def test_categories_of_coco(tmp_path: Path) -> None:
    pictures(tmp_path, "a.jpg", "b.jpg")
    only = [{"id": 2, "name": "head"}]
    assert len(read_face_boxes(tmp_path, coco(tmp_path, categories=only))[0].boxes) == 1
    assert len(read_face_boxes(tmp_path, coco(tmp_path, categories=[]))[0].boxes) == 3
    two = [{"id": 1, "name": "head"}, {"id": 2, "name": "person"}]
    with pytest.raises(InputError, match="expected a category 'face', got head, person"):
        read_face_boxes(tmp_path, coco(tmp_path, categories=two))
    with pytest.raises(InputError, match="expected a category 'cat', got Face, person"):
        read_face_boxes(tmp_path, coco(tmp_path), category="cat")


def test_a_category_without_coco(tmp_path: Path) -> None:
    own(pictures(tmp_path, "a.jpg"), {"a.jpg": []})
    for labels in (None, wider(tmp_path, "a.jpg\n0\n")):
        with pytest.raises(InputError, match="categories are of COCO's JSON"):
            read_face_boxes(tmp_path, labels, category="face")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"annotations": [{"image_id": 7, "category_id": 1}]}, r"annotations\[0\].*bbox"),
        ({"annotations": [{"image_id": 9, "category_id": 1, "bbox": [1, 1, 2, 2]}]}, "9"),
        ({"annotations": [{"image_id": 7, "category_id": 1, "bbox": [1, 1, 2]}]}, "expected bbox"),
        ({"annotations": [3]}, r"annotations\[0\]"),
        ({"images": [{"id": 7}]}, r"images\[0\].*file_name"),
        ({"categories": [{"id": 1}]}, r"categories\[0\].*name"),
    ],
)
def test_coco_that_is_broken(tmp_path: Path, changes: Any, message: str) -> None:
    pictures(tmp_path, "a.jpg", "b.jpg")
    with pytest.raises(AnnotationError, match=message):
        read_face_boxes(tmp_path, coco(tmp_path, **changes))


def test_the_shared_folders(shared_data: Path) -> None:
    counts = {"kaggle_mask853": (835, 3921), "negatives": (958, 0)}
    for name, (images, faces) in counts.items():
        records = read_face_boxes(shared_data / "faces" / name)
        assert (len(records), sum(len(r.faces) for r in records)) == (images, faces)

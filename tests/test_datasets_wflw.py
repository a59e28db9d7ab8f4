"""WFLW's reader, on lists in the release's form that the tests write."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aadn.data.release import read_release
from aadn.data.releases.wflw import RELEASE, read_wflw
from aadn.errors import AnnotationError

# Landmark i at (i, 2i + 0.5), so its box is (0, 0.5) to (97, 194.5).
POINTS = [f"{v:.6f}" for i in range(98) for v in (i, 2 * i + 0.5)]
NAMES = ["9--Press/9_Press_1_2.jpg", "37--Soccer/37_Soccer_soccer_ball_37_45.jpg"]


def row(name: str = NAMES[0], flags: str = "000000", **changes: str) -> str:
    """A row of a list; `c5="x"` puts x into column 5, counted from 1."""
    words = [*POINTS, "10", "20", "110", "220", *flags, name]
    for column, word in changes.items():
        words[int(column[1:]) - 1] = word
    return " ".join(words)


def write(root: Path, split: str, rows: list[str], end: str = "\n") -> Path:
    path = root / "WFLW_annotations" / "list_98pt_rect_attr_train_test"
    path.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        image = root / "WFLW_images" / name
        image.parent.mkdir(parents=True, exist_ok=True)
        image.write_bytes(b"not opened")
    path /= f"list_98pt_rect_attr_{split}.txt"
    path.write_bytes("".join(r + end for r in rows).encode())
    return path


def test_points_boxes_parts_and_order(tmp_path: Path) -> None:
    write(tmp_path, "test", [row(NAMES[1], "101010"), row(), row(flags="010101", c1="-3.25")])
    samples = read_wflw(tmp_path, "test")
    images = tmp_path / "WFLW_images"
    assert [s.image for s in samples] == [images / NAMES[1], images / NAMES[0], images / NAMES[0]]
    assert samples[0].parts == ("pose", "illumination", "occlusion")
    assert samples[1].parts == ()
    assert samples[2].parts == ("expression", "make-up", "blur")
    assert samples[0].points.shape == (98, 2)
    assert samples[0].points[[0, 1, 97]].tolist() == [[0, 0.5], [1, 2.5], [97, 194.5]]
    assert samples[2].points[0].tolist() == [-3.25, 0.5]
    assert samples[0].box.tolist() == [0, 0.5, 97, 194.5]
    assert samples[2].box.tolist() == [-3.25, 0.5, 97, 194.5]
    assert samples[0].visible is None


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
def test_line_ends(tmp_path: Path, end: str) -> None:
    write(tmp_path, "train", [row(), row()], end)
    assert [s.image.name for s in read_wflw(tmp_path, "train")] == ["9_Press_1_2.jpg"] * 2


@pytest.mark.parametrize("given", [".", "WFLW", "WFLW/WFLW_annotations"])
def test_each_layout(tmp_path: Path, given: str) -> None:
    write(tmp_path / "WFLW", "train", [row()])
    (sample,) = read_wflw(tmp_path / given, "train")
    assert sample.image.samefile(tmp_path / "WFLW" / "WFLW_images" / NAMES[0])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (row().split(" ", 1)[1], "expected 207 columns .*, got 206"),
        (row("a name.jpg"), "expected 207 columns .*, got 208"),
        (row(c7="seven"), "expected numbers before the picture's name .*seven"),
        (row("/no/a.jpg"), "expected a picture below WFLW_images, got '/no/a.jpg'"),
        (row("a/../../b.jpg"), r"expected a picture below WFLW_images, got 'a/\.\./\.\./b.jpg'"),
        (row("a\\..\\b.jpg"), "expected a picture below WFLW_images"),
        (row("C:/a.jpg"), "expected a picture below WFLW_images, got 'C:/a.jpg'"),
        (row(c8="nan"), "expected finite numbers, got 'nan' in column 8"),
        (row(c200="inf"), "expected finite numbers, got 'inf' in column 200"),
        (row(c199="10"), "expected a box .* got 10 20 10 220"),
        (row(c200="20"), "expected a box .* got 10 20 110 20"),
        (row(flags="002000"), "expected 0 or 1 for illumination, got 2"),
        (row(c206="0.5"), "expected 0 or 1 for blur, got 0.5"),
        (row(**{f"c{i}": "5" for i in range(1, 197, 2)}), "all 98 landmarks lie"),
    ],
)
def test_broken_rows_name_their_line(tmp_path: Path, line: str, message: str) -> None:
    path = write(tmp_path, "test", [row(), line])
    with pytest.raises(AnnotationError, match=message) as caught:
        read_wflw(tmp_path, "test")
    assert str(caught.value).startswith(f"{path}, line 2: ")


def test_missing_pictures_are_counted(tmp_path: Path) -> None:
    write(tmp_path, "test", [row(), row("no/a.jpg"), row("no/b.jpg")])
    with pytest.raises(AnnotationError, match=r"pictures of 2 faces .* first is .*a\.jpg"):
        read_release(RELEASE, tmp_path, "test")
    assert len(read_release(RELEASE, tmp_path, "test", incomplete=True)) == 1


def test_missing_lists(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"list_98pt_rect_attr_train_test in it, found no"):
        read_wflw(tmp_path, "test")
    path = write(tmp_path, "test", [row()])
    with pytest.raises(AnnotationError, match=r"attr_train\.txt: .* cannot be .* get it from http"):
        read_wflw(tmp_path, "train")
    path.write_bytes(b"\xff\xfe1 2 3")
    with pytest.raises(AnnotationError, match=r"attr_test\.txt: expected the list .* cannot be"):
        read_wflw(tmp_path, "test")


def test_counts_of_the_release(tmp_path: Path) -> None:
    flags = ["100000"] * 326 + ["010000"] * 314 + ["001000"] * 698
    flags += ["000100"] * 206 + ["000011"] * 736 + ["000001"] * 37 + ["000000"] * 183
    write(tmp_path, "test", [row(flags=f) for f in flags])
    assert len(read_release(RELEASE, tmp_path, "test")) == 2500
    write(tmp_path, "test", [row(flags=f) for f in flags[1:]])
    with pytest.raises(AnnotationError, match=r"all: 2499 of 2500; 'pose': 325 of 326\)"):
        read_release(RELEASE, tmp_path, "test")


def test_genuine_points_in_the_form_of_the_release(tmp_path: Path, shared_data: Path) -> None:
    folder = shared_data / "layouts" / "coco_style" / "wflw"
    labels = json.loads((folder / "test_wflw.json").read_text())
    images = {image["id"]: image for image in labels["images"]}
    faces = [
        (np.reshape(face["keypoints"], (98, 3))[:, :2], images[face["image_id"]])
        for face in labels["annotations"]
    ]
    rows = [
        " ".join([*(f"{v:.6f}" for v in p.ravel()), "1 1 9 9", "0 0 0 0 1 0", image["file_name"]])
        for p, image in faces
    ]
    write(tmp_path, "test", rows)
    for image in images.values():
        (tmp_path / "WFLW_images" / image["file_name"]).symlink_to(folder / image["file_name"])
    samples = read_release(replace(RELEASE, counts={"test": {"all": len(faces)}}), tmp_path, "test")
    for sample, (points, image) in zip(samples, faces, strict=True):
        np.testing.assert_allclose(sample.points, points, atol=1e-6)
        assert sample.picture().shape == (image["height"], image["width"], 3)

"""Faces in a user's hands: indexing, plain values, pickles, and what a notebook shows."""

from __future__ import annotations

import base64
import copy
import json
import pickle
import re
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from stub_backend import StubBackend

from aadn import Face, Faces, Landmarker, load_image
from aadn.errors import InputError, MissingDependencyError
from aadn.schemes import IBUG68, Scheme


def some(count: int = 3, **changes: Any) -> Faces:
    """Faces whose boxes grow; landmark i of face n is at (i, n)."""
    places = np.stack(np.meshgrid(np.arange(68), np.arange(count)), axis=-1)
    side = np.arange(1, count + 1)
    return Faces(
        **{
            "points": places,
            "visibility": np.ones((count, 68)),
            "uncertainty": np.full((count, 68), 0.25),
            "boxes": np.stack([0 * side, 0 * side, 10 * side, 10 * side], axis=1),
            "scores": np.linspace(0.9, 0.5, count),
            "occlusion": np.full((count, 7, 7), 1 / 3),
            "scheme": IBUG68,
            **changes,
        }
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_arrays_are_float32(dtype: Any) -> None:
    faces = some(2, points=np.zeros((2, 68, 2), dtype))
    for name in ("points", "visibility", "uncertainty", "boxes", "scores", "occlusion"):
        assert getattr(faces, name).dtype == np.float32


def test_shapes_and_ranges_are_checked() -> None:
    for name, wrong in {
        "points": np.zeros((2, 68)),
        "visibility": np.ones((2, 67)),
        "uncertainty": np.ones((2, 67)),
        "boxes": np.zeros((1, 4)),
        "scores": np.ones((2, 1)),
        "occlusion": np.zeros((2, 8, 8)),
        "angles": np.zeros(3),
        "quality": np.zeros((2, 1)),
    }.items():
        with pytest.raises(InputError, match="of shape"):
            some(2, **{name: wrong})
    for value in (-0.1, 1.1, np.nan):
        with pytest.raises(InputError, match="visibility in"):
            some(2, visibility=np.full((2, 68), value))
    for value in (-0.1, np.inf):
        with pytest.raises(InputError, match="uncertainty of 0 or more"):
            some(2, uncertainty=np.full((2, 68), value))
    for value in (-0.1, 1.1):
        with pytest.raises(InputError, match="quality in"):
            some(2, quality=[0.5, value])
    arrays = {"points": (2, 68, 2), "boxes": (2, 4), "scores": (2,), "angles": (2,)}
    for name, shape in arrays.items():
        with pytest.raises(InputError, match=f"finite {name}"):
            some(2, **{name: np.full(shape, np.nan)})
    assert len(some(2, uncertainty=np.full((2, 68), np.nan))) == 2


def test_angles_and_quality_may_be_left_out_or_one_for_all() -> None:
    faces = some(3)
    assert faces.angles.tolist() == [0, 0, 0]
    assert np.isnan(faces.quality).all()
    assert np.isnan(faces[1].quality)
    faces = some(3, angles=30, quality=[0.25, 0.5, np.nan])
    assert faces.angles.dtype == faces.quality.dtype == np.float32
    assert [face.angle for face in faces] == [30, 30, 30]
    assert faces[:2].quality.tolist() == [0.25, 0.5]
    assert faces[[]].angles.shape == (0,)


def test_a_face_is_a_row() -> None:
    faces = some(3)
    face = faces[1]
    assert isinstance(face, Face)
    assert face.points.tolist() == faces.points[1].tolist()
    assert face.box.tolist() == [0, 0, 20, 20]
    assert face.score == pytest.approx(0.7)
    assert face.occlusion.shape == (7, 7)
    assert face.scheme is faces.scheme
    last: Any
    for last in (-1, np.int64(2)):
        assert faces[last].box.tolist() == [0, 0, 30, 30]
    assert [f.score for f in faces] == pytest.approx([0.9, 0.7, 0.5])
    for index in (3, -4):
        with pytest.raises(IndexError):
            faces[index]


@pytest.mark.parametrize(
    ("index", "rows"),
    [
        (slice(1, None), [1, 2]),
        (slice(None, None, -1), [2, 1, 0]),
        (slice(9, None), []),
        ([2, 0], [2, 0]),
        ([-1], [2]),
        ([1, 1], [1, 1]),
        ([], []),
        (np.array([]), []),
        (np.array([0, 2]), [0, 2]),
        ([True, False, True], [0, 2]),
        (np.array([False, True, False]), [1]),
        (np.zeros(3, bool), []),
    ],
)
def test_slices_lists_and_masks_give_faces(index: Any, rows: list[int]) -> None:
    faces = some(3, visibility_threshold=0.3, crop_factor=1.5)
    chosen = faces[index]
    assert isinstance(chosen, Faces)
    assert chosen.points[:, 0, 1].tolist() == rows
    for name in ("visibility", "uncertainty", "boxes", "scores", "occlusion"):
        np.testing.assert_array_equal(getattr(chosen, name), getattr(faces, name)[rows])
    assert (chosen.visibility_threshold, chosen.crop_factor) == (0.3, 1.5)


@pytest.mark.parametrize("index", [[3], [0.5], [True], "first", [[0], [1, 2]]])
def test_an_index_that_is_none(index: Any) -> None:
    with pytest.raises((IndexError, ValueError)):
        some(3)[index]


def test_no_face_can_be_indexed_too() -> None:
    faces = Faces.empty()
    index: Any
    for index in ([], slice(None), np.zeros(0, bool)):
        assert len(faces[index]) == 0
    assert list(faces) == []
    assert faces.largest is None
    assert faces.to_dict() == {"scheme": "ibug68", "faces": []}


def test_the_largest_has_the_largest_box() -> None:
    boxes = np.array([[0, 0, 10, 90], [5, 5, 45, 45], [0, 0, 2, 200]])
    largest = some(3, boxes=boxes).largest
    assert largest is not None
    assert largest.box.tolist() == [5, 5, 45, 45]


def test_plain_values_by_hand() -> None:
    visibility = np.ones((1, 68))
    visibility[0, [3, 9]] = 0.123456
    faces = some(1, visibility=visibility, points=np.full((1, 68, 2), 1.23456))
    assert json.loads(faces.to_json()) == faces.to_dict()
    (face,) = faces.to_dict()["faces"]
    assert face == faces[0].to_dict()
    assert face["box"] == [0, 0, 10, 10]
    assert face["score"] == 0.9
    assert (face["angle"], face["quality"]) == (0, None)
    (turned,) = some(1, angles=-33.33333, quality=0.98766).to_dict()["faces"]
    assert (turned["angle"], turned["quality"]) == (-33.333, 0.9877)
    assert face["points"] == [[1.235, 1.235]] * 68
    assert face["visibility"][2:5] == [1, 0.1235, 1]
    assert face["hidden"] == [3, 9]
    assert face["uncertainty"] == [0.25] * 68
    assert face["occlusion"] == [[0.3333] * 7] * 7


def test_what_a_network_does_not_give_is_none_in_plain_values() -> None:
    nan = np.full((1, 7, 7), np.nan)
    faces = some(1, occlusion=nan, uncertainty=np.full((1, 68), np.nan))
    face = json.loads(faces.to_json())["faces"][0]
    assert face["occlusion"] is None
    assert face["uncertainty"] is None


def test_reprs_are_short() -> None:
    visibility = np.ones((10, 68))
    visibility[1, :5] = 0
    faces = some(10, visibility=visibility)
    assert repr(faces) == (
        "Faces(10 faces, ibug68; 0, 5, 0, 0, 0, 0, 0, 0, … of 68 landmarks hidden)"
    )
    assert repr(faces[:0]) == "Faces(0 faces, ibug68)"
    assert repr(faces[1]) == (
        "Face(box=(0, 0, 20, 20), angle=0, score=0.86, 5 of 68 landmarks hidden)"
    )
    known = some(10, visibility=visibility, angles=-12.4, quality=np.linspace(0, 0.9, 10))
    assert repr(known[1]) == (
        "Face(box=(0, 0, 20, 20), angle=-12, score=0.86, quality=0.10, 5 of 68 landmarks hidden)"
    )


def equal(a: Faces, b: Faces) -> bool:
    names = ("points", "visibility", "uncertainty", "boxes", "scores", "occlusion", "angles")
    same = all((getattr(a, name) == getattr(b, name)).all() for name in names)
    return (
        same
        and np.array_equal(a.quality, b.quality, equal_nan=True)
        and (a.scheme == b.scheme and a.visibility_threshold == b.visibility_threshold)
    )


def picture(side: int = 200) -> NDArray[np.uint8]:
    return np.full((side, side + 100, 3), (250, 120, 10), np.uint8)


def landmarker() -> Landmarker:
    def one(image: NDArray[np.uint8]) -> Any:
        return [[50, 40, 150, 140]], [0.9]

    return Landmarker(StubBackend(), one)


def test_pickles_and_copies(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), picture()[:, :, ::-1])
    image = picture()
    of_file, of_array = landmarker()(path), landmarker()(image)
    for faces in (some(3), Faces.empty(), of_file, of_array):
        for again in (pickle.loads(pickle.dumps(faces)), copy.deepcopy(faces)):
            assert equal(faces, again)
            assert equal(faces[:1], again[:1])
    assert "<svg" in pickle.loads(pickle.dumps(of_file))._repr_html_()
    assert "<svg" not in pickle.loads(pickle.dumps(of_array))._repr_html_()
    assert "<svg" in of_array._repr_html_()
    face = pickle.loads(pickle.dumps(of_file[0]))
    assert (face.points == of_file[0].points).all()


def shown(page: str) -> tuple[ElementTree.Element, NDArray[np.uint8]]:
    """The SVG of a page, and its picture."""
    found = re.search("<svg.*</svg>", page)
    assert found
    svg = ElementTree.fromstring(found[0])
    text = svg[0].attrib["href"].removeprefix("data:image/jpeg;base64,")
    return svg, load_image(base64.b64decode(text))


@pytest.mark.parametrize("side", [200, 1900])
def test_a_notebook_shows_the_picture_and_its_landmarks(side: int) -> None:
    image = picture(side)
    faces = landmarker()(image)
    svg, jpeg = shown(faces._repr_html_())
    width, height = int(svg.attrib["width"]), int(svg.attrib["height"])
    assert jpeg.shape[:2] == (height, width)
    assert max(width, height) == min(640, side + 100)
    assert np.abs(jpeg[0, 0].astype(int) - (250, 120, 10)).max() < 8
    assert svg.attrib["viewBox"] == f"-0.5 -0.5 {side + 100} {side}"
    outlines = [mark for mark in svg if mark.tag == "polygon"]
    assert outlines[0].attrib["points"] == "50.0,40.0 150.0,40.0 150.0,140.0 50.0,140.0"
    circles = [mark for mark in svg if mark.tag == "circle"]
    places = [[float(mark.attrib["cx"]), float(mark.attrib["cy"])] for mark in circles]
    np.testing.assert_allclose(places, faces.points[0], atol=0.051)
    rings = [mark.attrib["fill"] == "none" for mark in circles]
    assert rings == faces.hidden[0].tolist()
    assert 0 < sum(rings) < 68
    # A dot can be seen, however much the picture was shrunk.
    assert float(circles[0].attrib["r"]) * width / (side + 100) >= 0.99


@pytest.mark.parametrize("shape", [(40, 60), (40, 60, 1), (40, 60, 4), (1, 1, 3)])
def test_a_notebook_shows_every_array_that_is_a_picture(shape: tuple[int, ...]) -> None:
    image = np.full(shape, 90, np.uint8)
    faces = landmarker()(image)
    assert shown(faces._repr_html_())[1].shape == (*shape[:2], 3)
    assert shown(faces[[]]._repr_html_())[1].shape == (*shape[:2], 3)


def test_a_notebook_without_the_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), picture())
    faces, text = landmarker()(path), "<pre>Faces(1 face, ibug68; 34 of 68 landmarks hidden)</pre>"
    assert faces._repr_html_().endswith(f"</svg>{text}")
    path.unlink()
    assert faces._repr_html_() == text
    image = picture()
    faces = landmarker()(image)
    del image  # nobody keeps it
    assert faces._repr_html_() == text
    assert replace(faces, picture=None)._repr_html_() == text


def test_names_are_text_in_a_notebook() -> None:
    mine = Scheme.of({**IBUG68.to_dict(), "name": "<script>"})
    assert some(1, scheme=mine)._repr_html_().startswith("<pre>Faces(1 face, &lt;script&gt;;")


def test_a_picture_of_ones_own() -> None:
    image = picture()
    faces = some(1, picture=partial(np.array, image))
    assert shown(faces._repr_html_())[1].shape == image.shape


# The package supervision


def test_faces_as_key_points() -> None:
    supervision = pytest.importorskip("supervision")
    visibility = np.ones((3, 68))
    visibility[1, 5] = 0.1
    faces = some(visibility=visibility)
    points = faces.to_supervision()
    assert isinstance(points, supervision.KeyPoints)
    np.testing.assert_array_equal(points.xy, faces.points)
    np.testing.assert_array_equal(points.visible, ~faces.hidden)
    np.testing.assert_array_equal(points.keypoint_confidence, faces.visibility)
    np.testing.assert_array_equal(points.detection_confidence, faces.scores)
    assert len(points[points.detection_confidence > 0.6]) == 2
    picture = np.zeros((20, 80, 3), np.uint8)
    drawn = supervision.VertexAnnotator(radius=1).annotate(picture.copy(), points)
    assert (drawn != picture).any()
    assert len(some(0).to_supervision()) == 0


def test_without_supervision_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'supervision>=0\.31'"):
        some().to_supervision()

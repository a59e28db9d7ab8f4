from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from aadn.errors import InputError
from aadn.faces import Faces
from aadn.media.draw import draw
from aadn.palette import BOX, COVERED, LINE, SEEN
from aadn.schemes import IBUG68, Scheme


def one_face(side: float, hidden: list[int], occlusion: float = np.nan) -> Faces:
    """A face in the middle of a picture of 3·side pixels; landmarks on a spiral."""
    turn = np.linspace(0, 10, 68)
    reach = np.linspace(0.1, 0.45, 68)[:, None] * side
    points = np.stack([np.cos(turn), np.sin(turn)], axis=1) * reach + 1.5 * side
    visibility = np.ones(68)
    visibility[hidden] = 0.1
    box = np.array([1.0, 1, 2, 2]) * side
    unknown = np.full(68, np.nan)
    arrays = (points, visibility, unknown, box, np.array(1), np.full((7, 7), occlusion))
    a, b, c, d, e, f = (array[None].astype(np.float32) for array in arrays)
    return Faces(a, b, c, d, e, f, IBUG68)


def black(side: float) -> NDArray[np.uint8]:
    return np.zeros((int(3 * side), int(3 * side), 3), np.uint8)


def near(image: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    return np.asarray((np.abs(image.astype(int) - colour) < 40).all(axis=2))


def test_the_picture_itself_stays_as_it_is() -> None:
    image = black(100)
    result = draw(image, one_face(100, []))
    assert not image.any()
    assert result.shape == image.shape
    assert result.dtype == np.uint8
    assert result.any()


def test_no_face_draws_nothing() -> None:
    assert not draw(black(30), Faces.empty()).any()


@pytest.mark.parametrize("side", [30, 100, 600])
def test_seen_landmarks_are_dots_and_hidden_ones_rings(side: int) -> None:
    faces = one_face(side, hidden=[67])
    result = draw(black(side), faces, contours=False, boxes=False)
    for index, colour in ((50, SEEN), (67, COVERED)):
        x, y = np.rint(faces.points[0, index]).astype(int)
        reach = max(3, side // 50)
        assert near(result[y - reach : y + reach + 1, x - reach : x + reach + 1], colour).any()
    if side == 600:
        x, y = np.rint(faces.points[0, 67]).astype(int)
        assert not near(result, COVERED)[y, x]  # hollow
        x, y = np.rint(faces.points[0, 50]).astype(int)
        assert near(result, SEEN)[y, x]


def test_contours_are_dashed_where_hidden() -> None:
    lines = {
        name: near(draw(black(400), one_face(400, hidden), boxes=False), LINE).sum()
        for name, hidden in (("solid", []), ("dashed", list(range(68))))
    }
    assert 0.2 * lines["solid"] < lines["dashed"] < 0.8 * lines["solid"]


def test_parts_can_be_left_out() -> None:
    faces = one_face(200, [])
    assert near(draw(black(200), faces, contours=False), BOX)[200, 250:350].all()
    assert not near(draw(black(200), faces, boxes=False, contours=False), BOX).any()
    assert not near(draw(black(200), faces, contours=False, boxes=False), LINE).any()


def test_occlusion_map_covers_the_face() -> None:
    faces = one_face(100, [], occlusion=1.0)
    plain: dict[str, Any] = {"contours": False, "boxes": False}
    rows, columns = np.indices((300, 300))
    reach = np.hypot(rows - 150, columns - 150)  # the landmarks' spiral ends at 45, 10 px off it
    dots = draw(black(100), faces, **plain).max(axis=2) > 0
    tinted = draw(black(100), faces, occlusion=True, **plain).max(axis=2) > 0
    assert tinted[reach < 25].all()
    assert not (tinted & ~dots)[reach > 46].any()
    untouched = draw(black(100), one_face(100, []), occlusion=True, **plain)  # no map: NaN
    assert (untouched == draw(black(100), faces, **plain)).all()


def test_occlusion_map_lies_where_it_belongs() -> None:
    faces = one_face(70, [])
    faces.occlusion[0] = 0
    faces.occlusion[0, 4, 2] = 1  # fifth row, third column
    plain = draw(black(70), faces, contours=False, boxes=False)
    tinted = draw(black(70), faces, occlusion=True, contours=False, boxes=False)
    tinted[plain.any(axis=2)] = 0  # without the dots
    weight = tinted.sum(axis=2).astype(float)
    rows, columns = np.indices(weight.shape)
    middle = np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()
    # The crop's edge is at 105 - 45.5, and each of its 7×7 parts has 13 pixels.
    assert np.abs(middle - (59.5 + 2.5 * 13, 59.5 + 4.5 * 13)).max() < 3


def test_a_turned_face_has_a_turned_box() -> None:
    faces = one_face(200, [])
    upright = near(draw(black(200), faces, contours=False), BOX)
    turned = near(
        draw(black(200), replace(faces, angles=np.full(1, 45, np.float32)), contours=False), BOX
    )
    x0, y0, x1, y1 = faces.boxes[0]
    middle, reach = np.array([x0 + x1, y0 + y1]) / 2, (x1 - x0) / 2
    for shown, along in ((upright, (0.0, reach)), (turned, (reach / np.sqrt(2),) * 2)):
        x, y = np.rint(middle + along).astype(int)  # the middle of a side
        assert shown[y - 1 : y + 2, x - 1 : x + 2].any()
    tip = np.rint([middle[0], middle[1] + reach * np.sqrt(2)]).astype(int)
    assert turned[tip[1] - 2 : tip[1] + 1, tip[0] - 2 : tip[0] + 3].any()
    assert not (turned & upright)[int(y0), int(x0)]


def test_the_occlusion_map_turns_with_the_face() -> None:
    faces = one_face(70, [])
    faces.occlusion[0] = 0
    faces.occlusion[0, 4, 2] = 1  # fifth row, third column
    turned = replace(faces, angles=np.full(1, 90, np.float32))
    plain = draw(black(70), turned, contours=False, boxes=False)
    tinted = draw(black(70), turned, occlusion=True, contours=False, boxes=False)
    tinted[plain.any(axis=2)] = 0  # without the dots
    weight = tinted.sum(axis=2).astype(float)
    rows, columns = np.indices(weight.shape)
    middle = np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()
    # Clockwise by a quarter about the crop's middle: down becomes left, and left becomes up.
    assert np.abs(middle - (105 - 1 * 13, 105 - 1 * 13)).max() < 3


@pytest.mark.parametrize("at", [-1e9, -150.0, 200.0, 1e9])
def test_faces_beyond_the_border(at: float) -> None:
    faces = one_face(100, [3], occlusion=1.0)
    boxes = faces.boxes + at if abs(at) < 1e6 else faces.boxes
    moved = replace(faces, points=faces.points + at, boxes=boxes)
    assert draw(black(100), moved, occlusion=True).shape == (300, 300, 3)


def test_one_face_is_drawn_as_faces_of_one() -> None:
    faces = one_face(100, [3], occlusion=0.5)
    both = draw(black(100), faces, occlusion=True)
    assert (draw(black(100), faces[0], occlusion=True) == both).all()
    assert both.any()


def test_lines_are_those_of_the_scheme() -> None:
    """Not those of the scheme known here that has as many points."""
    mine = Scheme.of({"name": "mine", "points": 68, "contours": {"line": [0, 1], "lone": [5]}})
    faces = one_face(400, [])
    faces.points[0, :2] = [[100, 50], [300, 50]]
    drawn = draw(black(400), replace(faces, scheme=mine), boxes=False)
    assert near(drawn, LINE)[50, 110:290].all()
    assert near(drawn, LINE).sum() < 300
    assert near(draw(black(400), faces, boxes=False), LINE).sum() > 900


def test_grey_and_wrong_pictures() -> None:
    assert draw(np.zeros((300, 300), np.uint8), one_face(100, [])).shape == (300, 300, 3)
    with pytest.raises(InputError):
        draw(np.zeros((9, 9, 3)), Faces.empty())  # type: ignore[arg-type]


def test_numbers_of_faces_are_drawn_with_their_boxes() -> None:
    faces = one_face(100, [])
    numbered = replace(faces, ids=np.array([7]))
    changed = np.argwhere((draw(black(300), faces) != draw(black(300), numbered)).any(axis=2))
    assert len(changed) > 10
    assert (np.abs(changed - faces.boxes[0, 1::-1]) < 40).all()
    one, other = (draw(black(300), some, boxes=False) for some in (faces, numbered))
    np.testing.assert_array_equal(one, other)

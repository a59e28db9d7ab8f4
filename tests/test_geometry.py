from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from aadn.errors import InputError
from aadn.geometry import (
    BORDER_VALUE,
    Crop,
    areas,
    beyond,
    box_of_points,
    compose,
    corners,
    crop_matrix,
    from_units,
    grid_units,
    inner_units,
    intersections,
    invert,
    read_map,
    scale_of,
    to_units,
    transform,
    turn,
    turn_picture,
    turned_extent,
    turning,
    warp,
    wrapped,
)

place = st.floats(-3000, 3000)
extent = st.floats(1, 3000)


def test_crop_matrix_by_hand() -> None:
    # Box 10…30 × 40…80: centre (20, 60), side 1.5 · 40 = 60, 120 pixels: scale 2.
    # The centre goes to the middle of pixels 0…119, which is 59.5: 59.5 - 2·20, 59.5 - 2·60.
    matrix = crop_matrix(np.array([10.0, 40, 30, 80]), 120, 1.5)
    np.testing.assert_allclose(matrix, [[2, 0, 19.5], [0, 2, -60.5]])


@given(x=place, y=place, w=extent, h=extent, size=st.integers(32, 256), factor=st.floats(1, 3))
def test_crop_and_back(x: float, y: float, w: float, h: float, size: int, factor: float) -> None:
    matrix = crop_matrix(np.array([x, y, x + w, y + h]), size, factor)
    points = np.array([[x, y], [x + w, y + h], [0, 0], [x + w / 3, y - h]])
    back = transform(transform(points, matrix), invert(matrix))
    assert np.abs(back - points).max() <= 1e-4


@given(x=place, y=place, w=extent, h=extent)
def test_the_box_is_in_the_middle_of_its_crop(x: float, y: float, w: float, h: float) -> None:
    matrix = crop_matrix(np.array([x, y, x + w, y + h]), 100, 1.25)
    low, high = transform(np.array([[x, y], [x + w, y + h]]), matrix)
    np.testing.assert_allclose((low + high) / 2, 49.5, atol=1e-6)
    assert (high - low).max() == pytest.approx(80)


@pytest.mark.parametrize(
    "box", [(0, 0, 0, 0), (5, 5, 5, 9), (9, 0, 5, 9), (0, 0, np.nan, 1), (0, 0, np.inf, 1)]
)
def test_box_without_extent(box: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="x0 < x1"):
        crop_matrix(np.array(box), 64)


def test_box_of_points_leaves_out_what_is_not_labelled() -> None:
    points = np.array([[3.0, 9], [np.nan, 1], [1, 20], [2, np.inf]])
    assert box_of_points(points).tolist() == [1, 9, 3, 20]
    with pytest.raises(InputError):
        box_of_points(np.full((2, 2), np.nan))


def test_compose_and_scale() -> None:
    turn = np.array([[0.0, -2, 1], [2, 0, 5]])
    shift = np.array([[1.0, 0, 3], [0, 1, -4]])
    point = np.array([[7.0, 11]])
    expected = transform(transform(point, shift), turn)
    np.testing.assert_allclose(transform(point, compose(turn, shift)), expected)
    assert scale_of(turn) == pytest.approx(2)


def _centre_of_light(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    light = image[:, :, 0].astype(float)
    rows, columns = np.indices(light.shape)
    return np.asarray([(light * columns).sum(), (light * rows).sum()] / light.sum())


@pytest.mark.parametrize("side", [60, 130, 300, 777, 1500])
def test_warp_puts_a_dot_where_its_matrix_does(side: int) -> None:
    # From enlarging twice to shrinking twelvefold, that is without and with averaging first.
    image = np.zeros((2200, 2200, 3), np.uint8)
    at = np.array([1103.0, 1111.0])
    cv2.circle(image, (1103, 1111), max(3, side // 20), (255, 255, 255), cv2.FILLED)
    box = np.array([1100 - side / 2, 1100 - side / 2, 1100 + side / 2, 1100 + side / 2])
    matrix = crop_matrix(box, 128, 1.3)
    crop = warp(image, matrix, 128)
    assert np.abs(_centre_of_light(crop) - transform(at, matrix)).max() < 0.05


def test_warp_is_grey_beyond_the_border() -> None:
    image = np.full((50, 50, 3), 200, np.uint8)
    for side in (40, 400):
        crop = warp(image, crop_matrix(np.array([0, 0, side, side]), 64, 2.0), 64)
        assert (crop[0, 0] == BORDER_VALUE).all()
    far = warp(image, crop_matrix(np.array([900.0, 900, 1900, 1900]), 64), 64)
    assert (far == BORDER_VALUE).all()


def test_crop_by_hand() -> None:
    # Box 10…30 × 40…80: side 1.5 · 40 = 60 pixels, 120 in the crop, from -10…50 × 30…90.
    crop = Crop.around(np.array([10.0, 40, 30, 80]), 120, 1.5)
    assert crop.scale == pytest.approx(2)
    corners = np.array([[-10.0, 30], [50, 90], [20, 60]])
    # Its edges are half a pixel outside of its outermost pixels' centres.
    np.testing.assert_allclose(crop.to_crop(corners), [[-0.5, -0.5], [119.5, 119.5], [59.5, 59.5]])
    np.testing.assert_allclose(crop.to_units(corners), [[0.0, 0.0], [1.0, 1.0], [0.5, 0.5]])
    assert crop.length_to_picture(np.array([[2.0, 0], [3, 4]])).tolist() == [[1, 0], [1.5, 2]]
    assert crop.length_to_picture(np.ones(3, np.float32)).dtype == np.float32
    np.testing.assert_allclose(crop.inner_box(1.5), [19.5, 19.5, 99.5, 99.5])


@given(x=place, y=place, w=extent, h=extent, size=st.integers(32, 256), factor=st.floats(1, 3))
def test_crop_pixels_and_back(
    x: float, y: float, w: float, h: float, size: int, factor: float
) -> None:
    crop = Crop.around(np.array([x, y, x + w, y + h]), size, factor)
    points = np.array([[[x, y], [x + w, y + h]], [[0, 0], [x + w / 3, y - h]]])
    assert np.abs(crop.to_picture(crop.to_crop(points)) - points).max() <= 1e-4
    lengths = np.hypot(*(points[:, 0] - points[:, 1]).T)
    inside = crop.to_crop(points)
    np.testing.assert_allclose(
        crop.length_to_picture(np.hypot(*(inside[:, 0] - inside[:, 1]).T)), lengths, atol=1e-4
    )


@given(st.floats(-1000, 1000), st.floats(-1000, 1000), st.integers(1, 512))
def test_units_and_back(x: float, y: float, size: int) -> None:
    pixels = np.array([[x, y]])
    np.testing.assert_allclose(from_units(to_units(pixels, size), size), pixels, atol=1e-9)


@pytest.mark.parametrize(("size", "factor"), [(64, 1.3), (160, 1.3), (57, 2.0)])
def test_around_the_inner_box_lies_the_whole_crop(size: int, factor: float) -> None:
    whole = Crop(np.eye(2, 3), size)
    again = Crop.around(whole.inner_box(factor), size, factor)
    np.testing.assert_allclose(again.matrix, whole.matrix, atol=1e-9)


@given(x=place, y=place, w=extent, h=extent, factor=st.floats(1, 3))
def test_the_inner_box_is_the_box_made_square(
    x: float, y: float, w: float, h: float, factor: float
) -> None:
    crop = Crop.around(np.array([x, y, x + w, y + h]), 96, factor)
    x0, y0, x1, y1 = crop.to_picture(crop.inner_box(factor).reshape(2, 2)).ravel()
    assert max(w, h) == pytest.approx(x1 - x0, rel=1e-6) == pytest.approx(y1 - y0, rel=1e-6)
    np.testing.assert_allclose([(x0 + x1) / 2, (y0 + y1) / 2], [x + w / 2, y + h / 2], atol=1e-4)


def test_a_crop_is_cut_where_it_says() -> None:
    image = np.zeros((300, 300, 3), np.uint8)
    cv2.circle(image, (140, 160), 5, (255, 255, 255), cv2.FILLED)
    crop = Crop.around(np.array([100.0, 100, 200, 200]), 128)
    cut = crop.cut(image)
    assert cut.shape == (128, 128, 3)
    assert np.abs(_centre_of_light(cut) - crop.to_crop(np.array([140, 160]))).max() < 0.05


def test_a_map_is_read_between_its_cells_centres() -> None:
    cells = np.array([[0.0, 1, 2], [10, 11, 12]])  # centres at x 1/6, 1/2, 5/6 and y 1/4, 3/4
    units = np.array([[1 / 6, 1 / 4], [5 / 6, 3 / 4], [1 / 3, 1 / 2], [0, 0], [-9, 1.5], [2, 0.5]])
    np.testing.assert_allclose(read_map(cells, units), [0, 12, 5.5, 0, 10, 7], atol=0.02)


def test_beyond_a_picture() -> None:
    points = np.array([[-0.5, 0], [-0.51, 0], [9.5, 4.5], [9.51, 0], [0, 4.51], [np.nan, np.nan]])
    assert beyond(points, 10, 5).tolist() == [False, True, False, True, True, False]


@given(st.floats(0, 1), st.floats(1, 3))
def test_units_of_the_inner_crop(unit: float, margin: float) -> None:
    stored, size = 96, round(96 / margin)
    whole = Crop(np.eye(2, 3), stored)
    inner = Crop.around(whole.inner_box(1.3 * stored / size), size)
    point = from_units(np.array([unit, unit]), stored)
    expected = inner_units(np.array([unit, unit]), stored / size)
    np.testing.assert_allclose(inner.to_units(point), expected, atol=1e-9)


def test_units_of_a_sampling_grid() -> None:
    assert grid_units(np.array([0.0, 0.5, 1.0])).tolist() == [-1, 0, 1]


def test_a_turned_crop_by_hand() -> None:
    # The face's right eye is above its left one: it is turned by a quarter, clockwise.
    crop = Crop.around(np.array([10.0, 40, 30, 80]), 120, 1.5, 90)
    # As upright, -10…50 × 30…90; what lies above the picture's (20, 60) is left of the middle.
    points = np.array([[20.0, 60], [20, 50], [20, 70], [30, 60]])
    expected = [[59.5, 59.5], [39.5, 59.5], [79.5, 59.5], [59.5, 39.5]]
    np.testing.assert_allclose(crop.to_crop(points), expected)
    assert crop.scale == pytest.approx(2)


def test_without_an_angle_a_crop_is_the_scaled_one() -> None:
    box = np.array([10.1, 40.3, 30.7, 80.2], np.float32)
    x0, y0, x1, y1 = (float(v) for v in box)
    scale = 160 / (1.3 * (y1 - y0))
    shift = [159 / 2 - scale * (x0 + x1) / 2, 159 / 2 - scale * (y0 + y1) / 2]
    expected = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    assert crop_matrix(box, 160).tobytes() == expected.tobytes()


@pytest.mark.parametrize("angle", [np.nan, np.inf])
def test_an_angle_is_a_number(angle: float) -> None:
    with pytest.raises(InputError, match="an angle in degrees"):
        Crop.around(np.array([0.0, 0, 1, 1]), 32, angle=angle)


@given(x=place, y=place, w=extent, h=extent, angle=st.floats(-400, 400))
def test_turned_points_and_back(x: float, y: float, w: float, h: float, angle: float) -> None:
    box = np.array([x, y, x + w, y + h])
    crop = Crop.around(box, 96, 1.3, angle)
    outline = corners(box, angle)
    assert np.abs(crop.to_picture(crop.to_crop(outline)) - outline).max() <= 1e-4
    # In the crop the turned box is upright, and where the upright box is in an upright crop.
    upright = Crop.around(box, 96).to_crop(corners(box))
    np.testing.assert_allclose(crop.to_crop(outline), upright, atol=1e-6)


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_a_turned_picture_has_the_same_crop(quarters: int) -> None:
    image = np.random.default_rng(3).integers(0, 256, (50, 70, 3)).astype(np.uint8)
    turned = np.ascontiguousarray(np.rot90(image, -quarters))
    # Pixel (30, 20) of the picture, turned clockwise once, twice, three times.
    x, y = [(30, 20), (29, 30), (39, 29), (20, 39)][quarters]
    assert (turned[y, x] == image[20, 30]).all()
    crop, expected = (
        Crop.around(np.array([x - 8, y - 8, x + 8, y + 8.0]), 33, 1.3, angle).cut(picture)
        for picture, x, y, angle in ((turned, x, y, 90 * quarters), (image, 30, 20, 0))
    )
    # OpenCV samples at 1/32 pixel, and neighbours differ by up to 255.
    assert np.abs(crop.astype(int) - expected).max() <= 16


def test_angles_are_wrapped() -> None:
    angles = np.array([0, 180, -180, 181, -181, 540, -540, 359.5, 0.1])
    expected = [0, 180, 180, -179, 179, 180, 180, -0.5, 0.1]
    assert wrapped(angles).tolist() == expected


@given(st.floats(-1e6, 1e6))
def test_wrapped_angles_turn_alike(angle: float) -> None:
    (once,) = wrapped(np.array([angle]))
    assert -180 < once <= 180
    assert wrapped(np.array([once])) == once
    np.testing.assert_allclose(turn(once), turn(angle), atol=1e-9)


@pytest.mark.parametrize("angle", [-180, -90, 0, 90, 180, 270, 360, 450])
def test_quarter_turns_are_exact(angle: int) -> None:
    cos, sin = [(1, 0), (0, 1), (-1, 0), (0, -1)][angle // 90 % 4]
    assert turn(angle).tolist() == [[cos, -sin], [sin, cos]]


@given(st.floats(-180, 180), st.integers(0, 99))
def test_the_box_of_turned_points(angle: float, seed: int) -> None:
    points = np.random.default_rng(seed).uniform(0, 100, (7, 2))
    x0, y0, x1, y1 = box_of_points(points)
    centre = np.array([60.0, 40])
    turned = centre + (points - centre) @ turn(angle).T
    box = box_of_points(turned, angle)
    # As large as that of the upright points, its centre where theirs was turned to.
    np.testing.assert_allclose(box[2:] - box[:2], [x1 - x0, y1 - y0], atol=1e-9)
    middle = centre + turn(angle) @ (np.array([x0 + x1, y0 + y1]) / 2 - centre)
    np.testing.assert_allclose((box[:2] + box[2:]) / 2, middle, atol=1e-9)


def test_the_extent_of_a_turned_face_by_hand() -> None:
    box = np.array([[7.0, 6, 13, 14]])  # 6 by 8 about (10, 10)
    np.testing.assert_allclose(turned_extent(box, np.zeros(1)), box)
    np.testing.assert_allclose(turned_extent(box, np.array(180.0)), box)
    np.testing.assert_allclose(turned_extent(box, np.array([-90])), [[6, 7, 14, 13]])
    reach = np.sqrt((3**2 + 4**2) / 2)
    expected = [[10 - reach, 10 - reach, 10 + reach, 10 + reach]]
    np.testing.assert_allclose(turned_extent(box, np.array([45.0])), expected)


@given(w=extent, h=extent, angle=st.floats(-360, 360))
def test_the_extent_is_tight_around_the_ellipse(w: float, h: float, angle: float) -> None:
    around = np.radians(np.arange(0, 360, 0.5))
    ellipse = np.stack([w / 2 * np.cos(around), h / 2 * np.sin(around)], axis=1)
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    points = ellipse @ np.array([[cos, -sin], [sin, cos]]).T
    found = turned_extent(np.array([[-w / 2, -h / 2, w / 2, h / 2]]), np.array(angle))[0]
    np.testing.assert_allclose(found, box_of_points(points), atol=1e-3 * max(w, h))


@pytest.mark.parametrize("angle", [0, 30, 90, 135, 180, 270, -90, -400])
def test_a_picture_is_turned_as_its_matrix_says(angle: float) -> None:
    image = np.zeros((60, 101, 3), np.uint8)
    cv2.circle(image, (80, 20), 4, (255, 255, 255), cv2.FILLED)
    matrix, width, height = turning(101, 60, angle)
    turned = turn_picture(image, angle)
    assert turned.shape == (height, width, 3)
    light = _centre_of_light(np.where(turned > BORDER_VALUE[0], turned, np.uint8(0)))
    np.testing.assert_allclose(light, transform(np.array([80.0, 20]), matrix), atol=0.1)


def test_a_picture_is_turned_clockwise() -> None:
    image = np.zeros((3, 5, 3), np.uint8)
    image[1, 4] = 255  # in the middle of the right side
    turned = turn_picture(image, 90)
    assert np.argwhere(turned[..., 0]).tolist() == [[4, 1]]  # of the lower side
    assert turn_picture(turned, -90).tolist() == image.tolist()


@given(st.integers(1, 3000), st.integers(1, 3000), st.floats(-720, 720))
def test_a_turned_picture_is_all_there(width: int, height: int, angle: float) -> None:
    matrix, across, down = turning(width, height, angle)
    w, h = width - 0.5, height - 0.5
    corners = transform(np.array([[-0.5, -0.5], [w, -0.5], [-0.5, h], [w, h]]), matrix)
    assert (corners >= -0.5 - 1e-5).all()
    assert (corners <= np.array([across, down]) - 0.5 + 1e-5).all()
    assert across * down <= (width + height + 2) ** 2


def test_a_picture_too_large_to_be_turned() -> None:
    image = np.broadcast_to(np.uint8(0), (30_000, 30_000, 3))
    with pytest.raises(InputError, match="at most 32766 pixels a side once it is turned by 45°"):
        turn_picture(image, 45)


def test_what_boxes_share() -> None:
    boxes = np.array([[0.0, 0, 4, 4], [10, 10, 12, 11]])
    others = np.array([[2.0, 1, 6, 3], [4, 0, 5, 5], [9, 9, 20, 20]])
    assert intersections(boxes, others).tolist() == [[4, 0, 0], [0, 0, 2]]
    assert areas(boxes).tolist() == [16, 2]
    assert intersections(boxes[:0], others).shape == (0, 3)

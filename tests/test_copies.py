"""Large JPEGs decoded smaller, where that shows as much as is needed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from aadn import images
from aadn.errors import ImageError
from aadn.geometry import Crop
from aadn.images import Copy, load_copy, load_image
from aadn.inference import landmarker as module
from aadn.inference.landmarker import Landmarker

FACE = Path(__file__).parents[1] / "src/aadn/bench/face.jpg"


def enlarged(factor: int = 4) -> NDArray[np.uint8]:
    """The face's picture, 2560×1920 pixels."""
    face = load_image(FACE)
    size = face.shape[1] * factor, face.shape[0] * factor
    return np.asarray(cv2.resize(face, size, interpolation=cv2.INTER_CUBIC), np.uint8)


def jpeg(image: NDArray[np.uint8], **options: Any) -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(image).save(file, "JPEG", quality=95, **options)
    return file.getvalue()


@given(
    st.integers(0, 3).map(lambda power: 2**power),
    st.floats(-180, 180),
    st.tuples(st.floats(0, 90), st.floats(0, 90), st.floats(20, 200)),
)
def test_a_crop_of_a_copy_lies_where_that_of_the_picture_does(
    factor: int, angle: float, place: tuple[float, float, float]
) -> None:
    x, y, side = place
    crop = Crop.around(np.array([x, y, x + side, y + side]), 64, 1.3, angle)
    pixels = np.array([[0.0, 0.0], [7.0, 3.0]])  # of the copy: squares of factor × factor pixels
    middles = (pixels + 0.5) * factor - 0.5
    there = crop.of_smaller(factor).to_crop(pixels)
    np.testing.assert_allclose(there, crop.to_crop(middles), atol=1e-9)


@pytest.mark.parametrize(
    ("longest", "factor"), [(3000, 1), (1281, 1), (1280, 2), (640, 4), (320, 8), (1, 8)]
)
def test_as_small_as_is_enough(longest: int, factor: int) -> None:
    whole = enlarged()
    copy = load_copy(jpeg(whole), longest)
    assert (copy.factor, copy.size) == (factor, (2560, 1920))
    assert copy.image.shape == (1920 // factor, 2560 // factor, 3)
    small = cv2.resize(whole, copy.image.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - copy.image).mean() < 2


def test_what_cannot_be_divided_and_what_is_no_jpeg_stays_whole() -> None:
    odd = enlarged()[:, :2558]
    copy = load_copy(jpeg(odd), 100)
    assert (copy.factor, copy.size) == (2, (2558, 1920))
    file = io.BytesIO()
    PIL.Image.fromarray(odd).save(file, "PNG")
    assert load_copy(file.getvalue(), 100).factor == 1
    assert load_copy(odd, 100).factor == 1
    assert load_copy(PIL.Image.fromarray(odd), 100).factor == 1


def test_it_is_upright() -> None:
    exif = PIL.Image.Exif()
    exif[274] = 6
    turned = jpeg(np.rot90(enlarged()), exif=exif)
    copy, whole = load_copy(turned, 640), load_image(turned)
    assert copy.size == whole.shape[1::-1] == (2560, 1920)
    small = cv2.resize(whole, copy.image.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - copy.image).mean() < 2


def test_bounds_are_those_of_the_whole_picture(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="2560×1920 pixels are too many"):
        load_copy(jpeg(enlarged()), 100, max_pixels=1_000_000)
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg(enlarged())[:9000])
    with pytest.raises(ImageError, match=r"a\.jpg"):
        load_copy(path, 100)


def test_the_whole_picture_is_read_where_it_shows_more(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    original = images._decode
    data = jpeg(enlarged())

    def decode(*given: Any) -> Any:
        asked.append(given[3:])
        return original(*given)

    monkeypatch.setattr(images, "_decode", decode)
    copy = load_copy(data, 640)
    assert asked == [(640,)]
    copy.cut(Crop.around(np.array([0.0, 0.0, 400.0, 400.0]), 100, 1.0))  # 4 pixels for one
    assert (copy.factor, len(asked)) == (4, 1)
    cut = copy.cut(Crop.around(np.array([0.0, 0.0, 300.0, 300.0]), 100, 1.0))
    assert (copy.factor, len(asked)) == (1, 2)
    copy.cut(Crop.around(np.array([9.0, 0.0, 300.0, 300.0]), 100, 1.0))
    assert len(asked) == 2
    crop = Crop.around(np.array([0.0, 0.0, 300.0, 300.0]), 100, 1.0)
    np.testing.assert_array_equal(cut, crop.cut(load_image(data)))


def test_a_picture_without_more_to_show_is_cut_as_it_is() -> None:
    image = enlarged(1)
    crop = Crop.around(np.array([200.0, 100.0, 240.0, 140.0]), 160, 1.3)
    np.testing.assert_array_equal(Copy(image).cut(crop), crop.cut(image))


# With a Landmarker


def test_landmarks_hardly_depend_on_how_large_it_was_decoded(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    path.write_bytes(jpeg(enlarged()))
    landmarker = Landmarker(threads=1)
    small, whole = landmarker(path), landmarker(load_image(path))
    (result,) = landmarker.stream([path], keep=False)
    assert len(small) == len(whole) == 1
    across = np.linalg.norm(whole.points[0, 45] - whole.points[0, 36])
    assert np.linalg.norm(small.points - whole.points, axis=2).mean() < 0.01 * across
    assert (result.image, result.size) == (None, (2560, 1920))
    assert result.faces is not None
    np.testing.assert_array_equal(result.faces.points, small.points)
    (kept,) = landmarker.stream([path])
    assert kept.image is not None
    assert kept.faces is not None
    np.testing.assert_array_equal(kept.faces.points, whole.points)


def test_who_may_need_every_pixel_gets_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large.jpg"
    path.write_bytes(jpeg(enlarged()))
    seen: list[tuple[int, ...]] = []

    def detector(image: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[Any]]:
        seen.append(image.shape)
        return np.zeros((0, 4)), np.zeros(0)

    Landmarker(detector=detector)(path)
    monkeypatch.setattr(module, "default_detector", lambda **_: detector)
    for options in ({}, {"min_size": 30}, {"min_size": 0.01}, {"min_size": 0.5}):
        Landmarker(**options)(path)
    assert [shape[1] for shape in seen] == [2560, 1280, 2560, 2560, 1280]
    Landmarker(threads=1)(path, boxes=[[0, 0, 900, 900]])
    assert len(seen) == 5

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from aadn.errors import ImageError, InputError
from aadn.images import MAX_SIDE, list_images, load_image

Image = NDArray[np.uint8]


@pytest.fixture
def picture() -> Image:
    """40×60 RGB, red at the top left."""
    rows, columns = np.indices((40, 60))
    image = np.stack([255 - 4 * columns, 3 * rows, columns + rows], axis=2).astype(np.uint8)
    image[:10, :15] = (250, 10, 20)
    return image


def encoded(suffix: str, image: NDArray[Any], *options: int) -> bytes:
    colours = {1: None, 3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    code = colours[1 if image.ndim == 2 else image.shape[2]]
    done, data = cv2.imencode(suffix, image if code is None else cv2.cvtColor(image, code), options)
    assert done
    return data.tobytes()


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".ppm"])
def test_files_and_bytes(picture: Image, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(encoded(suffix, picture))
    for source in (path, str(path), path.read_bytes()):
        assert (load_image(source) == picture).all()


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_lossy_files(picture: Image, suffix: str) -> None:
    image = load_image(encoded(suffix, picture))
    assert image.shape == picture.shape
    assert np.abs(image.astype(int) - picture)[2:8, 2:13].max() < 20


def test_sixteen_bits_are_scaled(picture: Image) -> None:
    deep = picture.astype(np.uint16) * 257
    assert (load_image(encoded(".png", deep)) == picture).all()
    assert (load_image(encoded(".tiff", deep)) == picture).all()


def test_grey_becomes_rgb(picture: Image) -> None:
    grey = picture[:, :, 0]
    expected = np.repeat(grey[:, :, None], 3, axis=2)
    for source in (encoded(".png", grey), grey, grey[:, :, None]):
        assert (load_image(source) == expected).all()
    deep = grey.astype(np.uint16) * 257
    assert (load_image(encoded(".png", deep)) == expected).all()


def test_alpha_is_dropped(picture: Image) -> None:
    rgba = np.dstack([picture, np.zeros((40, 60), np.uint8)])
    assert (load_image(encoded(".png", rgba)) == picture).all()
    assert (load_image(rgba) == picture).all()


def test_cmyk() -> None:
    # 8×8 pixels of one orange, written by Pillow in CMYK (Adobe, inverted).
    image = load_image(base64.b64decode(CMYK))
    assert image.shape == (8, 8, 3)
    assert np.abs(image.astype(int) - (230, 120, 40)).max() < 25


@pytest.mark.parametrize(
    ("orientation", "corner"), [(1, "top left"), (3, "bottom right"), (6, "top right")]
)
def test_orientation_is_applied(picture: Image, orientation: int, corner: str) -> None:
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    tiff = b"MM\0*" + struct.pack(">IH", 8, 1) + entry + b"\0\0\0\0"
    exif = b"Exif\0\0" + tiff
    data = encoded(".jpg", picture)
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    image = load_image(data[:2] + segment + data[2:])
    assert image.shape == ((60, 40, 3) if orientation == 6 else (40, 60, 3))
    row = {"top": 3, "bottom": -4}[corner.split()[0]]
    column = {"left": 3, "right": -4}[corner.split()[1]]
    assert np.abs(image[row, column].astype(int) - (250, 10, 20)).max() < 20


def test_an_array_comes_back_contiguous_and_alone_in_shape(picture: Image) -> None:
    assert load_image(picture[:, ::-1]).flags.c_contiguous
    assert load_image(np.zeros((1, 1, 3), np.uint8)).shape == (1, 1, 3)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 3)),
        np.zeros((4, 4, 3), np.uint16),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((4,), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(array: Any) -> None:
    with pytest.raises(InputError, match="expected a picture"):
        load_image(array)


def test_other_arguments_are_refused() -> None:
    with pytest.raises(InputError, match="got NoneType"):
        load_image(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp", ".tiff"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.97])
def test_cut_off(picture: Image, suffix: str, share: float, capfd: Any) -> None:
    data = encoded(suffix, picture)
    with pytest.raises(ImageError):
        load_image(data[: int(len(data) * share)])
    if suffix in (".jpg", ".png"):
        assert capfd.readouterr().err == ""


def test_cut_off_after_a_thumbnail(picture: Image) -> None:
    thumbnail = b"Exif\0\0" + encoded(".jpg", picture[:8, :8])
    data = encoded(".jpg", picture)
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    whole = data[:2] + segment + data[2:]
    assert load_image(whole).shape == picture.shape
    with pytest.raises(ImageError, match="cut off"):
        load_image(whole[:-30])


def test_what_follows_the_end_does_not_matter(picture: Image) -> None:
    for suffix in (".jpg", ".png"):
        assert load_image(encoded(suffix, picture) + b"\0" * 99).shape == picture.shape


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"hello, this is text\n" * 50, "not a picture"),
        (b"\xff\xd8\xff", "cut off"),
    ],
)
def test_what_is_no_picture(tmp_path: Path, content: bytes, message: str, capfd: Any) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=message) as error:
        load_image(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert capfd.readouterr().err == ""


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such file"):
        load_image(tmp_path / "a.jpg")
    with pytest.raises(ImageError, match="is a folder"):
        load_image(tmp_path)
    with pytest.raises(ImageError):
        load_image("a\0b.jpg")


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def _jpeg(width: int, height: int) -> bytes:
    data = encoded(".jpg", np.zeros((8, 8, 3), np.uint8))
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def _bmp(width: int, height: int) -> bytes:
    data = encoded(".bmp", np.zeros((8, 8, 3), np.uint8))
    return data[:18] + struct.pack("<ii", width, -height) + data[26:]


def _webp(width: int, height: int) -> bytes:
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + canvas


@pytest.mark.parametrize("maker", [_png, _jpeg, _bmp, _webp])
@pytest.mark.parametrize("size", [(20_000, 20_000), (MAX_SIDE + 1, 10)])
def test_huge_pictures_are_refused_before_they_are_decoded(
    maker: Callable[[int, int], bytes], size: tuple[int, int]
) -> None:
    with pytest.raises(ImageError, match=f"{size[0]}×{size[1]} pixels are too many; shrink"):
        load_image(maker(*size))


@pytest.mark.parametrize("quality", [80, 101])  # above 100: lossless
def test_size_of_webp(quality: int) -> None:
    data = bytearray(encoded(".webp", np.zeros((10, 10, 3), np.uint8), 64, quality))
    at, size = (26, struct.pack("<HH", 16_383, 16_383)) if data[12:16] == b"VP8 " else (
        21, (16_382 | 16_382 << 14).to_bytes(4, "little")
    )  # fmt: skip
    data[at : at + 4] = size
    with pytest.raises(ImageError, match="16383×16383"):
        load_image(bytes(data))


def test_listing(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("b.JPG", "a.png", "a.pts", "deep/c.jpg", "x[1].jpg"):
        (tmp_path / name).write_bytes(b"")
    names = [p.name for p in list_images(tmp_path)]
    assert names == ["a.png", "b.JPG", "x[1].jpg"]
    assert [p.name for p in list_images(f"{tmp_path}/**/*")] == [*names[:2], "c.jpg", names[2]]
    assert [p.name for p in list_images(f"{tmp_path}/x[[]1].*")] == ["x[1].jpg"]
    assert list_images(tmp_path / "x[1].jpg") == [tmp_path / "x[1].jpg"]
    assert list_images(tmp_path / "a.pts") == [tmp_path / "a.pts"]


def test_listing_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("")
    for where, message in (
        (tmp_path, "no pictures in this folder"),
        (f"{tmp_path}/*.jpg", "no picture matches"),
        (f"{tmp_path}/*", "no picture matches"),
        (tmp_path / "b.jpg", "no such file"),
    ):
        with pytest.raises(ImageError, match=message):
            list_images(where)


CMYK = """
/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwAbEhQXFBEbFxYXHhwbIChCKyglJShROj0wQmBVZWRfVV1baniZgWpxkHNbXYW1hpCe
o6utq2eAvMm6pseZqKuk/8AAFAgACAAIBEMRAE0RAFkRAEsRAP/EABYAAQEBAAAAAAAAAAAAAAAAAAUCBv/EABQQAQAAAAAA
AAAAAAAAAAAAAAD/2gAOBEMATQBZAEsAAD8AeSFaZ//Z
"""

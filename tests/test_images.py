from __future__ import annotations

import base64
import io
import os
import struct
import subprocess
import sys
import textwrap
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import PIL.ImageFile
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from aadn.errors import ImageError, InputError
from aadn.images import MAX_SIDE, SUFFIXES, list_images, load_image

Image = NDArray[np.uint8]


def drawn() -> Image:
    """40×60 RGB, red at the top left."""
    rows, columns = np.indices((40, 60))
    image = np.stack([255 - 4 * columns, 3 * rows, columns + rows], axis=2).astype(np.uint8)
    image[:10, :15] = (250, 10, 20)
    return image


@pytest.fixture
def picture() -> Image:
    return drawn()


def encoded(suffix: str, image: NDArray[Any], *options: int) -> bytes:
    colours = {1: None, 3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    code = colours[1 if image.ndim == 2 else image.shape[2]]
    done, data = cv2.imencode(suffix, image if code is None else cv2.cvtColor(image, code), options)
    assert done
    return data.tobytes()


def saved(kind: str, image: Image, **options: Any) -> bytes:
    """The picture as a file that Pillow writes."""
    file = io.BytesIO()
    PIL.Image.fromarray(image).save(file, kind, **options)
    return file.getvalue()


def exif_of(orientation: int, order: str = ">") -> bytes:
    entry = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    mark = b"MM" if order == ">" else b"II"
    head = mark + struct.pack(order + "HIH", 42, 8, 1)
    return b"Exif\0\0" + head + entry + b"\0\0\0\0"


LOSSLESS: dict[str, tuple[str, dict[str, Any]]] = {
    ".bmp": ("BMP", {}),
    ".jp2": ("JPEG2000", {}),
    ".png": ("PNG", {}),
    ".pnm": ("PPM", {}),
    ".ppm": ("PPM", {}),
    ".tif": ("TIFF", {}),
    ".tiff": ("TIFF", {"compression": "tiff_lzw"}),
    ".webp": ("WEBP", {"lossless": True}),
}
LOSSY = {".avif": "AVIF", ".jpe": "JPEG", ".jpeg": "JPEG", ".jpg": "JPEG", ".webp": "WEBP"}
OTHERS = {".gif", ".pbm", ".pgm", ".heic", ".heif"}
"""Suffixes with tests of their own."""


def test_every_suffix_has_a_test() -> None:
    assert LOSSLESS.keys() | LOSSY.keys() | OTHERS == SUFFIXES


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_lossless_formats(picture: Image, tmp_path: Path, suffix: str) -> None:
    kind, options = LOSSLESS[suffix]
    path = tmp_path / f"a{suffix}"
    path.write_bytes(saved(kind, picture, **options))
    assert (load_image(path) == picture).all()
    assert load_image(path).flags.c_contiguous
    assert load_image(path).flags.writeable


@pytest.mark.parametrize("suffix", LOSSY)
def test_lossy_formats(picture: Image, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(saved(LOSSY[suffix], picture, quality=90))
    image = load_image(path)
    assert image.shape == picture.shape
    assert np.abs(image.astype(int) - picture)[2:8, 2:13].max() < 20


def test_netpbm_of_one_channel(picture: Image) -> None:
    grey = picture[:, :, 0]
    black = PIL.Image.fromarray(grey > 128)
    file = io.BytesIO()
    black.save(file, "PPM")
    for data, channel in ((saved("PPM", grey), grey), (file.getvalue(), (grey > 128) * 255)):
        assert data[:2] in (b"P5", b"P4")
        assert (load_image(data) == np.repeat(channel[:, :, None], 3, axis=2)).all()


def test_netpbm_of_other_ranges() -> None:
    # 16 bits lose their lower 8, others are shifted alike: 1023 is 255, 512 is 128.
    colours = load_image(b"P6 2 1 65535\n" + struct.pack(">6H", 0, 255, 256, 65535, 32768, 4660))
    assert colours.tolist() == [[[0, 0, 1], [255, 128, 18]]]
    greys = load_image(b"P5 4 1 1023\n" + struct.pack(">4H", 0, 4, 512, 1023))
    assert greys[0, :, 0].tolist() == [0, 1, 128, 255]
    greys = load_image(b"P5 2 1 65535\n" + struct.pack(">2H", 511, 65535))
    assert greys[0, :, 0].tolist() == [1, 255]
    assert load_image(b"P5 3 1 7\n\0\1\7")[0, :, 0].tolist() == [0, 32, 224]
    assert load_image(b"P2 3 1 255\n0 17\n255\n")[0, :, 0].tolist() == [0, 17, 255]
    with pytest.raises(ImageError, match="cut off"):
        load_image(b"P6 2 1 65535\n" + bytes(11))


def test_first_frame_of_an_animation(picture: Image) -> None:
    other = PIL.Image.fromarray(picture[::-1])
    for kind in ("GIF", "PNG", "WEBP"):
        options = {"lossless": True} if kind == "WEBP" else {}
        data = saved(kind, picture, save_all=True, append_images=[other], **options)
        first = load_image(data)
        assert (first == load_image(saved(kind, picture, **options))).all()
        assert np.abs(first[3, 3].astype(int) - picture[3, 3]).max() < 8
        animation = PIL.Image.open(io.BytesIO(data))
        animation.seek(1)
        assert np.abs(load_image(animation)[-4, 3].astype(int) - picture[3, 3]).max() < 8


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".ppm"])
def test_files_and_bytes(picture: Image, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(encoded(suffix, picture))
    for source in (path, str(path), path.read_bytes()):
        assert (load_image(source) == picture).all()


def test_other_holders_of_bytes(picture: Image, tmp_path: Path) -> None:
    data = saved("PNG", picture)
    (tmp_path / "a.png").write_bytes(b"before" + data)
    with (tmp_path / "a.png").open("rb") as file:
        file.seek(6)
        assert (load_image(file) == picture).all()
    for source in (bytearray(data), memoryview(data), memoryview(data[::-1])[::-1]):
        assert (load_image(source) == picture).all()
    assert (load_image(io.BytesIO(data)) == picture).all()


def test_files_that_give_no_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("text")
    with path.open() as file, pytest.raises(InputError, match="open it with 'rb'"):
        load_image(file)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="open it with 'rb'"):
        load_image(io.StringIO("text"))  # type: ignore[arg-type]
    with path.open("wb") as sink, pytest.raises(ImageError, match=r"a\.png: cannot be read"):
        load_image(sink)
    with path.open("rb") as closed:
        pass
    with pytest.raises(ImageError, match=r"a\.png: cannot be read .*closed"):
        load_image(closed)

    class Odd:
        def read(self) -> str:
            return "text"

    with pytest.raises(InputError, match="gives bytes, got str"):
        load_image(Odd())  # type: ignore[arg-type]


def test_pillow_pictures(picture: Image) -> None:
    grey = picture[:, :, 0]
    greys = np.repeat(grey[:, :, None], 3, axis=2)
    alpha = np.dstack([picture, grey])
    deep = PIL.Image.fromarray(grey.astype(np.uint16) * 257)
    palette = PIL.Image.fromarray(grey).convert("P")
    palette.info["transparency"] = bytes(range(256))
    for source, expected in (
        (PIL.Image.fromarray(picture), picture),
        (PIL.Image.fromarray(alpha), picture),
        (PIL.Image.fromarray(grey), greys),
        (PIL.Image.fromarray(grey).convert("LA"), greys),
        (deep, greys),
        (palette, greys),
        (PIL.Image.fromarray(grey > 9), (greys > 9) * 255),
        (PIL.Image.open(io.BytesIO(saved("PNG", picture))), picture),
    ):
        assert (load_image(source) == expected).all()
    assert "transparency" in palette.info
    with pytest.raises(ImageError, match="this picture: has 32 bits"):
        load_image(deep.convert("F"))
    with pytest.raises(InputError, match="0×5"):
        load_image(PIL.Image.new("RGB", (0, 5)))
    with pytest.raises(ImageError, match="cut off"):
        load_image(PIL.Image.open(io.BytesIO(saved("BMP", picture)[:-9])))


def test_an_array_of_a_subclass(picture: Image) -> None:
    grey = picture[:, :, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        matrix = np.matrix(grey)
    image = load_image(matrix)
    assert type(image) is np.ndarray
    assert (image == np.repeat(grey[:, :, None], 3, axis=2)).all()


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


def turned(image: Image, orientation: int) -> Image:
    """By the table of the EXIF standard: where row 0 and column 0 of what is stored are seen."""
    across = image.transpose(1, 0, 2)
    return {
        1: image,
        2: image[:, ::-1],
        3: image[::-1, ::-1],
        4: image[::-1],
        5: across,
        6: across[:, ::-1],
        7: across[::-1, ::-1],
        8: across[::-1],
    }[orientation]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"])
def test_orientation_is_applied(picture: Image, orientation: int, order: str) -> None:
    exif = exif_of(orientation, order)
    expected = turned(picture, orientation)
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True})):
        data = saved(kind, picture, exif=exif, **options)
        assert (load_image(data) == expected).all()
        assert (load_image(PIL.Image.open(io.BytesIO(data))) == expected).all()
    for kind in ("JPEG", "AVIF"):
        data = saved(kind, picture, exif=exif, quality=95)
        assert (
            load_image(data) == turned(load_image(saved(kind, picture, quality=95)), orientation)
        ).all()
    for compression in ("raw", "tiff_deflate"):
        data = saved("TIFF", picture, tiffinfo={274: orientation}, compression=compression)
        assert (load_image(data) == expected).all()
        assert (load_image(PIL.Image.open(io.BytesIO(data))) == expected).all()


def test_orientation_is_applied_to_one_row() -> None:
    row = np.arange(9, dtype=np.uint8).reshape(1, 3, 3)
    for orientation in range(1, 9):
        image = load_image(saved("PNG", row, exif=exif_of(orientation)))
        assert (image == turned(row, orientation)).all()


@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"Exif\0\0",
        b"Exif\0\0MM\0*\0\0\0\x08",
        b"Exif\0\0MM\0*\0\0\xff\xff",
        exif_of(6)[:-8],
        exif_of(0),
        exif_of(9),
        exif_of(6).replace(b"\x01\x12", b"\x01\x10"),
    ],
)
def test_broken_orientation_is_none(picture: Image, exif: bytes) -> None:
    data = saved("JPEG", picture)
    plain = b"\xff\xd8" + data[20:]  # without JFIF, Pillow looks into the EXIF
    assert data[2:4] == b"\xff\xe0"
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    assert (load_image(plain[:2] + segment + plain[2:]) == load_image(plain)).all()


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


def _gif(width: int, height: int) -> bytes:
    """An animation's screen that is larger than its only frame."""
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return screen + b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02D\x01\0;"


def _tiff(width: int, height: int, *more: tuple[int, int, int, int]) -> bytes:
    """One strip of grey; more tags as (tag, type, count, value)."""
    tags = {256: (4, 1, width), 257: (4, 1, height), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1),
            273: (4, 1, 8), 277: (3, 1, 1), 278: (4, 1, height), 279: (4, 1, 64)}  # fmt: skip
    if any(tag == 324 for tag, *_ in more):  # tiles replace the strips
        tags = {tag: rest for tag, rest in tags.items() if tag not in (273, 278, 279)}
    tags |= {tag: tuple(rest) for tag, *rest in more}  # type: ignore[misc]
    entries = b"".join(struct.pack("<HHII", tag, *tags[tag]) for tag in sorted(tags))
    return (
        b"II*\0"
        + struct.pack("<I", 72)
        + bytes(64)
        + struct.pack("<H", len(tags))
        + entries
        + b"\0\0\0\0"
    )


def _ppm(width: int, height: int) -> bytes:
    return b"P6\n%d %d\n255\n" % (width, height) + bytes(300)


def _jp2(width: int, height: int) -> bytes:
    data = bytearray(saved("JPEG2000", np.zeros((64, 64, 3), np.uint8)))
    struct.pack_into(">II", data, data.index(b"ihdr") + 4, height, width)
    size = data.index(b"\xff\x51")
    struct.pack_into(">II", data, size + 6, width, height)
    struct.pack_into(">II", data, size + 22, width, height)  # of its only tile
    return bytes(data)


@pytest.mark.parametrize("maker", [_png, _jpeg, _bmp, _gif, _tiff, _ppm, _jp2])
@pytest.mark.parametrize("size", [(20_000, 20_000), (MAX_SIDE + 1, 10)])
def test_huge_pictures_are_refused_before_they_are_decoded(
    maker: Callable[[int, int], bytes], size: tuple[int, int]
) -> None:
    with pytest.raises(ImageError, match=f"{size[0]}×{size[1]} pixels are too many; shrink"):
        load_image(maker(*size))


@pytest.mark.parametrize("lossless", [False, True])
def test_size_of_webp(lossless: bool) -> None:
    data = bytearray(saved("WEBP", np.zeros((10, 10, 3), np.uint8), lossless=lossless))
    at, size = (26, struct.pack("<HH", 16_383, 16_383)) if data[12:16] == b"VP8 " else (
        21, (16_382 | 16_382 << 14).to_bytes(4, "little")
    )  # fmt: skip
    data[at : at + 4] = size
    with pytest.raises(ImageError, match=r"too many.*shrink"):
        load_image(bytes(data))


def test_the_largest_size_is_an_option(picture: Image) -> None:
    for source in (picture, saved("PNG", picture), PIL.Image.fromarray(picture)):
        assert (load_image(source, max_pixels=2400) == picture).all()
        with pytest.raises(ImageError, match=r"60×40 pixels are too many.*0\.002399 mega"):
            load_image(source, max_pixels=2399)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "JPEG2000", "PPM"])
def test_pillow_does_not_warn_of_large_pictures(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    image = np.full((1000, 1000, 3), 255, np.uint8)
    options = {"compression": "tiff_deflate"} if kind == "TIFF" else {}
    data = saved(kind, image, **options)
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 600_000)
    with pytest.raises(PIL.Image.DecompressionBombWarning):
        PIL.Image.open(io.BytesIO(data))
    assert (load_image(data) == image).all()


def _scans(width: int, height: int, count: int) -> bytes:
    """A progressive JPEG of one grey and many scans that are nearly empty."""

    def segment(marker: int, data: bytes) -> bytes:
        return bytes([255, marker]) + struct.pack(">H", len(data) + 2) + data

    frame = struct.pack(">BHHBBBB", 8, height, width, 1, 1, 0x11, 0)
    code = b"\x10" + bytes([1, *[0] * 15]) + b"\xe0"  # the end of a band of 16,384 or more blocks
    head = segment(0xDB, b"\0" + b"\1" * 64) + segment(0xC2, frame) + segment(0xC4, code)
    runs = -(-width // 8) * -(-height // 8) // 16_384 + 1
    scan = segment(0xDA, bytes([1, 1, 0, 1, 63, 0x10])) + bytes(2 * runs)
    return b"\xff\xd8" + head + scan * count + b"\xff\xd9"


def _coding(width: int, style: bytes) -> bytes:
    """A JPEG 2000 with another coding style: code-blocks and precincts."""
    data = _jp2(width, width)
    at = data.index(b"\xff\x52") + 2
    (length,) = struct.unpack_from(">H", data, at)
    old = data[at + 2 : at + length]
    new = bytes([style[0]]) + old[1:5] + style[1:]
    # The box of the code stream is the last, and its length reaches to the end.
    box = data.index(b"jp2c") - 4
    changed = data[:at] + struct.pack(">H", len(new) + 2) + new + data[at + length :]
    return changed[:box] + struct.pack(">I", len(changed) - box) + changed[box + 4 :]


def _tiles(width: int, side: int) -> bytes:
    data = bytearray(_jp2(width, width))
    struct.pack_into(">II", data, data.index(b"\xff\x51") + 22, side, side)
    return bytes(data)


def _strips(side: int) -> bytes:
    """A TIFF with a tile for each pixel."""
    count = side * side
    sides = (322, 3, 1, 1), (323, 3, 1, 1)
    at = len(_tiff(side, side, *sides, (324, 3, count, 0)))
    return _tiff(side, side, *sides, (324, 3, count, at)) + b"\x08\0" * count


BOMBS: dict[str, tuple[bytes, str]] = {
    "screen.gif": (_gif(30_000, 6_000), "too many, as in a file"),
    "zeros.png": (_png(7_000, 7_000), "7000×7000 pixels from [0-9]+ bytes are too many"),
    "header.bmp": (_bmp(7_000, 7_000), "too many, as in a file"),
    "header.ppm": (_ppm(7_000, 7_000), "too many, as in a file"),
    "header.jpg": (_jpeg(7_000, 7_000), "too many, as in a file"),
    "header.jp2": (_jp2(4_000, 4_000), "too many, as in a file"),
    "header.tiff": (_tiff(7_000, 7_000), "too many, as in a file"),
    "tile.tiff": (_tiff(8, 8, (322, 4, 1, 9_000), (323, 4, 1, 9_000)), "too many, as in a file"),
    "tags.tiff": (_tiff(8, 8, *((tag, 7, 8, 8) for tag in range(1_000, 1_600))), "has 609 tags"),
    "strips.tiff": (_strips(317), "has 100489 tiles or strips"),
    "scans.tiff": (
        _tiff(8, 8, (259, 3, 1, 7)) + _scans(8, 8, 90),
        "has progressive JPEGs in a TIFF",
    ),
    "scans.jpg": (_scans(2_000, 2_000, 101), "has 101 scans"),
    "blocks.jp2": (_coding(2_000, b"\0\5\0\0\0\1"), "has code-blocks below 16×16"),
    "precincts.jp2": (_coding(2_000, b"\1\5\4\4\0\1" + b"\x11" * 6), "or precincts below 32×32"),
    "tiles.jp2": (_tiles(3_000, 16), "has 35344 tiles"),
    "comments.ppm": (b"P3\n4 4\n255\n" + b"#\n" * 10_001, "has 10001 comments"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_would_fill_the_memory_is_refused(name: str) -> None:
    data, message = BOMBS[name]
    with pytest.raises(ImageError, match=message):
        load_image(data)


@pytest.mark.skipif(sys.platform != "linux", reason="limits the memory by a file of Linux")
def test_what_would_fill_the_memory_takes_none(tmp_path: Path) -> None:
    for name, (data, _) in BOMBS.items():
        (tmp_path / name).write_bytes(data)
    program = """
        import resource, sys
        from pathlib import Path
        from aadn.errors import ImageError
        from aadn.images import load_image
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + 150_000_000
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        for path in sys.argv[1:]:
            try:
                load_image(path)
            except ImageError as error:
                assert "more memory" not in str(error), error
                print(path)
    """
    paths = sorted(str(p) for p in tmp_path.iterdir())
    command = [sys.executable, "-c", textwrap.dedent(program), *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == paths


def test_pictures_near_the_bounds_are_read(picture: Image) -> None:
    assert load_image(_scans(80, 64, 100)).shape == (64, 80, 3)
    # The precincts of the smaller levels are 32, 16, 8… as usual encoders make them.
    precincts = {"precinct_size": (64, 64), "codeblock_size": (16, 16)}
    for options in (precincts, {"tile_size": (20, 20)}):
        assert (load_image(saved("JPEG2000", picture, **options)) == picture).all()


def test_what_png_says_beside_the_picture(picture: Image) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    plain = saved("PNG", picture)
    large = zlib.compress(bytes(2_000_000))  # Pillow refuses above a megabyte
    text, profile = chunk(b"zTXt", b"a\0\0" + large), chunk(b"iCCP", b"a\0\0" + large)
    no_animation = chunk(b"acTL", bytes(8))  # Pillow warns
    for extra in (text, profile, no_animation, chunk(b"tRNS", bytes(6))):
        assert (load_image(plain[:33] + extra + plain[33:]) == picture).all()
        assert (load_image(plain[:-12] + extra + plain[-12:]) == picture).all()
    turn = chunk(b"eXIf", exif_of(3)[6:])
    assert (load_image(plain[:-12] + turn + plain[-12:]) == picture[::-1, ::-1]).all()
    assert (load_image(plain + text) == picture).all()
    for end in (-1, -12, -13, 60, 40, 10):
        with pytest.raises(ImageError, match="cut off"):
            load_image(plain[:end])


def test_a_jpeg_whose_scans_hide() -> None:
    # After a marker without a length (TEM), and after an end that is only in a comment.
    data = _scans(2_000, 2_000, 101)
    at = data.index(b"\xff\xda")
    scan = data[at : data.index(b"\xff\xda", at + 2)]
    for before in (b"\xff\x01", b"\xff\xfe\0\4\xff\xd9", b"\xff\xff"):
        hidden = data[:at] + scan + (before + scan) * 100 + b"\xff\xd9"
        with pytest.raises(ImageError, match="has 101 scans"):
            load_image(hidden)


def test_files_too_large_to_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(bytes(101))
    monkeypatch.setattr("aadn.images.MAX_BYTES", 100)
    with pytest.raises(ImageError, match=r"a\.png: is above 100 bytes"):
        load_image(tmp_path / "a.png")


def test_too_little_memory(picture: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(self: object) -> None:
        raise MemoryError

    monkeypatch.setattr(PIL.ImageFile.ImageFile, "load", load)
    with pytest.raises(ImageError, match="needs more memory than there is"):
        load_image(saved("JPEG", picture))


def test_other_formats_are_refused(picture: Image) -> None:
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    for data in (postscript, saved("TGA", picture), saved("ICO", picture), saved("PCX", picture)):
        with pytest.raises(ImageError, match="of another format than JPEG, PNG"):
            load_image(data)


def test_nothing_global_changes(picture: Image, tmp_path: Path) -> None:
    def state() -> tuple[Any, ...]:
        logs = getattr(getattr(cv2, "utils", None), "logging", None)
        return (
            list(warnings.filters),
            logs and logs.getLogLevel(),
            PIL.Image.MAX_IMAGE_PIXELS,
            PIL.ImageFile.LOAD_TRUNCATED_IMAGES,
            sorted(PIL.Image.OPEN),
        )

    before = state()
    for kind in ("PNG", "JPEG", "TIFF", "GIF"):
        load_image(saved(kind, picture))
        with pytest.raises(ImageError):
            load_image(saved(kind, picture)[:99])
    with pytest.raises(ImageError):
        load_image(HEIC[:20])
    assert state() == before


def test_many_threads(picture: Image) -> None:
    kinds = ["PNG", "TIFF", "BMP", "PPM", "JPEG2000"] * 40
    files = [saved(kind, picture[:, i % 9 :]) for i, kind in enumerate(kinds)]
    with ThreadPoolExecutor(8) as pool:
        images = list(pool.map(load_image, files))
    assert all((image == picture[:, i % 9 :]).all() for i, image in enumerate(images))


@given(
    st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF", "JPEG2000", "PPM", "TIFF"]),
    st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=4)), min_size=1, max_size=4),
    st.floats(0.5, 1),
)
def test_broken_files(kind: str, changes: list[tuple[float, bytes]], share: float) -> None:
    data = bytearray(saved(kind, drawn()))
    for place, new in changes:
        at = int(place * len(data))
        data[at : at + len(new)] = new
    try:
        image = load_image(data[: int(share * len(data)) + 1])
    except ImageError:
        return
    assert image.dtype == np.uint8
    assert image.shape[2] == 3


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)


def test_heic_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "a.heic").write_bytes(HEIC)
    (tmp_path / "b.HEIF").write_bytes(HEIC.replace(b"heic", b"mif1", 1))
    for path in list_images(tmp_path):
        with pytest.raises(ImageError, match=r"is a HEIC picture.*pip install '\.\[heic\]'"):
            load_image(path)
    assert len(list_images(tmp_path)) == 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_heic(picture: Image, tmp_path: Path, orientation: int) -> None:
    heif = pytest.importorskip("pillow_heif")
    path = tmp_path / "a.heic"
    heif.encode(
        "RGB", (60, 40), picture.tobytes(), path, quality=95, chroma=444, exif=exif_of(orientation)
    )
    expected = turned(picture, orientation).astype(int)
    assert load_image(path).shape == expected.shape
    assert np.abs(load_image(path) - expected).mean() < 3
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ImageError):
        load_image(path)


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


def test_listing_what_is_below(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    for name in ("b.jpg", "deep/a.png", "deep/er/c.heic", "deep/er/a.txt"):
        (tmp_path / name).write_bytes(b"")
    below = [tmp_path / "b.jpg", tmp_path / "deep/a.png", tmp_path / "deep/er/c.heic"]
    assert list_images(tmp_path, recursive=True) == below
    assert list_images(tmp_path) == below[:1]
    assert list_images(tmp_path / "b.jpg", recursive=True) == below[:1]
    (tmp_path / "none").mkdir()
    with pytest.raises(ImageError, match="no pictures in this folder or below it"):
        list_images(tmp_path / "none", recursive=True)


def test_an_empty_path() -> None:
    for function in (load_image, list_images):
        with pytest.raises(InputError, match="expected a path, got an empty one"):
            function("")


def test_listing_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("")
    for where, message in (
        (tmp_path, "no pictures in this folder"),
        (f"{tmp_path}/*.jpg", "no picture matches"),
        (f"{tmp_path}/*", "no picture matches"),
        (tmp_path / "b.jpg", "no such file"),
        ("a" * 300, "cannot be read"),
    ):
        with pytest.raises(ImageError, match=message):
            list_images(where)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
def test_a_pipe_is_no_picture(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for where in (tmp_path / "pipe", os.devnull):
        with pytest.raises(ImageError, match=r"is not a regular file.*`aadn detect -` reads"):
            list_images(where)


CMYK = """
/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwAbEhQXFBEbFxYXHhwbIChCKyglJShROj0wQmBVZWRfVV1baniZgWpxkHNbXYW1hpCe
o6utq2eAvMm6pseZqKuk/8AAFAgACAAIBEMRAE0RAFkRAEsRAP/EABYAAQEBAAAAAAAAAAAAAAAAAAUCBv/EABQQAQAAAAAA
AAAAAAAAAAAAAAD/2gAOBEMATQBZAEsAAD8AeSFaZ//Z
"""

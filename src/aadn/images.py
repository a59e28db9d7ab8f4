"""A path, bytes or an array to one RGB picture, or a clear error.

Files may be anything that OpenCV reads (JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF, …), in colour, grey
or CMYK, with 8 or 16 bits; the first frame of an animation counts. EXIF orientation is applied, so
that coordinates belong to the picture as a viewer shows it. An alpha channel is dropped.
"""

from __future__ import annotations

import glob
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from aadn.errors import ImageError, InputError

Image = NDArray[np.uint8]

Source = str | Path | bytes | NDArray[np.uint8]

MAX_PIXELS = 200_000_000
"""Larger pictures are refused before they are decoded (our choice: the largest phone cameras have
200 megapixels, and such a picture takes 0.6 GB here)."""

MAX_SIDE = 32_766
"""OpenCV's affine warp takes no picture with a longer side."""

SUFFIXES = frozenset(
    [".avif", ".bmp", ".gif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm"]
) | {".ppm", ".tif", ".tiff", ".webp"}
"""What counts as a picture in a folder (lower case)."""


def load_image(source: Source, *, max_pixels: int = MAX_PIXELS) -> Image:
    """The picture as (H, W, 3) uint8 RGB.

    Args:
        source: a file's path, a file's bytes, or a uint8 array: RGB (H, W, 3), RGBA (H, W, 4) or
            grey (H, W) or (H, W, 1).

    Raises:
        ImageError: the file is missing, empty, cut off, no picture, or larger than MAX_PIXELS.
        InputError: the array has another type or shape; or the argument is of another kind.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, bytes):
        return _decode(source, "these bytes")
    if not isinstance(source, str | Path):
        raise InputError(
            f"expected a picture's path, bytes or uint8 array, got {type(source).__name__}"
        )
    return _decode(_read(Path(source)), str(source))


def list_images(where: str | Path) -> list[Path]:
    """The pictures that a file's path, a folder or a glob pattern names, sorted.

    A folder gives the pictures directly in it, a pattern (`**` for all depths) the pictures that
    match, by their suffix (SUFFIXES); a single file is taken whatever its name.
    Raises ImageError if there is none.
    """
    path = Path(where)
    if path.is_file():
        return [path]
    if path.is_dir():
        found = [p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file()]
        if not found:
            raise ImageError(
                f"{where}: no pictures in this folder; for those in folders below it, "
                f"give the pattern '{path}/**/*'"
            )
        return sorted(found)
    if glob.has_magic(str(where)):
        matches = [Path(p) for p in glob.glob(str(where), recursive=True)]  # noqa: PTH207
        found = [p for p in matches if p.suffix.lower() in SUFFIXES and p.is_file()]
        if not found:
            raise ImageError(f"{where}: no picture matches this pattern")
        return sorted(found)
    raise ImageError(f"{where}: no such file or folder; check the path")


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """Keeps OpenCV from logging to stderr what is reported by an error of ours."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


def _from_array(array: NDArray[np.uint8]) -> Image:
    if array.dtype != np.uint8:
        raise InputError(f"expected a picture of uint8 (0 to 255), got {array.dtype}; convert it")
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        raise InputError(
            "expected a picture of shape (H, W), (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA, "
            f"got {array.shape}"
        )
    _check_size(array.shape[1], array.shape[0], "this array")
    if array.shape[2] == 1:
        array = np.repeat(array, 3, axis=2)
    return np.ascontiguousarray(array[:, :, :3])


def _read(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise ImageError(f"{path}: is a folder, expected a picture")
        if path.exists() and not path.is_file():
            raise ImageError(f"{path}: is not a regular file, expected a picture")
        return path.read_bytes()
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file; check the path") from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise ImageError(f"{path}: cannot be read ({error})") from None


def _decode(data: bytes, name: str) -> Image:
    if not data:
        raise ImageError(f"{name}: is empty, expected a picture")
    size = _header_size(data)
    if size is not None:
        _check_size(*size, name)
    if _is_cut_off(data):
        raise ImageError(f"{name}: the picture is cut off before its end; copy it again")
    try:
        with quiet_opencv():
            # Colour: grey, CMYK and palettes become BGR, 16 bits become 8, orientation is applied.
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        image = None
    if image is None:
        raise ImageError(
            f"{name}: not a picture that can be decoded (broken, or of another format than "
            "JPEG, PNG, WebP, BMP, TIFF, GIF); open it in a viewer and save it again"
        )
    _check_size(image.shape[1], image.shape[0], name)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def _check_size(width: int, height: int, name: str) -> None:
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise ImageError(
            f"{name}: {width}×{height} pixels are too many; shrink it to at most "
            f"{MAX_PIXELS // 1_000_000} megapixels and {MAX_SIDE} pixels a side"
        )


_JPEG, _PNG, _BMP = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM"


def _header_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels as the header of a PNG, BMP, WebP or JPEG says; None if unknown.

    (Formats not named here: OpenCV's own limit of 2³⁰ pixels protects the decoder.)
    """
    try:
        if data.startswith(_PNG):
            width, height = struct.unpack_from(">II", data, 16)
            return width, height
        if data.startswith(_BMP):
            width, height = struct.unpack_from("<ii", data, 18)
            return abs(width), abs(height)
        if data.startswith(_JPEG):
            return _jpeg_size(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp_size(data)
    except (struct.error, IndexError):
        pass
    return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    if data[12:16] == b"VP8X":
        return (
            int.from_bytes(data[24:27], "little") + 1,
            int.from_bytes(data[27:30], "little") + 1,
        )
    if data[12:16] == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if data[12:16] == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _jpeg_segments(data: bytes) -> list[tuple[int, int]]:
    """(marker, position of its length field) up to and including the first start of scan."""
    segments = []
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        segments.append((marker, at + 2))
        if marker == 0xDA:
            break
        at += 2 + int(struct.unpack_from(">H", data, at + 2)[0])
    return segments


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    for marker, at in _jpeg_segments(data):
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 3)
            return width, height
    return None


def _is_cut_off(data: bytes) -> bool:
    """Whether a JPEG or PNG ends before its end marker; some OpenCVs fill the rest with grey."""
    if data.startswith(_JPEG):
        # Looked for after the start of scan: the thumbnail in a header ends with a marker too.
        marker, at = (_jpeg_segments(data) or [(0, 0)])[-1]
        return marker != 0xDA or data.find(b"\xff\xd9", at) < 0
    if data.startswith(_PNG):
        return data.rfind(b"IEND") < 0
    return False

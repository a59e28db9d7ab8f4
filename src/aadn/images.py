"""A path, a file's bytes, a Pillow picture or an array to one RGB picture, or a clear error.

Files are decoded by Pillow (see `aadn.formats`): JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF, JPEG 2000,
PNM, and HEIC where pillow-heif is installed, in colour, grey, CMYK or with a palette, with 1 to
16 bits; the first frame of an animation counts. EXIF orientation is applied, so that coordinates
belong to the picture as a viewer shows it. An alpha channel is dropped.
"""

from __future__ import annotations

import glob
import io
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray

from aadn import formats
from aadn.errors import ImageError, InputError
from aadn.geometry import Crop

Image = NDArray[np.uint8]

Source = (
    str
    | os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | BinaryIO
    | PIL.Image.Image
    | NDArray[np.uint8]
)
"""What `load_image` takes for a picture."""

MAX_PIXELS = 200_000_000
"""Larger pictures are refused before they are decoded (our choice: the largest phone cameras have
200 megapixels, and such a picture takes 0.6 GB here, and while it is decoded 1.4 GB)."""

MAX_SIDE = 32_766
"""OpenCV's affine warp takes no picture with a longer side."""

MAX_BYTES = 2_000_000_000
"""Larger files are not read (our choice: above the largest picture, uncompressed in 16 bits)."""

SUFFIXES = frozenset(
    [".avif", ".bmp", ".gif", ".heic", ".heif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm"]
) | {".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
"""What counts as a picture in a folder (lower case)."""


def load_image(source: Source, *, max_pixels: int = MAX_PIXELS) -> Image:
    """The picture as (H, W, 3) uint8 RGB, contiguous.

    Args:
        source: a file's path, its bytes, a binary file object (read from where it stands), a
            Pillow picture (of an animation the frame it is at), or a uint8 array: RGB (H, W, 3),
            RGBA (H, W, 4) or grey (H, W) or (H, W, 1).
        max_pixels: the most pixels, width times height, that are taken.

    Raises:
        ImageError: the file is missing, empty, cut off, no picture, or larger than `max_pixels`
            or MAX_SIDE or, above 40 megapixels, than its bytes explain (see `aadn.formats`).
        InputError: the array has another type or shape; or the argument is of another kind.

    Examples:
        >>> from aadn import load_image
        >>> picture = load_image("examples/astronaut.jpg")
        >>> picture.shape, picture.dtype
        ((512, 512, 3), dtype('uint8'))
    """
    if isinstance(source, np.ndarray):
        return _from_array(np.asarray(source), max_pixels)
    if isinstance(source, PIL.Image.Image):
        return _from_pillow(source, max_pixels)
    data, name = _read(source)
    return _decode(data, name, max_pixels)[0]


class Copy:
    """A picture, perhaps decoded smaller than it is.

    Attributes:
        image: (h, w, 3) uint8 RGB.
        factor: how many times smaller: 1, 2, 4 or 8.
    """

    def __init__(self, image: Image, factor: int = 1, whole: Callable[[], Image] | None = None):
        self.image = image
        self.factor = factor
        self._whole = whole

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the whole picture."""
        height, width = self.image.shape[:2]
        return width * self.factor, height * self.factor

    def cut(self, crop: Crop) -> Image:
        """A crop of the whole picture, from the copy where that has a pixel for each of the crop.

        Raises ImageError where the whole picture is needed and cannot be read any more.
        """
        if crop.scale * self.factor > 1 and self._whole is not None:
            self.image, self.factor, self._whole = self._whole(), 1, None
        return crop.of_smaller(self.factor).cut(self.image)


def load_copy(source: Source, longest: int, *, max_pixels: int = MAX_PIXELS) -> Copy:
    """A picture for those who need no more than `longest` pixels along its longer side.

    A JPEG whose sides can be divided by 2, 4 or 8 and then still have as many is decoded so much
    smaller, which takes a fraction of the time; any other is whole.

    Args:
        source, max_pixels: as of `load_image`.
        longest: pixels.

    Raises:
        ImageError, InputError: as `load_image` does.
    """
    if isinstance(source, np.ndarray | PIL.Image.Image):
        return Copy(load_image(source, max_pixels=max_pixels))
    data, name = _read(source)
    image, factor = _decode(data, name, max_pixels, longest)
    return Copy(image, factor, lambda: _decode(data, name, max_pixels)[0])


def picture_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Width and height of a picture's file, upright as `load_image` gives it; nothing is decoded.

    Raises ImageError for what is no picture.
    """
    data, name = _read(path)
    with _errors_of(name):
        picture = formats.open_picture(data)
        if picture is None:
            raise ImageError(_NO_PICTURE)
        width, height = picture.size
        lying = _orientation(picture.info.get("exif")) >= 5
        return (height, width) if lying else (width, height)


def list_images(where: str | os.PathLike[str], *, recursive: bool = False) -> list[Path]:
    """The pictures that a file's path, a folder or a glob pattern names, sorted.

    A folder gives the pictures directly in it, with `recursive` also those below; a pattern (`**`
    for all depths) the pictures that match, by their suffix (SUFFIXES); a single file is taken
    whatever its name.

    Raises:
        ImageError: there is none.
        InputError: the path is empty.
    """
    path = _path(where)
    try:
        if path.is_file():
            return [path]
        if path.is_dir():
            found = _pictures(path.rglob("*") if recursive else path.iterdir())
            problem = "no pictures in this folder"
            if recursive:
                problem += " or below it"
            else:
                problem += f"; for those in folders below it, give the pattern '{path}/**/*'"
        elif glob.has_magic(str(where)):
            found = _pictures(Path(p) for p in glob.glob(str(where), recursive=True))  # noqa: PTH207
            problem = "no picture matches this pattern"
        elif path.exists():
            raise ImageError(
                f"{where}: is not a regular file, expected a picture or a folder; `aadn detect -` "
                "reads a picture from standard input"
            )
        else:
            raise ImageError(f"{where}: no such file or folder; check the path")
    except OSError as error:
        raise ImageError(f"{where}: cannot be read ({error.strerror or error})") from None
    if not found:
        raise ImageError(f"{where}: {problem}")
    return found


def _pictures(paths: Iterable[Path]) -> list[Path]:
    return sorted(p for p in paths if p.suffix.lower() in SUFFIXES and p.is_file())


def _path(where: str | os.PathLike[str]) -> Path:
    if where == "":
        raise InputError("expected a path, got an empty one")
    return Path(where)


def _from_array(array: NDArray[np.uint8], max_pixels: int) -> Image:
    if array.dtype != np.uint8:
        raise InputError(f"expected a picture of uint8 (0 to 255), got {array.dtype}; convert it")
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        raise InputError(
            "expected a picture of shape (H, W), (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA, "
            f"got {array.shape}"
        )
    with _errors_of("this array"):
        _check_size(array.shape[1], array.shape[0], max_pixels)
        if array.shape[2] == 1:
            array = np.repeat(array, 3, axis=2)
        return np.ascontiguousarray(array[:, :, :3])


def _from_pillow(picture: PIL.Image.Image, max_pixels: int) -> Image:
    if 0 in picture.size:
        raise InputError(f"expected a picture, got one of {picture.width}×{picture.height} pixels")
    with _errors_of("this picture"):
        _check_size(*picture.size, max_pixels)
        return _pixels(picture)


def _read(source: Source) -> tuple[bytes, str]:
    """A file's bytes, and what to call it in an error."""
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source), "these bytes"
    if isinstance(source, str | os.PathLike):
        return _read_path(_path(source)), str(source)
    if isinstance(source, io.TextIOBase):
        raise InputError("expected a file opened for bytes, got one for text; open it with 'rb'")
    if not callable(getattr(source, "read", None)):
        raise InputError(
            "expected a picture's path, bytes, binary file, Pillow picture or uint8 array, "
            f"got {type(source).__name__}"
        )
    name = str(getattr(source, "name", "this file"))
    try:
        data = source.read()  # type: ignore[union-attr]
    except (OSError, ValueError) as error:  # ValueError: the file is closed
        raise ImageError(f"{name}: cannot be read ({error})") from None
    if not isinstance(data, bytes | bytearray | memoryview):
        raise InputError(f"expected a file that gives bytes, got {type(data).__name__} from it")
    return bytes(data), name


def _read_path(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise ImageError(f"{path}: is a folder, expected a picture")
        if path.exists() and not path.is_file():
            raise ImageError(f"{path}: is not a regular file, expected a picture")
        if path.stat().st_size > MAX_BYTES:
            raise ImageError(f"{path}: is above {MAX_BYTES:,} bytes, expected a picture")
        return path.read_bytes()
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file; check the path") from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise ImageError(f"{path}: cannot be read ({error})") from None


def _decode(
    data: bytes, name: str, max_pixels: int, longest: int | None = None
) -> tuple[Image, int]:
    """A file's picture and how many times smaller it is, where `longest` pixels are enough."""
    with _errors_of(name):
        if not data:
            raise ImageError("is empty, expected a picture")
        picture = formats.open_picture(data)
        if picture is None:
            raise ImageError(_NO_PICTURE)
        _check_size(*picture.size, max_pixels)
        formats.check(picture, data)
        whole = picture.size
        if longest is not None:
            formats.shrink(picture, longest)
        return _pixels(picture), whole[0] // picture.width


_NO_PICTURE = (
    f"not a picture that can be decoded (broken, or of another format than {formats.NAMES}); "
    "open it in a viewer and save it again"
)


@contextmanager
def _errors_of(name: str) -> Iterator[None]:
    """Puts the name before an error, and makes one of whatever Pillow raises."""
    try:
        yield
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from None
    except MemoryError:
        raise ImageError(f"{name}: needs more memory than there is; shrink it") from None
    except PIL.Image.DecompressionBombError:
        raise ImageError(
            f"{name}: has too many pixels (for PIL.Image.MAX_IMAGE_PIXELS); shrink it"
        ) from None
    except Exception as error:  # of many kinds, warnings too where those are errors
        if "truncated" in str(error):
            raise ImageError(f"{name}: {formats.cut_off()}") from error
        raise ImageError(f"{name}: {_NO_PICTURE}") from error


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels or max(width, height) > MAX_SIDE:
        raise ImageError(
            f"{width}×{height} pixels are too many; shrink it to at most "
            f"{max_pixels / 1_000_000:g} megapixels and {MAX_SIDE} pixels a side"
        )


_STRIP_PIXELS = 1 << 18


def _pixels(picture: PIL.Image.Image) -> Image:
    """Decodes and converts in strips of rows: next to Pillow's memory (4 bytes a pixel in colour)
    there is only the result's."""
    picture.load()
    width, height = picture.size
    pixels = np.empty((height, width, 3), np.uint8)
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        strip = picture.crop((0, top, width, min(top + rows, height)))
        strip.info.pop("transparency", None)  # Pillow would warn that it is lost
        pixels[top : top + rows] = _strip_pixels(strip, picture.format == "PPM")
    return _upright(pixels, _orientation(picture.info.get("exif")))


def _strip_pixels(strip: PIL.Image.Image, is_pnm: bool) -> Image:
    if strip.mode.startswith("I;16") or (strip.mode == "I" and is_pnm):
        return (np.asarray(strip) >> 8).astype(np.uint8)[:, :, None]
    if strip.mode in ("I", "F"):
        raise ImageError("has 32 bits a pixel in one channel; save it with 8 or 16")
    return np.asarray(strip if strip.mode == "RGB" else strip.convert("RGB"))


def _orientation(exif: object) -> int:
    """EXIF's orientation, 1 to 8; 1 where there is none. (Pillow's reader warns of what is broken
    in the other tags.)"""
    if not isinstance(exif, bytes):
        return 1
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2], "<")
    try:
        (at,) = struct.unpack_from(order + "I", tiff, 4)
        (tags,) = struct.unpack_from(order + "H", tiff, at)
        for entry in range(at + 2, at + 2 + 12 * tags, 12):
            tag, value = struct.unpack_from(order + "H6xH", tiff, entry)
            if tag == formats.ORIENTATION:
                return int(value)
    except struct.error:
        pass
    return 1


def _upright(pixels: Image, orientation: int) -> Image:
    """Turned and mirrored as the orientation says; any other than 2 to 8 leaves it."""
    match orientation:
        case 2:
            turned = cv2.flip(pixels, 1)
        case 3:
            turned = cv2.flip(pixels, -1)
        case 4:
            turned = cv2.flip(pixels, 0)
        case 5:
            turned = cv2.transpose(pixels)
        case 6:
            turned = cv2.rotate(pixels, cv2.ROTATE_90_CLOCKWISE)
        case 7:
            turned = cv2.flip(cv2.transpose(pixels), -1)
        case 8:
            turned = cv2.rotate(pixels, cv2.ROTATE_90_COUNTERCLOCKWISE)
        case _:
            return pixels
    return np.asarray(turned, np.uint8)

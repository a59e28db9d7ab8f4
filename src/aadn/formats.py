"""The formats of pictures: Pillow's decoder for each, and what a file of it may cost.

Pillow's decoders are called by name and not through `PIL.Image.open`, which warns above
89 megapixels and tries formats that nobody asked for (PostScript runs a program). A file of a few
bytes can unfold into gigabytes or keep a decoder busy for minutes; `check` refuses those before
anything is decoded. Its bounds are our choice, such that a file below 1 MB takes at most 3 s and
1.2 GB.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable

import numpy as np
from PIL import Image
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from aadn.errors import ImageError

NAMES = "JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF, JPEG 2000, PNM, HEIC"

ALWAYS_PIXELS = 40_000_000
"""So many pixels are taken from a file of any size."""

PIXELS_PER_BYTE = 40
"""A larger picture must have a byte for so many pixels; photographs have one for 1 to 20."""


class _Jpeg(JpegImageFile):
    scans = 1

    def getexif(self) -> Image.Exif:
        """Nothing: Pillow looks for the resolution in it, and warns where it is broken."""
        return Image.Exif()


class _Tiff(TiffImageFile):
    def getexif(self) -> Image.Exif:
        """Only what Pillow turns the picture by; it would read and follow all tags a second time,
        and before its version 13 without a bound."""
        exif = Image.Exif()
        exif[ORIENTATION] = self.tag_v2.get(ORIENTATION, 1)
        return exif

    def load_prepare(self) -> None:
        """Makes the memory, as Pillow's own warns above 89 megapixels."""
        self.im = Image.new(self.mode, (self.tag_v2[_WIDTH], self.tag_v2[_HEIGHT])).im
        super().load_prepare()


ORIENTATION = 274
_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 322, 323
"""Tags of TIFF, the first of EXIF too."""


def _jpeg(data: io.BytesIO) -> ImageFile:
    scans = _jpeg_scans(data.getvalue())
    picture = _Jpeg(data)
    picture.scans = scans
    return picture


def _png(data: io.BytesIO) -> ImageFile:
    """Of its chunks only those that make the first picture: Pillow unfolds texts and profiles,
    refuses large ones, and warns of odd animations."""
    content, at, kind = data.getvalue(), 8, b""
    kept = [content[:at]]
    while kind != b"IEND":
        head = content[at : at + 8]
        end = at + 12 + int.from_bytes(head[:4], "big")
        if end > len(content):
            raise cut_off()
        kind = head[4:]
        if kind in (b"IHDR", b"PLTE", b"eXIf", b"IDAT", b"IEND"):
            kept.append(content[at:end])
        at = end
    return PngImageFile(io.BytesIO(b"".join(kept)))


def _tiff(data: io.BytesIO) -> ImageFile:
    content = data.getvalue()
    order = "<" if content[:2] == b"II" else ">"
    if b"+" in content[2:4]:  # BigTIFF
        (at,) = struct.unpack_from(order + "Q", content, 8)
        (tags,) = struct.unpack_from(order + "Q", content, at)
    else:
        (at,) = struct.unpack_from(order + "I", content, 4)
        (tags,) = struct.unpack_from(order + "H", content, at)
    _suspect(tags > 500, f"{tags} tags")  # each may have the whole file as its value
    return _Tiff(data)


def _pnm(data: io.BytesIO) -> ImageFile:
    """With 8 bits: Pillow converts each value of another range alone, 4 µs a pixel."""
    picture = PpmImageFile(data)
    codec, _, offset, options = picture.tile[0]
    if codec == "ppm_plain" or (codec == "raw" and picture.mode != "I"):
        return picture
    largest = 65_535 if codec == "raw" else int(options[1])  # type: ignore[index]
    (width, height), bands = picture.size, len(picture.getbands())
    kind = np.dtype(">u2" if largest > 255 else "u1")
    content, count = data.getvalue(), width * height * bands
    if len(content) - offset < count * kind.itemsize:
        raise cut_off()
    values = np.frombuffer(content, kind, count, offset).astype(np.uint32)
    values = np.minimum(values, largest) * 256 // (largest + 1)
    head = b"P%d\n%d %d\n255\n" % (6 if bands == 3 else 5, width, height)
    return PpmImageFile(io.BytesIO(head + values.astype(np.uint8).tobytes()))


def _heif(data: io.BytesIO) -> ImageFile:
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        raise ImageError(
            "is a HEIC picture, which needs another package; `pip install '.[heic]'`, or save it "
            "as JPEG"
        ) from None
    picture: ImageFile = HeifImageFile(data)
    return picture


_OPENERS: tuple[tuple[bytes, Callable[[io.BytesIO], ImageFile]], ...] = (
    (rb"\xff\xd8\xff", _jpeg),
    (rb"\x89PNG\r\n\x1a\n", _png),
    (rb"RIFF....WEBP", WebPImageFile),
    (rb"BM", BmpImageFile),
    (rb"II[*+]\0|MM\0[*+]", _tiff),
    (rb"GIF8[79]a", GifImageFile),
    (rb"....ftyp(avi[fs]|(mif1|msf1).{0,40}avi[fs])", AvifImageFile),
    (rb"....ftyp(he[iv][cmsx]|mif1|msf1)", _heif),
    (rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51", Jpeg2KImageFile),
    (rb"P[1-6]\s", _pnm),
)
"""How the files of a format begin (regular expressions), and what opens them."""


def open_picture(data: bytes) -> ImageFile | None:
    """The picture in a file's bytes, nothing decoded yet; None if they begin as no picture does.

    Raises whatever Pillow raises for a broken header, and ImageError (without the file's name) for
    HEIC where pillow-heif is not installed.
    """
    for magic, opener in _OPENERS:
        if re.match(magic, data, re.DOTALL):
            return opener(io.BytesIO(data))
    return None


def check(picture: ImageFile, data: bytes) -> None:
    """Refuse, before it is decoded, what costs far more than pictures do.

    Raises ImageError, without the file's name.
    """
    width, height = picture.size
    pixels, allowed = width * height, max(ALWAYS_PIXELS, PIXELS_PER_BYTE * len(data))
    if isinstance(picture, _Jpeg):
        # Each goes over all pixels; usual are 1 to 14.
        _suspect(picture.scans * pixels > 10 * allowed, f"{picture.scans} scans")
    elif isinstance(picture, TiffImageFile):
        pixels = max(pixels, _check_tiff(picture, data))
    elif isinstance(picture, Jpeg2KImageFile):
        _check_jpeg2000(data)
        allowed //= 3  # the decoder takes as much more time and memory than others
    elif isinstance(picture, PpmImageFile) and picture.tile[0][0] == "ppm_plain":
        comments = data.count(b"#")
        _suspect(comments > 10_000, f"{comments} comments")
    if pixels > allowed:
        raise ImageError(
            f"{width}×{height} pixels from {len(data)} bytes are too many, as in a file that is "
            "made to fill the memory; if it is none, shrink the picture"
        )


def shrink(picture: ImageFile, longest: int) -> None:
    """Let a JPEG be decoded 2, 4 or 8 times smaller, its longer side no shorter than `longest`.

    Other formats, and sides that cannot be divided so, stay as they are.
    """
    width, height = picture.size
    for factor in (8, 4, 2):
        whole = width % factor == height % factor == 0
        if isinstance(picture, _Jpeg) and whole and max(width, height) // factor >= longest:
            picture.draft(picture.mode, (width // factor, height // factor))
            return


def cut_off() -> ImageError:
    """The error, without the file's name, for a file that ends too early."""
    return ImageError("the picture is cut off before its end; copy it again")


def _suspect(condition: bool, what: str) -> None:
    if condition:
        raise ImageError(
            f"has {what}, as a file that is made to keep a decoder busy; if it is none, open it in "
            "a viewer and save it again"
        )


_JPEG_MARKER = re.compile(rb"\xff([\x02-\xcf\xd8-\xfe])")
"""Of a segment with a length, or of the end. An escaped 255 among the pixels (followed by 0), TEM
(1) and the restarts (D0 to D7) have no length."""


def _jpeg_scans(data: bytes) -> int:
    """How many scans the file has; ImageError if its end marker is missing."""
    scans, at = 0, 2
    while found := _JPEG_MARKER.search(data, at):
        if found[1] == b"\xd9":
            return scans
        scans += found[1] == b"\xda"
        at = found.end() + int.from_bytes(data[found.end() : found.end() + 2], "big")
    raise cut_off()


_NOT_BASELINE = re.compile(rb"\xff[\xc2\xc5-\xc7\xc9-\xcb\xcd-\xcf]\0[\x0b\x0e\x11\x14][\x08\x0c]")
"""The frame header of a JPEG that is progressive or of another rare kind."""


def _check_tiff(picture: TiffImageFile, data: bytes) -> int:
    """Returns the pixels of a tile, which may be larger than the picture."""
    _suspect(len(picture.tile) > 100_000, f"{len(picture.tile)} tiles or strips")
    if picture.info.get("compression") in ("jpeg", "tiff_jpeg"):
        # Of those, libtiff decodes a hundred scans for each strip.
        _suspect(_NOT_BASELINE.search(data) is not None, "progressive JPEGs in a TIFF")
    tags = picture.tag_v2
    return int(tags.get(_TILE_WIDTH, 0)) * int(tags.get(_TILE_HEIGHT, 0))


_JPEG2000_SIZE = re.compile(rb"\xff\x4f\xff\x51....(.{32})", re.DOTALL)
_JPEG2000_CODING = re.compile(
    rb"\xff(?=(?:\x52\0.([\0-\7])...[\0\1]|\x53\0..([\0\1]))"
    rb"([\0-\x20][\0-\x08][\0-\x08]).[\0\1](.{0,33}))",
    re.DOTALL,
)
"""The parameters COD (for all components) and COC (for one): whether they name precincts; the
levels and the exponents of a code-block's sides less 2; the exponents of a precinct's sides in each
level, from the smallest."""


def _check_jpeg2000(data: bytes) -> None:
    """The decoder makes all tiles, precincts and code-blocks at once, 0.1 to 10 kB each.

    Their parameters are looked for anywhere, as they may be in the header of any tile.
    """
    for found in _JPEG2000_SIZE.finditer(data):
        width, height, _, _, tile_width, tile_height, left, top = struct.unpack(">8I", found[1])
        across = -(-(width - left) // max(tile_width, 1))
        down = -(-(height - top) // max(tile_height, 1))
        _suspect(across * down > 1000, f"{across * down} tiles")
    for found in _JPEG2000_CODING.finditer(data):
        levels, x, y = found[3]
        small = x + y + 4 < 8
        if (found[1] or found[2])[0] & 1:
            for halvings, sides in zip(range(levels, -1, -1), found[4], strict=False):
                small |= min(sides & 15, sides >> 4) + halvings < 5
        _suspect(small, "code-blocks below 16×16 or precincts below 32×32")

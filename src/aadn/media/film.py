"""Films: frames with the times they are shown at, and films written with the sound of another.

Files are read by PyAV (extra `[video]`), else by OpenCV, which has no sound and, of some films, no
exact times.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from aadn.errors import ImageError, InputError, MissingDependencyError, OutputError
from aadn.files import beside
from aadn.images import MAX_PIXELS, list_images, load_image

Image = NDArray[np.uint8]

TICKS = 90_000
"""Of a second, in which times are written: divisible by all usual frame rates."""

USUAL_RATE = 25.0
"""Frames a second of a folder of pictures, and of a film that does not say it (our choice)."""


@dataclass(frozen=True, eq=False)
class FilmFrame:
    """A frame, upright.

    Attributes:
        index: its number from 0; of a camera those that were dropped count too.
        time: seconds from the film's beginning, at which it is shown.
        image: (H, W, 3) uint8 RGB.
    """

    index: int
    time: float
    image: Image


class Film(Protocol):
    """Something that gives frames.

    Attributes:
        rate: frames a second, on average; 0 where not known.
        seconds: how long it is; None where not known.
        file: it has sound there; None where there can be none.
        origin: the time of its first frame on that file's own clock, in seconds; known with it.
    """

    rate: float
    seconds: float | None
    file: Path | None
    origin: float

    def frames(self) -> Iterator[FilmFrame]:
        """All frames, once. ImageError where one cannot be decoded."""

    def close(self) -> None:
        """Let go of the file or the camera."""


def open_film(source: str) -> Film:
    """A film by its file, a camera by its number, a folder of pictures in the order of their names.

    "-" is a film on standard input. Raises ImageError for what cannot be opened, InputError for
    frames of too many pixels, MissingDependencyError for "-" without PyAV.
    """
    path = Path(source)
    if source == "-":
        return AvFilm(path)
    if source.isdecimal() and not path.exists():
        return Camera(int(source))
    if path.is_dir():
        return PictureFolder(path)
    if not path.is_file():
        raise ImageError(f"{source}: no such file; check the path")
    try:
        import av  # noqa: F401
    except ImportError:
        return OpenCvFilm(path)
    return AvFilm(path)


class AvFilm:
    """A film's file, or "-" for standard input, decoded by PyAV."""

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises ImageError for what is no film, InputError for frames of too many pixels,
        MissingDependencyError without PyAV.
        """
        av = _av("films are read by PyAV")
        given = str(path) == "-"
        self._name = "standard input" if given else str(path)
        self.file: Path | None = None if given else path
        self.origin = 0.0
        try:
            self._container: Any = av.open(sys.stdin.buffer if given else str(path))
        except (OSError, ValueError) as error:  # FFmpeg's errors are both
            raise ImageError(f"{self._name}: not a film that can be decoded ({error})") from None
        if not self._container.streams.video:
            self._container.close()
            raise ImageError(f"{self._name}: has no pictures; expected a film")
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        _check_size(self._name, self._stream.width, self._stream.height)
        self.rate = float(self._stream.average_rate or 0)
        duration = self._container.duration
        self.seconds = None if duration is None else duration / 1e6

    def frames(self) -> Iterator[FilmFrame]:
        """All frames; ImageError where one cannot be decoded."""
        decoded, before = self._container.decode(self._stream), -1.0
        index = -1
        while True:
            try:
                frame = next(decoded)
            except StopIteration:
                return
            except (OSError, ValueError) as error:
                piped = self.file is None and index < 0
                hint = "; from a pipe only films that can be played as they come" if piped else ""
                raise ImageError(
                    f"{self._name}: cannot be decoded after {index + 1} frames ({error}){hint}"
                ) from None
            index += 1
            shown = frame.time if frame.time is not None else index / (self.rate or USUAL_RATE)
            self.origin = self.origin if index else shown
            if shown - self.origin <= before:
                continue  # a film cut together badly shows it twice
            before = shown - self.origin
            image = frame.to_ndarray(format="rgb24")
            # The display matrix turns it counter-clockwise.
            upright = np.rot90(image, round(frame.rotation / 90))
            yield FilmFrame(index, before, np.ascontiguousarray(upright))

    def close(self) -> None:
        """Let go of the file."""
        self._container.close()


class OpenCvFilm:
    """A film's file, decoded by OpenCV."""

    def __init__(self, path: Path) -> None:
        """Open it; ImageError for what is no film, InputError for frames of too many pixels."""
        self.file: Path | None = None  # no sound is taken from it
        self.origin = 0.0
        self._capture = cv2.VideoCapture(str(path))
        if not self._capture.isOpened():
            raise ImageError(
                f"{path}: not a film that OpenCV can decode; pip install 'aadn[video]' reads others"
            )
        width, height = (
            round(self._capture.get(side))
            for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        )
        _check_size(str(path), width, height)
        self.rate = float(self._capture.get(cv2.CAP_PROP_FPS) or 0)
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.seconds = count / self.rate if count > 0 and self.rate > 0 else None

    def frames(self) -> Iterator[FilmFrame]:
        """All frames, until one cannot be decoded."""
        index, before = 0, -1.0
        while True:
            there, image = self._capture.read()
            if not there:
                return
            shown = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if shown <= before:  # OpenCV does not know it
                shown = before + 1 / (self.rate or USUAL_RATE)
            before = shown
            yield FilmFrame(index, shown, np.ascontiguousarray(image[..., ::-1]))
            index += 1

    def close(self) -> None:
        """Let go of the file."""
        self._capture.release()


class PictureFolder:
    """Pictures of a folder as a film of USUAL_RATE frames a second."""

    def __init__(self, folder: Path) -> None:
        """List them; ImageError where there are none."""
        self._pictures = list_images(folder)
        self.rate = USUAL_RATE
        self.file: Path | None = None
        self.origin = 0.0
        self.seconds: float | None = len(self._pictures) / self.rate

    def frames(self) -> Iterator[FilmFrame]:
        """All pictures; ImageError where one cannot be read."""
        for index, path in enumerate(self._pictures):
            yield FilmFrame(index, index / self.rate, load_image(path))

    def close(self) -> None:
        """Nothing to let go of."""


class Camera:
    """A camera, which never lags: who is slow gets the newest frame, and the others are dropped.

    Attributes:
        dropped: how many so far.
    """

    def __init__(self, number: int) -> None:
        """Start it; ImageError where there is none."""
        self._capture = cv2.VideoCapture(number)
        if not self._capture.isOpened():
            raise ImageError(f"no camera {number}; cameras are numbered from 0")
        self.rate = float(self._capture.get(cv2.CAP_PROP_FPS) or 0)
        self.seconds: float | None = None
        self.file: Path | None = None
        self.origin = 0.0
        self.dropped = 0
        self._newest: FilmFrame | None = None
        self._ready = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        began, index = time.monotonic(), 0
        while not self._ended:
            there, image = self._capture.read()
            with self._ready:
                if there:
                    self.dropped += self._newest is not None
                    shown = time.monotonic() - began
                    self._newest = FilmFrame(index, shown, np.ascontiguousarray(image[..., ::-1]))
                    index += 1
                self._ended |= not there
                self._ready.notify()

    def frames(self) -> Iterator[FilmFrame]:
        """The newest frame, each time one is asked for."""
        while True:
            with self._ready:
                self._ready.wait_for(lambda: self._newest is not None or self._ended)
                frame, self._newest = self._newest, None
            if frame is None:
                return
            yield frame

    def close(self) -> None:
        """Stop it."""
        self._ended = True
        self._thread.join()
        self._capture.release()


class FilmWriter:
    """A film's file, H.264 in what its suffix says, with the sound of another film if it has any.

    It is written beside its place and moved there by `close`, so that what was there stays until
    the new film is whole.
    """

    def __init__(self, path: Path, rate: float, source: Film | None = None) -> None:
        """Nothing is written before the first frame.

        Args:
            path: its place.
            rate: frames a second, on average.
            source: the film that has the sound, of which the frames are that are added.

        Raises MissingDependencyError without PyAV, OutputError for a suffix that is no film's.
        """
        av = _av("films are written by PyAV")
        self.path = path
        self._rate = rate or USUAL_RATE
        self._temporary = beside(path)
        self._source = source
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._container: Any = av.open(str(self._temporary), "w")
        except (OSError, ValueError) as error:
            raise OutputError(f"cannot write {path} ({error}); films end in .mp4 or .mkv") from None
        self._stream: Any = None
        self._audio: Any = None
        self._first = self._last = 0.0
        self._size = (0, 0)

    def add(self, image: Image, seconds: float) -> None:
        """Add a frame (H, W, 3) uint8 RGB, shown at a time later than the last.

        The first one's size is the film's; others are fitted into it.
        """
        import av

        try:
            if self._stream is None:
                self._begin(image, seconds)
            image = _fitted(image, *self._size)
            # H.264 has colours for two pixels by two.
            padded = cv2.copyMakeBorder(
                image, 0, image.shape[0] % 2, 0, image.shape[1] % 2, cv2.BORDER_REPLICATE
            )
            frame = av.VideoFrame.from_ndarray(np.asarray(padded, np.uint8), format="rgb24")
            frame.pts = round((seconds - self._first) * TICKS)
            frame.time_base = self._stream.codec_context.time_base
            self._container.mux(self._stream.encode(frame))
        except (OSError, ValueError) as error:
            raise OutputError(f"cannot write {self.path} ({error})") from None
        self._last = seconds

    def _begin(self, image: Image, seconds: float) -> None:
        rate = Fraction(self._rate).limit_denominator(1001)
        self._stream = self._container.add_stream("libx264", rate=rate)
        self._size = image.shape[1], image.shape[0]
        self._stream.width, self._stream.height = (n + n % 2 for n in self._size)
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, TICKS)
        self._first = seconds
        if self._source is not None and self._source.file is not None:
            self._audio = self._with_sound(self._source.file)

    def _with_sound(self, file: Path) -> Any:
        """The film whose sound is copied, and the stream to copy it to; None if it has none."""
        import av

        source: Any = av.open(str(file))
        if source.streams.audio:
            with contextlib.suppress(OSError, ValueError):  # a kind that this container cannot have
                return source, self._container.add_stream_from_template(source.streams.audio[0])
        source.close()
        return None

    def _copy_sound(self) -> None:
        """The packets of the sound between the first frame and the last."""
        source, stream = self._audio
        track = source.streams.audio[0]
        assert self._source is not None
        origin = self._source.origin
        begin, end = origin + self._first, origin + self._last + 1 / self._rate
        shift = round(begin / track.time_base)
        for packet in source.demux(track):
            if packet.pts is None or packet.dts is None:
                continue
            seconds = float(packet.pts * packet.time_base)
            if seconds < begin - 1e-3:
                continue
            if seconds > end:
                break
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = stream
            self._container.mux(packet)
        source.close()

    def close(self) -> None:
        """End the film and move it to its place; OutputError if that fails.

        Without a frame there is no film.
        """
        try:
            if self._stream is not None:
                self._container.mux(self._stream.encode())
                if self._audio is not None:
                    self._copy_sound()
            self._container.close()
            if self._stream is not None:
                self._temporary.replace(self.path)
        except (OSError, ValueError) as error:
            raise OutputError(f"cannot write {self.path} ({error})") from None
        finally:
            with contextlib.suppress(OSError):
                self._temporary.unlink()


def _fitted(image: Image, width: int, height: int) -> Image:
    """A picture of that size, in which another is seen whole, between black bars."""
    if image.shape[1::-1] == (width, height):
        return image
    factor = min(width / image.shape[1], height / image.shape[0])
    across, down = (max(round(side * factor), 1) for side in image.shape[1::-1])
    left, top = (width - across) // 2, (height - down) // 2
    fitted = np.zeros((height, width, 3), np.uint8)
    small = cv2.resize(image, (across, down), interpolation=cv2.INTER_AREA)
    fitted[top : top + down, left : left + across] = small
    return fitted


def _av(what: str) -> Any:
    """PyAV; MissingDependencyError without it."""
    try:
        import av
    except ImportError:
        raise MissingDependencyError(f"{what}: pip install 'aadn[video]'") from None
    return av


def _check_size(name: str, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{name}: frames of {width}×{height} pixels are too many; shrink it to at most "
            f"{MAX_PIXELS / 1e6:g} megapixels"
        )

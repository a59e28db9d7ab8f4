"""`aadn video`: faces followed through a film, a camera or a folder of frames."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Optional

import tyro

from aadn.cli.common import STDOUT, UsageError, check_writable, output, tell
from aadn.errors import InputError
from aadn.faces import Faces
from aadn.inference.landmarker import Landmarker
from aadn.inference.runtimes import DeviceName, Precision, RuntimeName
from aadn.media.draw import draw
from aadn.media.film import Camera, Film, FilmFrame, FilmWriter, open_film
from aadn.media.film_results import (
    film_csv,
    film_csv_head,
    film_json,
    openface_csv,
    openface_head,
)
from aadn.media.growing import Frame, Growing, GrowingFile, GrowingStream
from aadn.tracking.tracker import Tracker


@dataclass(frozen=True)
class Video:
    """Follow faces through a film: their landmarks, what is hidden, who is who.

    Films need PyAV, `pip install 'aadn[video]'`; without it OpenCV reads some, and none is written.
    Ctrl-C ends it early, and what is done by then is kept.

    Attributes:
        source: A film's file, a camera's number (0 is the first), or a folder of pictures, which
            are shown in the order of their names, 25 a second.
        out: A film to write, drawn on, with the sound of the source.
        csv: File for all landmarks as CSV, a row each; - is standard output.
        jsonl: File for the faces as JSON lines, one for each frame; - is standard output.
        openface: File for the faces as CSV with OpenFace's columns, a row for each face.
        start: Seconds into the film at which to begin.
        end: Seconds into the film at which to end.
        every: Look at each n-th frame only.
        weights: The name of an embedded network, or an ONNX file of one.
        find_every: Seconds after which to look for new faces.
        patience: Seconds for which a lost face keeps its number.
        smooth: Steady the landmarks where they only tremble.
        min_size: The smallest face to look for, in pixels, or below 1 as a share of the frame's
            longer side.
        min_score: Leave out faces that the detector scores lower, from 0 to 1.
        max_faces: Find at most so many faces in a frame.
        runtime: What computes the network: onnxruntime, or openvino; as for `aadn detect`.
        device: The processor, or another that ONNX Runtime has; as for `aadn detect`.
        precision: Number format of the network; as for `aadn detect`.
        threads: How many threads compute; one for each core if left out.
        contours: Draw lines between the landmarks.
        boxes: Draw the face boxes.
        quiet: Print errors only.
    """

    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
    out: Optional[Path] = None
    csv: Optional[Path] = None
    jsonl: Optional[Path] = None
    openface: Optional[Path] = None
    start: float = 0.0
    end: Optional[float] = None
    every: int = 1
    weights: Annotated[Optional[Path], tyro.conf.arg(aliases=["--model"])] = None
    find_every: float = 0.5
    patience: float = 1.0
    smooth: bool = True
    min_size: Optional[float] = None
    min_score: Optional[float] = None
    max_faces: Optional[int] = None
    runtime: RuntimeName = "auto"
    device: DeviceName = "auto"
    precision: Precision = "auto"
    threads: Optional[int] = None
    contours: bool = True
    boxes: bool = True
    quiet: bool = False

    def run(self) -> int:
        """Go through the frames."""
        self._check()
        landmarker = Landmarker(
            self.weights,
            threads=self.threads,
            runtime=self.runtime,
            device=self.device,
            precision=self.precision,
            min_size=self.min_size,
            min_score=self.min_score,
            max_faces=self.max_faces,
        )
        tracker = Tracker(
            landmarker, find_every=self.find_every, patience=self.patience, smooth=self.smooth
        )
        tally = _Tally()
        with ExitStack() as stack:
            film = stack.enter_context(closing(open_film(self.source)))
            results = self._results(landmarker, stack)
            writer = None
            if self.out is not None:
                rate = film.rate / self.every
                writer = stack.enter_context(closing(FilmWriter(self.out, rate, film.file)))
            stack.callback(self._say, tally, film)
            for frame in self._frames(film):
                faces = tracker(frame.image, frame.time)
                for add in results:
                    add(frame, faces)
                if writer is not None:
                    drawn = draw(frame.image, faces, contours=self.contours, boxes=self.boxes)
                    writer.add(drawn, frame.time)
                tally.add(faces)
        return 0

    def _check(self) -> None:
        """Raise for options that do not go together, and for files that cannot be written."""
        tables = [path for path in (self.csv, self.jsonl, self.openface) if path is not None]
        if [output(path) for path in tables].count(STDOUT) > 1:
            raise UsageError("only one result can go to standard output")
        for path in (self.out, *tables):
            if path is not None and output(path) != STDOUT:
                check_writable(path)
        if self.every < 1:
            raise InputError(f"expected --every of 1 or more, got {self.every}")
        if not self.start >= 0 or (self.end is not None and not self.end > self.start):
            raise InputError(
                f"expected --start of 0 seconds or more and a later --end, got {self.start} and "
                f"{self.end}"
            )

    def _results(
        self, landmarker: Landmarker, stack: ExitStack
    ) -> list[Callable[[FilmFrame, Faces], None]]:
        """What takes each frame's faces, for each file that is asked for."""
        scheme = landmarker.card.scheme
        forms = [
            (self.jsonl, Frame(), film_json),
            (self.csv, Frame(film_csv_head()), film_csv),
        ]
        if self.openface is not None:
            forms.append((self.openface, Frame(openface_head(scheme)), openface_csv))
        results = []
        for path, frame, entry in forms:
            if path is None:
                continue
            place = output(path)
            assert place is not None
            growing: Growing = (
                GrowingStream(sys.stdout.buffer, frame)
                if place == STDOUT
                else GrowingFile(place, frame)
            )
            stack.callback(growing.close)
            results.append(_adding(growing, entry))
        return results

    def _frames(self, film: Film) -> Iterator[FilmFrame]:
        """The frames to look at, behind a bar where standard error is a terminal."""
        from tqdm import tqdm

        seconds = film.seconds if self.end is None else self.end
        total = None if seconds is None else max(seconds - self.start, 0)
        with tqdm(
            total=None if total is None else round(total, 2),
            unit="s",
            disable=True if self.quiet else None,
            bar_format="{l_bar}{bar}| {n:.1f}/{total_fmt} s of film [{elapsed}<{remaining}]",
        ) as bar:
            for frame in film.frames():
                if self.end is not None and frame.time > self.end:
                    return
                if frame.time < self.start or frame.index % self.every:
                    continue
                yield frame
                bar.update(max(frame.time - self.start - bar.n, 0))

    def _say(self, tally: _Tally, film: Film) -> None:
        """What was done, also after Ctrl-C."""
        if self.quiet:
            return
        dropped = f", {film.dropped} dropped" if isinstance(film, Camera) else ""
        faces = "face" if len(tally.faces) == 1 else "faces"
        line = f"{self.source}: {tally.frames} frames{dropped}, {len(tally.faces)} {faces}"
        tables = (self.csv, self.jsonl, self.openface)
        tell(line, sys.stderr if STDOUT in map(output, tables) else sys.stdout)


@dataclass
class _Tally:
    """Frames that were looked at, and the numbers of their faces."""

    frames: int = 0
    faces: set[int] = field(default_factory=set)

    def add(self, faces: Faces) -> None:
        """Count a frame."""
        self.frames += 1
        self.faces |= set(faces.ids.tolist())


def _adding(
    growing: Growing, entry: Callable[[int, float, Faces], bytes]
) -> Callable[[FilmFrame, Faces], None]:
    return lambda frame, faces: growing.add(entry(frame.index, frame.time, faces))

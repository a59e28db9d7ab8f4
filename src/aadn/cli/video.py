"""`aadn video`: faces followed through a film, a camera or a folder of frames."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import tyro

from aadn.cli.common import STDOUT, UsageError, check_writable, complain, output, tell
from aadn.errors import InputError
from aadn.faces import Faces
from aadn.inference.landmarker import Landmarker
from aadn.inference.runtimes import DeviceName, Precision, RuntimeName
from aadn.media.draw import draw
from aadn.media.film import Camera, Film, FilmFrame, FilmWriter, open_film
from aadn.media.film_parquet import FilmParquet
from aadn.media.film_resume import Done, done
from aadn.media.film_tables import FILM_TABLES
from aadn.media.growing import Frame, Growing, GrowingFile, GrowingStream
from aadn.media.window import Window
from aadn.schemes import Scheme
from aadn.tracking.tracker import Tracker

if TYPE_CHECKING:
    from aadn.evaluation.film_plot import FilmHistory

Adding = Callable[[FilmFrame, Faces], None]
"""What takes a frame and its faces."""


@dataclass(frozen=True)
class Video:
    """Follow faces through a film: their landmarks, what is hidden, who is who.

    Films need PyAV, `pip install 'aadn[video]'`; without it OpenCV reads some, and none is written.
    Ctrl-C ends it early, and what is done by then is kept.

    Attributes:
        source: A film's file, - for one on standard input, a camera's number (0 is the first), or a
            folder of pictures, which are shown in the order of their names, 25 a second.
        out: A film to write, drawn on, with the sound of the source.
        csv: File for all landmarks as CSV, a row each; - is standard output.
        jsonl: File for the faces as JSON lines, one for each frame; - is standard output.
        openface: File for the faces as CSV with OpenFace's columns, a row for each face.
        parquet: File for the rows of --csv as Parquet.
        plot: Picture (.png or .svg) of each face over time: what is seen of it, eyes, mouth, head.
        show: Show the film in a window as it goes on; q closes it, which ends the film.
        resume: Go on behind what the tables of a run that was stopped have, of the same film with
            the same options. Faces get new numbers from there.
        start: Seconds into the film at which to begin.
        end: Seconds into the film at which to end.
        every: Look at each n-th frame only.
        weights: The name of an embedded network, or an ONNX file of one.
        find_every: Seconds after which to look for new faces.
        patience: Seconds for which a lost face keeps its number. For one of them, faces near its
            place are not taken for others until enough of them shows.
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
    parquet: Optional[Path] = None
    plot: Optional[Path] = None
    show: bool = False
    resume: bool = False
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
        before = self._before(landmarker.card.scheme) if self.resume else done({})
        tracker = Tracker(
            landmarker,
            find_every=self.find_every,
            patience=self.patience,
            smooth=self.smooth,
            first=before.face + 1,
        )
        tally = _Tally()
        with ExitStack() as stack:
            film = stack.enter_context(closing(open_film(self.source)))
            stack.callback(self._say, tally, film)
            drawing = [*self._drawing(film, stack)]
            tally.begun = True
            # Older tables stay until there is something to write.
            results = partial(self._tables, landmarker.card.scheme, before, stack)
            adding: list[Adding] | None = None
            for frame in self._frames(film, before.frame):
                faces = tracker(frame.image, frame.time)
                tally.add(faces)
                if adding is None:
                    adding = [*results(), *drawing]
                try:
                    for add in adding:
                        add(frame, faces)
                except _WindowClosedError:
                    break
            if adding is None:
                list(results())
        return 0

    def _check(self) -> None:
        """Raise for options that do not go together, and for files that cannot be written."""
        tables = list(self._named_tables().values())
        if [output(path) for path in tables].count(STDOUT) > 1:
            raise UsageError("only one result can go to standard output")
        if Path("-") in (self.out, self.parquet, self.plot):
            raise UsageError("only --csv, --jsonl and --openface can go to standard output")
        for path in (self.out, self.parquet, self.plot, *tables):
            if path is not None and output(path) != STDOUT:
                check_writable(path)
        if self.plot is not None:
            from aadn.evaluation.plots import check_plot

            check_plot(self.plot)
        if self.resume:
            self._check_resume(tables)
        if self.every < 1:
            raise InputError(f"expected --every of 1 or more, got {self.every}")
        if not self.start >= 0 or (self.end is not None and not self.end > self.start):
            raise InputError(
                f"expected --start of 0 seconds or more and a later --end, got {self.start} and "
                f"{self.end}"
            )

    def _check_resume(self, tables: list[Path]) -> None:
        """Raise for what cannot be gone on with."""
        if not tables:
            raise UsageError("--resume goes on with --csv, --jsonl or --openface; give the tables")
        others = {
            "--out": self.out, "--parquet": self.parquet, "--plot": self.plot,
            "a table on standard output": next((t for t in tables if output(t) == STDOUT), None),
            "a camera or standard input": self.source if self._live() else None,
        }  # fmt: skip
        for what, given in others.items():
            if given is not None:
                raise UsageError(
                    f"{what} cannot be gone on with; leave it out, or leave out --resume"
                )

    def _live(self) -> bool:
        """Whether the source cannot be seen twice."""
        return self.source == "-" or (self.source.isdecimal() and not Path(self.source).exists())

    def _named_tables(self) -> dict[str, Path]:
        """The tables that are asked for, by their kind."""
        asked = {name: getattr(self, name) for name in FILM_TABLES}
        return {name: path for name, path in asked.items() if path is not None}

    def _before(self, scheme: Scheme) -> Done:
        """What an earlier run has done; InputError if it was with other landmarks."""
        forms = {path: FILM_TABLES[name] for name, path in self._named_tables().items()}
        before = done({path: (form.head(scheme), form.numbers) for path, form in forms.items()})
        if before.landmarks not in (0, scheme.size):
            raise InputError(
                f"the tables have faces of {before.landmarks} landmarks, this network gives "
                f"{scheme.size}; go on with the network that they were begun with"
            )
        return before

    def _tables(self, scheme: Scheme, before: Done, stack: ExitStack) -> Iterator[Adding]:
        """What takes each frame's faces, for each table and for the plot."""
        for name, path in self._named_tables().items():
            form = FILM_TABLES[name]
            frame = Frame(form.head(scheme))
            growing: Growing = (
                GrowingStream(sys.stdout.buffer, frame)
                if output(path) == STDOUT
                else GrowingFile(path, frame, before.kept.get(path))
            )
            stack.callback(growing.close)
            yield partial(_add_entry, growing, form.entry)
        if self.parquet is not None:
            table = stack.enter_context(closing(FilmParquet(self.parquet)))
            yield lambda frame, faces: table.add(frame.index, frame.time, faces)
        if self.plot is not None:
            from aadn.evaluation.film_plot import FilmHistory  # loaded where it is asked for

            history = FilmHistory()
            stack.callback(_plot, history, self.plot)
            yield lambda frame, faces: history.add(frame.time, frame.image, faces)

    def _drawing(self, film: Film, stack: ExitStack) -> Iterator[Adding]:
        """What draws each frame, for a film and a window."""
        writer = window = None
        if self.out is not None:
            rate = film.rate / self.every
            writer = stack.enter_context(closing(FilmWriter(self.out, rate, film)))
        if self.show:
            window = stack.enter_context(closing(Window(f"aadn: {self.source}")))
        if writer is not None or window is not None:
            yield partial(self._draw, writer, window)

    def _draw(
        self, writer: FilmWriter | None, window: Window | None, frame: FilmFrame, faces: Faces
    ) -> None:
        """Draw a frame where it is to be seen; _WindowClosedError where it is no longer."""
        drawn = draw(frame.image, faces, contours=self.contours, boxes=self.boxes)
        if writer is not None:
            writer.add(drawn, frame.time)
        if window is not None:
            window.show(drawn)
            if not window.open:
                raise _WindowClosedError

    def _frames(self, film: Film, after: int) -> Iterator[FilmFrame]:
        """The frames behind one, to look at, behind a bar where standard error is a terminal."""
        from tqdm import tqdm

        seconds = film.seconds if self.end is None else self.end
        total = None if seconds is None else max(seconds - self.start, 0)
        count, began = 0, 0.0
        with tqdm(
            total=None if total is None else round(total, 2),
            unit="s",
            disable=True if self.quiet else None,
            bar_format="{l_bar}{bar}| {n:.1f}/{total_fmt} s [{elapsed}<{remaining}{postfix}]",
        ) as bar:
            for frame in film.frames():
                if self.end is not None and frame.time > self.end:
                    return
                if frame.time < self.start or frame.index % self.every or frame.index <= after:
                    continue
                began = began or time.monotonic()  # behind what was only decoded
                yield frame
                count += 1
                speed = count / max(time.monotonic() - began, 1e-3)
                bar.set_postfix_str(f"{speed:.0f} frames/s", refresh=False)
                bar.update(max(frame.time - self.start - bar.n, 0))

    def _say(self, tally: _Tally, film: Film) -> None:
        """What was done, also after Ctrl-C."""
        if self.quiet or not tally.begun:
            return
        dropped = f", {film.dropped} dropped" if isinstance(film, Camera) else ""
        faces = "face" if len(tally.faces) == 1 else "faces"
        line = f"{self.source}: {tally.frames} frames{dropped}, {len(tally.faces)} {faces}"
        shared = STDOUT in map(output, self._named_tables().values())
        tell(line, sys.stderr if shared else sys.stdout)


@dataclass
class _Tally:
    """Frames that were looked at, the numbers of their faces, and whether all was ready for it."""

    begun: bool = False
    frames: int = 0
    faces: set[int] = field(default_factory=set)

    def add(self, faces: Faces) -> None:
        """Count a frame."""
        self.frames += 1
        self.faces |= set(faces.ids.tolist())


class _WindowClosedError(Exception):
    """Nobody looks on."""


def _add_entry(
    growing: Growing,
    entry: Callable[[int, float, Faces], bytes],
    frame: FilmFrame,
    faces: Faces,
) -> None:
    growing.add(entry(frame.index, frame.time, faces))


def _plot(history: FilmHistory, path: Path) -> None:
    """Draw what there is; a film without faces has no picture, which is said."""
    if history:
        history.plot(path)
    else:
        complain(f"no face was found, so {path} is not drawn")

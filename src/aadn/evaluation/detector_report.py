"""The report of a face detector's evaluation: as a record, as JSON, as text, and as a folder.

report.json       the numbers, `DetectorReport.to_dict`
report.md         the same to read, with links to the pictures
curve.svg, .png   recall over false alarms, precision over recall
misses.jpg        the largest faces that were not found
false_alarms.jpg  the false alarms of the highest scores
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aadn.evaluation.box_conventions import CONVENTIONS
from aadn.evaluation.detection import (
    SIZES,
    Curve,
    DetectionScores,
    Outcomes,
    curve,
    detection_scores,
)
from aadn.evaluation.detector_mistakes import write_mistakes
from aadn.evaluation.measure_detector import LOOSE, Detected, Rolled
from aadn.evaluation.plots import check_plot, plot_detection
from aadn.evaluation.tables import number, table
from aadn.files import remove, write_whole

STEPS = tuple(round(0.05 * i, 2) for i in range(1, 20))
"""Minimum scores at which report.json has the curve."""


@dataclass(frozen=True, eq=False)
class DetectorReport:
    """The result of a detector's evaluation.

    Attributes:
        detector: its name.
        detected: what it found in the pictures.
        sha256: of the detector's file, where it has one.
        labels: name and sha256 of each file of labels.
    """

    detector: str
    detected: Detected
    sha256: str | None = None
    labels: tuple[dict[str, str], ...] = ()

    @property
    def parts(self) -> list[str]:
        """The folders of the pictures."""
        return list(dict.fromkeys(record.part for record in self.detected.pictures))

    def of_part(self, outcomes: Outcomes, part: str) -> Outcomes:
        """Those of the pictures of one folder."""
        chosen = [record.part == part for record in self.detected.pictures]
        return outcomes.of_pictures(np.array(chosen))

    def scores(self, outcomes: Outcomes) -> DetectionScores:
        """The figures of some outcomes, with the setting's minimum score."""
        return detection_scores(outcomes, self.detected.setting.min_score)

    def to_dict(self) -> dict[str, Any]:
        """What the JSON file holds: what was run, and the scores of each roll."""
        setting, detected = self.detected.setting, self.detected
        return {
            "detector": {"name": self.detector, "sha256": self.sha256},
            "labels": list(self.labels),
            "ignored": sum(int(record.ignored.sum()) for record in detected.pictures),
            "min_score": setting.min_score,
            "overlap": setting.overlap,
            "convention": "fitted" if setting.fit else setting.convention,
            "fits": [
                {"part": part, "faces": fit.faces, **vars(fit.transform)}
                for part, fit in detected.fits.items()
            ],
            "rolls": [self._roll(rolled) for rolled in detected.rolls],
        }

    def _roll(self, rolled: Rolled) -> dict[str, Any]:
        outcomes = rolled.outcomes
        whole = curve(outcomes)
        return {
            "roll": rolled.roll,
            **self.scores(outcomes).to_dict(),
            "sizes": [
                {"size": name, **_of_some(self.scores(outcomes.of_size(*band)))}
                for name, band in SIZES.items()
            ],
            "parts": [
                {"part": part, **self.scores(self.of_part(outcomes, part)).to_dict()}
                for part in self.parts
            ],
            "loose": {
                "overlap": min(LOOSE, self.detected.setting.overlap),
                **_of_some(self.scores(rolled.loose)),
            },
            "curve": [_point(whole, score) for score in STEPS],
        }

    def to_json(self) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"

    def write_json(self, path: str | Path) -> None:
        """Write `to_json` as a file, whole or not at all; OutputError if that fails."""
        write_whole(Path(path), self.to_json())

    def markdown(self) -> str:
        """What was measured, the figures of each roll and folder, and those by size."""
        sections = [self._note(), self._all_figures(), self._by_size()]
        return "\n".join(sections)

    def _note(self) -> str:
        setting = self.detected.setting
        note = (
            f"Finds with a score of {setting.min_score:g} or more. A find is a face's if they "
            f"overlap by {setting.overlap:g} (intersection over union)"
        )
        if setting.fit:
            note += ", in the convention that was fitted to each folder's own boxes"
        elif setting.convention == "any":
            note += f", in one of the conventions {', '.join(CONVENTIONS)}"
        else:
            note += f', in the convention "{setting.convention}"'
        lines = [f"{note}. Detector: {self.detector}.\n"]
        for part, fit in self.detected.fits.items():
            by = fit.transform
            lines.append(
                f"Fitted for {part} on {fit.faces:,} faces, in widths and heights of the "
                f"detector's boxes: shift {by.shift_x:+.3f}, {by.shift_y:+.3f}; size "
                f"{by.width:.3f}, {by.height:.3f}.\n"
            )
        return "\n".join(lines)

    def _all_figures(self) -> str:
        """A row for each roll, of each folder if there are several."""
        several = len(self.detected.rolls) > 1
        rows = []
        for rolled in self.detected.rolls:
            for name, outcomes, loose in self._rows(rolled):
                row = {"pictures of": name}
                if several:
                    row["turned by"] = f"{rolled.roll:g}°"
                rows.append(row | self._cells(self.scores(outcomes), self.scores(loose)))
        return table(list(rows[0]), [list(row.values()) for row in rows])

    def _rows(self, rolled: Rolled) -> Iterable[tuple[str, Outcomes, Outcomes]]:
        """Name, outcomes and those of the looser overlap: of each folder, and of all."""
        if len(self.parts) == 1:
            yield self.parts[0], rolled.outcomes, rolled.loose
            return
        for part in self.parts:
            yield part, self.of_part(rolled.outcomes, part), self.of_part(rolled.loose, part)
        yield "all", rolled.outcomes, rolled.loose

    def _cells(self, scores: DetectionScores, loose: DetectionScores) -> dict[str, str]:
        """The table's columns and one row's cells."""
        cells = {
            "pictures": number(scores.pictures),
            "faces": number(scores.faces),
            "recall %": number(scores.recall, 1),
            "precision %": number(scores.precision, 1),
            "false alarms a picture": number(scores.false_alarms, 3),
            "in pictures without a face": number(scores.false_alarms_empty, 3),
            "AP": number(scores.average_precision, 3),
        }
        if self.detected.setting.overlap > LOOSE:
            cells[f"recall % at overlap {LOOSE:g}"] = number(loose.recall, 1)
            cells[f"false alarms at overlap {LOOSE:g}"] = number(loose.false_alarms, 3)
        if self._knows_angles():
            cells["angle off by, °"] = number(scores.angle_error, 1)
            cells["by more than 45°, %"] = number(scores.angle_wrong, 1)
        return cells

    def _knows_angles(self) -> bool:
        rolls = self.detected.rolls
        return any(bool(np.isfinite(rolled.outcomes.angle_errors).any()) for rolled in rolls)

    def _by_size(self) -> str:
        """A row for each band: its faces, and for each roll the share found and the AP."""
        rolls = self.detected.rolls
        header, several = ["longer side, px", "faces"], len(rolls) > 1
        for rolled in rolls:
            at = f" at {rolled.roll:g}°" if several else ""
            header += [f"recall %{at}"] if several else ["recall %", "AP"]
        rows = []
        for name, band in SIZES.items():
            scores = [self.scores(rolled.outcomes.of_size(*band)) for rolled in rolls]
            cells = [number(one.recall, 1) for one in scores]
            if not several:
                cells.append(number(scores[0].average_precision, 3))
            rows.append([name, number(scores[0].faces), *cells])
        return table(header, rows)


def _of_some(scores: DetectionScores) -> dict[str, Any]:
    """What means something of a band of sizes, and of another overlap."""
    return {
        name: getattr(scores, name)
        for name in ("faces", "recall", "precision", "false_alarms", "average_precision")
    }


def _point(curve: Curve, score: float) -> dict[str, float | None]:
    """The curve at a minimum score; without a find so good, no precision."""
    taken = int(np.count_nonzero(curve.scores >= score))
    recall = curve.recall[taken - 1] if taken else 0.0
    return {
        "min_score": score,
        "recall": float(100 * recall) if curve.faces else None,
        "precision": float(100 * curve.precision[taken - 1]) if taken else None,
        "false_alarms": float(curve.false_alarms[taken - 1]) if taken else 0.0,
    }


# As a folder


def write_detector_report(
    report: DetectorReport, folder: str | Path, *, progress: bool | None = None
) -> None:
    """Write the folder of a report, each file whole or not at all.

    A report that is there already is replaced; other files in the folder stay.

    Args:
        report: what was measured.
        folder: made if it is missing.
        progress: show a bar; None for a bar where the error output is a terminal.

    Raises:
        ImageError: if a picture with a mistake cannot be read again.
        MissingDependencyError: without matplotlib, before anything is written.
        OutputError: if a file cannot be written.
    """
    folder = Path(folder)
    check_plot(folder / "curve.png")
    report.write_json(folder / "report.json")
    curves = _curves(report)
    for suffix in (".svg", ".png"):
        path = folder / f"curve{suffix}"
        if curves:
            plot_detection(curves, path, report.detected.setting.min_score)
        else:
            remove(path)  # of an earlier report
    mistakes = write_mistakes(report.detected, folder, progress)
    # Last, as it links to the others.
    write_whole(folder / "report.md", _text(report, bool(curves), mistakes))


def _curves(report: DetectorReport) -> dict[str, Curve]:
    """Those of each roll, or with a single one those of each folder; of pictures with faces."""
    rolls = report.detected.rolls
    if len(rolls) > 1:
        curves = {f"{rolled.roll:g}°": curve(rolled.outcomes) for rolled in rolls}
    else:
        curves = {"all": curve(rolls[0].outcomes)}
        if len(report.parts) > 1:
            parts = {part: curve(report.of_part(rolls[0].outcomes, part)) for part in report.parts}
            curves |= parts
    return {name: one for name, one in curves.items() if one.faces}


def _text(report: DetectorReport, curves: bool, mistakes: Sequence[str]) -> str:
    sections = [f"# {report.detector}, a face detector\n", *_what_was_run(report)]
    sections += ["## Figures\n", report.markdown()]
    if curves:
        sections += [
            "## Curve\n",
            "![recall over false alarms, precision over recall](curve.svg)\n",
        ]
    for name in mistakes:
        sections += [f"## {_MISTAKES[name][0]}\n", f"![]({name})\n", _MISTAKES[name][1]]
    return "\n".join(sections)


_MISTAKES = {
    "misses.jpg": (
        "Misses",
        "The largest faces that were not found, at most one of a picture. Below each stands what "
        "came nearest.\n",
    ),
    "false_alarms.jpg": (
        "False alarms",
        "Those of the highest scores, at most one of a picture. A second box on one face is one, "
        "and so is a face that nobody labelled.\n",
    ),
}


def _what_was_run(report: DetectorReport) -> Iterable[str]:
    pictures = report.detected.pictures
    faces = sum(len(record.faces) for record in pictures)
    ignored = sum(len(record.boxes) for record in pictures) - faces
    facts = {
        "detector": f"{report.detector}, sha256 {report.sha256 or 'not known'}",
        "pictures": f"{len(pictures):,}, of {', '.join(report.parts)}",
        "faces": f"{faces:,}, and {ignored:,} to be ignored",
    }
    if report.labels:
        facts["labels"] = ", ".join(
            f"{file['name']}, sha256 {file['sha256']}" for file in report.labels
        )
    yield "".join(f"- {name}: {value}\n" for name, value in facts.items())

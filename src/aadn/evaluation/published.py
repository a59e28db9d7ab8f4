"""Published figures of other methods, and where each was read.

Only figures that were read in the named source are here. Errors are NME in percent, always with
the normaliser: a method's error by the distance of the pupils is about 1.4 times its error by that
of the outer eye corners, so figures of different normalisers cannot be compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

IO = "inter-ocular"
IP = "inter-pupil"
BOX = "box"
DIAGONAL = "diagonal"
SIDE = "side"
"""Side of the face's box, taken as square; not one of `aadn.evaluation.metrics`."""

NOT_STATED = "normaliser not stated"
NOT_RECORDED = "not recorded"
"""The source of a figure that is known without it."""


@dataclass(frozen=True)
class Row:
    """What one method reached on one benchmark, by one normaliser.

    Attributes:
        benchmark: as on the command line, "300w".
        method: its name.
        year: of publication, where the record has it.
        normaliser: as in `aadn.evaluation.metrics.normalisers`, or SIDE or NOT_STATED.
        values: part of the benchmark ("all" for the whole) to the figure in percent.
        source: where it was read.
        note: what a reader must know to compare it.
        fr_10: percent of faces with an NME above 10 %.
        measure: what `values` are.
    """

    benchmark: str
    method: str
    year: int | None
    normaliser: str
    values: Mapping[str, float]
    source: str = NOT_RECORDED
    note: str = ""
    fr_10: float | None = None
    measure: Literal["NME", "AUC"] = "NME"


@dataclass(frozen=True)
class NetworkSize:
    """Size of a network: parameters in millions, operations for one face in thousands of millions.

    `unit` is that of the operations as its source writes it: "G" leaves open whether a multiply
    and an add count as one or two.
    """

    method: str
    parameters: float
    operations: float | None = None
    unit: Literal["G", "GMAC"] = "G"


_STORED = "computed from stored predictions where given"
_HIH = "HeatmapInHeatmap repository"
_STAR_CHOICE = "its epoch is chosen on the test set"

# Method, year, (common, challenging, all), normaliser, source, note.
_300W: tuple[tuple[str, int | None, tuple[float | None, ...], str, str, str], ...] = (
    ("Wu & Ji", 2015, (3.94, 7.62, 4.66), NOT_STATED, "wizwand.com", ""),
    ("ODN", 2019, (3.56, 6.67, 4.17), IO, "FreqFLD and FAHCD-Net papers", ""),
    ("AADN (paper)", 2019, (None, 6.65, None), IO, "its text", "its Table 1 did not survive"),
    ("ResNet-18 at 224", None, (3.73, 7.14, 4.39), IO, "cunjian/pytorch_face_landmark", ""),
    ("SAN", 2018, (3.34, 6.60, 3.98), IO, "HRNet paper", ""),
    ("LAB", 2018, (2.98, 5.19, 3.49), IO, _HIH,
     "mistyped somewhere: common and challenging make 3.41 for all"),
    ("Wing", 2018, (3.01, 6.01, 3.60), IO, _HIH, ""),
    ("DCFE", 2018, (2.76, 5.22, 3.24), IO, _HIH, ""),
    ("HRNet-W18", 2019, (2.87, 5.15, 3.32), IO, "HRNet paper", "crop factor 1.25"),
    ("HRNet-W18", 2019, (2.91, 5.11, 3.34), IO, "HRNet repository", "crop factor 1.25"),
    ("AWing", 2019, (2.72, 4.52, 3.07), IO, _HIH, ""),
    ("LUVLi", 2020, (2.76, 5.16, 3.23), IO, _HIH, ""),
    ("PIPNet-R101", 2021, (2.78, 4.89, 3.19), IO, "STAR repository",
     "labels rounded to whole pixels; crop factor 1.1"),
    ("ADNet", 2021, (2.53, 4.58, 2.93), IO, "ADNet repository",
     "its README says inter-pupil; the figures are inter-ocular"),
    ("HIH", 2021, (2.65, 4.89, 3.09), IO, _HIH, ""),
    ("SLPT", 2022, (2.75, 4.90, 3.17), IO, _HIH, ""),
    ("DTLD", 2022, (2.59, 4.50, 2.96), IO, "STAR repository", ""),
    ("SPIGA", 2022, (2.59, 4.66, 2.99), IO, "SPIGA repository",
     "reproduced from its stored predictions; crop factor 1.6"),
    ("FaRL", 2022, (None, None, 2.93), IO, "FaRL repository", ""),
    ("STAR", 2023, (2.52, 4.32, 2.87), IO, "STAR and ORFormer repositories", _STAR_CHOICE),
    ("STAR, run elsewhere", 2023, (2.52, 4.46, 2.90), IO, "STAR and ORFormer repositories", ""),
    ("FaceXFormer", 2024, (2.66, 4.67, 3.05), IO, "FaceXFormer repository", ""),
    ("ORFormer", 2025, (2.53, 4.43, 2.90), IO, "ORFormer repository", ""),
    ("D-ViT", 2025, (2.43, 4.56, 2.85), IO, "HRFFA README", ""),
)  # fmt: skip

# Method, NME of all, normaliser, FR@10, source, note.
_COFW: tuple[tuple[str, float, str, float | None, str, str], ...] = (
    ("RCPR", 8.50, IP, 20, "HRNet paper", ""),
    ("Wu & Ji", 5.93, IP, None, "ADNet repository", ""),
    ("LAB", 5.58, IP, None, _HIH, ""),
    ("LAB", 3.92, IO, None, _HIH, ""),
    ("Wing", 5.44, IP, None, _HIH, ""),
    ("ODN", 5.30, IP, None, "FreqFLD paper", ""),
    ("DCFE", 5.27, IP, None, _HIH, ""),
    ("3DDE", 5.11, IP, None, "OpenCodePapers", ""),
    ("HRNet-W18", 3.45, IO, None, "HRNet paper", "test faces cropped by their true landmarks"),
    ("AWing", 4.94, IP, None, _HIH, ""),
    ("SLPT", 4.79, IP, None, _HIH, ""),
    ("SLPT", 3.32, IO, None, _HIH, ""),
    ("ADNet", 4.68, IP, 0.59, "ADNet repository", ""),
    ("HIH", 4.63, IP, None, _HIH, ""),
    ("HIH", 3.21, IO, None, _HIH, ""),
    ("STAR", 4.62, IP, None, "STAR repository", _STAR_CHOICE),
    ("ORFormer", 4.46, IP, None, "ORFormer repository", ""),
    ("D-ViT", 4.13, IP, None, "sotaverified", ""),
)

# Method, NME of all by inter-pupil, inter-ocular and box, note. Trained on 300W.
_COFW68 = (
    (
        "SPIGA",
        (5.51, 3.94, 2.52),
        "AUC@7 by the box is 64.05; its stored predictions give 3.93 by the eye corners",
    ),
    ("CFSS", (8.80, 6.28, 4.05), ""),
    ("SAPM", (9.29, 6.64, 4.23), "finds hidden landmarks at precision 76.5, recall 52.0"),
    ("HPM", (9.40, 6.72, 4.31), "finds hidden landmarks at precision 80.7, recall 34.1"),
    ("TCDCN", (10.72, 7.66, 4.92), ""),
    ("RCPR-occ", (12.27, 8.76, 5.54), ""),
)

# Method, (frontal, all), normaliser, note.
_AFLW: tuple[tuple[str, tuple[float | None, float], str, str], ...] = (
    ("RCPR", (2.87, 3.73), SIDE, ""),
    ("SAN", (1.85, 1.91), SIDE, ""),
    ("LAB", (1.62, 1.85), SIDE, ""),
    ("LAB with boundary data", (1.14, 1.25), SIDE, ""),
    ("HRNet", (1.46, 1.57), SIDE, ""),
    ("LUVLi", (1.19, 1.39), SIDE, ""),
    ("DTLD+", (None, 1.37), SIDE, ""),
    ("FAHCD", (1.17, 1.30), SIDE, ""),
    ("FaRL", (None, 0.943), DIAGONAL, "times √2 = 1.33 by the side of a square box"),
)

# Method, (occlusion, all), note.
_WFLW: tuple[tuple[str, tuple[float | None, float], str], ...] = (
    ("LAB", (6.79, 5.27), ""),
    ("Wing", (6.21, 4.99), ""),
    ("HRNet", (5.42, 4.60), ""),
    ("AWing", (5.19, 4.36), ""),
    ("LUVLi", (5.29, 4.37), ""),
    ("ADNet", (5.06, 4.14), ""),
    ("SLPT", (5.06, 4.14), ""),
    ("HIH", (4.85, 4.08), ""),
    ("SPIGA", (4.95, 4.06), ""),
    ("STAR", (None, 4.02), _STAR_CHOICE),
    ("FaRL", (None, 3.96), ""),
    ("ORFormer", (None, 3.86), ""),
    ("D-ViT", (4.47, 3.75), ""),
)


def _values(parts: tuple[str, ...], figures: tuple[float | None, ...]) -> dict[str, float]:
    return {p: f for p, f in zip(parts, figures, strict=True) if f is not None}


ROWS: tuple[Row, ...] = (
    *(
        Row("300w", method, year, by, _values(("common", "challenging", "all"), f), source, note)
        for method, year, f, by, source, note in _300W
    ),
    *(
        Row("cofw", method, None, by, {"all": figure}, source, note, fr_10)
        for method, figure, by, fr_10, source, note in _COFW
    ),
    *(
        Row("cofw68", method, None, by, {"all": figure}, _STORED, note)
        for method, figures, note in _COFW68
        for by, figure in zip((IP, IO, BOX), figures, strict=True)
    ),
    *(
        Row("aflw", method, None, by, _values(("frontal", "all"), figures), note=note)
        for method, figures, by, note in _AFLW
    ),
    *(
        Row("wflw", method, None, IO, _values(("occlusion", "all"), figures), note=note)
        for method, figures, note in _WFLW
    ),
    Row(
        "300vw",
        "CNN-CRF",
        None,
        NOT_STATED,
        {"category 1": 73.3, "category 2": 71.6, "category 3": 67.4},
        "wizwand.com",
        "threshold not stated",
        measure="AUC",
    ),
)

COFW_HIDDEN_RECALL: Mapping[str, float] = {
    "RCPR": 40,
    "Wu & Ji": 49.1,
    "ECT": 63.4,
    "3DDE": 63.9,
    "MNN": 72.1,
    "FaceXFormer": 72.6,
}
"""Recall of hidden landmarks on COFW's test faces at a precision of 80 %, in percent."""

SIZES: tuple[NetworkSize, ...] = (
    NetworkSize("LAB", 12.26, 18.96),
    NetworkSize("Wing", 25),
    NetworkSize("HRNet-W18", 9.3, 4.3),
    NetworkSize("AWing", 24.15, 26.8),
    NetworkSize("PIPNet-R101", 45.7),
    NetworkSize("ADNet", 13.37, 17.04),
    NetworkSize("HIH", 22.68, 17.15),
    NetworkSize("SLPT", 13.19, 6.12),
    NetworkSize("STAR", 13.37),
    NetworkSize("ResNet-18 at 224", 11.69, 1.81, "GMAC"),
)

CAUTIONS: Mapping[str, tuple[str, ...]] = {
    "300w": (
        "The methods crop around different boxes (true landmarks, the official detector's, tight) "
        "and by different factors.",
        "STAR counts failures above 5 % on 300W and above 10 % elsewhere.",
        "SPIGA's README lists an AUC@8 of 44.20 for common; its own predictions give 67.66.",
    ),
    "300w-private": (
        "SPIGA's README lists an AUC@7 of 37.17 for outdoor; its own predictions give 71.05.",
    ),
    "cofw": (
        "A method's error by the pupils is 1.42 to 1.44 times its error by the eye corners.",
        "STAR and MMPose's configuration choose their epoch on COFW's test faces.",
    ),
    "cofw68": (
        "The methods are trained on 300W, not on COFW.",
        "22.9 % of the landmarks are hidden.",
    ),
    "aflw": (
        "Published rows are by the side of the face's box, this report by its width: the same for "
        "AFLW's square boxes.",
    ),
    "merl-rav": (
        "Published figures divide by 68 whatever the number of labelled landmarks; here the mean "
        "is over the labelled ones.",
    ),
}
"""What to know of a benchmark's figures as a whole."""


def published(benchmark: str, normaliser: str | None = None) -> list[Row]:
    """The rows of one benchmark, of one normaliser if it is given; empty where none is known."""
    return [
        row for row in ROWS if row.benchmark == benchmark and normaliser in (None, row.normaliser)
    ]

"""The faces of the highest NME as pictures: what was predicted beside what is true."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from aadn.data.samples import Sample
from aadn.evaluation.report import Report
from aadn.evaluation.sheet import captioned, cross, line, sheet, write_jpeg
from aadn.faces import OCCLUSION_GRID, Face
from aadn.files import remove
from aadn.geometry import Crop, box_of_points
from aadn.media.draw import draw
from aadn.palette import COVERED, EDGE, SEEN, TRUTH
from aadn.schemes import Scheme

Image = NDArray[np.uint8]

WORST = 10
"""How many faces are shown (our choice)."""

SIZE = 480
"""Side of a shown face in pixels (our choice)."""

MARGIN = 1.4
"""Side of a shown face over the longer side of the box around both its true and its predicted
landmarks (our choice)."""


def write_worst_faces(report: Report, folder: Path, progress: bool | None = None) -> list[str]:
    """Write worst.jpg, the worst faces on one sheet, and each in a file of its own in worst/.

    Those of an earlier report are removed.

    Args:
        report: an evaluation's.
        folder: of the report.
        progress: show a bar; None for a bar where the error output is a terminal.

    Returns:
        The names of the files in worst/, the worst face first; none if no face was found.

    Raises:
        ImageError: if a picture cannot be read again.
        OutputError: if a file cannot be written or removed.
    """
    nme = report.measured.nme
    tiles, names = [], []
    hide = progress if progress is None else not progress
    bar = tqdm(_worst(report), "drawing the worst faces", unit="face", disable=hide)
    for place, i in enumerate(bar, 1):
        tile = face_picture(
            report.samples[i],
            report.predicted[i],
            report.measured.visibility[i],
            report.card.scheme,
            report.card.visibility_threshold,
        )
        stem = _stem(report.samples[i])
        names.append(f"{place:02d}_nme_{nme[i]:.2f}_{stem}.jpg")
        write_jpeg(folder / "worst" / names[-1], tile)
        tiles.append(captioned(tile, f"{place}.  NME {nme[i]:.2f} %", stem))
    if tiles:
        write_jpeg(folder / "worst.jpg", sheet(tiles, LEGEND))
    else:
        remove(folder / "worst.jpg")
    for path in (folder / "worst").glob("[0-9][0-9]_nme_*.jpg"):
        if path.name not in names:
            remove(path)
    return names


def _worst(report: Report) -> list[int]:
    """The rows of the worst faces, the worst first; of a video one: its frames look alike."""
    nme = report.measured.nme
    order = np.argsort(np.where(np.isfinite(nme), -nme, np.inf), kind="stable")
    of_scene: dict[object, int] = {}
    for i in order[np.isfinite(nme[order])].tolist():
        of_scene.setdefault(report.samples[i].scene or i, i)
    return list(of_scene.values())[:WORST]


def _stem(sample: Sample) -> str:
    """A name for a sample's picture that any file system takes."""
    name = sample.image.stem
    if sample.scene is not None:
        name = f"{sample.scene.parent.name}_{name}"
    return re.sub(r"[^A-Za-z0-9.-]+", "_", name)[:60]


def face_picture(
    sample: Sample,
    predicted: NDArray[np.floating],
    visibility: NDArray[np.floating],
    scheme: Scheme,
    threshold: float,
) -> Image:
    """A face with what was predicted and what is true, (SIZE, SIZE, 3) uint8 RGB.

    Predicted landmarks are drawn as by `draw`, true ones as crosses, joined by a line to the
    predicted.

    Args:
        sample: with its picture.
        predicted: (L, 2) pixels of the sample's picture.
        visibility: (L,) in [0, 1].
        scheme: whose landmarks they are.
        threshold: a landmark of lower visibility is drawn as hidden.

    Raises:
        ImageError: if the picture cannot be read.
    """
    box = box_of_points(np.concatenate([sample.points, predicted]))
    crop = Crop.around(box, SIZE, MARGIN)
    shown = crop.cut(sample.picture())
    points, truth = crop.to_crop(predicted), crop.to_crop(sample.points)
    known = np.isfinite(truth).all(axis=1)
    for a, b in zip(points[known], truth[known], strict=True):
        line(shown, a, b, TRUTH, 1)
    face = Face(
        points.astype(np.float32),
        visibility.astype(np.float32),
        np.full(len(points), np.nan, np.float32),
        box_of_points(points).astype(np.float32),
        1.0,
        np.full((OCCLUSION_GRID, OCCLUSION_GRID), np.nan, np.float32),
        scheme,
        threshold,
    )
    shown = draw(shown, face, contours=False, boxes=False)
    for point in truth[known]:
        cross(shown, point)
    return shown


def _seen(canvas: Image, at: tuple[int, int]) -> None:
    cv2.circle(canvas, at, 6, EDGE, cv2.FILLED, cv2.LINE_AA)
    cv2.circle(canvas, at, 5, SEEN, cv2.FILLED, cv2.LINE_AA)


def _hidden(canvas: Image, at: tuple[int, int]) -> None:
    cv2.circle(canvas, at, 6, COVERED, 2, cv2.LINE_AA)


def _labelled(canvas: Image, at: tuple[int, int]) -> None:
    cross(canvas, np.array(at, np.float64), 5)


LEGEND = ((_seen, "predicted, seen"), (_hidden, "predicted, hidden"), (_labelled, "labelled"))
"""The marks of a shown face."""

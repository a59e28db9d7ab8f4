"""Faces that a detector misses and what it takes for faces, as pictures to look at."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from aadn.evaluation.box_conventions import centres, turned
from aadn.evaluation.detection import FALSE_ALARM
from aadn.evaluation.measure_detector import (
    Detected,
    Found,
    Rolled,
    compare,
    labels_at,
    longer_sides,
    transforms_for,
)
from aadn.evaluation.sheet import Mark, captioned, line, sheet, write_jpeg
from aadn.files import remove
from aadn.geometry import Crop, turn_picture, turned_extent, turning
from aadn.images import load_image
from aadn.palette import COVERED, EDGE, SEEN, TRUTH, Colour

FloatArray = NDArray[np.float64]
Image = NDArray[np.uint8]

SHOWN = 20
"""How many mistakes of a kind are shown (our choice)."""

SIZE = 240
"""Side of a shown mistake in pixels (our choice)."""

MARGIN = 2.5
"""Side of a shown mistake over the longer side of its box (our choice)."""

IGNORED_GREY: Colour = (150, 150, 150)


class Mistake(NamedTuple):
    """A face that was not found, or a find that is no face.

    Attributes:
        rank: the highest are shown: a missed face's size in pixels, a false alarm's score.
        rolled: at which roll.
        picture: index of the picture.
        place: index of the labelled box, or of the find.
    """

    rank: float
    rolled: Rolled
    picture: int
    place: int


def write_mistakes(detected: Detected, folder: Path, progress: bool | None = None) -> list[str]:
    """Write misses.jpg and false_alarms.jpg; a sheet of an earlier report goes if there is none.

    Args:
        detected: what a detector found.
        folder: of the report.
        progress: show a bar; None for a bar where the error output is a terminal.

    Returns:
        The names of the files written.

    Raises:
        ImageError: if a picture cannot be read again.
        OutputError: if a file cannot be written or removed.
    """
    sheets = {
        "misses.jpg": _worst(_misses(detected)),
        "false_alarms.jpg": _worst(_false_alarms(detected)),
    }
    hide = progress if progress is None else not progress
    total = sum(map(len, sheets.values()))
    with tqdm(total=total, desc="drawing the mistakes", unit="picture", disable=hide) as bar:
        for name, mistakes in sheets.items():
            tiles = []
            for mistake in mistakes:
                tiles.append(_tile(detected, mistake, is_miss=name == "misses.jpg"))
                bar.update()
            if tiles:
                write_jpeg(folder / name, sheet(tiles, LEGEND))
            else:
                remove(folder / name)
    return [name for name, mistakes in sheets.items() if mistakes]


def _misses(detected: Detected) -> Iterator[Mistake]:
    for rolled in detected.rolls:
        for i, record in enumerate(detected.pictures):
            sure = rolled.found[i].scores >= detected.setting.min_score
            missed = ~record.ignored
            missed[rolled.faces[i][sure & (rolled.faces[i] >= 0)]] = False
            sizes = longer_sides(record.boxes)
            yield from (Mistake(sizes[k], rolled, i, int(k)) for k in np.flatnonzero(missed))


def _false_alarms(detected: Detected) -> Iterator[Mistake]:
    for rolled in detected.rolls:
        for i, finds in enumerate(rolled.found):
            wrong = (finds.scores >= detected.setting.min_score) & (rolled.faces[i] == FALSE_ALARM)
            yield from (
                Mistake(float(finds.scores[k]), rolled, i, int(k)) for k in np.flatnonzero(wrong)
            )


def _worst(mistakes: Iterable[Mistake]) -> list[Mistake]:
    """The SHOWN of the highest rank, the highest first, at most one of a picture."""
    of_picture: dict[int, Mistake] = {}
    for mistake in mistakes:
        best = of_picture.get(mistake.picture)
        if best is None or mistake.rank > best.rank:
            of_picture[mistake.picture] = mistake
    return sorted(of_picture.values(), key=lambda one: (-one.rank, one.picture))[:SHOWN]


# Pictures


class _Shown(NamedTuple):
    """What a tile shows of a mistake.

    Attributes:
        box: (4,) in the picture, which the tile is cut around.
        title, said: what the mistake is, and what lies nearest to it.
        finds: (D,) bool, which of the picture's finds are drawn.
    """

    box: FloatArray
    title: str
    said: str
    finds: NDArray[np.bool_]


def _tile(detected: Detected, mistake: Mistake, is_miss: bool) -> Image:
    """The surroundings of a mistake with labels and finds, and above them what it is."""
    record, shape = detected.pictures[mistake.picture], detected.shapes[mistake.picture]
    found, roll = mistake.rolled.found[mistake.picture], mistake.rolled.roll
    labels, canvas = labels_at(record, shape, roll), turning(*shape, roll)[1:]
    transforms = transforms_for(record.part, detected.setting, detected.fits)
    overlaps, _ = compare(found, labels, canvas, transforms)
    sure = found.scores >= detected.setting.min_score
    if is_miss:
        shown = _miss(mistake, found, labels, overlaps, sure)
    else:
        shown = _false_alarm(mistake, found, overlaps, sure)
    turned_by = f", turned by {roll:g}" if len(detected.rolls) > 1 or roll else ""
    crop = Crop.around(shown.box, SIZE, MARGIN)
    tile = crop.cut(turn_picture(load_image(record.image), roll))
    for label, ignored in zip(labels, record.ignored, strict=True):
        _outline(tile, crop.to_crop(_corners(label, 0.0)), IGNORED_GREY if ignored else TRUTH)
    for i in np.flatnonzero(shown.finds)[::-1]:
        corners = crop.to_crop(_corners(found.boxes[i], float(found.angles[i])))
        _outline(tile, corners, SEEN if sure[i] else COVERED, top=4)
    name = re.sub(r"[^ -~]", "?", record.image.stem)[:22]
    return captioned(tile, shown.title + turned_by, shown.said, name)


def _miss(
    mistake: Mistake,
    found: Found,
    labels: FloatArray,
    overlaps: FloatArray,
    sure: NDArray[np.bool_],
) -> _Shown:
    """A face that was not found, with the find that came nearest, whatever its score."""
    box, near, title = labels[mistake.place], overlaps[:, mistake.place], f"{mistake.rank:.0f} px"
    if not near.max(initial=0) > 0:
        return _Shown(box, title, "nothing found there", sure)
    nearest = np.arange(len(near)) == np.argmax(near)
    said = f"score {found.scores[nearest][0]:.2f}, overlap {near[nearest][0]:.2f}"
    return _Shown(box, title, said, sure | nearest)


def _false_alarm(
    mistake: Mistake, found: Found, overlaps: FloatArray, sure: NDArray[np.bool_]
) -> _Shown:
    one = slice(mistake.place, mistake.place + 1)
    box = turned_extent(found.boxes[one], np.nan_to_num(found.angles[one]))[0]
    overlap = overlaps[mistake.place].max(initial=0)
    return _Shown(box, f"score {mistake.rank:.2f}", f"overlap with a face {overlap:.2f}", sure)


def _corners(box: NDArray[np.floating], angle: float) -> FloatArray:
    """The corners (4, 2) of a box that is turned about its centre by degrees; NaN is 0."""
    x0, y0, x1, y1 = box.astype(np.float64)
    middle = centres(np.array([[x0, y0, x1, y1]]))
    corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    return middle + turned(corners - middle, np.full(4, np.nan_to_num(angle)))


def _outline(canvas: Image, corners: FloatArray, colour: Colour, top: int = 2) -> None:
    """A box with a dark rim; `top` is the width of its first edge, where the brows are."""
    for rim, ink in ((2, EDGE), (0, colour)):
        for i in range(4):
            line(canvas, corners[i], corners[(i + 1) % 4], ink, rim + (top if i == 0 else 2))


def _mark(colour: Colour) -> Mark:
    def draw(canvas: Image, at: tuple[int, int]) -> None:
        box = np.array([at[0] - 8, at[1] - 8, at[0] + 8, at[1] + 8])
        _outline(canvas, _corners(box, 0.0), colour)

    return draw


LEGEND = (
    (_mark(TRUTH), "labelled"),
    (_mark(IGNORED_GREY), "to be ignored"),
    (_mark(SEEN), "found"),
    (_mark(COVERED), "found, with a score that is too low"),
)
"""The marks of a shown mistake."""

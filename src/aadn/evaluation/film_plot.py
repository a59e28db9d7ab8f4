"""What a film's faces did, over time: a strip of each, and curves below it. Needs `[plot]`."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aadn.errors import InputError
from aadn.evaluation.plots import COLOURS, check_plot, new_figure, write_figure
from aadn.faces import Face, Faces
from aadn.geometry import Crop
from aadn.media.draw import draw

STRIP, SIDE = 12, 128
"""Pictures in a strip, and their side in pixels (our choice)."""

PICTURED = 16
"""So many faces at most have pictures kept, some two megabytes each (our choice)."""

FACES = 4
"""So many faces at most are drawn, those that are there longest (our choice)."""

AROUND = 1.5
"""Side of a strip's picture over the longer side of the box around the landmarks (our choice)."""

VALUES = ("seen", "covered", "turned", "right eye", "left eye", "mouth", "yaw", "pitch", "roll")

PANELS = (
    ("landmarks, %", ("seen", "covered", "turned")),
    ("eyes, open", ("right eye", "left eye")),
    ("mouth, open", ("mouth",)),
    ("head, °", ("yaw", "pitch", "roll")),
)
"""The curves: what an axis says, and which of VALUES it has."""

STYLES = ("-", "--", ":")


@dataclass
class _Past:
    """What one face did.

    Attributes:
        times: of the frames that it is in.
        rows: VALUES in each of them.
        pictures: some of them, with their times, at least `apart` seconds apart.
    """

    times: list[float] = field(default_factory=list)
    rows: list[list[float]] = field(default_factory=list)
    pictures: list[tuple[float, NDArray[np.uint8]]] = field(default_factory=list)
    apart: float = 0.0

    def keep(self, time: float, image: NDArray[np.uint8], face: Face) -> None:
        """Keep a picture if it is time for one; few are kept of a film of any length."""
        if self.pictures and time - self.pictures[-1][0] < self.apart:
            return
        self.pictures.append((time, _picture(image, face)))
        if len(self.pictures) > 4 * STRIP:
            self.pictures = self.pictures[::2]
            self.apart = 2 * (self.pictures[1][0] - self.pictures[0][0]) * 0.99


class FilmHistory:
    """What the faces of a film did, frame by frame."""

    def __init__(self) -> None:
        self._faces: dict[int, _Past] = defaultdict(_Past)
        self._first: float | None = None
        self._last = 0.0

    def __len__(self) -> int:
        """How many faces there were."""
        return len(self._faces)

    def add(self, time: float, image: NDArray[np.uint8], faces: Faces) -> None:
        """Add a frame (H, W, 3) and its faces, which have numbers."""
        self._first = time if self._first is None else self._first
        self._last = time
        for face in faces:
            past = self._faces[face.id]
            past.times.append(time)
            shares = [
                100 * float(part.mean()) for part in (~face.hidden, face.covered, face.turned)
            ]
            eyes = [*map(float, face.eye_openness), float(face.mouth_openness)]
            past.rows.append([*shares, *eyes, *map(float, face.pose)])
            past.keep(time, image, face)
        pictured = [past for past in self._faces.values() if past.pictures]
        if len(pictured) > PICTURED:
            min(pictured, key=lambda past: len(past.times)).pictures = []

    def plot(self, path: str | Path) -> None:
        """Draw a .png or .svg file, whole or not at all.

        Raises InputError for another suffix or a film without faces, MissingDependencyError without
        matplotlib, OutputError if it cannot be written.
        """
        check_plot(path)
        if not self._faces:
            raise InputError(f"no face was found, so there is nothing to draw in {path}")
        longest = sorted(self._faces, key=lambda number: -len(self._faces[number].times))
        numbers = sorted(longest[:FACES])
        heights = [0.85] * len(numbers) + [1.3] * len(PANELS)
        figure = new_figure(11, sum(heights) + 0.6)
        axes = figure.subplots(len(heights), height_ratios=heights, sharex=True)
        first = self._first or 0.0
        last = max(self._last, first + 1e-3)
        for axis, number in zip(axes, numbers, strict=False):
            _draw_strip(axis, self._faces[number], f"face {number}", first, last)
        for axis, (title, names) in zip(axes[len(numbers) :], PANELS, strict=True):
            for i, number in enumerate(numbers):
                _draw_curves(axis, self._faces[number], names, COLOURS[i])
            axis.set_ylabel(title)
            if "open" in title:
                axis.set_ylim(0, 1.1 * max(axis.dataLim.y1, 0.1))
            axis.grid(alpha=0.3)
            _legend(axis, names)
        axes[-1].set(xlim=(first, last), xlabel="seconds")
        if len(numbers) > 1:
            lines = [axes[-1].plot([], [], color=COLOURS[i])[0] for i in range(len(numbers))]
            figure.legend(
                lines, [f"face {n}" for n in numbers], loc="outside lower center", ncols=4
            )
        write_figure(figure, path)


def _picture(image: NDArray[np.uint8], face: Face) -> NDArray[np.uint8]:
    """A face cut out, with its landmarks, (SIDE, SIDE, 3)."""
    crop = Crop.around(face.box, SIDE, AROUND, face.angle)
    points = crop.to_crop(face.points).astype(np.float32)
    box = crop.inner_box(AROUND).astype(np.float32)
    shown = replace(face, points=points, box=box, angle=0.0, id=-1)
    return draw(crop.cut(image), shown, contours=False, boxes=False)


def _draw_strip(axis: Any, past: _Past, title: str, first: float, last: float) -> None:
    """Pictures of a face at their times, as many as have room."""
    axis.set(yticks=[], ylabel=title)
    axis.tick_params(bottom=False)
    for edge in axis.spines.values():
        edge.set_visible(False)
    if not past.pictures:
        return
    times = np.array([time for time, _ in past.pictures])
    width = (last - first) / STRIP
    for i in range(STRIP):
        middle = first + (i + 0.5) * width
        nearest = int(np.abs(times - middle).argmin())
        if abs(times[nearest] - middle) <= width / 2 + 1e-9:
            inset = axis.inset_axes((i / STRIP, 0, 1 / STRIP, 1))
            inset.imshow(past.pictures[nearest][1])
            inset.set_axis_off()


def _draw_curves(axis: Any, past: _Past, names: tuple[str, ...], colour: str) -> None:
    times, rows = np.array(past.times), np.array(past.rows)
    steps = np.diff(times)
    usual = float(np.median(steps)) if len(steps) else np.inf
    gaps = np.flatnonzero(steps > 3 * usual) + 1
    times = np.insert(times, gaps, np.nan)  # a line breaks where the face is not there
    for name, style in zip(names, STYLES, strict=False):
        values = np.insert(rows[:, VALUES.index(name)], gaps, np.nan)
        axis.plot(times, values, style, color=colour, linewidth=1.2)


def _legend(axis: Any, names: tuple[str, ...]) -> None:
    if len(names) > 1:
        pairs = zip(names, STYLES, strict=False)
        lines = [axis.plot([], [], style, color="#666666")[0] for _, style in pairs]
        axis.legend(lines, names, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)

"""The sources in memory, with occluders painted over the portraits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from aadn.data.pts import read_pts
from aadn.images import list_images, load_image
from aadn.occlude.cutouts import Cutouts
from aadn.occlude.overlay import FaceFrame, Overlay
from aadn.occlude.textures import Look, Paints
from aadn.occlude.training import paint_occluders
from aadn.schemes import IBUG68
from aadn.training.config import Tell, nothing
from aadn.training.face_detector.scenes import Album, Photograph
from aadn.training.face_detector.sources import Kind, Source, from_json


@dataclass(frozen=True)
class Set:
    """A set of pictures: where it is, how it is labelled, and how often a portrait is painted.

    `painted` is how often each labelled portrait is there with occluders, beside once without.
    """

    folder: str
    kind: Kind
    painted: int = 0


SETS = {
    "ilc": Set("faces/ilc2021_mask", "scenes"),
    "groups": Set("faces/groups_pseudo", "scenes"),
    "inet": Set("faces/inet_faces_pseudo", "scenes"),
    "masks": Set("real_masks", "portraits"),
    "hair": Set("hair_faces", "portraits"),
    "afw": Set("300w/afw", "labelled", painted=5),
    "helen": Set("300w/helen/trainset", "labelled", painted=5),
    "lfpw": Set("300w/lfpw/trainset", "labelled", painted=5),
    "ytf": Set("ytf68/train", "labelled", painted=2),
}
"""What is trained on."""

EXAMPLES = 60
"""Faces whose skin and hair are pasted as occluders."""

HELD_OUT = 5
"""One picture in so many without faces, in the order of their names, never trains: it validates."""


class _Painter:
    """Paints occluders over labelled portraits."""

    def __init__(self, occluders: Sequence[Path], examples: Sequence[Path]) -> None:
        self.cutouts = Cutouts.load(*occluders)
        size = 192
        images, points = [], []
        for file in examples:
            image, at = load_image(file.with_suffix(".jpg")), read_pts(file)
            low, high = at.min(axis=0), at.max(axis=0)
            scale = size / (1.5 * float((high - low).max()))
            matrix = np.hstack([np.eye(2) * scale, (size / 2 - scale * (low + high) / 2)[:, None]])
            images.append(cv2.warpAffine(image, matrix, (size, size)))
            points.append(at * scale + matrix[:, 2])
        self.paints = Paints(np.array(images, np.uint8), np.array(points), self.cutouts.textures)

    def __call__(self, work: tuple[Path, int]) -> NDArray[np.uint8]:
        """A portrait with random occluders, by its path and a seed."""
        path, seed = work
        rng = np.random.default_rng([seed, *path.name.encode()])
        image, points = load_image(path), read_pts(path.with_suffix(".pts"))
        frame = FaceFrame.of(points, IBUG68)
        overlay = Overlay(*image.shape[:2])
        paints = replace(self.paints, look=Look.of(image, frame))
        paint_occluders(overlay, frame, points, rng, paints, self.cutouts)
        return overlay.over(image)


def load_album(data: Path, labels: Path, *, processes: int = 1, tell: Tell = nothing) -> Album:
    """The sets below `data`, as labelled in `labels` (see `sources.label`), in memory.

    Occluders are painted in as many processes as are given; `tell` is given a line for each set.
    """
    groups: list[Photograph] = []
    portraits: list[Photograph] = []
    for name, place in SETS.items():
        sources = list(from_json((labels / f"{name}.json").read_text("utf-8"), data))
        own = groups if place.kind == "scenes" else portraits
        own += [Photograph.of(load_image(s.path), s.faces, s.ignored) for s in sources]
        if place.painted:
            own += _painted(data, sources, place.painted, processes)
        tell(f"{name}: {len(sources)} pictures")
    files = list_images(data / "faces/negatives/images")
    none = np.empty((0, 5)), np.empty((0, 4))
    empty = [Photograph.of(load_image(f), *none) for i, f in enumerate(files) if i % HELD_OUT]
    return Album(groups, portraits, empty)


def _painted(data: Path, sources: Sequence[Source], times: int, processes: int) -> list[Photograph]:
    """Labelled portraits with occluders over them."""
    labels = [s.path.with_suffix(".pts") for s in sources]
    painter = _Painter([data / "occluders", data / "cutouts"], labels[:EXAMPLES])
    work = [(s, seed) for s in sources if len(s.faces) == 1 for seed in range(times)]
    with opencv_on_one_thread(), get_context("fork").Pool(processes, _start, (painter,)) as pool:
        images = pool.imap(_paint, [(s.path, seed) for s, seed in work], chunksize=16)
        return [
            Photograph.of(image, s.faces, s.ignored)
            for (s, _), image in zip(work, images, strict=True)
        ]


@contextmanager
def opencv_on_one_thread() -> Iterator[None]:
    """Let OpenCV work without its threads: processes forked meanwhile would wait for them for ever.

    They stay behind in the first process, even where the forked one asks for none.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(0)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


_painter: list[_Painter] = []


def _start(painter: _Painter) -> None:
    _painter[:] = [painter]


def _paint(work: tuple[Path, int]) -> NDArray[np.uint8]:
    return _painter[0](work)

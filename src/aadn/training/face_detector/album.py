"""The sources in memory, with occluders painted over the portraits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from aadn.data.pts import read_pts
from aadn.geometry import FloatArray
from aadn.images import list_images, load_image
from aadn.occlude.cutouts import Cutouts
from aadn.occlude.overlay import FaceFrame, Overlay
from aadn.occlude.textures import Look, Paints
from aadn.occlude.training import paint_occluders
from aadn.schemes import IBUG68
from aadn.training.face_detector.scenes import Album, Photograph
from aadn.training.face_detector.sources import Source, from_json

GROUPS = ("ilc", "groups", "inet")
LABELLED = ("afw", "helen", "lfpw", "ytf")
PORTRAITS = ("masks", "hair")

HELD_OUT = 5
"""One picture in so many without faces, in the order of their names, never trains: it validates."""

VARIANTS = {"afw": 5, "helen": 5, "lfpw": 5, "ytf": 2}
"""How often each labelled portrait is there with occluders, beside once without."""


class _Painter:
    """Paints occluders over labelled portraits."""

    def __init__(self, occluders: Sequence[Path], examples: Sequence[Path]) -> None:
        parts = [Cutouts.load(folder) for folder in occluders]
        self.cutouts = Cutouts(
            *(
                tuple(x for part in parts for x in getattr(part, name))
                for name in ("masks", "sunglasses", "things", "textures")
            )
        )
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


def load_album(data: Path, labels: Path, *, processes: int = 2, tell=print) -> Album:
    """Read and paint what `labels` names below `data`."""

    def of(name: str) -> list[Source]:
        return list(from_json((labels / f"{name}.json").read_text(), data))

    groups = [_photograph(s) for name in GROUPS for s in of(name)]
    portraits = [_photograph(s) for name in PORTRAITS for s in of(name)]
    for name in LABELLED:
        sources = of(name)
        portraits += [_photograph(s) for s in sources]
        if not (sources[0].path.with_suffix(".pts")).is_file():
            continue
        examples = [s.path.with_suffix(".pts") for s in sources[:60]]
        painter = _Painter([data / "occluders", data / "cutouts"], examples)
        work = [(s, v) for s in sources if len(s.faces) == 1 for v in range(VARIANTS[name])]
        with get_context("fork").Pool(processes, _start, (painter,)) as pool:
            images = pool.imap(_paint, [(s.path, v) for s, v in work], chunksize=16)
            portraits += [
                Photograph.of(image, s.faces, s.ignored)
                for (s, _), image in zip(work, images, strict=True)
            ]
        tell(f"{name}: {len(sources)} portraits, {len(work)} painted")
    files = list_images(data / "faces/negatives/images")
    none = np.empty((0, 5)), np.empty((0, 4))
    empty = [Photograph.of(load_image(f), *none) for i, f in enumerate(files) if i % HELD_OUT]
    return Album(groups, portraits, empty)


_painter: list[_Painter] = []


def _start(painter: _Painter) -> None:
    cv2.setNumThreads(1)
    _painter[:] = [painter]


def _paint(work: tuple[Path, int]) -> NDArray[np.uint8]:
    return _painter[0](work)


def _photograph(source: Source) -> Photograph:
    return Photograph.of(load_image(source.path), source.faces, source.ignored)

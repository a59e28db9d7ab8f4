"""What the second network of the face detector learns from: places that the first one proposes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from aadn.geometry import Crop, turn, turned_extent, wrapped
from aadn.inference.detections import Detections
from aadn.inference.face_proposals import FaceProposals, resized
from aadn.inference.face_refinement import FaceRefinement
from aadn.models.face_refiner import FACTOR, SIZE
from aadn.training.face_detector.album import opencv_on_one_thread
from aadn.training.face_detector.scenes import Album, Scene, draw_scene
from aadn.training.face_detector.sources import overlaps

MARGIN = 1.25
"""Stored crops are this much wider than what the network sees: room to turn and shift."""

STORED = round(SIZE * MARGIN)

RIGHT, WRONG = 0.4, 0.2
"""A proposal overlaps a face at least so much if it is of it; at most so much if it is of none."""


@dataclass(frozen=True)
class Candidates:
    """N places.

    Attributes:
        crops: (N, STORED, STORED, 3) uint8, levelled.
        targets: (N, 7) as the network shall answer, the first 1 for a face and 0 for none; for none
            the others mean nothing.
        believed: (N,) how far the angle is to be believed, see `scenes`.
        scores: (N,) in [0, 1], those that the places came with.
    """

    crops: NDArray[np.uint8]
    targets: NDArray[np.float32]
    believed: NDArray[np.float32]
    scores: NDArray[np.float32]

    @classmethod
    def empty(cls, count: int) -> Candidates:
        """Room for `count` places."""
        return cls(
            np.empty((count, STORED, STORED, 3), np.uint8),
            np.empty((count, 7), np.float32),
            np.empty(count, np.float32),
            np.empty(count, np.float32),
        )

    def put(self, first: int, part: Candidates) -> None:
        """Write another's places here, from place `first` on."""
        for field in fields(self):
            values = getattr(part, field.name)
            getattr(self, field.name)[first : first + len(values)] = values

    def rows(self, which: NDArray[np.bool_] | slice) -> Candidates:
        """Some of them."""
        return Candidates(*(getattr(self, field.name)[which] for field in fields(self)))

    @classmethod
    def joined(cls, parts: Sequence[Candidates]) -> Candidates:
        """Those of several, at least one, in that order."""
        return cls(
            *(
                np.concatenate([getattr(part, field.name) for part in parts])
                for field in fields(cls)
            )
        )


def draw_candidates(
    album: Album,
    proposals: FaceProposals,
    side: int,
    rng: np.random.Generator,
    refinement: FaceRefinement | None = None,
) -> Candidates:
    """The places that the first network proposes in one scene, and others near its faces.

    With `refinement`, only proposals that it gets wrong, see `many_candidates`.
    """
    scene = draw_scene(album, side, rng)
    # As in a large picture: the first network sees a smaller copy.
    scale = float(rng.uniform(0.4, 1.0)) if rng.random() < 0.4 else 1.0
    small = resized(scene.image, scale)
    found = proposals(small, float(rng.choice([0.08, 0.15, 0.3])), None)
    boxes = (found.boxes + 0.5) / (small.shape[0] / side) - 0.5
    found = Detections(boxes, found.scores, found.angles)
    found = found.rows(np.arange(min(len(boxes), 40)))
    if refinement is None:
        return matched(scene, Detections.joined([found, _near(scene, rng)]))
    found = found._replace(scores=refinement(scene.image, found).scores)
    places = matched(scene, found)
    return places.rows(np.abs(places.scores - places.targets[:, 0]) > DOUBT)


def _near(scene: Scene, rng: np.random.Generator) -> Detections:
    """Boxes about faces, as far off as a proposal may be."""
    faces = scene.faces[rng.random(len(scene.faces)) < 0.3]
    side = faces[:, 2:4].max(axis=1, keepdims=True)
    middle = faces[:, :2] + rng.normal(0, 0.12, (len(faces), 2)) * side
    half = faces[:, 2:4] * np.exp(rng.normal(0, 0.18, (len(faces), 2))) / 2
    angles = faces[:, 4] + rng.normal(0, 15, len(faces))
    lost = rng.random(len(faces)) < 0.1
    angles[lost] = rng.uniform(-180, 180, int(lost.sum()))
    return Detections(
        np.hstack([middle - half, middle + half]), np.ones(len(faces)), wrapped(angles)
    )


def matched(scene: Scene, found: Detections) -> Candidates:
    """The places that are surely of a face, or of none, cut out."""
    half = scene.faces[:, 2:4] / 2
    faces = np.hstack([scene.faces[:, :2] - half, scene.faces[:, :2] + half])
    extents = turned_extent(found.boxes, found.angles)
    none = np.zeros((len(extents), 1))
    near = np.hstack([none, overlaps(extents, turned_extent(faces, scene.faces[:, 4]))])
    doubtful = np.hstack([none, overlaps(extents, scene.ignored)]).max(axis=1) > 0.1
    best = near.max(axis=1)
    right, wrong = best >= RIGHT, (best <= WRONG) & ~doubtful
    rows = np.flatnonzero(right | wrong)
    crops = np.empty((len(rows), STORED, STORED, 3), np.uint8)
    targets = np.zeros((len(rows), 7), np.float32)
    believed = np.zeros(len(rows), np.float32)
    for i, row in enumerate(rows):
        box, angle = found.boxes[row], float(found.angles[row])
        crops[i] = Crop.around(box, STORED, FACTOR * MARGIN, angle).cut(scene.image)
        if right[row]:
            face = scene.faces[int(near[row].argmax()) - 1]
            size = box[2:] - box[:2]
            offset = turn(-angle) @ (face[:2] - (box[:2] + box[2:]) / 2) / size.max()
            left = np.radians(face[4] - angle)
            targets[i] = [1, *offset, *np.log(face[2:4] / size), np.cos(left), np.sin(left)]
            believed[i] = face[5]
    return Candidates(crops, targets, believed, found.scores[rows].astype(np.float32))


SIDES = (256, 320, 384, 512)
"""Sides of the scenes in pixels."""


def many_candidates(
    album: Album,
    first: Path,
    count: int,
    *,
    second: Path | None = None,
    processes: int = 1,
    seed: int = 0,
) -> Candidates:
    """`count` places, proposed by the network in the file `first`.

    With the file `second` of the second network, those of which the score is wrong by more than
    DOUBT. The number of processes changes nothing.
    """
    ends = np.linspace(0, count, SHARES + 1).round().astype(int)
    work = [(seed, number, int(size)) for number, size in enumerate(np.diff(ends))]
    every = Candidates.empty(count)  # filled share by share: a copy of all would need twice as much
    context = get_context("fork")
    with opencv_on_one_thread(), context.Pool(processes, _start, (album, first, second)) as pool:
        bar = tqdm(total=count, desc="places", unit="place", disable=None)
        for first_row, part in zip(ends[:-1], pool.imap(_share, work), strict=True):
            every.put(int(first_row), part)
            bar.update(len(part.crops))
        bar.close()
    return every


SHARES = 64
"""Parts that processes draw, each from its own seed."""

DOUBT = 0.15
"""Scores that are off by less are right enough."""

_own: list[tuple[Album, FaceProposals, FaceRefinement | None]] = []


def _start(album: Album, first: Path, second: Path | None) -> None:
    refinement = None if second is None else FaceRefinement(second, threads=1)
    _own[:] = [(album, FaceProposals(first, threads=1), refinement)]


def _share(work: tuple[int, int, int]) -> Candidates:
    seed, number, count = work
    album, proposals, refinement = _own[0]
    rng = np.random.default_rng([seed, number])
    parts: list[Candidates] = []
    while sum(len(part.crops) for part in parts) < count or not parts:
        parts.append(draw_candidates(album, proposals, int(rng.choice(SIDES)), rng, refinement))
    return Candidates.joined(parts).rows(slice(count))

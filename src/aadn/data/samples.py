"""A labelled face, and splits that keep copies of one picture together."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aadn.errors import InputError
from aadn.files import sha256
from aadn.images import load_image


@dataclass(frozen=True)
class Sample:
    """One labelled face of a picture.

    Attributes:
        image: the picture's file, or the name of what `read` gives.
        points: (L, 2) float64 pixels, (0, 0) the centre of the top-left pixel; NaN = not labelled.
        box: (4,) x0, y0, x1, y1 tight around the landmarks, or, where the protocol of a release
            says so, its own box of the face.
        visible: (L,) bool, True = the landmark is seen, or float, where NaN is unknown; None where
            nobody says.
        parts: names of the parts of the data set that the face belongs to, to be reported apart.
        read: gives the picture, (H, W, 3) uint8 RGB, where it has no file of its own (a frame of a
            video, an array in a .mat file).
        scene: the video that the face is a frame of, where the data set is of videos.
        turned: (L,) float, 1 = the head itself hides the landmark's place, 0 = it does not, NaN
            unknown; None where nobody says.
        guessed: (L,) bool, True = the landmark's place is a guess, not to be learned from; None for
            none of them.
    """

    image: Path
    points: NDArray[np.float64]
    box: NDArray[np.float64]
    visible: NDArray[np.bool_] | NDArray[np.float64] | None = None
    parts: tuple[str, ...] = ()
    read: Callable[[], NDArray[np.uint8]] | None = field(default=None, repr=False)
    scene: Path | None = None
    turned: NDArray[np.float64] | None = None
    guessed: NDArray[np.bool_] | None = None

    def picture(self) -> NDArray[np.uint8]:
        """The picture, (H, W, 3) uint8 RGB; ImageError if it cannot be read."""
        return load_image(self.image) if self.read is None else self.read()


_FACE_NUMBER = re.compile(r"_\d{1,2}$")


def picture_of(sample: Sample) -> str:
    """Name of the picture, or the video's subject, that a face was taken from.

    AFW, HELEN and YouTube Faces number the faces or frames of one picture or subject by a suffix
    `_1` … `_99`; LFPW's `image_0001` is no such number. WFLW ends names so too, with a number that
    is the picture's own: some of its pictures of one event stay together without need.
    """
    if sample.scene is not None:
        return str(sample.scene)
    return f"{sample.image.parent}/{_FACE_NUMBER.sub('', sample.image.stem)}"


def content_of(sample: Sample) -> str:
    """sha256 of the picture's file, or of its pixels where it has none."""
    if sample.read is None:
        return sha256(sample.image)
    picture = sample.read()
    return hashlib.sha256(str(picture.shape).encode() + picture.tobytes()).hexdigest()


def hold_out(
    samples: Sequence[Sample], fraction: float, seed: int
) -> tuple[list[Sample], list[Sample]]:
    """Split samples in two, about `fraction` of them in the second part, and at least one.

    Faces of one picture (`picture_of`) and files with the same bytes stay on the same side.
    The split depends on the seed and on the pictures' names, not on the order of the samples.
    Raises InputError if `fraction` is not in [0, 1).
    """
    if not 0 <= fraction < 1:
        raise InputError(f"expected a held-out fraction in [0, 1), got {fraction}")
    leader: dict[str, str] = {}

    def find(key: str) -> str:
        while leader.setdefault(key, key) != key:
            key = leader[key]
        return key

    for sample in samples:
        if sample.scene is None:  # the frames of a video need not be read to belong together
            ends = sorted((find(picture_of(sample)), find(content_of(sample))))
            leader[ends[1]] = ends[0]
    members: dict[str, list[Sample]] = {}
    for sample in samples:
        members.setdefault(find(picture_of(sample)), []).append(sample)
    # Names without the folders above them, so that moving the data does not change the split.
    names = {
        key: min("/".join((s.scene or s.image).parts[-2:]) for s in members[key]) for key in members
    }
    order = sorted(
        members, key=lambda k: (hashlib.sha256(f"{seed}/{names[k]}".encode()).digest(), k)
    )
    least = 1 if fraction > 0 and len(members) > 1 else 0
    wanted = max(round(fraction * len(samples)), least)
    kept: list[Sample] = []
    held_out: list[Sample] = []
    for key in order:
        (held_out if len(held_out) < wanted else kept).extend(members[key])
    return sorted(kept, key=_file), sorted(held_out, key=_file)


def _file(sample: Sample) -> str:
    return str(sample.image)

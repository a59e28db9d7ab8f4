"""Faces of a film: each frame's crops from the frame before, the finder where that does not do.

Ours, not the paper's.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from aadn.errors import InputError
from aadn.faces import Face, Faces
from aadn.geometry import Crop, FloatArray, areas, box_of_points, intersections, warp
from aadn.images import Source, load_image
from aadn.inference.landmarker import Landmarker
from aadn.measures.alignment import PLACES, aligning
from aadn.tracking.steady import Steady

LET_GO = 0.3
"""A face whose quality is lower is lost (our choice)."""

TAKEN = 0.5
"""A face that is found anew must have so much quality (our choice)."""

SAME = 0.4
"""Faces whose boxes share more than this of the smaller one are one face (our choice)."""

AGAIN = 0.1
"""Seconds after which the finder looks again for a lost face, beside others that are followed (our
choice)."""

LIKE, LIKE_NEAR = 0.8, 0.5
"""Correlation of two looks at a face from which they may be one person's, as far as a lost face may
have come, and just where it should be (our choice, by held-out faces)."""

REACH = 1.0
"""How far from where it should be by now a lost face may be found again: so many of its sides for
each second that it was lost, and half a side (our choice)."""

WAIT = 1.0
"""Seconds in which that reach grows, and in which a face within it is waited for until it shows who
it is; however long a lost face keeps its number (our choice)."""

LOOK, AROUND = 24, 1.4
"""Pixels of the side of what is remembered of a face's look, and that side over the box's where it
cannot be aligned."""

DRIFT = 0.3
"""Seconds over which the way of a face is smoothed that tells where it is found again (our
choice)."""

REMEMBER = 0.1
"""Seconds after which what a face looks like is looked at again (our choice)."""

PLAIN = 0.05
"""A face of which a larger share of the landmarks is covered shows too little of what it looks
like: that is not remembered, and near a lost face it is not taken for another person (our
choice)."""


@dataclass
class _Track:
    """A face that is followed.

    Attributes:
        id: its number.
        face: as it was last seen, unsteadied, its box about its landmarks (`_upright`).
        time: when that was, in seconds.
        velocity: (2,) pixels a second of its box's middle, as it is now.
        drift: the same, of the last DRIFT seconds, where a lost face goes on: one that is about to
            be covered is pulled at.
        look: (3·LOOK²,) what it looks like, of mean 0 and length 1.
        steady: its steadied landmarks.
        lost: whether it was not there in the last frame.
        plain: whether `look` is of a face that was `_plain`.
        confirmed, looked: when the finder saw it last, and `look` was brought up to date.
    """

    id: int
    face: Face
    time: float
    look: FloatArray
    velocity: FloatArray = field(default_factory=lambda: np.zeros(2))
    drift: FloatArray = field(default_factory=lambda: np.zeros(2))
    steady: Steady = field(default_factory=Steady)
    lost: bool = False
    plain: bool = True
    confirmed: float = field(init=False)
    looked: float = field(init=False)

    def __post_init__(self) -> None:
        self.confirmed = self.looked = self.time

    def middle(self, time: float) -> FloatArray:
        """Where the middle of its box should be at a time."""
        box = self.face.box.astype(np.float64)
        velocity = self.drift if self.lost else self.velocity
        return np.asarray((box[:2] + box[2:]) / 2 + velocity * (time - self.time))

    @property
    def side(self) -> float:
        """The longer side of its box."""
        return float((self.face.box[2:] - self.face.box[:2]).max())


class Tracker:
    """Follows faces through a film, and gives each a number that stays.

    A frame's faces are looked for where they were, turned as they were; the finder looks at the
    whole frame only every so often, and where a face was lost. A face is lost when its quality is
    low, and keeps its number if it is found again soon, near where it should be by then.

    Examples:
        >>> from aadn import Landmarker, Tracker, load_image
        >>> tracker, frame = Tracker(Landmarker()), load_image("examples/astronaut.jpg")
        >>> [tracker(frame, time / 30).ids.tolist() for time in range(3)]
        [[1], [1], [1]]
    """

    def __init__(
        self,
        landmarker: Landmarker | None = None,
        *,
        find_every: float = 0.5,
        patience: float = 1.0,
        smooth: bool = True,
        first: int = 1,
    ) -> None:
        """Follow no face yet.

        Args:
            landmarker: what finds faces and their landmarks; None for `Landmarker()`.
            find_every: seconds after which the finder looks for new faces, though none is lost.
            patience: seconds for which a lost face keeps its number; for WAIT of them, faces near
                its place are not taken for others until enough of them shows.
            smooth: steady the landmarks (`aadn.tracking.steady`).
            first: the number of the first face, for a film that is gone on with.

        Raises InputError for negative seconds, or a first number below 1.
        """
        for name, seconds in (("find_every", find_every), ("patience", patience)):
            if not seconds >= 0:
                raise InputError(f"expected {name} of 0 seconds or more, got {seconds}")
        if first < 1:
            raise InputError(f"expected a first number of 1 or more, got {first}")
        self.landmarker = landmarker or Landmarker()
        self.find_every, self.patience, self.smooth = find_every, patience, smooth
        self._tracks: list[_Track] = []
        self._next = first
        self._time: float | None = None
        self._found: float | None = None

    def __call__(self, image: Source, time: float) -> Faces:
        """The faces of the next frame, those that are followed longest first, with their `ids`.

        Args:
            image: the frame, as `Landmarker` takes it.
            time: seconds, later than the frame before.

        Raises:
            ImageError, InputError, NetworkError: as `Landmarker` does; InputError for a time that
                is not later.
        """
        if not np.isfinite(time) or (self._time is not None and time <= self._time):
            raise InputError(f"expected a time later than {self._time} s, got {time}")
        frame = load_image(image, max_pixels=self.landmarker.max_pixels)
        self._follow(frame, time)
        self._tracks = [t for t in self._tracks if not t.lost or time - t.time <= self.patience]
        if self._should_find(time):
            self._find(frame, time)
        since = 0.0 if self._time is None else time - self._time
        self._time = time
        return self._faces(since)

    def _follow(self, frame: NDArray[np.uint8], time: float) -> None:
        """Look for each face where it should be by now."""
        tracks = [track for track in self._tracks if not track.lost]
        if not tracks:
            return
        boxes, angles = zip(*(_expected(track, time) for track in tracks), strict=True)
        faces = self.landmarker.align(frame, np.array(boxes), np.array(angles))
        for track, new in zip(tracks, faces, strict=True):
            face = _upright(new, track.face.score)
            if _right(face, LET_GO) and _near(track, face, time):
                _move(track, face, time)
            else:
                track.lost = True
        self._part(frame, tracks)
        for track in tracks:
            if not track.lost and time - track.looked >= REMEMBER and _plain(track.face):
                _remember(track, frame, time)

    def _part(self, frame: NDArray[np.uint8], tracks: list[_Track]) -> None:
        """Of two that have come to one face, lose the one that it is less like."""
        there = [track for track in tracks if not track.lost]
        for i, one in enumerate(there):
            for other in there[i + 1 :]:
                if one.lost or other.lost or _shared(one.face.box, other.face.box) < SAME:
                    continue
                like = [float(_look(frame, track.face) @ track.look) for track in (one, other)]
                (one if like[0] < like[1] else other).lost = True

    def _should_find(self, time: float) -> bool:
        most, there = self.landmarker.max_faces, sum(not track.lost for track in self._tracks)
        if most is not None and there >= most and not self._doubtful(time):
            return False
        if self._found is None or there == 0:
            return True
        lost = any(track.lost for track in self._tracks)
        return time - self._found >= (min(AGAIN, self.find_every) if lost else self.find_every)

    def _doubtful(self, time: float) -> bool:
        """Whether the finder has to say if a face is still there: its network does not."""
        return any(
            np.isnan(track.face.quality) and time - track.confirmed >= self.find_every
            for track in self._tracks
        )

    def _find(self, frame: NDArray[np.uint8], time: float) -> None:
        """Look for faces that are not followed, and take them up again, or anew."""
        self._found = time
        found = self.landmarker.detect(frame)
        for track in self._tracks:
            if any(_shared(box, track.face.box) >= SAME for box in found.boxes):
                track.confirmed = time
            # Of a network that does not say its quality, only the finder tells.
            track.lost |= np.isnan(track.face.quality) and time - track.confirmed > self.patience
        there = [track.face.box for track in self._tracks if not track.lost]
        new = [i for i, box in enumerate(found.boxes) if all(_shared(box, b) < SAME for b in there)]
        if self.landmarker.max_faces is not None:
            new = new[: max(self.landmarker.max_faces - len(there), 0)]
        if not new:
            return
        asked = ((frame, found.boxes[i], float(found.angles[i])) for i in new)
        faces = list(self.landmarker.align_each(asked, level=True))
        for face, score in zip(faces, found.scores[new], strict=True):
            if _right(face, TAKEN):
                self._take(frame, _upright(face, float(score)), time)

    def _take(self, frame: NDArray[np.uint8], face: Face, time: float) -> None:
        """Take up a lost face that this may be, else a new one."""
        look = _look(frame, face)
        lost = [track for track in self._tracks if track.lost and _off(track, face, time) < 1]
        chances = [_chance(track, face, look, time) for track in lost]
        if max(chances, default=0) > 0:
            track = lost[int(np.argmax(chances))]
            track.steady, track.lost = Steady(), False
            track.velocity, track.drift = np.zeros(2), np.zeros(2)
            track.face, track.time, track.confirmed = face, time, time
            if _plain(face):
                track.look = _blend(track.look, look)
            return
        recent = [track for track in lost if time - track.time <= WAIT]
        alike = any(look @ track.look > LIKE_NEAR for track in recent)
        if recent and (alike or not _plain(face)):
            return  # who it is shows when more of it does
        self._tracks.append(_Track(self._next, face, time, look, plain=_plain(face)))
        self._next += 1

    def _faces(self, since: float) -> Faces:
        """What is followed, steadied, so many seconds after the frame before."""
        there = [track for track in self._tracks if not track.lost]
        faces = []
        for track in there:
            face = track.face
            if self.smooth:
                points = track.steady(
                    face.points, ~face.hidden, face.uncertainty, _length(face), since
                )
                face = replace(face, points=points.astype(np.float32))
            faces.append(face)
        if not faces:
            return Faces.empty(self.landmarker.card.scheme)
        return _as_faces(faces, [track.id for track in there])


def _expected(track: _Track, time: float) -> tuple[FloatArray, float]:
    """The box of a face at a time, tight around its landmarks once it is upright, and its angle."""
    points = track.face.points.astype(np.float64)
    if track.steady.points is not None:
        points = track.steady.points  # which do not tremble, and so neither does the crop
    points = points + track.velocity * (time - track.time)
    angle = track.face.angle
    return box_of_points(points, angle), angle


def _upright(face: Face, score: float) -> Face:
    """A face with the angle of its eyes, the box about its landmarks, and the finder's score."""
    roll = _roll(face)
    box = box_of_points(face.points, roll).astype(np.float32)
    return replace(face, box=box, angle=roll, score=score)


def _across(face: Face) -> FloatArray | None:
    """From the middle of the right eye to that of the left (2,); None where its scheme has none."""
    groups = face.scheme.groups
    if not {"right eye", "left eye"} <= groups.keys():
        return None
    right, left = (face.points[list(groups[eye])] for eye in ("right eye", "left eye"))
    return np.asarray(left.mean(axis=0) - right.mean(axis=0), np.float64)


def _roll(face: Face) -> float:
    """By how much a face is turned clockwise: its eyes, or the angle that it was cut out by."""
    across = _across(face)
    return face.angle if across is None else float(np.degrees(np.arctan2(across[1], across[0])))


def _length(face: Face) -> float:
    """The inter-ocular distance or what else its scheme measures by, or half the box's side."""
    pair = next(iter(face.scheme.normalisers.values()), None)
    if pair is None:
        return float((face.box[2:] - face.box[:2]).max()) / 2
    first, second = (face.points[list(group)].mean(axis=0) for group in pair)
    return float(np.linalg.norm(second - first))


def _right(face: Face, least: float) -> bool:
    """Whether its quality is at least so much, or its network does not say it."""
    return bool(np.isnan(face.quality) or face.quality >= least)


def _near(track: _Track, face: Face, time: float) -> bool:
    """Whether a face is about as large as it was, and not far from where it should be."""
    box = face.box
    side = float((box[2:] - box[:2]).max())
    off = np.linalg.norm((box[:2] + box[2:]) / 2 - track.middle(time))
    return 0.6 < side / max(track.side, 1e-6) < 1.6 and bool(off < 0.6 * track.side)


def _move(track: _Track, face: Face, time: float) -> None:
    """The face as it is now."""
    seconds = time - track.time
    now, before = ((box[:2] + box[2:]) / 2 for box in (face.box, track.face.box))
    speed = (now - before).astype(np.float64) / seconds
    track.velocity = 0.5 * track.velocity + 0.5 * speed
    track.drift = track.drift + (1 - np.exp(-seconds / DRIFT)) * (speed - track.drift)
    track.face, track.time = face, time


def _remember(track: _Track, frame: NDArray[np.uint8], time: float) -> None:
    """Bring up to date what a face looks like, unless it now looks like something else."""
    look = _look(frame, track.face)
    if not track.plain:
        track.look, track.plain = look, True
    elif float(look @ track.look) > LIKE_NEAR:
        track.look = _blend(track.look, look)
    track.looked = time


def _plain(face: Face) -> bool:
    """Whether enough of it is to be seen to know it again."""
    return bool(face.covered.mean() <= PLAIN)


def _off(track: _Track, face: Face, time: float) -> float:
    """How far a face is from where a lost one should be by now, over how far that may be."""
    middle = (face.box[:2] + face.box[2:]) / 2
    off = float(np.linalg.norm(middle - track.middle(time))) / max(track.side, 1e-6)
    return off / (0.5 + REACH * min(time - track.time, WAIT))


def _chance(track: _Track, face: Face, look: FloatArray, time: float) -> float:
    """How likely a face that was found near enough is a lost one: above 0 if it may be."""
    like, off = float(look @ track.look), _off(track, face, time)
    return like * (1.5 - off) if like > LIKE_NEAR + (LIKE - LIKE_NEAR) * off else 0.0


def _look(frame: NDArray[np.uint8], face: Face) -> FloatArray:
    """(3·LOOK²,) what a face looks like, of mean 0 and length 1; aligned if its scheme can be."""
    if face.scheme in PLACES:
        matrix = aligning(face.scheme, face.points[None], ~face.hidden[None], LOOK)[0]
    else:
        matrix = Crop.around(face.box, LOOK, AROUND, face.angle).matrix
    colours = warp(frame, matrix, LOOK).astype(np.float64).ravel()
    colours -= colours.mean()
    return np.asarray(colours / max(float(np.linalg.norm(colours)), 1e-6))


def _blend(old: FloatArray, new: FloatArray) -> FloatArray:
    """A look that follows a face as it changes, by three tenths (our choice)."""
    both = 0.7 * old + 0.3 * new
    return np.asarray(both / max(float(np.linalg.norm(both)), 1e-6))


def _shared(box: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """What two boxes share of the smaller one."""
    pair = np.array([box, other], np.float64)
    smaller = float(areas(pair).min())
    return float(intersections(pair[:1], pair[1:])[0, 0]) / max(smaller, 1e-6)


def _as_faces(faces: list[Face], ids: list[int]) -> Faces:
    """Faces of one scheme together, with their numbers."""
    first = faces[0]

    def rows(name: str) -> NDArray[np.float32]:
        return np.array([getattr(face, name) for face in faces], np.float32)

    return Faces(
        rows("points"),
        rows("visibility"),
        rows("uncertainty"),
        rows("box"),
        rows("score"),
        rows("occlusion"),
        first.scheme,
        first.visibility_threshold,
        first.crop_factor,
        angles=rows("angle"),
        quality=rows("quality"),
        turned_away=rows("turned_away"),
        turned_threshold=first.turned_threshold,
        ids=np.array(ids),
    )

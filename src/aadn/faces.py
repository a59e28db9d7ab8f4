"""Faces: what detection returns, as arrays over the faces of one picture."""

from __future__ import annotations

import json
import math
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aadn.errors import AadnError, InputError, MissingDependencyError
from aadn.geometry import CROP_FACTOR, corners
from aadn.images import Source, load_image
from aadn.measures.alignment import Aligned, aligning, cut
from aadn.measures.openness import eye_openness, mouth_openness
from aadn.measures.pose import HeadPoses, head_poses
from aadn.notebook import svg
from aadn.schemes import IBUG68, Scheme

Float32 = NDArray[np.float32]

VISIBILITY_THRESHOLD = 0.5
"""A landmark that is not turned away counts as covered where the chance that nothing covers it
(`uncovered`) is lower, unless a network brings a threshold of its own, which training chose on
validation faces."""

TURNED_THRESHOLD = 0.5
"""A landmark whose probability of being turned away is at least this counts as turned, unless a
network brings a threshold of its own."""

STATES = ("seen", "covered", "turned")
"""What a landmark may be: seen; covered by a thing, hair or the picture's border; turned away, so
that the head itself hides its place."""

OCCLUSION_GRID = 7
"""Rows and columns of the occlusion map."""


def uncovered(visibility: Float32, turned_away: Float32) -> Float32:
    """The chance that nothing covers a landmark, given that it is not turned away.

    Args:
        visibility: probabilities of being seen, in [0, 1], of any shape.
        turned_away: those of being turned away; NaN for 0.

    Returns:
        P(seen) / (P(seen) + P(covered)) in [0, 1], of the same shape; 1 where both are 0.
    """
    rest = 1 - np.nan_to_num(turned_away)
    whole = np.where(rest > 0, rest, 1)
    return np.asarray(np.where(rest > 0, np.minimum(visibility / whole, 1), 1), np.float32)


class _Measured:
    """What a face and faces say alike of their landmarks."""

    scheme: Scheme
    points: Float32
    visibility: Float32
    turned_away: Float32
    visibility_threshold: float
    turned_threshold: float

    @property
    def states(self) -> Float32:
        """(…, L, 3) probabilities of STATES, which sum to 1: seen, covered, turned away.

        The last is 0 from a network that does not tell it.
        """
        away = np.nan_to_num(self.turned_away)
        covered = np.maximum(1 - self.visibility - away, 0)
        return np.stack([self.visibility, covered, away], axis=-1)

    @property
    def turned(self) -> NDArray[np.bool_]:
        """(…, L) True where the head itself hides the landmark: `turned_away` at least the
        threshold."""
        return np.nan_to_num(self.turned_away) >= self.turned_threshold

    @property
    def covered(self) -> NDArray[np.bool_]:
        """(…, L) True where something covers the landmark: not turned, and `uncovered` below the
        threshold."""
        free = uncovered(self.visibility, self.turned_away)
        return np.asarray(~self.turned & (free < self.visibility_threshold))

    @property
    def hidden(self) -> NDArray[np.bool_]:
        """(…, L) True where the landmark is covered or turned away."""
        return self.covered | self.turned

    @property
    def _head(self) -> HeadPoses:
        raise NotImplementedError

    @property
    def pose(self) -> Float32:
        """(…, 3) yaw, pitch and roll of the head in degrees, in (-180, 180].

        Yaw is positive where the face looks to the picture's right, pitch where it looks up, roll
        where it is turned clockwise as one sees the picture. By the landmarks that are not hidden
        alone, see `aadn.measures.pose`; NaN where fewer than twelve of brows, eyes, nose, mouth and
        chin are seen, and for schemes other than iBUG's and WFLW's. Computed when it is first asked
        for, in some milliseconds a face.
        """
        return self._head.angles

    @property
    def pose_uncertainty(self) -> Float32:
        """(…, 3) standard deviations of `pose` in degrees; NaN where that is."""
        return self._head.uncertainty

    @property
    def rotations(self) -> Float32:
        """(…, 3, 3) rotation matrices of `pose`; NaN where that is.

        From the head's axes (x to the person's left, y up, z forward) to the camera's (x to the
        picture's right, y up, z to the camera): the yaw about y first, then the nod about x, then
        the roll about z.
        """
        return self._head.rotations

    @property
    def eye_openness(self) -> Float32:
        """(…, 2) of the person's right eye and the left: the lids' distance over the eye's width.

        0 is closed, and about 0.3 open. NaN for an eye of which a landmark is hidden, and for
        schemes without lids.
        """
        return eye_openness(self.scheme, self.points, ~self.hidden)

    @property
    def mouth_openness(self) -> Float32:
        """(…) the distance between the lips' inner edges over their width; 0 is closed.

        NaN where one of their landmarks is hidden, and for schemes without them.
        """
        return mouth_openness(self.scheme, self.points, ~self.hidden)


@dataclass(frozen=True, eq=False, repr=False)
class Face(_Measured):
    """One face; the rows of `Faces` without their first axis.

    Attributes:
        points: (L, 2) float32 picture pixels (x, y), (0, 0) the centre of the top-left pixel.
        visibility: (L,) float32 in [0, 1], the probability of being seen.
        uncertainty: (L,) float32 picture pixels, see `Faces`.
        box: (4,) float32 x0, y0, x1, y1.
        score: the detector's, in [0, 1].
        occlusion: (7, 7) float32 in [0, 1], 1 = hidden; NaN from a network without it.
        scheme: whose points they are: names, contours, mirror images.
        visibility_threshold, turned_threshold, crop_factor: see `Faces`.
        angle: degrees in (-180, 180] by which the face is turned clockwise, see `Faces`.
        quality: in [0, 1], the chance that the landmarks are right, see `Faces`.
        turned_away: (L,) float32 in [0, 1], the probability of being turned away, see `Faces`.
        id: its number in a film, see `Faces`; -1 otherwise.

    Examples:
        >>> from aadn import Landmarker
        >>> face = Landmarker()("examples/astronaut.jpg").largest
        >>> face.points.shape, [face.scheme.point_names()[i] for i in face.hidden.nonzero()[0]]
        ((68, 2), ['jaw 0', 'jaw 15', 'jaw 16'])
    """

    points: Float32
    visibility: Float32
    uncertainty: Float32
    box: Float32
    score: float
    occlusion: Float32
    scheme: Scheme
    visibility_threshold: float = VISIBILITY_THRESHOLD
    crop_factor: float = CROP_FACTOR
    angle: float = 0.0
    quality: float = math.nan
    turned_away: Float32 = field(default_factory=lambda: _all(math.nan))
    turned_threshold: float = TURNED_THRESHOLD
    id: int = -1

    def __post_init__(self) -> None:
        if self.turned_away.ndim == 0:  # one for all
            away = np.full(len(self.points), self.turned_away)
            object.__setattr__(self, "turned_away", away)

    @cached_property
    def _head(self) -> HeadPoses:
        roll = np.array(self.angle)
        return head_poses(self.scheme, self.points, ~self.hidden, self.uncertainty, roll)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON holds them: pixels to a thousandth, shares to four digits.

        `box` (x0, y0, x1, y1), `angle`, `score`, `quality`, `points` [[x, y], …], `visibility` and
        `turned_away`, `hidden`, `covered` and `turned` (indices of landmarks), `uncertainty` and
        `occlusion` (7 rows of 7); quality, turned_away and the last two are None from a network
        without them. `id` is there in a film alone.
        """
        return {
            **({} if self.id < 0 else {"id": self.id}),
            "box": _rounded(self.box, 3),
            "angle": round(self.angle, 3),
            "score": round(self.score, 4),
            "quality": None if math.isnan(self.quality) else round(self.quality, 4),
            "points": _rounded(self.points, 3),
            "visibility": _rounded(self.visibility, 4),
            "turned_away": _known(self.turned_away, 4),
            "hidden": np.flatnonzero(self.hidden).tolist(),
            "covered": np.flatnonzero(self.covered).tolist(),
            "turned": np.flatnonzero(self.turned).tolist(),
            "uncertainty": _known(self.uncertainty, 3),
            "occlusion": _known(self.occlusion, 4),
        }

    def __repr__(self) -> str:
        box = ", ".join(f"{side:.0f}" for side in self.box)
        quality = "" if math.isnan(self.quality) else f"quality={self.quality:.2f}, "
        return (
            f"Face(box=({box}), angle={round(self.angle)}, score={self.score:.2f}, {quality}"
            f"{self.hidden.sum()} of {len(self.points)} landmarks hidden)"
        )


@dataclass(frozen=True, eq=False, repr=False)
class Faces(_Measured):
    """The N faces of one picture; N may be 0.

    `faces[0]` and iteration give a `Face`; slices, masks and lists of indices give `Faces`.

    Attributes:
        points: (N, L, 2) float32 picture pixels (x, y), (0, 0) the centre of the top-left pixel.
        visibility: (N, L) float32 in [0, 1], the probability of being seen.
        uncertainty: (N, L) float32 picture pixels, 0 or more: the expected distance between the
            landmark's point and its true place. NaN from a network that does not give it.
        boxes: (N, 4) float32 x0, y0, x1, y1 around the landmarks, as the detector or the caller
            gave them: tight once the face is turned upright about the box's centre.
        scores: (N,) float32 in [0, 1] of the detector; 1 for boxes that the caller gave.
        occlusion: (N, 7, 7) float32 in [0, 1], rows from the top: how far that part of the face's
            crop is covered. Beyond the face it means nothing: training does not say what is right
            there. NaN from a network without such a map.
        scheme: whose points they are: names, contours, mirror images.
        visibility_threshold: `covered` is `uncovered` below it.
        crop_factor: side of the crop, which `occlusion` covers, over the box's longer side.
        angles: (N,) float32 degrees in (-180, 180], by which the crop was turned to have the face
            upright: the face is turned by as much, clockwise as one sees the picture, within about
            ten degrees. 0 if left out.
        quality: (N,) float32 in [0, 1], the calibrated chance that the landmarks are right: that
            their mean error is at most 8 % of the inter-ocular distance. NaN from a network without
            it, or if left out.
        turned_away: (N, L) float32 in [0, 1], the probability that the head itself hides the
            landmark's place. NaN from a network that does not tell it, or if left out: what it
            calls seen may be turned away.
        turned_threshold: `turned` is `turned_away` of at least this.
        ids: (N,) int64 the numbers of the faces in a film, from 1 (`aadn.Tracker`); -1 otherwise.
        picture: gives the picture (H, W, 3) for a notebook to show, or None if it is gone.

    Raises InputError if shapes or ranges do not fit.

    Examples:
        >>> from aadn import Landmarker
        >>> faces = Landmarker()("examples/astronaut.jpg")
        >>> faces
        Faces(1 face, ibug68; 3 of 68 landmarks hidden)
        >>> faces.points.shape, faces.scheme.name, sorted(faces.to_dict())
        ((1, 68, 2), 'ibug68', ['faces', 'scheme'])
        >>> faces[faces.quality < 0.5], faces[[]].largest
        (Faces(0 faces, ibug68), None)
    """

    points: Float32
    visibility: Float32
    uncertainty: Float32
    boxes: Float32
    scores: Float32
    occlusion: Float32
    scheme: Scheme
    visibility_threshold: float = VISIBILITY_THRESHOLD
    crop_factor: float = CROP_FACTOR
    angles: Float32 = field(default_factory=lambda: _all(0.0), kw_only=True)
    quality: Float32 = field(default_factory=lambda: _all(math.nan), kw_only=True)
    turned_away: Float32 = field(default_factory=lambda: _all(math.nan), kw_only=True)
    turned_threshold: float = field(default=TURNED_THRESHOLD, kw_only=True)
    ids: NDArray[np.int64] = field(default_factory=lambda: np.array(-1), kw_only=True)
    picture: Callable[[], Source | None] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        for name in _ARRAYS:
            object.__setattr__(self, name, np.asarray(getattr(self, name), np.float32))
        count, size = len(self.points) if self.points.ndim else 0, self.scheme.size
        ids = np.asarray(self.ids, np.int64)
        object.__setattr__(self, "ids", np.full(count, ids) if ids.ndim == 0 else ids)
        for name in ("angles", "quality"):
            if getattr(self, name).ndim == 0:  # one for all
                object.__setattr__(self, name, np.full(count, getattr(self, name)))
        if self.turned_away.ndim == 0:
            away = np.full((count, size), self.turned_away)
            object.__setattr__(self, "turned_away", away)
        for name, shape in {
            "points": (count, size, 2),
            "visibility": (count, size),
            "uncertainty": (count, size),
            "boxes": (count, 4),
            "scores": (count,),
            "occlusion": (count, OCCLUSION_GRID, OCCLUSION_GRID),
            "angles": (count,),
            "quality": (count,),
            "turned_away": (count, size),
            "ids": (count,),
        }.items():
            got = getattr(self, name).shape
            if got != shape:
                raise InputError(f"expected {name} of shape {shape}, got {got}")
        for name in ("points", "boxes", "scores", "angles"):
            if not np.isfinite(getattr(self, name)).all():
                raise InputError(f"expected finite {name}")
        for name in ("visibility", "quality", "turned_away"):
            values = getattr(self, name)  # where NaN is neither below nor above
            if ((values < 0) | (values > 1)).any():
                raise InputError(f"expected {name} in [0, 1]")
        if np.isnan(self.visibility).any():
            raise InputError("expected visibility in [0, 1], got NaN")
        if (self.visibility + self.turned_away > 1 + 1e-4).any():
            raise InputError("expected visibility and turned_away that sum to 1 at most")
        if ((self.uncertainty < 0) | np.isinf(self.uncertainty)).any():
            raise InputError("expected uncertainty of 0 or more pixels, or NaN")

    @cached_property
    def _head(self) -> HeadPoses:
        return head_poses(self.scheme, self.points, ~self.hidden, self.uncertainty, self.angles)

    @classmethod
    def empty(cls, scheme: Scheme = IBUG68) -> Faces:
        """No face: arrays with their usual shapes, and 0 for N."""

        def none(*shape: int) -> Float32:
            return np.zeros((0, *shape), np.float32)

        size, grid = scheme.size, OCCLUSION_GRID
        return cls(none(size, 2), none(size), none(size), none(4), none(), none(grid, grid), scheme)

    @property
    def largest(self) -> Face | None:
        """The face with the largest box; None if there is no face."""
        if len(self) == 0:
            return None
        return self[int(np.prod(self.boxes[:, 2:] - self.boxes[:, :2], axis=1).argmax())]

    def aligned(self, image: Source, size: int = 112, template: str = "arcface") -> Aligned:
        """The faces cut out so that eyes, nose and mouth lie where face recognition wants them.

        By a similarity transform that is fitted to the places that are seen; hidden ones count a
        tenth.

        Args:
            image: the picture in which they were found, as `Landmarker` takes it.
            size: side of the crops in pixels.
            template: "arcface", the five points that InsightFace's networks are trained with, or
                "eyes", level eyes a third of the side apart.

        Raises:
            ImageError: the picture cannot be read.
            InputError: an unknown template, a scheme without these places, or a size below 1.

        Examples:
            >>> from aadn import Landmarker
            >>> faces = Landmarker()("examples/astronaut.jpg")
            >>> crops = faces.aligned("examples/astronaut.jpg").crops
            >>> crops.shape, crops.dtype.name
            ((1, 112, 112, 3), 'uint8')
        """
        matrices = aligning(self.scheme, self.points, ~self.hidden, size, template)
        return Aligned(cut(load_image(image), matrices, size), matrices)

    def to_supervision(self) -> Any:
        """The faces as a `supervision.KeyPoints`, for that package's annotators and filters.

        `visible` is what is not hidden, `keypoint_confidence` the probability of being seen,
        `detection_confidence` the detector's score; `data` has uncertainty, angle and quality.
        Raises MissingDependencyError without the package.
        """
        try:
            from supervision import KeyPoints
        except ImportError:
            raise MissingDependencyError(
                "supervision is not installed; install it with `pip install 'supervision>=0.31'`"
            ) from None
        return KeyPoints(
            xy=self.points,
            class_id=np.zeros(len(self), int),
            keypoint_confidence=self.visibility,
            detection_confidence=self.scores,
            visible=~self.hidden,
            data={
                "uncertainty": self.uncertainty,
                "angle": self.angles,
                "quality": self.quality,
            },
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON holds them: `scheme` (its name) and `faces`, see `Face.to_dict`."""
        return {"scheme": self.scheme.name, "faces": [face.to_dict() for face in self]}

    def to_json(self) -> str:
        """`to_dict` as one line of JSON."""
        return json.dumps(self.to_dict(), allow_nan=False)

    def __len__(self) -> int:
        return len(self.points)

    @overload
    def __getitem__(self, index: int) -> Face: ...

    @overload
    def __getitem__(self, index: slice | ArrayLike) -> Faces: ...

    def __getitem__(self, index: int | slice | ArrayLike) -> Face | Faces:
        if isinstance(index, int | np.integer):
            return Face(
                self.points[index],
                self.visibility[index],
                self.uncertainty[index],
                self.boxes[index],
                float(self.scores[index]),
                self.occlusion[index],
                self.scheme,
                self.visibility_threshold,
                self.crop_factor,
                float(self.angles[index]),
                float(self.quality[index]),
                self.turned_away[index],
                self.turned_threshold,
                int(self.ids[index]),
            )
        rows: Any = index
        if not isinstance(index, slice):
            rows = np.asarray(index)
            if rows.size == 0 and rows.dtype != bool:
                rows = rows.astype(np.intp)  # an empty list would be of floats
            if rows.ndim != 1:
                raise InputError(f"expected one index, a slice, or a list of them, got {index!r}")
        return replace(self, **{name: getattr(self, name)[rows] for name in (*_ARRAYS, "ids")})

    def __iter__(self) -> Iterator[Face]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        hidden = ", ".join(str(n) for n in self.hidden.sum(axis=1)[:8])
        more = ", …" if len(self) > 8 else ""
        if len(self) == 0:
            return f"Faces(0 faces, {self.scheme.name})"
        return (
            f"Faces({len(self)} face{'s' if len(self) > 1 else ''}, {self.scheme.name}; "
            f"{hidden}{more} of {self.scheme.size} landmarks hidden)"
        )

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled: all but a reference to an array of the caller's."""
        state = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        if isinstance(self.picture, weakref.ref):
            state["picture"] = None
        return state

    def _repr_html_(self) -> str:
        """For notebooks: the picture, where it is still at hand, with dots and rings on it."""
        import html  # whose list of entities only notebooks need

        text = f"<pre>{html.escape(repr(self))}</pre>"
        try:
            given = self.picture() if self.picture else None
            image = None if given is None else load_image(given)
        except AadnError:  # its file is gone
            image = None
        if image is None:
            return text
        outlines = [corners(face.box, face.angle) for face in self]
        return svg(image, outlines, self.points, self.covered, self.turned) + text


_ARRAYS = (
    *("points", "visibility", "uncertainty", "boxes", "scores", "occlusion", "angles", "quality"),
    "turned_away",
)
"""The attributes of `Faces` that have a row for each face."""


def _all(value: float) -> Float32:
    """One value for all faces, however many."""
    return np.array(value, np.float32)


def _known(values: NDArray[np.floating], digits: int) -> Any:
    """The values rounded; None from a network without them, which says NaN."""
    return _rounded(values, digits) if np.isfinite(values).all() else None


def _rounded(values: NDArray[np.floating], digits: int) -> Any:
    return np.round(values.astype(np.float64), digits).tolist()

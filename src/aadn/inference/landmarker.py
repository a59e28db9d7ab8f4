"""Landmarker: a picture to its faces' landmarks."""

from __future__ import annotations

import math
import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import ArrayLike, NDArray

from aadn.errors import AadnError, ImageError, InputError, NetworkError
from aadn.faces import OCCLUSION_GRID, TURNED_THRESHOLD, Face, Faces
from aadn.geometry import Crop, wrapped
from aadn.images import MAX_PIXELS, Copy, Image, Source, load_copy, load_image
from aadn.inference.ahead import WAITING, ahead
from aadn.inference.backend import CHUNK, Backend, Card
from aadn.inference.detections import Detections, Detector
from aadn.inference.detectors import default_detector
from aadn.inference.estimates import Estimates
from aadn.inference.face_proposals import FINDS, SIDE
from aadn.inference.levelling import Looks, Target, level
from aadn.inference.runtimes import DeviceName, Precision, RuntimeName
from aadn.inference.weights import SMALLEST, load_exported, weights_name

ENOUGH = 2 * SIDE
"""Pixels of a picture's longer side that are enough to find its faces: twice those of the copy that
the detector looks at (our choice). What it finds is then cut out of the whole picture where that
has more to show."""

BOX_LIMIT = 2**24
"""Box coordinates are smaller, in pixels: beyond, float32 does not tell neighbours apart."""


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """What became of one picture of a stream.

    Attributes:
        source: what was given for it.
        image: (H, W, 3) uint8 RGB; None if it could not be read, or was not to be kept.
        faces: what was found, or None on an error.
        error: why there are no faces, or None.
        size: width and height of the picture, or None if it could not be read.

    Examples:
        >>> from aadn import Landmarker
        >>> for result in Landmarker().stream(["examples/astronaut.jpg", "examples"]):
        ...     print(result.source, result.faces or result.error)
        examples/astronaut.jpg Faces(1 face, ibug68; 3 of 68 landmarks hidden)
        examples examples: is a folder, expected a picture
    """

    source: Source
    image: Image | None = None
    faces: Faces | None = None
    error: AadnError | None = None
    size: tuple[int, int] | None = None

    def memory(self) -> int:
        """Bytes of its picture in memory."""
        return 0 if self.image is None else self.image.nbytes

    def __repr__(self) -> str:
        path = isinstance(self.source, str | Path)
        source = str(self.source) if path else type(self.source).__name__
        return f"Result({source!r}, {self.error if self.faces is None else self.faces!r})"


class Landmarker:
    """Finds faces and their landmarks.

    Examples:
        >>> from aadn import Landmarker
        >>> faces = Landmarker()("examples/astronaut.jpg")
        >>> faces.points.shape, faces.hidden.sum(axis=1)
        ((1, 68, 2), array([3]))

    It may be called from several threads, after a fork and in spawned processes; it pickles by the
    name or file of its network.
    """

    def __init__(
        self,
        weights: str | Path | Backend | None = None,
        detector: Detector | None = None,
        *,
        threads: int | None = None,
        runtime: RuntimeName = "auto",
        device: DeviceName = "auto",
        precision: Precision = "auto",
        max_pixels: int = MAX_PIXELS,
        min_score: float | None = None,
        min_size: float | None = None,
        max_faces: int | None = None,
    ) -> None:
        """Load the network.

        Args:
            weights: the name of an embedded network, an ONNX file that `aadn export` wrote, or what
                runs a network of yours (`aadn.inference.backend.Backend`); None for the embedded
                default.
            detector: any callable from an RGB picture to `Detections`, or to boxes (N, 4) and
                scores (N,) alone, see `aadn.inference.detectors`; None for `default_detector()`,
                made when first needed.
            threads: that compute the network, and the default detector; None for one for each core.
            runtime: "onnxruntime", which "auto" means unless the environment variable AADN_RUNTIME
                says another, or "openvino" from the extra `[openvino]`. `backend` says which it is.
            device: "cpu", or "cuda", "coreml" or "directml" where this ONNX Runtime has it; "auto"
                for the fastest of them, which a trial finds once and `aadn.inference.runtimes`
                remembers. The default detector stays on the processor.
            precision: "fp32", or "int8", whose figures hardly differ; "auto" for the faster one of
                an embedded network, found likewise.
            max_pixels: larger pictures are refused before they are decoded.
            min_score: faces that the default detector scores lower, in [0, 1], are left out.
            min_size: the smallest face that the default detector looks for, in pixels, or below 1
                as a share of the picture's longer side; None for about a 32nd of it, beside the
                network "lite" a 16th.
            max_faces: at most so many faces are taken of a picture, those of the best scores, by
                whatever detector finds them.

        Raises:
            WeightsError: the file is missing, broken or not one of ours.
            InputError: a number is out of range or a name unknown, this machine lacks the device,
                or something is given for a backend or a detector that is there.
            MissingDependencyError: the runtime is not installed.
        """
        for name, number in (("max_pixels", max_pixels), ("max_faces", max_faces)):
            if number is not None and number < 1:
                raise InputError(f"expected {name} of 1 or more, got {number}")
        if detector is not None and not callable(detector):
            raise InputError(
                f"expected a detector that can be called with a picture, got {detector!r}; for a "
                "YuNet file, aadn.inference.detectors.YuNet(file)"
            )
        if detector is not None and (min_score, min_size) != (None, None):
            raise InputError(
                "expected min_score= and min_size= without detector=: a detector has its own"
            )
        if weights is None or isinstance(weights, str | Path):
            self.backend: Backend = load_exported(
                weights, threads=threads, runtime=runtime, device=device, precision=precision
            )
            self._weights: str | Path | Backend = weights_name(weights)
        else:
            if (threads, runtime, device, precision) != (None, "auto", "auto", "auto"):
                raise InputError(
                    "expected threads=, runtime=, device= and precision= with a name or file only: "
                    "a backend has its own"
                )
            self.backend = self._weights = weights
        self._detector = detector
        self._threads = threads
        self._engine = {"runtime": runtime, "device": device, "precision": precision}
        self.max_pixels = max_pixels
        self.max_faces = max_faces
        finding = {"min_score": min_score, "min_size": min_size}
        self._finding = {name: value for name, value in finding.items() if value is not None}
        if detector is None and isinstance(self._weights, str) and self._weights in SMALLEST:
            self._finding.setdefault("min_size", SMALLEST[self._weights])
        # With numbers to check at once, else when it is needed.
        asked = any(value is not None for value in finding.values())
        self._default = self._made() if asked else None

    def __reduce__(self) -> tuple[Any, ...]:
        options = {
            "threads": self._threads,
            **self._engine,
            "max_pixels": self.max_pixels,
            "max_faces": self.max_faces,
            **self._finding,
        }
        return _rebuilt, (self._weights, self._detector, options)

    @property
    def card(self) -> Card:
        """What the network is: name, landmark scheme, crop size, threshold of visibility."""
        return self.backend.card

    def __call__(
        self,
        image: Source,
        boxes: ArrayLike | None = None,
        angles: ArrayLike | None = None,
    ) -> Faces:
        """The faces of one picture.

        Faces are upright in the crops that the network sees: turned by the detector's angle, and
        once more where their eyes then lie off level (see `aadn.inference.levelling`).

        Args:
            image: path, bytes, array and so on, see `aadn.load_image`.
            boxes: (N, 4) x0, y0, x1, y1 tight around each face's landmarks (brows to chin), in
                pixels; replaces the detector, and the scores are then 1.
            angles: (N,) degrees by which the faces in those boxes are turned clockwise, or one for
                all of them; nothing is corrected then, so that `faces.boxes` and `faces.angles`
                give the same points again. NaN, or None for all, where they are not known: then
                quarter turns are tried, too, where the network is not sure of a face as it stands.

        Raises:
            ImageError: the picture cannot be read.
            InputError: an array, boxes or angles of another shape, or a box without extent.
            NetworkError: the network gives NaN.
        """
        with _enough_memory():
            return self._answers([self._found(image, self._copy(image, boxes), boxes, angles)])[0]

    def detect(self, image: Source) -> Detections:
        """The faces that the detector finds in a picture: boxes (N, 4), scores and angles (N,).

        The boxes fit around this network's landmarks (`Card.detector_box`). Angles are NaN from a
        detector that does not give them. At most `max_faces`, all float32.
        InputError if the detector gives something else. What it raises itself goes through.
        """
        detector = self._detector or self._default
        if detector is None:
            detector = self._default = self._made()
        found = _detections(detector(_picture(image)))
        if self.max_faces is not None:
            # As they come, which with a detector of one's own may not be the best first.
            best = np.argsort(-found.scores, kind="stable")[: self.max_faces]
            found = found.rows(np.sort(best))
        if self.card.detector_box is not None:
            boxes = self.card.detector_box(found.boxes.astype(np.float64), found.angles)
            found = found._replace(boxes=boxes.astype(np.float32))
        return found

    def align(self, image: Source, boxes: ArrayLike, angles: ArrayLike | None = None) -> Faces:
        """The landmarks of the faces in some boxes of a picture.

        Box to crop, crop through the network, and back to the picture: whoever has boxes uses
        this. All faces go through the network together; their scores are 1.

        Args:
            image: (H, W, 3) uint8 RGB, or what else a call takes.
            boxes: (N, 4), as for a call; faces are cut by them as they are, not rounded to float32.
            angles: (N,) or one for all, as for a call.

        Raises:
            InputError: boxes or angles of another shape, or a box without extent.
            NetworkError: the network gives NaN.
        """
        given = _given(boxes, angles, np.float64)
        return self._answers([_Request.of(Copy(_picture(image)), given)])[0]

    def align_each(
        self,
        faces: Iterable[tuple[Source, ArrayLike] | tuple[Source, ArrayLike, float]],
        *,
        level: bool = False,
    ) -> Iterator[Face]:
        """`align` for one face of each of many pictures, in order.

        They go through the network CHUNK at a time, which is faster than one by one.

        Args:
            faces: pictures (H, W, 3) uint8 RGB, each with a box (4,) and, if known, an angle.
            level: the angles are those of a detector, and are corrected as a call corrects them.

        Raises:
            InputError: a box of another shape, or without extent.
            NetworkError: the network gives NaN.
        """
        requests = (
            _Request.of(
                Copy(_picture(image)),
                _given(np.asarray(box)[None], angle[0] if angle else None, np.float64),
                exact=not level,
            )
            for image, box, *angle in faces
        )
        return (found[0] for found in self._answers_of(requests))

    def many(
        self,
        images: Iterable[Source],
        boxes: Iterable[ArrayLike | None] | None = None,
        angles: Iterable[ArrayLike | None] | None = None,
    ) -> list[Faces]:
        """The faces of several pictures, in order; few pictures at a time are in memory.

        Faces of several pictures go through the network together, which is faster than one by one.

        Args:
            images: the pictures.
            boxes: for each picture its boxes (N, 4); None for the detector.
            angles: for each picture the angles of its boxes, as for a call; None where they are
                not known.

        Raises:
            ImageError, InputError, NetworkError: as for a single picture, at the first that has an
                error; `stream` goes on. InputError if there are fewer or more boxes or angles than
                pictures, or angles without boxes.
        """
        with _enough_memory():
            requests = (
                self._found(source, self._copy(source, own[0]), *own)
                for source, *own in _each(images, boxes, angles)
            )
            return list(self._answers_of(requests))

    def stream(
        self,
        images: Iterable[Source],
        boxes: Iterable[ArrayLike | None] | None = None,
        angles: Iterable[ArrayLike | None] | None = None,
        *,
        workers: int = 1,
        keep: bool = True,
    ) -> Iterator[Result]:
        """The faces of any number of pictures, in order.

        A picture with an error of ours (AadnError) is a result with that error, and does not stop
        the others. What else a detector or the pictures' generator raises goes through and ends the
        stream. Nothing is kept of what was given out.

        With one worker, each picture is asked for when its result is. More look at as many pictures
        at a time, ahead of who asks: with `Landmarker(threads=1)` and a worker for each core, all
        cores are kept busy, which several threads for each picture do not. Some pictures, and some
        megabytes of results, are then in memory at a time.

        Args:
            images: the pictures, a generator for example.
            boxes: for each picture its boxes (N, 4); None for the detector.
            angles: for each picture the angles of its boxes, as for a call; None where they are
                not known.
            workers: how many pictures are looked at at a time; a detector of yours must then be
                safe to call from several threads.
            keep: whether results have their picture. Without, large JPEGs are read faster.

        Raises:
            InputError: `images` is a single picture, there are angles without boxes, or fewer than
                one worker; or there are fewer or more boxes or angles than pictures, found when one
                of them ends.
        """
        if workers < 1:
            raise InputError(f"expected 1 worker or more, got {workers}")
        rows = _each(images, boxes, angles)
        return ahead(lambda row: self._result(*row, keep=keep), rows, workers, Result.memory)

    def crops(self, crops: NDArray[np.uint8]) -> Faces:
        """The landmarks of ready-made crops, one face each, in crop pixels.

        Args:
            crops: (N, S, S, 3) uint8 RGB, S = `card.size`, cut as `geometry.Crop.around` does with
                `card.crop_factor`.

        Raises:
            InputError: crops of another shape or type.
            NetworkError: the network gives NaN.
        """
        whole = Crop(np.eye(2, 3), self.card.size)
        box = whole.inner_box(self.card.crop_factor)
        count = len(crops)
        looks = Looks(self._estimates(crops), [whole] * count, np.zeros(count), crops)
        return self._faces([looks], np.tile(box, (count, 1)), np.ones(count))

    def _result(
        self, source: Source, boxes: ArrayLike | None, angles: ArrayLike | None, *, keep: bool
    ) -> Result:
        image = size = None
        try:
            with _enough_memory():
                copy = Copy(self._load(source)) if keep else self._copy(source, boxes)
                image, size = copy.image if keep else None, copy.size
                request = self._found(source, copy, boxes, angles)
                return Result(source, image, self._answers([request])[0], size=size)
        except AadnError as error:
            return Result(source, image, error=error, size=size)

    def _made(self) -> Detector:
        return default_detector(**self._finding, threads=self._threads)

    def _load(self, source: Source) -> Image:
        return load_image(source, max_pixels=self.max_pixels)

    def _copy(self, source: Source, boxes: ArrayLike | None) -> Copy:
        """A picture as large as is needed to find its faces, or whole.

        Only the default detector is known to need no more than its copies of a picture have.
        """
        smallest = self._finding.get("min_size")
        pixels = smallest is not None and smallest >= 1
        if boxes is not None or self._detector is not None or pixels:
            return Copy(self._load(source))
        longest = max(ENOUGH, FINDS / smallest if smallest else 0)
        return load_copy(source, math.ceil(longest), max_pixels=self.max_pixels)

    def _found(
        self, source: Source, image: Copy, boxes: ArrayLike | None, angles: ArrayLike | None
    ) -> _Request:
        """A picture's faces where the caller or the detector says."""
        if boxes is not None:
            # float32 before anything is cut by them, so that `faces.boxes` and `faces.angles`,
            # given back, give the same points to the last bit.
            request = _Request.of(image, _given(boxes, angles, np.float32))
        elif angles is not None:
            raise InputError("expected angles= together with the boxes= of which they are")
        else:
            found, factor = self.detect(image.image), image.factor
            if factor > 1:
                found = found._replace(boxes=(found.boxes + 0.5) * factor - 0.5)
            request = _Request.of(image, found, exact=False)
        return replace(request, picture=_reminder(source, self.max_pixels))

    def _answers_of(self, requests: Iterable[_Request]) -> Iterator[Faces]:
        """`_answers`, as soon as there are CHUNK faces, or pictures of WAITING bytes."""
        waiting: list[_Request] = []
        faces = size = 0
        for request in requests:
            waiting.append(request)
            faces, size = faces + len(request.boxes), size + request.size
            if faces >= CHUNK or size >= WAITING:
                yield from self._answers(waiting)
                waiting, faces, size = [], 0, 0
        if waiting:
            yield from self._answers(waiting)

    def _answers(self, requests: Sequence[_Request]) -> list[Faces]:
        """What the network says of the faces of some pictures, all of them at once."""
        targets = [target for request in requests for target in request.targets]
        alike = len(requests) == 1
        looks = [
            level(self._estimates, self.card, targets[start : start + CHUNK], alike=alike)
            for start in range(0, max(len(targets), 1), CHUNK)
        ]
        if alike:
            (request,) = requests
            return [self._faces(looks, request.boxes, request.scores, request.picture)]
        whole = self._faces(
            looks,
            np.concatenate([request.boxes for request in requests]),
            np.concatenate([request.scores for request in requests]),
        )
        faces, start = [], 0
        for request in requests:
            stop = start + len(request.boxes)
            faces.append(replace(whole[start:stop], picture=request.picture))
            start = stop
        return faces

    def _estimates(self, crops: NDArray[np.uint8]) -> Estimates:
        estimates = self.backend(crops)
        expected, got = (len(crops), self.card.landmarks), (len(estimates), estimates.landmarks)
        if got != expected:
            raise NetworkError(
                f"expected answers to {expected[0]} crops with {expected[1]} landmarks, as the "
                f"backend's card says, got {got[0]} with {got[1]}"
            )
        return estimates

    def _faces(
        self,
        looks: Sequence[Looks],
        boxes: NDArray[np.floating],
        scores: NDArray[np.floating],
        picture: Callable[[], Source | None] | None = None,
    ) -> Faces:
        """What was seen in crops, in the pixels of the pictures that they were cut from."""
        count, size = len(boxes), self.card.landmarks
        estimates = Estimates.joined([look.estimates for look in looks])
        points = np.empty((count, size, 2), np.float32)
        uncertainty = np.full((count, size), np.nan, np.float32)
        occlusion = np.full((count, OCCLUSION_GRID, OCCLUSION_GRID), np.nan, np.float32)
        for i, crop in enumerate(crop for look in looks for crop in look.crops):
            points[i] = crop.to_picture(estimates.points[i])
            if estimates.uncertainty is not None:
                uncertainty[i] = crop.length_to_picture(estimates.uncertainty[i])
        turned = np.full((count, size), np.nan, np.float32)
        if estimates.turned is not None:
            turned[:] = estimates.turned
        if estimates.occlusion is not None:
            occlusion[:] = estimates.occlusion
        calibration = self.card.quality
        quality = np.full(count, np.nan, np.float32)
        if calibration is not None and estimates.uncertainty is not None:
            quality = calibration(estimates.points, estimates.uncertainty, self.card.scheme)
        return Faces(
            points,
            estimates.visibility,
            uncertainty,
            boxes.astype(np.float32),
            scores.astype(np.float32),
            occlusion,
            self.card.scheme,
            self.card.visibility_threshold,
            self.card.crop_factor,
            angles=np.concatenate([look.angles for look in looks]).astype(np.float32),
            quality=quality,
            turned_away=turned,
            turned_threshold=self.card.turned_threshold or TURNED_THRESHOLD,
            picture=picture,
        )


@dataclass(frozen=True, eq=False)
class _Request:
    """The N faces of one picture, which are to be cut out and looked at.

    Boxes (N, 4), scores (N,) and angles (N,), NaN where they are not known; `exact` ones are not
    corrected.
    """

    image: Copy
    boxes: NDArray[np.floating]
    scores: NDArray[np.floating]
    angles: NDArray[np.floating]
    exact: bool
    picture: Callable[[], Source | None] | None = None

    @classmethod
    def of(cls, image: Copy, found: Detections, *, exact: bool = True) -> _Request:
        return cls(image, *found, exact)

    @property
    def targets(self) -> list[Target]:
        return [
            Target(self.image, box, float(angle), self.exact and not np.isnan(angle))
            for box, angle in zip(self.boxes, self.angles, strict=True)
        ]

    @property
    def size(self) -> int:
        """Bytes that it keeps in memory."""
        return self.image.image.nbytes if len(self.boxes) else 0


def _rebuilt(
    weights: str | Path | Backend, detector: Detector | None, options: dict[str, Any]
) -> Landmarker:
    return Landmarker(weights, detector, **options)


@contextmanager
def _enough_memory() -> Iterator[None]:
    """Makes an error of ours of one that no picture should end a program with."""
    try:
        yield
    except MemoryError:
        raise ImageError("there is not enough memory for this picture; shrink it") from None


def _each(
    images: Iterable[Source],
    boxes: Iterable[ArrayLike | None] | None,
    angles: Iterable[ArrayLike | None] | None,
) -> Iterator[tuple[Source, ArrayLike | None, ArrayLike | None]]:
    """Each picture with its boxes and angles; raises InputError as `Landmarker.stream` does."""
    one = isinstance(images, str | bytes | bytearray | memoryview | os.PathLike | PIL.Image.Image)
    one |= isinstance(images, np.ndarray) and images.ndim < 4
    if one or hasattr(images, "read"):
        raise InputError("expected several pictures, a list of paths for example, got one")
    if boxes is None and angles is not None:
        raise InputError("expected angles= together with the boxes= of which they are")
    given = {"boxes": boxes, "angles": angles}
    return _matched(images, {name: own for name, own in given.items() if own is not None})


def _matched(
    images: Iterable[Source], given: dict[str, Iterable[ArrayLike | None]]
) -> Iterator[tuple[Source, ArrayLike | None, ArrayLike | None]]:
    missing: Any = object()
    for number, row in enumerate(zip_longest(images, *given.values(), fillvalue=missing)):
        named = dict(zip(("pictures", *given), row, strict=True))
        if ended := [name for name, own in named.items() if own is missing]:
            raise InputError(
                f"expected {' and '.join(given)} for each picture; the {ended[0]} end after "
                f"{number}"
            )
        yield named["pictures"], named.get("boxes"), named.get("angles")


def _picture(image: Source) -> Image:
    """A picture as an RGB array; one that is there already as it is."""
    if type(image) is np.ndarray:
        array: NDArray[Any] = image
        if array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] == 3:
            return array
    return load_image(image)


def _given(boxes: ArrayLike, angles: ArrayLike | None, dtype: type[np.floating]) -> Detections:
    """A caller's boxes (N, 4) and angles (N,), checked; scores are 1."""
    try:
        given = np.asarray(boxes, dtype)
    except (TypeError, ValueError):
        raise InputError("expected boxes as an array of numbers (N, 4)") from None
    checked = _checked(given)
    return Detections(
        checked, np.ones(len(checked), np.float32), _turned(angles, len(checked), dtype)
    )


def _turned(angles: ArrayLike | None, count: int, dtype: type[np.floating]) -> NDArray[Any]:
    """A caller's or a detector's angles (N,), brought to (-180, 180]; NaN where unknown."""
    try:
        given = np.asarray(np.nan if angles is None else angles, dtype)
    except (TypeError, ValueError):
        raise InputError("expected angles as an array of numbers (N,), in degrees") from None
    if given.shape not in ((), (count,)) and not given.size == count == 0:
        raise InputError(
            f"expected an angle for each of {count} boxes, or one for all, got shape {given.shape}"
        )
    if np.isinf(given).any():
        raise InputError("expected angles in degrees, or NaN where they are not known, got ±inf")
    return np.full(count, wrapped(given), dtype)


def _detections(found: Any) -> Detections:
    """What a detector gave, checked, in float32."""
    try:
        boxes, scores, *angles = found
        boxes, scores = (np.asarray(part, np.float32) for part in (boxes, scores))
        (angle,) = angles or [None]
    except (TypeError, ValueError):
        raise InputError(
            "expected boxes (N, 4), scores (N,) and perhaps angles (N,) of the detector, got "
            "something else"
        ) from None
    boxes = _checked(boxes)
    if scores.shape != (len(boxes),) or not np.isfinite(scores).all():
        raise InputError(
            f"expected a finite score for each box of the detector, got {len(boxes)} boxes and "
            f"scores of shape {scores.shape}"
        )
    return Detections(boxes, scores, _turned(angle, len(boxes), np.float32))


def _checked(boxes: NDArray[Any]) -> NDArray[Any]:
    if boxes.size == 0:  # an empty list too means no face
        return boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise InputError(f"expected boxes of shape (N, 4): x0, y0, x1, y1; got {boxes.shape}")
    near = (np.abs(boxes) < BOX_LIMIT).all(axis=1)  # nor NaN
    good = near & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    if not good.all():
        bad = int(np.argmin(good))
        raise InputError(
            f"box {bad}: expected finite numbers with x0 < x1 and y0 < y1, none beyond "
            f"±{BOX_LIMIT}; got {boxes[bad].tolist()}"
        )
    return boxes


def _reminder(source: Source, max_pixels: int) -> Callable[[], Source | None] | None:
    """How a notebook finds the picture of some faces again, without keeping it in memory."""
    if isinstance(source, str | os.PathLike):
        return partial(load_image, source, max_pixels=max_pixels)
    if type(source) is np.ndarray or isinstance(source, PIL.Image.Image):
        return weakref.ref(source)
    return None

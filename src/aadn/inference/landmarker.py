"""Landmarker: a picture to its faces' landmarks."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import repeat, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import ArrayLike, NDArray

from aadn.errors import AadnError, ImageError, InputError, NetworkError
from aadn.faces import OCCLUSION_GRID, Face, Faces, Float32
from aadn.geometry import Crop
from aadn.images import MAX_PIXELS, Image, Source, load_image
from aadn.inference.backend import CHUNK, Backend, Card
from aadn.inference.detectors import Detector, default_detector
from aadn.inference.estimates import Estimates
from aadn.inference.weights import load_exported, weights_name

BOX_LIMIT = 2**24
"""Box coordinates are smaller, in pixels: beyond, float32 does not tell neighbours apart."""


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """What became of one picture of a stream.

    Attributes:
        source: what was given for it.
        image: (H, W, 3) uint8 RGB, or None if it could not be read.
        faces: what was found, or None on an error.
        error: why there are no faces, or None.

    Examples:
        >>> from aadn import Landmarker
        >>> for result in Landmarker().stream(["examples/astronaut.jpg", "examples"]):
        ...     print(result.source, result.faces or result.error)
        examples/astronaut.jpg Faces(1 face, ibug68; 2 of 68 landmarks hidden)
        examples examples: is a folder, expected a picture
    """

    source: Source
    image: Image | None = None
    faces: Faces | None = None
    error: AadnError | None = None

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
        ((1, 68, 2), array([2]))

    It may be called from several threads, after a fork and in spawned processes; it pickles by the
    name or file of its network.
    """

    def __init__(
        self,
        weights: str | Path | Backend | None = None,
        detector: Detector | None = None,
        *,
        threads: int | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        """Load the network.

        Args:
            weights: the name of an embedded network, an ONNX file that `aadn export` wrote, or what
                runs a network of yours (`aadn.inference.backend.Backend`); None for the embedded
                default.
            detector: any callable from an RGB picture to boxes (N, 4) and scores (N,), see
                `aadn.inference.detectors`; None for `default_detector()`, made when first needed.
            threads: that compute the network; None for one for each core.
            max_pixels: larger pictures are refused before they are decoded.

        Raises:
            WeightsError: the file is missing, broken or not one of ours.
            InputError: a number is out of range, or threads are given for a backend that is there.
        """
        if max_pixels < 1:
            raise InputError(f"expected max_pixels of 1 or more, got {max_pixels}")
        if detector is not None and not callable(detector):
            raise InputError(
                f"expected a detector that can be called with a picture, got {detector!r}; for a "
                "YuNet file, aadn.inference.detectors.YuNet(file)"
            )
        if weights is None or isinstance(weights, str | Path):
            self.backend: Backend = load_exported(weights, threads=threads)
            self._weights: str | Path | Backend = weights_name(weights)
        else:
            if threads is not None:
                raise InputError(
                    "expected threads= with a name or file only: a backend has its own"
                )
            self.backend = self._weights = weights
        self._detector = detector
        self._threads = threads
        self.max_pixels = max_pixels

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (self._weights, self._detector, self._threads, self.max_pixels)

    @property
    def card(self) -> Card:
        """What the network is: name, landmark scheme, crop size, threshold of visibility."""
        return self.backend.card

    def __call__(self, image: Source, boxes: ArrayLike | None = None) -> Faces:
        """The faces of one picture.

        Args:
            image: path, bytes, array and so on, see `aadn.load_image`.
            boxes: (N, 4) x0, y0, x1, y1 tight around each face's landmarks (brows to chin), in
                pixels; replaces the detector, and the scores are then 1.

        Raises:
            ImageError: the picture cannot be read.
            InputError: an array or boxes of another shape, or a box without extent.
            NetworkError: the network gives NaN.
        """
        with _enough_memory():
            return self._answers([self._found(image, self._load(image), boxes)])[0]

    def detect(self, image: Source) -> tuple[Float32, Float32]:
        """The landmark boxes (N, 4) that the detector finds in a picture, and their scores (N,).

        They fit around this network's landmarks (`Card.detector_box`).
        InputError if the detector gives something else. What it raises itself goes through.
        """
        if self._detector is None:
            self._detector = default_detector()
        found = self._detector(_picture(image))
        try:
            boxes, scores = (np.asarray(part, np.float32) for part in found)
        except (TypeError, ValueError):
            raise InputError(
                "expected boxes (N, 4) and scores (N,) of the detector, got something else"
            ) from None
        boxes = _checked(boxes)
        if scores.shape != (len(boxes),) or not np.isfinite(scores).all():
            raise InputError(
                f"expected a finite score for each box of the detector, got {len(boxes)} boxes and "
                f"scores of shape {scores.shape}"
            )
        if self.card.detector_box is not None:
            boxes = self.card.detector_box(boxes.astype(np.float64)).astype(np.float32)
        return boxes, scores

    def align(self, image: Source, boxes: ArrayLike) -> Faces:
        """The landmarks of the faces in some boxes of a picture.

        Box to crop, crop through the network, and back to the picture: whoever has boxes uses
        this. All faces go through the network together; their scores are 1.

        Args:
            image: (H, W, 3) uint8 RGB, or what else a call takes.
            boxes: (N, 4), as for a call; faces are cut by them as they are, not rounded to float32.

        Raises:
            InputError: boxes of another shape, or a box without extent.
            NetworkError: the network gives NaN.
        """
        given = _given(boxes, np.float64)
        return self._answers([self._cut(image, given, np.ones(len(given), np.float32))])[0]

    def align_each(self, faces: Iterable[tuple[Source, ArrayLike]]) -> Iterator[Face]:
        """`align` for one face of each of many pictures, in order.

        They go through the network CHUNK at a time, which is faster than one by one; a picture is
        let go once its face is cut.

        Args:
            faces: pictures (H, W, 3) uint8 RGB, each with a box (4,).

        Raises:
            InputError: a box of another shape, or without extent.
            NetworkError: the network gives NaN.
        """
        one = np.ones(1, np.float32)
        cuts = (
            self._cut(image, _given(np.asarray(box)[None], np.float64), one) for image, box in faces
        )
        return (found[0] for found in self._answers_of(cuts))

    def many(
        self, images: Iterable[Source], boxes: Iterable[ArrayLike | None] | None = None
    ) -> list[Faces]:
        """The faces of several pictures, in order; one picture at a time is in memory.

        Faces of several pictures go through the network together, which is faster than one by one.

        Args:
            images: the pictures.
            boxes: for each picture its boxes (N, 4); None for the detector.

        Raises:
            ImageError, InputError, NetworkError: as for a single picture, at the first that has an
                error; `stream` goes on. InputError if there are fewer or more boxes than pictures.
        """
        with _enough_memory():
            pairs = _pairs(images, boxes)
            cuts = (self._found(source, self._load(source), own) for source, own in pairs)
            return list(self._answers_of(cuts))

    def stream(
        self, images: Iterable[Source], boxes: Iterable[ArrayLike | None] | None = None
    ) -> Iterator[Result]:
        """The faces of any number of pictures, one after the other, as they are asked for.

        A picture with an error of ours (AadnError) is a result with that error, and does not stop
        the others. What else a detector or the pictures' generator raises goes through and ends the
        stream. Nothing is kept of what was given out.

        Args:
            images: the pictures, a generator for example.
            boxes: for each picture its boxes (N, 4); None for the detector.

        Raises:
            InputError: `images` is a single picture; or there are fewer or more boxes than
                pictures, found when one of them ends.
        """
        return (self._result(source, own) for source, own in _pairs(images, boxes))

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
        return self._faces(
            self._estimates(crops), [whole] * count, np.tile(box, (count, 1)), np.ones(count)
        )

    def _result(self, source: Source, boxes: ArrayLike | None) -> Result:
        image = None
        try:
            with _enough_memory():
                image = self._load(source)
                return Result(source, image, self._answers([self._found(source, image, boxes)])[0])
        except AadnError as error:
            return Result(source, image, error=error)

    def _load(self, source: Source) -> Image:
        return load_image(source, max_pixels=self.max_pixels)

    def _found(self, source: Source, image: Image, boxes: ArrayLike | None) -> _Cut:
        """A picture's faces where the caller or the detector says, cut out."""
        if boxes is None:
            found, scores = self.detect(image)
        else:
            # float32 before anything is cut by them, so that `faces.boxes`, given back, gives the
            # same points to the last bit.
            found = _given(boxes, np.float32)
            scores = np.ones(len(found), np.float32)
        reminder = _reminder(source, self.max_pixels)
        return replace(self._cut(image, found, scores), picture=reminder)

    def _cut(self, image: Source, boxes: NDArray[np.floating], scores: Float32) -> _Cut:
        picture = _picture(image)
        crops = [Crop.around(box, self.card.size, self.card.crop_factor) for box in boxes]
        return _Cut(boxes, scores, crops, [crop.cut(picture) for crop in crops])

    def _answers_of(self, cuts: Iterable[_Cut]) -> Iterator[Faces]:
        """`_answers`, as soon as there are CHUNK faces."""
        waiting: list[_Cut] = []
        count = 0
        for cut in cuts:
            waiting.append(cut)
            count += len(cut.crops)
            if count >= CHUNK:
                yield from self._answers(waiting)
                waiting, count = [], 0
        if waiting:
            yield from self._answers(waiting)

    def _answers(self, cuts: Sequence[_Cut]) -> list[Faces]:
        """What the network says of the faces of some pictures, all of them at once."""
        size = self.card.size
        pixels = [crop for cut in cuts for crop in cut.pixels]
        estimates = self._estimates(
            np.stack(pixels) if pixels else np.empty((0, size, size, 3), np.uint8)
        )
        faces, start = [], 0
        for cut in cuts:
            own = estimates[start : start + len(cut.crops)]
            found = self._faces(own, cut.crops, cut.boxes, cut.scores)
            faces.append(replace(found, picture=cut.picture))
            start += len(cut.crops)
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
        estimates: Estimates,
        crops: Sequence[Crop],
        boxes: NDArray[np.floating],
        scores: NDArray[np.floating],
    ) -> Faces:
        """What was estimated in crops, in the pixels of the pictures that they were cut from."""
        count, size = len(crops), self.card.landmarks
        points = np.empty((count, size, 2), np.float32)
        uncertainty = np.full((count, size), np.nan, np.float32)
        occlusion = np.full((count, OCCLUSION_GRID, OCCLUSION_GRID), np.nan, np.float32)
        for i, crop in enumerate(crops):
            points[i] = crop.to_picture(estimates.points[i])
            if estimates.uncertainty is not None:
                uncertainty[i] = crop.length_to_picture(estimates.uncertainty[i])
        if estimates.occlusion is not None:
            occlusion[:] = estimates.occlusion
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
        )


@dataclass(frozen=True, eq=False)
class _Cut:
    """The N faces of one picture, cut out: boxes (N, 4), scores (N,) and the crops' pixels."""

    boxes: NDArray[np.floating]
    scores: Float32
    crops: list[Crop]
    pixels: list[Image]
    picture: Callable[[], Source | None] | None = None


def _rebuilt(
    weights: str | Path | Backend, detector: Detector | None, threads: int | None, max_pixels: int
) -> Landmarker:
    return Landmarker(weights, detector, threads=threads, max_pixels=max_pixels)


@contextmanager
def _enough_memory() -> Iterator[None]:
    """Makes an error of ours of one that no picture should end a program with."""
    try:
        yield
    except MemoryError:
        raise ImageError("there is not enough memory for this picture; shrink it") from None


def _pairs(
    images: Iterable[Source], boxes: Iterable[ArrayLike | None] | None
) -> Iterator[tuple[Source, ArrayLike | None]]:
    """Each picture with its boxes; raises InputError as `Landmarker.stream` does."""
    one = isinstance(images, str | bytes | bytearray | memoryview | os.PathLike | PIL.Image.Image)
    one |= isinstance(images, np.ndarray) and images.ndim < 4
    if one or hasattr(images, "read"):
        raise InputError("expected several pictures, a list of paths for example, got one")
    return zip(images, repeat(None)) if boxes is None else _matched(images, boxes)


def _matched(
    images: Iterable[Source], boxes: Iterable[ArrayLike | None]
) -> Iterator[tuple[Source, ArrayLike | None]]:
    missing: Any = object()
    for number, (source, own) in enumerate(zip_longest(images, boxes, fillvalue=missing)):
        if source is missing or own is missing:
            ended = "pictures" if source is missing else "boxes"
            raise InputError(f"expected boxes for each picture; the {ended} end after {number}")
        yield source, own


def _picture(image: Source) -> Image:
    """A picture as an RGB array; one that is there already as it is."""
    if type(image) is np.ndarray:
        array: NDArray[Any] = image
        if array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] == 3:
            return array
    return load_image(image)


def _given(boxes: ArrayLike, dtype: type[np.floating]) -> NDArray[Any]:
    """A caller's boxes (N, 4), checked."""
    try:
        given = np.asarray(boxes, dtype)
    except (TypeError, ValueError):
        raise InputError("expected boxes as an array of numbers (N, 4)") from None
    return _checked(given)


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

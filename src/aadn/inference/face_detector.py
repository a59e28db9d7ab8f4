"""The face detector that comes with the package: a picture to its faces, however far turned.

Two small networks: the first looks at the whole picture and says where faces may be, the second
looks at each of these places, levelled and of one size, and says which are faces, and where.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aadn.errors import InputError
from aadn.geometry import turned_extent
from aadn.inference.detections import MIN_SCORE, Detections, suppress
from aadn.inference.face_proposals import FaceProposals
from aadn.inference.face_refinement import FaceRefinement

WEIGHTS = Path(__file__).parents[1] / "weights" / "face_detector.onnx"

REFINER = "_refiner"
"""The second network's file is named as the first one's and this."""

PROPOSED = 0.2
"""The first network's score from which on the second one looks (our choice: a lower one finds 0.4 %
more of the validation faces, of twice as many places)."""


class FaceDetector:
    """Finds faces under masks and behind things, small ones, and turned by any angle.

    It may be called from several threads, after a fork and in spawned processes; it pickles.

    Examples:
        >>> from aadn import FaceDetector, load_image
        >>> boxes, scores, angles = FaceDetector()(load_image("examples/astronaut.jpg"))
        >>> boxes.shape, scores.shape, bool(abs(angles[0]) < 20)
        ((1, 4), (1,), True)
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        min_score: float = MIN_SCORE,
        min_size: float | None = None,
        max_faces: int | None = None,
        threads: int | None = None,
    ) -> None:
        """Open the network.

        Args:
            path: an ONNX file of another such network; None for the one that is embedded.
            min_score: faces of a lower score, in [0, 1], are left out.
            min_size: the smallest face to find, in pixels of the longer side of the box around its
                landmarks, or, below 1, as a share of the picture's longer side. It decides on how
                large a copy of the picture the network looks, so how long it takes: a larger
                smallest face is faster. Smaller faces are left out. None for a copy of 640 pixels,
                on which faces of a 32nd of the longer side are found, and some smaller ones.
            max_faces: that many at most, those of the best scores.
            threads: that compute it; None for one for each core.

        Raises:
            InputError: a value is out of range.
            WeightsError: the file is missing, broken or no face detector of ours.
        """
        if not 0 <= min_score <= 1:
            raise InputError(f"expected a minimum score in [0, 1], got {min_score}")
        if min_size is not None and not 0 < min_size < np.inf:
            raise InputError(
                "expected a smallest face of more than 0 pixels, or a share of the picture below "
                f"1, got {min_size}"
            )
        if max_faces is not None and max_faces < 1:
            raise InputError(f"expected 1 face or more at most, got {max_faces}")
        self.path = Path(WEIGHTS if path is None else path).absolute()
        self.min_score = min_score
        self.min_size = min_size
        self.max_faces = max_faces
        self.threads = threads
        self.proposals = FaceProposals(self.path, threads=threads)
        second = self.path.with_stem(self.path.stem + REFINER)
        self.refinement = FaceRefinement(second, threads=threads)

    def __call__(self, image: NDArray[np.uint8]) -> Detections:
        """The faces of an RGB picture (H, W, 3) uint8, the best first."""
        smallest = self._smallest(image)
        found = self.refinement(image, self.proposals(image, PROPOSED, smallest))
        keep = found.scores >= self.min_score
        if smallest is not None:
            keep &= (found.boxes[:, 2:] - found.boxes[:, :2]).max(axis=1) >= smallest
        found = found.rows(keep)
        kept = suppress(turned_extent(found.boxes, found.angles), found.scores)
        return found.rows(kept[: self.max_faces])

    def _smallest(self, image: NDArray[np.uint8]) -> float | None:
        if self.min_size is None or self.min_size >= 1:
            return self.min_size
        return self.min_size * max(image.shape[:2])

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (
            self.path,
            self.min_score,
            self.min_size,
            self.max_faces,
            self.threads,
        )


def _rebuilt(
    path: Path,
    min_score: float,
    min_size: float | None,
    max_faces: int | None,
    threads: int | None,
) -> FaceDetector:
    return FaceDetector(
        path, min_score=min_score, min_size=min_size, max_faces=max_faces, threads=threads
    )

"""Labels of which landmarks are hidden in the pictures of folders, which `.pts` files cannot say.

In JSON: for each picture, named by the end of its path, what each annotator calls hidden and what
unsure, as landmarks' indices from 0; all others are seen.

    {"afw/1.jpg": {"hidden": [[0, 1]], "unsure": [[2]]}}

Other files have "turned" in place of "hidden": the landmarks that the head itself hides, which
those of the first kind count as seen. A face of either may also have "guessed", a list of the
landmarks whose places in its `.pts` file are guesses, not to be learned from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aadn.data.samples import Sample
from aadn.errors import AnnotationError

Kind = Literal["hidden", "turned"]


@dataclass(frozen=True)
class Labels:
    """What a file says.

    Attributes:
        kind: "hidden" by a thing, hair or the border, or "turned" away.
        faces: by the end of a picture's path, (L,) 1 hidden or turned, 0 not, NaN unsure.
        guessed: the same, (L,) bool; of the faces that say it.
    """

    kind: Kind
    faces: Mapping[str, NDArray[np.float64]]
    guessed: Mapping[str, NDArray[np.bool_]]


_EXPECTED = (
    '{"hidden": [[…]], "unsure": [[…]]}, each with a list of indices for each annotator, or with '
    '"turned" in place of "hidden" in all of the file'
)


def read_visibility(file: str | Path, landmarks: int) -> Labels:
    """The labels of a file, of L = `landmarks` points a face.

    What all annotators of a face call hidden (turned) is so, what none does and none finds unsure
    is not; the rest is unsure. AnnotationError for a file that is missing, broken or empty.
    """
    try:
        faces = json.loads(Path(file).read_text("utf-8"), object_pairs_hook=_object)
    except (OSError, RecursionError, ValueError) as error:
        raise AnnotationError(
            f"{file}: cannot be read as labels of visibility ({error}); expected JSON, for each "
            f"picture {_EXPECTED}"
        ) from None
    if not isinstance(faces, dict) or not faces:
        raise AnnotationError(
            f"{file}: expected a JSON object with a key for each picture, the end of its path; "
            f"got {type(faces).__name__ if faces else 'nothing'}"
        )
    first = next(iter(faces.values()))
    kind: Kind = "turned" if isinstance(first, dict) and "turned" in first else "hidden"
    labels: dict[str, NDArray[np.float64]] = {}
    guessed: dict[str, NDArray[np.bool_]] = {}
    for name, face in faces.items():
        if str(PurePosixPath(name)) != name or PurePosixPath(name).is_absolute():
            raise AnnotationError(
                f"{file}: expected the end of a picture's path, such as folder/1.jpg; got {name!r}"
            )
        labels[name] = _agreed(face, kind, landmarks, f"{file}: {name}")
        if "guessed" in face:
            guessed[name] = _chosen(face["guessed"], landmarks, f"{file}: {name}")
    return Labels(kind, labels, guessed)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; ValueError for a key that is there twice, which json would pass over."""
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(n for n in names if names.count(n) > 1)!r} is there twice")
    return result


def _agreed(face: Any, kind: Kind, landmarks: int, where: str) -> NDArray[np.float64]:
    """What the annotators of a face agree on, (L,) as in `Labels`."""
    try:
        pairs = list(zip(face[kind], face["unsure"], strict=True))
        said = np.zeros((len(pairs), landmarks))
        for row, (chosen, unsure) in zip(said, pairs, strict=True):
            for index in [*chosen, *unsure]:
                if type(index) is not int or not 0 <= index < landmarks:
                    raise ValueError(f"{index!r} is no index")
            if both := set(chosen) & set(unsure):
                raise ValueError(f"{min(both)} is in both lists")
            row[chosen], row[unsure] = 1.0, np.nan
        if not pairs:
            raise ValueError("no annotator")
    except (KeyError, TypeError, ValueError) as error:
        raise AnnotationError(
            f"{where}: expected {_EXPECTED}, from 0 to {landmarks - 1}; "
            f"{type(error).__name__}: {error}"
        ) from None
    same = (said == said[0]).all(axis=0)
    return np.where(same, said[0], np.nan)


def _chosen(indices: Any, landmarks: int, where: str) -> NDArray[np.bool_]:
    """(L,) True for the landmarks of a list."""
    valid = isinstance(indices, list) and all(
        type(index) is int and 0 <= index < landmarks for index in indices
    )
    if not valid:
        raise AnnotationError(
            f'{where}: expected "guessed" to be a list of indices from 0 to {landmarks - 1}, got '
            f"{str(indices)[:60]}"
        )
    chosen = np.zeros(landmarks, bool)
    chosen[indices] = True
    return chosen


def key_of(labels: Labels, image: Path) -> str | None:
    """The key that is the longest end of a picture's path, or None."""
    parts = image.absolute().parts[1:]
    ends = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((end for end in ends if end in labels.faces), None)


def with_visibility(
    samples: Sequence[Sample], files: Sequence[str | Path], landmarks: int
) -> list[Sample]:
    """Samples with what some files say of their pictures' landmarks, else as they are.

    Raises AnnotationError as `read_visibility` does, for a file whose labels are all of other
    pictures, for pictures that share a label, and for one with several faces.
    """
    result = list(samples)
    for file in files:
        labels = read_visibility(file, landmarks)
        found: dict[str, Path] = {}
        for i, sample in enumerate(result):
            key = key_of(labels, sample.image)
            if key is None:
                continue
            if found.get(key) == sample.image:
                raise AnnotationError(
                    f"{file}: {key} names {sample.image}, which has several faces; such labels are "
                    "of pictures with one"
                )
            if key in found:
                raise AnnotationError(
                    f"{file}: {key} may be {found[key]} or {sample.image}; name it by more of its "
                    "path"
                )
            found[key] = sample.image
            said = labels.faces[key]
            if labels.kind == "turned":
                sample = replace(sample, turned=said)
            else:
                sample = replace(sample, visible=1 - said)
            result[i] = replace(sample, guessed=labels.guessed.get(key, sample.guessed))
        if not found:
            raise AnnotationError(
                f"{file}: none of its {len(labels.faces)} labels is of a picture given; expected "
                f"ends of their paths ({samples[0].image if samples else 'there are none'}), got "
                f"{next(iter(labels.faces))}, for example"
            )
    return result

"""Labels of which landmarks are hidden in the pictures of folders, which `.pts` files cannot say.

One JSON file: for each picture, by the end of its path, what each annotator calls hidden and what
unsure, as landmarks' indices; all others are seen.

    {"afw/1.jpg": {"hidden": [[0, 1]], "unsure": [[2]]}}
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aadn.errors import AnnotationError
from aadn.samples import Sample

Labels = Mapping[str, NDArray[np.float64]]
"""By the end of a picture's path, (L,) 1 seen, 0 hidden, NaN unsure."""


def read_visibility(files: Sequence[Path], landmarks: int) -> Labels:
    """The labels of some files, of L = `landmarks` points a face.

    What all annotators of a face call hidden is hidden, what all call seen is seen; the rest is
    unsure. AnnotationError for a file that is missing or broken, and for a picture labelled twice.
    """
    labels: dict[str, NDArray[np.float64]] = {}
    for file in files:
        try:
            faces = json.loads(file.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise AnnotationError(
                f"{file}: cannot be read as labels of visibility ({error}); expected JSON, for "
                'each picture {"hidden": [[indices]], "unsure": [[indices]]}'
            ) from None
        if not isinstance(faces, dict):
            raise AnnotationError(f"{file}: expected an object with pictures' names as its keys")
        for name, face in faces.items():
            if name in labels:
                raise AnnotationError(f"{file}: {name} is labelled twice")
            labels[name] = _agreed(face, landmarks, f"{file}: {name}")
    return labels


def _agreed(face: Any, landmarks: int, where: str) -> NDArray[np.float64]:
    """What the annotators of a face agree on, (L,) as in `Labels`."""
    try:
        pairs = list(zip(face["hidden"], face["unsure"], strict=True))
        said = np.ones((len(pairs), landmarks))
        for row, (hidden, unsure) in zip(said, pairs, strict=True):
            for indices, value in ((hidden, 0.0), (unsure, np.nan)):
                chosen = np.array(indices, np.int64)
                if chosen.ndim != 1 or (chosen < 0).any() or (row[chosen] != 1).any():
                    raise ValueError("no list, an index below 0, or one that is in both")
                row[chosen] = value
        if not pairs:
            raise ValueError("no annotator")
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise AnnotationError(
            f'{where}: expected {{"hidden": [[…]], "unsure": [[…]]}}, for each annotator a list of '
            f"indices from 0 to {landmarks - 1} in each; {type(error).__name__}: {error}"
        ) from None
    same = (said == said[0]).all(axis=0)
    return np.where(same, said[0], np.nan)


def label_of(labels: Labels, image: Path) -> NDArray[np.float64] | None:
    """A picture's labels (L,), or None: those whose key is the longest end of its path."""
    parts = image.parts
    ends = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((labels[end] for end in ends if end in labels), None)


def with_visibility(
    samples: Sequence[Sample], files: Sequence[Path], landmarks: int
) -> list[Sample]:
    """Samples with the visibility that some files say of their pictures, else as they are.

    Raises AnnotationError as `read_visibility` does, and if all labels are of other pictures.
    """
    labels = read_visibility(files, landmarks)
    found = [label_of(labels, sample.image) for sample in samples]
    if labels and all(label is None for label in found):
        raise AnnotationError(
            "expected labels of visibility for the pictures given, by the end of their paths; got "
            f"{next(iter(labels))}, for example, and none of theirs"
        )
    return [
        sample if label is None else replace(sample, visible=label)
        for sample, label in zip(samples, found, strict=True)
    ]

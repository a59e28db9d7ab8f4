"""300W private: the test set of the 300W challenge, 68 landmarks (Sagonas et al., IVC 2016)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from aadn.data.folders import read_folder
from aadn.data.release import Release, Split
from aadn.data.samples import Sample
from aadn.schemes import IBUG68

_PARTS = {"01_Indoor": "indoor", "02_Outdoor": "outdoor"}


def read_300w_private(folder: Path, split: Split) -> list[Sample]:
    """Samples of `01_Indoor` and `02_Outdoor`, here or in `300W/`, sorted by path.

    They have no visibility. The release is a test set as a whole. Raises AnnotationError for a
    broken `.pts` file. Pictures may be missing.
    """
    if not any((folder / name).is_dir() for name in _PARTS):
        folder = folder / "300W"
    return [
        replace(sample, parts=(part,))
        for name, part in _PARTS.items()
        for sample in read_folder(folder / name, RELEASE.landmarks)
    ]


RELEASE = Release(
    name="300w-private",
    title="300W private",
    scheme=IBUG68,
    counts={"test": {"all": 600, "indoor": 300, "outdoor": 300}},
    read=read_300w_private,
    holds="""\
01_Indoor/indoor_001.png, indoor_001.pts … indoor_300      or 300W/01_Indoor/…
02_Outdoor/outdoor_001.png, outdoor_001.pts … outdoor_300  or 300W/02_Outdoor/…""",
    source="https://ibug.doc.ic.ac.uk/resources/300-W/",
    licence="research only, not for commercial use",
    normaliser="inter-ocular",
    threshold=8.0,
    converts="Pixels are counted from 0 instead of 1. The box is tight around the landmarks. "
    "The release does not say which landmarks are seen.",
)

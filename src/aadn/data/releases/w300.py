"""300W: AFW, HELEN, LFPW and iBUG with 68 landmarks (Sagonas et al., ICCV-W 2013)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from aadn.data.folders import read_folder
from aadn.data.release import Release, Split
from aadn.data.samples import Sample
from aadn.schemes import IBUG68

# The split of Ren et al. (CVPR 2014), by which all later work reports 300W.
_FOLDERS: dict[Split, dict[str, tuple[str, ...]]] = {
    "train": {
        "afw": ("afw",),
        "helen/trainset": ("helen",),
        "lfpw/trainset": ("lfpw",),
    },
    "test": {
        "helen/testset": ("common", "helen"),
        "ibug": ("challenging",),
        "lfpw/testset": ("common", "lfpw"),
    },
}


def read_300w(folder: Path, split: Split) -> list[Sample]:
    """Samples of the folders of a split that are there, sorted by path, without visibility.

    Raises AnnotationError for a broken `.pts` file. Pictures may be missing.
    """
    return [
        replace(sample, parts=parts)
        for name, parts in _FOLDERS[split].items()
        for sample in read_folder(folder / name, RELEASE.landmarks)
    ]


RELEASE = Release(
    name="300w",
    title="300W",
    scheme=IBUG68,
    counts={
        "train": {"all": 3148, "afw": 337, "helen": 2000, "lfpw": 811},
        "test": {"all": 689, "common": 554, "challenging": 135, "helen": 330, "lfpw": 224},
    },
    read=read_300w,
    holds="""\
afw/*.jpg, *.pts              337, train
helen/trainset/*.jpg, *.pts   2000, train
helen/testset/*.jpg, *.pts    330, test
lfpw/trainset/*.png, *.pts    811, train
lfpw/testset/*.png, *.pts     224, test
ibug/*.jpg, *.pts             135, test""",
    source="https://ibug.doc.ic.ac.uk/resources/facial-point-annotations/",
    licence="research only, not for commercial use",
    normaliser="inter-ocular",
    threshold=8.0,
    converts="Pixels are counted from 0 instead of 1. The box is tight around the landmarks. "
    "Mirrored copies (*_mirror) that some distributions add are left out. "
    "The release does not say which landmarks are seen.",
)

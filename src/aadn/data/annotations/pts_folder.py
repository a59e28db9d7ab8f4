"""Folders of pictures with `.pts` files, and beside these what they cannot say: which are hidden.

`hidden.json` and `turned.json` are labels of visibility (`aadn.data.visibility_labels`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aadn.data.annotations.pictures import Picture
from aadn.data.annotations.states import states_of
from aadn.data.folders import read_folders
from aadn.data.pts import format_pts
from aadn.data.samples import Sample
from aadn.data.visibility_labels import with_visibility
from aadn.errors import AnnotationError

HIDDEN, TURNED = "hidden.json", "turned.json"


def read_pts_folder(folder: Path) -> list[Sample]:
    """The faces of a folder, with its labels of visibility where they are there.

    Raises AnnotationError as `read_folders` and `with_visibility` do.
    """
    samples = read_folders([folder])
    files = [folder / name for name in (HIDDEN, TURNED) if (folder / name).is_file()]
    return with_visibility(samples, files, len(samples[0].points))


def pts_files(pictures: Sequence[Picture], names: Sequence[str]) -> dict[str, str]:
    """What a folder of pictures has beside them, by name.

    `names` are the pictures' own in that folder. Several faces of a picture are x_1.pts, x_2.pts.
    AnnotationError for a face with missing landmarks, which `.pts` files cannot have, and for
    states of a picture with several faces, which labels of visibility cannot have.
    """
    files: dict[str, str] = {}
    hidden: dict[str, dict[str, list[list[int]]]] = {}
    turned: dict[str, dict[str, list[list[int]]]] = {}
    for picture, name in zip(pictures, names, strict=True):
        stem = str(Path(name).with_suffix(""))
        for i, sample in enumerate(picture.faces, 1):
            if not np.isfinite(sample.points).all():
                raise AnnotationError(
                    f"{picture.file}: a face with missing landmarks, which .pts files cannot have; "
                    "choose another form"
                )
            own = stem if len(picture.faces) == 1 else f"{stem}_{i}"
            files[f"{own}.pts"] = format_pts(sample.points)
            states = states_of(sample)
            if set(states) == {"unknown"}:
                continue
            if len(picture.faces) > 1:
                raise AnnotationError(
                    f"{picture.file}: states of several faces of one picture, which labels beside "
                    ".pts files cannot have; choose another form"
                )
            rows = {s: [i for i, state in enumerate(states) if state == s] for s in set(states)}
            covered = sorted(rows.get("covered", []) + rows.get("hidden", []))
            hidden[name] = {"hidden": [covered], "unsure": [rows.get("unknown", [])]}
            if "turned" in rows or "covered" in rows:
                unsure = sorted(rows.get("unknown", []) + rows.get("hidden", []))
                turned[name] = {"turned": [rows.get("turned", [])], "unsure": [unsure]}
    for name, labels in ((HIDDEN, hidden), (TURNED, turned)):
        if labels:
            files[name] = json.dumps(labels) + "\n"
    return files

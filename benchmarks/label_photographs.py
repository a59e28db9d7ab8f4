"""Label photographs of masked faces and of hair, which have no landmarks, to train on.

    python benchmarks/label_photographs.py --data ../shared/data --out photographs [--crowds]

Landmarks are the default model's answers. What is hidden comes from what is sure: under a mask the
mouth is covered and the eyes are seen; inside a hand-made mask of the hair, a margin away from its
edge, a landmark is covered. What the model is sure of is taken over from it; the rest is unsure.
Places of landmarks that it calls hidden are guesses. Writes OUT/training and OUT/held_out, a tenth
of the pictures, each with pictures, `.pts` files and labels.json: for `aadn train --more-folders
OUT/training --visibility-labels OUT/training/labels.json`, and to measure with `aadn evaluate
OUT/held_out/real_masks --visibility-labels OUT/held_out/labels.json`, where only what is sure
without the model counts. With `--crowds`, training also has the faces of the face detector's
pictures, each cut out, of which the model alone says what it is sure of.
"""

from __future__ import annotations

import argparse
import json
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from aadn import Landmarker, load_image
from aadn.data.pts import write_pts
from aadn.faces import Face
from aadn.files import write_whole
from aadn.images import Image
from aadn.inference.weights import load_weights
from aadn.media.encode import encode
from aadn.training.relabel import HIDDEN, SEEN

EYES, MOUTH = list(range(36, 48)), list(range(48, 68))
INSIDE, OUTSIDE = 0.03, 0.08
"""How far inside the hair a landmark is covered for sure, and how far outside it is not, over the
longer side of the face's box."""

LEAST_SCORE = 0.6
"""Of a face that the detector finds; other pictures are left out."""

CROWDS = "crowds"
"""Folder of the faces cut out of the face detector's pictures."""

LEAST_SIDE, LEAST_QUALITY, MARGIN = 64, 0.9, 0.75
"""Of such a face: pixels of its box's longer side, `faces.quality`, and how much of that side is
left around its box (our choice)."""

HELD_OUT = 10
"""One picture in so many, by its name."""

State = NDArray[np.float64]
"""(68,) 1 hidden, 0 seen, NaN unsure."""


def under_a_mask(face: Face) -> State:
    """What is sure of somebody who wears a mask; dark glasses are left to doubt."""
    state = np.full(68, np.nan)
    state[MOUTH] = 1
    eyes = face.visibility[EYES]
    state[EYES] = np.where(eyes < HIDDEN, np.nan, 0)
    return state


def under_hair(face: Face, hair: NDArray[np.uint8]) -> State:
    """What is sure by a mask of the hair, 255 where it is."""
    side = float((face.box[2:] - face.box[:2]).max())
    inside = cv2.distanceTransform((hair > 127).astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((hair <= 127).astype(np.uint8), cv2.DIST_L2, 5)
    rows, columns = (
        np.clip(np.rint(face.points[:, axis]).astype(int), 0, hair.shape[1 - axis] - 1)
        for axis in (1, 0)
    )
    state = np.full(68, np.nan)
    state[outside[rows, columns] > OUTSIDE * side] = 0
    state[inside[rows, columns] > INSIDE * side] = 1
    return state


def labelled(state: State) -> dict[str, list[Any]]:
    """A face's entry in a file of labels, by one annotator."""
    unsure = np.flatnonzero(np.isnan(state)).tolist()
    return {"hidden": [np.flatnonzero(state == 1).tolist()], "unsure": [unsure]}


def with_model(state: State, face: Face) -> State:
    """What is sure, and where that says nothing, what the model is sure of."""
    model = np.where(face.visibility < HIDDEN, 1.0, np.where(face.visibility > SEEN, 0.0, np.nan))
    if (state[MOUTH] == 0).all():  # beyond the hair: something else may cover it
        state = np.where((state == 0) & (model != 0), np.nan, state)
    return np.where(np.isnan(state), model, state)


def pictures(data: Path) -> Iterator[tuple[Path, Path | None]]:
    """Each photograph, and the mask of its hair."""
    for file in sorted((data / "real_masks").glob("*.jpg")):
        yield file, None
    for file in sorted((data / "hair_faces").glob("*.jpg")):
        yield file, file.with_name(f"{file.stem}_hair.png")


def crowds(landmarker: Landmarker, data: Path) -> Iterator[tuple[str, Image, Face]]:
    """A name, a picture and a face in it, for each face of the detector's pictures."""
    files = sorted((data / "faces").glob("*/images/*"))
    for file in tqdm(files, unit="picture", disable=None):
        image = load_image(file)
        for number, face in enumerate(landmarker(image), 1):
            side = float((face.box[2:] - face.box[:2]).max())
            if side < LEAST_SIDE or face.quality < LEAST_QUALITY:
                continue
            low = np.maximum(np.floor(face.box[:2] - MARGIN * side), 0).astype(int)
            high = np.ceil(face.box[2:] + MARGIN * side).astype(int)
            cut = image[low[1] : high[1], low[0] : high[0]]
            moved = replace(face, points=face.points - low.astype(np.float32))
            yield f"{file.parents[1].name}_{file.stem}_{number}", cut, moved


def main() -> None:
    """Label all photographs and write them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--weights", type=Path, help="the default model if left out")
    parser.add_argument("--crowds", action="store_true", help="also of the detector's pictures")
    arguments = parser.parse_args()
    landmarker = Landmarker(load_weights(arguments.weights), min_score=LEAST_SCORE)
    labels: dict[str, dict[str, Any]] = {"training": {}, "held_out": {}}
    for file, hair in tqdm(list(pictures(arguments.data)), unit="picture", disable=None):
        image = load_image(file)
        face = landmarker(image).largest
        if face is None:
            continue
        if hair is None:
            sure = under_a_mask(face)
        else:
            sure = under_hair(face, np.asarray(load_image(hair)[..., 0]))
        part = "held_out" if zlib.crc32(file.name.encode()) % HELD_OUT == 0 else "training"
        folder = arguments.out / part / file.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, folder)
        write_pts(folder / f"{file.stem}.pts", face.points)
        state = sure if part == "held_out" else with_model(sure, face)
        entry = labelled(state)
        hidden = (face.visibility < HIDDEN) | (state == 1)
        labels[part][f"{file.parent.name}/{file.name}"] = {
            **entry, "guessed": np.flatnonzero(hidden).tolist(),
        }  # fmt: skip
    for name, cut, face in crowds(landmarker, arguments.data) if arguments.crowds else ():
        folder = arguments.out / "training" / CROWDS
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / f"{name}.jpg", encode(cut, Path("a.jpg")))
        write_pts(folder / f"{name}.pts", face.points)
        labels["training"][f"{CROWDS}/{name}.jpg"] = {
            **labelled(with_model(np.full(68, np.nan), face)),
            "guessed": np.flatnonzero(face.visibility < HIDDEN).tolist(),
        }
    for part, faces in labels.items():
        write_whole(arguments.out / part / "labels.json", json.dumps(faces) + "\n")
        print(f"{part}: {len(faces)} faces")


if __name__ == "__main__":
    main()

"""A network for five landmarks of one's own, from some dozens of labelled pictures, in minutes.

    python examples/five_points.py FOLDER_WITH_68_POINTS OUT [--pictures 60] [--epochs 12]
        [--test ANOTHER_FOLDER]

Here the five are made from the 68 of pictures with .pts files, as a COCO file, which is what
labelling tools write. The rest is what you would do with a file of yours: the command that each
step prints does the same. With --test, the error on another folder's faces is told, beside that of
the five points that the lite network's 68 give without any training.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from aadn import Landmarker
from aadn.data.folders import face_box, read_folders
from aadn.data.samples import Sample
from aadn.schemes import IBUG68
from aadn.training.config import TrainConfig
from aadn.training.export import export
from aadn.training.loop import train
from aadn.training.report import write_validation

SCHEME = """
name = "five"
points = ["right eye", "left eye", "nose", "mouth right", "mouth left"]
flip = [[0, 1], [3, 4]]

[normalisers]
inter-ocular = [[0], [1]]

[groups]
"right eye" = [0]
"left eye" = [1]
mouth = [3, 4]

[contours]
mouth = [3, 4]
"""


def five(points: np.ndarray) -> np.ndarray:
    """Eyes, nose and corners of the mouth (5, 2) of iBUG's landmarks (68, 2)."""
    eyes = points[36:42].mean(axis=0), points[42:48].mean(axis=0)
    return np.array([*eyes, points[30], points[48], points[54]])


def errors(landmarker: Landmarker, samples: list[Sample]) -> float:
    """Mean distance to the five true points, in percent of the distance between the eyes."""
    found = []
    for sample in samples:
        true = five(sample.points)
        box = sample.box if landmarker.card.scheme == IBUG68 else face_box(true, sample.image)
        points = landmarker.align(sample.picture(), box[None], 0.0).points[0]
        points = five(points) if len(points) == 68 else points
        apart = np.linalg.norm(points - true, axis=1).mean()
        found.append(100 * apart / np.linalg.norm(true[0] - true[1]))
    return float(np.mean(found))


def write_labels(folder: Path, file: Path, count: int) -> list[Path]:
    """Write a COCO file of some of a folder's faces; returns the pictures that are not in it."""
    samples = read_folders([folder], 68)
    if count >= len(samples):
        sys.exit(f"expected --pictures below the {len(samples)} there are: one is to be shown")
    order = np.random.default_rng(0).permutation(len(samples))
    images, annotations = [], []
    for number, row in enumerate(order[:count].tolist()):
        keypoints = np.column_stack([five(samples[row].points), np.full(5, 2)])  # 2 is seen
        images.append({"id": number, "file_name": str(samples[row].image.absolute())})
        annotations.append({"image_id": number, "keypoints": keypoints.ravel().tolist()})
    file.write_text(json.dumps({"images": images, "annotations": annotations}), "utf-8")
    return [samples[row].image for row in order[count:].tolist()]


def main() -> None:
    """Label, train, export, measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--pictures", type=int, default=60)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--test", type=Path)
    arguments = parser.parse_args()
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    (out / "five.toml").write_text(SCHEME, "utf-8")
    others = write_labels(arguments.folder, out / "five.json", arguments.pictures)

    config = TrainConfig(
        (out / "five.json",),
        out / "run",
        scheme=str(out / "five.toml"),
        initial=Path("lite"),
        epochs=arguments.epochs,
        patience=5,
    )
    print(
        f"aadn train {out}/five.json --scheme {out}/five.toml --initial lite "
        f"--epochs {config.epochs} --patience 5 --out {out}/run"
    )
    best = train(config, tell=print)
    print(f"the worst validation faces are {write_validation(config)}")

    print(f"aadn export {best} --out {out}/five.onnx")
    export(best, out / "five.onnx")

    print(f"aadn detect {others[0]} --weights {out}/five.onnx --out {out}/result.png")
    faces = Landmarker(out / "five.onnx")(others[0])
    print(faces)

    if arguments.test is not None:
        samples = read_folders([arguments.test], 68)
        for name in (str(out / "five.onnx"), "lite"):
            print(f"{name}: {errors(Landmarker(name), samples):.2f} % on {len(samples)} faces")


if __name__ == "__main__":
    main()

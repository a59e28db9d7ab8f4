"""Draw the pictures of the documents from the example face, with what the model says of it.

    python benchmarks/pictures.py docs

occluded.jpg: covered in four ways. weak.jpg: where the model is weak, with the mean distance of its
landmarks from those on the picture as it is, in percent of the inter-ocular distance.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from aadn import Landmarker, draw, load_image
from aadn.files import write_whole
from aadn.geometry import FloatArray, box_of_points, transform
from aadn.occlude.evaluation import Occluder, occlude_picture

EXAMPLE = Path(__file__).parents[1] / "examples" / "astronaut.jpg"
ZOOM = 3

Image = NDArray[np.uint8]


def occluded(picture: Image, landmarker: Landmarker) -> list[Image]:
    """The face covered by each occluder of the evaluation."""
    clean = landmarker(picture)
    panels = []
    for kind in get_args(Occluder):
        rng = np.random.default_rng(4)
        covered, _ = occlude_picture(picture, clean.points[0], clean.scheme, kind, rng)
        # The clean picture's box: what is shown is the landmarks, not the detector.
        panels.append(draw(covered, landmarker(covered, clean.boxes, clean.angles), boxes=False))
    return panels


def weak(picture: Image, landmarker: Landmarker) -> list[Image]:
    """The face turned, tiny, blurred and dark, with how far its landmarks then are off."""
    points = landmarker(picture).points[0].astype(np.float64)
    height, width = picture.shape[:2]
    turn = np.asarray(cv2.getRotationMatrix2D((width / 2, height / 2), 60, 0.8), np.float64)
    small = cv2.resize(picture, None, fx=0.06, fy=0.06, interpolation=cv2.INTER_AREA)
    changed: dict[str, tuple[NDArray[np.generic], FloatArray]] = {
        "turned by 60 degrees": (cv2.warpAffine(picture, turn, (width, height)),
                                 transform(points, turn)),
        "17 pixels wide": (cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC),
                           points),
        "blurred": (cv2.GaussianBlur(picture, (0, 0), 14), points),
        "dark": (np.random.default_rng(0).normal(picture * 0.05, 5).clip(0, 255), points),
    }  # fmt: skip
    panels = []
    for name, (image, truth) in changed.items():
        face = np.ascontiguousarray(image, np.uint8)
        faces = landmarker(face, boxes=box_of_points(truth)[None])
        distance = np.hypot(*(faces.points[0] - truth).T).mean()
        share = 100 * distance / np.hypot(*(truth[36] - truth[45]))
        panel = draw(face, faces, boxes=False)
        text = f"{name}: {share:.1f} %"
        for colour, thick in (((0, 0, 0), 4), ((255, 255, 255), 1)):
            cv2.putText(panel, text, (10, 28), cv2.FONT_HERSHEY_SIMPLEX, 0.7, colour, thick,
                        cv2.LINE_AA)  # fmt: skip
        panels.append(panel)
    return panels


def main() -> None:
    """Write the pictures into the folder named on the command line."""
    parser = argparse.ArgumentParser(description="pictures of the documents")
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    landmarker = Landmarker()
    region = load_image(EXAMPLE)[55:215, 150:300]
    picture = cv2.resize(region, None, fx=ZOOM, fy=ZOOM, interpolation=cv2.INTER_CUBIC)
    for name, panels in (("occluded", occluded), ("weak", weak)):
        drawn = np.hstack(panels(np.asarray(picture, np.uint8), landmarker))
        content = cv2.imencode(".jpg", drawn[..., ::-1])[1].tobytes()
        write_whole(folder / f"{name}.jpg", content)


if __name__ == "__main__":
    main()

"""Draw the pictures of the documents from the example face, with what the model says of it.

    python benchmarks/pictures.py docs

occluded.jpg: covered in four ways. turned.jpg: turned, as the detector finds it. weak.jpg: where
the model is weak, with the mean distance of its landmarks from those on the picture as it is, in
percent of the inter-ocular distance. pose.jpg: a head's landmarks in poses, with what `faces.pose`
says of them. film.png: the face in a film in which it sways and something passes before it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from aadn import Faces, Landmarker, Tracker, draw, load_image
from aadn.evaluation.film_plot import FilmHistory
from aadn.files import write_whole
from aadn.geometry import BORDER_VALUE, box_of_points, turn_picture
from aadn.measures.head_fit import rotation_of
from aadn.measures.pose import head_points
from aadn.occlude.evaluation import Occluder, occlude_picture
from aadn.schemes import IBUG68

EXAMPLE = Path(__file__).parents[1] / "examples" / "astronaut.jpg"
ZOOM = 3
PANEL = 480
"""Pixels of a side of the pictures of a turned face."""

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


def turned(picture: Image, landmarker: Landmarker) -> list[Image]:
    """The face turned, and under a mask while it is."""
    points = landmarker(picture).points[0].astype(np.float64)
    rng = np.random.default_rng(4)
    masked, _ = occlude_picture(picture, points, IBUG68, "mask", rng)
    panels = []
    for image, angle in ((picture, 50), (masked, 120), (picture, 180), (masked, 285)):
        shown = turn_picture(image, angle)
        faces = landmarker(shown)
        face = faces.largest
        text = f"{face.angle:.0f} degrees, quality {face.quality:.2f}" if face else "missed"
        panels.append(_titled(_square(draw(shown, faces)), text))
    return panels


def _square(image: Image) -> Image:
    """As large as the other panels, with a grey margin."""
    side = max(image.shape[:2])
    around = [side - length for length in image.shape[:2]]
    padded = cv2.copyMakeBorder(
        image, around[0] // 2, -(-around[0] // 2), around[1] // 2, -(-around[1] // 2),
        cv2.BORDER_CONSTANT, value=BORDER_VALUE,
    )  # fmt: skip
    return np.asarray(cv2.resize(padded, (PANEL, PANEL), interpolation=cv2.INTER_AREA), np.uint8)


def _titled(panel: Image, text: str) -> Image:
    for colour, thick in (((0, 0, 0), 4), ((255, 255, 255), 1)):
        cv2.putText(panel, text, (10, 28), cv2.FONT_HERSHEY_SIMPLEX, 0.7, colour, thick,
                    cv2.LINE_AA)  # fmt: skip
    return panel


def weak(picture: Image, landmarker: Landmarker) -> list[Image]:
    """The face tiny, blurred and dark, with how far its landmarks then are off."""
    points = landmarker(picture).points[0].astype(np.float64)
    height, width = picture.shape[:2]
    small = cv2.resize(picture, None, fx=0.06, fy=0.06, interpolation=cv2.INTER_AREA)
    changed: dict[str, NDArray[np.generic]] = {
        "17 pixels wide": cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC),
        "blurred": cv2.GaussianBlur(picture, (0, 0), 14),
        "dark": np.random.default_rng(0).normal(picture * 0.05, 5).clip(0, 255),
    }
    panels = []
    for name, image in changed.items():
        face = np.ascontiguousarray(image, np.uint8)
        faces = landmarker(face, boxes=box_of_points(points)[None])
        distance = np.hypot(*(faces.points[0] - points).T).mean()
        share = 100 * distance / np.hypot(*(points[36] - points[45]))
        quality = faces.quality[0]
        text = f"{name}: {share:.1f} %, quality {quality:.2f}"
        panels.append(_titled(draw(face, faces, boxes=False), text))
    return panels


POSES = (0, 0, 0), (30, 0, 0), (0, 20, 0), (0, 0, 20)
"""Yaw, pitch and roll in degrees."""


def poses() -> list[Image]:
    """The head model's landmarks, turned one way after the other."""
    panels = []
    for yaw, pitch, roll in np.radians(POSES):
        turn = rotation_of(np.array([0, 0, -roll])) @ rotation_of(np.array([-pitch, 0, 0]))
        head = head_points().neutral @ (turn @ rotation_of(np.array([0, yaw, 0]))).T
        points = (head - head.mean(axis=0))[:, :2] * [24, -24] + PANEL / 2
        ones = np.ones((1, IBUG68.size), np.float32)
        face = Faces(
            points[None].astype(np.float32),
            ones,
            ones,
            box_of_points(points)[None].astype(np.float32),
            ones[:, 0],
            np.zeros((1, 7, 7), np.float32),
            IBUG68,
            angles=np.degrees(roll, dtype=np.float32)[None],
        )
        blank = np.full((PANEL, PANEL, 3), 90, np.uint8)
        said = "  ".join(
            f"{name} {round(float(angle)) + 0}"
            for name, angle in zip(("yaw", "pitch", "roll"), face.pose[0], strict=True)
        )
        panels.append(_titled(draw(blank, face, boxes=False), said))
    return panels


def film(picture: Image, landmarker: Landmarker, path: Path) -> None:
    """Four seconds: she sways, and a bar passes before her face."""
    tracker, history = Tracker(landmarker), FilmHistory()
    height, width = picture.shape[:2]
    rng = np.random.default_rng(0)
    for i in range(120):
        time = i / 30
        sway = cv2.getRotationMatrix2D((width / 2, height), 10 * np.sin(np.pi * time), 1.0)
        frame = cv2.warpAffine(picture, sway, (width, height), borderMode=cv2.BORDER_REPLICATE)
        left = round(width * (1.4 * (time - 1) / 2 - 0.3))
        bar = slice(max(left, 0), max(left + width // 4, 0))
        if 1 <= time < 3:
            frame[:, bar] = rng.integers(60, 120, frame[:, bar].shape, dtype=np.uint8)
        shown = np.asarray(frame, np.uint8)
        history.add(time, shown, tracker(shown, time))
    history.plot(path)


def main() -> None:
    """Write the pictures into the folder named on the command line."""
    parser = argparse.ArgumentParser(description="pictures of the documents")
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    landmarker = Landmarker()
    region = load_image(EXAMPLE)[55:215, 150:300]
    zoomed = cv2.resize(region, None, fx=ZOOM, fy=ZOOM, interpolation=cv2.INTER_CUBIC)
    picture = np.asarray(zoomed, np.uint8)
    for name, panels in (
        ("occluded", occluded(picture, landmarker)),
        ("turned", turned(picture, landmarker)),
        ("weak", weak(picture, landmarker)),
        ("pose", poses()),
    ):
        drawn = np.hstack(panels)
        content = cv2.imencode(".jpg", drawn[..., ::-1])[1].tobytes()
        write_whole(folder / f"{name}.jpg", content)
    film(picture, landmarker, folder / "film.png")


if __name__ == "__main__":
    main()

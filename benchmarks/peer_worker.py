"""One peer on some pictures, in an environment of its own; `peers.py` starts it.

    python peer_worker.py PEER BOXES PICTURES.npz ANSWERS.npz

PICTURES.npz: `boxes` (N, 4), tight around the true landmarks, and the RGB pictures "0", "1" …
ANSWERS.npz: `points` (N, 68, 2) pixels, (0, 0) the centre of the top-left one, in iBUG's order, NaN
for a face that was not found and for points that a peer does not have; `visibility` (N, 68), NaN
where it says nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Face = tuple[Array, Array]
"""A picture (H, W, 3) and the box (4,) of the face that is meant."""

Answer = tuple[Array, Array]
"""A face's points (68, 2) and visibility (68,), see ANSWERS.npz."""

MESH = {33: 2, 36: 33, 39: 133, 42: 362, 45: 263, 48: 61, 51: 0, 54: 291, 57: 17, 62: 13, 66: 14}
"""iBUG's points that MediaPipe's mesh has as well, and their indices there: the columella, the
corners of the eyes and of the mouth, the middles of the lips' outer and inner edges. Looked at on
HELEN's training faces. Others that resemble each other (jaw, brows, wings of the nose) are defined
in another way; the tip of the nose moves with the head's pose."""

MARGIN = 0.5
"""MediaPipe is shown the face's box and so much of its longer side around it; on HELEN's training
faces it finds as many with 0.25 and with 1."""


def nearest(boxes: Array, box: Array) -> int | None:
    """Of what was found (M, 4) the one that is the face in `box` (4,): by its centre.

    None if the nearest centre is outside of the box: the face is missed.
    """
    if len(boxes) == 0:
        return None
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    best = int(np.argmin(np.linalg.norm(centres - (box[:2] + box[2:]) / 2, axis=1)))
    inside = (centres[best] >= box[:2]).all() and (centres[best] <= box[2:]).all()
    return best if inside else None


def nothing() -> Answer:
    """The answer for a face that is missed."""
    return np.full((68, 2), np.nan), np.full(68, np.nan)


def mediapipe(faces: Iterator[Face], detect: bool) -> Iterator[Answer]:
    """Face Mesh with the refined eyes and lips, on single pictures. It has no way in for boxes."""
    solutions = import_module("mediapipe").solutions.face_mesh
    mesh = solutions.FaceMesh(static_image_mode=True, max_num_faces=4, refine_landmarks=True)
    for image, box in faces:
        margin = MARGIN * (box[2:] - box[:2]).max()
        left, top = np.maximum(box[:2] - margin, 0).astype(int)
        right, bottom = np.ceil(box[2:] + margin).astype(int) + 1
        region = np.ascontiguousarray(image[top:bottom, left:right])
        size = np.array(region.shape[1::-1])
        found = mesh.process(region).multi_face_landmarks or []
        # Shares of the picture's sides, from edge to edge.
        points = [
            np.array([(p.x, p.y) for p in face.landmark]) * size - 0.5 + [left, top]
            for face in found
        ]
        ends = [np.concatenate([p.min(axis=0), p.max(axis=0)]) for p in points]
        answer = nothing()
        best = nearest(np.array(ends), box)
        if best is not None:
            for ours, its in MESH.items():
                answer[0][ours] = points[best][its]
                mark = found[best].landmark[its]
                if mark.HasField("visibility"):
                    answer[1][ours] = mark.visibility
        yield answer


def dlib(faces: Iterator[Face], detect: bool) -> Iterator[Answer]:
    """The 68-point predictor, in dlib's own boxes or in the true ones, drawn as dlib draws them.

    Its detector's boxes are squares of 1.08 √(width·height) of the box of the landmarks, their
    centre 0.054 of that higher: the medians over 211 of HELEN's training faces. The tight boxes
    themselves give larger errors there.
    """
    library: Any = import_module("dlib")
    # Its own module finds it by pkg_resources, which present environments lack.
    models = Path(library.__file__).parents[1] / "face_recognition_models/models"
    predictor = library.shape_predictor(str(models / "shape_predictor_68_face_landmarks.dat"))
    detector = library.get_frontal_face_detector()
    for image, box in faces:
        if detect:
            seen = [(r.left(), r.top(), r.right(), r.bottom()) for r in detector(image, 1)]
            best = nearest(np.array(seen), box)
            if best is None:
                yield nothing()
                continue
            given = np.array(seen[best])
        else:
            side = np.sqrt((box[2:] - box[:2]).prod())
            centre = (box[:2] + box[2:]) / 2 - [0, 0.054 * side]
            given = np.concatenate([centre - 1.08 * side / 2, centre + 1.08 * side / 2])
        shape = predictor(image, library.rectangle(*(int(v) for v in given.round())))
        yield np.array([(p.x, p.y) for p in shape.parts()], np.float64), nothing()[1]


def face_alignment(faces: Iterator[Face], detect: bool) -> Iterator[Answer]:
    """2D-FAN, in the true boxes, on the CPU."""
    library = import_module("face_alignment")
    network = library.FaceAlignment(
        library.LandmarksType.TWO_D, device="cpu", compile=False, face_detector="folder"
    )
    for image, box in faces:
        points = network.get_landmarks_from_image(image, detected_faces=[box])[0]
        yield points.astype(np.float64), nothing()[1]


PEERS = {"MediaPipe Face Mesh": mediapipe, "dlib": dlib, "face-alignment": face_alignment}


def main() -> None:
    """Write what a peer answers."""
    name, boxes, pictures, answers = sys.argv[1:]
    with np.load(pictures) as given:
        faces = ((given[str(i)], box) for i, box in enumerate(given["boxes"]))
        points, visibility = zip(*PEERS[name](faces, boxes == "detector"), strict=True)
    np.savez(answers, points=points, visibility=visibility)


if __name__ == "__main__":
    main()

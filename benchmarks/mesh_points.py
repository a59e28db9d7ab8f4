"""How near the points of MediaPipe's face mesh lie to iBUG's 68 landmarks, on training faces.

    python benchmarks/mesh_points.py --data ../shared/data --peers ~/peers

For each landmark the point that `aadn.mediapipe` gives it, and the one that lies nearest, with the
medians of their distances in percent of the inter-ocular one, on faces that are labelled by people
and about frontal. `aadn bench --peers ~/peers` makes the environment of MediaPipe.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

COUNT = 300
"""Faces that are looked at."""

POINTS = 468
"""Of the mesh, without the irises."""

AROUND = 0.5
"""What is shown to MediaPipe beside a face's box, over the box's longer side."""


def run_mesh(pictures: Path, answers: Path) -> None:
    """Face Mesh on the pictures of an .npz file; (N, 468, 2) pixels, NaN where it finds nothing."""
    solutions: Any = import_module("mediapipe").solutions.face_mesh
    mesh = solutions.FaceMesh(static_image_mode=True, max_num_faces=1)
    given, found = np.load(pictures), []
    for name in given.files:
        image = given[name]
        faces = mesh.process(image).multi_face_landmarks
        size = np.array(image.shape[1::-1])
        points = [(p.x, p.y) for p in faces[0].landmark] if faces else [(np.nan,) * 2] * POINTS
        found.append(np.array(points) * size - 0.5)
    np.save(answers, np.array(found))


def apart(labels: Any, mesh: Any) -> Any:
    """(68, 468) median distances of landmarks (N, 68, 2) and points (N, 468, 2), in %."""
    length = np.linalg.norm(labels[:, 36] - labels[:, 45], axis=1)
    distances = np.linalg.norm(labels[:, :, None] - mesh[:, None], axis=3)
    return 100 * np.median(distances / length[:, None, None], axis=0)


def main() -> None:
    """Look for them, print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--worker", type=Path, nargs=2)
    arguments = parser.parse_args()
    if arguments.worker:
        run_mesh(*arguments.worker)
        return
    from aadn.bench.environments import MEDIAPIPE, environment
    from aadn.data.folders import read_folders
    from aadn.evaluation.tables import table
    from aadn.measures.pose import head_poses
    from aadn.mediapipe import MESH_OF_IBUG
    from aadn.schemes import IBUG68

    samples = read_folders([arguments.data / "300w/lfpw/trainset"], 68)
    labels = np.array([sample.points for sample in samples])
    none = np.full(labels.shape[:2], np.nan)
    poses = head_poses(IBUG68, labels, np.ones(labels.shape[:2], bool), none, np.zeros(len(labels)))
    frontal = [s for s, pose in zip(samples, poses.angles, strict=True) if np.abs(pose).max() < 15]
    regions: dict[str, Any] = {}
    truth = []
    for i, sample in enumerate(frontal[:COUNT]):
        margin = AROUND * (sample.box[2:] - sample.box[:2]).max()
        left, top = np.maximum(sample.box[:2] - margin, 0).astype(int)
        right, bottom = np.ceil(sample.box[2:] + margin).astype(int) + 1
        regions[f"{i:04}"] = np.ascontiguousarray(sample.picture()[top:bottom, left:right])
        truth.append(sample.points - [left, top])
    with tempfile.TemporaryDirectory() as folder:
        pictures, answers = Path(folder) / "pictures.npz", Path(folder) / "answers.npy"
        np.savez(pictures, **regions)
        python = environment(MEDIAPIPE, arguments.peers)
        subprocess.run([python, __file__, "--worker", pictures, answers], check=True)
        mesh = np.load(answers)
    known = np.isfinite(mesh[:, 0, 0])
    median = apart(np.array(truth)[known], mesh[known])
    print(f"{known.sum()} faces")
    rows = [
        [str(i), str(point), f"{median[i, point]:.1f}", str(best), f"{median[i, best]:.1f}"]
        for i, (point, best) in enumerate(zip(MESH_OF_IBUG, median.argmin(axis=1), strict=True))
    ]
    print(table(["landmark", "point", "%", "nearest", "% "], rows))


if __name__ == "__main__":
    main()

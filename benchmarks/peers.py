"""aadn beside MediaPipe Face Mesh, dlib and face-alignment: the same faces, clean and covered.

    python benchmarks/peers.py --data ../shared/data [--json peers.json]

Each peer is installed into an environment of its own below --environments, once; one that cannot
be had here has a row that says why. The faces are the 224 of LFPW's test part, with what
`aadn evaluate --occlude` puts on them and with the labels of what is hidden in the pictures
themselves (natural_test.json). Boxes "truth" are drawn around the labelled landmarks, "detector"
are found by each method itself. Errors are in percent of the inter-ocular distance:

- missed: faces that were not found; they are in no other column but failed.
- nme, nme_seen, nme_hidden: of the points that all methods have (`peer_worker.MESH`): of all of
  them, of those that are seen and of those that are hidden. What others call a mouth's corner is
  not quite what 300-W's labels call so, and those lie about a pixel to the right. So each method's
  median offset from the labels, for each point in the face's own directions, measured on every
  fourth of LFPW's training faces, is taken off, aadn's too; nme_as_is leaves it in.
- failed: percent of the faces that are missed or whose nme is above 8.
- nme_68: of all 68 points, as they are.
- hidden_found, seen_called_hidden: percent of the 68 points that are hidden (seen) and that the
  method says are hidden, aadn by something that covers them; "–" from one that says it of none.

aadn learned from other pictures of 300-W, under occluders of the same kinds as these but never
these drawings. dlib's predictor learned from 300-W, and nothing says that these pictures were left
out.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from peer_worker import MESH, nearest

from aadn.bench.environments import DLIB, MEDIAPIPE, Peer, UnavailableError, environment, run
from aadn.data.folders import read_folders
from aadn.data.samples import Sample
from aadn.data.visibility_labels import with_visibility
from aadn.errors import AadnError
from aadn.evaluation.metrics import mean_over
from aadn.evaluation.tables import number, table
from aadn.files import write_whole
from aadn.geometry import beyond
from aadn.inference.landmarker import Landmarker
from aadn.inference.weights import EMBEDDED, load_weights
from aadn.occlude.evaluation import Occlude, occlude_picture, occluder_rng
from aadn.schemes import IBUG68

Array = NDArray[Any]

COMMON = list(MESH)
FAN = "https://www.adrianbulat.com/downloads/python-fan/2DFAN4-11f355bf06.pth.tar"
FACE_ALIGNMENT = Peer("face-alignment", ("face-alignment==1.5.0",))
LABELS = Path(__file__).with_name("natural_test.json")

BOXES = {MEDIAPIPE: ("detector",), DLIB: ("truth", "detector"), FACE_ALIGNMENT: ("truth",)}
"""The boxes that each peer takes."""


def install(peer: Peer, environments: Path) -> Path:
    """The interpreter of a peer's environment, which is made if it is not there yet."""
    if peer is FACE_ALIGNMENT:  # before gigabytes of what would be of no use without its network
        try:
            urllib.request.urlopen(FAN, timeout=30).close()
        except OSError as error:
            raise UnavailableError(f"{FAN}: {error}") from None
    return environment(peer, environments)


class Pictures:
    """Labelled faces with an occluder: images, visible, truth, boxes, and a file for workers."""

    def __init__(self, samples: Sequence[Sample], occlude: Occlude, folder: Path) -> None:
        self.images, visible = zip(*(prepared(s, occlude) for s in samples), strict=True)
        self.visible = np.stack(visible)
        self.truth = np.stack([sample.points for sample in samples])
        self.boxes = np.stack([sample.box for sample in samples])
        self.file = folder / "pictures.npz"
        named = {str(i): image for i, image in enumerate(self.images)}
        np.savez(self.file, boxes=self.boxes, **named)


def prepared(sample: Sample, occlude: Occlude) -> tuple[Array, Array]:
    """A picture with its occluder and what is visible on it, (68,), as `aadn evaluate` has it."""
    image, visible = sample.picture(), sample.visible
    if visible is None:
        visible = ~beyond(sample.points, image.shape[1], image.shape[0])
    if occlude == "none":
        return image, visible.astype(float)
    rng = occluder_rng(0, sample.image)
    image, left = occlude_picture(image, sample.points, IBUG68, occlude, rng)
    return image, np.where(left, visible, 0.0)


@dataclass(frozen=True, eq=False)
class Answers:
    """Of N faces the points (N, 68, 2), NaN where there is none, and which are hidden (N, 68)."""

    points: Array
    hidden: Array | None


Method = Callable[[Pictures], Answers]


def answer(landmarker: Landmarker, boxes: str, pictures: Pictures) -> Answers:
    """What aadn says."""
    shape = pictures.visible.shape
    points, hidden = np.full((*shape, 2), np.nan), np.zeros(shape, bool)
    for i, (image, box) in enumerate(zip(pictures.images, pictures.boxes, strict=True)):
        found = boxes == "detector"
        faces = landmarker(image) if found else landmarker.align(image, box[None], 0)
        best = nearest(faces.boxes, box)
        if best is not None:
            points[i], hidden[i] = faces.points[best], faces.covered[best]
    return Answers(points, hidden)


def ask(peer: Peer, python: Path, boxes: str, pictures: Pictures) -> Answers:
    """What a peer says."""
    worker, out = Path(__file__).with_name("peer_worker.py"), pictures.file.with_name("answers.npz")
    run([python, "-I", worker, peer.name, boxes, pictures.file, out])
    with np.load(out) as given:
        visibility = given["visibility"]
        hidden = visibility < 0.5 if np.isfinite(visibility).any() else None
        return Answers(given["points"], hidden)


def displaced(points: Array, truth: Array) -> Array:
    """From the truth to points, both (N, 68, 2), in percent of the inter-ocular distance.

    To the face's own left and down, so that the same point of different faces can be compared.
    """
    across = truth[:, 45] - truth[:, 36]
    down = np.stack([-across[:, 1], across[:, 0]], axis=1)
    axes = np.stack([across, down], axis=2) / (across**2).sum(axis=1)[:, None, None]
    return np.asarray(100 * (points - truth) @ axes)


def figures(answers: Answers, pictures: Pictures, offsets: Array) -> dict[str, Any]:
    """The columns of a row; `offsets` (K, 2) are those of the common points."""
    moved = displaced(answers.points, pictures.truth)
    errors, common = (np.linalg.norm(m, axis=2) for m in (moved, moved[:, COMMON] - offsets))
    found = np.isfinite(common[:, 0])
    errors, common = errors[found], common[found]
    seen, hidden = (pictures.visible[found] == state for state in (1, 0))
    called = None if answers.hidden is None else answers.hidden[found]
    return {
        "missed": len(found) - len(common),
        "nme": mean(common),
        "nme_seen": mean(mean_over(common, seen[:, COMMON])),
        "nme_hidden": mean(mean_over(common, hidden[:, COMMON])),
        "nme_as_is": mean(errors[:, COMMON]),
        "failed": 100 * (1 - float((common.mean(axis=1) <= 8).sum()) / len(found)),
        "nme_68": mean(errors) if np.isfinite(errors).all() else None,
        "hidden_found": None if called is None else mean(100 * called[hidden]),
        "seen_called_hidden": None if called is None else mean(100 * called[seen]),
    }


def mean(values: Array) -> float | None:
    """Of those that are not NaN; None if there are none."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else None


def available(environments: Path) -> tuple[dict[tuple[str, str], Method], dict[str, str]]:
    """By name and boxes what can be asked here, and by name why others cannot."""
    methods: dict[tuple[str, str], Method] = {}
    for name in EMBEDDED:
        landmarker = Landmarker(load_weights(name))
        for boxes in ("truth", "detector"):
            methods[f"aadn {name}", boxes] = partial(answer, landmarker, boxes)
    reasons = {}
    for peer, kinds in BOXES.items():
        try:
            python = install(peer, environments)
        except UnavailableError as error:
            reasons[peer.name] = str(error)
            continue
        for boxes in kinds:
            methods[peer.name, boxes] = partial(ask, peer, python, boxes)
    return methods, reasons


def measure(data: Path, environments: Path) -> list[dict[str, Any]]:
    """The table's rows."""
    tests = with_visibility(read_folders([data / "300w/lfpw/testset"], 68), [LABELS], 68)
    training = read_folders([data / "300w/lfpw/trainset"], 68)[::4]
    methods, reasons = available(environments)
    offsets: dict[tuple[str, str], Array] = {}
    rows: list[dict[str, Any]] = []
    for samples, occlude in [(training, "none"), *((tests, kind) for kind in get_args(Occlude))]:
        with tempfile.TemporaryDirectory() as folder:
            pictures = Pictures(samples, occlude, Path(folder))
            for name, boxes in list(methods):
                try:
                    answers = methods[name, boxes](pictures)
                except UnavailableError as error:
                    reasons[name] = str(error)
                    del methods[name, boxes]
                    continue
                if samples is training:
                    moved = displaced(answers.points, pictures.truth)
                    offsets[name, boxes] = np.nanmedian(moved[:, COMMON], axis=0)
                else:
                    row = {"method": name, "boxes": boxes, "occluder": occlude}
                    rows.append(row | figures(answers, pictures, offsets[name, boxes]))
    for name, reason in reasons.items():
        rows.append(dict.fromkeys(rows[0]) | {"method": name, "boxes": f"not measured: {reason}"})
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--environments", type=Path, default=Path.home() / ".cache/aadn-peers")
    parser.add_argument("--json", type=Path, help="write the rows here too")
    arguments = parser.parse_args()
    try:
        rows = measure(arguments.data, arguments.environments)
        cells = [[v if isinstance(v, str) else number(v) for v in row.values()] for row in rows]
        print(table(list(rows[0]), cells, texts=["boxes", "occluder"]), end="")
        if arguments.json:
            write_whole(arguments.json, json.dumps(rows, indent=2) + "\n")
    except AadnError as error:
        sys.exit(f"{parser.prog}: {error}")


if __name__ == "__main__":
    main()

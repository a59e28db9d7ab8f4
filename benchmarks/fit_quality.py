"""Fit the chance that a network's landmarks are right (`aadn.inference.quality`), and show it.

    python benchmarks/fit_quality.py --data ../shared/data [--weights lite | mine.onnx]

On validation faces, a share of each kind of FACES: as a detector finds them, its box and angle a
little off; the same under training's occluders, in other light, blurred and so on; and badly cut
out. And on boxes about nothing, in pictures without faces of which no detector has learned: what
the detector takes for faces there, however unsure, and boxes anywhere. Right are landmarks with a
mean error of at most 8 % of the inter-ocular distance; about nothing none are right.

It prints what was fitted and how far the chance is from what happens, on faces and pictures that
the fit did not see (five folds). With --keep it writes the two numbers into the card of the
embedded network, or into a file of one's own, and draws the default's diagram into docs/.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from natural import HELD_OUT
from natural import faces as held_out_faces
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from aadn.data.folders import read_folders
from aadn.evaluation.metrics import Reliability, normalisers, point_errors, reliability, roc_auc
from aadn.evaluation.plots import plot_reliability
from aadn.evaluation.tables import number, table
from aadn.files import write_whole
from aadn.geometry import from_units
from aadn.images import load_image
from aadn.inference.backend import CHUNK, Card
from aadn.inference.detectors import default_detector
from aadn.inference.estimates import Estimates
from aadn.inference.landmarker import Landmarker
from aadn.inference.quality import RIGHT, Quality, expected_error
from aadn.inference.weights import DEFAULT, EMBEDDED, load_exported
from aadn.models.inputs import MEAN, STD
from aadn.occlude.cutouts import Cutouts
from aadn.training.augment import Draw, Ranges, apply
from aadn.training.crops import CropSet, cut_crops

FloatArray = NDArray[np.float64]
Image = NDArray[np.uint8]

FOUND = Ranges(rotation=10, scale=0.2, shift=0.08, light=0, flip=0, grey=0, blur=0,
               low_resolution=0, noise=0)  # fmt: skip
"""A face as a detector finds it."""

HARD = replace(FOUND, light=1, grey=0.1, blur=0.15, low_resolution=0.25, noise=0.15)

FACES = {
    "as found": (FOUND, False, 1),
    "covered, in other light": (HARD, True, 2),
    "badly cut out": (replace(HARD, rotation=120, scale=0.8, shift=0.35), True, 1),
}
"""Kinds of faces: how they are changed, whether they wear training's occluders, and how often each
face is drawn so (all our choice)."""

NOTHING = "nothing"
HELD_OUT_EVERY = 5
"""Of the pictures without faces, sorted by name, no detector learned from each fifth."""

FINDS = ANYWHERE = 2
"""In each of them: the detector's best finds, and boxes laid anywhere (our choice: as many boxes
about nothing as validation faces, or more)."""

LOW = 0.05
"""Score above which the detector's finds in them count."""

FOLDS = 5
ROOT = Path(__file__).resolve().parents[1]
DIAGRAM = ROOT / "docs" / "quality.png"


@dataclass(frozen=True, eq=False)
class Cases:
    """N faces and boxes about nothing.

    Attributes:
        error: (N,) what the network expects, see `expected_error`.
        right: (N,) bool.
        kind: (N,) names of FACES, or NOTHING.
        picture: (N,) numbers; cases of one picture are on one side of a fold.
    """

    error: FloatArray
    right: NDArray[np.bool_]
    kind: NDArray[np.str_]
    picture: NDArray[np.intp]

    @classmethod
    def joined(cls, parts: list[Cases]) -> Cases:
        """All of some."""
        columns = zip(*((p.error, p.right, p.kind, p.picture) for p in parts), strict=True)
        return cls(*(np.concatenate(column) for column in columns))


def cases_of_faces(landmarker: Landmarker, crops: CropSet, cutouts: Cutouts) -> Iterator[Cases]:
    """Validation faces, each kind."""
    card = landmarker.card
    for kind, (ranges, occluders, times) in FACES.items():
        draws = Draw(crops, card.size, 7, ranges, cutouts, occluders=occluders)
        places = [(epoch, row) for epoch in range(times) for row in range(len(draws))]
        stored = torch.from_numpy(crops.images)
        for start in tqdm(range(0, len(places), CHUNK), kind, disable=None):
            some = places[start : start + CHUNK]
            batch = torch.utils.data.default_collate([draws[place] for place in some])
            images = _pictures(apply(stored, batch))
            truth = from_units(batch["points"].numpy().astype(np.float64), card.size)
            rows = np.array([row for _, row in some])
            yield _measured(card, landmarker.backend(images), truth, kind, rows)


def _pictures(images: Tensor) -> Image:
    """What a network is trained on (N, 3, S, S) as pictures (N, S, S, 3) uint8 RGB."""
    colours = images.permute(0, 2, 3, 1) * torch.tensor(STD) + torch.tensor(MEAN)
    return np.ascontiguousarray(colours.mul(255).round().clamp(0, 255).byte().numpy())


def _measured(
    card: Card, estimates: Estimates, truth: FloatArray, kind: str, pictures: NDArray[np.intp]
) -> Cases:
    lengths = normalisers(card.scheme, truth, card.scheme.normaliser)
    error = 100 * np.nanmean(point_errors(estimates.points, truth, lengths), axis=1)
    assert estimates.uncertainty is not None
    expected = expected_error(estimates.points, estimates.uncertainty, card.scheme)
    return Cases(expected, error <= RIGHT, np.full(len(error), kind), pictures)


def cases_of_nothing(landmarker: Landmarker, files: list[Path]) -> Iterator[Cases]:
    """Boxes about nothing, looked at as a call looks at them."""
    finder = Landmarker(landmarker.backend, default_detector(LOW), max_faces=FINDS)
    rng = np.random.default_rng(3)
    for i, file in enumerate(tqdm(files, NOTHING, disable=None)):
        image = load_image(file)
        faces = [finder(image), landmarker(image, boxes=_anywhere(image, rng))]
        points, uncertainty = (
            np.concatenate([getattr(some, name) for some in faces])
            for name in ("points", "uncertainty")
        )
        error = expected_error(points, uncertainty, landmarker.card.scheme)
        number = np.full(len(error), -1 - i)
        yield Cases(error, np.zeros(len(error), bool), np.full(len(error), NOTHING), number)


def _anywhere(image: Image, rng: np.random.Generator) -> FloatArray:
    """Square boxes (N, 4), from a seventh of the picture's shorter side to nearly all of it."""
    height, width = image.shape[:2]
    half = np.exp(rng.uniform(np.log(0.15), np.log(0.9), ANYWHERE)) * min(height, width) / 2
    x, y = rng.uniform(0, width, ANYWHERE), rng.uniform(0, height, ANYWHERE)
    return np.stack([x - half, y - half, x + half, y + half], axis=1)


def fitted(error: FloatArray, right: NDArray[np.bool_]) -> Quality:
    """The logistic curve of the highest likelihood, by Newton's method."""
    x = np.stack([np.ones(len(error)), np.log(error)], axis=1)
    weights = np.zeros(2)
    for _ in range(50):
        chance = 1 / (1 + np.exp(-x @ weights))
        curvature = (x * (chance * (1 - chance))[:, None]).T @ x + 1e-9 * np.eye(2)
        weights = weights + np.linalg.solve(curvature, x.T @ (right - chance))
    return Quality(*weights.tolist())


def chance(curve: Quality, error: FloatArray) -> FloatArray:
    """What a curve says of expected errors (N,)."""
    return np.asarray(1 / (1 + np.exp(-curve.bias - curve.slope * np.log(error))))


def crossed(cases: Cases) -> FloatArray:
    """The chance (N,) by curves that were fitted to other pictures."""
    given = np.empty(len(cases.error))
    fold = cases.picture * 7919 % FOLDS
    for one in range(FOLDS):
        own = fold == one
        given[own] = chance(fitted(cases.error[~own], cases.right[~own]), cases.error[own])
    return given


def report(cases: Cases, given: FloatArray) -> str:
    """A table by kind, and of all."""
    kinds = {kind: cases.kind == kind for kind in (*FACES, NOTHING)}
    rows = []
    for kind, own in {**kinds, "all": np.ones(len(given), bool)}.items():
        right, said = cases.right[own], given[own]
        curve = reliability(said, right)
        gap = float(np.nansum(curve.entries * np.abs(curve.mean - curve.share)) / len(said))
        auc = roc_auc(said, right) if right.any() and not right.all() else None
        wrong = float(np.mean(said[~right] >= 0.5)) if not right.all() else None
        shares = [100 * right.mean(), 100 * said.mean(), gap, auc]
        digits = [1, 1, 3, 4]
        cells = [number(share, n) for share, n in zip(shares, digits, strict=True)]
        low = float(np.mean(said[right] < 0.5)) if right.any() else None
        cells += [number(None if s is None else 100 * s, 1) for s in (wrong, low)]
        rows.append([kind, str(len(said)), *cells])
    titles = ["kind", "cases", "right, %", "mean quality, %", "calibration error", "ROC-AUC",
              "wrong with .5 or more, %", "right with less, %"]  # fmt: skip
    return table(titles, rows)


def kept(weights: str, curve: Quality) -> None:
    """Write a curve into an embedded network's card, or a file of one's own."""
    if weights in EMBEDDED:
        file = EMBEDDED[weights].with_suffix(".json")
        card = json.loads(file.read_text("utf-8"))
        write_whole(file, json.dumps(card | {"quality": asdict(curve)}, indent=1) + "\n")
        return
    import onnx

    model = onnx.load(weights)
    for entry in model.metadata_props:
        if entry.key == "aadn":
            entry.value = replace(Card.from_json(entry.value), quality=curve).to_json()
    write_whole(Path(weights), model.SerializeToString())


def main() -> None:
    """Fit, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--weights", default=DEFAULT, help="an embedded network, or an ONNX file of 68 points"
    )
    parser.add_argument("--keep", action="store_true", help="write the numbers and the diagram")
    arguments = parser.parse_args()
    landmarker = Landmarker(load_exported(arguments.weights))
    data: Path = arguments.data
    samples = held_out_faces(data, HELD_OUT)
    samples += read_folders([data / "ytf68" / "val"], landmarker.card.landmarks)
    crops = cut_crops(samples, landmarker.card.scheme, landmarker.card.size)
    files = sorted((data / "faces" / "negatives" / "images").iterdir())[::HELD_OUT_EVERY]
    cases = Cases.joined(
        [
            *cases_of_faces(landmarker, crops, Cutouts.load(data / "occluders")),
            *cases_of_nothing(landmarker, files),
        ]
    )
    curve, given = fitted(cases.error, cases.right), crossed(cases)
    curve = Quality(round(curve.bias, 3), round(curve.slope, 3))
    print(f"{curve}\n\n{report(cases, given)}")
    if arguments.keep:
        kept(arguments.weights, curve)
    if arguments.keep and arguments.weights == DEFAULT:
        parts: dict[str, Reliability] = {"all": reliability(given, cases.right)}
        for kind in FACES:
            own = cases.kind == kind
            parts[kind] = reliability(given[own], cases.right[own])
        plot_reliability(parts, DIAGRAM)


if __name__ == "__main__":
    main()

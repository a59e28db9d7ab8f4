"""Landmark schemes of one's own, 5 and 106 points: trained, measured, exported and detected."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from faces import drawn_face
from numpy.typing import NDArray

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from aadn.data.folders import read_folders  # noqa: E402
from aadn.data.pts import format_pts  # noqa: E402
from aadn.evaluation.measure import evaluate  # noqa: E402
from aadn.inference.landmarker import Landmarker  # noqa: E402
from aadn.inference.weights import load_weights  # noqa: E402
from aadn.models import checkpoint  # noqa: E402
from aadn.models.registry import ModelConfig  # noqa: E402
from aadn.schemes import IBUG68, read_scheme  # noqa: E402
from aadn.training.config import TrainConfig  # noqa: E402
from aadn.training.export import export  # noqa: E402
from aadn.training.loop import train  # noqa: E402

FIVE = """
name = "five"
points = ["right eye", "left eye", "nose", "mouth right", "mouth left"]
flip = [[0, 1], [3, 4]]

[contours]
mouth = [3, 4]

[normalisers]
inter-ocular = [[0], [1]]

[groups]
"right eye" = [0]
"left eye" = [1]
mouth = [3, 4]
"""

HALVED = [
    *((i, i + 1) for i in (*range(16), *range(17, 21), *range(22, 26), 27, 28)),
    *((eye + i, eye + (i + 1) % 6) for eye in (36, 42) for i in range(6)),
]
"""Pairs of the 68 points between which 106 have one more: a jaw's, brows', nose's or eye's next."""


def five(points: NDArray[np.float64]) -> NDArray[np.float64]:
    eyes = [points[36:42].mean(axis=0), points[42:48].mean(axis=0)]
    return np.array([*eyes, points[30], points[48], points[54]])


def hundred_and_six(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([points, [(points[a] + points[b]) / 2 for a, b in HALVED]])


def hundred_and_six_as_toml() -> str:
    """Without a normaliser and without groups."""
    places = {frozenset(pair): 68 + i for i, pair in enumerate(HALVED)}
    mirrored = [places[frozenset(int(IBUG68.flip[i]) for i in pair)] for pair in HALVED]
    flip = [*map(int, IBUG68.flip), *mirrored]
    pairs = [[i, j] for i, j in enumerate(flip) if i < j]
    return f'name = "106"\npoints = 106\nflip = {pairs}\n'


@pytest.mark.slow
@pytest.mark.parametrize(
    ("of_68", "toml", "normaliser"),
    [(five, FIVE, "inter-ocular"), (hundred_and_six, hundred_and_six_as_toml(), "box")],
)
def test_a_scheme_goes_all_the_way(
    tmp_path: Path, of_68: object, toml: str, normaliser: str
) -> None:
    assert callable(of_68)
    folder, file = tmp_path / "faces", tmp_path / "mine.toml"
    file.write_text(toml, "utf-8")
    scheme = read_scheme(file)
    folder.mkdir()
    for i in range(20):
        image, points = drawn_face(96, np.random.default_rng(i))
        cv2.imwrite(str(folder / f"{i}.png"), image[..., ::-1])
        (folder / f"{i}.pts").write_text(format_pts(of_68(points)))
    config = TrainConfig(
        (folder,), tmp_path / "run", scheme=str(file), hold_out=0.2, epochs=2, batch=8, workers=0,
        model=ModelConfig(size=32), device="cpu", precision="fp32",
    )  # fmt: skip

    def gone(line: str) -> None:  # once it has begun, it knows its scheme
        file.unlink(missing_ok=True)

    best = train(config, tell=gone)
    made = checkpoint.load(best)
    assert made.scheme == scheme
    assert made.config.landmarks == scheme.size

    model = tmp_path / "model.onnx"
    export(best, model)
    landmarker = Landmarker(model)
    assert landmarker.card.scheme == scheme
    samples = read_folders([folder], scheme.size)
    faces = landmarker(samples[0].image, samples[0].box[None])
    assert faces.points.shape == (1, scheme.size, 2)
    assert faces.scheme == scheme

    reports = [evaluate(Landmarker(load_weights(w)), samples[:8]) for w in (best, model)]
    assert {report.normaliser for report in reports} == {normaliser}
    first, second = (report.scores.nme for report in reports)
    assert first == pytest.approx(second, abs=1e-3)
    occluded = made.state["metrics"]
    assert occluded["nme"] > 0
    assert occluded["nme_occluded"] > 0

"""Landmark schemes of one's own, 5 and 106 points: trained, measured, exported and detected."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from faces import drawn_face
from numpy.typing import NDArray
from test_examples import load

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from aadn.data.folders import read_folders  # noqa: E402
from aadn.data.pts import format_pts  # noqa: E402
from aadn.errors import InputError, WeightsError  # noqa: E402
from aadn.evaluation.measure import evaluate  # noqa: E402
from aadn.geometry import transform  # noqa: E402
from aadn.images import load_image  # noqa: E402
from aadn.inference.landmarker import Landmarker  # noqa: E402
from aadn.inference.weights import load_weights  # noqa: E402
from aadn.models import checkpoint  # noqa: E402
from aadn.models.registry import ModelConfig  # noqa: E402
from aadn.schemes import IBUG68, read_scheme  # noqa: E402
from aadn.training.config import TrainConfig  # noqa: E402
from aadn.training.export import export  # noqa: E402
from aadn.training.loop import train  # noqa: E402
from aadn.training.other_landmarks import nearest_pairs  # noqa: E402

EXAMPLE = load("five_points")
FIVE, five = EXAMPLE.SCHEME, EXAMPLE.five
ASTRONAUT = Path(__file__).parents[1] / "examples" / "astronaut.jpg"

HALVED = [
    *((i, i + 1) for i in (*range(16), *range(17, 21), *range(22, 26), 27, 28)),
    *((eye + i, eye + (i + 1) % 6) for eye in (36, 42) for i in range(6)),
]
"""Pairs of the 68 points between which 106 have one more: a jaw's, brows', nose's or eye's next."""


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
        model=ModelConfig(size=32), device="cpu", precision="fp32", epoch_faces=1,
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


# From a network for other landmarks


def write_five(folder: Path, toml: Path, count: int) -> Path:
    """Real faces do not come with the tests: the astronaut's, turned and scaled, and five points of
    what the embedded network finds on her."""
    image = load_image(ASTRONAUT)
    points = five(Landmarker(threads=1)(image).points[0].astype(np.float64))
    toml.write_text(FIVE, "utf-8")
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(count):
        matrix = cv2.getRotationMatrix2D((256, 256), rng.uniform(-10, 10), rng.uniform(0.8, 1.2))
        frame = cv2.warpAffine(image, matrix, (512, 512), borderMode=cv2.BORDER_REPLICATE)
        cv2.imwrite(str(folder / f"{i}.jpg"), frame[..., ::-1])
        (folder / f"{i}.pts").write_text(format_pts(transform(points, np.asarray(matrix))))
    return folder


def from_lite(folder: Path, toml: Path, out: Path, **changes: Any) -> TrainConfig:
    config = TrainConfig(
        (folder,), out, scheme=str(toml), initial=Path("lite"), epochs=1, epoch_faces=1, batch=4,
        workers=0, device="cpu", precision="fp32", paint_occluders=False,
    )  # fmt: skip
    return replace(config, **changes)


def test_the_nearest_landmark_or_the_middle_of_two() -> None:
    rng = np.random.default_rng(0)
    known = rng.uniform(0, 100, (7, 6, 2))
    new = np.stack([known[:, 4], (known[:, 1] + known[:, 3]) / 2, known[:, 0]], axis=1)
    new += rng.normal(0, 0.01, new.shape)
    new[0, 0] = np.nan
    new[1, 1] += 50  # one bad label
    assert nearest_pairs(known, new).tolist() == [[4, 4], [1, 3], [0, 0]]


@pytest.mark.slow
def test_landmarks_of_ones_own_start_near_their_places(tmp_path: Path) -> None:
    """After one step, of six pictures, where a network from random weights knows nothing."""
    toml = tmp_path / "five.toml"
    folder = write_five(tmp_path / "faces", toml, 6)
    said: list[str] = []
    best = train(from_lite(folder, toml, tmp_path / "run"), tell=said.append)
    assert any("each landmark from those of ibug68 that lie nearest" in line for line in said)
    assert "the network is lite, as that of the checkpoint" in said
    made = checkpoint.load(best)
    assert (made.config.name, made.config.size, made.config.turned) == ("lite", 112, False)
    assert made.state["detector_box"] is not None
    assert made.state["crop_factor"] > 1.8  # five points lie close together
    assert made.state["metrics"]["nme"] < 6
    random = replace(from_lite(folder, toml, tmp_path / "random"), initial=None)
    config = replace(random, model=ModelConfig("lite"), crop_factor=made.state["crop_factor"])
    assert checkpoint.load(train(config)).state["metrics"]["nme"] > 15

    model = tmp_path / "five.onnx"
    export(best, model)
    faces = Landmarker(model, threads=1)(ASTRONAUT)
    true = five(Landmarker(threads=1)(ASTRONAUT).points[0].astype(np.float64))
    off = np.linalg.norm(faces.points[0] - true, axis=1).mean()
    assert off < 0.1 * np.linalg.norm(true[0] - true[1])
    # And on from there: the crop is as it was, and a resumed run needs no initial network.
    first = tmp_path / "first.safetensors"
    first.write_bytes(best.read_bytes())
    again = from_lite(folder, toml, tmp_path / "again", initial=first)
    assert checkpoint.load(train(again)).state["crop_factor"] == made.state["crop_factor"]
    first.unlink()
    resumed = checkpoint.load(train(replace(again, resume=True)).with_name("last.safetensors"))
    assert resumed.state["crop_factor"] == made.state["crop_factor"]


def test_what_cannot_start_from_other_landmarks_says_so(tmp_path: Path) -> None:
    toml = tmp_path / "five.toml"
    folder = write_five(tmp_path / "faces", toml, 4)
    odn = from_lite(folder, toml, tmp_path / "run", model=ModelConfig("odn", size=32))
    with pytest.raises(WeightsError, match="only a network heatmap or lite can start from one of"):
        train(odn)
    with pytest.raises(InputError, match=r"--relabel asks .*, which has the landmarks of ibug68"):
        train(from_lite(folder, toml, tmp_path / "run", relabel=True))
    with pytest.raises(InputError, match="expected a crop_factor from 1 to 10"):
        train(from_lite(folder, toml, tmp_path / "run", crop_factor=0.5))
    assert not (tmp_path / "run" / "last.safetensors").exists()

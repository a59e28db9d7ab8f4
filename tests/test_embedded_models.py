"""The embedded networks: where they put landmarks, what they call hidden, and that this stays so.

Golden values are rewritten by `python -m pytest --accept`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from aadn import Landmarker, load_image
from aadn.cli.main import main
from aadn.data.folders import read_folders
from aadn.data.samples import Sample
from aadn.data.visibility_labels import with_visibility
from aadn.evaluation.measure import evaluate
from aadn.evaluation.scores import Scores
from aadn.evaluation.setting import Setting
from aadn.geometry import Crop, box_of_points
from aadn.inference.weights import EMBEDDED, checkpoint_file, load_exported
from aadn.occlude.evaluation import Occluder, occlude_picture
from aadn.schemes import IBUG68

ASTRONAUT = Path(__file__).parents[1] / "examples" / "astronaut.jpg"
CARD = EMBEDDED["default"].with_suffix(".json")
GOLDEN = Path(__file__).parent / "golden"
BOX = np.array([[177.0, 87.0, 273.0, 178.0]])
"""Around her landmarks, by eye: golden values must not depend on the detector at hand."""


@dataclass(frozen=True)
class Limits:
    """What an embedded network must keep to.

    Attributes:
        bytes: of its file.
        nme: of LFPW's test faces, from true boxes.
        auc: of what hides their landmarks.
        wrongly: percent of the seen ones that it calls hidden there.
        right: share of landmarks that it calls rightly seen or hidden under an occluder.
    """

    bytes: float
    nme: float
    auc: float
    wrongly: float
    right: float


LIMITS = {
    "default": Limits(38e6, 3.2, 0.97, 0.5, 0.85),
    "lite": Limits(3e6, 3.6, 0.97, 0.5, 0.8),
}


@pytest.fixture(scope="module", params=EMBEDDED)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def landmarker(name: str) -> Landmarker:
    return Landmarker(name)


def test_golden_points(landmarker: Landmarker, name: str, accept: bool) -> None:
    golden_file = GOLDEN / f"astronaut_{name}.json"
    faces = landmarker(ASTRONAUT, boxes=BOX)
    if accept:
        GOLDEN.mkdir(exist_ok=True)
        rounded = {
            "points": faces.points[0].round(2).tolist(),
            "visibility": faces.visibility[0].round(3).tolist(),
            "uncertainty": faces.uncertainty[0].round(3).tolist(),
        }
        golden_file.write_text(json.dumps(rounded, indent=0) + "\n")
    golden = json.loads(golden_file.read_text())
    distance = np.hypot(*(faces.points[0] - np.array(golden["points"])).T)
    # Two digits are kept; processors differ in the third. OpenCV 4 takes a picture's values at
    # steps of 1/32 pixel, OpenCV 5 exactly where they are asked for.
    assert distance.max() < 0.05
    assert np.abs(faces.visibility[0] - golden["visibility"]).max() < 0.02
    np.testing.assert_allclose(faces.uncertainty[0], golden["uncertainty"], rtol=0.01)


def test_landmarks_sit_on_the_face(landmarker: Landmarker) -> None:
    faces = landmarker(ASTRONAUT)
    assert len(faces) >= 1
    points = faces.points[0]
    # Her eyes, nose tip and mouth corners, read off the picture by eye (pixels, within a few).
    for indices, place in (((36, 39), (204, 102)), ((42, 45), (247, 104)), ((48, 54), (223, 142))):
        middle = points[list(indices)].mean(axis=0)
        assert np.hypot(*(middle - place)) < 5
    assert points[8, 1] > points[57, 1] > points[33, 1] > points[27, 1]


def test_a_clean_face_is_seen(landmarker: Landmarker) -> None:
    faces = landmarker(ASTRONAUT)
    inner = slice(27, 68)  # her hair touches the temples and a brow
    assert faces.visibility[0, inner].min() > faces.visibility_threshold


@pytest.mark.parametrize("kind", ["mask", "sunglasses", "rectangle"])
def test_what_is_covered_is_called_hidden(
    landmarker: Landmarker, name: str, kind: Occluder
) -> None:
    image = load_image(ASTRONAUT)
    clean = landmarker(image, boxes=BOX)
    inter_ocular = np.hypot(*(clean.points[0, 36] - clean.points[0, 45]))
    right, moved = [], []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        covered, visible = occlude_picture(image, clean.points[0], IBUG68, kind, rng)
        faces = landmarker(covered, boxes=BOX)
        right.append((faces.hidden[0] == ~visible).mean())
        moved.append(np.hypot(*(faces.points[0] - clean.points[0]).T).mean() / inter_ocular)
    assert np.mean(right) > LIMITS[name].right
    assert np.mean(moved) < 0.06


@pytest.mark.parametrize(
    "rows_and_columns", [(slice(0, 140), slice(0, None)), (slice(0, None), slice(215, None))]
)
def test_what_lies_beyond_the_picture_is_hidden(
    landmarker: Landmarker, rows_and_columns: tuple[slice, slice]
) -> None:
    rows, columns = rows_and_columns
    image = load_image(ASTRONAUT)[rows, columns]
    left = columns.start or 0
    face = landmarker(image, boxes=BOX - [left, 0, left, 0])[0]
    beyond = (face.points < 0).any(axis=1) | (face.points[:, 1] > image.shape[0] - 1)
    assert 15 < beyond.sum() < 50
    assert face.hidden[beyond].mean() > 0.9
    assert face.hidden[~beyond].mean() < 0.1


def test_a_shadow_hides_nothing(landmarker: Landmarker) -> None:
    image = load_image(ASTRONAUT).copy()
    image[:, :222] = image[:, :222] * 0.55
    face = landmarker(image, boxes=BOX)[0]
    assert face.hidden[27:].mean() < 0.05  # her hair touches the temples and a brow


def test_hidden_landmarks_are_less_certain(landmarker: Landmarker) -> None:
    image = load_image(ASTRONAUT)
    clean = landmarker(image, boxes=BOX)
    assert (clean.uncertainty > 0).all()
    assert clean.uncertainty.mean() < 0.1 * (BOX[0, 2] - BOX[0, 0])
    rng = np.random.default_rng(0)
    covered, visible = occlude_picture(image, clean.points[0], IBUG68, "mask", rng)
    masked = landmarker(covered, boxes=BOX).uncertainty[0]
    assert masked[~visible].mean() > 1.3 * clean.uncertainty[0][~visible].mean()


def test_mirrored_picture_gives_mirrored_landmarks(landmarker: Landmarker) -> None:
    image = load_image(ASTRONAUT)
    width = image.shape[1]
    mirrored_box = BOX[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [width - 1, 0, width - 1, 0]
    plain = landmarker(image, boxes=BOX).points[0]
    mirrored = landmarker(image[:, ::-1], boxes=mirrored_box).points[0][IBUG68.flip]
    mirrored = mirrored * [-1, 1] + [width - 1, 0]
    inter_ocular = np.hypot(*(plain[36] - plain[45]))
    assert np.hypot(*(plain - mirrored).T).mean() / inter_ocular < 0.04


def test_a_loose_or_shifted_box_moves_little(landmarker: Landmarker) -> None:
    plain = landmarker(ASTRONAUT, boxes=BOX).points[0]
    inter_ocular = np.hypot(*(plain[36] - plain[45]))
    side = BOX[0, 2] - BOX[0, 0]
    for shift in ([0.08, 0, 0.08, 0], [0, -0.08, 0, -0.08], [-0.06, -0.06, 0.06, 0.06]):
        moved = landmarker(ASTRONAUT, boxes=BOX + side * np.array(shift)).points[0]
        assert np.hypot(*(plain - moved).T).mean() / inter_ocular < 0.05


def test_the_checkpoint_is_the_embedded_model(name: str) -> None:
    pytest.importorskip("torch")
    from aadn.inference.pytorch import TorchBackend

    exported = load_exported(name)
    trained = TorchBackend.load(checkpoint_file(Path(name)))
    assert trained.card == replace(exported.card, quality=None)  # fitted afterwards
    crop = Crop.around(BOX[0], trained.card.size, trained.card.crop_factor)
    crops = crop.cut(load_image(ASTRONAUT))[None]
    one, other = exported(crops), trained(crops)
    for name, most in (  # half precision
        ("points", 0.1),
        ("visibility", 0.02),
        ("occlusion", 0.02),
        ("uncertainty", 0.05),
    ):
        assert np.abs(getattr(one, name) - getattr(other, name)).max() < most


def test_the_command_takes_it_by_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["detect", str(ASTRONAUT), "--model", name]) == 0
    assert "1 face" in capsys.readouterr().out


def test_it_is_small(name: str) -> None:
    assert EMBEDDED[name].stat().st_size < LIMITS[name].bytes


def test_the_readme_quotes_the_card() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    quoted = [line.split(" | ") for line in readme.splitlines() if line.startswith("| 300w/")]
    scores = json.loads(CARD.read_text())["scores"]
    of_300w = [row for row in scores if row["folder"].startswith("300w/")]
    assert [(q[1], q[2], float(q[4])) for q in quoted] == [
        (r["boxes"], r["occlude"], float(f"{r['nme']:.4g}")) for r in of_300w
    ]


@pytest.fixture(scope="module")
def lfpw(shared_data: Path) -> list[Sample]:
    """The LFPW test faces, and what hides their landmarks, labelled by looking."""
    labels = Path(__file__).parents[1] / "benchmarks/natural_test.json"
    samples = read_folders([shared_data / "300w/lfpw/testset"], 68)
    assert len(samples) == 224
    np.testing.assert_allclose(samples[0].box, box_of_points(samples[0].points))
    return with_visibility(samples, [labels], 68)


@pytest.fixture(scope="module")
def on_lfpw(landmarker: Landmarker, lfpw: list[Sample]) -> Scores:
    return evaluate(landmarker, lfpw, progress=False).scores


@pytest.mark.slow
def test_it_holds_on_real_faces(
    landmarker: Landmarker, name: str, lfpw: list[Sample], on_lfpw: Scores
) -> None:
    """From true and from detected boxes."""
    assert on_lfpw.nme is not None
    assert on_lfpw.nme <= LIMITS[name].nme
    detected = evaluate(landmarker, lfpw, Setting(boxes="detector"), progress=False).scores
    assert detected.nme is not None
    assert detected.nme <= on_lfpw.nme + 0.2
    assert detected.missed <= 2


@pytest.mark.slow
def test_natural_occlusion_is_found(name: str, lfpw: list[Sample], on_lfpw: Scores) -> None:
    """Of hair, hats and hands, on faces never trained on."""
    assert all(sample.visible is not None for sample in lfpw)
    assert on_lfpw.visibility_auc is not None
    assert on_lfpw.visibility_auc > LIMITS[name].auc
    assert on_lfpw.visible_called_hidden is not None
    assert on_lfpw.visible_called_hidden < LIMITS[name].wrongly

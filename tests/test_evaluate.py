"""Evaluation with networks and detectors of known error, on pictures that the tests draw."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from aadn.data.folders import read_folders
from aadn.data.pts import write_pts
from aadn.data.releases import RELEASES
from aadn.data.samples import Sample
from aadn.errors import AnnotationError, ImageError, InputError, NetworkError
from aadn.evaluation import measure as module
from aadn.evaluation.measure import evaluate
from aadn.evaluation.metrics import roc_auc
from aadn.evaluation.protocol import evaluate_benchmark, evaluate_folders, labelled, protocol_of
from aadn.evaluation.report import Report
from aadn.evaluation.scores import Measured, Scores
from aadn.evaluation.setting import Setting
from aadn.geometry import Crop, box_of_points
from aadn.inference.backend import Card
from aadn.inference.detections import Detections, Detector
from aadn.inference.estimates import Estimates
from aadn.inference.landmarker import Landmarker
from aadn.schemes import IBUG68, Scheme

FloatArray = NDArray[np.float64]

SIZE, FACTOR = 64, 1.3
KEYS = {
    "images", "missed", "normaliser", "nme", "nme_visible", "nme_hidden", "fr_8", "fr_10",
    "auc_8", "visibility_labels", "visibility_auc", "hidden_points", "hidden_average_precision",
    "hidden_recall_at_precision_80", "visible_called_hidden", "calibration_error", "boxes",
    "occlude", "seed", "model", "parts", "benchmark", "threshold", "fr", "auc", "nme_p90",
    "nme_p95", "nme_p99", "visibility_threshold", "uncertainty_ratio", "uncertainty_correlation",
    "called_hidden", "map_auc", "occluders", "turned_auc", "turned_points", "turned_called_turned",
    "others_called_turned",
}  # fmt: skip


def face() -> FloatArray:
    """68 points about (0, 0); the outer eye corners are 40 apart, the box is 80 by 64."""
    points = np.zeros((68, 2))
    angle = np.linspace(np.pi, 0, 17)
    points[:17] = np.stack([40 * np.cos(angle), 40 * np.sin(angle)], axis=1)
    points[17:22] = np.stack([np.linspace(-28, -8, 5), [-20, -23, -24, -23, -20]], axis=1)
    points[22:27] = points[17:22][::-1] * [-1, 1]
    points[27:31, 1] = np.linspace(-12, 6, 4)
    points[31:36] = np.stack([np.linspace(-6, 6, 5), [8, 9, 10, 9, 8]], axis=1)
    points[36:42] = [[-20, -12], [-16, -15], [-12, -15], [-8, -12], [-12, -10], [-16, -10]]
    points[[45, 44, 43, 42, 47, 46]] = points[36:42] * [-1, 1]
    angle = np.linspace(np.pi, 3 * np.pi, 13)[:12]
    points[48:60] = np.stack([12 * np.cos(angle), 20 + 5 * np.sin(angle)], axis=1)
    angle = np.linspace(np.pi, 3 * np.pi, 9)[:8]
    points[60:68] = np.stack([9 * np.cos(angle), 20 + 2 * np.sin(angle)], axis=1)
    return points


# One shape: in the crop around its own box it always has the same coordinates.
IN_CROP = Crop.around(box_of_points(face()), SIZE, FACTOR).to_crop(face())
SCALE = SIZE / (FACTOR * 80)  # crop pixels for one picture pixel of a face of the size above


class Fake:
    """Gives every face's true points, moved to the right by an amount in the crop's red value.

    The picture's red value is the error in percent of the inter-ocular distance, times ten.
    """

    card = Card("fake", IBUG68, SIZE, FACTOR, 0.5)

    def __init__(
        self, visibility: ArrayLike | None = None, turned: ArrayLike | None = None
    ) -> None:
        self.visibility = np.full(68, 0.8) if visibility is None else np.asarray(visibility)
        self.turned = turned
        self.calls: list[int] = []

    def __call__(self, crops: NDArray[np.uint8]) -> Estimates:
        assert crops.dtype == np.uint8
        assert crops.shape[1:] == (SIZE, SIZE, 3)
        self.calls.append(len(crops))
        points = np.tile(IN_CROP, (len(crops), 1, 1))
        percent = np.median(crops[..., 0].reshape(len(crops), -1), axis=1) / 10
        points[..., 0] += (percent / 100 * 40 * SCALE)[:, None]
        visibility = np.tile(self.visibility, (len(crops), 1)).astype(np.float32)
        turned = None
        if self.turned is not None:
            turned = np.tile(np.asarray(self.turned, np.float32), (len(crops), 1))
        return Estimates(points.astype(np.float32), visibility, turned=turned)


def measured(
    network: Fake, samples: list[Sample], detector: Detector | None = None, **setting: Any
) -> Report:
    return evaluate(Landmarker(network, detector), samples, Setting(**setting))


def close(value: Any) -> Any:
    """Points come as float32."""
    return pytest.approx(value, rel=1e-4)


def draw(
    folder: Path, name: str, percent: float, place: tuple[float, float] = (90.0, 70.0)
) -> Sample:
    """A picture of 180×140 pixels whose colour is the error that `Fake` makes on it."""
    folder.mkdir(parents=True, exist_ok=True)
    picture = np.full((140, 180, 3), 40, np.uint8)
    picture[..., 2] = round(10 * percent)  # OpenCV writes BGR: this is red
    assert cv2.imwrite(str(folder / name), picture)
    points = face() + place
    return Sample(folder / name, points, box_of_points(points))


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    """Faces on which the error is 2, 6, 9 and 11 percent."""
    places = [(90.0, 70.0), (60.0, 60.5), (120.25, 80.0), (90.0, 70.0)]
    return [
        draw(tmp_path / "set", f"{i}.png", percent, place)
        for i, (percent, place) in enumerate(zip((2, 6, 9, 11), places, strict=True))
    ]


def test_numbers_by_hand(samples: list[Sample]) -> None:
    report = measured(Fake(), samples)
    np.testing.assert_allclose(report.nme, [2, 6, 9, 11], rtol=1e-4)
    scores = report.scores
    assert scores.nme == close(7)
    assert scores.nme_visible == close(7)  # nothing says otherwise: all are visible
    assert (scores.images, scores.missed) == (4, 0)
    assert (scores.fr_8, scores.fr_10) == (50, 25)
    assert scores.auc_8 == close(100 * (1 - (2 + 6 + 8 + 8) / 4 / 8))
    assert {k for k, v in scores.to_dict().items() if v is None} == {
        "nme_hidden", "visibility_auc", "hidden_points", "calibration_error",
        "hidden_average_precision", "hidden_recall_at_precision_80", "visible_called_hidden",
        "uncertainty_ratio", "uncertainty_correlation", "map_auc", "turned_auc", "turned_points",
        "turned_called_turned", "others_called_turned",
    }  # fmt: skip


def test_what_the_json_holds(samples: list[Sample]) -> None:
    report = measured(Fake(), [replace(s, parts=("x",)) for s in samples])
    content = report.to_dict()
    assert set(content) == KEYS
    assert (content["normaliser"], content["boxes"], content["threshold"]) == (
        "inter-ocular", "truth", 8,
    )  # fmt: skip
    assert (content["occlude"], content["occluders"], content["seed"]) == ("none", None, 0)
    assert content["model"] == {"name": "fake", "sha256": None}
    assert content["visibility_threshold"] == 0.5
    assert content["parts"] == [{"part": "x", **report.scores.to_dict()}]
    assert {field.name for field in fields(Scores)} <= set(content)
    assert json.loads(report.to_json()) == content
    with_file = replace(report, sha256="ab", setting=Setting(occlude="mask", occluders="a/b"))
    assert with_file.to_dict()["model"]["sha256"] == "ab"
    assert with_file.to_dict()["occluders"] == "b"


def test_the_eye_corners_are_named_where_the_scheme_is_known(samples: list[Sample]) -> None:
    report = measured(Fake(), samples)
    start = "NME in % of the inter-ocular distance"
    assert report.markdown().startswith(f"{start} (outer eye corners), boxes from ")
    # Of the same name, but measured between the pupils.
    content = IBUG68.to_dict()
    content["normalisers"]["inter-ocular"] = content["normalisers"]["inter-pupil"]
    own = replace(report, card=replace(report.card, scheme=Scheme.of(content)))
    assert own.markdown().startswith(f"{start}, boxes from ")


def test_other_normalisers(samples: list[Sample]) -> None:
    for normaliser, length in {
        "inter-pupil": 28,  # the eyes' means are at ±14
        "box": np.sqrt(80 * 64),
        "diagonal": np.hypot(80, 64),
    }.items():
        report = measured(Fake(), samples, normaliser=normaliser)
        assert report.scores.nme == close(7 * 40 / length)
        assert report.normaliser == normaliser
        assert normaliser in report.markdown()


def test_a_scheme_of_ones_own(samples: list[Sample]) -> None:
    """68 points without eyes: the box is what errors are divided by, where nothing else is said."""
    own = Scheme.of({"name": "own", "points": 68})

    class Own(Fake):
        card = Card("own", own, SIZE, FACTOR, 0.5)

    report = measured(Own(), samples)
    assert report.normaliser == "box"
    assert report.scores.nme == close(7 * 40 / np.sqrt(80 * 64))
    hidden = measured(Own(), samples, occlude="rectangle").scores.hidden_points
    assert hidden is not None
    assert hidden > 0
    with pytest.raises(
        InputError, match=r"0\.png: the scheme own .* inter-ocular.* choose another"
    ):
        measured(Own(), samples, normaliser="inter-ocular")


def test_points_that_are_not_labelled_are_left_out(samples: list[Sample]) -> None:
    points = samples[0].points.copy()
    points[5] = points[60] = np.nan
    report = measured(Fake(), [Sample(samples[0].image, points, samples[0].box)])
    assert report.scores.nme == close(2)


def test_faces_go_through_the_network_together(samples: list[Sample]) -> None:
    network = Fake()
    np.testing.assert_allclose(measured(network, 20 * samples).nme, 20 * [2, 6, 9, 11], rtol=1e-4)
    assert network.calls == [64, 16]


def finder(samples: list[Sample], shift: Callable[[int], FloatArray]) -> Any:
    """A detector that finds a face that is none, and the right box moved by `shift(i)`."""
    by_colour = {round(10 * p): i for i, p in enumerate((2, 6, 9, 11))}

    def detector(image: NDArray[np.uint8]) -> Detections:
        i = by_colour[int(image[0, 0, 0])]
        right = samples[i].box + shift(i)
        return Detections(np.stack([[0.0, 0, 20, 20], right]), np.array([0.99, 0.6]), np.zeros(2))

    return detector


def test_boxes_from_a_detector(samples: list[Sample]) -> None:
    # The crop moves with the box and the fake points with the crop: by (-2, 1.5) pixels.
    detector = finder(samples, lambda i: np.array([-2, 1.5, -2, 1.5]))
    report = measured(Fake(), samples, detector, boxes="detector")
    right = np.array([2, 6, 9, 11]) * 0.4 - 2
    np.testing.assert_allclose(report.nme, np.hypot(right, 1.5) / 0.4, rtol=1e-4)
    assert report.scores.missed == 0
    assert report.setting.boxes == "detector"
    # A given detector is not asked unless wanted.
    assert measured(Fake(), samples, detector).scores.nme == close(7)


def test_missed_faces_leave_the_errors_but_are_counted(samples: list[Sample]) -> None:
    # Box 0 is moved by half its width (overlap 1/3), box 1 by 0.6 of it (1/4: missed).
    detector = finder(samples, lambda i: np.array([1, 0, 1, 0]) * 80.0 * (0, 0.6, 0, 0.6)[i])
    parted = [replace(s, parts=(name,)) for s, name in zip(samples, "aabb", strict=True)]
    report = measured(Fake(), parted, detector, boxes="detector")
    np.testing.assert_allclose(report.nme, [2, 9], rtol=1e-4)
    assert (report.scores.images, report.scores.missed) == (4, 2)
    assert report.scores.fr_8 == 50  # of the two that were found
    assert [part.missed for part in report.parts.values()] == [1, 1]
    half = finder(samples, lambda i: np.array([40.0, 0, 40, 0]))
    assert measured(Fake(), samples, half, boxes="detector").scores.missed == 0


@pytest.mark.parametrize("found", [[], [[0.0, 0, 9, 9]]])
def test_no_face_found_at_all(samples: list[Sample], found: list[list[float]]) -> None:
    boxes = np.array(found).reshape(-1, 4)
    network = Fake()
    report = measured(network, samples, lambda _: (boxes, np.ones(len(boxes))), boxes="detector")
    assert network.calls == []
    scores = report.scores
    assert (scores.images, scores.missed) == (4, 4)
    assert scores.nme is scores.nme_visible is scores.nme_hidden is scores.visibility_auc is None
    assert scores.fr_8 is scores.fr_10 is scores.auc_8 is scores.nme_p90 is scores.auc is None
    json.loads(report.to_json())
    assert "| 4 | 4 | – |" in report.markdown()


class Covered(Fake):
    """Its map covers the left half of the crop wholly, the right half by half."""

    def __call__(self, crops: NDArray[np.uint8]) -> Estimates:
        occlusion = np.full((len(crops), 7, 7), 0.5, np.float32)
        occlusion[:, :, :3], occlusion[:, :, 3] = 1, 0.75
        return replace(super().__call__(crops), occlusion=occlusion)


def test_the_map_is_read_at_the_landmarks(samples: list[Sample]) -> None:
    left = samples[0].points[:, 0] < samples[0].points[:, 0].mean()
    labelled = [replace(s, visible=~left) for s in samples]
    report = measured(Covered(), labelled)
    # Cells 0…2 lie left of 3/7 of the crop, whose middle is at 1/2: between them it is bilinear.
    for sample, predicted, visible_map in zip(
        samples, report.predicted, report.measured.visible_map, strict=True
    ):
        place = Crop.around(sample.box, SIZE, FACTOR).to_crop(predicted)[:, 0]
        expected = 1 - np.interp((place + 0.5) / SIZE * 7 - 0.5, [2, 3, 4], [1, 0.75, 0.5])
        np.testing.assert_allclose(visible_map, expected, atol=0.01)
    assert report.scores.map_auc is not None
    assert report.scores.map_auc > 0.99
    assert report.scores.visibility_auc == 0.5  # the head says the same of all


def test_visibility_by_hand(samples: list[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    """An occluder that hides points 0…33 and darkens nothing; the network knows it in part."""
    hidden = np.arange(68) < 34

    def stub(
        image: NDArray[np.uint8],
        points: FloatArray,
        scheme: Scheme,
        kind: str,
        rng: Any,
        cutouts: Any,
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        assert scheme is IBUG68
        assert kind == "mask"
        assert cutouts is None
        return image, ~hidden

    monkeypatch.setattr(module, "occlude_picture", stub)
    # Of the hidden 17 are found (0.1), 17 not (0.9); of the visible 4 are called hidden (0.2).
    visibility = np.where(np.arange(68) < 17, 0.1, 0.9)
    visibility[64:] = 0.2
    scores = measured(Fake(visibility), samples, occlude="mask").scores
    assert scores.nme_visible == close(7)
    assert scores.nme_hidden == close(7)
    assert scores.hidden_points == 4 * 34
    # Pairs (visible, hidden): 30·17 right, 30·17 tied, 4·17 right, 4·17 wrong.
    assert scores.visibility_auc == close((30 * 17 + 30 * 17 / 2 + 4 * 17) / (34 * 34))
    assert scores.hidden_recall_at_precision_80 == close(50)  # 17 of 21: 81 %
    assert scores.visible_called_hidden == close(100 * 4 / 34)
    assert scores.called_hidden == close(100 * 21 / 68)
    # Intervals: 17 at 0.1 (none visible), 4 at 0.2 (all), 47 at 0.9 (30).
    calibration = (17 * 0.1 + 4 * 0.8 + abs(47 * 0.9 - 30)) / 68
    assert scores.calibration_error == close(calibration)
    assert scores.hidden_average_precision == close(0.5 * 1 + 0.5 * 0.5)
    # At the threshold itself a landmark counts as visible, as in `Faces.hidden`.
    scores = measured(Fake([0.5] * 68), samples, occlude="mask").scores
    assert scores.visible_called_hidden == 0


def test_what_is_turned_away_is_measured_apart(samples: list[Sample]) -> None:
    """Of 68 landmarks 10 are labelled turned away, 8 are unknown and 50 are not."""
    true = np.array([1.0] * 10 + [np.nan] * 8 + [0.0] * 50)
    away = [0.9] * 8 + [0.1] * 2 + [0.9] * 8 + [0.6] * 5 + [0.1] * 45
    seen = [0.1] * 8 + [0.9] * 2 + [0.1] * 8 + [0.2] * 5 + [0.9] * 45
    report = measured(Fake(seen, away), [replace(s, turned=true) for s in samples])
    scores = report.scores
    assert scores.turned_points == 4 * 10
    # Pairs: 8 of 10 above all 50; 2 below 5 and tied with 45.
    assert scores.turned_auc == close((8 * 50 + 2 * 45 / 2) / (10 * 50))
    assert scores.turned_called_turned == close(80)
    assert scores.others_called_turned == close(10)
    # Given that they are not turned away, five are covered as likely as not, and the rest free.
    np.testing.assert_allclose(report.measured.visibility[0, 18:23], 0.5, rtol=1e-5)
    np.testing.assert_allclose(report.measured.visibility[0, 23:], 1, rtol=1e-5)
    curve = report.measured.turned_reliability()
    assert curve is not None
    assert curve.entries.sum() == 4 * 60
    two_states = measured(Fake(seen), [replace(s, turned=true) for s in samples])
    assert two_states.scores.turned_auc is None
    assert two_states.measured.turned_reliability() is None


def test_landmarks_without_a_label_have_no_visibility(samples: list[Sample]) -> None:
    """MERL-RAV: 10 hidden by an object, 20 by the face itself, their place unknown."""
    visible = np.arange(68) >= 30
    points = [s.points.copy() for s in samples]
    for face in points:
        face[10:30] = np.nan
    parted = [replace(s, points=p, visible=visible) for s, p in zip(samples, points, strict=True)]
    seen = np.where(np.arange(68) < 30, 0.1, 0.9)
    scores = measured(Fake(seen), parted, normaliser="box").scores
    assert scores.hidden_points == 4 * 10
    assert scores.visibility_auc == 1
    scores = measured(Fake(np.where(np.arange(68) < 10, 0.1, 0.9)), parted, normaliser="box").scores
    assert scores.calibration_error == close(0.1)  # the 20 called visible do not count


def test_unsure_landmarks_have_errors_but_no_visibility(samples: list[Sample]) -> None:
    """0…9 are hidden, 10…29 unsure; the unsure ones' errors and maps are unlike the others'."""

    class Worse(Fake):
        """Misses points 10…29 by another 8 percent, and covers the lower half of the face."""

        def __call__(self, crops: NDArray[np.uint8]) -> Estimates:
            estimates = super().__call__(crops)
            estimates.points[:, 10:30, 0] += 0.08 * 40 * SCALE
            rows = np.linspace(0, 1, 7, dtype=np.float32)[:, None]
            return replace(estimates, occlusion=np.tile(rows, (len(crops), 1, 7)))

    said = np.where(np.arange(68) < 10, 0.0, np.where(np.arange(68) < 30, np.nan, 1.0))
    labelled = [replace(s, visible=said) for s in samples]
    seen = np.where(np.arange(68) < 10, 0.1, np.where(np.arange(68) < 30, 0.2, 0.9))
    report = measured(Worse(seen), labelled)
    scores = report.scores
    assert [scores.nme_visible, scores.nme_hidden] == close([7, 7])
    assert scores.nme == close(7 + 8 * 20 / 68)
    assert scores.hidden_points == 4 * 10
    assert scores.visibility_auc == 1
    assert scores.visible_called_hidden == 0
    assert scores.called_hidden == close(100 * 30 / 68)  # of all: the unsure ones too
    assert scores.calibration_error == close(0.1)
    known = np.isfinite(said)
    assert scores.map_auc == roc_auc(report.measured.visible_map[:, known].ravel(),
                                   np.tile(said[known] == 1, 4))  # fmt: skip
    curve = report.measured.reliability()
    assert curve is not None
    assert curve.entries.sum() == 4 * 48


def test_percentiles_and_the_protocols_threshold(samples: list[Sample]) -> None:
    scores = measured(Fake(), samples, threshold=5).scores  # 2, 6, 9 and 11 percent
    assert (scores.fr, scores.fr_8) == (75, 50)
    assert scores.auc == close(100 * (1 - (2 + 5 + 5 + 5) / 4 / 5))
    assert scores.nme_p90 == close(9 + 0.7 * 2)  # between the last two, 2.7 of 3
    assert scores.nme_p99 == close(9 + 0.97 * 2)


def test_hidden_and_visible_errors_apart(samples: list[Sample]) -> None:
    """With labels of visibility; faces without hidden points do not count in `nme_hidden`."""

    class Worse(Fake):
        """Misses points 0…9 by another 8 percent."""

        def __call__(self, crops: NDArray[np.uint8]) -> Estimates:
            estimates = super().__call__(crops)
            estimates.points[:, :10, 0] += 0.08 * 40 * SCALE
            return estimates

    visible = np.ones((4, 68), bool)
    visible[0, :5] = visible[1, :20] = False
    labelled = [Sample(s.image, s.points, s.box, v) for s, v in zip(samples, visible, strict=True)]
    scores = measured(Worse(), labelled).scores
    assert scores.nme_hidden == close(((2 + 8) + (6 + 4)) / 2)
    seen = [2 + 8 * 5 / 63, 6, 9 + 8 * 10 / 68, 11 + 8 * 10 / 68]
    assert scores.nme_visible == close(np.mean(seen))
    assert scores.hidden_points == 25
    assert scores.visibility_auc == 0.5
    # Labels on some faces only: then nothing is known of the others, and nothing is said.
    scores = measured(Worse(), [*labelled[:2], *samples[2:]]).scores
    assert scores.nme_hidden is None
    assert scores.nme_visible == scores.nme


class Doubting(Fake):
    """Moves landmark i by a further i/100 percent, and expects the distances it is given.

    These are (N, L) in percent of the inter-ocular distance.
    """

    def __init__(self, percent: ArrayLike) -> None:
        super().__init__()
        self.percent = np.asarray(percent, np.float64)

    def __call__(self, crops: NDArray[np.uint8]) -> Estimates:
        estimates = super().__call__(crops)
        estimates.points[..., 0] += np.arange(68) / 1e4 * 40 * SCALE
        pixels = self.percent / 100 * 40 * SCALE
        return replace(estimates, uncertainty=pixels.astype(np.float32))


DISTANCES = np.array([[2.0], [6], [9], [11]]) + np.arange(68) / 100


def test_uncertainty_by_hand(samples: list[Sample]) -> None:
    report = measured(Doubting(DISTANCES / 2), samples)
    assert report.scores.uncertainty_ratio == close(2)  # too sure by half
    assert report.scores.uncertainty_correlation == close(1)
    np.testing.assert_allclose(report.measured.uncertainty, DISTANCES / 2, rtol=1e-5)
    # The other way round, and some that are not labelled, which do not count.
    points = samples[3].points.copy()
    points[2:30] = np.nan
    known = np.ones((4, 68), bool)
    known[3, 2:30] = False
    some = [*samples[:3], Sample(samples[3].image, points, samples[3].box)]
    scores = measured(Doubting(20 - DISTANCES), some).scores
    ratio = DISTANCES[known].sum() / (20 - DISTANCES)[known].sum()
    assert scores.uncertainty_ratio == close(ratio)
    assert scores.uncertainty_correlation == close(-1)
    constant = measured(Doubting(np.full((4, 68), 7.335)), samples).scores
    assert constant.uncertainty_ratio == close(1)  # 28 / 4 + 0.67 / 2


def test_uncertainty_is_judged_whatever_the_size_of_the_picture(tmp_path: Path) -> None:
    """The same face twice as large: twice the pixels, the same percent."""
    sample = draw(tmp_path, "a.png", 2)
    image = sample.picture().repeat(2, axis=0).repeat(2, axis=1)
    points = 2 * sample.points + 0.5
    large = replace(sample, points=points, box=box_of_points(points), read=lambda: image)
    report = measured(Doubting(np.full((2, 68), 3.0)), [sample, large])
    np.testing.assert_allclose(report.measured.uncertainty, 3, rtol=1e-5)


def test_uncertainty_of_missed_faces_does_not_count(samples: list[Sample]) -> None:
    detector = finder(samples, lambda i: np.array([1, 0, 1, 0]) * 80.0 * (0, 0, 0.6, 0.6)[i])
    scores = measured(Doubting(DISTANCES[[0, 1]]), samples, detector, boxes="detector").scores
    assert scores.uncertainty_ratio == close(1)


def test_reliability_of_visibility(samples: list[Sample]) -> None:
    visible = np.ones((4, 68), bool)
    visible[:, :17] = False
    labelled = [Sample(s.image, s.points, s.box, v) for s, v in zip(samples, visible, strict=True)]
    report = measured(Fake(np.where(np.arange(68) < 34, 0.25, 0.9)), labelled)
    got = report.measured.reliability(4)
    assert got is not None
    assert got.entries.tolist() == [0, 4 * 34, 0, 4 * 34]
    np.testing.assert_allclose(got.mean, [np.nan, 0.25, np.nan, 0.9])
    np.testing.assert_allclose(got.share, [np.nan, 0.5, np.nan, 1])
    assert measured(Fake(), samples).measured.reliability() is None  # no labels


def test_beyond_the_border_is_hidden_unless_the_release_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = draw(tmp_path, "a.png", 2, (39.25, 70))  # jaw point 0 at x = -0.75, 1 at -0.0
    nothing = np.ones(68, bool)
    monkeypatch.setattr(module, "occlude_picture", lambda image, *_: (image, nothing))
    assert measured(Fake(), [sample], occlude="mask").scores.hidden_points == 1
    labelled = replace(sample, visible=nothing)
    assert measured(Fake(), [labelled]).scores.hidden_points == 0


KINDS = ("rectangle", "mask", "sunglasses", "hand")


class Looking(Fake):
    """Its visibility depends on what it sees, so that any other occluder changes the numbers."""

    def __call__(self, crops: NDArray[np.uint8]) -> Estimates:
        place = np.clip(IN_CROP.round().astype(int), 0, SIZE - 1)
        visibility = crops[:, place[:, 1], place[:, 0], 1] / 255
        return replace(super().__call__(crops), visibility=visibility.astype(np.float32))


@pytest.mark.parametrize("kind", KINDS)
def test_occluders_repeat_whatever_the_order(samples: list[Sample], kind: Any) -> None:
    first = measured(Looking(), samples, occlude=kind, seed=3)
    assert first.scores.hidden_points is not None
    assert 0 < first.scores.hidden_points < 4 * 68
    assert first.scores.visibility_auc is not None
    again = measured(Looking(), samples, occlude=kind, seed=3)
    assert again.to_dict() == first.to_dict()
    turned = measured(Looking(), samples[::-1], occlude=kind, seed=3)
    np.testing.assert_array_equal(turned.nme, first.nme[::-1])
    assert turned.scores.to_dict() == pytest.approx(first.scores.to_dict())
    other = measured(Looking(), samples, occlude=kind, seed=4)
    assert other.scores.visibility_auc != first.scores.visibility_auc


def test_occluders_do_not_depend_on_where_the_data_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports = []
    for root in ("here", "there"):
        sample = draw(tmp_path / root / "set", "a.png", 4)
        reports.append(measured(Looking(), [sample], occlude="rectangle").to_dict())
    monkeypatch.chdir(tmp_path / "here" / "set")  # nor on how its folder is named
    sample = replace(sample, image=Path("a.png"))
    reports.append(measured(Looking(), [sample], occlude="rectangle").to_dict())
    assert reports[0] == reports[1] == reports[2]


def test_detection_sees_the_occluder(samples: list[Sample]) -> None:
    seen = []

    def detector(image: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
        seen.append(len(np.unique(image.reshape(-1, 3), axis=0)))
        return np.empty((0, 4)), np.empty(0)

    measured(Fake(), samples, detector, boxes="detector")
    measured(Fake(), samples, detector, boxes="detector", occlude="rectangle")
    assert seen[:4] == [1] * 4
    assert min(seen[4:]) > 50


def test_parts_are_reported_apart(samples: list[Sample]) -> None:
    """On faces of 2, 6, 9 and 11 percent; the first belongs to two parts, the last to none."""
    named = zip(samples, [("y", "z"), ("x",), ("y",), ()], strict=True)
    report = measured(Fake(), [replace(sample, parts=parts) for sample, parts in named])
    assert list(report.parts) == ["y", "z", "x"]
    assert [part.nme for part in report.parts.values()] == close([5.5, 2, 6])
    assert [part.images for part in report.parts.values()] == [2, 1, 1]
    assert report.scores.nme == close(7)
    lines = report.markdown().splitlines()
    assert [line.split(" | ")[0] for line in lines[-3:]] == ["| z", "| x", "| all"]
    assert len({line.count("|") for line in lines[2:]}) == 1
    assert len(measured(Fake(), samples).markdown().splitlines()) == 5


def bad(sample: Sample, points: FloatArray) -> list[Sample]:
    return [sample, Sample(sample.image, points, sample.box)]


def test_wrong_input_is_named(samples: list[Sample], tmp_path: Path) -> None:
    def fails(error: type[Exception], match: str, these: list[Sample], **options: Any) -> None:
        with pytest.raises(error, match=match):
            measured(Fake(), these, **options)

    one = samples[0]
    fails(InputError, "at least one", [])
    fails(InputError, "expected normaliser of inter-ocular", samples, normaliser="ears")
    fails(InputError, "expected boxes of truth, detector; got 'x'", samples, boxes="x")
    fails(InputError, "expected occluder of none, rectangle", samples, occlude="fog")
    fails(InputError, "seed of 0 or more", samples, seed=-1)
    fails(InputError, r"0\.png: expected 68 landmarks .* got 67", bad(one, one.points[:67]))
    unlabelled = np.where(np.arange(68)[:, None] == 36, np.nan, one.points)
    fails(InputError, r"0\.png: .*inter-ocular", bad(one, unlabelled))
    fails(InputError, r"0\.png: an occluder needs all", bad(one, unlabelled), occlude="hand")
    fails(AnnotationError, r"0\.png: landmark 0 .* far outside", bad(one, one.points + 1000))
    text = tmp_path / "text.jpg"
    text.write_text("no picture")
    fails(ImageError, r"text\.jpg", [Sample(text, one.points, one.box)])

    class Broken(Fake):
        def __call__(self, crops: NDArray[np.uint8]) -> Estimates:
            points = super().__call__(crops).points
            return Estimates(points * np.float32(np.nan), points[..., 0])

    with pytest.raises(NetworkError, match="the network gives points that is not finite"):
        measured(Broken(), samples)


def test_a_missed_face_has_no_say_in_visibility() -> None:
    nothing = np.full((1, 68), np.nan)
    truth = (np.arange(68) % 2 == 0).astype(float)[None]
    faces = Measured(nothing, np.array([True]), truth, nothing, nothing, nothing)
    scores = faces.scores(8, 0.5)
    assert (scores.images, scores.missed, scores.hidden_points) == (1, 1, 0)
    assert scores.visibility_auc is scores.called_hidden is scores.visible_called_hidden is None
    assert faces.reliability() is None


def data_set(root: Path) -> list[Path]:
    """Two folders in 300W's layout with errors of 2 and 4, and of 9 percent."""
    for name, percent in (("a/x", 2), ("a/y", 4), ("b/deep/z", 9)):
        sample = draw((root / name).parent, f"{Path(name).name}.png", percent)
        write_pts(sample.image.with_suffix(".pts"), sample.points)
    return [root / "a", root / "b"]


def test_folders(tmp_path: Path) -> None:
    folders = data_set(tmp_path)
    report = evaluate_folders(Landmarker(Fake()), folders)
    assert report.scores.nme == close(5)
    assert list(report.parts) == [str(folder) for folder in folders]
    assert [part.nme for part in report.parts.values()] == close([3, 9])
    assert report.benchmark is None
    report.write_json(tmp_path / "out" / "r.json")
    assert json.loads((tmp_path / "out" / "r.json").read_text("utf-8")) == report.to_dict()


def test_folders_take_labels_of_visibility(tmp_path: Path) -> None:
    folders = data_set(tmp_path)
    one = {"hidden": [[0, 1, 2]], "unsure": [[3]]}
    other = {"hidden": [[0], [0, 5]], "unsure": [[], []]}
    file = tmp_path / "hidden.json"
    file.write_text(json.dumps({"a/x.png": one, "deep/z.png": other}), "utf-8")
    landmarker = Landmarker(Fake())
    report = evaluate_folders(landmarker, folders, visibility_labels=[file])
    assert report.scores.hidden_points == 4
    assert [part.hidden_points for part in report.parts.values()] == [3, 1]
    assert report.scores.nme == close(5)  # of all three
    assert report.scores.nme_visible == close((2 + 9) / 2)  # a/y is not labelled
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert report.to_dict()["visibility_labels"] == [{"name": "hidden.json", "sha256": digest}]
    assert labelled(report.samples) == 2
    report = evaluate_folders(landmarker, folders)
    assert report.scores.hidden_points is None
    assert labelled(report.samples) == 0
    with pytest.raises(AnnotationError, match=r"none\.json: cannot be read as labels"):
        evaluate_folders(landmarker, folders, visibility_labels=[tmp_path / "none.json"])


def test_a_benchmark_is_measured_by_its_protocol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder, _), faces = data_set(tmp_path), read_folders([tmp_path / "a"])
    release = replace(
        RELEASES["300w"], read=lambda *_: faces, counts={"test": {"all": 3}}, threshold=3.0
    )
    monkeypatch.setitem(RELEASES, "300w", release)
    landmarker = Landmarker(Fake())
    with pytest.raises(AnnotationError, match="2 of 3"):
        evaluate_benchmark(landmarker, "300w", folder)
    report = evaluate_benchmark(landmarker, "300w", folder, incomplete=True)
    assert report.benchmark == {"name": "300w", "split": "test", "incomplete": True}
    assert report.setting == protocol_of("300w") == Setting("inter-ocular", 3.0)
    assert report.scores.fr == 50
    other = Setting(normaliser="box")
    assert evaluate_benchmark(
        landmarker, "300w", folder, other, incomplete=True
    ).setting.normaliser == "box"  # fmt: skip


def test_a_network_of_another_scheme(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="COFW has 29 landmarks, the network 68; give --weights"):
        evaluate_benchmark(Landmarker(Fake()), "cofw", tmp_path)

    class Other(Fake):
        card = Card("other", Scheme.of({"name": "other", "points": 68}), SIZE, FACTOR, 0.5)

    with pytest.raises(InputError, match=r"300W has the landmarks of ibug68, the network .* other"):
        evaluate_benchmark(Landmarker(Other()), "300w", tmp_path)


def test_importing_it_is_light() -> None:
    code = (
        "import sys, aadn.evaluation.protocol\n"
        "print([m for m in ('torch', 'matplotlib', 'onnxruntime') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_report_writes_nothing_half(samples: list[Sample], tmp_path: Path) -> None:
    report = replace(measured(Fake(), samples), scores=Scores(4, 0, float("nan")))
    with pytest.raises(ValueError, match="JSON"):  # a NaN is a fault of ours, never written
        report.write_json(tmp_path / "r.json")
    assert not (tmp_path / "r.json").exists()

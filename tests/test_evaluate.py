"""Evaluation with networks and detectors of known error, on pictures that the tests draw."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from aadn.data.pts import write_pts
from aadn.data.samples import Sample
from aadn.errors import (
    AnnotationError,
    ImageError,
    InputError,
    MissingDependencyError,
    OutputError,
    WeightsError,
)
from aadn.evaluation import measure as module
from aadn.evaluation.measure import evaluate, load_weights, run
from aadn.evaluation.metrics import roc_auc
from aadn.geometry import box_of_points, crop_matrix, transform
from aadn.inference.onnx import Card

FloatArray = NDArray[np.float64]

SIZE, FACTOR = 64, 1.3
KEYS = {
    "images", "missed", "normaliser", "nme", "nme_visible", "nme_hidden", "fr_8", "fr_10",
    "auc_8", "visibility_labels", "visibility_auc", "hidden_points", "hidden_average_precision",
    "hidden_recall_at_precision_80", "visible_called_hidden", "calibration_error", "boxes",
    "occlude", "seed", "model", "parts", "benchmark", "threshold", "fr", "auc", "nme_p90",
    "nme_p95", "nme_p99", "visibility_threshold", "uncertainty_ratio", "uncertainty_correlation",
    "called_hidden", "map_auc", "occluders",
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
IN_CROP = transform(face(), crop_matrix(box_of_points(face()), SIZE, FACTOR))
SCALE = SIZE / (FACTOR * 80)  # crop pixels for one picture pixel of a face of the size above


class Fake:
    """Gives every face's true points, moved to the right by an amount in the crop's red value.

    The picture's red value is the error in percent of the inter-ocular distance, times ten.
    """

    card = Card("fake", "ibug68", 68, SIZE, FACTOR, 0.5)

    def __init__(self, visibility: ArrayLike | None = None) -> None:
        self.visibility = np.full(68, 0.8) if visibility is None else np.asarray(visibility)
        self.calls: list[int] = []

    def __call__(self, crops: NDArray[np.uint8]) -> Any:
        assert crops.dtype == np.uint8
        assert crops.shape[1:] == (SIZE, SIZE, 3)
        self.calls.append(len(crops))
        points = np.tile(IN_CROP, (len(crops), 1, 1))
        percent = np.median(crops[..., 0].reshape(len(crops), -1), axis=1) / 10
        points[..., 0] += (percent / 100 * 40 * SCALE)[:, None]
        visibility = np.tile(self.visibility, (len(crops), 1))
        unknown = np.full((len(crops), 68), np.nan)
        return points, visibility, np.zeros((len(crops), 7, 7)), unknown


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
    report = evaluate(Fake(), samples)
    np.testing.assert_allclose(report.nme, [2, 6, 9, 11], rtol=1e-9)
    r = report.results
    assert set(r) == KEYS
    assert r["nme"] == pytest.approx(7)
    assert r["nme_visible"] == pytest.approx(7)  # nothing says otherwise: all are visible
    assert (r["images"], r["missed"], r["normaliser"]) == (4, 0, "inter-ocular")
    assert (r["fr_8"], r["fr_10"]) == (50, 25)
    assert r["auc_8"] == pytest.approx(100 * (1 - (2 + 6 + 8 + 8) / 4 / 8))
    undefined = (KEYS - {"benchmark", "occluders"}) & {k for k, v in r.items() if v is None}
    assert undefined == {"nme_hidden", "visibility_auc", "hidden_points", "calibration_error",
                         "hidden_average_precision", "hidden_recall_at_precision_80",
                         "visible_called_hidden", "uncertainty_ratio",
                         "uncertainty_correlation", "map_auc"}  # fmt: skip
    assert r["model"] == {"name": "fake", "sha256": None}
    assert json.loads(report.to_json()) == r


def test_other_normalisers(samples: list[Sample]) -> None:
    for normaliser, length in {
        "inter-pupil": 28,  # the eyes' means are at ±14
        "box": np.sqrt(80 * 64),
        "diagonal": np.hypot(80, 64),
    }.items():
        report = evaluate(Fake(), samples, normaliser=normaliser)  # type: ignore[arg-type]
        assert report.results["nme"] == pytest.approx(7 * 40 / length)
        assert report.results["normaliser"] == normaliser
        assert normaliser in report.markdown()


def test_the_report_names_the_network(samples: list[Sample]) -> None:
    assert evaluate(Fake(), samples).results["model"]["name"] == "fake"


def test_points_that_are_not_labelled_are_left_out(samples: list[Sample]) -> None:
    points = samples[0].points.copy()
    points[5] = points[60] = np.nan
    report = evaluate(Fake(), [Sample(samples[0].image, points, samples[0].box)])
    assert report.results["nme"] == pytest.approx(2)


def test_crops_go_through_the_network_in_chunks(
    samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK", 3)
    network = Fake()
    report = evaluate(network, samples)
    assert network.calls == [3, 1]
    np.testing.assert_allclose(report.nme, [2, 6, 9, 11], rtol=1e-9)


def finder(samples: list[Sample], shift: Callable[[int], FloatArray]) -> Any:
    """A detector that finds a face that is none, and the right box moved by `shift(i)`."""
    by_colour = {round(10 * p): i for i, p in enumerate((2, 6, 9, 11))}

    def detector(image: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
        i = by_colour[int(image[0, 0, 0])]
        right = samples[i].box + shift(i)
        return np.stack([[0.0, 0, 20, 20], right]), np.array([0.99, 0.6])

    return detector


def test_boxes_from_a_detector(samples: list[Sample]) -> None:
    # The crop moves with the box and the fake points with the crop: by (-2, 1.5) pixels.
    detector = finder(samples, lambda i: np.array([-2, 1.5, -2, 1.5]))
    report = evaluate(Fake(), samples, boxes="detector", detector=detector)
    right = np.array([2, 6, 9, 11]) * 0.4 - 2
    np.testing.assert_allclose(report.nme, np.hypot(right, 1.5) / 0.4, rtol=1e-9)
    assert report.results["missed"] == 0
    assert report.results["boxes"] == "detector"
    # A given detector is not asked unless wanted.
    assert evaluate(Fake(), samples, detector=detector).results["nme"] == pytest.approx(7)


def test_missed_faces_leave_the_errors_but_are_counted(samples: list[Sample]) -> None:
    # Box 0 is moved by half its width (overlap 1/3), box 1 by 0.6 of it (1/4: missed).
    detector = finder(samples, lambda i: np.array([1, 0, 1, 0]) * 80.0 * (0, 0.6, 0, 0.6)[i])
    parted = [replace(s, parts=(name,)) for s, name in zip(samples, "aabb", strict=True)]
    report = evaluate(Fake(), parted, boxes="detector", detector=detector)
    np.testing.assert_allclose(report.nme, [2, 9], rtol=1e-9)
    assert (report.results["images"], report.results["missed"]) == (4, 2)
    assert report.results["fr_8"] == 50  # of the two that were found
    assert [p["missed"] for p in report.results["parts"]] == [1, 1]
    half = finder(samples, lambda i: np.array([40.0, 0, 40, 0]))
    assert evaluate(Fake(), samples, boxes="detector", detector=half).results["missed"] == 0


@pytest.mark.parametrize("found", [[], [[0.0, 0, 9, 9]], [[5.0, 5, 5, 5]], [[np.nan] * 4]])
def test_no_face_found_at_all(samples: list[Sample], found: list[list[float]]) -> None:
    boxes = np.array(found).reshape(-1, 4)
    network = Fake()
    report = evaluate(
        network, samples, boxes="detector", detector=lambda _: (boxes, np.ones(len(boxes)))
    )
    assert network.calls == []
    assert (report.results["images"], report.results["missed"]) == (4, 4)
    for key in ("nme", "nme_visible", "nme_hidden", "fr_8", "fr_10", "auc_8", "visibility_auc"):
        assert report.results[key] is None
    json.loads(report.to_json())
    assert "| 4 | 4 | – |" in report.markdown()


class Mapping(Fake):
    """Its map covers the left half of the crop wholly, the right half by half."""

    def __call__(self, crops: NDArray[np.uint8]) -> Any:
        points, seen, covered, unknown = super().__call__(crops)
        covered[:, :, :3], covered[:, :, 3], covered[:, :, 4:] = 1, 0.75, 0.5
        return points, seen, covered, unknown


def test_the_map_is_read_at_the_landmarks(samples: list[Sample]) -> None:
    left = samples[0].points[:, 0] < samples[0].points[:, 0].mean()
    labelled = [replace(s, visible=~left) for s in samples]
    report = evaluate(Mapping(), labelled)
    # Cells 0…2 lie left of 3/7 of the crop, whose middle is at 1/2: between them it is bilinear.
    for sample, predicted, mapped in zip(
        samples, report.predicted, report.measured.mapped, strict=True
    ):
        place = transform(predicted, crop_matrix(sample.box, SIZE, FACTOR))[:, 0]
        expected = 1 - np.interp((place + 0.5) / SIZE * 7 - 0.5, [2, 3, 4], [1, 0.75, 0.5])
        np.testing.assert_allclose(mapped, expected, atol=0.01)
    assert report.results["map_auc"] > 0.99
    assert report.results["visibility_auc"] == 0.5  # the head says the same of all


def test_visibility_by_hand(samples: list[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    """An occluder that hides points 0…33 and darkens nothing; the network knows it in part."""
    hidden = np.arange(68) < 34

    def stub(
        image: NDArray[np.uint8], points: FloatArray, kind: str, rng: Any, cutouts: Any
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        assert kind == "mask"
        assert cutouts is None
        return image, ~hidden

    monkeypatch.setattr(module, "occlude_picture", stub)
    # Of the hidden 17 are found (0.1), 17 not (0.9); of the visible 4 are called hidden (0.2).
    visibility = np.where(np.arange(68) < 17, 0.1, 0.9)
    visibility[64:] = 0.2
    r = evaluate(Fake(visibility), samples, occlude="mask").results
    assert r["nme_visible"] == pytest.approx(7)
    assert r["nme_hidden"] == pytest.approx(7)
    assert r["hidden_points"] == 4 * 34
    # Pairs (visible, hidden): 30·17 right, 30·17 tied, 4·17 right, 4·17 wrong.
    assert r["visibility_auc"] == pytest.approx((30 * 17 + 30 * 17 / 2 + 4 * 17) / (34 * 34))
    assert r["hidden_recall_at_precision_80"] == pytest.approx(50)  # 17 of 21: 81 %
    assert r["visible_called_hidden"] == pytest.approx(100 * 4 / 34)
    assert r["called_hidden"] == pytest.approx(100 * 21 / 68)
    # Intervals: 17 at 0.1 (none visible), 4 at 0.2 (all), 47 at 0.9 (30).
    calibration = (17 * 0.1 + 4 * 0.8 + abs(47 * 0.9 - 30)) / 68
    assert r["calibration_error"] == pytest.approx(calibration)
    assert r["hidden_average_precision"] == pytest.approx(0.5 * 1 + 0.5 * 0.5)
    # At the threshold itself a landmark counts as visible, as in `Faces.hidden`.
    r = evaluate(Fake([0.5] * 68), samples, occlude="mask").results
    assert r["visible_called_hidden"] == 0


def test_landmarks_without_a_label_have_no_visibility(samples: list[Sample]) -> None:
    """MERL-RAV: 10 hidden by an object, 20 by the face itself, their place unknown."""
    visible = np.arange(68) >= 30
    points = [s.points.copy() for s in samples]
    for face in points:
        face[10:30] = np.nan
    parted = [replace(s, points=p, visible=visible) for s, p in zip(samples, points, strict=True)]
    seen = np.where(np.arange(68) < 30, 0.1, 0.9)
    r = evaluate(Fake(seen), parted, normaliser="box").results
    assert r["hidden_points"] == 4 * 10
    assert r["visibility_auc"] == 1
    r = evaluate(Fake(np.where(np.arange(68) < 10, 0.1, 0.9)), parted, normaliser="box").results
    assert r["calibration_error"] == pytest.approx(0.1)  # the 20 called visible do not count


def test_unsure_landmarks_have_errors_but_no_visibility(samples: list[Sample]) -> None:
    """0…9 are hidden, 10…29 unsure; the unsure ones' errors and maps are unlike the others'."""

    class Worse(Fake):
        """Misses points 10…29 by another 8 percent, and covers the lower half of the face."""

        def __call__(self, crops: NDArray[np.uint8]) -> Any:
            points, visibility, covered, spread = super().__call__(crops)
            points[:, 10:30, 0] += 0.08 * 40 * SCALE
            covered = np.tile(np.linspace(0, 1, 7)[:, None], (len(crops), 1, 7))
            return points, visibility, covered, spread

    said = np.where(np.arange(68) < 10, 0.0, np.where(np.arange(68) < 30, np.nan, 1.0))
    labelled = [replace(s, visible=said) for s in samples]
    seen = np.where(np.arange(68) < 10, 0.1, np.where(np.arange(68) < 30, 0.2, 0.9))
    report = evaluate(Worse(seen), labelled)
    r = report.results
    assert [r["nme_visible"], r["nme_hidden"]] == pytest.approx([7, 7])
    assert r["nme"] == pytest.approx(7 + 8 * 20 / 68)
    assert r["hidden_points"] == 4 * 10
    assert r["visibility_auc"] == 1
    assert r["visible_called_hidden"] == 0
    assert r["called_hidden"] == pytest.approx(100 * 30 / 68)  # of all: the unsure ones too
    assert r["calibration_error"] == pytest.approx(0.1)
    known = np.isfinite(said)
    assert r["map_auc"] == roc_auc(report.measured.mapped[:, known].ravel(),
                                   np.tile(said[known] == 1, 4))  # fmt: skip
    curve = report.measured.reliability()
    assert curve is not None
    assert curve.entries.sum() == 4 * 48


def test_percentiles_and_the_protocols_threshold(samples: list[Sample]) -> None:
    r = evaluate(Fake(), samples, threshold=5).results  # 2, 6, 9 and 11 percent
    assert (r["threshold"], r["fr"], r["fr_8"]) == (5, 75, 50)
    assert r["auc"] == pytest.approx(100 * (1 - (2 + 5 + 5 + 5) / 4 / 5))
    assert r["nme_p90"] == pytest.approx(9 + 0.7 * 2)  # between the last two, 2.7 of 3
    assert r["nme_p99"] == pytest.approx(9 + 0.97 * 2)


def test_hidden_and_visible_errors_apart(samples: list[Sample]) -> None:
    """With labels of visibility; faces without hidden points do not count in `nme_hidden`."""

    class Worse(Fake):
        """Misses points 0…9 by another 8 percent."""

        def __call__(self, crops: NDArray[np.uint8]) -> Any:
            points, *rest = super().__call__(crops)
            points[:, :10, 0] += 0.08 * 40 * SCALE
            return points, *rest

    visible = np.ones((4, 68), bool)
    visible[0, :5] = visible[1, :20] = False
    labelled = [Sample(s.image, s.points, s.box, v) for s, v in zip(samples, visible, strict=True)]
    r = evaluate(Worse(), labelled).results
    assert r["nme_hidden"] == pytest.approx(((2 + 8) + (6 + 4)) / 2)
    seen = [2 + 8 * 5 / 63, 6, 9 + 8 * 10 / 68, 11 + 8 * 10 / 68]
    assert r["nme_visible"] == pytest.approx(np.mean(seen))
    assert r["hidden_points"] == 25
    assert r["visibility_auc"] == 0.5
    # Labels on some faces only: then nothing is known of the others, and nothing is said.
    r = evaluate(Worse(), [*labelled[:2], *samples[2:]]).results
    assert r["nme_hidden"] is None
    assert r["nme_visible"] == r["nme"]


def test_a_network_without_visibility(samples: list[Sample]) -> None:
    visible = np.arange(68) % 2 == 0
    labelled = [Sample(s.image, s.points, s.box, visible) for s in samples]
    r = evaluate(Fake([np.nan] * 68), labelled).results
    assert r["nme_hidden"] == pytest.approx(7)
    assert r["hidden_points"] == 4 * 34
    assert r["visibility_auc"] is None
    assert r["calibration_error"] is None
    assert r["visible_called_hidden"] is None


class Doubting(Fake):
    """Moves landmark i by a further i/100 percent, and expects the distances it is given.

    These are (N, L) in percent of the inter-ocular distance.
    """

    def __init__(self, percent: ArrayLike) -> None:
        super().__init__()
        self.percent = np.asarray(percent, np.float64)

    def __call__(self, crops: NDArray[np.uint8]) -> Any:
        points, seen, occlusion, _ = super().__call__(crops)
        points[..., 0] += np.arange(68) / 1e4 * 40 * SCALE
        return points, seen, occlusion, self.percent / 100 * 40 * SCALE


DISTANCES = np.array([[2.0], [6], [9], [11]]) + np.arange(68) / 100


def test_uncertainty_by_hand(samples: list[Sample]) -> None:
    report = evaluate(Doubting(DISTANCES / 2), samples)
    assert report.results["uncertainty_ratio"] == pytest.approx(2)  # too sure by half
    assert report.results["uncertainty_correlation"] == pytest.approx(1)
    np.testing.assert_allclose(report.measured.uncertainty, DISTANCES / 2)
    # The other way round, and some that are not labelled, which do not count.
    points = samples[3].points.copy()
    points[2:30] = np.nan
    known = np.ones((4, 68), bool)
    known[3, 2:30] = False
    some = [*samples[:3], Sample(samples[3].image, points, samples[3].box)]
    r = evaluate(Doubting(20 - DISTANCES), some).results
    ratio = DISTANCES[known].sum() / (20 - DISTANCES)[known].sum()
    assert r["uncertainty_ratio"] == pytest.approx(ratio)
    assert r["uncertainty_correlation"] == pytest.approx(-1)
    constant = evaluate(Doubting(np.full((4, 68), 7.335)), samples).results
    assert constant["uncertainty_ratio"] == pytest.approx(1)  # 28 / 4 + 0.67 / 2


def test_uncertainty_is_judged_whatever_the_size_of_the_picture(tmp_path: Path) -> None:
    """The same face twice as large: twice the pixels, the same percent."""
    sample = draw(tmp_path, "a.png", 2)
    image = sample.picture().repeat(2, axis=0).repeat(2, axis=1)
    points = 2 * sample.points + 0.5
    large = replace(sample, points=points, box=box_of_points(points), read=lambda: image)
    report = evaluate(Doubting(np.full((2, 68), 3.0)), [sample, large])
    np.testing.assert_allclose(report.measured.uncertainty, 3)


def test_uncertainty_of_missed_faces_does_not_count(samples: list[Sample]) -> None:
    detector = finder(samples, lambda i: np.array([1, 0, 1, 0]) * 80.0 * (0, 0.6, 0, 0.6)[i])
    r = evaluate(Doubting(DISTANCES[[0, 2]]), samples, boxes="detector", detector=detector).results
    assert r["uncertainty_ratio"] == pytest.approx(1)


def test_reliability_of_visibility(samples: list[Sample]) -> None:
    visible = np.ones((4, 68), bool)
    visible[:, :17] = False
    labelled = [Sample(s.image, s.points, s.box, v) for s, v in zip(samples, visible, strict=True)]
    report = evaluate(Fake(np.where(np.arange(68) < 34, 0.25, 0.9)), labelled)
    got = report.measured.reliability(4)
    assert got is not None
    assert got.entries.tolist() == [0, 4 * 34, 0, 4 * 34]
    np.testing.assert_allclose(got.mean, [np.nan, 0.25, np.nan, 0.9])
    np.testing.assert_allclose(got.share, [np.nan, 0.5, np.nan, 1])
    assert evaluate(Fake(), samples).measured.reliability() is None  # no labels
    assert evaluate(Fake([np.nan] * 68), labelled).measured.reliability() is None


def test_beyond_the_border_is_hidden_unless_the_release_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = draw(tmp_path, "a.png", 2, (39.25, 70))  # jaw point 0 at x = -0.75, 1 at -0.0
    nothing = np.ones(68, bool)
    monkeypatch.setattr(module, "occlude_picture", lambda image, *_: (image, nothing))
    assert evaluate(Fake(), [sample], occlude="mask").results["hidden_points"] == 1
    labelled = replace(sample, visible=nothing)
    assert evaluate(Fake(), [labelled]).results["hidden_points"] == 0


KINDS = ("rectangle", "mask", "sunglasses", "hand")


class Looking(Fake):
    """Its visibility depends on what it sees, so that any other occluder changes the numbers."""

    def __call__(self, crops: NDArray[np.uint8]) -> Any:
        points, _, *rest = super().__call__(crops)
        place = np.clip(IN_CROP.round().astype(int), 0, SIZE - 1)
        return points, crops[:, place[:, 1], place[:, 0], 1] / 255, *rest


@pytest.mark.parametrize("kind", KINDS)
def test_occluders_repeat_whatever_the_order(samples: list[Sample], kind: Any) -> None:
    first = evaluate(Looking(), samples, occlude=kind, seed=3)
    assert 0 < first.results["hidden_points"] < 4 * 68
    assert first.results["visibility_auc"] is not None
    assert (first.results["occlude"], first.results["seed"]) == (kind, 3)
    again = evaluate(Looking(), samples, occlude=kind, seed=3)
    assert again.results == first.results
    turned = evaluate(Looking(), samples[::-1], occlude=kind, seed=3)
    np.testing.assert_array_equal(turned.nme, first.nme[::-1])
    texts = {"model", "parts", "normaliser", "boxes", "occlude"}
    for key in KEYS - texts - {"uncertainty_ratio", "uncertainty_correlation"}:
        assert turned.results[key] == pytest.approx(first.results[key], nan_ok=False)
    other = evaluate(Looking(), samples, occlude=kind, seed=4)
    assert other.results["visibility_auc"] != first.results["visibility_auc"]


def test_occluders_do_not_depend_on_where_the_data_is(tmp_path: Path) -> None:
    reports = []
    for root in ("here", "there"):
        sample = draw(tmp_path / root / "set", "a.png", 4)
        reports.append(evaluate(Looking(), [sample], occlude="rectangle").results)
    assert reports[0] == reports[1]


def test_detection_sees_the_occluder(samples: list[Sample]) -> None:
    seen = []

    def detector(image: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
        seen.append(len(np.unique(image.reshape(-1, 3), axis=0)))
        return np.empty((0, 4)), np.empty(0)

    evaluate(Fake(), samples, boxes="detector", detector=detector)
    evaluate(Fake(), samples, boxes="detector", detector=detector, occlude="rectangle")
    assert seen[:4] == [1] * 4
    assert min(seen[4:]) > 50


def test_parts_are_reported_apart(samples: list[Sample]) -> None:
    """On faces of 2, 6, 9 and 11 percent; the first belongs to two parts, the last to none."""
    named = zip(samples, [("y", "z"), ("x",), ("y",), ()], strict=True)
    report = evaluate(Fake(), [replace(sample, parts=parts) for sample, parts in named])
    parts = report.results["parts"]
    assert [p["part"] for p in parts] == ["y", "z", "x"]
    assert [p["nme"] for p in parts] == pytest.approx([5.5, 2, 6])
    assert [p["images"] for p in parts] == [2, 1, 1]
    assert report.results["nme"] == pytest.approx(7)
    lines = report.markdown().splitlines()
    assert [line.split(" | ")[0] for line in lines[-3:]] == ["| z", "| x", "| all"]
    assert len({line.count("|") for line in lines[2:]}) == 1
    assert len(evaluate(Fake(), samples).markdown().splitlines()) == 5


def bad(sample: Sample, points: FloatArray) -> list[Sample]:
    return [sample, Sample(sample.image, points, sample.box)]


def test_wrong_input_is_named(samples: list[Sample], tmp_path: Path) -> None:
    def fails(error: type[Exception], match: str, these: list[Sample], **options: Any) -> None:
        with pytest.raises(error, match=match):
            evaluate(Fake(), these, **options)

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
        def __call__(self, crops: NDArray[np.uint8]) -> Any:
            points, *rest = super().__call__(crops)
            return points * np.nan, *rest

    with pytest.raises(WeightsError, match=r"0\.png are not finite"):
        evaluate(Broken(), samples)


def data_set(root: Path) -> list[Path]:
    """Two folders in 300W's layout with errors of 2 and 4, and of 9 percent."""
    for name, percent in (("a/x", 2), ("a/y", 4), ("b/deep/z", 9)):
        sample = draw((root / name).parent, f"{Path(name).name}.png", percent)
        write_pts(sample.image.with_suffix(".pts"), sample.points)
    return [root / "a", root / "b"]


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "load_weights", lambda _: (Fake(), "0" * 64))


@pytest.mark.usefixtures("loaded")
def test_run_on_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = data_set(tmp_path)
    report = run(folders, json_file=tmp_path / "out" / "r.json")
    results = json.loads((tmp_path / "out" / "r.json").read_text("utf-8"))
    assert results == report.results
    assert results["nme"] == pytest.approx(5, abs=1e-6)  # .pts files have six decimals
    assert [p["part"] for p in results["parts"]] == [str(f) for f in folders]
    assert [p["nme"] for p in results["parts"]] == pytest.approx([3, 9], abs=1e-6)
    assert results["model"]["sha256"] == "0" * 64
    assert capsys.readouterr().out == report.markdown()


@pytest.mark.usefixtures("loaded")
def test_run_takes_labels_of_visibility(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = data_set(tmp_path)
    one = {"hidden": [[0, 1, 2]], "unsure": [[3]]}
    other = {"hidden": [[0], [0, 5]], "unsure": [[], []]}
    file = tmp_path / "hidden.json"
    file.write_text(json.dumps({"a/x.png": one, "deep/z.png": other}), "utf-8")
    results = run(folders, visibility_labels=[file]).results
    assert results["hidden_points"] == 4
    assert [part["hidden_points"] for part in results["parts"]] == [3, 1]
    assert results["nme"] == pytest.approx(5, abs=1e-6)  # of all three
    assert results["nme_visible"] == pytest.approx((2 + 9) / 2, abs=1e-6)  # a/y is not labelled
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert results["visibility_labels"] == [{"name": "hidden.json", "sha256": digest}]
    assert "2 of 3 pictures have labels of visibility" in capsys.readouterr().err
    assert run(folders).results["hidden_points"] is None
    with pytest.raises(InputError, match="labels of visibility are for folders"):
        run(benchmark="300w", data=tmp_path, visibility_labels=[file])


@pytest.mark.usefixtures("loaded")
def test_run_keeps_the_table_when_a_file_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = data_set(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        run(folders, json_file=tmp_path / "file" / "r.json")
    assert "| all |" in capsys.readouterr().out


def test_weights_of_another_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.pth").write_bytes(b"\x80\x04.")
    with pytest.raises(WeightsError, match=r"model\.pth: expected an \.onnx file"):
        load_weights(tmp_path / "model.pth")
    with pytest.raises(WeightsError, match=r"no\.onnx"):
        load_weights(tmp_path / "no.onnx")
    monkeypatch.setitem(sys.modules, "aadn.models.checkpoint", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'aadn\[train\]'"):
        load_weights(tmp_path / "no.safetensors")


def test_importing_it_is_light() -> None:
    code = (
        "import sys, aadn.evaluation.measure\n"
        "print([m for m in ('torch', 'matplotlib', 'onnxruntime') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_report_writes_nothing_half(samples: list[Sample], tmp_path: Path) -> None:
    report = replace(evaluate(Fake(), samples), results={"nme": float("nan")})
    with pytest.raises(ValueError, match="JSON"):  # a NaN is a fault of ours, never written
        report.write_json(tmp_path / "r.json")
    assert not (tmp_path / "r.json").exists()

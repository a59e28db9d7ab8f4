"""Detectors of known answers on pictures that the tests draw, and the report of it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from aadn.data.face_boxes import FaceBoxes
from aadn.errors import ImageError, InputError
from aadn.evaluation.box_conventions import CONVENTIONS, drawn_by, fit
from aadn.evaluation.detector_report import DetectorReport, write_detector_report
from aadn.evaluation.measure_detector import (
    Detected,
    DetectionSetting,
    Found,
    compare,
    labels_at,
    look,
    measure_detector,
)
from aadn.geometry import transform, turning
from aadn.inference.detections import MIN_SCORE, Detections
from aadn.inference.detectors import IDENTITY, BoxTransform

FloatArray = NDArray[np.float64]

SHAPE = (160, 120)


def seen(image: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
    """A detector of red spots: the box of each, and its blue value as the score."""
    red = (image[..., 0] > 190).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(red)
    x, y, w, h = stats[1:, :4].T.astype(float)
    scores = [float(np.median(image[..., 2][labels == i])) / 255 for i in range(1, count)]
    return np.stack([x, y, x + w - 1, y + h - 1], axis=1), np.array(scores)


def always(answer: Any) -> Any:
    """A detector that finds the same in every picture."""
    return lambda image: answer


def spot(box: tuple[float, float, float, float], score: float) -> tuple[Any, ...]:
    return box, score


def draw(path: Path, *spots: tuple[Any, ...]) -> Path:
    """A picture with an ellipse for each box."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((SHAPE[1], SHAPE[0], 3), 60, np.uint8)
    for (x0, y0, x1, y1), score in spots:
        middle, axes = ((x0 + x1) / 2, (y0 + y1) / 2), (x1 - x0, y1 - y0)
        cv2.ellipse(image, (middle, axes, 0), (255, 0, round(255 * score)), cv2.FILLED)
    assert cv2.imwrite(str(path), image[..., ::-1])
    return path


def labelled(path: Path, *boxes: Any, ignored: Any = (), part: str = "set") -> FaceBoxes:
    rows = np.array([*boxes, *ignored], float).reshape(-1, 4)
    return FaceBoxes(path, rows, np.arange(len(rows)) >= len(boxes), part)


A, B, C = (20, 10, 50, 50), (80, 20, 110, 60), (100, 80, 120, 105)


def one_find(boxes: Any, scores: Any, angles: Any) -> Found:
    return Found(*(np.array(part, np.float32) for part in (boxes, scores, angles)))


@pytest.fixture
def pictures(tmp_path: Path) -> list[FaceBoxes]:
    """Two faces of which one is found, a crowd, and an empty picture with a false alarm."""
    one = draw(tmp_path / "one.png", spot(A, 0.9), spot(C, 0.7))
    two = draw(tmp_path / "two.png", spot(B, 0.6))
    return [
        labelled(one, A, B, ignored=[(90, 70, 140, 115)], part="faces"),
        labelled(two, part="empty"),
    ]


def test_what_is_found_and_what_is_not(pictures: list[FaceBoxes]) -> None:
    detected = measure_detector(seen, pictures)
    (rolled,) = detected.rolls
    assert [faces.tolist() for faces in rolled.faces] == [[0, -2], [-1]]
    outcomes = rolled.outcomes
    np.testing.assert_allclose(outcomes.scores, [0.9, 0.6], atol=0.01)
    assert outcomes.right.tolist() == [True, False]
    assert outcomes.pictures.tolist() == [0, 1]
    assert outcomes.face_sizes.tolist() == [40, 40]
    np.testing.assert_allclose(outcomes.sizes, [40, 40], atol=1.5)
    assert outcomes.empty.tolist() == [False, True]
    assert np.isnan(outcomes.angle_errors).all()
    scores = DetectorReport("spots", detected).scores(outcomes)
    assert (scores.recall, scores.precision, scores.false_alarms) == (50, 50, 0.5)
    assert scores.average_precision == 0.5


@pytest.mark.parametrize("roll", [30.0, 90.0, 135.0, 180.0, 270.0, -45.0])
def test_labels_turn_with_the_picture(pictures: list[FaceBoxes], roll: float) -> None:
    setting = DetectionSetting("landmarks", overlap=0.85, rolls=(0.0, roll))
    upright, turned = measure_detector(seen, pictures, setting).rolls
    assert turned.roll == roll
    assert turned.outcomes.right.tolist() == upright.outcomes.right.tolist() == [True, False]
    assert turned.outcomes.face_sizes.tolist() == [40, 40]


conventions = st.sampled_from(list(CONVENTIONS.values()))


@given(conventions, st.floats(-180, 180), st.floats(0, 40), st.floats(0, 40))
def test_a_convention_turns_with_the_face(
    to_set: BoxTransform, roll: float, x: float, y: float
) -> None:
    box = np.array([[40 + x, 40 + y, 70 + x, 76 + y]])
    label = labels_at(labelled(Path("a.jpg"), to_set(box)[0]), SHAPE, roll)
    matrix, *canvas = turning(*SHAPE, roll)
    middle = (box[:, :2] + box[:, 2:]) / 2
    found = box + np.tile(transform(middle, matrix) - middle, 2)
    np.testing.assert_allclose(drawn_by(to_set, found, np.array([roll])), label, atol=1e-9)
    knows = one_find(found, [0.9], [roll])
    overlaps, covered = compare(knows, label, (canvas[0], canvas[1]), [to_set])
    assert overlaps.min() > 0.999
    assert covered.min() > 0.999


def test_the_best_convention_of_any_counts() -> None:
    box = np.array([[40.0, 40, 70, 70]])
    found = one_find(box, [0.9], [np.nan])
    whole, brows = (CONVENTIONS[name](box) for name in ("whole-face", "brows"))
    labels = np.concatenate([whole, brows])
    both = compare(found, labels, SHAPE, [*CONVENTIONS.values()])[0]
    np.testing.assert_allclose(both, 1, atol=1e-5)
    one = compare(found, labels, SHAPE, [CONVENTIONS["brows"]])[0]
    assert one[0, 0] < 0.8 < one[0, 1]


def test_boxes_are_compared_as_far_as_they_lie_in_the_picture() -> None:
    found = one_find([[-20, 10, 19.5, 49.5]], [0.9], [0])
    overlaps, covered = compare(found, np.array([[-0.5, 10, 19.5, 49.5]]), SHAPE, [IDENTITY])
    assert overlaps.item() == pytest.approx(1)
    assert covered.item() == pytest.approx(1)
    outside = one_find([[-20, 10, -5, 49.5]], [0.9], [0])
    assert compare(outside, np.array([[-30.0, 10, -5, 50]]), SHAPE, [IDENTITY])[0].item() == 0


def test_a_convention_is_fitted_to_upright_faces() -> None:
    rng = np.random.default_rng(3)
    corner, size = rng.uniform(0, 300, (30, 2)), rng.uniform(20, 90, (30, 2))
    boxes = np.hstack([corner, corner + size])
    to_set = BoxTransform(0.05, -0.2, 0.9, 1.3)
    theirs = to_set(boxes)
    angles = np.zeros(30)
    angles[:10], theirs[:10] = 90, 0  # would spoil the medians
    found = fit(boxes, angles, theirs)
    assert found.faces == 20
    np.testing.assert_allclose(
        list(vars(found.transform).values()), list(vars(to_set).values()), atol=1e-9
    )
    with pytest.raises(InputError, match=r"at least 10 upright faces.*of here, got 9"):
        fit(boxes[:19], angles[:19], theirs[:19], "here")


def test_the_fit_of_a_folder_is_used_for_it(tmp_path: Path) -> None:
    to_set = BoxTransform(0.1, -0.25, 0.8, 1.5)
    records = []
    for i in range(12):
        box = (20 + 5 * i, 30, 50 + 5 * i, 66)
        path = draw(tmp_path / f"{i}.png", spot(box, 0.9))
        records.append(labelled(path, to_set(np.array([box], float))[0], part="drawn"))
    records.append(labelled(draw(tmp_path / "none.png", spot(A, 0.8)), part="empty"))
    fitted = measure_detector(seen, records, DetectionSetting(fit=True, overlap=0.9))
    assert list(fitted.fits) == ["drawn"]  # without faces there is nothing to fit
    np.testing.assert_allclose(
        list(vars(fitted.fits["drawn"].transform).values()), list(vars(to_set).values()), atol=0.05
    )
    assert fitted.rolls[0].outcomes.right.tolist() == [True] * 12 + [False]
    named = measure_detector(seen, records, DetectionSetting("landmarks", overlap=0.9))
    assert not named.rolls[0].outcomes.right.any()
    text = DetectorReport("spots", fitted).markdown()
    assert "Fitted for drawn on 12 faces" in text
    with pytest.raises(InputError, match="of drawn, got 1; name the convention"):
        measure_detector(seen, records[:1], DetectionSetting(fit=True))


def test_angles_are_measured_against_the_roll(pictures: list[FaceBoxes]) -> None:
    def knows(image: NDArray[np.uint8]) -> Detections:
        boxes, scores = seen(image)
        return Detections(boxes, scores, np.full(len(boxes), -176.0))

    setting = DetectionSetting(rolls=(180.0, 0.0))
    turned, upright = measure_detector(knows, pictures, setting).rolls
    assert turned.outcomes.angle_errors[0] == pytest.approx(4)
    assert np.isnan(turned.outcomes.angle_errors[1])  # a false alarm
    assert upright.outcomes.angle_errors[0] == pytest.approx(176)
    report = DetectorReport("spots", measure_detector(knows, pictures, setting))
    assert report.scores(upright.outcomes).angle_wrong == 100
    assert "by more than 45°, %" in report.markdown()


def test_finds_are_put_in_order() -> None:
    boxes = np.array([[0.0, 0, 1, 1], [0, 0, 2, 2]])
    found = look(always((boxes, [0.2, 0.7], [10, -20])), np.zeros((4, 4, 3), np.uint8))
    assert found.boxes[:, 2].tolist() == [2, 1]
    assert found.angles.tolist() == [-20, 10]
    nothing = look(always(([], [])), np.zeros((4, 4, 3), np.uint8))
    assert [part.shape for part in nothing] == [(0, 4), (0,), (0,)]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "got something else"),
        (([[0, 0, 1, 1]], [0.5], [0], [0]), "got something else"),
        (("ab", "cd"), "got something else"),
        (([[0, 0, 1]], [0.5]), r"\(1, 3\), \(1,\), \(1,\)"),
        (([[0, 0, 1, 1]], [0.5, 0.6]), r"\(1, 4\), \(2,\)"),
        (([[0, 0, 1, 1]], [0.5], [0, 1]), r"\(1, 4\), \(1,\), \(2,\)"),
        (([[0, 0, 1, np.nan]], [0.5]), "expected finite"),
        (([[0, 0, 1, 1]], [np.inf]), "expected finite"),
        (([[0, 0, 1, 1]], [0.5], [np.inf]), "expected finite"),
    ],
)
def test_a_detector_that_gives_something_else(answer: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        look(always(answer), np.zeros((4, 4, 3), np.uint8))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"convention": "tight"}, "a convention of any, landmarks, whole-face, brows; got 'tight'"),
        ({"convention": "brows", "fit": True}, "got both"),
        ({"overlap": 0}, "overlap above 0"),
        ({"overlap": float("nan")}, "overlap above 0"),
        ({"min_score": 1.5}, r"minimum score in \[0, 1\]"),
        ({"rolls": ()}, "at least one roll"),
        ({"rolls": (0.0, 360.0)}, "each once"),
        ({"rolls": (float("inf"),)}, "finite"),
        ({"rolls": (90.0,), "fit": True}, "expected 0 among the rolls"),
    ],
)
def test_settings_out_of_range(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        measure_detector(seen, [], replace(DetectionSetting(), **changes))


def test_no_picture_and_a_broken_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one labelled picture"):
        measure_detector(seen, [])
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"a\.png"):
        measure_detector(seen, [labelled(tmp_path / "a.png")])


# Reports


def report_of(detected: Detected) -> DetectorReport:
    files = ({"name": "boxes.json", "sha256": "cd" * 32},)
    return DetectorReport("spots", detected, "ab" * 32, files)


def test_what_the_json_holds(pictures: list[FaceBoxes]) -> None:
    content = json.loads(report_of(measure_detector(seen, pictures)).to_json())
    assert content["detector"] == {"name": "spots", "sha256": "ab" * 32}
    assert content["labels"][0]["name"] == "boxes.json"
    assert (content["min_score"], content["overlap"]) == (MIN_SCORE, 0.5)
    assert (content["convention"], content["fits"], content["ignored"]) == ("any", [], 1)
    (roll,) = content["rolls"]
    assert (roll["roll"], roll["pictures"], roll["faces"], roll["recall"]) == (0, 2, 2, 50)
    assert roll["loose"]["overlap"] == 0.3
    parts = {part["part"]: part for part in roll["parts"]}
    assert parts["faces"]["false_alarms"] == 0
    assert parts["faces"]["false_alarms_empty"] is parts["empty"]["recall"] is None
    assert parts["empty"]["false_alarms_empty"] == 1
    sizes = {size["size"]: size for size in roll["sizes"]}
    assert sizes["32 to 64"]["faces"] == 2
    assert sizes["below 16"]["recall"] is None
    curve = {point["min_score"]: point for point in roll["curve"]}
    assert (curve[0.5]["recall"], curve[0.5]["false_alarms"]) == (50, 0.5)
    assert (curve[0.8]["recall"], curve[0.8]["false_alarms"], curve[0.8]["precision"]) == (
        50, 0, 100,
    )  # fmt: skip
    assert (curve[0.95]["recall"], curve[0.95]["precision"]) == (0, None)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("| \n").split(" | ")]


def test_the_tables(pictures: list[FaceBoxes]) -> None:
    detected = measure_detector(seen, pictures, DetectionSetting(rolls=(0.0, 90.0)))
    text = report_of(detected).markdown()
    assert "in one of the conventions landmarks, whole-face, brows. Detector: spots." in text
    lines = [cells(line) for line in text.splitlines() if line.startswith("|")]
    header, rows = lines[0], [dict(zip(lines[0], line, strict=True)) for line in lines[2:8]]
    assert header[:3] == ["pictures of", "turned by", "pictures"]
    assert [(row["pictures of"], row["turned by"]) for row in rows] == [
        (name, angle) for angle in ("0°", "90°") for name in ("faces", "empty", "all")
    ]
    assert [row["recall %"] for row in rows[:3]] == ["50.0", "–", "50.0"]
    assert [row["in pictures without a face"] for row in rows[:3]] == ["–", "1.000", "1.000"]
    assert "| 32 to 64 | 2 | 50.0 | 50.0 |" in text
    single = report_of(measure_detector(seen, pictures[:1], DetectionSetting(overlap=0.3)))
    assert "turned by" not in single.markdown()
    assert "at overlap" not in single.markdown()
    assert "| faces | 1 | 2 | 50.0 | 100.0 | 0.000 | – | 0.500 |" in single.markdown()


def test_the_folder_is_whole(pictures: list[FaceBoxes], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "out"
    detected = measure_detector(seen, pictures, DetectionSetting(rolls=(0.0, 30.0)))
    report = report_of(detected)
    write_detector_report(report, out)
    assert sorted(path.name for path in out.iterdir()) == [
        "curve.png", "curve.svg", "false_alarms.jpg", "misses.jpg", "report.json", "report.md",
    ]  # fmt: skip
    text = (out / "report.md").read_text("utf-8")
    links = re.findall(r"\]\(([^)]*)\)", text)
    assert links == ["curve.svg", "misses.jpg", "false_alarms.jpg"]
    for fact in ("spots, sha256 abab", "2, of faces, empty", "2, and 1 to be ignored", "sha256 cd"):
        assert fact in text
    assert json.loads((out / "report.json").read_text("utf-8")) == report.to_dict()
    first = {path: path.read_bytes() for path in out.iterdir()}
    write_detector_report(report, out)
    assert {path: path.read_bytes() for path in out.iterdir()} == first


def test_a_report_without_faces_or_mistakes_replaces_one_with_them(
    pictures: list[FaceBoxes], tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "out"
    write_detector_report(report_of(measure_detector(seen, pictures)), out)
    (out / "mine.txt").write_text("stays")
    nothing = measure_detector(always(([], [])), pictures[1:])
    write_detector_report(report_of(nothing), out)
    assert sorted(p.name for p in out.iterdir()) == ["mine.txt", "report.json", "report.md"]
    assert "## Curve" not in (out / "report.md").read_text("utf-8")


def test_mistakes_are_shown_where_they_are(pictures: list[FaceBoxes], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    write_detector_report(report_of(measure_detector(seen, pictures)), tmp_path)
    alarm = cv2.imread(str(tmp_path / "false_alarms.jpg"))
    assert alarm is not None
    tile = alarm[8 : 8 + 240 + 80, 8 : 8 + 240, ::-1]
    # Below the caption the false alarm stands in the middle, red.
    assert np.abs(tile[80 + 120, 120].astype(int) - [255, 0, 153]).max() < 30

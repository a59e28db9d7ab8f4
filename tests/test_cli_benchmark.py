"""The verbs around benchmarks: datasets, evaluate and train --benchmark, cost, features."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from faces import write_faces

from aadn.cli.main import main
from aadn.data.pts import write_pts
from aadn.data.release import Benchmark
from aadn.data.releases import RELEASES

SMALL = {
    "train": {"all": 9, "afw": 3, "helen": 3, "lfpw": 3},
    "test": {"all": 7, "common": 4, "challenging": 3, "helen": 2, "lfpw": 2},
}
FOLDERS = {"afw": 3, "helen/trainset": 3, "lfpw/trainset": 3,
           "helen/testset": 2, "lfpw/testset": 2, "ibug": 3}  # fmt: skip


@pytest.fixture
def w300(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """300W with few, drawn faces, and a release that asks for so few."""
    for seed, (folder, count) in enumerate(FOLDERS.items()):
        write_faces(tmp_path / "300W" / folder, count, seed=seed)
    counts: Mapping[str, Mapping[str, int]] = SMALL
    monkeypatch.setitem(RELEASES, "300w", replace(RELEASES["300w"], counts=counts))  # type: ignore[arg-type]
    return tmp_path / "300W"


def test_releases_are_those_of_the_command_line() -> None:
    assert tuple(RELEASES) == Benchmark.__args__  # type: ignore[attr-defined]
    assert all(name == release.name for name, release in RELEASES.items())
    assert all("all" in parts for r in RELEASES.values() for parts in r.counts.values())


def test_datasets_lists_every_release(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["datasets"]) == 0
    out = capsys.readouterr().out
    for release in RELEASES.values():
        assert f"{release.name}: {release.title}, {release.landmarks} landmarks" in out
        assert release.source in out
        assert release.licence in out
    assert "test 689 all, 554 common, 135 challenging" in out


def test_datasets_says_what_is_complete(w300: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["datasets", "300w", "--data", str(w300)]) == 0
    assert "test, challenging: 3 of 3 faces, complete" in capsys.readouterr().out
    (w300 / "ibug" / "face_0001.pts").unlink()
    assert main(["datasets", "300w", "--data", str(w300)]) == 5
    out = capsys.readouterr().out
    assert "test, challenging: 2 of 3 faces, NOT COMPLETE" in out
    assert "train, all: 9 of 9 faces, complete" in out


@pytest.mark.slow
def test_evaluate_a_benchmark_and_write_its_report(
    w300: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "report"
    arguments = ["evaluate", "--benchmark", "300w", "--data", str(w300), "--out", str(out)]
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert "| challenging | 3 |" in captured.out
    assert "incomplete" not in captured.err
    results = json.loads((out / "report.json").read_text("utf-8"))
    assert results["benchmark"] == {"name": "300w", "split": "test", "incomplete": False}
    assert {p["part"]: p["images"] for p in results["parts"]} == {
        "common": 4, "challenging": 3, "helen": 2, "lfpw": 2,
    }  # fmt: skip
    common, challenging = (
        next(p["nme"] for p in results["parts"] if p["part"] == name)
        for name in ("common", "challenging")
    )
    assert results["nme"] == pytest.approx((4 * common + 3 * challenging) / 7)
    text = (out / "report.md").read_text("utf-8")
    assert "SPIGA" in text
    assert f"{results['nme']:.2f}" in text
    for name in ("ced.svg", "ced.png", "worst.jpg"):
        assert (out / name).stat().st_size > 1000
    assert len(list((out / "worst").iterdir())) == 7


def test_an_incomplete_benchmark_is_refused_unless_allowed(
    w300: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (w300 / "helen" / "testset" / "face_0000.pts").unlink()
    arguments = ["evaluate", "--benchmark", "300w", "--data", str(w300)]
    assert main(arguments) == 5
    error = capsys.readouterr().err
    assert "'helen': 1 of 2" in error
    assert "Traceback" not in error
    file = tmp_path / "r.json"
    assert main([*arguments, "--incomplete", "--json", str(file)]) == 0
    said = "300w is incomplete: 6 faces were there, and the numbers cannot be compared with"
    assert capsys.readouterr().err == f"{said} published ones\n"
    results = json.loads(file.read_text("utf-8"))
    assert results["benchmark"]["incomplete"] is True
    assert results["images"] == 6


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("evaluate --benchmark 300w", 2, "expected --data, the folder of 300W"),
        ("evaluate {data} --benchmark 300w --data {data}", 2, "either folders or --benchmark"),
        ("evaluate {data} --data {data}", 2, "--data is the folder of a --benchmark"),
        ("evaluate {data} --incomplete", 2, "--incomplete is about a --benchmark"),
        ("evaluate {data} --occluders {data}", 2, "--occluders are what --occlude covers faces"),
        ("evaluate {data} --threshold 0", 9, "threshold greater than 0"),
        ("evaluate {data} --plot {tmp}/ced.gif", 9, "end in .png or .svg"),
        ("evaluate --benchmark cofw --data {data}", 9, "COFW has 29 landmarks"),
        ("evaluate --benchmark 300w --data {data}/none", 5, "expected the folder of 300W"),
        ("evaluate --benchmark 300w --data {data}/afw", 5, "not complete"),
        ("evaluate --benchmark 300x --data {data}", 2, ""),
        ("datasets --data {data}", 2, "expected a release's name"),
        ("datasets wflw --data {data}", 5, ""),
        ("train --benchmark wflw --data {data} --out {tmp}/run", 9, "WFLW has 98 landmarks"),
        ("train --benchmark 300w --out {tmp}/run", 2, "expected --data"),
        ("ablate {data} --data {data} --out {tmp}/run", 2, "--data is the folder"),
        ("ablate --out {tmp}/run", 2, "no folder given"),
        ("features {data}/afw/face_0000.png --weights {tmp}/none --out {tmp}/a.png", 6, "none"),
        ("features {data}/afw/face_0000.png --weights {tmp}/none --out {tmp}/a.gif", 9, ".png"),
    ],
)
def test_wrong_input(
    w300: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: str,
    code: int,
    message: str,
) -> None:
    if arguments.startswith(("train", "ablate", "features")):
        pytest.importorskip("torch")
    assert main(arguments.format(data=w300, tmp=tmp_path).split()) == code
    captured = capsys.readouterr()
    assert message in captured.err + captured.out
    assert "Traceback" not in captured.err


def test_the_report_on_standard_output(w300: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(w300 / "afw"), "--json", "-"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["images"] == 3
    assert "| visibility ROC-AUC |" in captured.err


def test_labels_of_visibility_are_counted(
    w300: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "hidden.json"
    labels.write_text(json.dumps({"afw/face_0001.png": {"hidden": [[0, 1]], "unsure": [[]]}}))
    arguments = ["evaluate", str(w300 / "afw"), "--visibility-labels", str(labels)]
    assert main(arguments) == 0
    assert "1 of 3 pictures have labels of visibility\n" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_curve_and_the_threshold(w300: Path, tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("matplotlib")
    plot, file = tmp_path / f"ced{suffix}", tmp_path / "r.json"
    arguments = ["evaluate", str(w300 / "afw"), "--plot", str(plot), "--json", str(file)]
    assert main([*arguments, "--threshold", "20"]) == 0
    assert plot.read_bytes().startswith({".png": b"\x89PNG", ".svg": b"<?xml"}[suffix])
    assert json.loads(file.read_text("utf-8"))["threshold"] == 20


def test_without_a_measured_face_there_is_a_report_but_no_curve(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    faces = tmp_path / "faces"
    faces.mkdir()
    assert cv2.imwrite(str(faces / "a.png"), np.full((90, 90, 3), 128, np.uint8))
    write_pts(faces / "a.pts", 20 + 50 * np.random.default_rng(0).random((68, 2)))
    out = tmp_path / "report"
    arguments = ["evaluate", str(faces), "--boxes", "detector", "--out", str(out)]
    assert main([*arguments, "--plot", str(tmp_path / "ced.png")]) == 9
    assert "no face was measured" in capsys.readouterr().err
    assert "1, of which 1 missed" in (out / "report.md").read_text("utf-8")


def test_features_ask_for_both_packages_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "aadn.paper.features", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    out = str(tmp_path / "a.png")
    assert main(["features", "a.jpg", "--weights", "a.safetensors", "--out", out]) == 8
    assert "this needs torch: pip install '.[train,plot]'" in capsys.readouterr().err


def test_plots_need_matplotlib_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["evaluate", str(tmp_path / "nowhere"), "--plot", str(tmp_path / "c.png")]) == 8
    assert "[plot]'" in capsys.readouterr().err


def test_train_on_a_benchmark(w300: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    out = tmp_path / "run"
    arguments = f"train --benchmark 300w --data {w300} --out {out} --epochs 1 --batch 4 "
    arguments += "--workers 0 --model.size 32 --hold-out 0.3"
    assert main(arguments.split()) == 0
    (line,) = (out / "metrics.jsonl").read_text("utf-8").splitlines()
    assert json.loads(line)["nme"] > 0


@pytest.mark.slow
def test_cost_and_features(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("matplotlib")
    assert main(["cost", "--size", "32", "--repeats", "1", "--out", str(tmp_path / "cost")]) == 0
    assert "| ADM, r = 8 |" in capsys.readouterr().out
    assert (tmp_path / "cost" / "cost.md").exists()
    faces = write_faces(tmp_path / "faces", 6)
    run = tmp_path / "run"
    arguments = f"train {faces} --out {run} --epochs 1 --batch 4 --workers 0 --hold-out 0.3"
    assert main([*arguments.split(), "--model.name", "aadn", "--model.size", "32"]) == 0
    weights = str(run / "best.safetensors")
    picture = str(faces / "face_0000.png")
    drawn = tmp_path / "features.png"
    arguments_of = ["features", picture, "--weights", weights, "--out", str(drawn)]
    assert main([*arguments_of, "--occlude", "mask"]) == 0
    image = cv2.imread(str(drawn))
    assert image is not None
    assert image.shape[1] > image.shape[0] > 100

"""Train, evaluate and export from the command line, end to end on drawn faces."""

import json
from pathlib import Path

import pytest
from faces import write_faces

from aadn.cli.main import main

pytest.importorskip("torch")
pytest.importorskip("onnxscript")

KEYS = [
    "images", "missed", "normaliser", "nme", "nme_visible", "nme_hidden", "fr_8", "fr_10",
    "auc_8", "visibility_auc",
]  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_faces(tmp_path_factory.mktemp("faces"), 24)


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    arguments = f"train {data} --out {out} --epochs 1 --batch 8 --workers 1 --model.size 64"
    assert main(arguments.split()) == 0
    return out


def test_training_leaves_what_it_says(run: Path) -> None:
    assert {p.name for p in run.iterdir()} == {
        "best.safetensors", "last.safetensors", "metrics.jsonl", "config.json", "validation",
    }  # fmt: skip
    report = json.loads((run / "validation" / "report.json").read_text())
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert report["images"] == 2  # a tenth of 24
    assert report["nme"] == pytest.approx(metrics[0]["nme"], rel=0.05)  # another interpolation
    assert (run / "validation" / "worst.jpg").stat().st_size > 1000


@pytest.mark.slow
def test_checkpoint_and_export_measure_the_same(
    data: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, model = run / "best.safetensors", tmp_path / "model.onnx"
    assert main(["export", str(weights), "--out", str(model)]) == 0
    reports = []
    for file in (weights, model):
        report = tmp_path / f"{file.stem}.json"
        arguments = ["--weights", str(file), "--occlude", "mask", "--json", str(report)]
        assert main(["evaluate", str(data), *arguments]) == 0
        reports.append(json.loads(report.read_text()))
    assert "| " in capsys.readouterr().out
    first, second = reports
    assert list(first)[: len(KEYS)] == KEYS
    assert first["images"] == 24
    assert first["nme"] == pytest.approx(second["nme"], abs=1e-3)
    assert first["visibility_auc"] == pytest.approx(second["visibility_auc"], abs=1e-3)


def test_a_second_run_must_resume(
    data: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = f"train {data} --out {run} --epochs 1 --batch 8 --workers 1 --model.size 64"
    assert main(arguments.split()) == 7
    assert "--resume" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("train {data}", 2),  # no --out
        ("train --out {tmp}/run", 2),  # no folder
        ("train {tmp}/none --out {tmp}/run", 5),
        ("train {data} --out {tmp}/run --batch 0", 9),
        ("train {data} --out {tmp}/run --scheme mine.toml", 9),
        ("train {data} --out {tmp}/run --scheme cofw29", 5),
        ("train {data} --out {tmp}/run --scheme cofw29 --model.landmarks 19", 9),
        ("train {data} --out {tmp}/run --model.no-geometry", 9),
        ("train {data} --out {tmp}/run --initial {tmp}/none.safetensors", 6),
        ("train {data} --out {tmp}/run --model.name odn --trunk {tmp}/none.pth", 6),
        ("train {data} --out {data}/face_0000.png", 7),
        ("evaluate", 2),
        ("evaluate {tmp}/none", 5),
        ("evaluate {data} --occlude hat", 2),
        ("evaluate {data} --weights {tmp}/none.onnx", 6),
        ("evaluate {data} --weights {tmp}/none.pth", 6),
        ("evaluate {data} --json {tmp}", 7),
        ("export {tmp}/none --out {tmp}/a.onnx", 6),
        ("export {data}/face_0000.png --out {tmp}/a.onnx", 6),
    ],
)
def test_wrong_input_is_one_line_and_a_code(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: str, code: int
) -> None:
    assert main(arguments.format(data=data, tmp=tmp_path).split()) == code
    error = capsys.readouterr().err
    assert "Traceback" not in error
    if code != 2:
        assert [line for line in error.splitlines() if line.startswith("aadn: error: ")]
    assert list(tmp_path.iterdir()) == []  # a failed start leaves no folder


def test_labels_of_other_schemes_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_faces(tmp_path / "faces", 3)
    file = folder / "face_0001.pts"
    lines = file.read_text().splitlines()
    kept = [line.replace("68", "67") if "n_points" in line else line for line in lines]
    file.write_text("\n".join([*kept[:-2], kept[-1]]))
    assert main(["train", str(folder), "--out", str(tmp_path / "run")]) == 5
    error = capsys.readouterr().err
    assert "face_0001.pts" in error
    assert "67" in error

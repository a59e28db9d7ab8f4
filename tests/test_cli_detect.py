from __future__ import annotations

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from detecting import find, picture, process, read_by, run
from numpy.typing import NDArray
from stub_network import write_stub
from tqdm import tqdm

import aadn.cli.detect
from aadn.cli.main import main
from aadn.data.pts import read_pts
from aadn.errors import OutputError
from aadn.files import write_whole
from aadn.images import load_image
from aadn.inference import landmarker
from aadn.media import growing


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_stub(tmp_path_factory.mktemp("weights") / "stub.onnx"))


@pytest.fixture(autouse=True)
def detector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landmarker, "default_detector", lambda **_: find)


def test_one_picture(tmp_path: Path, weights: str, capsys: Any) -> None:
    path = picture(tmp_path / "a.png", faces=2)
    files = {name: tmp_path / "out" / f"result.{name}" for name in ("png", "json", "csv", "pts")}
    code, out, err = run(
        capsys, "detect", path, "--weights", weights, "--out", files["png"],
        "--json", files["json"], "--csv", files["csv"], "--pts", files["pts"],
    )  # fmt: skip
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"{path}: 2 faces"
    assert lines[1].strip() == (
        "face 1: box 0.0 5.0 60.0 70.0, angle 0, score 0.90, 34 of 68 landmarks hidden"
    )
    assert len(lines) == 3

    drawn = load_image(files["png"])
    assert drawn.shape == (90, 120, 3)
    assert (drawn != load_image(path)).any()

    content = json.loads(files["json"].read_text())
    assert {k: content[k] for k in ("format", "model", "scheme")} == {
        "format": 1,
        "model": "stub",
        "scheme": "ibug68",
    }
    (image,) = content["images"]
    assert (image["image"], image["width"], image["height"]) == (str(path), 120, 90)
    face = image["faces"][1]
    assert face["box"] == [10, 5, 70, 70]
    assert face["score"] == pytest.approx(0.8)
    assert np.shape(face["points"]) == (68, 2)
    assert np.shape(face["visibility"]) == (68,)
    assert np.shape(face["occlusion"]) == (7, 7)
    assert np.shape(face["uncertainty"]) == (68,)
    assert face["uncertainty"][4] == pytest.approx(2 * face["uncertainty"][2], abs=2e-3)
    assert face["hidden"] == list(range(1, 68, 2))

    with files["csv"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 68
    row = rows[68 + 3]
    assert (row["image"], row["face"], row["landmark"]) == (str(path), "2", "3")
    assert row["name"] == "jaw 3"
    assert [float(row["x"]), float(row["y"])] == face["points"][3]
    assert float(row["visibility"]) == face["visibility"][3]
    assert float(row["uncertainty"]) == face["uncertainty"][3] > 0

    points = read_pts(tmp_path / "out" / "result_2.pts")
    np.testing.assert_allclose(points, face["points"], atol=1e-3)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "result.csv", "result.json", "result.png", "result_1.pts", "result_2.pts",
    ]  # fmt: skip


def test_a_network_without_uncertainty(tmp_path: Path, capsys: Any) -> None:
    weights = write_stub(tmp_path / "old.onnx", uncertain=False)
    files = [tmp_path / "a.json", tmp_path / "a.csv"]
    code, _, err = run(
        capsys, "detect", picture(tmp_path / "a.png"), "--weights", weights,
        "--json", files[0], "--csv", files[1],
    )  # fmt: skip
    assert (code, err) == (0, "")
    (image,) = json.loads(files[0].read_text())["images"]
    assert image["faces"][0]["uncertainty"] is None
    with files[1].open(newline="") as file:
        assert {row["uncertainty"] for row in csv.DictReader(file)} == {""}


def test_no_face(tmp_path: Path, weights: str, capsys: Any) -> None:
    path = picture(tmp_path / "a.png", faces=0)
    output = tmp_path / "a.json"
    code, out, err = run(capsys, "detect", path, "--weights", weights, "--json", output)
    assert (code, out, err) == (0, f"{path}: no face found\n", "")
    assert json.loads(output.read_text())["images"][0]["faces"] == []


def test_a_folder_in_which_some_pictures_fail(tmp_path: Path, weights: str, capsys: Any) -> None:
    folder = tmp_path / "in"
    for name, faces in (("a.png", 1), ("b.bmp", 2), ("d.png", 0)):
        picture(folder / name, faces)
    (folder / "c.jpg").write_text("hello")
    (folder / "notes.txt").write_text("hello")
    out_folder = tmp_path / "out"
    code, out, err = run(
        capsys, "detect", folder, tmp_path / "none.png", "--weights", weights,
        "--out", out_folder, "--pts", out_folder,
        "--json", tmp_path / "a.json", "--csv", tmp_path / "a.csv",
    )  # fmt: skip
    assert code == 4
    assert [line.split(":")[0] for line in err.splitlines()] == ["aadn", "aadn"]
    assert "none.png: no such file" in err
    assert "c.jpg: not a picture" in err
    assert out.splitlines()[-1] == "4 pictures, 3 faces, 2 failures"
    assert sorted(p.name for p in out_folder.iterdir()) == [
        "a.png", "a.pts", "b.bmp", "b_1.pts", "b_2.pts", "d.png",
    ]  # fmt: skip
    images = {
        Path(i["image"]).name: i for i in json.loads((tmp_path / "a.json").read_text())["images"]
    }
    assert list(images) == ["a.png", "b.bmp", "c.jpg", "d.png"]
    assert "not a picture" in images["c.jpg"]["error"]
    assert "faces" not in images["c.jpg"]
    assert [len(images[k]["faces"]) for k in ("a.png", "b.bmp", "d.png")] == [1, 2, 0]
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [Path(row["image"]).name for row in rows] == [
        *["a.png"] * 68, *["b.bmp"] * 2 * 68, "c.jpg", "d.png",
    ]  # fmt: skip
    assert ["not a picture" in row["error"] for row in rows[-2:]] == [True, False]
    assert {row["face"] for row in rows[-2:]} == {""}


def test_threads_change_no_result(tmp_path: Path, weights: str, capsys: Any) -> None:
    for i in range(12):
        picture(tmp_path / "in" / f"{i:02}.png", faces=1 + i % 2)
    (tmp_path / "in" / "05.png").write_bytes(b"no picture")
    written = {}
    for threads in ("1", "5"):
        out = tmp_path / threads
        options = ("--out", out, "--jsonl", out / "all.jsonl", "--pts", out / "pts")
        code, said, err = run(
            capsys, "detect", tmp_path / "in", "--weights", weights, "--threads", threads, *options
        )
        assert code == 4
        files = {p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()}
        written[threads] = files, said, err
    assert written["1"] == written["5"]
    assert len(written["1"][0]) == 11 + 1 + 16


def test_names_that_are_alike_stay_apart(tmp_path: Path, weights: str, capsys: Any) -> None:
    for name in ("x/a.png", "y/a.png", "y/a.bmp", "y/b.webp"):
        picture(tmp_path / "in" / name)
    out_folder = tmp_path / "out"
    code, _, err = run(
        capsys, "detect", f"{tmp_path}/in/**/*", "--weights", weights,
        "--out", out_folder, "--pts", out_folder,
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert sorted(str(p.relative_to(out_folder)) for p in out_folder.rglob("*.*")) == [
        "x/a.png", "x/a.pts", "y/a.bmp", "y/a.bmp.pts", "y/a.png", "y/a.png.pts",
        "y/b.pts", "y/b.webp",
    ]  # fmt: skip


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(("option", "name"), [("--out", "b.png"), ("--pts", "b.pts")])
def test_a_folder_is_not_written_into_one_file(
    option: str, name: str, count: int, tmp_path: Path, weights: str, capsys: Any
) -> None:
    for i in range(count):
        picture(tmp_path / "in" / f"{i}.png")
    place = tmp_path / name
    arguments = ["detect", tmp_path / "in", "--weights", weights, option, place]
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (7, "")
    assert f"{option} {place}: is the name of one file; expected a folder" in err
    assert not place.exists()
    place.write_text("mine")
    code, _, err = run(capsys, *arguments)
    assert code == 7
    assert "is a file; expected a folder" in err
    assert place.read_text() == "mine"
    place.unlink()
    place.mkdir()  # a folder may have any name
    assert run(capsys, *arguments)[0] == 0
    assert len(list(place.iterdir())) == count


def broken(name: str, folder: Path) -> Path:
    path = folder / f"{name}.jpg"
    whole = cv2.imencode(".jpg", np.zeros((50, 50, 3), np.uint8))[1].tobytes()
    if name == "cut":
        path.write_bytes(whole[:-40])
    elif name == "empty":
        path.write_bytes(b"")
    elif name == "text":
        path.write_text("hello\nworld\n")
    elif name == "folder":
        path.mkdir()
    return path


@pytest.mark.parametrize("name", ["missing", "empty", "text", "cut", "folder"])
def test_pictures_that_cannot_be_read(name: str, tmp_path: Path, weights: str, capfd: Any) -> None:
    path = broken(name, tmp_path)
    code, out, err = run(capfd, "detect", path, "--weights", weights)
    assert code == 4
    assert out == ""
    assert err.startswith(f"aadn: error: {path}: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "value", "code"),
    [
        ("--weights", "none.onnx", 6),
        ("--weights", "a.png", 6),
        ("--yunet", "none.onnx", 6),
        ("--yunet", "a.png", 6),
        ("--out", "result", 7),
        ("--out", "result.txt", 7),
        ("--out", "a.png", 7),
        ("--json", "a.png", 7),
        ("--json", "a.png/a.json", 7),
        ("--csv", "", 7),
        ("--csv", "folder", 7),
        ("--min-score", "high", 2),
        ("--threshold", "high", 2),
        ("--min-scor", "0.4", 2),
    ],
)
def test_wrong_options(
    option: str, value: str, code: int, tmp_path: Path, weights: str, capfd: Any
) -> None:
    path = picture(tmp_path / "a.png")
    (tmp_path / "folder").mkdir()
    before = path.read_bytes()
    value = value if code == 2 else str(tmp_path / value)
    chosen = [] if option == "--weights" else ["--weights", weights]
    got, out, err = run(capfd, "detect", path, *chosen, option, value)
    assert got == code
    assert out == ""
    assert path.read_bytes() == before
    if code != 2:
        assert err.startswith("aadn: error: ")
        assert err.count("\n") == 1


@pytest.mark.parametrize("option", ["--min-score", "--threshold"])
def test_a_score_out_of_range(
    option: str, tmp_path: Path, weights: str, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # the real detector
    path = picture(tmp_path / "a.png")
    code, _, err = run(capsys, "detect", path, "--weights", weights, option, "7")
    assert code == 9
    assert "minimum score" in err
    assert err.count("\n") == 1


def test_wrong_and_missing_verbs(capsys: Any) -> None:
    code, _, err = run(capsys, "detct", "a.jpg")
    assert code == 2
    assert "detect" in err
    code, _, err = run(capsys, "detect")
    assert code == 2
    assert "no picture given" in err
    code, out, _ = run(capsys)
    assert code == 0
    assert "usage: aadn" in out


def test_version(capsys: Any) -> None:
    assert run(capsys, "--version") == (0, f"aadn {aadn.__version__}\n", "")


def test_ctrl_c_keeps_what_is_done(
    tmp_path: Path, weights: str, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [picture(tmp_path / f"{i}.png") for i in range(3)]

    def read(path: Path, **_: Any) -> NDArray[np.uint8]:
        if path == paths[2]:
            raise KeyboardInterrupt
        return load_image(path)

    read_by(monkeypatch, read)
    code, _, err = run(
        capsys, "detect", *paths, "--weights", weights, "--json", tmp_path / "a.json"
    )
    assert code == 130
    assert err == "aadn: interrupted\n"
    images = json.loads((tmp_path / "a.json").read_text())["images"]
    assert [i["image"] for i in images] == [str(p) for p in paths[:2]]


def test_ctrl_c_between_lines_is_no_fault_of_ours(
    tmp_path: Path, weights: str, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(contextlib.nullcontext[None]):
        def acquire(self, *_: Any) -> None:  # before it has the lock
            raise KeyboardInterrupt

        def release(self) -> None:
            raise RuntimeError("cannot release un-acquired lock")

    monkeypatch.setattr(tqdm, "_lock", Interrupted(), raising=False)
    paths = [picture(tmp_path / f"{i}.png", faces=0) for i in range(2)]
    assert run(capsys, "detect", *paths, "--weights", weights)[0] in (0, 130)


def test_a_fault_of_ours_keeps_what_is_done(
    tmp_path: Path, weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [picture(tmp_path / f"{i}.png") for i in range(2)]

    def read(path: Path, **_: Any) -> NDArray[np.uint8]:
        return load_image(path) if path == paths[0] else 1 // 0  # type: ignore[return-value]

    read_by(monkeypatch, read)
    with pytest.raises(ZeroDivisionError):
        main(["detect", *map(str, paths), "--weights", weights, "--json", f"{tmp_path}/a.json"])
    assert len(json.loads((tmp_path / "a.json").read_text())["images"]) == 1


def test_too_little_memory_for_one_picture(
    tmp_path: Path, weights: str, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: Path, **_: Any) -> NDArray[np.uint8]:
        raise MemoryError

    read_by(monkeypatch, read)
    code, _, err = run(capsys, "detect", picture(tmp_path / "a.png"), "--weights", weights)
    assert code == 4
    assert "not enough memory" in err


def test_a_file_of_results_that_fails_leaves_the_others(
    tmp_path: Path, weights: str, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(path: Path, content: Any) -> None:
        if path.suffix == ".json":
            raise OutputError("disk full")
        write_whole(path, content)

    monkeypatch.setattr(growing, "write_whole", write)
    paths, table = [picture(tmp_path / f"{i}.png") for i in range(2)], tmp_path / "a.csv"
    code, out, err = run(
        capsys, "detect", *paths, "--weights", weights, "--json", tmp_path / "a.json",
        "--csv", table,
    )  # fmt: skip
    assert (code, err) == (7, "aadn: error: disk full\n")  # once
    assert out.splitlines()[-1] == "2 pictures, 2 faces, 1 failures"
    assert len(table.read_text().splitlines()) == 1 + 2 * 68


def test_a_picture_too_wide_for_its_format(tmp_path: Path, weights: str, capsys: Any) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.zeros((2, 17_000, 3), np.uint8))
    code, _, err = run(capsys, "detect", path, "--weights", weights, "--out", tmp_path / "b.webp")
    assert code == 7
    assert "cannot be written in this format" in err


def test_names_that_are_no_text(tmp_path: Path, weights: str, capfd: Any) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    try:
        picture(tmp_path / "a.png").rename(path)
    except OSError:
        pytest.skip("this file system has no such names")
    code, _, err = run(
        capfd, "detect", path, "--weights", weights,
        "--json", tmp_path / "a.json", "--csv", tmp_path / "a.csv", "--out", tmp_path / "b.png",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert json.loads((tmp_path / "a.json").read_text())["images"][0]["image"] == str(path)
    assert os.fsencode(path) in (tmp_path / "a.csv").read_bytes()


def test_as_a_process(tmp_path: Path, weights: str) -> None:
    path = picture(tmp_path / "a.png", faces=0)
    with process("detect", path, "--weights", weights) as child:
        out, err = child.communicate(timeout=60)
    assert (child.returncode, out, err) == (0, f"{path}: no face found\n", "")
    with process("detect", tmp_path / "b.png", "--weights", weights) as child:
        out, err = child.communicate(timeout=60)
    assert child.returncode == 4
    assert err.startswith("aadn: error: ")
    assert err.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_of_a_process(tmp_path: Path, weights: str) -> None:
    for i in range(200):
        picture(tmp_path / "in" / f"{i:03}.png", faces=0)
    output = tmp_path / "a.json"
    with process("detect", tmp_path / "in", "--weights", weights, "--json", output, bufsize=1,
                 env={**os.environ, "PYTHONUNBUFFERED": "1"}) as child:  # fmt: skip
        assert child.stdout is not None
        child.stdout.readline()
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=60)
    assert (child.returncode, err.splitlines()[-1:]) == (130, ["aadn: interrupted"]), err
    assert 1 <= len(json.loads(output.read_text())["images"]) < 200


def test_two_results_in_one_file_are_refused(tmp_path: Path, weights: str, capsys: Any) -> None:
    path, out = picture(tmp_path / "a.png"), tmp_path / "out"
    code, _, error = run(capsys, "detect", path, "--weights", weights, "--json", out, "--csv", out)
    assert code == 2
    assert str(out) in error
    assert not out.exists()


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_one_line(
    weights: str, tmp_path: Path, unbuffered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    path = picture(tmp_path / "a.png", faces=0)
    with Path("/dev/full").open("w") as full:
        child = subprocess.run(
            [sys.executable, "-m", "aadn", "detect", str(path), "--weights", weights],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert child.returncode == 7
    assert child.stderr.count("\n") == 1
    assert "No space left on device" in child.stderr

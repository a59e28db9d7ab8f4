"""`aadn detect`: files of results that grow, standard input and output, what is left alone."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from detecting import find, picture, process, read_by, run
from stub_network import write_stub

import aadn.cli.detect
from aadn.cli.main import main
from aadn.data.pts import read_pts
from aadn.errors import OutputError
from aadn.images import load_image
from aadn.inference import landmarker
from aadn.inference.detections import MIN_SCORE
from aadn.media import growing
from aadn.media.results import COLUMNS


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_stub(tmp_path_factory.mktemp("weights") / "stub.onnx"))


@pytest.fixture(autouse=True)
def detector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landmarker, "default_detector", lambda **_: find)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures with two faces, with none, and one that cannot be read."""
    picture(tmp_path / "in" / "a.png", faces=2)
    picture(tmp_path / "in" / "b.png", faces=0)
    (tmp_path / "in" / "c.png").write_text("hello")
    return tmp_path / "in"


TABLES = ("json", "jsonl", "csv")


def names(kind: str, text: str) -> list[str]:
    """The pictures in a file of results, each once."""
    if kind == "json":
        entries = json.loads(text)["images"]
    elif kind == "jsonl":
        entries = [json.loads(line) for line in text.splitlines()]
    else:
        entries = list(csv.DictReader(io.StringIO(text, newline="")))
    return list(dict.fromkeys(Path(entry["image"]).name for entry in entries))


def test_json_lines_and_the_document_say_the_same(
    folder: Path, tmp_path: Path, weights: str, capsys: Any
) -> None:
    document, lines = tmp_path / "a.json", tmp_path / "a.jsonl"
    code, _, _ = run(
        capsys, "detect", folder, "--weights", weights, "--json", document, "--jsonl", lines
    )
    assert code == 4
    content = json.loads(document.read_text())
    images = content.pop("images")
    assert content == {"format": 1, "model": "stub", "scheme": "ibug68"}
    assert [json.loads(line) for line in lines.read_text().splitlines()] == [
        {**content, **image} for image in images
    ]
    assert [sorted(image) for image in images] == [
        ["faces", "height", "image", "width"],
        ["faces", "height", "image", "width"],
        ["error", "image"],
    ]


def test_the_table(folder: Path, tmp_path: Path, weights: str, capsys: Any) -> None:
    table, document = tmp_path / "a.csv", tmp_path / "a.json"
    run(capsys, "detect", folder, "--weights", weights, "--csv", table, "--json", document)
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "image", "face", "landmark", "name", "x", "y", "visibility", "uncertainty",
        "hidden", "threshold", "box_x0", "box_y0", "box_x1", "box_y1", "score", "angle",
        "quality", "error", "state", "turned_away", "turned_threshold",
    ]  # fmt: skip
    assert len(rows) == 2 * 68 + 2
    second = json.loads(document.read_text())["images"][0]["faces"][1]
    row = rows[68 + 3]
    assert (row["face"], row["landmark"]) == ("2", "3")
    assert [int(r["landmark"]) for r in rows[68 : 2 * 68] if r["hidden"] == "1"] == second["hidden"]
    assert {r["hidden"] for r in rows[: 2 * 68]} == {"0", "1"}
    assert all((r["state"] == "covered") == (r["hidden"] == "1") for r in rows[: 2 * 68])
    assert {r["turned_away"] for r in rows[: 2 * 68]} == {""}  # a network that does not tell
    assert float(row["threshold"]) == 0.5
    assert [float(row[f"box_{side}"]) for side in ("x0", "y0", "x1", "y1")] == second["box"]
    assert float(row["score"]) == second["score"]
    assert row["error"] == ""
    assert {k for k, v in rows[-2].items() if v} == {"image"}
    assert {k for k, v in rows[-1].items() if v} == {"image", "error"}
    assert "not a picture" in rows[-1]["error"]


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("name", ["-", "/dev/stdout"])
def test_results_on_standard_output(
    kind: str, name: str, folder: Path, weights: str, capfdbinary: Any
) -> None:
    code, out, err = run(capfdbinary, "detect", folder, "--weights", weights, f"--{kind}", name)
    assert code == 4
    assert names(kind, out.decode()) == ["a.png", "b.png", "c.png"]
    lines = err.decode().splitlines()
    assert lines[0] == f"{folder}/a.png: 2 faces"
    assert lines[-1] == "3 pictures, 2 faces, 1 failures"


@pytest.mark.parametrize("options", [[], ["--skip-existing"]])
def test_a_drawing_on_standard_output(
    options: list[str], tmp_path: Path, weights: str, capfdbinary: Any
) -> None:
    path = picture(tmp_path / "a.png")
    code, out, err = run(capfdbinary, "detect", path, "--weights", weights, "--out", "-", *options)
    assert code == 0
    assert load_image(bytes(out)).shape == (90, 120, 3)
    assert err.startswith(os.fsencode(f"{path}: 1 face\n"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--json", "-", "--csv", "-"], "only one result can go to standard output"),
        (["--jsonl", "-", "--out", "/dev/stdout"], "only one result can go to standard output"),
        (["--out", "-"], "only the drawing of one picture"),
        (["--skip-existing", "--json", "a.json"], "--skip-existing looks at what is in --out"),
        (["--skip-existing", "--overwrite", "--out", "out"], "not both"),
    ],
)
def test_options_that_do_not_go_together(
    options: list[str], message: str, folder: Path, weights: str, capsys: Any
) -> None:
    code, out, err = run(capsys, "detect", folder, "--weights", weights, *options)
    assert (code, out) == (2, "")
    assert message in err


@pytest.mark.parametrize("option", ["--max-faces", "--max-pixels", "--threads"])
@pytest.mark.parametrize("value", [0, -1])
def test_numbers_below_one(
    option: str, value: int, folder: Path, weights: str, capsys: Any
) -> None:
    code, _, err = run(capsys, "detect", folder, "--weights", weights, option, value)
    assert (code, err) == (9, f"aadn: error: expected {option} of 1 or more, got {value}\n")


def test_an_empty_name_is_not_the_current_folder(weights: str, capsys: Any) -> None:
    code, out, err = run(capsys, "detect", "", "--weights", weights)
    assert (code, out) == (2, "")
    assert "got an empty one" in err


@pytest.mark.parametrize("names_given", [["-", "/dev/stdin"], ["/dev/stdin", "-", "-"]])
def test_a_picture_from_standard_input(
    names_given: list[str],
    tmp_path: Path,
    weights: str,
    capsys: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = picture(tmp_path / "a.png").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    code, out, err = run(
        capsys, "detect", *names_given, "--weights", weights, "--out", tmp_path / "out",
        "--pts", tmp_path / "out", "--json", tmp_path / "a.json",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "/dev/stdin: 1 face"  # once, though named twice
    assert names("json", (tmp_path / "a.json").read_text()) == ["stdin"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["stdin.png", "stdin.pts"]


@pytest.mark.parametrize("data", [b"", b"hello", None])
def test_what_is_no_picture_on_standard_input(
    data: bytes | None, weights: str, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = None if data is None else io.TextIOWrapper(io.BytesIO(data))
    monkeypatch.setattr(sys, "stdin", stream)
    code, out, err = run(capsys, "detect", "-", "--weights", weights)
    assert (code, out) == (4, "")
    assert err.startswith("aadn: error: /dev/stdin: ")
    assert err.count("\n") == 1


def test_too_much_on_standard_input(
    weights: str, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aadn.cli.detect, "MAX_BYTES", 1 << 20)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\0" * ((1 << 20) + 1))))
    code, _, err = run(capsys, "detect", "-", "--weights", weights)
    assert (code, err) == (
        4,
        "aadn: error: /dev/stdin: more than 1 MiB, expected a picture\n",
    )


def test_most_of_the_faces(tmp_path: Path, weights: str, capsys: Any) -> None:
    path, file = picture(tmp_path / "a.png", faces=4), tmp_path / "a.json"
    scores = []
    for count in (1, 3, 9):
        arguments = ["--weights", weights, "--json", file, "--max-faces", count]
        assert run(capsys, "detect", path, *arguments)[0] == 0
        (image,) = json.loads(file.read_text())["images"]
        scores.append([face["score"] for face in image["faces"]])
    assert scores == [pytest.approx(np.linspace(0.9, 0.8, 4)[:n], abs=1e-4) for n in (1, 3, 4)]


def test_small_faces(
    tmp_path: Path, weights: str, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []

    def made(**options: Any) -> Any:
        given.append((options["min_score"], options.get("min_size")))
        return find

    monkeypatch.setattr(landmarker, "default_detector", made)
    arguments = ["detect", picture(tmp_path / "a.png"), "--weights", weights]
    assert run(capsys, *arguments, "--min-size", "0.02", "--min-score", "0.3")[0] == 0
    assert run(capsys, *arguments)[0] == 0
    assert given == [(0.3, 0.02), (MIN_SCORE, None)]
    code, _, err = run(capsys, *arguments, "--min-size", 20, "--yunet", tmp_path / "yunet.onnx")
    assert code == 2
    assert "leave out --yunet" in err


def test_more_pixels_than_allowed(
    tmp_path: Path, weights: str, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = []

    def read(path: Path, *, max_pixels: int) -> Any:
        limits.append(max_pixels)
        return load_image(path)

    read_by(monkeypatch, read)
    path = picture(tmp_path / "a.png")
    assert run(capsys, "detect", path, "--weights", weights, "--max-pixels", 12345)[0] == 0
    assert limits == [12345]


def test_quiet_prints_errors_only(folder: Path, tmp_path: Path, weights: str, capsys: Any) -> None:
    code, out, err = run(
        capsys, "detect", folder, "--weights", weights, "--quiet", "--csv", tmp_path / "a.csv"
    )
    assert (code, out) == (4, "")
    assert err.startswith(f"aadn: error: {folder}/c.png: not a picture")
    assert err.count("\n") == 1
    assert names("csv", (tmp_path / "a.csv").read_text()) == ["a.png", "b.png", "c.png"]


def test_folders_below(tmp_path: Path, weights: str, capsys: Any) -> None:
    for name in ("a.png", "x/b.png", "x/y/c.png"):
        picture(tmp_path / "in" / name, faces=0)
    arguments = ["detect", tmp_path / "in", "--weights", weights]
    assert run(capsys, *arguments)[1].splitlines() == [
        f"{tmp_path}/in/a.png: no face found", "1 pictures, 0 faces, 0 failures",
    ]  # fmt: skip
    code, out, _ = run(capsys, *arguments, "--recursive", "--out", tmp_path / "out")
    assert (code, len(out.splitlines())) == (0, 4)
    assert sorted(p.relative_to(tmp_path / "out") for p in (tmp_path / "out").rglob("*.png")) == [
        Path("a.png"), Path("x/b.png"), Path("x/y/c.png"),
    ]  # fmt: skip


def test_labels_that_are_there_are_not_replaced(tmp_path: Path, weights: str, capsys: Any) -> None:
    for name in "ab":
        picture(tmp_path / "in" / f"{name}.png", faces=2)
    mine = tmp_path / "in" / "b_2.pts"
    mine.write_text("by hand")
    arguments = ["detect", tmp_path / "in", "--weights", weights, "--pts", tmp_path / "in"]
    table = tmp_path / "a.csv"
    code, out, err = run(capsys, *arguments, "--csv", table)
    assert (code, out) == (7, "")
    assert err == (
        f"aadn: error: {mine} is there, and may be made by hand (1 of 2 pictures have such "
        "files); --overwrite replaces them, --skip-existing keeps them\n"
    )
    assert sorted(p.name for p in (tmp_path / "in").iterdir()) == ["a.png", "b.png", "b_2.pts"]
    assert not table.exists()

    assert run(capsys, *arguments, "--skip-existing")[0] == 0
    assert mine.read_text() == "by hand"
    made = sorted(p.name for p in (tmp_path / "in").glob("*.pts"))
    assert made == ["a_1.pts", "a_2.pts", "b_1.pts", "b_2.pts"]

    assert run(capsys, *arguments, "--overwrite")[0] == 0
    np.testing.assert_array_equal(read_pts(mine), read_pts(tmp_path / "in" / "a_2.pts"))


def test_labels_of_faces_that_are_no_longer_found_are_removed(
    tmp_path: Path, weights: str, capsys: Any
) -> None:
    two = picture(tmp_path / "two.png", faces=2)
    (tmp_path / "two_3.png").write_text("not asked for")
    hand = tmp_path / "two_3.pts"
    hand.write_text("by hand")

    def labels(*options: Any) -> list[str]:
        arguments = ["--weights", weights, "--pts", tmp_path, "--overwrite", *options]
        assert run(capsys, "detect", two, *arguments)[0] == 0
        assert hand.read_text() == "by hand"
        return sorted(p.name for p in tmp_path.glob("*.pts") if p != hand)

    assert labels() == ["two_1.pts", "two_2.pts"]
    assert labels("--max-faces", 1) == ["two.pts"]
    assert labels() == ["two_1.pts", "two_2.pts"]
    picture(two, faces=0)  # no face is found: labels that may be made by hand stay
    assert labels() == ["two_1.pts", "two_2.pts"]


def test_labels_of_a_picture_that_cannot_be_read_stay(
    tmp_path: Path, weights: str, capsys: Any
) -> None:
    path, mine = tmp_path / "a.png", tmp_path / "a_2.pts"
    path.write_text("hello")
    mine.write_text("by hand")
    arguments = ["--weights", weights, "--pts", tmp_path, "--overwrite"]
    assert run(capsys, "detect", path, *arguments)[0] == 4
    assert mine.read_text() == "by hand"


def test_new_labels_are_written_before_older_ones_go(
    tmp_path: Path, weights: str, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, points: Any) -> None:
        raise OutputError("disk full")

    path, mine = picture(tmp_path / "a.png"), tmp_path / "a_2.pts"
    mine.write_text("by hand")
    monkeypatch.setattr(aadn.cli.detect, "write_pts", fail)
    arguments = ["--weights", weights, "--pts", tmp_path, "--overwrite"]
    assert run(capsys, "detect", path, *arguments)[0] == 7
    assert mine.read_text() == "by hand"


def test_one_file_of_labels_is_not_replaced_either(
    tmp_path: Path, weights: str, capsys: Any
) -> None:
    path, mine = picture(tmp_path / "a.png"), tmp_path / "mine.pts"
    mine.write_text("by hand")
    arguments = ["detect", path, "--weights", weights, "--pts", mine]
    assert run(capsys, *arguments)[0] == 7
    assert mine.read_text() == "by hand"
    assert run(capsys, *arguments, "--overwrite")[0] == 0
    assert read_pts(mine).shape == (68, 2)


def test_what_is_there_is_skipped(
    tmp_path: Path, weights: str, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, faces in (("a", 1), ("b", 2), ("c", 0)):
        picture(tmp_path / "in" / f"{name}.png", faces)
    out, lines = tmp_path / "out", tmp_path / "a.jsonl"
    arguments = ["detect", tmp_path / "in", "--weights", weights, "--out", out, "--pts", out,
                 "--skip-existing", "--jsonl", lines]  # fmt: skip
    code, said, _ = run(capsys, *arguments)
    assert (code, said.splitlines()[-1]) == (0, "3 pictures, 3 faces, 0 failures")
    (out / "b_1.pts").unlink()
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    code, said, _ = run(capsys, *arguments)
    # c.png has no face, so nothing says that it was looked at but its drawing.
    assert said.splitlines()[-1] == "2 pictures, 2 faces, 0 failures, 1 skipped"
    assert names("jsonl", lines.read_text()) == ["b.png", "c.png"]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert (out / "b_1.pts").exists()

    for path in (tmp_path / "in" / "c.png", tmp_path / "in" / "b.png"):
        path.unlink()
    (out / "a.png").unlink()
    run(capsys, *arguments)
    assert (out / "a.png").exists()
    assert names("jsonl", lines.read_text()) == ["a.png"]
    monkeypatch.setattr(aadn.cli.detect, "Landmarker", None)  # not even loaded
    code, said, _ = run(capsys, *arguments)
    assert (code, said) == (0, "0 pictures, 0 faces, 0 failures, 1 skipped\n")
    assert lines.read_text() == ""


@pytest.mark.parametrize("kind", TABLES)
def test_a_failed_start_leaves_the_older_file(
    kind: str, tmp_path: Path, weights: str, capsys: Any
) -> None:
    path, table = picture(tmp_path / "a.png"), tmp_path / "old"
    table.write_text("older")
    for arguments in (
        [path, "--weights", tmp_path / "none.onnx"],
        [path, "--weights", weights, "--yunet", tmp_path / "none.onnx"],
    ):
        assert run(capsys, "detect", *arguments, f"--{kind}", table)[0] == 6
        assert table.read_text() == "older"
        fresh = tmp_path / "folder" / "new"
        assert run(capsys, "detect", *arguments, f"--{kind}", fresh)[0] == 6
        assert not fresh.parent.exists()


def empty(kind: str, text: str, model: str | None, scheme: str | None) -> bool:
    """Whether a file of results is complete and has no picture."""
    if kind == "json":
        content: dict[str, Any] = {"format": 1, "model": model, "scheme": scheme, "images": []}
        return bool(json.loads(text) == content)
    return text == ("" if kind == "jsonl" else f"{','.join(COLUMNS)}\n")


@pytest.mark.parametrize("kind", TABLES)
def test_without_a_picture_the_results_are_empty(
    kind: str, tmp_path: Path, weights: str, capfd: Any
) -> None:
    arguments = ["detect", tmp_path / "none.png", "--weights", weights, f"--{kind}"]
    table = tmp_path / "old"
    table.write_text("older")
    assert run(capfd, *arguments, table)[0] == 4
    assert empty(kind, table.read_text(), None, None)
    fresh = tmp_path / "folder" / "new"
    assert run(capfd, *arguments, fresh)[0] == 4
    assert empty(kind, fresh.read_text(), None, None)
    code, out, _ = run(capfd, *arguments, "-")
    assert code == 4
    assert empty(kind, out, None, None)


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_cut_off_at_the_first_picture_the_results_are_empty(
    kind: str, error: type[BaseException], tmp_path: Path, weights: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def read(path: Path, **_: Any) -> Any:
        raise error

    read_by(monkeypatch, read)
    path, table = picture(tmp_path / "a.png"), tmp_path / "old"
    table.write_text("older")
    arguments = ["detect", str(path), "--weights", weights, f"--{kind}", str(table)]
    if error is KeyboardInterrupt:
        assert main(arguments) == 130
    else:
        with pytest.raises(error):
            main(arguments)
    assert empty(kind, table.read_text(), "stub", "ibug68")


@pytest.mark.parametrize("failing", ["/dev/full", "file"])
def test_empty_results_that_cannot_be_written(
    failing: str, tmp_path: Path, weights: str, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(path: Path, content: Any) -> None:
        raise OutputError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr(growing, "write_whole", write)
    table = needs_dev_full() if failing == "/dev/full" else tmp_path / "a.json"
    code, _, err = run(capsys, "detect", tmp_path / "none.png", "--weights", weights,
                       "--json", table)  # fmt: skip
    assert code == 4  # of the first failure
    assert err.splitlines()[1:] == [f"aadn: error: cannot write {table}: No space left on device"]


def test_a_checkpoint_is_to_be_exported_first(tmp_path: Path, capsys: Any) -> None:
    path = picture(tmp_path / "a.png")
    code, _, err = run(capsys, "detect", path, "--weights", "best.safetensors")
    assert code == 6
    assert "export it first: `aadn export best.safetensors --out best.onnx`" in err


def test_names_with_control_characters_stay_on_their_line(
    tmp_path: Path, weights: str, capsys: Any
) -> None:
    good, bad = picture(tmp_path / "a\nb\x1b[31m.png", faces=0), tmp_path / "c\nd.png"
    bad.write_text("hello")
    table, document = tmp_path / "a.csv", tmp_path / "a.json"
    code, out, err = run(
        capsys, "detect", good, bad, "--weights", weights, "--csv", table, "--json", document
    )
    assert code == 4
    assert out.splitlines()[0] == f"{tmp_path}/a\\nb\\x1b[31m.png: no face found"
    assert err.startswith(f"aadn: error: {tmp_path}/c\\nd.png: not a picture")
    assert err.count("\n") == 1
    with table.open(newline="") as file:
        assert [row["image"] for row in csv.DictReader(file)] == [str(good), str(bad)]
    assert [i["image"] for i in json.loads(document.read_text())["images"]] == [
        str(good), str(bad),
    ]  # fmt: skip


@pytest.mark.skipif(os.geteuid() == 0 if hasattr(os, "geteuid") else True, reason="not for root")
def test_a_folder_that_may_not_be_written(tmp_path: Path, weights: str, capsys: Any) -> None:
    path, locked = picture(tmp_path / "a.png"), tmp_path / "locked"
    locked.mkdir(mode=0o500)
    for option in ("--out", "--pts", "--json"):
        code, out, err = run(capsys, "detect", path, "--weights", weights, option, locked / "a.pts")
        assert (code, out) == (7, "")
        assert "cannot write" in err


def needs_dev_full() -> Path:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full")
    return full


@pytest.mark.parametrize("kind", TABLES)
def test_a_full_disk(kind: str, folder: Path, weights: str, capsys: Any) -> None:
    full = needs_dev_full()
    code, out, err = run(capsys, "detect", folder, "--weights", weights, f"--{kind}", full)
    assert code == 7
    assert err.splitlines()[0] == "aadn: error: cannot write /dev/full: No space left on device"
    assert out.splitlines()[-1] == "3 pictures, 2 faces, 2 failures"  # once


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
def test_results_into_a_pipe(folder: Path, tmp_path: Path, weights: str) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE, text=True) as reader:
        assert main(["detect", str(folder), "--weights", weights, "--json", str(pipe)]) == 4
        out, _ = reader.communicate(timeout=60)
    assert names("json", out) == ["a.png", "b.png", "c.png"]
    assert pipe.is_fifo()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_what_is_found_survives_a_kill(tmp_path: Path, weights: str) -> None:
    for i in range(300):
        picture(tmp_path / "in" / f"{i:03}.png", faces=0)
    tables = {kind: tmp_path / f"a.{kind}" for kind in TABLES}
    options = [option for kind, path in tables.items() for option in (f"--{kind}", path)]
    with process("detect", tmp_path / "in", "--weights", weights, *options,
                 env={**os.environ, "PYTHONUNBUFFERED": "1"}) as child:  # fmt: skip
        assert child.stdout is not None
        printed = [child.stdout.readline() for _ in range(20)]
        child.send_signal(signal.SIGKILL)
        child.wait(timeout=60)
    assert printed[19].endswith("019.png: no face found\n")
    for kind, path in tables.items():
        assert 20 <= len(names(kind, path.read_text())) < 300, kind


def test_nobody_reads(folder: Path, weights: str) -> None:
    with process("detect", folder, "--weights", weights, "--jsonl", "-") as child:
        assert child.stdout is not None
        child.stdout.close()
        assert child.stderr is not None
        err = child.stderr.read()
        assert child.wait(timeout=60) == 141
    assert "Traceback" not in err
    assert "Exception" not in err


def test_a_name_too_long_for_the_system(folder: Path, weights: str, capsys: Any) -> None:
    name = "a" * 5000
    code, out, err = run(capsys, "detect", f"{name}.jpg", folder / "a.png", "--weights", weights)
    assert code == 4
    assert err.startswith(f"aadn: error: {name}.jpg: cannot be read (File name too long)")
    assert out.splitlines()[-1] == "1 pictures, 2 faces, 1 failures"


def test_evaluate_reads_the_labels(tmp_path: Path, weights: str, capsys: Any) -> None:
    # Names of which the numbered ones could be a neighbour's, or are alike but for the format.
    for name, faces in (("a.png", 2), ("a_1.png", 1), ("b.png", 1), ("b.bmp", 2), ("c.png", 0)):
        picture(tmp_path / name, faces)
    assert run(capsys, "detect", tmp_path, "--weights", weights, "--pts", tmp_path)[0] == 0
    report = tmp_path / "report.json"
    code, _, err = run(capsys, "evaluate", tmp_path, "--weights", weights, "--json", report)
    assert (code, err) == (0, "")
    assert json.loads(report.read_text())["images"] == 6

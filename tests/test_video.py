"""`aadn video`: films in, films and tables out."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from aadn import Landmarker, Tracker, load_image
from aadn.cli.main import main
from aadn.errors import ImageError, InputError, MissingDependencyError, OutputError
from aadn.faces import Faces
from aadn.media.film import AvFilm, Camera, FilmWriter, OpenCvFilm, PictureFolder, open_film
from aadn.media.film_parquet import FilmParquet
from aadn.media.film_results import openface_angles, openface_csv

av = pytest.importorskip("av")

ASTRONAUT = Path(__file__).parents[1] / "examples" / "astronaut.jpg"
TIMES = [0.0, 0.04, 0.08, 0.2, 0.24, 0.3]
"""Seconds at which frames are shown: not evenly."""


def picture(shift: int = 0) -> NDArray[np.uint8]:
    """Her head, small, of even sides."""
    image = load_image(ASTRONAUT)[40:240, 120:330]
    return np.ascontiguousarray(np.roll(image, shift, axis=1))


def film(
    path: Path, times: Sequence[float] = TIMES, *, sound: bool = True, frames: Any = picture
) -> Path:
    """A film of frames shown at some times, with a tone."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        first = frames(0)
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        tone = container.add_stream("aac", rate=16000) if sound else None
        for i, shown in enumerate(times):
            frame = av.VideoFrame.from_ndarray(frames(2 * i), format="rgb24")
            frame.pts, frame.time_base = round(1000 * shown), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if tone is not None:
            for i in range(8):
                wave = np.sin(np.arange(1024 * i, 1024 * (i + 1)) / 20).astype(np.float32)[None]
                part = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
                part.sample_rate, part.pts = 16000, 1024 * i
                container.mux(tone.encode(part))
            container.mux(tone.encode())
    return path


def shown(path: Path) -> list[float]:
    """The times of a film's frames."""
    reader = AvFilm(path)
    times = [frame.time for frame in reader.frames()]
    reader.close()
    return times


def sound(path: Path) -> float:
    """Seconds of sound in a film; 0 without."""
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return 0.0
        packets = [p for p in container.demux(container.streams.audio[0]) if p.pts is not None]
        return float((packets[-1].pts - packets[0].pts) * packets[0].time_base)


# Reading


def test_frames_come_with_their_times(tmp_path: Path) -> None:
    reader = open_film(str(film(tmp_path / "a.mp4")))
    assert isinstance(reader, AvFilm)
    frames = list(reader.frames())
    np.testing.assert_allclose([frame.time for frame in frames], TIMES, atol=1e-3)
    assert [frame.index for frame in frames] == list(range(6))
    assert np.abs(frames[2].image.astype(int) - picture(4)).mean() < 6
    assert reader.seconds == pytest.approx(0.5, abs=0.25)
    reader.close()


def test_a_phone_s_film_is_upright(tmp_path: Path) -> None:
    """The frames lie; the header says to turn them clockwise by a quarter."""
    path = film(tmp_path / "a.mp4", sound=False)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    one = 1 << 16
    data[at : at + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    reader = AvFilm(path)
    first = next(reader.frames())
    reader.close()
    expected = np.rot90(picture(), -1)
    assert first.image.shape == expected.shape
    assert np.abs(first.image.astype(int) - expected).mean() < 6


def test_opencv_reads_what_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = film(tmp_path / "a.mp4", [i / 25 for i in range(5)])
    monkeypatch.setitem(sys.modules, "av", None)
    reader = open_film(str(path))
    assert isinstance(reader, OpenCvFilm)
    frames = list(reader.frames())
    reader.close()
    assert len(frames) == 5
    assert (np.diff([frame.time for frame in frames]) > 0).all()
    with pytest.raises(MissingDependencyError, match=r"aadn\[video\]"):
        FilmWriter(tmp_path / "b.mp4", 25)
    (tmp_path / "c.mp4").write_bytes(b"nothing")
    with pytest.raises(ImageError, match="not a film that OpenCV can decode"):
        open_film(str(tmp_path / "c.mp4"))


def test_a_folder_is_a_film(tmp_path: Path) -> None:
    for i in (2, 1, 10):
        cv2.imwrite(str(tmp_path / f"{i:03}.png"), np.full((20, 30, 3), i, np.uint8))
    reader = open_film(str(tmp_path))
    assert isinstance(reader, PictureFolder)
    frames = list(reader.frames())
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [1, 2, 10]
    np.testing.assert_allclose([frame.time for frame in frames], [0, 0.04, 0.08])


class SlowlyRead:
    """What OpenCV gives for a camera: a frame each 10 ms, 30 of them."""

    def __init__(self, number: int) -> None:
        self.count = 0

    def isOpened(self) -> bool:
        return True

    def get(self, key: int) -> float:
        return 100.0

    def read(self) -> tuple[bool, Any]:
        time.sleep(0.01)
        self.count += 1
        return self.count <= 30, np.full((4, 6, 3), self.count, np.uint8)

    def release(self) -> None:
        pass


def test_a_camera_never_lags(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is slower than it gets the newest frame; the others are dropped and counted."""
    monkeypatch.setattr(cv2, "VideoCapture", SlowlyRead)
    camera = open_film("0")
    assert isinstance(camera, Camera)
    seen = []
    for frame in camera.frames():
        seen.append(frame.index)
        time.sleep(0.035)
    camera.close()
    assert seen == sorted(set(seen))
    assert len(seen) < 20
    assert len(seen) + camera.dropped == 30


# Writing


def test_a_film_keeps_times_and_sound(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4")
    writer = FilmWriter(tmp_path / "out" / "b.mp4", 25, AvFilm(source))
    for i, seconds in enumerate(TIMES):
        writer.add(picture(2 * i)[:-1, :-1], seconds)  # odd sides
    assert not (tmp_path / "out" / "b.mp4").exists()
    writer.close()
    np.testing.assert_allclose(shown(tmp_path / "out" / "b.mp4"), TIMES, atol=1e-3)
    assert sound(tmp_path / "out" / "b.mp4") == pytest.approx(0.3, abs=0.1)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.mp4"]


def test_frames_of_other_sizes_are_fitted_in(tmp_path: Path) -> None:
    writer = FilmWriter(tmp_path / "b.mp4", 25)
    for i, (height, width) in enumerate([(60, 100), (60, 40), (30, 200), (120, 200)]):
        writer.add(np.full((height, width, 3), 200, np.uint8), i / 25)
    writer.close()
    frames = [frame.image[..., 0] > 100 for frame in AvFilm(tmp_path / "b.mp4").frames()]
    assert {frame.shape for frame in frames} == {(60, 100)}
    shares = [(frame.mean(axis=0) > 0.5).mean() for frame in frames]  # of the columns
    rows = [(frame.mean(axis=1) > 0.2).mean() for frame in frames]
    assert shares == pytest.approx([1, 0.4, 0, 1], abs=0.03)
    assert rows == pytest.approx([1, 1, 0.25, 1], abs=0.04)


def test_a_film_without_frames_is_none(tmp_path: Path) -> None:
    (tmp_path / "b.mp4").write_text("older")
    FilmWriter(tmp_path / "b.mp4", 25).close()
    assert (tmp_path / "b.mp4").read_text() == "older"
    with pytest.raises(OutputError, match="films end in"):
        FilmWriter(tmp_path / "b.nothing", 25)


def test_sound_begins_with_the_first_frame(tmp_path: Path) -> None:
    """Of a film whose frames begin 0.3 s after its sound, which is loud from 0.4 s on."""
    source = tmp_path / "a.mkv"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width = picture().shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        tone = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        for i in range(16):
            times = np.arange(1000 * i, 1000 * (i + 1))
            wave = np.where(times < 6400, 0, 20000 * np.sin(times / 5)).astype(np.int16)[None]
            part = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
            part.sample_rate, part.pts = 16000, 1000 * i
            container.mux(tone.encode(part))
        for i in range(15):
            frame = av.VideoFrame.from_ndarray(picture(i), format="rgb24")
            frame.pts, frame.time_base = 300 + 40 * i, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    film, out = AvFilm(source), tmp_path / "b.mkv"
    writer = FilmWriter(out, 25, film)
    for shot in film.frames():
        writer.add(shot.image, shot.time)
    assert film.origin == pytest.approx(0.3, abs=1e-3)
    film.close()
    writer.close()
    with av.open(str(out)) as container:
        loud = [
            float(part.pts * part.time_base) + int(np.abs(part.to_ndarray()).argmax()) / 16000
            for part in container.decode(audio=0)
            if np.abs(part.to_ndarray()).max() > 10000
        ]
    assert loud[0] == pytest.approx(0.1, abs=0.07)  # to a packet


# The command


def run(capsys: Any, *words: Any) -> tuple[int, str, str]:
    code = main(["video", *map(str, words)])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_command_writes_all_results(tmp_path: Path, capsys: Any) -> None:
    source = film(tmp_path / "a.mp4")
    files = {kind: tmp_path / f"b.{kind}" for kind in ("mp4", "csv", "jsonl", "of.csv")}
    code, out, err = run(
        capsys, source, "--out", files["mp4"], "--csv", files["csv"], "--jsonl", files["jsonl"],
        "--openface", files["of.csv"], "--threads", 1,
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert out.strip().endswith("a.mp4: 6 frames, 1 face")
    np.testing.assert_allclose(shown(files["mp4"]), TIMES, atol=1e-3)
    assert sound(files["mp4"]) > 0.2
    drawn = next(AvFilm(files["mp4"]).frames()).image
    assert np.abs(drawn.astype(int) - picture()).mean() > 1

    tracker = Tracker(Landmarker(threads=1))
    expected = [tracker(frame.image, frame.time) for frame in AvFilm(source).frames()]
    lines = [json.loads(line) for line in files["jsonl"].read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(6))
    np.testing.assert_allclose([line["time"] for line in lines], TIMES, atol=1e-3)
    for line, faces in zip(lines, expected, strict=True):
        (face,) = line["faces"]
        assert face["id"] == 1
        np.testing.assert_allclose(face["points"], faces.points[0], atol=1e-3)
        np.testing.assert_allclose(face["pose"], faces.pose[0], atol=0.01)
        np.testing.assert_allclose(face["eye_openness"], faces.eye_openness[0], atol=1e-3)

    rows = list(csv.DictReader(files["csv"].read_text().splitlines()))
    assert len(rows) == 6 * 68
    assert {row["state"] for row in rows} <= {"seen", "covered", "turned"}
    assert [row["face"] for row in rows] == ["1"] * len(rows)
    assert float(rows[30]["x"]) == pytest.approx(expected[0].points[0, 30, 0], abs=1e-3)

    wide = list(csv.DictReader(files["of.csv"].read_text().splitlines()))
    assert [row["frame"] for row in wide] == [str(i) for i in range(1, 7)]
    assert {row["success"] for row in wide} == {"1"}
    assert float(wide[3]["y_8"]) == pytest.approx(expected[3].points[0, 8, 1], abs=0.01)


def test_a_part_of_a_film(tmp_path: Path, capsys: Any) -> None:
    source = film(tmp_path / "a.mp4", [i / 25 for i in range(10)], sound=False)
    code, out, err = run(capsys, source, "--jsonl", "-", "--every", 2, "--start", 0.1,
                         "--end", 0.33)  # fmt: skip
    assert code == 0
    assert [json.loads(line)["frame"] for line in out.splitlines()] == [4, 6, 8]
    assert err.strip().endswith("a.mp4: 3 frames, 1 face")


def test_what_is_no_film_says_so(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "a.mp4").write_bytes(b"nothing")
    for source, message in (
        (tmp_path / "none.mp4", "no such file"),
        (tmp_path / "a.mp4", "not a film that can be decoded"),
        (tmp_path, "no pictures in this folder"),
    ):
        code, _, err = run(capsys, source)
        assert code == ImageError.exit_code
        assert message in err
    for option in ("--out", "--parquet", "--plot"):
        code, _, err = run(capsys, tmp_path / "a.mp4", option, "-")
        assert (code, "can go to standard output" in err) == (2, True)
    for words in (["--every", 0], ["--start", 2, "--end", 1], ["--csv", "-", "--jsonl", "-"]):
        assert run(capsys, tmp_path / "a.mp4", *words)[0] in (2, 9)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_leaves_what_is_done(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4", [i / 25 for i in range(400)], sound=False)
    out, lines = tmp_path / "b.mp4", tmp_path / "b.jsonl"
    command: list[Any] = [
        sys.executable,
        "-m",
        "aadn",
        "video",
        source,
        "--out",
        out,
        "--jsonl",
        lines,
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for _ in range(600):
        if lines.exists() and lines.read_text().count("\n") > 5:
            break
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    done = lines.read_text().count("\n")
    assert 5 < done < 400
    assert abs(len(shown(out)) - done) <= 1
    counted = re.search(r"(\d+) frames", said)
    assert counted is not None
    assert abs(int(counted[1]) - done) <= 1  # the one that it was at


def test_a_table_as_parquet(tmp_path: Path, capsys: Any) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    source, files = film(tmp_path / "a.mp4"), [tmp_path / "b.csv", tmp_path / "b.parquet"]
    assert run(capsys, source, "--csv", files[0], "--parquet", files[1], "--threads", 1)[0] == 0
    rows = list(csv.DictReader(files[0].read_text().splitlines()))
    table = parquet.read_table(files[1]).to_pylist()
    assert list(table[0]) == list(rows[0])
    for row, other in zip(rows, table, strict=True):
        assert row == {key: "" if value is None else str(value) for key, value in other.items()}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.csv", "b.parquet"]


def test_many_rows_are_written_part_by_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("aadn.media.film_parquet.ROWS", 100)
    faces, table = Landmarker(threads=1)(ASTRONAUT), FilmParquet(tmp_path / "a.parquet")
    for i in range(5):
        table.add(i, i / 25, faces if i != 2 else Faces.empty())
    table.close()
    read = parquet.ParquetFile(tmp_path / "a.parquet")
    assert (read.num_row_groups, read.metadata.num_rows) == (2, 4 * 68 + 1)
    frames = read.read().column("frame").to_pylist()
    assert [frames.count(i) for i in range(5)] == [68, 68, 1, 68, 68]


def test_a_film_that_was_stopped_goes_on(tmp_path: Path, capsys: Any) -> None:
    """Tables that end in different frames, and within them: nothing is there twice, or in part."""
    source = film(tmp_path / "a.mp4", [i / 25 for i in range(10)], sound=False)
    options = {"--jsonl": "b.jsonl", "--csv": "b.csv", "--openface": "b.of.csv"}
    words = [word for key, name in options.items() for word in (key, tmp_path / name)]
    assert run(capsys, source, *words, "--threads", 1)[0] == 0
    whole = {name: (tmp_path / name).read_text().splitlines(True) for name in options.values()}
    kept = {"b.jsonl": 6, "b.csv": 1 + 5 * 68 + 30, "b.of.csv": 1 + 7}
    for name, count in kept.items():
        cut_off = whole[name][count][:30]
        (tmp_path / name).write_text("".join(whole[name][:count]) + cut_off)
    code, out, _ = run(capsys, source, *words, "--threads", 1, "--resume")
    assert (code, out.strip().endswith("5 frames, 1 face")) == (0, True)  # from the sixth on
    for name, before in whole.items():
        after = (tmp_path / name).read_text().splitlines(True)
        same = {"b.jsonl": 5, "b.csv": 1 + 5 * 68, "b.of.csv": 1 + 5}[name]
        assert after[:same] == before[:same]
        assert len(after) == len(before)
    lines = [json.loads(line) for line in (tmp_path / "b.jsonl").read_text().splitlines()]
    assert [(line["frame"], line["faces"][0]["id"]) for line in lines] == [
        (i, 1 if i < 5 else 2) for i in range(10)
    ]
    assert run(capsys, source, *words, "--resume")[1].strip().endswith("0 frames, 0 faces")


def test_what_cannot_be_gone_on_with_says_so(tmp_path: Path, capsys: Any) -> None:
    source, table = film(tmp_path / "a.mp4", sound=False), tmp_path / "b.csv"
    table.write_text("something else\n")
    for words, code, message in (
        ([], 2, "goes on with --csv, --jsonl or --openface"),
        (["--csv", table, "--out", tmp_path / "c.mp4"], 2, "--out cannot be gone on with"),
        (["--csv", "-"], 2, "a table on standard output cannot be gone on with"),
        (["--csv", table], InputError.exit_code, "is no table of this form"),
    ):
        found = run(capsys, source, *words, "--resume")
        assert (found[0], message in found[2]) == (code, True)
    assert run(capsys, "0", "--csv", table, "--resume")[0] == 2
    assert table.read_text() == "something else\n"
    (tmp_path / "d.jsonl").write_text('{"frame": 0, "time": 0.0, "faces": []}\n')
    tables = ["--csv", tmp_path / "none.csv", "--jsonl", tmp_path / "d.jsonl"]
    code, _, err = run(capsys, source, *tables, "--resume")
    assert (code, "none.csv is not there, but other tables are" in err) == (9, True)


def test_a_start_that_fails_leaves_older_results(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyarrow")
    pytest.importorskip("matplotlib")
    source = film(tmp_path / "a.mp4", sound=False)
    older = [tmp_path / name for name in ("b.csv", "b.jsonl", "b.parquet", "b.png")]
    for path in older:
        path.write_text("older")
    words = [w for path in older for w in (f"--{path.suffix[1:]}".replace("png", "plot"), path)]
    monkeypatch.setitem(sys.modules, "tkinter", None)
    for more in (["--show"], ["--out", tmp_path / "c.nothing"]):
        code, out, err = run(capsys, source, *words, *more)
        assert (code != 0, out, err.count("\n")) == (True, "", 1)
    (tmp_path / "broken.mp4").write_bytes(source.read_bytes()[:900])
    assert run(capsys, tmp_path / "broken.mp4", *words)[0] == ImageError.exit_code
    assert {path.read_text() for path in older} == {"older"}


def test_tables_of_other_landmarks_are_not_gone_on_with(tmp_path: Path, capsys: Any) -> None:
    source, table = film(tmp_path / "a.mp4", sound=False), tmp_path / "b.jsonl"
    face = {"id": 1, "points": [[0, 0]] * 5}
    table.write_text(json.dumps({"frame": 0, "time": 0.0, "faces": [face]}) + "\n")
    code, _, err = run(capsys, source, "--jsonl", table, "--resume")
    assert (code, "faces of 5 landmarks, this network gives 68" in err) == (9, True)
    table.write_text("")
    code, _, err = run(capsys, tmp_path / "nofilm.mp4", "--jsonl", table, "--resume")
    assert (code, "no such file" in err) == (ImageError.exit_code, True)


def test_a_parquet_file_that_fails_leaves_the_older(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "a.parquet"
    path.write_text("older")
    table = FilmParquet(path)
    table.add(0, 0.0, Landmarker(threads=1)(ASTRONAUT))

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(table._writer, "write_table", full)
    with pytest.raises(OutputError, match="No space left"):
        table._write()
    table.close()
    assert (path.read_text(), [p.name for p in tmp_path.iterdir()]) == ("older", ["a.parquet"])


def test_a_film_on_standard_input(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mkv", sound=False)
    command = [sys.executable, "-m", "aadn", "video", "-", "--jsonl", "-", "--threads", "1"]
    done = subprocess.run(
        command, input=source.read_bytes(), capture_output=True, timeout=120, check=True
    )
    assert [json.loads(line)["frame"] for line in done.stdout.splitlines()] == list(range(6))
    done = subprocess.run(command, input=b"nothing", capture_output=True, timeout=120, check=False)
    assert done.returncode == ImageError.exit_code
    assert b"standard input: " in done.stderr


def test_faces_over_time_as_a_picture(tmp_path: Path, capsys: Any) -> None:
    pytest.importorskip("matplotlib")
    source = film(tmp_path / "a.mp4", sound=False)
    assert run(capsys, source, "--plot", tmp_path / "b.png", "--threads", 1)[0] == 0
    drawn = load_image(tmp_path / "b.png")
    assert min(drawn.shape[:2]) > 400
    assert drawn.std() > 10
    grey = film(
        tmp_path / "c.mp4", sound=False, frames=lambda i: np.full((80, 80, 3), 99, np.uint8)
    )
    code, _, err = run(capsys, grey, "--plot", tmp_path / "d.png")
    assert (code, "no face was found" in err, (tmp_path / "d.png").exists()) == (0, True, False)
    assert run(capsys, source, "--plot", tmp_path / "b.gif")[0] == InputError.exit_code


class Screen:
    """In place of Tk: what is asked of it, and after three frames somebody presses q."""

    TclError = RuntimeError

    def __init__(self, *_: Any, **__: Any) -> None:
        self.keys: dict[str, Any] = {}
        self.frames = 0
        self.destroyed = False

    Tk = Label = property(lambda self: lambda *_, **__: self)

    def bind(self, key: str, what: Any) -> None:
        self.keys[key] = what

    def update(self) -> None:
        self.frames += 1
        if self.frames == 3:
            self.keys["<q>"](None)

    def destroy(self) -> None:
        self.destroyed = True

    def winfo_screenwidth(self) -> int:
        return 105

    def winfo_screenheight(self) -> int:
        return 300

    def title(self, *_: Any) -> None:
        pass

    protocol = pack = configure = lambda *_, **__: None


def test_a_window_that_is_closed_ends_the_film(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen, shown_in_it = Screen(), []
    monkeypatch.setitem(sys.modules, "tkinter", screen)
    monkeypatch.setattr(
        "PIL.ImageTk.PhotoImage", lambda picture, master: shown_in_it.append(picture.size)
    )
    code, out, _ = run(capsys, film(tmp_path / "a.mp4", sound=False), "--show", "--threads", 1)
    assert (code, out.strip().endswith("3 frames, 1 face"), screen.destroyed) == (0, True, True)
    assert shown_in_it == [(105, 100)] * 3


def test_without_a_screen_it_says_so(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    source = film(tmp_path / "a.mp4", sound=False)
    monkeypatch.setitem(sys.modules, "tkinter", None)
    code, out, err = run(capsys, source, "--show")
    assert (code, out) == (MissingDependencyError.exit_code, "")
    assert "leave out --show" in err


# OpenFace's columns


def test_openface_s_axes() -> None:
    """Its y points down and its z away, so that signs change; in radians."""
    faces = Landmarker(threads=1)(ASTRONAUT)
    face = faces[0]
    yaw, pitch, roll = np.radians(face.pose)
    np.testing.assert_allclose(openface_angles(face), [-pitch, -yaw, roll], atol=0.03)
    empty = openface_csv(4, 0.2, Faces.empty()).decode().strip().split(",")
    assert empty[:5] == ["5", "0", "0.2", "0", "0"]
    assert len(empty) == 8 + 136

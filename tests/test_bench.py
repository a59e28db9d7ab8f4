"""`aadn bench`: things timed in turn, and what becomes of the times. No test depends on a time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from detecting import run

from aadn.bench import contest as contest_module
from aadn.bench import measure, start
from aadn.bench.contest import Contestant, NoAnswerError, Timing, contest
from aadn.bench.environments import DLIB, MEDIAPIPE, Peer, UnavailableError, environment
from aadn.bench.measure import BOX, PICTURE, Measures, Row, Table
from aadn.bench.start import time_starts
from aadn.errors import OutputError
from aadn.images import load_image
from aadn.inference.landmarker import Landmarker
from aadn.inference.weights import multiply_adds


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contest_module, "ROUNDS", 2)
    monkeypatch.setattr(contest_module, "TURN", 0.0)
    monkeypatch.setattr(start, "ROUNDS", 1)


@pytest.fixture
def shared(tmp_path: Path) -> dict[str, Any]:
    np.save(tmp_path / "picture.npy", load_image(PICTURE))
    return {"picture": str(tmp_path / "picture.npy"), "box": BOX, "threads": 1}


def test_the_picture_has_the_face_of_the_box() -> None:
    faces = Landmarker(threads=1)(PICTURE)
    assert load_image(PICTURE).shape == (480, 640, 3)
    np.testing.assert_allclose(faces.boxes, [BOX], atol=3)


def test_contestants_of_ours_answer(shared: dict[str, Any]) -> None:
    options = {"model": "default", "batch": 2, **shared}
    kinds = ("aadn-face", "aadn-picture", "aadn-finder", "aadn-film", "peak")
    found = contest({kind: Contestant(kind, options) for kind in kinds})
    assert list(found) == list(kinds)
    for timing in found.values():
        assert isinstance(timing, Timing)
        assert timing.runs == 2 * 3
        assert 0 < timing.low <= timing.median <= timing.high
    about = {name: dict(timing.about) for name, timing in found.items()}  # type: ignore[union-attr]
    assert about["aadn-picture"] == about["aadn-finder"] == about["aadn-film"] == {"faces": 1}
    assert "default.onnx" in about["aadn-face"]["engine"]


def test_one_that_fails_says_why_and_the_others_go_on(shared: dict[str, Any]) -> None:
    bad = shared | {"model": "nowhere", "batch": 1}
    found = contest({"bad": Contestant("aadn-face", bad), "peak": Contestant("peak", shared)})
    assert list(found) == ["bad", "peak"]
    assert isinstance(found["peak"], Timing)
    assert isinstance(found["bad"], NoAnswerError)
    assert "nowhere: no such file" in str(found["bad"])
    gone = Contestant("peak", shared, Path("/nowhere/python"))
    with pytest.raises(NoAnswerError, match="/nowhere/python"):
        raise contest({"gone": gone})["gone"]  # type: ignore[misc]


def test_times_are_quartiles_and_can_be_shared_out() -> None:
    timing = Timing.of([5.0, 1.0, 4.0, 2.0, 3.0], {})
    assert (timing.low, timing.median, timing.high, timing.runs) == (2, 3, 4, 5)
    shared_out = timing.per(2)
    assert (shared_out.low, shared_out.median, shared_out.high, shared_out.runs) == (1, 1.5, 2, 5)


def test_processes_are_timed_with_their_memory() -> None:
    commands = {
        "small": [sys.executable, "-S", "-c", "pass"],
        "large": [sys.executable, "-S", "-c", "b'x' * 200_000_000"],
    }
    found = time_starts(commands)
    small, large = (found[name].about["megabytes"] for name in commands)
    if small is not None:  # Windows does not say
        assert 190 < large - small < 230
        assert small < 60  # not what this process holds
    with pytest.raises(NoAnswerError, match="ZeroDivisionError"):
        time_starts({"bad": [sys.executable, "-c", "1 / 0"]})


def test_pictures_are_drawn_beside_no_network_of_the_user_s(tmp_path: Path) -> None:
    models = ["default", str(tmp_path / "theirs" / "a.onnx")]
    commands = start.starts(PICTURE, models, tmp_path / "ours")
    drawn = [Path(c[c.index("--out") + 1]) for c in commands.values() if "--out" in c]
    assert len(set(drawn)) == 2
    assert {file.parent for file in drawn} == {tmp_path / "ours"}


def test_a_table_has_a_row_for_each_and_says_what_is_missing() -> None:
    def timed(ms: float) -> Timing:
        return Timing(ms / 1e3, ms / 2e3, ms / 5e2, 9, {})

    rows = [Row("ours", timed(3), 1.5, {"MB": 7.0}), Row("theirs", timed(2), 1.0)]
    table = Table("A title", "theirs", [*rows, Row("gone", missing="not installed")])
    assert table.markdown() == (
        "### A title\n\n"
        "|  | ms | quartiles | ÷ theirs | MB |\n| --- | ---: | ---: | ---: | ---: |\n"
        "| ours | 3.00 | 1.50–6.00 | 1.50 | 7.00 |\n"
        "| theirs | 2.00 | 1.00–4.00 | 1.00 | – |\n"
        "\ngone: not installed\n"
    )


def test_ratios_are_to_mediapipe_where_it_is_there() -> None:
    times: dict[str, Timing | NoAnswerError]
    times = {"aadn lite": Timing(4, 4, 4, 1, {}), MEDIAPIPE.name: Timing(2, 2, 2, 1, {})}
    table = measure._table("", times, per=2)
    assert table.reference == MEDIAPIPE.name
    assert [row.ratio for row in table.rows] == [2, 1]
    assert [row.timing.median for row in table.rows if row.timing] == [2, 1]
    table = measure._table("", times | {MEDIAPIPE.name: NoAnswerError("gone")})
    assert (table.reference, table.rows[0].ratio) == ("aadn lite", 1)
    assert table.rows[1].missing == "gone"


def test_the_share_of_the_peak_is_of_the_network_s_multiply_adds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times = {
        "aadn default": Timing(0.010, 0.010, 0.010, 1, {}),
        "peak": Timing(0.001, 0.001, 0.001, 1, {"multiply_adds": 1e8}),
    }
    monkeypatch.setattr(measure, "contest", lambda _: dict(times))
    work = multiply_adds("default")
    assert work is not None
    assert 300e6 < work < 400e6
    (row,) = Measures(["default"])._faces({"threads": 1}).rows
    assert row.more["% of the peak"] == pytest.approx(100 * work / 0.010 / 1e11)


# Other libraries


def test_an_environment_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[list[str]] = []

    def runs(command: Any, **_: Any) -> Any:
        said.append([str(word) for word in command])
        if "venv" in said[-1]:
            Path(said[-1][-1]).mkdir(parents=True, exist_ok=True)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", runs)
    peer = Peer("a peer", ("its-name==1.0", "numpy"))
    python = environment(peer, tmp_path)
    assert environment(peer, tmp_path) == python
    assert python.is_relative_to(tmp_path / "its-name-1.0")
    assert [words[1:4] for words in said] == [["-m", "venv", "--clear"], ["-m", "pip", "install"]]
    assert said[1][-2:] == ["its-name==1.0", "numpy"]
    environment(Peer("a peer", ("its-name==1.0", "numpy", "more")), tmp_path)
    assert len(said) == 4


def test_what_cannot_be_installed_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(command: Any, **_: Any) -> Any:
        return subprocess.CompletedProcess(command, 1, "", "first\nERROR: no such version\n")

    monkeypatch.setattr(subprocess, "run", fails)
    with pytest.raises(UnavailableError, match=r"^ERROR: no such version$"):
        environment(DLIB, tmp_path)


# The command


def test_the_command_writes_what_it_prints(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tables(self: Measures) -> Any:
        yield Table("One", "a", [Row("a", Timing(1, 1, 1, 3, {}), 1.0)])
        yield Table("Two", "a", [Row("a", missing="gone")])

    monkeypatch.setattr(Measures, "tables", tables)
    files = tmp_path / "a.json", tmp_path / "a.md"
    code, out, err = run(capsys, "bench", "--json", files[0], "--out", files[1])
    assert (code, err) == (0, "")
    assert out.strip() == files[1].read_text("utf-8").strip()
    assert "### One" in out
    assert "gone" in out
    said = json.loads(files[0].read_text("utf-8"))
    assert said["machine"]["aadn"]
    assert said["tables"][0]["rows"][0]["timing"]["median"] == 1


def test_json_can_go_to_standard_output(capfd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table("One", "a", [Row("a", missing="gone")])
    monkeypatch.setattr(Measures, "tables", lambda self: iter([table]))
    code, out, err = run(capfd, "bench", "--json", "-")
    assert (code, json.loads(out)["tables"][0]["title"]) == (0, "One")
    assert "### One" in err


def test_the_command_looks_before_it_measures(tmp_path: Path, capsys: Any) -> None:
    code, _, err = run(capsys, "bench", "--models", "defalt")
    assert (code, "no embedded network of that name" in err) == (6, True)
    code, _, err = run(capsys, "bench", "--out", tmp_path)
    assert (code, "it is a folder" in err) == (OutputError.exit_code, True)


def test_a_peer_that_cannot_be_had_is_left_out(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(peer: Peer, folder: Path) -> Path:
        raise UnavailableError("no such version")

    monkeypatch.setattr("aadn.cli.bench.environment", none)
    monkeypatch.setattr(Measures, "tables", lambda self: iter([]))
    code, _, err = run(capsys, "bench", "--peers", tmp_path)
    assert code == 0
    assert "dlib is left out: no such version" in err

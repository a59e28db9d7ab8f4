"""The scripts in examples/."""

from __future__ import annotations

import math
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def load(name: str) -> Any:
    spec = spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def counted(openness: list[tuple[float, float]], rate: float = 30.0) -> Any:
    eyes = load("blinks").Eyes()
    for i, pair in enumerate(openness):
        eyes.add(i / rate, *pair)
    return eyes


def lids(*parts: tuple[float, float]) -> list[tuple[float, float]]:
    """Both eyes so open for so many seconds, at 30 frames a second, one part after the other."""
    return [(value, value) for value, seconds in parts for _ in range(round(30 * seconds))]


def test_blinks_are_counted() -> None:
    rng = np.random.default_rng(0)
    film = lids((0.3, 1), (0.08, 0.15), (0.3, 1), (0.1, 0.1), (0.28, 1), (0.05, 0.2), (0.3, 1))
    noisy = [(a + rng.normal(0, 0.01), b + rng.normal(0, 0.01)) for a, b in film]
    assert counted(noisy).blinks == 3
    narrow = [(0.6 * a, 0.6 * b) for a, b in noisy]  # another person's eyes
    assert counted(narrow).blinks == 3


def test_what_is_no_blink() -> None:
    assert counted(lids((0.3, 1), (0.05, 2), (0.3, 1))).blinks == 0  # eyes that are closed
    assert counted(lids((0.3, 1), (0.22, 0.2), (0.3, 1))).blinks == 0  # narrowed
    hidden = lids((0.3, 1), (0.05, 0.1), (math.nan, 0.5), (0.3, 1))
    eyes = counted(hidden)
    assert (eyes.blinks, eyes.unseen) == (0, pytest.approx(0.5))
    assert eyes.seen == pytest.approx(2.1, abs=0.04)
    one = [(a, math.nan) for a, _ in lids((0.3, 1), (0.05, 0.15), (0.3, 1))]
    assert counted(one).blinks == 1  # one eye is enough


def test_who_is_lost_cannot_be_judged(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """A hand before the whole face for 0.9 s, while its eyes were closing."""
    from types import SimpleNamespace as Some

    blinks = load("blinks")
    shown = [*lids((0.3, 1), (0.05, 0.1))] + [None] * 27 + lids((0.3, 1))
    frames = [Some(image=i, time=i / 30) for i in range(len(shown))]
    film = Some(frames=lambda: frames, close=lambda: None)

    def tracker(image: int, time: float) -> list[Any]:
        eyes = shown[image]
        return [] if eyes is None else [Some(id=1, eye_openness=eyes)]

    monkeypatch.setattr(blinks, "open_film", lambda name: film)
    monkeypatch.setattr(blinks, "Landmarker", lambda name: None)
    monkeypatch.setattr(blinks, "Tracker", lambda landmarker: tracker)
    monkeypatch.setattr(sys, "argv", ["blinks.py", "film.mp4"])
    blinks.main()
    said = "face 1: 0 blinks in 2.1 s; for another 0.9 s the lids were not to be seen\n"
    assert capsys.readouterr().out == said
    monkeypatch.setattr(sys, "argv", ["blinks.py"])
    with pytest.raises(SystemExit, match="expected a film's file"):
        blinks.main()


def test_it_reads_a_film(tmp_path: Path) -> None:
    from aadn import load_image

    av = pytest.importorskip("av")
    picture = np.ascontiguousarray(load_image(EXAMPLES / "astronaut.jpg")[40:240, 120:330])
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = "yuv420p"
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    command = [sys.executable, str(EXAMPLES / "blinks.py"), str(path)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert said == "face 1: 0 blinks in 0.2 s; for another 0.0 s the lids were not to be seen\n"


@pytest.mark.slow
def test_five_points_from_some_pictures(tmp_path: Path) -> None:
    """All the way, if not far: of the few faces that come with the tests."""
    pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    from faces import write_faces

    folder = write_faces(tmp_path / "faces", 12)
    command = [sys.executable, str(EXAMPLES / "five_points.py"), folder, tmp_path / "out"]
    done = subprocess.run(
        [*map(str, command), "--pictures", "8", "--epochs", "1"],
        capture_output=True, text=True, timeout=600, check=True,
    )  # fmt: skip
    assert "Faces(" in done.stdout
    assert (tmp_path / "out" / "five.onnx").exists()
    assert (tmp_path / "out" / "run" / "validation" / "worst.jpg").exists()

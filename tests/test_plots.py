"""Plots, as files and as what they refuse; what they look like is looked at by hand."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from aadn.errors import InputError, MissingDependencyError
from aadn.evaluation.detection import Curve
from aadn.evaluation.plots import (
    plot_bars,
    plot_ced,
    plot_detection,
    plot_error_over_time,
    plot_maps,
    plot_reliability,
)

pytest.importorskip("matplotlib")

FACE = np.full((8, 8, 3), 200, np.uint8)
MAP = np.linspace(0, 1, 49).reshape(7, 7)
DIAGRAM = ([0.1, np.nan, 0.9], [0.0, np.nan, 1.0], [1000, 0, 234])


TIMES = {"small": (1.5, 9.0), "large": (15.0, 4.5)}


def draw_all(folder: Path) -> list[Path]:
    plot_ced({"all": [1.0, 2.0], "common": [1.0]}, folder / "ced.svg")
    plot_bars({"plain": 1.5, "r = 16": 2.25}, folder / "bars.svg", ylabel="parameters, M")
    plot_maps([{"face": FACE, "P": MAP}], folder / "maps.svg")
    plot_reliability({"all": DIAGRAM}, folder / "reliability.svg")
    plot_detection({"all": found(1, 0, 1)}, folder / "detection.svg", 0.5)
    plot_error_over_time(TIMES, folder / "times.svg", xlabel="ms", ylabel="NME")
    return sorted(folder.iterdir())


@pytest.mark.slow
def test_the_same_plot_is_the_same_file(tmp_path: Path) -> None:
    first, second = (draw_all(tmp_path / name) for name in ("a", "b"))
    assert len(first) == 6
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
        assert b"<dc:date>" not in one.read_bytes()


def texts(path: Path) -> list[str]:
    """What is written in an SVG, which has it as comments beside the glyphs' outlines."""
    return re.findall(r"<!-- (.*?) -->", path.read_text("utf-8"))


def test_each_curve_is_named_with_its_numbers(tmp_path: Path) -> None:
    plot_ced({"all": [1.0, 9.0], "common": [1.0]}, tmp_path / "c.svg", 5, normaliser="box")
    written = texts(tmp_path / "c.svg")
    assert "all (AUC@5 40.0 %, FR@5 50.0 %)" in written  # 1 - (1 + 5)/2/5
    assert "common (AUC@5 80.0 %, FR@5 0.0 %)" in written
    assert "NME, % (box)" in written


def test_more_curves_than_colours(tmp_path: Path) -> None:
    plot_ced({str(i): [1.0 + i / 10] for i in range(9)}, tmp_path / "ced.svg")
    image = (tmp_path / "ced.svg").read_text("utf-8").replace("\n", " ")
    styles = re.findall(r'style="(fill: none; [^"]*stroke-width: 1.5[^"]*)"', image)
    assert len(set(styles)) == 9


def test_reliability_names_its_curves_with_their_counts(tmp_path: Path) -> None:
    plot_reliability({"all": DIAGRAM, "mask": DIAGRAM}, tmp_path / "r.svg")
    written = texts(tmp_path / "r.svg")
    assert {"all (1,234)", "mask (1,234)", "predicted probability"} <= set(written)


def found(*right: int, faces: int = 2) -> Curve:
    """The curve of finds with descending scores in one picture with so many faces."""
    count = np.arange(1, len(right) + 1)
    hits = np.cumsum(right)
    recall = hits / faces if faces else np.full(len(right), np.nan)
    return Curve(1 - count / 10, recall, hits / count, (count - hits).astype(float), faces)


def test_detection_curves_are_named_with_their_average_precision(tmp_path: Path) -> None:
    curves = {"0°": found(1, 0, 1), "90°": found(0, 1), "180°": found()}
    plot_detection(curves, tmp_path / "curve.svg", 0.75)
    written = texts(tmp_path / "curve.svg")
    assert {"0° (AP 0.833)", "90° (AP 0.250)", "180° (AP 0.000)"} <= set(written)
    assert {"false alarms a picture", "recall, % of the faces", "recall, %"} <= set(written)


def test_wrong_detection_curves(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one curve"):
        plot_detection({}, tmp_path / "c.png", 0.5)
    with pytest.raises(InputError, match="curve 'a': expected pictures with faces"):
        plot_detection({"a": found(0, faces=0)}, tmp_path / "c.png", 0.5)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "curve", [([0.5], [0.5], [0]), ([0.5], [0.5, 0.6], [1]), ([[0.5]], [[0.5]], [[1]])]
)
def test_wrong_reliability(tmp_path: Path, curve: Any) -> None:
    with pytest.raises(InputError, match="curve 'a': expected mean, share and entries"):
        plot_reliability({"a": curve}, tmp_path / "r.png")
    with pytest.raises(InputError, match="at least one curve"):
        plot_reliability({}, tmp_path / "r.png")
    assert not list(tmp_path.iterdir())


def test_bars_have_their_values_and_labels(tmp_path: Path) -> None:
    bars = {"plain": 1.5, "r = 16": 11.6934, "nothing": 0.0}
    plot_bars(bars, tmp_path / "bars.svg", ylabel="parameters, M")
    written = texts(tmp_path / "bars.svg")
    for text in (*bars, "1.5", "11.69", "0", "parameters, M"):
        assert text in written


def test_errors_over_time_name_their_methods(tmp_path: Path) -> None:
    plot_error_over_time(TIMES, tmp_path / "a.svg", xlabel="time, ms", ylabel="NME, %")
    written = texts(tmp_path / "a.svg")
    for text in (*TIMES, "time, ms", "NME, %"):
        assert text in written
    for wrong in ({}, {"a": (0.0, 1.0)}, {"a": (1.0, float("nan"))}):
        with pytest.raises(InputError, match="finite times and errors above 0"):
            plot_error_over_time(wrong, tmp_path / "b.svg", xlabel="", ylabel="")


def test_maps_have_their_titles_once_and_a_common_scale(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"face": FACE, "P": MAP, "features": 4 * MAP},
        {"face": FACE, "P": MAP, "features": MAP},
    ]
    plot_maps(rows, tmp_path / "maps.svg", ranges={"P": (0, 2)})
    written = texts(tmp_path / "maps.svg")
    assert [written.count(title) for title in ("face", "P", "features")] == [1, 1, 1]
    # The ends and middles of the two colour bars: the range that was asked for, and 0 to 4.
    assert [text for text in written if text.isdecimal()] == ["0", "1", "2", "0", "2", "4"]


def test_maps_show_what_is_given(tmp_path: Path) -> None:
    """The picture in its own colours; the lowest and highest value at the ends of viridis."""
    red = np.full((8, 8, 3), (255, 0, 0), np.uint8)
    halves = np.where(np.arange(4) < 2, 0.0, 1.0)[None].repeat(4, axis=0)
    plot_maps([{"face": red, "P": halves}], tmp_path / "maps.png")
    image = cv2.imread(str(tmp_path / "maps.png"))
    assert image is not None
    colours = {tuple(int(v) for v in c) for c in image[image.shape[0] // 3, :, ::-1]}
    assert {(255, 0, 0), (68, 1, 84), (253, 231, 36)} <= colours


def test_blank_and_flat_maps(tmp_path: Path) -> None:
    rows = [{"a": np.full((2, 2), np.nan), "b": np.full((2, 2), 3.0)}]
    plot_maps(rows, tmp_path / "maps.png")
    assert (tmp_path / "maps.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("rows", "ranges", "message"),
    [
        ([], None, "at least one row"),
        ([{}], None, "at least one row"),
        ([{"a": MAP}, {"b": MAP}], None, r"row 1: expected \['a'\] .* got \['b'\]"),
        ([{"a": MAP[0]}], None, r"row 0, 'a': .* got shape \(7,\)"),
        ([{"a": FACE.astype(float)}], None, r"row 0, 'a': .* of float64"),
        ([{"a": FACE[..., 0]}], None, r"got shape \(8, 8\) of uint8"),
        ([{"a": MAP[:0]}], None, r"got shape \(0, 7\)"),
        ([{"a": MAP}], {"b": (0, 1)}, r"range of 'b': expected a title of \['a'\]"),
        ([{"a": MAP}], {"a": (1, 1)}, "low < high, got 1 and 1"),
    ],
)
def test_wrong_maps(tmp_path: Path, rows: Any, ranges: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        plot_maps(rows, tmp_path / "maps.png", ranges=ranges)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_wrong_bars(tmp_path: Path, value: float) -> None:
    with pytest.raises(InputError, match=f"bar 'b', got {value}"):
        plot_bars({"a": 1, "b": value}, tmp_path / "bars.png", ylabel="")
    with pytest.raises(InputError, match="at least one bar"):
        plot_bars({}, tmp_path / "bars.png", ylabel="")


def test_without_matplotlib_or_with_another_suffix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"end in \.png or \.svg"):
        plot_bars({"a": 1}, tmp_path / "bars.pdf", ylabel="")
    with pytest.raises(InputError, match=r"end in \.png or \.svg"):
        plot_maps([{"a": MAP}], tmp_path / "maps.pdf")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match=r"pip install '\.\[plot\]'"):
        plot_bars({"a": 1}, tmp_path / "bars.png", ylabel="")

"""Reports of faces that the tests draw, with errors that the tests choose."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from faces import drawn_face
from numpy.typing import NDArray

from aadn.data.samples import Sample
from aadn.errors import ImageError, MissingDependencyError, OutputError
from aadn.evaluation import report_folder as module
from aadn.evaluation import worst_faces
from aadn.evaluation.published import published
from aadn.evaluation.report import Report
from aadn.evaluation.report_folder import write_report
from aadn.evaluation.scores import Measured
from aadn.evaluation.setting import Setting
from aadn.evaluation.worst_faces import SIZE, face_picture
from aadn.geometry import box_of_points
from aadn.inference.backend import Card
from aadn.palette import SEEN, TRUTH
from aadn.schemes import IBUG68, Normaliser

pytest.importorskip("matplotlib")

NME = [3.0, 7.5, 2.0, np.nan, 1.0, 12.25, 4.0, 4.0, 5.0, 6.0, 2.5, 3.5]
"""Percent, of twelve faces; the fourth is missed."""


def report_of(
    *,
    nme: list[float] = NME,
    normaliser: Normaliser = "inter-ocular",
    occlude: Any = "none",
    benchmark: str | None = "300w",
    incomplete: bool = False,
    labelled: bool = True,
    uncertain: bool = False,
    turned: bool = False,
    model: str = "net",
    **changes: Any,
) -> Report:
    """Every third face is challenging; each landmark is moved to the right by its face's NME."""
    image, points = drawn_face(96)
    samples = [
        Sample(
            Path(f"set/image {i:02d}.png"),
            points,
            box_of_points(points),
            parts=("challenging" if i % 3 == 0 else "common",),
            read=lambda: image,
        )
        for i in range(len(nme))
    ]
    errors = np.repeat(np.array(nme)[:, None], 68, axis=1)
    predicted = np.repeat(points[None], len(nme), axis=0)
    predicted[..., 0] += errors / 100 * np.linalg.norm(points[36] - points[45])
    visible = np.ones(errors.shape)
    visible[:, :17] = 0
    visibility = np.where(np.isnan(errors), np.nan, np.where(visible == 1, 0.9, 0.2))
    uncertainty = errors / 2 if uncertain else np.full(errors.shape, np.nan)
    measured = Measured(
        errors, np.isnan(nme), visible if labelled else None, visibility, uncertainty, visibility,
        turned=1 - visible if turned else None,
        away=1 - visibility if turned else None,
    )  # fmt: skip
    parts = {
        part: measured[np.array([part in s.parts for s in samples])].scores(8, 0.5)
        for part in ("common", "challenging")
    }
    report = Report(
        Setting(normaliser, boxes="detector", occlude=occlude),
        Card(model, IBUG68, 64, 1.3, 0.5),
        measured.scores(8, 0.5),
        parts,
        samples,
        measured,
        predicted,
        "ab" * 32,
        benchmark=None
        if benchmark is None
        else {"name": benchmark, "split": "test", "incomplete": incomplete},
    )
    return replace(report, **changes)


def written(folder: Path, report: Report, **options: Any) -> str:
    write_report(report, folder, **options)
    return (folder / "report.md").read_text("utf-8")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of the text: no curves and one picture."""
    monkeypatch.setattr(module, "plot_ced", lambda *_, **__: None)
    monkeypatch.setattr(module, "plot_reliability", lambda *_: None)
    monkeypatch.setattr(worst_faces, "WORST", 1)


def rows(text: str, heading: str) -> list[list[list[str]]]:
    """The cells of each table of a section, without headers' rules."""
    section = re.split(r"^## ", text, flags=re.M)
    body = next(s for s in section if s.startswith(heading))
    tables = re.findall(r"(?:^\|.*\n)+", body, flags=re.M)
    return [
        [[c.strip() for c in line.strip("| ").split(" | ")] for line in t.splitlines()]
        for t in tables
    ]


def test_the_folder_is_whole(tmp_path: Path) -> None:
    report = report_of()
    text = written(tmp_path / "new" / "out", report, title="A title")
    out = tmp_path / "new" / "out"
    names = sorted(p.name for p in out.iterdir())
    assert names == [
        "ced.png", "ced.svg", "reliability.png", "reliability.svg", "report.json", "report.md",
        "worst", "worst.jpg",
    ]  # fmt: skip
    assert json.loads((out / "report.json").read_text("utf-8")) == report.to_dict()
    assert text.startswith("# A title\n")
    links = re.findall(r"\]\(([^)]*)\)", text)
    assert len(links) == 3 + 10
    assert all((out / link).is_file() for link in links)
    for fact in ("net, sha256 " + "ab" * 32, "12, of which 1 missed", "inter-ocular", "complete"):
        assert fact in text


def test_the_worst_faces_come_in_order(tmp_path: Path) -> None:
    write_report(report_of(), tmp_path)
    assert sorted(p.name for p in (tmp_path / "worst").iterdir()) == [
        "01_nme_12.25_image_05.jpg",
        "02_nme_7.50_image_01.jpg",
        "03_nme_6.00_image_09.jpg",
        "04_nme_5.00_image_08.jpg",
        "05_nme_4.00_image_06.jpg",  # equal: in the order of the samples
        "06_nme_4.00_image_07.jpg",
        "07_nme_3.50_image_11.jpg",
        "08_nme_3.00_image_00.jpg",
        "09_nme_2.50_image_10.jpg",
        "10_nme_2.00_image_02.jpg",
    ]
    picture = cv2.imread(str(tmp_path / "worst" / "01_nme_12.25_image_05.jpg"))
    assert picture is not None
    assert picture.shape == (SIZE, SIZE, 3)


@pytest.mark.slow
def test_a_second_report_replaces_the_first(tmp_path: Path) -> None:
    write_report(report_of(), tmp_path)
    (tmp_path / "worst" / "mine.jpg").write_bytes(b"")
    first = {p: p.read_bytes() for p in tmp_path.rglob("*.*")}
    write_report(report_of(), tmp_path)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*.*")} == first
    write_report(report_of(nme=[2.0, 3.0], labelled=False), tmp_path)
    assert not list(tmp_path.glob("reliability.*"))
    names = sorted(p.name for p in (tmp_path / "worst").iterdir())
    assert names == ["01_nme_3.00_image_01.jpg", "02_nme_2.00_image_00.jpg", "mine.jpg"]


@pytest.mark.usefixtures("quick")
def test_our_row_stands_last_and_bold_below_the_published(tmp_path: Path) -> None:
    text = written(tmp_path, report_of())
    same, others = rows(text, "Beside published")
    head, _, *lines = same
    assert head[:4] == ["method", "common, NME %", "challenging, NME %", "full, NME %"]
    assert len(lines) == len(published("300w", "inter-ocular")) + 1
    # common: faces 1, 2, 4, 5, 7, 8, 10, 11; challenging: 0, 6, 9 (3 is missed)
    common, challenging = (7.5 + 2 + 1 + 12.25 + 4 + 5 + 2.5 + 3.5) / 8, (3 + 4 + 6) / 3
    whole = (8 * common + 3 * challenging) / 11
    assert lines[-1][:5] == [
        "**net (this report)**",
        *(f"**{value:.2f}**" for value in (common, challenging, whole)),
        "**inter-ocular**",
    ]
    listed = [line[3] for line in lines[:-1]]
    assert listed[0] == "–"  # AADN, whose full figure is not known
    figures = [float(value) for value in listed[1:]]
    assert figures == sorted(figures, reverse=True)
    assert ["SPIGA (2022)", "2.59", "4.66", "2.99"] in [line[:4] for line in lines]
    assert [line[0] for line in others[2:]] == ["Wu & Ji (2015)"]
    assert "normaliser not stated" in others[2]


@pytest.mark.usefixtures("quick")
def test_only_rows_of_the_same_normaliser_are_compared(tmp_path: Path) -> None:
    text = written(tmp_path, report_of(benchmark="cofw", normaliser="inter-pupil"))
    same, others = rows(text, "Beside published")
    assert {line[3].strip("*") for line in same[2:]} == {"inter-pupil"}
    assert {line[3] for line in others[2:]} == {"inter-ocular"}
    assert same[0][1:3] == ["full, NME %", "FR@10 %"]
    assert ["RCPR", "8.50", "20"] in [line[:3] for line in same]
    assert same[-1][2] == f"**{100 / 11:.2f}**"  # one face of eleven is above 10 %
    text = written(tmp_path, report_of(benchmark="cofw", normaliser="box"))
    same, others = rows(text, "Beside published")
    assert [line[0] for line in same[2:]] == ["**net (this report)**"]
    assert len(others) - 2 == len(published("cofw"))


@pytest.mark.usefixtures("quick")
def test_a_name_with_a_bar_stays_in_its_cell(tmp_path: Path) -> None:
    text = written(tmp_path, report_of(model="a|b", sha256=None))
    same, _ = rows(text, "Beside published")
    assert same[-1][0] == r"**a\|b (this report)**"
    assert "a|b, sha256 not known" in text


@pytest.mark.usefixtures("quick")
def test_recall_stands_beside_that_of_others_on_cofw(tmp_path: Path) -> None:
    (lines,) = rows(written(tmp_path, report_of(benchmark="cofw")), "Recall of hidden")
    assert lines[2] == ["RCPR", "40.0"]
    assert lines[-2:] == [["FaceXFormer", "72.6"], ["**net (this report)**", "**100.0**"]]
    assert "## Recall" not in written(tmp_path, report_of(benchmark="300w"))
    assert "## Recall" not in written(tmp_path, report_of(benchmark="cofw", labelled=False))


@pytest.mark.usefixtures("quick")
def test_an_area_is_no_error(tmp_path: Path) -> None:
    same, others = rows(written(tmp_path, report_of(benchmark="300vw")), "Beside published")
    assert [line[0] for line in same[2:]] == ["**net (this report)**"]
    assert others[2][:5] == ["CNN-CRF", "73.30", "71.60", "67.40", "AUC %"]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"incomplete": True}, "faces of the split are missing"),
        ({"occlude": "mask"}, "occluders were put on the faces"),
        ({}, "missed faces have no error"),
    ],
)
def test_what_cannot_be_compared_says_so(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    text = written(tmp_path, report_of(**changes))
    (line,) = [
        line for line in text.splitlines() if "are not comparable with the published" in line
    ]
    assert reason in line
    assert line.startswith("**")
    assert ("occluders that were put on the faces are not shown" in text) == ("occlude" in changes)


@pytest.mark.usefixtures("quick")
def test_a_complete_benchmark_is_comparable(tmp_path: Path) -> None:
    text = written(tmp_path, report_of(nme=[2.0, 3.0]))
    assert "are not comparable with the published" not in text


@pytest.mark.usefixtures("quick")
def test_all_figures(tmp_path: Path) -> None:
    (lines,) = rows(written(tmp_path, report_of()), "All figures")
    values = {line[0]: line[1:] for line in lines}
    assert lines[0][-3:] == ["common", "challenging", "all"]
    assert values["faces"] == ["8", "4", "12"]
    assert values["missed"] == ["0", "1", "1"]
    assert values["FR@8 %"] == ["12.50", "0.00", f"{100 / 11:.2f}"]
    assert values["hidden landmarks"] == ["136", "51", "187"]  # 17 of each face found
    assert values["visibility, ROC-AUC"] == ["1.000"] * 3
    # 0.9 where it is 1 for 51 landmarks, 0.2 where it is 0 for 17
    assert values["visibility, calibration error"] == ["0.125"] * 3
    text = written(tmp_path, report_of(labelled=False))
    (lines,) = rows(text, "All figures")
    assert "visibility, ROC-AUC" not in {line[0] for line in lines}
    assert "do not say which landmarks are hidden" in text
    assert "reliability.svg" not in text
    text = written(tmp_path, report_of(labelled=False, turned=True))
    (lines,) = rows(text, "All figures")
    values |= {line[0]: line[1:] for line in lines}
    assert values["turned away landmarks"] == ["136", "51", "187"]
    assert values["turned away, ROC-AUC"] == ["1.000"] * 3
    assert values["others called turned, %"] == ["0.00"] * 3
    assert "reliability.svg" in text
    (lines,) = rows(written(tmp_path, report_of(uncertain=True)), "All figures")
    values |= {line[0]: line[1:] for line in lines}
    assert values["uncertainty, true over predicted distance"] == ["2.00"] * 3
    assert values["uncertainty, rank correlation"] == ["1.000"] * 3


@pytest.mark.usefixtures("quick")
def test_folders_of_pictures(tmp_path: Path) -> None:
    text = written(tmp_path, report_of(benchmark=None))
    assert text.startswith("# net on folders of pictures\n")
    assert "published" not in text
    assert "labelled by" not in text
    files = [{"name": "hidden.json", "sha256": "cd" * 32}]
    text = written(tmp_path, report_of(benchmark=None, visibility_labels=tuple(files)))
    assert f"hidden landmarks: labelled by hidden.json, sha256 {'cd' * 32}" in text
    text = written(tmp_path, report_of(benchmark="unheard-of"))
    assert "No published figures of this benchmark are known" in text


def test_no_face_was_found(tmp_path: Path) -> None:
    write_report(report_of(nme=[2.0]), tmp_path)  # nothing of which is left
    text = written(tmp_path, report_of(nme=[np.nan, np.nan]))
    assert "No face was found" in text
    files = sorted(p.name for p in tmp_path.rglob("*") if p.is_file())
    assert files == ["report.json", "report.md"]


def near(image: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[np.intp]:
    """Columns and rows of the pixels of about this colour, (N, 2)."""
    return np.argwhere((np.abs(image.astype(int) - colour) < 30).all(axis=2))[:, ::-1]


def test_true_and_predicted_landmarks_lie_where_they_belong() -> None:
    """One landmark is 20 pixels off in a picture of 100; the face is shown at 480/(1.4·60)."""
    image = np.zeros((100, 100, 3), np.uint8)
    corners = np.array([[20.0, 20.0], [80.0, 80.0]])
    truth = np.full((68, 2), np.nan)
    truth[:2] = corners
    truth[2] = (40, 50)
    predicted = np.tile(corners, (34, 1))
    predicted[2] = (60, 50)
    sample = Sample(Path("x"), truth, np.array([20.0, 20, 80, 80]), read=lambda: image)
    shown = face_picture(sample, predicted, np.ones(68), IBUG68, 0.5)
    assert shown.shape == (SIZE, SIZE, 3)
    scale, middle = SIZE / (1.4 * 60), (SIZE - 1) / 2
    band = shown[int(middle) - 12 : int(middle) + 13]
    marks = near(band, TRUTH)
    assert marks[:, 0].min() == pytest.approx(middle - 10 * scale, abs=6)
    dots = near(band, SEEN)
    assert dots[:, 0].mean() == pytest.approx(middle + 10 * scale, abs=2)


def test_a_picture_that_is_gone(tmp_path: Path) -> None:
    report = report_of(nme=[2.0])
    gone = Sample(tmp_path / "gone.png", report.samples[0].points, report.samples[0].box)
    broken = replace(report, samples=[gone])
    with pytest.raises(ImageError, match=r"gone\.png: no such file"):
        write_report(broken, tmp_path / "out")
    assert not (tmp_path / "out" / "report.md").exists()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        write_report(report_of(nme=[2.0]), tmp_path / "file")


def test_without_matplotlib_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match=r"pip install '\.\[plot\]'"):
        write_report(report_of(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_importing_it_is_light() -> None:
    code = (
        "import sys, aadn.evaluation.report_folder\n"
        "print([m for m in ('torch', 'matplotlib', 'h5py', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""The report of an evaluation as a folder: numbers, published figures beside them, worst faces.

report.json   the numbers, `Report.results`
report.md     the same to read, with links to the pictures
ced.svg, .png the cumulative error distribution of each part
reliability.svg, .png
              predicted beside true visibility, where the labels say it
worst.jpg     the faces of the highest NME on one sheet
worst/        the same one by one, 01_nme_12.34_image_0017.jpg the worst
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from aadn.data.releases import RELEASES
from aadn.errors import InputError, OutputError
from aadn.evaluation.plots import check_plot, plot_ced, plot_reliability
from aadn.evaluation.published import CAUTIONS, COFW_HIDDEN_RECALL, Row, published
from aadn.evaluation.tables import number, table
from aadn.faces import OCCLUSION_GRID, Faces
from aadn.files import write_whole
from aadn.geometry import box_of_points, crop_matrix, transform, warp
from aadn.media.draw import EDGE, HIDDEN, SEEN, Colour, draw
from aadn.schemes import scheme_of

if TYPE_CHECKING:
    from aadn.data.samples import Sample
    from aadn.evaluation.measure import Report

Image = NDArray[np.uint8]

WORST = 10
"""How many faces are shown (our choice)."""

SIZE = 480
"""Side of a shown face in pixels (our choice)."""

MARGIN = 1.4
"""Side of a shown face over the longer side of the box around both its true and its predicted
landmarks (our choice)."""

TRUTH: Colour = (240, 60, 255)
"""True landmarks: apart from those of `draw` for every kind of colour vision (our choice)."""


def write_report(
    report: Report,
    folder: str | Path,
    *,
    title: str | None = None,
    progress: bool | None = None,
) -> None:
    """Write the folder of a report, each file whole or not at all.

    A report that is there already is replaced; other files in the folder stay. Published figures
    stand beside those of a benchmark that has some in `aadn.evaluation.published`.

    Args:
        report: what `aadn.evaluation.measure` gave.
        folder: made if it is missing.
        title: heading of report.md; None for the names of model and benchmark.
        progress: show a bar; None for a bar where the error output is a terminal.

    Raises:
        ImageError: if the picture of a worst face cannot be read again.
        MissingDependencyError: without matplotlib, before anything is written.
        OutputError: if a file cannot be written.
    """
    folder = Path(folder)
    check_plot(folder / "ced.png")
    report.write_json(folder / "report.json")
    curves = _curves(report)
    for suffix in (".svg", ".png") if curves else ():
        plot_ced(
            curves,
            folder / f"ced{suffix}",
            report.results["threshold"],
            normaliser=report.results["normaliser"],
        )
    diagram = report.measured.reliability()
    for path in (folder / f"reliability{suffix}" for suffix in (".svg", ".png")):
        if diagram is None:
            _remove(path)  # of an earlier report
        else:
            plot_reliability({"visibility": diagram}, path)
    worst = _write_worst(report, folder, progress)
    # Last, as it links to the others.
    write_whole(folder / "report.md", _markdown(report.results, title, worst, diagram is not None))


def plot_report(report: Report, path: str | Path) -> None:
    """Draw one curve, the cumulative error distribution of all faces, as .png or .svg.

    Raises InputError if no face was measured, and as `aadn.evaluation.plots.plot_ced` does.
    """
    if len(report.nme) == 0:
        raise InputError(f"no face was measured, so there is no curve to draw in {path}")
    r = report.results
    curve = {str(r["model"]["name"]): report.nme}
    plot_ced(curve, path, r["threshold"], normaliser=r["normaliser"])


def _curves(report: Report) -> dict[str, NDArray[np.float64]]:
    """NME of the faces found, of all of them and of each part; empty if none was found."""
    nme = report.measured.nme
    found = np.isfinite(nme)
    curves = {"all": nme[found]}
    for part in report.results["parts"]:
        inside = found & np.array([part["part"] in sample.parts for sample in report.samples])
        if inside.any():
            curves.setdefault(part["part"], nme[inside])
    return curves if found.any() else {}


# Worst faces


def _write_worst(report: Report, folder: Path, progress: bool | None) -> list[str]:
    """Write the pictures of the worst faces; their names, the worst first."""
    nme, threshold = report.measured.nme, report.results["visibility_threshold"]
    order = np.argsort(np.where(np.isfinite(nme), -nme, np.inf), kind="stable")
    of_scene: dict[object, int] = {}  # of a video only its worst frame: the next ones look alike
    for i in order[np.isfinite(nme[order])].tolist():
        of_scene.setdefault(report.samples[i].scene or i, i)
    chosen = list(of_scene.values())[:WORST]
    tiles, names = [], []
    hide = progress if progress is None else not progress
    bar = tqdm(chosen, "drawing the worst faces", unit="face", disable=hide)
    for place, i in enumerate(bar, 1):
        sample, visibility = report.samples[i], report.measured.visibility[i]
        tile = face_picture(sample, report.predicted[i], visibility, threshold)
        name = sample.image.stem
        if sample.scene is not None:
            name = f"{sample.scene.parent.name}_{name}"
        stem = re.sub(r"[^A-Za-z0-9.-]+", "_", name)[:60]
        names.append(f"{place:02d}_nme_{nme[i]:.2f}_{stem}.jpg")
        write_whole(folder / "worst" / names[-1], _jpeg(tile))
        tiles.append(_captioned(tile, f"{place}.  NME {nme[i]:.2f} %", stem))
    if tiles:
        write_whole(folder / "worst.jpg", _jpeg(_sheet(tiles)))
    stale = [p for p in (folder / "worst").glob("[0-9][0-9]_nme_*.jpg") if p.name not in names]
    if not tiles:
        stale += [folder / name for name in ("ced.svg", "ced.png", "worst.jpg")]
    for path in stale:  # of an earlier report
        _remove(path)
    return names


def face_picture(
    sample: Sample,
    predicted: NDArray[np.floating],
    visibility: NDArray[np.floating],
    threshold: float,
) -> Image:
    """A face with what was predicted and what is true, (SIZE, SIZE, 3) uint8 RGB.

    Predicted landmarks are drawn as by `draw`, true ones as crosses, joined by a line to the
    predicted.

    Args:
        sample: with its picture.
        predicted: (L, 2) pixels of the sample's picture.
        visibility: (L,) in [0, 1]; NaN where it is not predicted, drawn as seen.
        threshold: a landmark of lower visibility is drawn as hidden.

    Raises:
        ImageError: if the picture cannot be read.
    """
    box = box_of_points(np.concatenate([sample.points, predicted]))
    matrix = crop_matrix(box, SIZE, MARGIN)
    crop = warp(sample.picture(), matrix, SIZE)
    points, truth = transform(predicted, matrix), transform(sample.points, matrix)
    known = np.isfinite(truth).all(axis=1)
    for a, b in zip(points[known], truth[known], strict=True):
        _line(crop, a, b, TRUTH, 1)
    faces = Faces(
        points[None].astype(np.float32),
        np.where(np.isnan(visibility), 1, visibility)[None].astype(np.float32),
        np.full((1, len(points)), np.nan, np.float32),
        box_of_points(points)[None].astype(np.float32),
        np.ones(1, np.float32),
        np.full((1, OCCLUSION_GRID, OCCLUSION_GRID), np.nan, np.float32),
        scheme_of(len(points)).name,
        threshold,
    )
    crop = draw(crop, faces, contours=False, boxes=False)
    for point in truth[known]:
        _cross(crop, point)
    return crop


def _cross(canvas: Image, at: NDArray[np.floating], reach: float = 3.5) -> None:
    for colour, thickness in ((EDGE, 4), (TRUTH, 2)):
        for side in (1, -1):
            step = reach * np.array([1, side])
            _line(canvas, at - step, at + step, colour, thickness)


def _line(
    canvas: Image,
    start: NDArray[np.floating],
    end: NDArray[np.floating],
    colour: Colour,
    thickness: int,
) -> None:
    a, b = (np.rint(point * 16).astype(int).tolist() for point in (start, end))
    cv2.line(canvas, a, b, colour, thickness, cv2.LINE_AA, 4)  # in sixteenths of a pixel


def _captioned(tile: Image, *lines: str) -> Image:
    strip = np.full((24 * len(lines) + 8, tile.shape[1], 3), 255, np.uint8)
    for i, text in enumerate(lines):
        _text(strip, text, (8, 24 * i + 22))
    return np.concatenate([strip, tile])


def _text(canvas: Image, text: str, at: tuple[int, int]) -> None:
    cv2.putText(canvas, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.55, EDGE, 1, cv2.LINE_AA)


def _sheet(tiles: Sequence[Image], columns: int = 5, gap: int = 8) -> Image:
    """Tiles of one size in rows, and below them what the marks mean."""
    columns = min(columns, len(tiles))
    height, width = tiles[0].shape[:2]
    rows = -(-len(tiles) // columns)
    legend = 40
    total = (rows * (height + gap) + gap + legend, max(columns * (width + gap) + gap, 560), 3)
    sheet = np.full(total, 255, np.uint8)
    for i, tile in enumerate(tiles):
        y, x = (gap + (i // columns) * (height + gap), gap + (i % columns) * (width + gap))
        sheet[y : y + height, x : x + width] = tile
    middle = total[0] - legend // 2
    cv2.circle(sheet, (20, middle), 6, EDGE, cv2.FILLED, cv2.LINE_AA)
    cv2.circle(sheet, (20, middle), 5, SEEN, cv2.FILLED, cv2.LINE_AA)
    _text(sheet, "predicted, seen", (34, middle + 6))
    cv2.circle(sheet, (206, middle), 6, HIDDEN, 2, cv2.LINE_AA)
    _text(sheet, "predicted, hidden", (220, middle + 6))
    _cross(sheet, np.array([416.0, middle]), 5)
    _text(sheet, "labelled", (430, middle + 6))
    return sheet


def _jpeg(image: Image) -> bytes:
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 92])
    if not done:
        raise OutputError(f"a picture of shape {image.shape} could not be written as JPEG")
    return data.tobytes()


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot remove {path} of an earlier report: {error.strerror or error}; "
            "choose another folder"
        ) from None


# Text


def _markdown(
    r: Mapping[str, Any], title: str | None, worst: Sequence[str], reliability: bool
) -> str:
    benchmark = None if r["benchmark"] is None else str(r["benchmark"]["name"])
    data = "folders of pictures" if benchmark is None else _name_of(benchmark)
    title = title or f"{r['model']['name']} on {data}"
    sections = [f"# {title}\n", _what_was_run(r, data)]
    if benchmark is not None:
        sections += ["## Beside published figures\n", *_beside_published(r, benchmark)]
    sections += ["## All figures\n", *_all_figures(r)]
    if benchmark == "cofw" and r["hidden_recall_at_precision_80"] is not None:
        sections.append("## Recall of hidden landmarks at a precision of 80 %\n")
        sections += [*_caution(r), _recalls(r)]
    if reliability:
        sections += ["## Reliability of visibility\n", _RELIABILITY]
    sections.append("## Cumulative error distribution\n")
    if worst:
        sections.append("![cumulative error distribution](ced.svg)\n")
        sections += ["## Worst faces\n", _worst_faces(r, worst)]
    else:
        sections.append("No face was found, so there is no curve and no worst face.\n")
    return "\n".join(sections)


_RELIABILITY = """\
![predicted visibility beside the share of landmarks that are seen](reliability.svg)

Landmarks by predicted visibility, in ten intervals: on the diagonal as many are seen as predicted.
"""


def _name_of(benchmark: str) -> str:
    return RELEASES[benchmark].title if benchmark in RELEASES else benchmark


def _what_was_run(r: Mapping[str, Any], data: str) -> str:
    model, benchmark = r["model"], r["benchmark"]
    if benchmark is not None:
        complete = "incomplete" if benchmark["incomplete"] else "complete"
        data += f", {benchmark['split']} split, {complete}"
    facts = {
        "model": f"{model['name']}, sha256 {model['sha256'] or 'not known'}",
        "data": data,
        "faces": f"{r['images']:,}, of which {r['missed']:,} missed by the detector",
        "boxes": {"truth": "of the labels", "detector": "of the detector"}[r["boxes"]],
        "occluder": "none" if r["occlude"] == "none" else f"{r['occlude']}, seed {r['seed']}",
        "normaliser": r["normaliser"],
    }
    if files := r["visibility_labels"]:
        facts["hidden landmarks"] = "labelled by " + ", ".join(
            f"{file['name']}, sha256 {file['sha256']}" for file in files
        )
    return "".join(f"- {name}: {value}\n" for name, value in facts.items())


_TEXTS = ("normaliser", "read in", "note")


def _beside_published(r: Mapping[str, Any], benchmark: str) -> Iterable[str]:
    """The paper's table: published rows of the same normaliser and ours, then the other rows."""
    yield from _caution(r)
    rows = published(benchmark)
    if rows:
        same = [row for row in rows if row.measure == "NME" and _same_length(row, r)]
        yield _published_table(r, same, _parts(rows))
        others = [row for row in rows if row not in same]
        if others:
            yield "Of another normaliser or measure, **not comparable** with this report:\n"
            yield _others_table(r, others, _parts(rows))
    else:
        yield "No published figures of this benchmark are known here.\n"
    if benchmark in CAUTIONS:
        yield "".join(f"- {caution}\n" for caution in CAUTIONS[benchmark])


def _caution(r: Mapping[str, Any]) -> Iterable[str]:
    reasons = list(_not_comparable(r))
    if reasons:
        yield (
            "**The figures of this report are not comparable with the published: "
            f"{'; '.join(reasons)}.**\n"
        )


def _published_table(r: Mapping[str, Any], rows: Sequence[Row], parts: Sequence[str]) -> str:
    failures = any(row.fr_10 is not None for row in rows)
    lines = []
    for row in _descending(rows):
        fr = [number(row.fr_10)] if failures else []
        lines.append([*_cells(row, parts), *fr, row.normaliser, row.source, row.note])
    ours = {part["part"]: part for part in r["parts"]} | {"all": r}
    cells = [_ours(r), *(number(ours[part]["nme"]) if part in ours else "–" for part in parts)]
    cells += [number(r["fr_10"])] if failures else []
    cells += [r["normaliser"], "measured here"]
    lines.append([*(f"**{cell}**" for cell in cells), ""])
    header = ["method", *(f"{_title(part)}, NME %" for part in parts)]
    header += ["FR@10 %"] if failures else []
    return table([*header, *_TEXTS], lines, texts=_TEXTS)


def _same_length(row: Row, r: Mapping[str, Any]) -> bool:
    """Whether a row has our normaliser; the side of AFLW's square boxes is their width."""
    return row.normaliser == ("side" if r["normaliser"] == "width" else r["normaliser"])


def _others_table(r: Mapping[str, Any], rows: Sequence[Row], parts: Sequence[str]) -> str:
    lines = [
        [*_cells(row, parts), f"{row.measure} %", row.normaliser, row.source, row.note]
        for row in _descending(rows)
    ]
    if any(row.measure == "AUC" for row in rows):
        ours = {part["part"]: part for part in r["parts"]} | {"all": r}
        auc = [number(ours[part]["auc"]) if part in ours else "–" for part in parts]
        measure = f"AUC@{r['threshold']:g} %"
        lines.append([_ours(r), *auc, measure, r["normaliser"], "measured here", ""])
    texts = ("measure", *_TEXTS)
    return table(["method", *map(_title, parts), *texts], lines, texts=texts)


def _ours(r: Mapping[str, Any]) -> str:
    return f"{r['model']['name']} (this report)"


def _not_comparable(r: Mapping[str, Any]) -> Iterable[str]:
    if r["benchmark"] is not None and r["benchmark"]["incomplete"]:
        yield "faces of the split are missing"
    if r["occlude"] != "none":
        yield "occluders were put on the faces"
    if r["missed"]:
        yield "missed faces have no error"


def _parts(rows: Sequence[Row]) -> list[str]:
    """Parts with published figures, "all" at the end."""
    parts = list(dict.fromkeys(part for row in rows for part in row.values))
    return sorted(parts, key=lambda part: part == "all")


def _title(part: str) -> str:
    return "full" if part == "all" else part


def _descending(rows: Sequence[Row]) -> list[Row]:
    """From the highest error of all faces to the lowest; first those that do not say it."""
    return sorted(rows, key=lambda row: -row.values.get("all", np.inf))


def _cells(row: Row, parts: Sequence[str]) -> list[str]:
    name = row.method if row.year is None else f"{row.method} ({row.year})"
    return [name, *(number(row.values.get(part)) for part in parts)]


_OF_ERRORS = {
    "faces": "images",
    "missed": "missed",
    "NME %": "nme",
    "NME %, 90th percentile": "nme_p90",
    "NME %, 95th percentile": "nme_p95",
    "NME %, 99th percentile": "nme_p99",
    "NME % of visible landmarks": "nme_visible",
    "NME % of hidden landmarks": "nme_hidden",
    "FR@{threshold:g} %": "fr",
    "AUC@{threshold:g} %": "auc",
    "landmarks called hidden, %": "called_hidden",
}
_OF_VISIBILITY = {
    "hidden landmarks": "hidden_points",
    "visibility, ROC-AUC": "visibility_auc",
    "P alone, ROC-AUC": "map_auc",
    "hidden, average precision": "hidden_average_precision",
    "hidden, recall at 80 % precision, %": "hidden_recall_at_precision_80",
    "visible called hidden, %": "visible_called_hidden",
    "visibility, calibration error": "calibration_error",
}
_OF_UNCERTAINTY = {
    "uncertainty, true over predicted distance": "uncertainty_ratio",
    "uncertainty, rank correlation": "uncertainty_correlation",
}
_DIGITS = {
    "visibility_auc": 3,
    "map_auc": 3,
    "hidden_average_precision": 3,
    "calibration_error": 3,
    "uncertainty_correlation": 3,
}


def _all_figures(r: Mapping[str, Any]) -> Iterable[str]:
    parts = [p for p in r["parts"] if p["part"] != "all"]
    columns = [*parts, r]
    known = any(c["hidden_points"] is not None for c in columns)
    figures = _OF_ERRORS | (_OF_VISIBILITY if known else {})
    if any(c["uncertainty_ratio"] is not None for c in columns):
        figures |= _OF_UNCERTAINTY
    lines = [
        [
            name.format(threshold=r["threshold"]),
            *(number(c[key], _DIGITS.get(key, 2)) for c in columns),
        ]
        for name, key in figures.items()
    ]
    yield table(["", *(p["part"] for p in parts), "all"], lines)
    yield f"NME by the {r['normaliser']} normaliser; faces that were missed have none.\n"
    if not known:
        yield "The labels do not say which landmarks are hidden: no figures of visibility.\n"


def _recalls(r: Mapping[str, Any]) -> str:
    lines = [
        [name, f"{recall:.1f}"]
        for name, recall in sorted(COFW_HIDDEN_RECALL.items(), key=lambda item: item[1])
    ]
    ours = number(r["hidden_recall_at_precision_80"], 1)
    lines.append([f"**{_ours(r)}**", f"**{ours}**"])
    return table(["method", "recall %"], lines)


def _worst_faces(r: Mapping[str, Any], worst: Sequence[str]) -> str:
    text = "![the faces of the highest NME](worst.jpg)\n\n"
    text += (
        "Dots: predicted and seen; rings: predicted and hidden; crosses: labelled. "
        "The name of a picture has its NME in %.\n"
    )
    if r["occlude"] != "none":
        text += "The occluders that were put on the faces are not shown.\n"
    return (
        text + "\n" + "".join(f"{i}. [{name}](worst/{name})\n" for i, name in enumerate(worst, 1))
    )

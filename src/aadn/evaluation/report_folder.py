"""The report of an evaluation as a folder: numbers, published figures beside them, worst faces.

report.json   the numbers, `Report.to_dict`
report.md     the same to read, with links to the pictures
ced.svg, .png the cumulative error distribution of each part
reliability.svg, .png
              predicted beside true visibility, where the labels say it
worst.jpg     the faces of the highest NME on one sheet
worst/        the same one by one, 01_nme_12.34_image_0017.jpg the worst
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aadn.data.releases import RELEASES
from aadn.errors import InputError
from aadn.evaluation.plots import check_plot, plot_ced, plot_reliability
from aadn.evaluation.published import CAUTIONS, COFW_HIDDEN_RECALL, Row, published
from aadn.evaluation.report import Report
from aadn.evaluation.scores import Scores
from aadn.evaluation.tables import number, table
from aadn.evaluation.worst_faces import write_worst_faces
from aadn.files import remove, write_whole


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
        report: what `aadn.evaluation.measure.evaluate` gave.
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
    diagrams = {
        "seen, of those not turned away": report.measured.reliability(),
        "turned away": report.measured.turned_reliability(),
    }
    known = {name: curve for name, curve in diagrams.items() if curve is not None}
    for suffix in (".svg", ".png"):
        path = folder / f"ced{suffix}"
        if curves:
            plot_ced(curves, path, report.setting.threshold, normaliser=report.normaliser)
        else:
            remove(path)  # of an earlier report
        path = folder / f"reliability{suffix}"
        if known:
            plot_reliability(known, path)
        else:
            remove(path)
    worst = write_worst_faces(report, folder, progress)
    # Last, as it links to the others.
    write_whole(folder / "report.md", _markdown(report, title, worst, bool(known)))


def plot_report(report: Report, path: str | Path) -> None:
    """Draw one curve, the cumulative error distribution of all faces, as .png or .svg.

    Raises InputError if no face was measured, and as `aadn.evaluation.plots.plot_ced` does.
    """
    if len(report.nme) == 0:
        raise InputError(f"no face was measured, so there is no curve to draw in {path}")
    curve = {report.card.model: report.nme}
    plot_ced(curve, path, report.setting.threshold, normaliser=report.normaliser)


def _curves(report: Report) -> dict[str, NDArray[np.float64]]:
    """NME of the faces found, of all of them and of each part; empty if none was found."""
    nme = report.measured.nme
    found = np.isfinite(nme)
    curves = {"all": nme[found]}
    for part in report.parts:
        inside = found & np.array([part in sample.parts for sample in report.samples])
        if inside.any():
            curves.setdefault(part, nme[inside])
    return curves if found.any() else {}


# Text


def _markdown(report: Report, title: str | None, worst: Sequence[str], reliability: bool) -> str:
    benchmark = None if report.benchmark is None else str(report.benchmark["name"])
    data = "folders of pictures" if benchmark is None else _name_of(benchmark)
    title = title or f"{report.card.model} on {data}"
    sections = [f"# {title}\n", _what_was_run(report, data)]
    if benchmark is not None:
        sections += ["## Beside published figures\n", *_beside_published(report, benchmark)]
    sections += ["## All figures\n", *_all_figures(report)]
    recall = report.scores.hidden_recall_at_precision_80
    if benchmark == "cofw" and recall is not None:
        sections.append("## Recall of hidden landmarks at a precision of 80 %\n")
        sections += [*_caution(report), _recalls(report, recall)]
    if reliability:
        sections += ["## Reliability of the states\n", _RELIABILITY]
    sections.append("## Cumulative error distribution\n")
    if worst:
        sections.append("![cumulative error distribution](ced.svg)\n")
        sections += ["## Worst faces\n", _worst_faces(report, worst)]
    else:
        sections.append("No face was found, so there is no curve and no worst face.\n")
    return "\n".join(sections)


_RELIABILITY = """\
![predicted probabilities beside the share of landmarks of which they are true](reliability.svg)

Landmarks by the predicted probability of a state, in ten intervals: on the diagonal as many have it
as predicted.
"""


def _name_of(benchmark: str) -> str:
    return RELEASES[benchmark].title if benchmark in RELEASES else benchmark


def _what_was_run(report: Report, data: str) -> str:
    setting, benchmark = report.setting, report.benchmark
    if benchmark is not None:
        complete = "incomplete" if benchmark["incomplete"] else "complete"
        data += f", {benchmark['split']} split, {complete}"
    occluder = setting.occlude
    images, missed = report.scores.images, report.scores.missed
    facts = {
        "model": f"{report.card.model}, sha256 {report.sha256 or 'not known'}",
        "data": data,
        "faces": f"{images:,}, of which {missed:,} missed by the detector",
        "boxes": {"truth": "of the labels", "detector": "of the detector"}[setting.boxes],
        "occluder": "none" if occluder == "none" else f"{occluder}, seed {setting.seed}",
        "normaliser": report.normaliser,
    }
    if files := report.visibility_labels:
        facts["hidden landmarks"] = "labelled by " + ", ".join(
            f"{file['name']}, sha256 {file['sha256']}" for file in files
        )
    return "".join(f"- {name}: {value}\n" for name, value in facts.items())


_TEXTS = ("normaliser", "read in", "note")


def _beside_published(report: Report, benchmark: str) -> Iterable[str]:
    """The paper's table: published rows of the same normaliser and ours, then the other rows."""
    yield from _caution(report)
    rows = published(benchmark)
    if rows:
        same = [row for row in rows if row.measure == "NME" and _same_length(row, report)]
        yield _published_table(report, same, _parts(rows))
        others = [row for row in rows if row not in same]
        if others:
            yield "Of another normaliser or measure, **not comparable** with this report:\n"
            yield _others_table(report, others, _parts(rows))
    else:
        yield "No published figures of this benchmark are known here.\n"
    if benchmark in CAUTIONS:
        yield "".join(f"- {caution}\n" for caution in CAUTIONS[benchmark])


def _caution(report: Report) -> Iterable[str]:
    reasons = list(_not_comparable(report))
    if reasons:
        yield (
            "**The figures of this report are not comparable with the published: "
            f"{'; '.join(reasons)}.**\n"
        )


def _published_table(report: Report, rows: Sequence[Row], parts: Sequence[str]) -> str:
    failures = any(row.fr_10 is not None for row in rows)
    lines = []
    for row in _descending(rows):
        fr = [number(row.fr_10)] if failures else []
        lines.append([*_cells(row, parts), *fr, row.normaliser, row.source, row.note])
    cells = [_ours(report), *_of_parts(report, parts, lambda scores: scores.nme)]
    cells += [number(report.scores.fr_10)] if failures else []
    cells += [report.normaliser, "measured here"]
    lines.append([*(f"**{cell}**" for cell in cells), ""])
    header = ["method", *(f"{_title(part)}, NME %" for part in parts)]
    header += ["FR@10 %"] if failures else []
    return table([*header, *_TEXTS], lines, texts=_TEXTS)


def _same_length(row: Row, report: Report) -> bool:
    """Whether a row has our normaliser; the side of AFLW's square boxes is their width."""
    return row.normaliser == ("side" if report.normaliser == "width" else report.normaliser)


def _others_table(report: Report, rows: Sequence[Row], parts: Sequence[str]) -> str:
    lines = [
        [*_cells(row, parts), f"{row.measure} %", row.normaliser, row.source, row.note]
        for row in _descending(rows)
    ]
    if any(row.measure == "AUC" for row in rows):
        auc = _of_parts(report, parts, lambda scores: scores.auc)
        measure = f"AUC@{report.setting.threshold:g} %"
        lines.append([_ours(report), *auc, measure, report.normaliser, "measured here", ""])
    texts = ("measure", *_TEXTS)
    return table(["method", *map(_title, parts), *texts], lines, texts=texts)


def _ours(report: Report) -> str:
    return f"{report.card.model} (this report)"


def _of_parts(
    report: Report, parts: Sequence[str], read: Callable[[Scores], float | None]
) -> list[str]:
    """One of our figures for each part, as cells."""
    ours = report.parts | {"all": report.scores}
    return [number(read(ours[part])) if part in ours else "–" for part in parts]


def _not_comparable(report: Report) -> Iterable[str]:
    if report.benchmark is not None and report.benchmark["incomplete"]:
        yield "faces of the split are missing"
    if report.setting.occlude != "none":
        yield "occluders were put on the faces"
    if report.scores.missed:
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


Figures = dict[str, Callable[[Scores], str]]
"""What rows of a table are called, and how their cells are read off."""


def _of_errors(threshold: float) -> Figures:
    return {
        "faces": lambda s: number(s.images),
        "missed": lambda s: number(s.missed),
        "NME %": lambda s: number(s.nme),
        "NME %, 90th percentile": lambda s: number(s.nme_p90),
        "NME %, 95th percentile": lambda s: number(s.nme_p95),
        "NME %, 99th percentile": lambda s: number(s.nme_p99),
        "NME % of visible landmarks": lambda s: number(s.nme_visible),
        "NME % of hidden landmarks": lambda s: number(s.nme_hidden),
        f"FR@{threshold:g} %": lambda s: number(s.fr),
        f"AUC@{threshold:g} %": lambda s: number(s.auc),
        "landmarks called hidden, %": lambda s: number(s.called_hidden),
    }


_OF_VISIBILITY: Figures = {
    "hidden landmarks": lambda s: number(s.hidden_points),
    "visibility, ROC-AUC": lambda s: number(s.visibility_auc, 3),
    "P alone, ROC-AUC": lambda s: number(s.map_auc, 3),
    "hidden, average precision": lambda s: number(s.hidden_average_precision, 3),
    "hidden, recall at 80 % precision, %": lambda s: number(s.hidden_recall_at_precision_80),
    "visible called hidden, %": lambda s: number(s.visible_called_hidden),
    "visibility, calibration error": lambda s: number(s.calibration_error, 3),
}
_OF_TURNING: Figures = {
    "turned away landmarks": lambda s: number(s.turned_points),
    "turned away, ROC-AUC": lambda s: number(s.turned_auc, 3),
    "turned away called turned, %": lambda s: number(s.turned_called_turned),
    "others called turned, %": lambda s: number(s.others_called_turned),
}
_OF_UNCERTAINTY: Figures = {
    "uncertainty, true over predicted distance": lambda s: number(s.uncertainty_ratio),
    "uncertainty, rank correlation": lambda s: number(s.uncertainty_correlation, 3),
}


def _all_figures(report: Report) -> Iterable[str]:
    columns = {part: scores for part, scores in report.parts.items() if part != "all"}
    columns["all"] = report.scores
    known = any(scores.hidden_points is not None for scores in columns.values())
    figures = _of_errors(report.setting.threshold) | (_OF_VISIBILITY if known else {})
    if any(scores.turned_points is not None for scores in columns.values()):
        figures |= _OF_TURNING
    if any(scores.uncertainty_ratio is not None for scores in columns.values()):
        figures |= _OF_UNCERTAINTY
    lines = [[name, *map(read, columns.values())] for name, read in figures.items()]
    yield table(["", *columns], lines)
    yield f"NME by the {report.normaliser} normaliser; faces that were missed have none.\n"
    if not known:
        yield "The labels do not say which landmarks are hidden: no figures of visibility.\n"


def _recalls(report: Report, ours: float) -> str:
    lines = [
        [name, f"{recall:.1f}"]
        for name, recall in sorted(COFW_HIDDEN_RECALL.items(), key=lambda item: item[1])
    ]
    lines.append([f"**{_ours(report)}**", f"**{ours:.1f}**"])
    return table(["method", "recall %"], lines)


def _worst_faces(report: Report, worst: Sequence[str]) -> str:
    text = "![the faces of the highest NME](worst.jpg)\n\n"
    text += (
        "Dots: predicted and seen; rings: predicted and hidden; crosses: labelled. "
        "The name of a picture has its NME in %.\n"
    )
    if report.setting.occlude != "none":
        text += "The occluders that were put on the faces are not shown.\n"
    return (
        text + "\n" + "".join(f"{i}. [{name}](worst/{name})\n" for i, name in enumerate(worst, 1))
    )

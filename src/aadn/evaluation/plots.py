"""Plots of an evaluation; needs the extra `plot` (matplotlib), and only here."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aadn.errors import InputError, MissingDependencyError
from aadn.evaluation.detection import Curve, average_precision
from aadn.evaluation.metrics import auc, failure_rate
from aadn.files import write_whole

FORMATS = {".png": "png", ".svg": "svg"}

# Okabe and Ito's colours, apart for every kind of colour vision; their yellow is too pale here.
COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("-", "--", ":")


def check_plot(path: str | Path) -> None:
    """Raise what the plots here would raise for this file, before anything is measured.

    InputError for another suffix than .png or .svg, MissingDependencyError without matplotlib.
    """
    if Path(path).suffix.lower() not in FORMATS:
        raise InputError(f"{path}: expected a plot's name to end in {' or '.join(FORMATS)}")
    new_figure(1, 1)


def plot_ced(
    curves: Mapping[str, ArrayLike],
    path: str | Path,
    threshold: float = 8,
    *,
    normaliser: str = "inter-ocular",
) -> None:
    """Draw cumulative error distributions: the share of images with an NME up to each value.

    Args:
        curves: name to the NME of each image, (N,) in percent, N ≥ 1; at least one curve.
        path: a .png or .svg file, written whole or not at all.
        threshold: where the horizontal axis ends, and that of the AUC and FR in the legend.
        normaliser: what the NME was divided by, for the axis.

    Raises:
        InputError: for another suffix, no curve or an NME that is NaN.
        MissingDependencyError: without matplotlib.
        OutputError: if the file cannot be written.
    """
    check_plot(path)
    if not curves:
        raise InputError("expected at least one curve to plot, got none")
    figure = new_figure(7, 4.6 + 0.21 * len(curves))  # the legend stands above
    axes = figure.add_subplot()
    for i, (name, nme) in enumerate(curves.items()):
        errors = np.sort(np.asarray(nme, np.float64))
        label = (
            f"{name} (AUC@{threshold:g} {100 * auc(errors, threshold):.1f} %, "
            f"FR@{threshold:g} {100 * failure_rate(errors, threshold):.1f} %)"
        )
        inside = errors[errors <= threshold]
        share = 100 * np.arange(len(inside) + 1) / len(errors)
        # Each image is a step, so the area under this line is the AUC exactly.
        axes.plot(
            np.concatenate([[0], inside, [threshold]]),
            np.append(share, share[-1]),
            drawstyle="steps-post",
            color=COLOURS[i % len(COLOURS)],
            linestyle=DASHES[i // len(COLOURS) % len(DASHES)],
            label=label,
        )
    axes.set(
        xlim=(0, threshold),
        ylim=(0, 100),
        xlabel=f"NME, % ({normaliser})",
        ylabel="images with at most this NME, %",
    )
    axes.grid(alpha=0.3)
    figure.legend(loc="outside upper left", frameon=False)
    write_figure(figure, path)


def plot_reliability(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike, ArrayLike]], path: str | Path
) -> None:
    """Draw reliability diagrams: how often what is predicted with some probability happens.

    A perfect prediction lies on the diagonal, which is drawn too; below stands how many entries
    each interval of the prediction has.

    Args:
        curves: name to mean, share and entries (K,) of each interval, as `metrics.reliability`
            gives them; at least one curve, each with an entry.
        path: a .png or .svg file, written whole or not at all.

    Raises:
        InputError: for another suffix, no curve, arrays of other shapes or a curve without entries.
        MissingDependencyError, OutputError: as `plot_ced`.
    """
    check_plot(path)
    if not curves:
        raise InputError("expected at least one curve to plot, got none")
    figure = new_figure(5, 6 + 0.21 * len(curves))  # the legend stands above
    axes, below = figure.subplots(2, sharex=True, height_ratios=(4, 1))
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1)
    most = 1.0
    for i, (name, curve) in enumerate(curves.items()):
        mean, share, entries = (np.asarray(array, np.float64) for array in curve)
        if (
            mean.ndim != 1
            or not mean.shape == share.shape == entries.shape
            or not entries.sum() > 0
        ):
            raise InputError(
                f"curve {name!r}: expected mean, share and entries (K,) with at least one entry, "
                f"got shapes {mean.shape}, {share.shape} and {entries.shape}"
            )
        style = {
            "color": COLOURS[i % len(COLOURS)],
            "linestyle": DASHES[i // len(COLOURS) % len(DASHES)],
        }
        filled = entries > 0
        most = max(most, float(entries.max()))
        axes.plot(
            mean[filled],
            share[filled],
            marker="o",
            markersize=4,
            label=f"{name} ({int(entries.sum()):,})",
            **style,
        )
        below.stairs(entries, np.linspace(0, 1, len(entries) + 1), **style)
    axes.set(xlim=(0, 1), ylim=(0, 1), ylabel="share of which it is true")
    below.set(xlabel="predicted probability", ylabel="entries", yscale="log", ylim=(0.8, 2 * most))
    for one in (axes, below):
        one.grid(alpha=0.3)
    figure.legend(loc="outside upper left", frameon=False)
    write_figure(figure, path)


def plot_detection(curves: Mapping[str, Curve], path: str | Path, min_score: float) -> None:
    """Draw what a detector does at each minimum score, in two ways side by side.

    To the left the recall over the false alarms a picture, on a logarithmic axis (what has none
    stands at its left end); to the right the precision over the recall. A dot marks `min_score`.

    Args:
        curves: name to curve, each of pictures with faces; at least one.
        path: a .png or .svg file, written whole or not at all.
        min_score: where the dots are.

    Raises:
        InputError: for another suffix, no curve or a curve without faces.
        MissingDependencyError, OutputError: as `plot_ced`.
    """
    check_plot(path)
    if not curves:
        raise InputError("expected at least one curve to plot, got none")
    for name, curve in curves.items():
        if not curve.faces:
            raise InputError(f"curve {name!r}: expected pictures with faces, got none")
    alarms = np.concatenate([curve.false_alarms for curve in curves.values()])
    lowest = min(0.1, float(alarms[alarms > 0].min(initial=0.1))) / 2
    highest = max(1.0, float(alarms.max(initial=0.0)))
    figure = new_figure(10, 4.4 + 0.21 * len(curves))  # the legend stands above
    left, right = figure.subplots(1, 2)
    for i, (name, curve) in enumerate(curves.items()):
        style = {
            "color": COLOURS[i % len(COLOURS)],
            "linestyle": DASHES[i // len(COLOURS) % len(DASHES)],
        }
        recall, precision = 100 * curve.recall, 100 * curve.precision
        x = np.maximum(curve.false_alarms, lowest)
        ends = 100 * np.array([0.0, *curve.recall[-1:]])
        left.plot(
            np.concatenate([[lowest], x, [highest]]),
            np.concatenate([ends[:1], recall, ends[-1:]]),
            drawstyle="steps-post",
            label=f"{name} (AP {average_precision(curve):.3f})",
            **style,
        )
        right.plot(recall, precision, **style)
        taken = int(np.count_nonzero(curve.scores >= min_score))
        if taken:
            dot = {"marker": "o", "markersize": 5, "color": style["color"]}
            left.plot(x[taken - 1], recall[taken - 1], **dot)
            right.plot(recall[taken - 1], precision[taken - 1], **dot)
    left.set(
        xscale="log",
        xlim=(lowest, highest),
        ylim=(0, 100),
        xlabel="false alarms a picture",
        ylabel="recall, % of the faces",
    )
    right.set(xlim=(0, 100), ylim=(0, 101), xlabel="recall, %", ylabel="precision, % of the finds")
    for one in (left, right):
        one.grid(alpha=0.3)
    figure.legend(loc="outside upper left", frameon=False)
    write_figure(figure, path)


def plot_bars(bars: Mapping[str, float], path: str | Path, *, ylabel: str) -> None:
    """Draw a bar for each label, with its value above it.

    Args:
        bars: label to a finite value of 0 or more; at least one.
        path: a .png or .svg file, written whole or not at all.
        ylabel: what the values are, with their unit.

    Raises:
        InputError: for another suffix, no bar or a value that is negative or not finite.
        MissingDependencyError, OutputError: as `plot_ced`.
    """
    check_plot(path)
    if not bars:
        raise InputError("expected at least one bar to plot, got none")
    for label, value in bars.items():
        if not 0 <= value < np.inf:
            raise InputError(f"expected a finite value of 0 or more for bar {label!r}, got {value}")
    figure = new_figure(max(4, 1 + 1.2 * len(bars)), 4)
    axes = figure.add_subplot()
    names = [textwrap.fill(label, 14) for label in bars]
    drawn = axes.bar(range(len(bars)), list(bars.values()), width=0.6, color=COLOURS[1])
    axes.bar_label(drawn, [f"{value:.4g}" for value in bars.values()], padding=2)
    axes.set_xticks(range(len(bars)), names)
    axes.set(ylabel=ylabel, xlim=(-0.6, len(bars) - 0.4))
    axes.margins(y=0.1)  # room for the values
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    write_figure(figure, path)


def plot_error_over_time(
    points: Mapping[str, tuple[float, float]], path: str | Path, *, xlabel: str, ylabel: str
) -> None:
    """Draw methods by what they take and how far they are off: low and to the left is good.

    Args:
        points: name to a time and an error, each finite and more than 0; at least one.
        path: a .png or .svg file, written whole or not at all.
        xlabel, ylabel: what time and error are, with their units.

    Raises:
        InputError: for another suffix, no point or a value that is not positive.
        MissingDependencyError, OutputError: as `plot_ced`.
    """
    check_plot(path)
    if not points or not all(0 < value < np.inf for both in points.values() for value in both):
        raise InputError(f"expected finite times and errors above 0 to plot, got {dict(points)}")
    figure = new_figure(7, 4.5)
    axes = figure.add_subplot()
    for number, (name, (time, error)) in enumerate(points.items()):
        axes.plot(time, error, "o", markersize=9, color=COLOURS[number % len(COLOURS)])
        axes.annotate(name, (time, error), xytext=(8, 5), textcoords="offset points")
    axes.set(xscale="log", xlabel=xlabel, ylabel=ylabel)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("{x:g}")
    axes.margins(x=0.3, y=0.15)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3, which="both")
    axes.spines[["top", "right"]].set_visible(False)
    write_figure(figure, path)


def plot_maps(
    rows: Sequence[Mapping[str, NDArray[Any]]],
    path: str | Path,
    *,
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> None:
    """Draw a grid of pictures and heat maps: a row for each face, a column for each title.

    Args:
        rows: title to a picture (H, W, 3) uint8 RGB or a map (H, W) of floats, NaN = blank; all
            rows with the same titles in the same order. At least one row and one title.
        path: a .png or .svg file, written whole or not at all.
        ranges: title to the values at the ends of its maps' colours; otherwise the lowest and the
            highest of the column. A column of maps has one scale for all its rows.

    Raises:
        InputError: for another suffix, rows that differ in their titles, an array of another
            shape or type, or a range that is empty or of an unknown title.
        MissingDependencyError, OutputError: as `plot_ced`.
    """
    check_plot(path)
    titles = list(rows[0]) if rows else []
    if not titles:
        raise InputError("expected at least one row of pictures to plot, got none")
    for i, row in enumerate(rows):
        if list(row) != titles:
            raise InputError(f"row {i}: expected {titles} as in the first row, got {list(row)}")
        for title, array in row.items():
            picture = array.ndim == 3 and array.shape[2] == 3 and array.dtype == np.uint8
            heat = array.ndim == 2 and np.issubdtype(array.dtype, np.floating)
            if 0 in array.shape or not (picture or heat):
                raise InputError(
                    f"row {i}, {title!r}: expected a picture (H, W, 3) uint8 or a map (H, W) of "
                    f"floats, got shape {array.shape} of {array.dtype}"
                )
    for title, (low, high) in (ranges or {}).items():
        if title not in titles or not low < high:
            raise InputError(
                f"range of {title!r}: expected a title of {titles} and low < high, "
                f"got {low} and {high}"
            )
    # Placed by hand, in inches: layout engines do not keep rows level where columns differ.
    side, gap, below, above = 2.0, 0.4, 0.5, 0.5
    width = len(titles) * (side + gap)
    height = below + len(rows) * (side + gap / 4) + above
    figure = new_figure(width, height, layout=None)

    def place(column: int, y: float, tall: float) -> Any:
        x = gap / 2 + column * (side + gap)
        return figure.add_axes((x / width, y / height, side / width, tall / height))

    for column, title in enumerate(titles):
        low, high = (ranges or {}).get(title) or _range([row[title] for row in rows])
        heat_map = None
        for i, row in enumerate(rows):
            axes = place(column, below + (len(rows) - 1 - i) * (side + gap / 4), side)
            shown = axes.imshow(
                row[title], cmap="viridis", vmin=low, vmax=high, interpolation="nearest"
            )
            axes.set(xticks=[], yticks=[])
            if i == 0:
                axes.set_title(textwrap.fill(title, 24), fontsize=10)
            if row[title].ndim == 2:
                heat_map = shown
        if heat_map is not None:
            figure.colorbar(
                heat_map,
                cax=place(column, below - 0.2, 0.12),
                orientation="horizontal",
                ticks=np.linspace(low, high, 3),
                format="%.2g",
            )
    write_figure(figure, path, bbox_inches="tight", pad_inches=0.1)


def _range(arrays: Sequence[NDArray[Any]]) -> tuple[float, float]:
    """Lowest and highest value of the maps among the arrays; 0 and 1 where there is none."""
    values = [array[np.isfinite(array)] for array in arrays if array.ndim == 2]
    known = np.concatenate([np.empty(0), *values])
    return (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)


def write_figure(figure: Any, path: str | Path, **options: Any) -> None:
    """The same figure gives the same bytes each time."""
    from matplotlib import rc_context

    content = io.BytesIO()
    kind = FORMATS[Path(path).suffix.lower()]
    with rc_context({"svg.hashsalt": "aadn"}):
        metadata = {"Date": None} if kind == "svg" else None
        figure.savefig(content, format=kind, metadata=metadata, **options)
    write_whole(Path(path), content.getvalue())


def new_figure(
    width: float, height: float, layout: Literal["constrained"] | None = "constrained"
) -> Any:
    """A figure of so many inches; it draws without a screen and without global state."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependencyError(
            "plots need matplotlib; install it with `pip install '.[plot]'`"
        ) from None
    figure = Figure(figsize=(width, height), dpi=120, layout=layout)
    FigureCanvasAgg(figure)
    return figure

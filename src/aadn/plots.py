"""Plots of an evaluation; needs the extra `plot` (matplotlib), and only here."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from aadn.errors import InputError, MissingDependencyError
from aadn.files import write_whole
from aadn.metrics import auc, failure_rate

FORMATS = {".png": "png", ".svg": "svg"}


def check_plot(path: str | Path) -> None:
    """Raise what `plot_ced` would raise for this file, before anything is measured.

    InputError for another suffix than .png or .svg, MissingDependencyError without matplotlib.
    """
    if Path(path).suffix.lower() not in FORMATS:
        raise InputError(f"{path}: expected a plot's name to end in {' or '.join(FORMATS)}")
    _figure()


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
    figure = _figure()
    axes = figure.add_subplot()
    for name, nme in curves.items():
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
    content = io.BytesIO()
    kind = FORMATS[Path(path).suffix.lower()]
    figure.savefig(content, format=kind, metadata={"Date": None} if kind == "svg" else None)
    write_whole(Path(path), content.getvalue())


def _figure() -> Any:
    """A figure that draws without a screen and without matplotlib's global state."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependencyError(
            "plots need matplotlib; install it with `pip install 'aadn[plot]'`"
        ) from None
    figure = Figure(figsize=(7, 5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure

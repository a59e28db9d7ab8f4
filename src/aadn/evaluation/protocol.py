"""What is measured on: folders of pictures in 300-W's layout, or a benchmark by its protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from aadn.data.release import Benchmark, Release, read_release, tally
from aadn.data.releases import RELEASES
from aadn.data.samples import Sample
from aadn.data.sources import read_sources
from aadn.data.visibility_labels import with_visibility
from aadn.errors import InputError
from aadn.evaluation.measure import evaluate
from aadn.evaluation.report import Report
from aadn.evaluation.setting import Setting
from aadn.files import sha256
from aadn.inference.backend import Card
from aadn.inference.landmarker import Landmarker


def evaluate_folders(
    landmarker: Landmarker,
    folders: Sequence[str | Path],
    setting: Setting | None = None,
    *,
    visibility_labels: Sequence[str | Path] = (),
    progress: bool | None = None,
) -> Report:
    """Measure a network on folders of pictures with `.pts` files, or on other labelled faces.

    Args:
        landmarker: the network, and the detector for boxes that are found.
        folders: see `aadn.data.sources.read_sources`; each is also reported apart.
        setting: see `evaluate`.
        visibility_labels: files that say which landmarks are hidden in the pictures, see
            `aadn.data.visibility_labels`; of pictures that are in none it is unknown.
        progress: see `evaluate`.

    Raises:
        AadnError: as `evaluate` and `read_sources` do.
    """
    landmarks = landmarker.card.landmarks
    samples = read_sources(folders, landmarks)
    if visibility_labels:
        samples = with_visibility(samples, visibility_labels, landmarks)
        unknown = np.full(landmarks, np.nan)
        samples = [replace(s, visible=unknown) if s.visible is None else s for s in samples]
    # Named before it is measured: a file may be gone after.
    named = tuple({"name": Path(f).name, "sha256": sha256(Path(f))} for f in visibility_labels)
    report = evaluate(landmarker, samples, setting, progress=progress)
    return replace(report, visibility_labels=named)


def evaluate_benchmark(
    landmarker: Landmarker,
    benchmark: Benchmark,
    data: str | Path,
    setting: Setting | None = None,
    *,
    incomplete: bool = False,
    progress: bool | None = None,
) -> Report:
    """Measure a network on a benchmark's test part.

    Args:
        landmarker: the network, and the detector for boxes that are found.
        benchmark: the name of a release in `aadn.data.releases.RELEASES`.
        data: the folder of that release.
        setting: see `evaluate`; None for the protocol's own (`protocol_of`).
        incomplete: measure what there is of it instead of raising where faces are missing.
        progress: see `evaluate`.

    Raises:
        AadnError: as `evaluate` and `read_release` do, and for a network of another scheme.
    """
    release = RELEASES[benchmark]
    check_scheme(release, landmarker.card)
    samples = read_release(release, data, "test", incomplete=incomplete)
    report = evaluate(landmarker, samples, setting or protocol_of(benchmark), progress=progress)
    short = any(n != m for n, m in tally(release, samples, "test").values())
    return replace(report, benchmark={"name": benchmark, "split": "test", "incomplete": short})


def protocol_of(benchmark: Benchmark | None) -> Setting:
    """The setting of a benchmark's published protocol; for folders (None) the usual one."""
    if benchmark is None:
        return Setting()
    release = RELEASES[benchmark]
    return Setting(normaliser=release.normaliser, threshold=release.threshold)


def check_scheme(release: Release, card: Card) -> None:
    """Raise InputError unless a network gives the points that a release has."""
    ours, theirs = release.scheme, card.scheme
    if ours == theirs:
        return
    if ours.size == theirs.size:
        wrong = f"has the landmarks of {ours.name}, the network those of {theirs.name}"
    else:
        wrong = f"has {ours.size} landmarks, the network {theirs.size}"
    raise InputError(
        f"{release.title} {wrong}; give --weights of one trained with --scheme {ours.name}"
    )


def labelled(samples: Sequence[Sample]) -> int:
    """Of how many samples it is known which landmarks are hidden, of one of them at least."""
    return sum(s.visible is not None and bool(np.isfinite(s.visible).any()) for s in samples)

"""All that `aadn bench` measures, table by table."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

import aadn
from aadn.bench.contest import Contestant, NoAnswerError, Timing, contest
from aadn.bench.environments import DLIB, MEDIAPIPE, Peer
from aadn.bench.start import starts, time_starts
from aadn.evaluation.tables import number, table
from aadn.images import load_image
from aadn.inference.runtimes import processor
from aadn.inference.weights import multiply_adds

PICTURE = Path(__file__).with_name("face.jpg")
"""640×480 pixels with one face: a part of NASA's portrait of Eileen Collins, in the public
domain."""

BOX = (217.8, 107.6, 338.2, 219.0)
"""Of the landmarks of that face."""

BATCHES = (8, 32)
"""Faces that go through a network together."""

PEAK = "peak"
PEERS = {MEDIAPIPE: "mediapipe", DLIB: "dlib"}
"""What `worker` calls them."""


@dataclass(frozen=True)
class Row:
    """A line of a table: what was timed, and its times or why there are none.

    Attributes:
        name: what it is.
        timing: per face, picture or process; None where it does not run here.
        ratio: of its median to that of what the table compares with; None without that.
        more: other numbers, by the name of their column.
        missing: why there is no timing.
    """

    name: str
    timing: Timing | None = None
    ratio: float | None = None
    more: Mapping[str, float | None] = field(default_factory=dict)
    missing: str = ""


@dataclass(frozen=True)
class Table:
    """Things that were timed in turn, in one run, beside `reference`."""

    title: str
    reference: str
    rows: list[Row]

    def markdown(self) -> str:
        """The table with its title; below it what does not run here."""
        columns = list(dict.fromkeys(name for row in self.rows for name in row.more))
        cells, missing = [], ""
        for row in self.rows:
            if row.timing is None:
                missing += f"\n{row.name}: {row.missing}\n"
                continue
            low, high = 1e3 * row.timing.low, 1e3 * row.timing.high
            middle, ratio = number(1e3 * row.timing.median), number(row.ratio)
            more = [number(row.more.get(name)) for name in columns]
            cells.append([row.name, middle, f"{low:.2f}–{high:.2f}", ratio, *more])
        header = ["", "ms", "quartiles", f"÷ {self.reference}", *columns]
        return f"### {self.title}\n\n{table(header, cells)}{missing}"


@dataclass(frozen=True)
class Measures:
    """What is measured.

    Attributes:
        models: names of embedded networks, or ONNX files.
        environments: the interpreters of other libraries' environments.
    """

    models: Sequence[str]
    environments: Mapping[Peer, Path] = field(default_factory=dict)

    def tables(self) -> Iterator[Table]:
        """One after the other, as they are measured."""
        with tempfile.TemporaryDirectory() as folder:
            picture = Path(folder) / "picture.npy"
            np.save(picture, load_image(PICTURE))
            shared = {"picture": str(picture), "box": BOX}
            for threads in (1, None):
                yield self._faces(shared | {"threads": threads, "batch": 1})
            for batch in BATCHES:
                yield self._batches(shared | {"threads": 1, "batch": batch})
            for threads in (1, None):
                yield self._pictures(shared | {"threads": threads})
            yield self._films(shared | {"threads": 1})
            yield self._starts(Path(folder))

    def _faces(self, options: dict[str, Any]) -> Table:
        """Networks on one crop, ours and others'."""
        peak = {PEAK: Contestant("peak", options)}
        named = self._ours("aadn-face", options) | self._theirs("face", options) | peak
        times = contest(named)
        top = times.pop(PEAK)
        more = {}
        if isinstance(top, Timing):
            per_second = top.about["multiply_adds"] / top.median
            for model in self.models:
                work, time = multiply_adds(model), times[_ours(model)]
                if work is not None and isinstance(time, Timing):
                    share = 100 * work / time.median / per_second
                    more[_ours(model)] = {"% of the peak": share}
        return _table(f"A face in its crop, {_threads(options)}", times, more=more)

    def _batches(self, options: dict[str, Any]) -> Table:
        """Several crops together; times of one of them."""
        batch = options["batch"]
        times = contest(self._ours("aadn-face", options))
        return _table(f"A face of {batch} together, {_threads(options)}", times, per=batch)

    def _pictures(self, options: dict[str, Any]) -> Table:
        """Whole calls on a picture, and finding its faces alone."""
        named = self._ours("aadn-picture", options) | self._theirs("picture", options)
        finders = self._ours("aadn-finder", options)
        named |= {f"{name}, finding alone": one for name, one in finders.items()}
        return _table(f"A picture of 640×480 with one face, {_threads(options)}", contest(named))

    def _films(self, options: dict[str, Any]) -> Table:
        """The next frame of a film, in which one face is followed."""
        named = self._ours("aadn-film", options) | self._theirs("film", options)
        return _table(
            f"A frame of a film of 640×480 with one face, {_threads(options)}", contest(named)
        )

    def _starts(self, folder: Path) -> Table:
        """Whole processes, and the memory that they take."""
        times = time_starts(starts(PICTURE, self.models, folder))
        more = {name: {"MB": time.about["megabytes"]} for name, time in times.items()}
        return _table("A process, from its start to its end", times, more=more)

    def _ours(self, kind: str, options: dict[str, Any]) -> dict[str, Contestant]:
        named = {_ours(model): model for model in self.models}
        return {name: Contestant(kind, options | {"model": m}) for name, m in named.items()}

    def _theirs(self, what: str, options: dict[str, Any]) -> dict[str, Contestant]:
        """Other libraries, as far as they have environments; `aadn bench --peers` makes them."""
        return {
            peer.name: Contestant(f"{PEERS[peer]}-{what}", options, python)
            for peer, python in self.environments.items()
            if what != "film" or peer is MEDIAPIPE  # which alone follows faces
        }


def _ours(model: str) -> str:
    return f"aadn {model}"


def _threads(options: Mapping[str, Any]) -> str:
    threads = options["threads"]
    return f"{os.cpu_count()} threads" if threads is None else f"{threads} thread"


def _table(
    title: str,
    times: Mapping[str, Timing | NoAnswerError],
    *,
    per: int = 1,
    more: Mapping[str, Mapping[str, float | None]] | None = None,
) -> Table:
    """Beside MediaPipe's times where they are there, else beside the first."""
    first = MEDIAPIPE.name if isinstance(times.get(MEDIAPIPE.name), Timing) else next(iter(times))
    base, rows = times[first], []
    for name, time in times.items():
        if isinstance(time, NoAnswerError):
            rows.append(Row(name, missing=str(time)))
            continue
        ratio = time.median / base.median if isinstance(base, Timing) else None
        rows.append(Row(name, time.per(per), ratio, (more or {}).get(name, {})))
    return Table(title, first, rows)


def machine() -> dict[str, Any]:
    """What was measured on, and when."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "aadn": aadn.__version__,
    }


def document(about: Mapping[str, Any], tables: Sequence[Table]) -> dict[str, Any]:
    """What `machine` gave before they were measured, and all tables, as plain values."""
    return {"machine": about, "tables": [asdict(one) for one in tables]}

"""Times several things in turn, each in a process of its own, so that all meet the same machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aadn.errors import AadnError

WORKER = Path(__file__).with_name("worker.py")

ROUNDS = 8
"""How often each has its turn (our choice)."""

TURN = 0.12
"""Seconds of a turn, or three runs where those take longer (our choice)."""

LIMIT = 300.0
"""Seconds that anything may take to get ready, or for a turn."""


class NoAnswerError(AadnError):
    """What was to be timed does not run here; the text says why."""


@dataclass(frozen=True)
class Timing:
    """Seconds of a run: the median, and the quartiles. `about` is what the worker says."""

    median: float
    low: float
    high: float
    runs: int
    about: Mapping[str, Any]

    @classmethod
    def of(cls, seconds: Sequence[float], about: Mapping[str, Any]) -> Timing:
        """From the seconds of each run."""
        low, median, high = np.quantile(seconds, [0.25, 0.5, 0.75])
        return cls(float(median), float(low), float(high), len(seconds), about)

    def per(self, items: int) -> Timing:
        """Of one of the items that a run has."""
        return Timing(
            self.median / items, self.low / items, self.high / items, self.runs, self.about
        )


@dataclass(frozen=True)
class Contestant:
    """What is timed: a kind of `worker`, what that is told, and in which environment.

    Attributes:
        kind, options: for the worker.
        python: the interpreter of its environment; None for this one.
    """

    kind: str
    options: Mapping[str, Any]
    python: Path | None = None

    @property
    def command(self) -> list[str]:
        """What starts its worker."""
        # Isolated in another environment: this one's PYTHONPATH is not for it.
        python = [sys.executable] if self.python is None else [str(self.python), "-I"]
        return [*python, str(WORKER), self.kind, json.dumps(dict(self.options))]


def contest(contestants: Mapping[str, Contestant]) -> dict[str, Timing | NoAnswerError]:
    """The times of each, run in turn; or why there are none."""
    found: dict[str, Timing | NoAnswerError] = {}
    with ExitStack() as stack:
        ready: dict[str, _Worker] = {}
        for name, contestant in contestants.items():
            try:
                ready[name] = stack.enter_context(_Worker(contestant))
            except NoAnswerError as error:
                found[name] = error
        seconds: dict[str, list[float]] = {name: [] for name in ready}
        for _ in range(ROUNDS):
            for name, worker in ready.items():
                if name in found:
                    continue
                try:
                    seconds[name] += worker.turn()
                except NoAnswerError as error:
                    found[name] = error
        found |= {
            name: Timing.of(times, ready[name].about)
            for name, times in seconds.items()
            if name not in found
        }
    return {name: found[name] for name in contestants}


class _Worker:
    """A worker's process. Raises NoAnswerError where it fails or takes longer than LIMIT."""

    def __init__(self, contestant: Contestant) -> None:
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed by __exit__)
        threads = contestant.options.get("threads")
        # For NumPy's library of matrices, which reads them when it is loaded.
        limits = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
        told = {} if threads is None else dict.fromkeys(limits, str(threads))
        try:
            self.process = subprocess.Popen(
                contestant.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.errors,
                env=os.environ | told,
                text=True,
            )
        except OSError as error:
            self.errors.close()
            raise NoAnswerError(f"{contestant.command[0]}: {error.strerror or error}") from None
        try:
            self.about: dict[str, Any] = self._answer()
            (first,) = self._asked(1)  # which may still load something
            first = min([first, *self._asked(2)])
        except BaseException:
            self.__exit__()
            raise
        self.runs = max(3, min(1000, round(TURN / max(first, 1e-6))))

    def turn(self) -> list[float]:
        """Seconds of each of its runs; one before them is not counted."""
        return self._asked(self.runs + 1)[1:]

    def _asked(self, runs: int) -> list[float]:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(f"{runs}\n")
            self.process.stdin.flush()
        except OSError:
            raise self._failed() from None
        seconds: list[float] = self._answer()
        return seconds

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        watch = threading.Timer(LIMIT, self.process.kill)
        watch.start()
        try:
            line = self.process.stdout.readline()
        finally:
            watch.cancel()
        if not line:
            raise self._failed()
        return json.loads(line)

    def _failed(self) -> NoAnswerError:
        self.process.kill()
        self.process.wait()
        self.errors.seek(0)
        said = self.errors.read().decode("utf-8", "replace").strip().splitlines()
        return NoAnswerError(said[-1] if said else f"no answer within {LIMIT:.0f} s")

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(OSError):  # it has left, and there was something to say
                    pipe.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.errors.close()

"""Count blinks in a film or before a camera, and say for how long the eyes could not be judged.

    python examples/blinks.py film.mp4
    python examples/blinks.py 0            # the first camera; Ctrl-C ends it

A blink is a short time in which an eye that is seen is closed. While glasses, hair or a hand hide
the lids, or the head is turned away, nothing is counted, and that time is told instead.
"""

from __future__ import annotations

import math
import sys
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from aadn import Landmarker, Tracker
from aadn.media.film import open_film

CLOSED, OPEN = 0.6, 0.8
"""An eye is closed below the first share of how open it usually is, and open again above the
second."""

SHORTEST, LONGEST = 0.03, 0.5
"""Seconds that a blink takes."""


@dataclass
class Eyes:
    """One person's eyes, frame by frame.

    Attributes:
        blinks: so many so far.
        seen, unseen: seconds in which the eyes could be judged, and in which they could not.
    """

    blinks: int = 0
    seen: float = 0.0
    unseen: float = 0.0
    usual: float = math.nan
    since: float | None = None
    before: float | None = None

    def add(self, time: float, right: float, left: float) -> None:
        """How open they are at a time, NaN for an eye whose lids are hidden."""
        step = 0.0 if self.before is None else time - self.before
        self.before = time
        known = [eye for eye in (right, left) if not math.isnan(eye)]
        if not known:
            self.unseen += step
            self.since = None  # who knows what they did
            return
        self.seen += step
        openness = float(np.mean(known))
        # Quickly up to wide open eyes, slowly down: lids that are half shut for a while are usual.
        rate = 1 - math.exp(-step / (0.3 if openness > self.usual else 5.0))
        first = math.isnan(self.usual)
        self.usual = openness if first else self.usual + rate * (openness - self.usual)
        if self.since is None and openness < CLOSED * self.usual:
            self.since = time
        elif self.since is not None and openness > OPEN * self.usual:
            self.blinks += SHORTEST <= time - self.since <= LONGEST
            self.since = None


def main() -> None:
    """Count."""
    if len(sys.argv) != 2:
        sys.exit("expected a film's file, or a camera's number")
    film, tracker = open_film(sys.argv[1]), Tracker(Landmarker("lite"))
    people: dict[int, Eyes] = defaultdict(Eyes)
    try:
        for frame in film.frames():
            there = {face.id: face.eye_openness for face in tracker(frame.image, frame.time)}
            for number in {**people, **there}:  # who was there and is not cannot be judged
                people[number].add(frame.time, *map(float, there.get(number, (math.nan,) * 2)))
    except KeyboardInterrupt:
        pass
    finally:
        film.close()
    for number, eyes in people.items():
        print(
            f"face {number}: {eyes.blinks} blinks in {eyes.seen:.1f} s; for another "
            f"{eyes.unseen:.1f} s the lids were not to be seen"
        )


if __name__ == "__main__":
    main()

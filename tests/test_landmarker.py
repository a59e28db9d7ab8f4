from __future__ import annotations

import gc
import io
import pickle
import subprocess
import sys
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from stub_backend import SIZE, StubBackend, base_points

from aadn import Faces, Landmarker, Result
from aadn.errors import ImageError, InputError, NetworkError
from aadn.geometry import Crop
from aadn.inference import landmarker as module
from aadn.inference.backend import CHUNK
from aadn.inference.detections import Detections
from aadn.inference.estimates import Estimates
from aadn.inference.weights import FOLDER
from aadn.schemes import COFW29


@pytest.fixture
def landmarker() -> Landmarker:
    return Landmarker(StubBackend(), detector=two_boxes)


def two_boxes(image: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A detector that finds two faces in every picture of 100 pixels or more."""
    if min(image.shape[:2]) < 100:
        return np.zeros((0, 4)), np.zeros(0)
    return np.array([[10.1, 20, 70, 90.7], [30, 5, 80, 60]]), np.array([0.9, 0.6])


def upright_boxes(image: NDArray[np.uint8]) -> Detections:
    """The same, by a detector that says that they are upright."""
    boxes, scores = two_boxes(image)
    return Detections(boxes, scores, np.zeros(len(boxes)))


def dotted(
    at: tuple[int, int], shape: tuple[int, int] = (200, 300), radius: int = 6
) -> NDArray[np.uint8]:
    """A dim picture with a red dot."""
    image = np.full((*shape, 3), 30, np.uint8)
    cv2.circle(image, at, radius, (255, 0, 0), cv2.FILLED)
    return image


def test_shapes_and_types(landmarker: Landmarker) -> None:
    faces = landmarker(dotted((50, 50)))
    assert len(faces) == 2
    for name, shape in {
        "points": (2, 68, 2),
        "visibility": (2, 68),
        "uncertainty": (2, 68),
        "boxes": (2, 4),
        "scores": (2,),
        "occlusion": (2, 7, 7),
    }.items():
        array = getattr(faces, name)
        assert array.shape == shape
        assert array.dtype == np.float32
    assert faces.hidden.dtype == bool
    assert faces.scheme.name == "ibug68"
    np.testing.assert_allclose(faces.scores, [0.9, 0.6])
    np.testing.assert_allclose(faces.boxes[0], [10.1, 20, 70, 90.7], rtol=1e-6)


@given(
    x=st.integers(60, 240),
    y=st.integers(60, 140),
    side=st.floats(40, 400),
    off=st.floats(-0.2, 0.2),
)
def test_points_are_mapped_back(x: int, y: int, side: float, off: float) -> None:
    landmarker = Landmarker(StubBackend())
    left, top = x - side * (0.5 + off), y - side * (0.5 - off)
    box = np.array([[left, top, left + side, top + side]])
    faces = landmarker(dotted((x, y), radius=max(6, int(side / 12))), boxes=box)
    # The stub's landmark 0 is the red's centre; a pixel of the crop is side·1.3/56 pixels.
    assert np.abs(faces.points[0, 0] - (x, y)).max() < 0.1 * max(1, side * 1.3 / SIZE)
    expected = Crop.around(faces.boxes[0], SIZE, 1.3).to_picture(base_points()[1:])
    assert np.abs(faces.points[0, 1:] - expected).max() <= 1e-4 * max(1, side / 100)


def test_uncertainty_is_in_pixels_of_the_picture(landmarker: Landmarker) -> None:
    image = np.full((200, 300, 3), 51, np.uint8)  # brightness 0.2
    for side in (50, 100):
        faces = landmarker(image, boxes=[[100, 50, 100 + side, 50 + side]])
        # The stub's landmark i is uncertain by 0.2·i pixels of the crop.
        expected = 0.2 * np.arange(68) * side * 1.3 / SIZE
        np.testing.assert_allclose(faces.uncertainty[0], expected, rtol=1e-4)
        np.testing.assert_array_equal(faces[0].uncertainty, faces.uncertainty[0])
        np.testing.assert_array_equal(faces[:1].uncertainty, faces.uncertainty)
    crop = np.full((1, SIZE, SIZE, 3), 51, np.uint8)
    uncertainty = landmarker.crops(crop).uncertainty[0]
    np.testing.assert_allclose(uncertainty, 0.2 * np.arange(68), rtol=1e-4)


def test_what_a_network_does_not_give_is_nan() -> None:
    faces = Landmarker(StubBackend(uncertainty=None), two_boxes)(dotted((50, 50)))
    assert faces.uncertainty.shape == (2, 68)
    assert np.isnan(faces.uncertainty).all()
    assert np.isfinite(faces.occlusion).all()
    faces = Landmarker(StubBackend(occlusion=None), two_boxes)(dotted((50, 50)))
    assert faces.occlusion.shape == (2, 7, 7)
    assert np.isnan(faces.occlusion).all()
    assert np.isfinite(faces.uncertainty).all()


def test_the_scheme_is_the_networks() -> None:
    faces = Landmarker(StubBackend(COFW29), two_boxes)(dotted((50, 50)))
    assert faces.scheme is COFW29
    assert faces.points.shape == (2, 29, 2)
    assert Landmarker(StubBackend(COFW29))(dotted((50, 50)), boxes=[]).points.shape == (0, 29, 2)


def test_hidden_is_visibility_below_the_threshold() -> None:
    box = [[100, 50, 180, 130]]
    for level, hidden in ((40, 34), (90, 0)):  # the odd landmarks are as visible as it is bright
        landmarker = Landmarker(StubBackend(threshold=0.25))
        faces = landmarker(np.full((200, 300, 3), level, np.uint8), boxes=box)
        assert faces.visibility_threshold == 0.25
        assert faces.hidden.sum() == hidden
        np.testing.assert_allclose(faces.visibility[0, 1], level / 255, atol=1e-3)


@pytest.mark.parametrize("output", ["points", "visibility", "uncertainty", "occlusion"])
@pytest.mark.parametrize("value", [np.nan, -np.inf, 1e30])
def test_a_broken_network_is_an_error_of_its_own(output: str, value: float) -> None:
    shapes = {"points": (2, 68, 2), "occlusion": (2, 7, 7)}
    broken = np.full(shapes.get(output, (2, 68)), 0.5)
    broken[1].flat[3] = value
    changes: dict[str, Any] = {output: broken}
    landmarker = Landmarker(StubBackend(**changes), two_boxes)
    with pytest.raises(NetworkError, match=output) as error:
        landmarker(dotted((50, 60)))
    assert error.value.exit_code == 10
    assert isinstance(next(landmarker.stream([dotted((50, 60))])).error, NetworkError)


def test_the_detectors_boxes_given_back_change_nothing(landmarker: Landmarker) -> None:
    image = dotted((50, 60))
    found = landmarker(image)
    again = landmarker(image, boxes=found.boxes)
    for name in ("points", "visibility", "uncertainty", "boxes", "occlusion"):
        assert (getattr(found, name) == getattr(again, name)).all()
    assert again.scores.tolist() == [1, 1]


def test_many_is_each_alone(landmarker: Landmarker) -> None:
    images = [dotted((50 + i, 60)) for i in range(3)]
    images.insert(1, np.zeros((20, 20, 3), np.uint8))  # no face
    together = landmarker.many(images)
    assert [len(f) for f in together] == [2, 0, 2, 2]
    for image, faces in zip(images, together, strict=True):
        np.testing.assert_allclose(faces.points, landmarker(image).points, atol=1e-4)
    given_boxes = landmarker.many(images, [f.boxes for f in together])
    assert (given_boxes[3].points == together[3].points).all()
    assert [len(f) for f in landmarker.many(images, [None, [], None, together[0].boxes[:1]])] == [
        2, 0, 2, 1,
    ]  # fmt: skip
    assert landmarker.many([]) == []
    with pytest.raises(ImageError, match="none"):
        landmarker.many([images[0], "none.png"])


@pytest.mark.parametrize(
    ("pictures", "ended"), [(1, "pictures end after 1"), (3, "boxes end after 2")]
)
def test_boxes_for_each_picture(landmarker: Landmarker, pictures: int, ended: str) -> None:
    images = [dotted((50, 60))] * pictures
    with pytest.raises(InputError, match=f"boxes for each picture; the {ended}"):
        landmarker.many(images, iter([np.zeros((0, 4))] * 2))


def test_one_picture_is_not_several(landmarker: Landmarker) -> None:
    array = np.zeros((9, 9, 3), np.uint8)
    for one in ("a.png", b"", Path("a.png"), io.BytesIO(), PIL.Image.fromarray(array), array):
        with pytest.raises(InputError, match="expected several pictures"):
            landmarker.many(one)  # type: ignore[arg-type]


def test_faces_go_through_the_network_together() -> None:
    backend = StubBackend(uncertainty=None)
    landmarker = Landmarker(backend, upright_boxes)
    list(landmarker.stream([dotted((50, 60))] * 3))  # those of a picture
    assert backend.calls == [2, 2, 2]
    backend.calls.clear()
    landmarker.many([dotted((50, 60))] * 40)  # those of several
    assert backend.calls == [CHUNK, 2 * 40 - CHUNK]


def test_the_options_of_the_default_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, Any]] = []

    def made(**options: Any) -> Any:
        given.append(options)
        return two_boxes

    monkeypatch.setattr(module, "default_detector", made)
    options: dict[str, Any] = {"min_score": 0.3, "min_size": 12, "max_faces": 1}
    landmarker = Landmarker(StubBackend(), **options)
    assert len(landmarker(dotted((50, 60)))) == 1
    assert given == [{"min_score": 0.3, "min_size": 12, "threads": None}]
    again = pickle.loads(pickle.dumps(landmarker))
    assert len(again(dotted((50, 60)))) == 1
    assert given[1:] == given[:1]
    plain = Landmarker(StubBackend())
    assert len(given) == 2  # not made before it is needed
    assert len(plain(dotted((50, 60)))) == 2
    assert given[2] == {"threads": None}


def test_a_fast_network_looks_for_larger_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, Any]] = []

    def made(**options: Any) -> Any:
        given.append(options)
        return two_boxes

    monkeypatch.setattr(module, "default_detector", made)
    monkeypatch.setattr(module, "SMALLEST", {"default": 0.25})
    picture = dotted((50, 60))
    for weights, options in ((None, {}), ("default", {"min_size": 9}), (StubBackend(), {})):
        Landmarker(weights, **options).detect(picture)  # type: ignore[arg-type]
    sizes = [options.get("min_size") for options in given]
    assert sizes == [0.25, 9, None]
    pickle.loads(pickle.dumps(Landmarker())).detect(picture)
    assert given[-1]["min_size"] == 0.25
    Landmarker(detector=two_boxes).detect(picture)
    assert len(given) == 4


def test_options_out_of_range_are_found_at_once() -> None:
    for options, message in (
        ({"min_score": 2}, "minimum score in"),
        ({"min_size": 0}, "smallest face"),
        ({"max_faces": 0}, "max_faces of 1 or more"),
    ):
        with pytest.raises(InputError, match=message):
            Landmarker(StubBackend(), **options)  # type: ignore[arg-type]


def test_a_detector_has_its_own_options() -> None:
    for option in ({"min_score": 0.3}, {"min_size": 12.0}):
        with pytest.raises(InputError, match="without detector="):
            Landmarker(StubBackend(), two_boxes, **option)  # type: ignore[arg-type]


def test_the_best_faces_of_any_detector_wherever_they_stand() -> None:
    boxes, scores = np.arange(16.0).reshape(4, 4) ** 2, np.array([0.2, 0.9, 0.5, 0.9])
    landmarker = Landmarker(StubBackend(), lambda _: (boxes, scores), max_faces=2)
    found = landmarker.detect(dotted((50, 60)))
    np.testing.assert_array_equal(found.boxes, boxes[[1, 3]])
    np.testing.assert_array_equal(found.scores, np.array([0.9, 0.9], np.float32))
    assert found.angles.shape == (2,)


def test_memory_that_is_lacking_for_one_picture_does_not_end_a_stream() -> None:
    def greedy(image: NDArray[np.uint8]) -> Any:
        if image.shape[0] > 200:
            raise MemoryError
        return two_boxes(image)

    landmarker = Landmarker(StubBackend(), greedy)
    small, large = dotted((50, 60)), dotted((50, 60), (201, 300))
    results = list(landmarker.stream([small, large, small]))
    assert [type(result.error) for result in results] == [type(None), ImageError, type(None)]
    with pytest.raises(ImageError, match="not enough memory"):
        landmarker(large)


def test_a_backend_must_answer_as_its_card_says() -> None:
    class Few(StubBackend):
        def __call__(self, crops: NDArray[np.uint8]) -> Estimates:
            estimates = super().__call__(crops)
            return Estimates(estimates.points[:, :5], estimates.visibility[:, :5])

    with pytest.raises(NetworkError, match=r"2 crops with 68 landmarks.* got 2 with 5"):
        Landmarker(Few(), two_boxes)(dotted((50, 60)))


def test_a_copy_of_the_embedded_network_is_found_by_name() -> None:
    copy = pickle.dumps(Landmarker(max_pixels=12))
    assert str(FOLDER).encode() not in copy
    rebuilt = pickle.loads(copy)
    assert rebuilt.card == Landmarker().card
    assert rebuilt.max_pixels == 12


@pytest.mark.parametrize("number", [0, -5])
def test_a_number_of_pixels_is_positive(number: int) -> None:
    with pytest.raises(InputError, match="max_pixels of 1 or more"):
        Landmarker(StubBackend(), max_pixels=number)


def test_a_stream_gives_what_comes_before_an_error_of_its_pictures(landmarker: Landmarker) -> None:
    def pictures() -> Iterator[NDArray[np.uint8]]:
        for i in range(3):
            yield dotted((50 + i, 60))
        raise ZeroDivisionError

    results: list[Result] = []
    with pytest.raises(ZeroDivisionError):
        results.extend(landmarker.stream(pictures()))
    assert [len(result.faces or ()) for result in results] == [2, 2, 2]


def test_a_stream_asks_for_a_picture_when_its_result_is_asked_for(landmarker: Landmarker) -> None:
    asked: list[int] = []

    def pictures() -> Iterator[NDArray[np.uint8]]:
        for i in range(9):
            asked.append(i)
            yield dotted((50, 60))

    stream = landmarker.stream(pictures())
    assert asked == []
    next(stream)
    next(stream)
    assert asked == [0, 1]


def test_several_workers_give_what_one_gives(landmarker: Landmarker) -> None:
    sources = [dotted((40 + i, 60)) if i % 5 else np.zeros((3, 3)) for i in range(40)]
    alone, together = (list(landmarker.stream(sources, workers=n)) for n in (1, 4))  # type: ignore[arg-type]
    assert [type(result.error) for result in together] == [type(result.error) for result in alone]
    for one, other in zip(alone, together, strict=True):
        assert other.source is one.source
        if one.faces is not None:
            assert other.faces is not None
            np.testing.assert_array_equal(other.faces.points, one.faces.points)
    with pytest.raises(InputError, match="1 worker or more, got 0"):
        landmarker.stream(sources, workers=0)  # type: ignore[arg-type]


def test_a_stream_keeps_no_picture(landmarker: Landmarker) -> None:
    kept = []

    def pictures() -> Iterator[NDArray[np.uint8]]:
        for _ in range(5):
            image = dotted((50, 60))
            kept.append(weakref.ref(image))
            yield image
            del image

    faces = [result.faces for result in landmarker.stream(pictures())]
    faces += landmarker.many(pictures())
    gc.collect()
    assert len(faces) == len(kept) == 10
    assert [ref() for ref in kept] == [None] * 10


def test_a_broken_picture_does_not_lose_the_others(landmarker: Landmarker, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    sources = [dotted((50, 60)), tmp_path / "broken.png", "none.png", np.zeros((3, 3)), b"x"]
    results = list(landmarker.stream([*sources, dotted((50, 60))]))  # type: ignore[list-item]
    assert [type(result.error) for result in results] == [
        type(None), ImageError, ImageError, InputError, ImageError, type(None),
    ]  # fmt: skip
    assert [result.faces is None for result in results] == [False, True, True, True, True, False]
    assert [result.image is None for result in results] == [False, True, True, True, True, False]
    assert all(a is b for a, b in zip(sources, (result.source for result in results), strict=False))
    bad_boxes = list(landmarker.stream([dotted((50, 60))] * 2, [[[9, 9, 1, 1]], None]))
    assert isinstance(bad_boxes[0].error, InputError)
    assert bad_boxes[0].image is not None
    assert len(bad_boxes[1].faces or ()) == 2


def test_the_repr_of_a_result_is_short(landmarker: Landmarker) -> None:
    whole, broken = landmarker.stream([dotted((50, 60)), "none.png"])
    assert repr(whole) == "Result('ndarray', Faces(2 faces, ibug68; 34, 34 of 68 landmarks hidden))"
    assert repr(broken).startswith("Result('none.png', ImageError(")


def test_what_a_detector_raises_goes_through() -> None:
    def detector(image: NDArray[np.uint8]) -> Any:
        raise KeyError("mine")

    landmarker = Landmarker(StubBackend(), detector)
    with pytest.raises(KeyError, match="mine"):
        landmarker(dotted((50, 60)))
    with pytest.raises(KeyError, match="mine"):
        list(landmarker.stream([dotted((50, 60))]))


def test_align_is_a_call_with_boxes(landmarker: Landmarker) -> None:
    image = dotted((50, 60))
    boxes, scores, _ = landmarker.detect(image)
    assert boxes.dtype == scores.dtype == np.float32
    aligned, called = landmarker.align(image, boxes), landmarker(image)
    assert (aligned.points == called.points).all()
    assert aligned.scores.tolist() == [1, 1]
    assert called.scores.tolist() == scores.tolist()


def test_threads_give_what_one_alone_gives(landmarker: Landmarker) -> None:
    images = [dotted((40 + i, 60)) for i in range(24)]
    alone = [landmarker(image).points for image in images]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda image: landmarker(image).points, images))
    assert all((a == b).all() for a, b in zip(alone, together, strict=True))


def test_it_pickles(landmarker: Landmarker) -> None:
    again = pickle.loads(pickle.dumps(landmarker))
    image = dotted((50, 60))
    assert (again(image).points == landmarker(image).points).all()


def test_no_face_gives_empty_arrays(landmarker: Landmarker) -> None:
    def nothing(image: NDArray[np.uint8]) -> Any:
        return [], []

    for faces in (
        Landmarker(StubBackend(), nothing)(dotted((9, 9))),
        landmarker(np.zeros((1, 1, 3), np.uint8)),
        landmarker(dotted((9, 9)), boxes=np.zeros((0, 4))),
        landmarker(dotted((9, 9)), boxes=[]),
        Faces.empty(),
    ):
        assert len(faces) == 0
        assert not faces
        assert faces.points.shape == (0, 68, 2)
        assert faces.visibility.shape == faces.hidden.shape == (0, 68)
        assert faces.uncertainty.shape == (0, 68)
        assert faces.boxes.shape == (0, 4)
        assert faces.scores.shape == (0,)
        assert faces.occlusion.shape == (0, 7, 7)
        assert list(faces) == []


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([10, 10, 50, 50], "of shape \\(N, 4\\)"),
        ([[10, 10, 50]], "of shape \\(N, 4\\)"),
        ("box", "array of numbers"),
        ([[10, 10, 50, 50], [10, 10, 50, np.nan]], "box 1: expected finite"),
        ([[10, 10, 50, 50], [10, 10, 50, np.inf]], "box 1: expected finite"),
        ([[50, 10, 10, 50]], "box 0"),
        ([[10, 10, 10, 50]], "box 0"),
        ([[0, 0, 1e30, 1e30]], "box 0: .*none beyond"),
    ],
)
def test_bad_boxes(landmarker: Landmarker, boxes: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        landmarker(dotted((50, 50)), boxes=boxes)


def test_bad_detectors() -> None:
    image, two = dotted((50, 50)), np.array([[0.0, 0, 9, 9], [0, 0, 5, 5]])
    for found, message in (
        ((two, np.ones(1)), "a finite score for each box"),
        ((two, np.array([1, np.nan])), "a finite score for each box"),
        ((two[:, :3], np.ones(2)), r"\(N, 4\)"),
        ((two, np.ones(2), np.zeros(3)), "an angle for each of 2 boxes"),
        ((two, np.ones(2), np.array([0, np.inf])), "or NaN where they are not known"),
        ((two, np.ones(2), "angle"), "angles as an array"),
        ((two, np.ones(2), 0, 0), "got something else"),
        (None, "got something else"),
        (("box", "score"), "got something else"),
    ):
        detector: Any = lambda _, found=found: found  # noqa: E731
        with pytest.raises(InputError, match=message):
            Landmarker(StubBackend(), detector)(image)


def test_bad_pictures(landmarker: Landmarker, tmp_path: Path) -> None:
    with pytest.raises(ImageError):
        landmarker(tmp_path / "none.jpg")
    with pytest.raises(InputError):
        landmarker(np.zeros((4, 4, 3)))  # type: ignore[arg-type]


def test_sources_agree(landmarker: Landmarker, tmp_path: Path) -> None:
    image = dotted((50, 60))
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), image[:, :, ::-1])
    expected = landmarker(image).points
    rgba = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
    for source in (path, str(path), path.read_bytes(), rgba):
        assert (landmarker(source).points == expected).all()
    grey = landmarker(image[:, :, 1])
    assert len(grey) == 2


def test_ready_made_crops(landmarker: Landmarker) -> None:
    crops = np.stack([dotted((20 + i, 30), (SIZE, SIZE)) for i in range(3)])
    faces = landmarker.crops(crops)
    np.testing.assert_allclose(faces.points[:, 0], [[20, 30], [21, 30], [22, 30]], atol=0.05)
    # Their boxes are such that the crop is the picture.
    again = landmarker(crops[1], boxes=faces.boxes[1:2])
    np.testing.assert_allclose(again.points[0], faces.points[1], atol=1e-4)
    assert len(landmarker.crops(crops[:0])) == 0
    with pytest.raises(InputError, match="expected crops of shape"):
        landmarker.crops(crops[:, :-1])
    with pytest.raises(InputError, match="expected crops of shape"):
        landmarker.crops(crops.astype(np.float32))


def test_a_backend_has_its_own_threads() -> None:
    with pytest.raises(InputError, match="threads="):
        Landmarker(StubBackend(), threads=2)


def test_import_is_light() -> None:
    code = (
        "import sys, aadn; heavy = {'torch', 'matplotlib', 'onnxruntime', 'tyro', 'tqdm'};"
        "print(sorted(heavy & set(sys.modules)), callable(aadn.draw))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] True"


def test_what_is_no_array_can_be_detected_and_aligned_too(tmp_path: Path) -> None:
    image = dotted((50, 60))
    file = tmp_path / "a.png"
    cv2.imwrite(str(file), image[..., ::-1])
    landmarker = Landmarker(StubBackend(), two_boxes)
    boxes = landmarker.detect(image)[0]
    np.testing.assert_array_equal(landmarker.detect(file)[0], boxes)
    expected, found = (landmarker.align(given, boxes) for given in (image, file))
    np.testing.assert_array_equal(found.points, expected.points)
    for wrong in (3, image.astype(np.float32)):
        with pytest.raises(InputError, match="expected a picture"):
            landmarker.align(wrong, boxes)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="a detector that can be called"):
        Landmarker(StubBackend(), "yunet.onnx")  # type: ignore[arg-type]

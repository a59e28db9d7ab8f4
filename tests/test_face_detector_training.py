"""How the face detector learns: scenes, which cell finds what, places, and both loops."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from aadn.errors import WeightsError  # noqa: E402
from aadn.geometry import turn  # noqa: E402
from aadn.inference.detections import Detections  # noqa: E402
from aadn.inference.face_proposals import FaceProposals  # noqa: E402
from aadn.inference.session import OnnxSession  # noqa: E402
from aadn.models.face_detector import FaceDetectorNetwork, cell_middles  # noqa: E402
from aadn.models.face_refiner import FACTOR, SIZE, FaceRefinerNetwork  # noqa: E402
from aadn.training.face_detector import checkpoint  # noqa: E402
from aadn.training.face_detector.candidates import (  # noqa: E402
    STORED,
    Candidates,
    many_candidates,
    matched,
)
from aadn.training.face_detector.export import export_detector, export_refiner  # noqa: E402
from aadn.training.face_detector.loop import Batches, DetectorConfig, train  # noqa: E402
from aadn.training.face_detector.refiner_loop import (  # noqa: E402
    RefinerConfig,
    augmented,
    train_refiner,
)
from aadn.training.face_detector.scenes import (  # noqa: E402
    Album,
    Photograph,
    Scene,
    _cut,
    draw_scene,
)
from aadn.training.face_detector.sources import Source, face_of, from_json, to_json  # noqa: E402
from aadn.training.face_detector.targets import Truth, assign, losses  # noqa: E402

EYES = np.array([[-18.0, -12], [18, -12]])
"""Where the drawn face's eyes are about its middle; its box is 80 by 100."""


def drawn(angle: float = 0.0) -> Photograph:
    """A photograph with one drawn face: two bright eyes, red to the left, green to the right."""
    image = np.full((240, 320, 3), 60, np.uint8)
    middle = np.array([150.0, 120.0])
    cv2.ellipse(image, ((150, 120), (80, 100), angle), (190, 150, 130), cv2.FILLED)
    for (x, y), colour in zip(
        EYES @ turn(angle).T + middle, [(255, 0, 0), (0, 255, 0)], strict=True
    ):
        cv2.circle(image, (round(x), round(y)), 5, colour, cv2.FILLED)
    return Photograph.of(image, np.array([[*middle, 80, 100, angle]]), np.empty((0, 4)))


def empty() -> Photograph:
    image = np.random.default_rng(1).integers(0, 120, (160, 200, 3)).astype(np.uint8)
    return Photograph.of(image, np.empty((0, 5)), np.empty((0, 4)))


@pytest.fixture(scope="module")
def album() -> Album:
    faces = [drawn(angle) for angle in (-30.0, 0, 20)]
    return Album(faces, faces, [empty()])


def eye(
    image: NDArray[np.uint8], channel: int, middle: NDArray[np.float64], reach: float
) -> NDArray[np.float64]:
    """Where the red (0) or green (1) eye is, at most `reach` pixels from a face's middle."""
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    near = np.hypot(columns - middle[0], rows - middle[1]) < reach
    other = image[..., 1 - channel].astype(int)
    eyes = near & (image[..., channel].astype(int) - other > 100)
    return np.array([columns[eyes].mean(), rows[eyes].mean()])


@given(st.integers(0, 2**32), st.sampled_from([-30.0, 0.0, 75.0]))
@settings(max_examples=40, deadline=None)
def test_a_piece_says_where_its_face_is(seed: int, angle: float) -> None:
    scene = _cut(drawn(angle), 400, 400, np.random.default_rng(seed))
    for x, y, w, h, turned, believed in scene.faces:
        assert believed == 1
        assert w / h == pytest.approx(0.8)
        at = np.array([x, y])
        where = EYES * (h / 100) @ turn(turned).T + at
        if h < 50 or (where < 5).any() or (where > 394).any():
            continue
        found = np.array([eye(scene.image, channel, at, 0.4 * h) for channel in (0, 1)])
        # Mirrored, the red eye is on the other side of the face.
        apart = min(np.abs(found - where).max(), np.abs(found[::-1] - where).max())
        assert apart < 0.03 * h + 1


def test_a_seed_gives_the_same_scene(album: Album) -> None:
    one, other = (draw_scene(album, 256, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(one.image, other.image)
    np.testing.assert_array_equal(one.faces, other.faces)
    assert one.image.shape == (256, 256, 3)


@given(st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_scenes_are_whole(seed: int) -> None:
    faces = [drawn(10)]
    album = Album(faces, faces, [empty()])
    scene = draw_scene(album, 200, np.random.default_rng(seed))
    assert scene.image.dtype == np.uint8
    assert np.isfinite(scene.faces).all()
    assert (scene.faces[:, :2] >= 0).all()
    assert (scene.faces[:, :2] < 200).all()
    assert (np.sqrt(scene.faces[:, 2] * scene.faces[:, 3]) >= 7).all()


def test_the_face_of_points_turns_with_them() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(0, 30, (68, 2))
    points[36:42], points[42:48] = [-20.0, 0], [20.0, 0]
    upright = face_of(points)
    assert upright[4] == pytest.approx(0)
    turned = face_of(points @ turn(50).T + [100, 200])
    np.testing.assert_allclose(turned[2:], [*upright[2:4], 50])
    np.testing.assert_allclose(turned[:2], turn(50) @ upright[:2] + [100, 200])


def test_sources_are_kept_as_text(tmp_path: Path) -> None:
    faces = np.array([[10.0, 20, 30, 40, 5], [1, 2, 3, 4, np.nan]])
    source = Source(tmp_path / "a" / "b.jpg", faces, np.array([[1.0, 2, 3, 4]]))
    (again,) = from_json(to_json([source], tmp_path), tmp_path)
    assert again.path == source.path
    np.testing.assert_array_equal(again.faces, faces)
    np.testing.assert_array_equal(again.ignored, source.ignored)


def truth_of(*faces: list[float]) -> Any:
    rows = torch.tensor([faces])
    ignored = torch.full((1, 1, 4), -1.0)
    return Truth(rows, torch.ones(1, len(faces), dtype=torch.bool), ignored)


def test_a_perfect_answer_costs_nothing_and_a_turned_one_its_angle() -> None:
    middles, strides = cell_middles(256, 256)
    face = [100.0, 120, 60, 80, 35, 1]
    truth = truth_of(face)
    raw = torch.zeros(1, len(middles), 7)
    raw[..., 0] = -20
    at = torch.tensor(face[:2])
    raw[0, :, 1:3] = (at - middles) / strides[:, None]
    raw[0, :, 3:5] = (torch.tensor(face[2:4]) / strides[:, None]).log()
    angle = torch.deg2rad(torch.tensor(35.0))
    raw[0, :, 5], raw[0, :, 6] = angle.cos(), angle.sin()
    chosen, _ = assign(raw[..., 0].sigmoid(), raw[..., 1:5], middles, strides, truth)
    assert 1 <= int((chosen == 0).sum()) <= 9
    raw[0, chosen[0] == 0, 0] = 20
    assert float(losses(raw, middles, strides, truth)["loss"]) < 1e-5
    raw[..., 5:] *= -1  # upside down: the vectors are two apart
    assert float(losses(raw, middles, strides, truth)["angle"]) == pytest.approx(4, abs=1e-3)


def test_each_face_gets_cells_of_a_stride_that_fits_its_size() -> None:
    middles, strides = cell_middles(256, 320)
    truth = truth_of([100.0, 120, 60, 80, 0, 1], [250, 50, 9, 8, 90, 1], [200, 200, 180, 180, 0, 1])
    where = torch.zeros(1, len(middles), 4)
    where[..., 2:] = 1.0
    score = torch.full((1, len(middles)), 0.01)
    chosen, quality = assign(score, where, middles, strides, truth)
    taken = [set(strides[chosen[0] == face].tolist()) for face in range(3)]
    assert taken[0] <= {16, 32}
    assert taken[1] == {8}
    assert taken[2] <= {32, 64}
    assert all(taken)
    assert ((quality >= 0) & (quality <= 1)).all()
    assert (quality[chosen < 0] == 0).all()


def test_what_is_ignored_costs_nothing() -> None:
    middles, strides = cell_middles(128, 128)
    raw = torch.zeros(1, len(middles), 7)
    none = torch.zeros(1, 1, 6)
    none[..., 2:4] = 1
    there = torch.zeros(1, 1, dtype=torch.bool)
    everything = torch.tensor([[[0.0, 0, 128, 128]]])
    assert float(losses(raw, middles, strides, Truth(none, there, everything))["loss"]) == 0
    nothing = torch.full((1, 1, 4), -1.0)
    assert float(losses(raw, middles, strides, Truth(none, there, nothing))["loss"]) > 1


def test_places_are_right_wrong_or_left_out() -> None:
    scene = Scene(
        drawn().levels[0], np.array([[150.0, 120, 80, 100, 30, 1]]), np.array([[0.0, 0, 60, 60]])
    )
    boxes = np.array(
        [[110.0, 70, 190, 170], [230, 20, 290, 80], [10, 10, 50, 50], [142, 105, 222, 205]]
    )
    found = Detections(boxes, np.ones(4), np.array([20.0, 0, 0, 0]))
    places = matched(scene, found)
    # The third lies where there may be a face, the fourth covers a part of one.
    assert places.targets[:, 0].tolist() == [1, 0]
    left = np.radians(10)
    expected = [1, 0, 0, 0, 0, np.cos(left), np.sin(left)]
    np.testing.assert_allclose(places.targets[0], expected, atol=1e-6)
    assert places.crops.shape == (2, STORED, STORED, 3)


@given(st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_augmented_crops_keep_what_is_true_of_them(seed: int) -> None:
    """A dot where the face's middle is, and one to its right, are where the targets say."""
    unit = STORED / (FACTOR * 1.25)
    offset, angle = np.array([0.1, -0.05]), np.radians(20)
    crop = np.zeros((STORED, STORED, 3), np.uint8)
    along = np.array([np.cos(angle), np.sin(angle)])
    for place, channel in ((offset, 0), (offset + 0.4 * along, 1)):
        x, y = (STORED - 1) / 2 + place * unit
        yy, xx = np.mgrid[:STORED, :STORED]
        dot = 255 * np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / 8)
        crop[..., channel] = dot.astype(np.uint8)
    target = np.array([[1, *offset, 0, 0, *along]], np.float32)
    images, true = augmented(crop[None], target, torch.Generator().manual_seed(seed))

    def dot_at(channel: int) -> NDArray[np.float64]:
        light = images[0, channel].numpy().astype(np.float64)
        light = np.where(light > 0.5 * light.max(), light, 0)
        yy, xx = np.mgrid[:SIZE, :SIZE]
        place = np.array([(light * xx).sum(), (light * yy).sum()]) / light.sum()
        at: NDArray[np.float64] = (place - (SIZE - 1) / 2) / (SIZE / FACTOR)
        return at

    row = true[0].numpy()
    middle, right = dot_at(0), dot_at(1)
    np.testing.assert_allclose(middle, row[1:3], atol=0.03)
    # Mirrored, a face's right is to its other side: the dot is to the left of it.
    way = (right - middle) / np.hypot(*(right - middle))
    assert abs(way @ row[5:7]) > 0.99
    scale = np.hypot(*(right - middle)) / 0.4
    np.testing.assert_allclose(np.exp(row[3:5]), scale, rtol=0.08)


def test_an_exported_network_says_what_it_said(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = FaceDetectorNetwork()
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 1.5)
    network.eval()
    export_detector(network, tmp_path / "first.onnx")
    pictures = np.random.default_rng(0).integers(0, 256, (2, 97, 131, 3)).astype(np.uint8)
    scores, faces = OnnxSession(tmp_path / "first.onnx")(pictures, ("scores", "faces"))
    with torch.no_grad():
        raw = network(torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255)
    np.testing.assert_allclose(scores, raw[..., 0].sigmoid().numpy(), atol=1e-5)
    np.testing.assert_allclose(faces[..., :2], raw[..., 1:3].numpy(), atol=1e-5)
    np.testing.assert_allclose(faces[..., 2:4], raw[..., 3:5].exp().numpy(), rtol=1e-4)
    refiner = FaceRefinerNetwork().eval()
    export_refiner(refiner, tmp_path / "second.onnx")
    crops = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3)).astype(np.uint8)
    (answers,) = OnnxSession(tmp_path / "second.onnx")(crops, ("answers",))
    with torch.no_grad():
        expected = refiner(torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255)
    np.testing.assert_allclose(answers, expected.numpy(), atol=1e-5)


def test_both_networks_are_kept_in_one_file(tmp_path: Path) -> None:
    torch.manual_seed(1)
    first, second = FaceDetectorNetwork().eval(), FaceRefinerNetwork().eval()
    checkpoint.save(first, second, tmp_path / "both.safetensors")
    again = checkpoint.load(tmp_path / "both.safetensors")
    picture, crop = torch.rand(1, 3, 64, 96), torch.rand(2, 3, SIZE, SIZE)
    with torch.no_grad():
        torch.testing.assert_close(again[0](picture), first(picture), atol=0.01, rtol=0.01)
        torch.testing.assert_close(again[1](crop), second(crop), atol=0.01, rtol=0.01)
    with pytest.raises(WeightsError, match="cannot be read"):
        checkpoint.load(tmp_path / "missing.safetensors")
    (tmp_path / "other.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(WeightsError, match="expected both networks"):
        checkpoint.load(tmp_path / "other.safetensors")


def small(out: Path, **changes: Any) -> DetectorConfig:
    config = DetectorConfig(out, steps=6, pixels=2 * 256 * 256, workers=0, warmup=1, seed=3)
    return dataclasses.replace(config, **changes)


def test_a_batch_depends_on_its_step_alone(album: Album, tmp_path: Path) -> None:
    batches = Batches(album, small(tmp_path))
    one, again = batches[4], Batches(album, small(tmp_path))[4]
    for name in one:
        np.testing.assert_array_equal(one[name], again[name])
    assert (one["images"].shape != batches[5]["images"].shape) or (
        one["images"] != batches[5]["images"]
    ).any()


@pytest.mark.slow
def test_a_stopped_run_goes_on_as_if_it_had_not(album: Album, tmp_path: Path) -> None:
    whole = train(album, small(tmp_path / "whole"))

    class Stop(Exception):
        pass

    def stop(_: str) -> None:
        raise Stop

    # `keep` of 0: a checkpoint after each step; the line of the last step comes before its own.
    with pytest.raises(Stop):
        train(album, small(tmp_path / "part", keep=0.0), tell=stop)
    lines: list[str] = []
    resumed = train(album, small(tmp_path / "part", resume=True), tell=lines.append)
    assert len(lines) == 1
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.slow
def test_the_second_network_learns_what_a_face_is(tmp_path: Path) -> None:
    """Bright discs are faces, dark ones are not; discs lie to one side of the crop's middle."""
    rng = np.random.default_rng(0)
    count = 400
    crops = np.full((count, STORED, STORED, 3), 100, np.uint8)
    targets = np.zeros((count, 7), np.float32)
    for crop, target in zip(crops, targets, strict=True):
        face = rng.random() < 0.5
        offset = rng.uniform(-0.2, 0.2, 2)
        x, y = (STORED - 1) / 2 + offset * STORED / (FACTOR * 1.25)
        cv2.circle(crop, (round(x), round(y)), 12, (230,) * 3 if face else (10,) * 3, cv2.FILLED)
        target[:] = [face, *offset, 0, 0, 1, 0]
    places = Candidates(crops, targets, np.ones(count, np.float32), targets[:, 0])
    network = train_refiner([places], RefinerConfig(steps=150, batch=32, average=0.9))
    images, true = augmented(crops, targets, torch.Generator().manual_seed(1))
    with torch.no_grad():
        answers = network(images)
    right = (answers[:, 0] > 0) == (true[:, 0] == 1)
    assert right.float().mean() > 0.97
    faces = true[:, 0] == 1
    error = (answers[faces, 1:3] - true[faces, 1:3]).abs().mean()
    assert error < 0.6 * true[faces, 1:3].abs().mean()


@pytest.mark.slow
def test_places_do_not_depend_on_the_number_of_processes(album: Album, tmp_path: Path) -> None:
    torch.manual_seed(0)
    export_detector(FaceDetectorNetwork().eval(), tmp_path / "first.onnx")
    assert FaceProposals(tmp_path / "first.onnx")
    one, two = (
        many_candidates(album, tmp_path / "first.onnx", 70, processes=n, seed=1) for n in (1, 2)
    )
    assert len(one.crops) == 70
    np.testing.assert_array_equal(one.crops, two.crops)
    np.testing.assert_array_equal(one.targets, two.targets)

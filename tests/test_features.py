"""Fig. 15: P and the features before and after the distillation module."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from faces import drawn_face, write_faces

torch = pytest.importorskip("torch")

from aadn.data.folders import read_folders  # noqa: E402
from aadn.data.pts import write_pts  # noqa: E402
from aadn.errors import AnnotationError, ImageError, InputError, WeightsError  # noqa: E402
from aadn.evaluation.measure import evaluate  # noqa: E402
from aadn.evaluation.setting import Setting  # noqa: E402
from aadn.geometry import Crop, box_of_points  # noqa: E402
from aadn.inference.backend import Card  # noqa: E402
from aadn.inference.estimates import Estimates  # noqa: E402
from aadn.inference.landmarker import Landmarker  # noqa: E402
from aadn.models.build import build  # noqa: E402
from aadn.models.checkpoint import Checkpoint  # noqa: E402
from aadn.models.inputs import normalise  # noqa: E402
from aadn.models.registry import ModelConfig  # noqa: E402
from aadn.paper import features  # noqa: E402
from aadn.paper.features import face_maps, run  # noqa: E402
from aadn.schemes import IBUG68, Scheme, scheme_of  # noqa: E402

WITH_DISTILLATION = [
    ModelConfig(name="odn", size=64),
    ModelConfig(name="aadn", size=64, landmarks=19),
    ModelConfig(name="heatmap", size=64),
]
WITHOUT = [
    ModelConfig(name="resnet18", size=32),
    ModelConfig(name="odn", size=32, distillation=False),
    ModelConfig(name="aadn", size=32, distillation=False),
]


def saved(path: Path, config: ModelConfig, scheme: Scheme | None = None) -> Path:
    torch.manual_seed(0)
    tensors = {f"ema.{name}": t for name, t in build(config).state_dict().items()}
    Checkpoint(tensors, config, scheme or scheme_of(config.landmarks), {}).save(path)
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    return saved(path, ModelConfig(name="heatmap", size=32))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The rows that `run` gives to be drawn, instead of a drawing."""
    got: list[dict[str, Any]] = []

    def plot(rows: Sequence[dict[str, Any]], path: str | Path, *, ranges: dict[str, Any]) -> None:
        assert ranges == {"P": (0, 1), "before": (0, 1), "after": (0, 1)}  # one scale for all
        got[:] = rows

    monkeypatch.setattr(features, "plot_maps", plot)
    monkeypatch.setattr(features, "check_plot", lambda path: None)
    return got


def nothing(image: Any) -> tuple[Any, Any]:
    raise AssertionError("the detector was asked")


@pytest.mark.parametrize("config", WITH_DISTILLATION, ids=lambda c: c.name)
def test_maps_are_those_of_the_distillation_module(config: ModelConfig) -> None:
    torch.manual_seed(0)
    network: Any = build(config).eval()
    crop = drawn_face(64)[0]
    maps = face_maps(network, crop)
    assert list(maps) == ["face", "P", "before", "after"]
    np.testing.assert_array_equal(maps["face"], crop)

    image = normalise(torch.from_numpy(crop).permute(2, 0, 1)[None] / 255)
    with torch.no_grad():
        visible_map = network(image).visible_map[0].numpy()
        if config.name == "heatmap":
            f = network.stage3(network.stage2(network.stage1(network.stem(image))))
        else:
            f = network.trunk(image)
        clean = network.distillation(f)[0]
    before, after = (x[0].abs().mean(dim=0).numpy() for x in (f, clean))
    scale = max(before.max(), after.max())
    cell = 64 // len(visible_map)
    assert cell == (16 if config.name == "heatmap" else 32)
    for name, values in (("P", visible_map), ("before", before / scale), ("after", after / scale)):
        assert maps[name].shape == (64, 64)
        np.testing.assert_allclose(maps[name], np.kron(values, np.ones((cell, cell))), rtol=1e-5)
    assert max(maps["before"].max(), maps["after"].max()) == 1


def test_maps_leave_the_network_as_it_was() -> None:
    network: Any = build(ModelConfig(name="heatmap", size=32)).eval()
    face_maps(network, drawn_face(32)[0])
    assert not network.distillation._forward_hooks
    with torch.no_grad():  # nothing is seen, nothing left: no division by 0
        network.distillation.occlusion.conv.weight.zero_()
        network.distillation.occlusion.conv.bias.fill_(-1e9)
    maps = face_maps(network, drawn_face(32)[0])
    assert maps["P"].max() == maps["after"].max() == 0
    assert maps["before"].max() == 1


def test_a_flat_map_is_no_division_by_zero() -> None:
    network: Any = build(ModelConfig(name="heatmap", size=32)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    maps = face_maps(network, np.zeros((32, 32, 3), np.uint8))
    assert maps["before"].max() == maps["after"].max() == 0
    assert (maps["P"] == 0.5).all()


@pytest.mark.parametrize(
    "crop",
    [
        np.zeros((64, 64, 3), np.uint8),
        np.zeros((32, 32), np.uint8),
        np.zeros((1, 32, 32, 3), np.uint8),
        np.zeros((32, 32, 3), np.float32),
    ],
)
def test_wrong_crops(crop: Any) -> None:
    with pytest.raises(InputError, match=r"expected a crop \(32, 32, 3\) uint8"):
        face_maps(build(ModelConfig(name="heatmap", size=32)).eval(), crop)


@pytest.mark.parametrize("config", WITHOUT, ids=lambda c: c.name)
def test_a_network_without_distillation_is_refused(config: ModelConfig, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a network with a distillation module"):
        face_maps(build(config).eval(), np.zeros((32, 32, 3), np.uint8))
    path = saved(tmp_path / "plain.safetensors", config)
    pictures = [write_faces(tmp_path / "faces", 1) / "face_0000.png"]
    with pytest.raises(InputError, match=rf"plain\.safetensors \({config.name}\): expected"):
        run(pictures, path, tmp_path / "maps.png")
    assert not (tmp_path / "maps.png").exists()


def test_labelled_faces_are_cut_around_their_landmarks(
    tmp_path: Path, weights: Path, drawn: list[dict[str, Any]]
) -> None:
    write_faces(tmp_path, 3)
    pictures = [tmp_path / f"face_000{i}.png" for i in (2, 0)]
    run(pictures, weights, tmp_path / "maps.png", detector=nothing)
    assert len(drawn) == 2
    for row, i in zip(drawn, (2, 0), strict=True):
        image, points = drawn_face(96, np.random.default_rng([0, i]))
        expected = Crop.around(box_of_points(points), 32).cut(image)
        # The labels are written with six decimals.
        assert np.abs(row["face"].astype(int) - expected).max() <= 1


def test_of_several_faces_the_one_with_the_highest_score(
    tmp_path: Path, weights: Path, drawn: list[dict[str, Any]]
) -> None:
    image = drawn_face(96)[0]
    cv2.imwrite(str(tmp_path / "face.png"), image[..., ::-1])
    boxes = np.array([[0, 0, 40, 40], [20, 30, 70, 80], [50, 50, 90, 90]], float)
    run(
        [tmp_path / "face.png"],
        weights,
        tmp_path / "maps.png",
        detector=lambda _: (boxes, np.array([0.7, 0.9, 0.8])),
    )
    expected = Crop.around(boxes[1], 32).cut(image)
    np.testing.assert_array_equal(drawn[0]["face"], expected)


class Recorder:
    """A network that keeps the crops it is given, cut as for the one of 32 pixels."""

    def __init__(self, scheme: Scheme = IBUG68) -> None:
        self.card = Card("recorder", scheme, 32, 1.3, 0.5)
        self.crops: list[Any] = []

    def __call__(self, crops: Any) -> Estimates:
        self.crops.extend(crops)
        size = self.card.landmarks
        return Estimates(np.zeros((len(crops), size, 2), "f4"), np.zeros((len(crops), size), "f4"))


@pytest.mark.parametrize("kind", ["rectangle", "mask", "sunglasses", "hand"])
def test_pictures_are_painted_as_evaluate_paints_them(
    tmp_path: Path, weights: Path, drawn: list[dict[str, Any]], kind: Any
) -> None:
    folder = write_faces(tmp_path / "faces", 2)
    pictures = sorted(folder.glob("*.png"))
    network = Recorder()
    evaluate(Landmarker(network), read_folders([folder]), Setting(occlude=kind, seed=3))
    run(pictures[::-1], weights, tmp_path / "maps.png", occlude=kind, seed=3)  # in any order
    for crop, row in zip(network.crops, drawn[::-1], strict=True):
        np.testing.assert_array_equal(row["face"], crop)
    painted = [row["face"] for row in drawn]
    run(pictures[::-1], weights, tmp_path / "maps.png", occlude=kind, seed=4)
    assert any((a != row["face"]).any() for a, row in zip(painted, drawn, strict=True))
    run(pictures[::-1], weights, tmp_path / "maps.png")
    for a, row in zip(painted, drawn, strict=True):
        assert (a != row["face"]).any(axis=2).mean() > 0.05


def test_a_scheme_of_ones_own(tmp_path: Path, drawn: list[dict[str, Any]]) -> None:
    """Five points, of which the scheme says where eyes and mouth are."""
    groups = {"right eye": [0], "left eye": [1], "mouth": [3, 4]}
    five = Scheme.of({"name": "five", "points": 5, "flip": [[0, 1], [3, 4]], "groups": groups})
    weights = saved(
        tmp_path / "five.safetensors", ModelConfig(name="heatmap", size=32, landmarks=5), five
    )
    image, points = drawn_face(96)
    folder = tmp_path / "faces"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), image[..., ::-1])
    write_pts(folder / "a.pts", points[[36, 45, 30, 48, 54]])
    network = Recorder(five)
    evaluate(Landmarker(network), read_folders([folder]), Setting(occlude="sunglasses"))
    run([folder / "a.png"], weights, tmp_path / "maps.png", occlude="sunglasses")
    np.testing.assert_array_equal(drawn[0]["face"], network.crops[0])
    assert (drawn[0]["face"] != Crop.around(box_of_points(points[[36, 45, 30, 48, 54]]), 32)
            .cut(image)).any()  # fmt: skip


def test_without_labels_the_embedded_model_says_where_the_occluder_goes(
    tmp_path: Path, weights: Path, drawn: list[dict[str, Any]]
) -> None:
    image, points = drawn_face(128)
    cv2.imwrite(str(tmp_path / "face.png"), image[..., ::-1])
    box = box_of_points(points)
    found = []
    for kind in ("none", "sunglasses"):
        run(
            [tmp_path / "face.png"],
            weights,
            tmp_path / "maps.png",
            occlude=kind,
            detector=lambda _: (box[None], np.ones(1)),
        )
        found.append(drawn[0]["face"].astype(int))
    changed = np.argwhere((found[0] != found[1]).any(axis=2))
    assert len(changed) > 20
    assert changed[:, 0].mean() < 16  # the eyes are in the upper half


def test_draws_a_picture(tmp_path: Path, weights: Path) -> None:
    pytest.importorskip("matplotlib")
    write_faces(tmp_path, 2)
    pictures = [tmp_path / "face_0000.png", tmp_path / "face_0001.png"]
    for suffix in ("png", "svg"):
        run([str(p) for p in pictures], str(weights), str(tmp_path / f"maps.{suffix}"))
    picture = cv2.imread(str(tmp_path / "maps.png"))
    assert picture is not None
    assert picture.shape[1] > picture.shape[0] > 100
    text = (tmp_path / "maps.svg").read_text(encoding="utf-8")
    assert "<svg" in text


def test_wrong_arguments(tmp_path: Path, weights: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = write_faces(tmp_path, 1) / "face_0000.png"
    out = tmp_path / "maps.png"
    with pytest.raises(InputError, match="at least one picture"):
        run([], weights, out)
    with pytest.raises(InputError, match="expected occluder of none, rectangle"):
        run([picture], weights, out, occlude="hat")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="seed of 0 or more, got -1"):
        run([picture], weights, out, seed=-1)
    with pytest.raises(InputError, match="end in"):
        run([picture], weights, tmp_path / "maps.txt")
    with pytest.raises(WeightsError, match="no such file"):
        run([picture], tmp_path / "none.safetensors", out)
    with pytest.raises(ImageError):
        run([tmp_path / "none.png"], weights, out)
    assert not out.exists()


def test_broken_labels_and_pictures_without_a_face(
    tmp_path: Path, weights: Path, drawn: list[dict[str, Any]]
) -> None:
    picture = write_faces(tmp_path, 1) / "face_0000.png"
    labels, out = tmp_path / "face_0000.pts", tmp_path / "maps.png"
    labels.write_text("1 1\n5 5\n")
    run([picture], weights, out)
    with pytest.raises(InputError, match=r"face_0000\.png.*occlude='none'"):
        run([picture], weights, out, occlude="mask")
    for text, message in (
        ("1 1\n1 9\n", r"face_0000\.pts: all 2 landmarks lie"),
        ("1 1\n900 900\n", r"face_0000\.png: landmark 1 at .* far outside"),
        ("1 one\n", r"face_0000\.pts, line 1"),
    ):
        labels.write_text(text)
        with pytest.raises(AnnotationError, match=message):
            run([picture], weights, out)
    labels.unlink()
    with pytest.raises(InputError, match=r"face_0000\.png: .* found none.*face_0000\.pts"):
        run([picture], weights, out, detector=lambda _: (np.zeros((0, 4)), np.zeros(0)))

"""Checkpoints: strict, safe, whole or not at all; and their export to ONNX."""

import json
import logging
import pickle
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from faces import drawn_face

torch = pytest.importorskip("torch")

import safetensors.torch  # noqa: E402

onnx = pytest.importorskip("onnx")

from aadn.errors import MissingDependencyError, OutputError, WeightsError  # noqa: E402
from aadn.inference.onnx import OnnxBackend  # noqa: E402
from aadn.inference.pytorch import Deployed, TorchBackend, _area_weights  # noqa: E402
from aadn.models import checkpoint  # noqa: E402
from aadn.models.build import build  # noqa: E402
from aadn.models.checkpoint import Checkpoint  # noqa: E402
from aadn.models.default.heatmap import HeatmapAadn  # noqa: E402
from aadn.models.inputs import normalise  # noqa: E402
from aadn.models.registry import ModelConfig  # noqa: E402
from aadn.schemes import COFW29, IBUG68, Scheme, scheme_of  # noqa: E402
from aadn.training.export import PARITY, export  # noqa: E402


def saved(path: Path, config: ModelConfig | None = None) -> Path:
    config = config or ModelConfig(size=32)
    torch.manual_seed(0)
    network = build(config)
    if isinstance(network, HeatmapAadn):  # random logits are far noisier than trained ones
        network.heatmap.weight.data *= 0.1
        torch.nn.init.normal_(network.shape.linear.weight, std=0.01)  # at 0 it would do nothing
        torch.nn.init.normal_(network.shape.shift.weight, std=0.01)
    tensors = {f"ema.{k}": t for k, t in network.state_dict().items()}
    Checkpoint(tensors, config, scheme_of(config.landmarks), {"note": [1, 2]}).save(path)
    return path


def test_round_trip(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors")
    read = checkpoint.load(path)
    assert read.config == ModelConfig(size=32)
    assert read.state == {"note": [1, 2]}
    assert read.scheme is IBUG68
    torch.manual_seed(0)
    for name, tensor in build(read.config).state_dict().items():
        if name not in ("heatmap.weight", "shape.linear.weight", "shape.shift.weight"):
            assert torch.equal(read.weights()[name], tensor)


def test_a_scheme_of_ones_own_goes_along(tmp_path: Path) -> None:
    five = Scheme("five", 5, np.array([1, 0, 2, 4, 3]), {}, {"inter-ocular": ((0,), (1,))})
    config = ModelConfig(size=32, landmarks=5)
    Checkpoint({}, config, five, {}).save(tmp_path / "a.safetensors")
    assert checkpoint.load(tmp_path / "a.safetensors").scheme == five
    Checkpoint({}, config, IBUG68, {}).save(tmp_path / "b.safetensors")
    with pytest.raises(WeightsError, match="does not have 5 landmarks"):
        checkpoint.load(tmp_path / "b.safetensors")


def test_a_checkpoint_of_aadn_0_1_says_nothing_but_a_count(tmp_path: Path) -> None:
    meta = {"format": 1, "model": {"landmarks": 29}, "state": {}}
    path = tmp_path / "a.safetensors"
    path.write_bytes(safetensors.torch.save({"x": torch.zeros(1)}, {"aadn": json.dumps(meta)}))
    assert checkpoint.load(path).scheme is COFW29


@pytest.mark.slow
def test_the_threshold_that_training_chose_goes_into_the_card(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    weights = saved(tmp_path / "a.safetensors", ModelConfig(name="resnet18", size=32))
    first = checkpoint.load(weights)
    assert TorchBackend.load(weights).card.visibility_threshold == 0.5
    chosen = tmp_path / "b.safetensors"
    replace(first, state={"metrics": {"visibility_threshold": 0.37}}).save(chosen)
    assert TorchBackend.load(chosen).card.visibility_threshold == 0.37
    export(chosen, tmp_path / "b.onnx")
    assert OnnxBackend(tmp_path / "b.onnx").card.visibility_threshold == 0.37


def test_a_file_cut_in_half_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors")
    data = path.read_bytes()
    for size in (0, 4, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:size])
        with pytest.raises(WeightsError, match=r"a\.safetensors"):
            checkpoint.load(path)


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('executed')",))


def test_a_pickle_is_refused_and_not_executed(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(pickle.dumps(_Evil()))
    with pytest.raises(WeightsError, match="safetensors"):
        checkpoint.load(path)


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    config = ModelConfig(name="aadn", size=32)
    tensors = {f"ema.{k}": t for k, t in build(ModelConfig(size=32)).state_dict().items()}
    Checkpoint(tensors, config, IBUG68, {}).save(tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match="another model"):
        checkpoint.load_model(tmp_path / "a.safetensors")


def older(path: Path) -> Path:
    """A checkpoint of aadn 0.1, whose network gave no uncertainty and completed no shape."""
    made = checkpoint.load(saved(path))
    parts = ("ema.spread.", "ema.shape.")
    kept = {name: t + 1 for name, t in made.tensors.items() if not name.startswith(parts)}
    assert len(made.tensors) - len(kept) == 2 + 9
    replace(made, tensors=kept).save(path)
    return path


def test_training_goes_on_from_a_checkpoint_without_uncertainty(tmp_path: Path) -> None:
    path = older(tmp_path / "a.safetensors")
    made = checkpoint.load(path)
    network = build(made.config)
    before = {name: t.clone() for name, t in network.state_dict().items()}
    line = checkpoint.start_from(network, made.config, IBUG68, path)
    assert "lacks shape, spread: new weights there" in line
    for name, tensor in network.state_dict().items():
        fresh = name.startswith(("spread.", "shape."))
        assert torch.equal(tensor, before[name] if fresh else made.weights()[name])
    with pytest.raises(WeightsError, match=r"a\.safetensors: .*lacks spread;.*--initial"):
        checkpoint.load_model(path)


def test_a_checkpoint_without_completion_gives_what_it_always_gave(tmp_path: Path) -> None:
    made = checkpoint.load(saved(tmp_path / "a.safetensors"))
    kept = {name: t for name, t in made.tensors.items() if not name.startswith("ema.shape.")}
    replace(made, tensors=kept).save(tmp_path / "b.safetensors")
    images = torch.randn(2, 3, 32, 32)
    network = checkpoint.load_model(tmp_path / "b.safetensors")[0]
    points = network(images).points
    assert isinstance(network, HeatmapAadn)
    network.shape.register_forward_hook(lambda module, args, out: 0 * out)
    assert torch.equal(points, network(images).points)


def test_training_starts_from_a_whole_checkpoint_of_the_same_model(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors")
    made = checkpoint.load(path)
    network = build(made.config)
    line = checkpoint.start_from(network, made.config, IBUG68, path)
    assert line == f"starting from {path} (32 pixels)"
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, made.weights()[name])
    larger = build(ModelConfig(size=64))  # its weights do not depend on the size
    line = checkpoint.start_from(larger, ModelConfig(size=64), IBUG68, path)
    assert line == f"starting from {path} (64 pixels)"
    assert torch.equal(larger.state_dict()["spread.bias"], made.weights()["spread.bias"])
    # One tensor of the head, or any other that lacks, is another model.
    for lacks in ("ema.spread.bias", "ema.shape.mean", "ema.name"):
        rest = {name: t for name, t in made.tensors.items() if name != lacks}
        replace(made, tensors=rest).save(tmp_path / "b.safetensors")
        with pytest.raises(WeightsError, match="another model"):
            checkpoint.start_from(network, made.config, IBUG68, tmp_path / "b.safetensors")


@pytest.mark.parametrize(
    ("config", "scheme", "message"),
    [
        (ModelConfig(size=32, reduction=16), IBUG68,
         "--model.reduction 8 there, --model.reduction 16 here"),
        (ModelConfig(size=32, landmarks=29), COFW29,
         r"scheme ibug68 \(68 points\) there, cofw29 \(29 points\) here"),
        (ModelConfig(name="aadn", size=32, geometry=False), IBUG68,
         "--model.name heatmap there, --model.name aadn here; "
         "--model.geometry there, --model.no-geometry here"),
    ],
)  # fmt: skip
def test_training_from_another_network_names_what_is_unlike(
    tmp_path: Path, config: ModelConfig, scheme: Scheme, message: str
) -> None:
    path = saved(tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match=message) as error:
        checkpoint.start_from(build(config), config, scheme, path)
    assert "ModelConfig" not in str(error.value)


@pytest.mark.parametrize(
    "meta",
    [None, {}, {"aadn": "{"}, {"aadn": json.dumps({"format": 99})},
     {"aadn": json.dumps({"format": 1, "model": {"name": "vgg"}, "state": {}})},
     {"aadn": json.dumps({"format": 1, "model": {"colour": 1}, "state": {}})}],
)  # fmt: skip
def test_foreign_safetensors_are_refused(tmp_path: Path, meta: dict[str, str] | None) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(safetensors.torch.save({"x": torch.zeros(1)}, meta))
    with pytest.raises(WeightsError):
        checkpoint.load(path)


def test_a_missing_file_and_an_unwritable_place(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such file"):
        checkpoint.load(tmp_path / "none.safetensors")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        saved(tmp_path / "file" / "a.safetensors")


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "a.safetensors")
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        saved(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_area_weights_average() -> None:
    weights = _area_weights(8, 7)
    assert weights.shape == (7, 8)
    assert weights.sum(1).tolist() == pytest.approx([1] * 7)
    # Cell 0 of 7 spans 8/7 cells of 8: all of the first, a seventh of the second.
    assert weights[0, :3].tolist() == pytest.approx([7 / 8, 1 / 8, 0])
    assert torch.equal(_area_weights(7, 7), torch.eye(7))


GIVES = {
    "heatmap": ["points", "visibility", "occlusion", "uncertainty"],
    "lite": ["points", "visibility", "occlusion", "uncertainty"],
    "aadn": ["points", "visibility", "occlusion"],
    "odn": ["points", "visibility", "occlusion"],
    "resnet18": ["points", "visibility"],
}


@pytest.mark.parametrize("name", ["heatmap", "lite", "aadn", "resnet18"])
def test_deployed_outputs_are_pixels_and_shares(name: str) -> None:
    network = build(ModelConfig(name=name, size=64)).eval()  # type: ignore[arg-type]
    deployed = Deployed(network)
    crops = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    assert deployed.outputs == GIVES[name]
    given = dict(zip(deployed.outputs, deployed(crops), strict=True))
    prediction = network(normalise(crops.permute(0, 3, 1, 2).float() / 255))
    assert torch.allclose(given["points"], prediction.points * 64 - 0.5, atol=1e-4)
    assert torch.allclose(given["visibility"], torch.sigmoid(prediction.visibility))
    if "uncertainty" in given:
        assert prediction.uncertainty is not None
        assert torch.allclose(given["uncertainty"], prediction.uncertainty * 64)
    if "occlusion" in given:
        assert given["occlusion"].shape == (2, 7, 7)
        assert ((given["occlusion"] >= 0) & (given["occlusion"] <= 1)).all()
        assert prediction.visible_map is not None
        mean = 1 - prediction.visible_map.mean((1, 2))
        assert torch.allclose(given["occlusion"].mean((1, 2)), mean, atol=1e-5)


def test_an_onnx_file_is_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "net.ONNX"
    path.write_bytes(b"\x08\x08\x12\x07pytorch\x1a\x05")
    with pytest.raises(WeightsError, match=r"got an ONNX file; give the checkpoint that it was"):
        checkpoint.load(path)


@pytest.mark.slow
def test_broken_weights_are_not_exported(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    config = ModelConfig(name="resnet18", size=32)
    tensors = {f"ema.{k}": t for k, t in build(config).state_dict().items()}
    tensors["ema.regression.bias"][0] = torch.nan
    Checkpoint(tensors, config, IBUG68, {}).save(tmp_path / "a.safetensors")
    with pytest.raises(WeightsError):
        export(tmp_path / "a.safetensors", tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()


def test_export_without_onnx_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    weights = saved(tmp_path / "a.safetensors", ModelConfig(name="resnet18", size=32))
    with pytest.raises(MissingDependencyError, match=r"onnx: `pip install '\.\[train\]'`"):
        export(weights, tmp_path / "a.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["heatmap", "lite", "odn", "resnet18"])
def test_export_runs_without_torch_and_agrees(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    pytest.importorskip("onnxscript")
    weights = saved(tmp_path / "a.safetensors", ModelConfig(name=name, size=64))  # type: ignore[arg-type]
    logger = logging.getLogger("torch.onnx")
    before = logger.level, warnings.filters[:], sys.stdout
    parity = export(weights, tmp_path / "a.onnx")
    assert (logger.level, warnings.filters[:], sys.stdout) == before
    assert capsys.readouterr().out == ""
    assert parity.points <= PARITY
    exported, network = OnnxBackend(tmp_path / "a.onnx"), TorchBackend.load(weights)
    model = onnx.load(tmp_path / "a.onnx")
    assert [output.name for output in model.graph.output] == GIVES[name]
    assert exported.card == network.card
    image, _ = drawn_face(64)
    for count in (0, 1, 5):  # a dynamic batch
        given = exported(np.repeat(image[None], count, axis=0))
        assert given.points.shape == (count, 68, 2)
    expected = network(image[None])
    np.testing.assert_allclose(given.points[0], expected.points[0], atol=PARITY)
    for part, difference in (
        ("occlusion", parity.occlusion), ("uncertainty", parity.uncertainty),
    ):  # fmt: skip
        ours, theirs = getattr(expected, part), getattr(given, part)
        assert (part in GIVES[name]) == (ours is not None) == (theirs is not None)
        assert (difference is not None) == (ours is not None)
        if ours is not None:
            np.testing.assert_allclose(theirs[0], ours[0], atol=PARITY)

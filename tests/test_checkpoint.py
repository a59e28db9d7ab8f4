"""Checkpoints: strict, safe, whole or not at all; and their export to ONNX."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from faces import drawn_face

torch = pytest.importorskip("torch")

import safetensors.torch  # noqa: E402

from aadn.errors import OutputError, WeightsError  # noqa: E402
from aadn.models import checkpoint  # noqa: E402
from aadn.models.build import build  # noqa: E402
from aadn.models.checkpoint import Deployed, _area_weights  # noqa: E402
from aadn.models.default.heatmap import HeatmapAadn  # noqa: E402
from aadn.training.config import ModelConfig  # noqa: E402


def saved(path: Path, config: ModelConfig | None = None) -> Path:
    config = config or ModelConfig(size=32)
    torch.manual_seed(0)
    network = build(config)
    if isinstance(network, HeatmapAadn):  # random logits are far noisier than trained ones
        network.heatmap.weight.data *= 0.1
        torch.nn.init.normal_(network.shape.linear.weight, std=0.01)  # at 0 it would do nothing
        torch.nn.init.normal_(network.shape.shift.weight, std=0.01)
    tensors = {f"ema.{k}": t for k, t in network.state_dict().items()}
    checkpoint.save(path, tensors, config, {"note": [1, 2]})
    return path


def test_round_trip(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors")
    tensors, config, state = checkpoint.load(path)
    assert config == ModelConfig(size=32)
    assert state == {"note": [1, 2]}
    torch.manual_seed(0)
    for name, tensor in build(config).state_dict().items():
        if name not in ("heatmap.weight", "shape.linear.weight", "shape.shift.weight"):
            assert torch.equal(tensors[f"ema.{name}"], tensor)


def test_the_threshold_that_training_chose_goes_into_the_card(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    from aadn.inference.onnx import Network
    from aadn.training.export import export

    tensors, config, _ = checkpoint.load(saved(tmp_path / "a.safetensors"))
    assert checkpoint.load_network(tmp_path / "a.safetensors").card.visibility_threshold == 0.5
    chosen = tmp_path / "b.safetensors"
    checkpoint.save(chosen, tensors, config, {"metrics": {"visibility_threshold": 0.37}})
    assert checkpoint.load_network(chosen).card.visibility_threshold == 0.37
    export(chosen, tmp_path / "b.onnx")
    assert Network.load(tmp_path / "b.onnx").card.visibility_threshold == 0.37


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
    checkpoint.save(tmp_path / "a.safetensors", tensors, config, {})
    with pytest.raises(WeightsError, match="another model"):
        checkpoint.load_model(tmp_path / "a.safetensors")


def older(path: Path) -> Path:
    """A checkpoint of aadn 0.1, whose network gave no uncertainty and completed no shape."""
    tensors, config, state = checkpoint.load(saved(path))
    parts = ("ema.spread.", "ema.shape.")
    kept = {name: t + 1 for name, t in tensors.items() if not name.startswith(parts)}
    assert len(tensors) - len(kept) == 2 + 9
    checkpoint.save(path, kept, config, state)
    return path


def test_training_goes_on_from_a_checkpoint_without_uncertainty(tmp_path: Path) -> None:
    path = older(tmp_path / "a.safetensors")
    tensors, config, _ = checkpoint.load(path)
    network = build(config)
    before = {name: t.clone() for name, t in network.state_dict().items()}
    line = checkpoint.start_from(network, config, path)
    assert "lacks shape, spread: new weights there" in line
    for name, tensor in network.state_dict().items():
        fresh = name.startswith(("spread.", "shape."))
        assert torch.equal(tensor, before[name] if fresh else tensors[f"ema.{name}"])
    with pytest.raises(WeightsError, match=r"a\.safetensors: .*lacks spread;.*--initial"):
        checkpoint.load_model(path)


def test_a_checkpoint_without_completion_gives_what_it_always_gave(tmp_path: Path) -> None:
    tensors, config, state = checkpoint.load(saved(tmp_path / "a.safetensors"))
    kept = {name: t for name, t in tensors.items() if not name.startswith("ema.shape.")}
    checkpoint.save(tmp_path / "b.safetensors", kept, config, state)
    images = torch.randn(2, 3, 32, 32)
    network = checkpoint.load_model(tmp_path / "b.safetensors")[0]
    points = network(images).points
    assert isinstance(network, HeatmapAadn)
    network.shape.register_forward_hook(lambda module, args, out: 0 * out)
    assert torch.equal(points, network(images).points)


def test_training_starts_from_a_whole_checkpoint_of_the_same_model(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors")
    tensors, config, _ = checkpoint.load(path)
    network = build(config)
    assert checkpoint.start_from(network, config, path) == f"starting from {path}"
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, tensors[f"ema.{name}"])
    larger = build(ModelConfig(size=64))  # its weights do not depend on the size
    checkpoint.start_from(larger, ModelConfig(size=64), path)
    assert torch.equal(larger.state_dict()["spread.bias"], tensors["ema.spread.bias"])
    with pytest.raises(WeightsError, match=r"expected ModelConfig.*=16.*got ModelConfig.*=8"):
        checkpoint.start_from(network, ModelConfig(size=32, reduction=16), path)
    # One tensor of the head, or any other that lacks, is another model.
    for lacks in ("ema.spread.bias", "ema.shape.mean", "ema.name"):
        rest = {name: t for name, t in tensors.items() if name != lacks}
        checkpoint.save(tmp_path / "b.safetensors", rest, config, {})
        with pytest.raises(WeightsError, match="another model"):
            checkpoint.start_from(network, config, tmp_path / "b.safetensors")


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


@pytest.mark.parametrize("name", ["heatmap", "aadn", "resnet18"])
def test_deployed_outputs_are_pixels_and_shares(name: str) -> None:
    config = ModelConfig(name=name, size=64)  # type: ignore[arg-type]
    network = build(config).eval()
    deployed = Deployed(network)
    crops = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    points, visibility, occlusion, uncertainty = deployed(crops)
    from aadn.training.augment import normalise

    prediction = network(normalise(crops.permute(0, 3, 1, 2).float() / 255))
    assert torch.allclose(points, prediction.points * 64 - 0.5, atol=1e-4)
    assert torch.allclose(visibility, torch.sigmoid(prediction.visibility))
    assert uncertainty.shape == (2, 68)
    if name == "heatmap":
        assert torch.allclose(uncertainty, prediction.uncertainty * 64)
    else:
        assert uncertainty.isnan().all()
    assert occlusion.shape == (2, 7, 7)
    if name == "resnet18":
        assert occlusion.isnan().all()
    else:
        assert ((occlusion >= 0) & (occlusion <= 1)).all()
        mean = 1 - prediction.seen.mean((1, 2))
        assert torch.allclose(occlusion.mean((1, 2)), mean, atol=1e-5)


def test_broken_weights_are_not_exported(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    from aadn.training.export import export

    config = ModelConfig(name="resnet18", size=32)
    tensors = {f"ema.{k}": t for k, t in build(config).state_dict().items()}
    tensors["ema.regression.bias"][0] = torch.nan
    checkpoint.save(tmp_path / "a.safetensors", tensors, config, {})
    with pytest.raises(WeightsError):
        export(tmp_path / "a.safetensors", tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()


@pytest.mark.parametrize("name", ["heatmap", "odn", "resnet18"])
def test_export_runs_without_torch_and_agrees(tmp_path: Path, name: str) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    from aadn.inference.onnx import Network
    from aadn.training.export import PARITY, export

    weights = saved(tmp_path / "a.safetensors", ModelConfig(name=name, size=64))  # type: ignore[arg-type]
    parity = export(weights, tmp_path / "a.onnx")
    assert parity.points <= PARITY
    assert parity.uncertainty <= PARITY
    exported = Network.load(tmp_path / "a.onnx")
    assert exported.card == checkpoint.load_network(weights).card
    image, _ = drawn_face(64)
    for count in (0, 1, 5):  # a dynamic batch
        points, _, _, uncertainty = exported(np.repeat(image[None], count, axis=0))
        assert points.shape == (count, 68, 2)
        assert uncertainty.shape == (count, 68)
        assert np.isnan(uncertainty).all() == (name != "heatmap" or count == 0)
    expected, _, _, distance = checkpoint.load_network(weights)(image[None])
    np.testing.assert_allclose(points[0], expected[0], atol=PARITY)
    np.testing.assert_allclose(uncertainty[0], distance[0], atol=PARITY)

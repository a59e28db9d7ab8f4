"""Parameters, multiply-adds and time, against counts by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from aadn.errors import InputError  # noqa: E402
from aadn.models.default.heatmap import HeatmapAadn  # noqa: E402
from aadn.models.paper.aadn import Aadn  # noqa: E402
from aadn.models.paper.distillation import (  # noqa: E402
    AttentionedDistillationModule,
    DistillationModule,
)
from aadn.models.paper.geometry_aware import GeometryAwareModule  # noqa: E402
from aadn.models.paper.odn import Odn  # noqa: E402
from aadn.models.paper.resnet import Float32Linear, Trunk  # noqa: E402
from aadn.models.paper.resnet18 import Resnet18  # noqa: E402
from aadn.paper.cost import (  # noqa: E402
    REDUCTIONS,
    Cost,
    cost_table,
    count,
    cpu_time,
    measure,
    model_costs,
    module_costs,
    multiply_adds,
)

TRUNK = (
    112**2 * 64 * 3 * 49  # conv1
    + 4 * 56**2 * 64 * 64 * 9  # layer1
    # layer2, layer3, layer4: half of the pixels each way, twice the channels, the same work.
    + 3 * (28**2 * 128 * (64 * 9 + 3 * 128 * 9 + 64))
)
"""Multiply-adds of ResNet-18's convolutions at 224×224."""


def test_count_leaves_out_what_does_not_learn() -> None:
    module = nn.Sequential(nn.Conv2d(3, 8, 5), nn.BatchNorm2d(8), nn.Linear(8, 2))
    assert count(module) == 3 * 8 * 25 + 8 + 16 + 18
    module[2].requires_grad_(False)
    assert count(module) == 3 * 8 * 25 + 8 + 16


def test_multiply_adds_of_layers() -> None:
    image = torch.zeros(1, 3, 10, 12)
    assert multiply_adds(nn.Conv2d(3, 8, 5, stride=2), image) == 3 * 4 * 8 * 3 * 25
    assert multiply_adds(nn.Conv2d(3, 6, 3, padding=1, groups=3), image) == 10 * 12 * 6 * 9
    assert multiply_adds(nn.Linear(7, 5), torch.zeros(1, 7)) == 35
    assert multiply_adds(nn.Linear(7, 5, bias=False), torch.zeros(1, 7)) == 35
    assert multiply_adds(nn.Linear(7, 5), torch.zeros(1, 4, 7)) == 4 * 35
    assert multiply_adds(Float32Linear(7, 5), torch.zeros(1, 7)) == 35
    assert multiply_adds(nn.ConvTranspose2d(3, 8, 2, stride=2), image) == 10 * 12 * 3 * 8 * 4


def test_multiply_adds_of_resnet18() -> None:
    assert round(TRUNK / 1e9, 2) == 1.81  # as published
    trunk = Trunk(layer4_blocks=2).eval()
    assert multiply_adds(trunk, torch.zeros(1, 3, 224, 224)) == TRUNK
    network = Resnet18(68).eval()
    assert multiply_adds(network, torch.zeros(1, 3, 224, 224)) == TRUNK + 512 * (2 * 68 + 68)


def test_multiply_adds_of_products_that_are_no_layer() -> None:
    geometry = GeometryAwareModule(512, 64).eval()
    pathways, outer = 2 * 49 * 512 * 64, 49 * 64 * 64
    assert multiply_adds(geometry, torch.zeros(1, 512, 7, 7)) == pathways + outer


def layers(network: nn.Module, size: int) -> int:
    """Multiply-adds of the layers alone, from the shapes of what they give."""
    total = 0

    def add(module: nn.Module, _: object, out: Tensor) -> None:
        nonlocal total
        assert isinstance(module, nn.Conv2d | nn.Linear)
        places = out[0, 0] if isinstance(module, nn.Conv2d) else out[..., 0]
        total += module.weight.numel() * places.numel()

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(add)
    with torch.no_grad():
        network.eval()(torch.zeros(1, 3, size, size))
    return total


def test_nothing_of_the_networks_is_overlooked() -> None:
    image = torch.zeros(1, 3, 64, 64)
    for network in (Odn(68, size=64), Aadn(68, size=64)):
        outer = 2 * 2 * 64 * 64
        assert multiply_adds(network.eval(), image) == layers(network, 64) + outer
    heatmap = HeatmapAadn(68, size=64).eval()
    outer = 4 * 4 * 32 * 32
    tokens = 68 * (16 * 16 * 64 + 8 * 8 * 128)  # what is seen at a landmark, fine and coarse
    attention = 3 * 2 * 68 * 68 * 128  # three blocks, each q·kᵀ and weights·v
    halved = 68 * 8 * 16 * 8  # the weights of the coarse tokens, by a matrix product
    frame = 2 * 68 * 2 + 3 * 68 * 4 + 3 * 8 + 8 + 4  # the completion's similarity: means and turns
    products = outer + tokens + attention + halved + frame
    assert multiply_adds(heatmap, image) == layers(heatmap, 64) + products


def test_counting_changes_nothing() -> None:
    module = AttentionedDistillationModule(16, 4).eval()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    multiply_adds(module, torch.rand(1, 16, 4, 4))
    assert all(torch.equal(before[name], t) for name, t in module.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in module.parameters())


def test_module_costs() -> None:
    costs = module_costs()
    assert [cost.name for cost in costs] == ["DM", *(f"ADM, r = {r}" for r in REDUCTIONS)]
    occlusion = 512 * 64 * 9 + 2 * 64 + 64 + 1  # pathway D: convolution, BN, 1×1 with bias
    expected = [2 * (512 * 512 * 9 + 2 * 512) + occlusion]
    expected += [2 * 512 * 512 // r + 2 * 49 + occlusion for r in REDUCTIONS]
    assert [cost.parameters for cost in costs] == expected
    map_work = 49 * (512 * 64 * 9 + 64)
    work = [49 * 2 * 512 * 512 * 9 + map_work]
    work += [2 * 2 * 512 * 512 // r + 49 * 2 * 49 + map_work for r in REDUCTIONS]  # MLP twice
    assert [cost.multiply_adds for cost in costs] == work
    assert {cost.input for cost in costs} == {(512, 7, 7)}


@pytest.mark.slow
def test_model_costs() -> None:
    costs = {cost.name: cost for cost in model_costs(19, 64, repeats=1)}
    assert list(costs) == [
        "ResNet-18",
        "ODN",
        *(f"AADN, r = {r}" for r in REDUCTIONS),
        "heatmap",
        "lite",
    ]
    assert costs["ODN"].parameters == count(Odn(19, size=64))
    assert costs["AADN, r = 16"].parameters == count(Aadn(19, size=64, reduction=16))
    assert costs["ODN"].input == (3, 64, 64)
    assert costs["heatmap"].input == (3, 128, 128)
    # With 19 landmarks LM is one layer at inference, from X to 38 numbers.
    unfolded = multiply_adds(Odn(19, size=64).eval(), torch.zeros(1, 3, 64, 64))
    length = 512 * 4 + 64 * 64
    saved = (length * 64 + 64 * 38) - length * 38
    assert costs["ODN"].multiply_adds == unfolded - saved


def test_the_papers_claims_about_parameters() -> None:
    distillation, odn = count(DistillationModule(512)), count(Odn(68))
    for reduction in REDUCTIONS:
        assert count(AttentionedDistillationModule(512, reduction)) < distillation
        assert count(Aadn(68, reduction=reduction)) < odn


def test_cpu_time_is_three_numbers_in_order() -> None:
    network = Resnet18(19, size=32).train()
    median, low, high = cpu_time(network, 5)
    assert 0 < low <= median <= high < float("inf")
    assert network.training
    assert count(network) > 0
    with pytest.raises(InputError, match="repeats of 1 or more, got 0"):
        cpu_time(network, 0)


def test_cost_table() -> None:
    rows = [
        Cost("DM", (512, 7, 7), 5_000_000, 231_211_008),
        Cost("ODN", (3, 224, 224), 17_000, 1_833_337_728, (20.04, 19.5, 30.26)),
    ]
    assert cost_table(rows).splitlines() == [
        "|  | input | parameters | multiply-adds, M | CPU, ms (quartiles) |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| DM | 512×7×7 | 5,000,000 | 231.2 | – |",
        "| ODN | 3×224×224 | 17,000 | 1,833.3 | 20.0 (19.5–30.3) |",
    ]


@pytest.mark.slow
def test_what_is_measured_is_told_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    costs = measure(landmarks=19, size=32, repeats=1)
    text = costs.markdown()
    assert "| ADM, r = 64 |" in text
    assert list(tmp_path.iterdir()) == []
    out = tmp_path / "new" / "cost"
    costs.write(out)
    assert capsys.readouterr() == ("", "")
    written = (out / "cost.md").read_text(encoding="utf-8")
    assert written.startswith(text)
    assert "| HRNet-W18 | 9.30 | 4.30 | G |" in written  # published, beside ours
    assert len(text.splitlines()) == 2 + 2 + 5 + 8
    values = json.loads((out / "cost.json").read_text(encoding="utf-8"))
    assert values["landmarks"] == 19
    assert values["modules"][0]["parameters"] == count(DistillationModule(512))
    assert values["modules"][0]["milliseconds"] is None
    assert [m["name"] for m in values["models"]][:2] == ["ResNet-18", "ODN"]
    assert len(values["models"][0]["milliseconds"]) == 3
    for name in ("modules", "models"):
        assert (out / f"parameters_{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (out / f"parameters_{name}.svg").read_text(encoding="utf-8")


def test_wrong_arguments() -> None:
    with pytest.raises(InputError, match="1 landmark or more, got 0"):
        model_costs(0, 32, 1)
    with pytest.raises(InputError, match="multiple of 32"):
        measure(size=100, repeats=1)

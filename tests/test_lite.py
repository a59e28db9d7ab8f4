"""The lite network and its blocks."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from aadn.models.build import build  # noqa: E402
from aadn.models.default.inverted import InvertedBlock  # noqa: E402
from aadn.models.default.layout import LAYOUTS  # noqa: E402
from aadn.models.registry import NETWORKS, ModelConfig  # noqa: E402
from aadn.paper.cost import multiply_adds  # noqa: E402


@pytest.mark.parametrize(
    ("out", "stride", "shape"),
    [(4, 1, (2, 4, 9, 11)), (6, 1, (2, 6, 9, 11)), (4, 2, (2, 4, 5, 6)), (6, 2, (2, 6, 5, 6))],
)
def test_a_block_adds_what_comes_in_where_the_shapes_allow(
    out: int, stride: int, shape: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    block, x = InvertedBlock(4, out, stride, expansion=3).eval(), torch.randn(2, 4, 9, 11)
    given = block(x)
    assert given.shape == shape
    inner = block.layers(x)
    torch.testing.assert_close(given, x + inner if (out, stride) == (4, 1) else inner)


def test_a_block_mixes_channels_and_places_apart() -> None:
    """3×3 of each channel alone: 4·8 + 9·8 + 8·5 weights, no more."""
    block = InvertedBlock(4, 5, expansion=2)
    weights = [m.weight.numel() for m in block.modules() if isinstance(m, torch.nn.Conv2d)]
    assert weights == [4 * 8, 9 * 8, 8 * 5]


def test_it_does_a_sixth_of_the_default_network_s_work() -> None:
    def work(config: ModelConfig) -> float:
        network = build(config).eval()
        return multiply_adds(network, torch.zeros(1, 3, config.input_size, config.input_size)) / 1e6

    lite = work(ModelConfig(name="lite", turned=True))
    assert lite < 60
    assert lite < work(ModelConfig(size=160, convolutions="separable", turned=True)) / 6


def test_every_weight_learns() -> None:
    torch.manual_seed(0)
    network = build(ModelConfig(name="lite", size=64, turned=True)).train()
    for parameter in network.parameters():  # those that start at 0 let nothing through
        torch.nn.init.normal_(parameter, std=0.1)
    out = network(torch.randn(2, 3, 64, 64))
    assert out.turned is not None
    assert out.uncertainty is not None
    given = [out.points, out.visibility, out.uncertainty, out.turned]
    torch.stack([t.sum() for t in given]).sum().backward()
    idle = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


def test_the_layouts_have_the_same_parts() -> None:
    assert set(LAYOUTS) == {"whole", "separable"}
    assert NETWORKS["lite"].loss == NETWORKS["heatmap"].loss
    lite, heatmap = (
        {name for name, _ in build(ModelConfig(name=name)).named_children()}
        for name in ("lite", "heatmap")
    )
    assert lite == heatmap

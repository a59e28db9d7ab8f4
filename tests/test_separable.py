"""Separable convolutions, and how they are fitted to whole ones."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

torch = pytest.importorskip("torch")

from aadn.models.build import build  # noqa: E402
from aadn.models.default.separable import Separable  # noqa: E402
from aadn.models.registry import ModelConfig  # noqa: E402
from aadn.paper.cost import multiply_adds  # noqa: E402


@pytest.fixture(scope="module")
def shrink() -> ModuleType:
    """benchmarks/shrink.py."""
    folder = Path(__file__).parents[1] / "benchmarks"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        spec = importlib.util.spec_from_file_location("shrink", folder / "shrink.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("stride", [1, 2])
@torch.no_grad()  # type: ignore[untyped-decorator]
def test_with_enough_channels_a_pair_is_the_convolution(shrink: ModuleType, stride: int) -> None:
    torch.manual_seed(0)
    whole = torch.nn.Conv2d(4, 6, 3, stride, 1, bias=False)
    pair = Separable(4, 6, 12, stride)  # three times its input
    images = torch.randn(40, 4, 10, 12)
    wanted = whole(images)
    assert pair(images).shape == wanted.shape
    assert shrink.fit(whole, pair, images, wanted) < 1e-3
    fresh = torch.randn(2, 4, 9, 9)
    torch.testing.assert_close(pair(fresh), whole(fresh), atol=0.05, rtol=0)


@torch.no_grad()  # type: ignore[untyped-decorator]
def test_a_narrow_pair_keeps_what_the_pictures_have(shrink: ModuleType) -> None:
    """8 channels that are mixtures of 2 need no more of the column than 2 in each of 3 rows."""
    torch.manual_seed(0)
    mixture, whole = torch.randn(8, 2), torch.nn.Conv2d(8, 16, 3, 1, 1, bias=False)
    images = torch.einsum("ij,njhw->nihw", mixture, torch.randn(30, 2, 12, 12))
    missed = [
        shrink.fit(whole, Separable(8, 16, rank), images, whole(images)) for rank in (2, 4, 6)
    ]
    assert missed[0] > missed[1] > missed[2]
    assert missed[2] < 0.01


def test_a_shrunk_network_does_about_what_the_whole_one_does(shrink: ModuleType) -> None:
    torch.manual_seed(0)
    config = ModelConfig(size=64)
    network = build(config).eval()
    small = build(ModelConfig(size=64, convolutions="separable")).eval()
    images = torch.randn(8, 3, 64, 64)
    with torch.no_grad():
        wanted, before = network(images).visible_map, small(images).visible_map
        shrink.shrink(network, small, images)
        after = small(images).visible_map
        assert wanted is not None
        assert before is not None
        assert after is not None
        assert (after - wanted).abs().mean() < 0.5 * (before - wanted).abs().mean()
    assert len(shrink.pairs(small)) == 20


def test_it_costs_a_third() -> None:
    costs = [
        multiply_adds(build(ModelConfig(size=160, convolutions=kind)), torch.zeros(1, 3, 160, 160))
        for kind in ("whole", "separable")
    ]
    assert costs[1] < 400e6 < 1e9 < costs[0]

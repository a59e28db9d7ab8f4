"""The networks, against equations computed by hand."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402

from aadn.errors import InputError, WeightsError  # noqa: E402
from aadn.models.default.heatmap import LEAST_UNCERTAINTY, HeatmapAadn  # noqa: E402
from aadn.models.default.layout import LAYOUTS  # noqa: E402
from aadn.models.default.shape_completion import (  # noqa: E402
    ShapeCompletion,
    fit_similarity,
    rotated,
)
from aadn.models.paper import pretrained  # noqa: E402
from aadn.models.paper.aadn import Aadn  # noqa: E402
from aadn.models.paper.channel_attention import ChannelAttention  # noqa: E402
from aadn.models.paper.distillation import (  # noqa: E402
    AttentionedDistillationModule,
    DistillationModule,
)
from aadn.models.paper.geometry_aware import (  # noqa: E402
    EPSILON,
    GeometryAwareModule,
    normalise,
    signed_sqrt,
)
from aadn.models.paper.low_rank import LowRankModule, nuclear_norm  # noqa: E402
from aadn.models.paper.odn import Odn  # noqa: E402
from aadn.models.paper.resnet import Trunk  # noqa: E402
from aadn.models.paper.resnet18 import Resnet18  # noqa: E402
from aadn.models.paper.spatial_attention import SpatialAttention  # noqa: E402
from aadn.models.registry import Order  # noqa: E402
from aadn.paper.cost import count  # noqa: E402

NETWORKS = [Resnet18, Odn, Aadn]
ORDERS = get_args(Order)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def images(batch: int = 2, size: int = 64) -> Any:
    return torch.randn(batch, 3, size, size)


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def array(x: Any) -> Any:
    return x.detach().double().numpy()


# Shapes and wiring


@pytest.mark.parametrize("landmarks", [19, 29, 68, 98])
@pytest.mark.parametrize("network", NETWORKS)
def test_shapes(network: Callable[..., Any], landmarks: int) -> None:
    out = network(landmarks, size=64).eval()(images())
    assert out.points.shape == (2, landmarks, 2)
    assert out.visibility.shape == (2, landmarks)
    assert out.heatmaps is None
    if network is Resnet18:
        assert out.visible_map is None
    else:
        assert out.visible_map.shape == (2, 2, 2)
        assert ((out.visible_map >= 0) & (out.visible_map <= 1)).all()


def test_paper_size() -> None:
    network = Aadn(68).eval()
    with torch.no_grad():
        assert network.trunk(images(1, 224)).shape == (1, 512, 7, 7)
        visible_map = network(images(1, 224)).visible_map
    assert visible_map is not None
    assert visible_map.shape == (1, 7, 7)


@pytest.mark.parametrize("network", NETWORKS)
def test_starts_at_the_mean_shape(network: Callable[..., Any]) -> None:
    mean = torch.rand(29, 2)
    near = network(29, size=64, mean_shape=mean).eval()(images()).points
    assert (near - mean).abs().max() < 0.2
    middle = network(29, size=64).eval()(images()).points
    assert (middle - 0.5).abs().max() < 0.2


@pytest.mark.parametrize("network", NETWORKS)
def test_wrong_input(network: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match="multiple of 32"):
        network(29, size=100)
    with pytest.raises(InputError, match="mean_shape"):
        network(29, size=64, mean_shape=torch.zeros(68, 2))
    with pytest.raises(InputError, match=r"\(B, 3, 64, 64\)"):
        network(29, size=64)(images(1, 96))


def test_wrong_choice() -> None:
    with pytest.raises(InputError, match="order"):
        AttentionedDistillationModule(16, order="twice")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="divide"):
        ChannelAttention(16, 3)
    with pytest.raises(InputError, match="odd"):
        SpatialAttention(4)
    with pytest.raises(InputError, match="layer4_blocks"):
        Trunk(3)


def step(network: Any) -> None:
    out = network(images(4))
    (out.points.square().sum() + out.visibility.square().sum()).add(
        network.regularisation()
    ).backward()


@pytest.mark.parametrize("network", NETWORKS)
def test_every_parameter_learns(network: Callable[..., Any]) -> None:
    module = network(29, size=64)
    step(module)
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


ABLATIONS: list[dict[str, Any]] = [
    {"geometry": False},
    {"distillation": False},
    {"low_rank": False},
    {"rank": 16},
    {"geometry": False, "distillation": False, "low_rank": False},
]


@pytest.mark.parametrize("options", [*ABLATIONS, *({"order": order} for order in ORDERS)], ids=str)
def test_ablations(options: dict[str, Any]) -> None:
    for network in [Aadn] if "order" in options else [Odn, Aadn]:
        module = network(19, size=64, **options)
        step(module)
        assert all(p.grad is not None for p in module.parameters())
        without = not options.get("distillation", True)
        assert (module.eval()(images()).visible_map is None) == without
        assert (module.regularisation() == 0) == (not options.get("low_rank", True))


def test_the_rank_is_that_of_m() -> None:
    regression = Odn(19, size=64, rank=16).regression
    assert isinstance(regression, LowRankModule)
    assert regression.m.out_features == 16
    with pytest.raises(InputError, match="a rank K of at least 1, got 0"):
        Odn(19, size=64, rank=0)


def test_odn_and_aadn_differ_in_the_distillation_module_alone() -> None:
    def shapes(network: Any) -> dict[str, Any]:
        return {
            name: tensor.shape
            for name, tensor in network.state_dict().items()
            if not name.startswith("distillation.")
        }

    assert shapes(Odn(29, size=64)) == shapes(Aadn(29, size=64))


def test_visibility_does_not_pass_through_m() -> None:
    network = Aadn(19, size=64)
    network(images()).visibility.sum().backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is None for p in network.regression.parameters())
    assert next(network.trunk.parameters()).grad is not None


def test_heatmap_network_starts_with_a_small_uncertainty() -> None:
    module = HeatmapAadn(19, size=64, layout=replace(LAYOUTS["whole"], width=16)).eval()
    uncertainty = module(images()).uncertainty
    assert uncertainty is not None
    assert uncertainty.shape == module(images()).points.shape[:2]
    assert ((uncertainty > 0.015) & (uncertainty < 0.025)).all()
    module.spread.bias.data.fill_(-1e3)  # however sure it is, the loss stays finite
    torch.testing.assert_close(
        module(images()).uncertainty, torch.full_like(uncertainty, LEAST_UNCERTAINTY)
    )


# Completion of shape


def completion(landmarks: int = 19) -> tuple[ShapeCompletion, Any, Any, Any]:
    """One with random weights in every layer; and points, visibility and uncertainty of 4 faces."""
    module = ShapeCompletion(landmarks, torch.randn(landmarks, 2)).eval()
    for layer in (module.linear, module.shift):
        torch.nn.init.normal_(layer.weight, std=0.05)
    turn = torch.tensor([[0.2, 0.1], [0.1, -0.2], [-0.2, 0.0], [0.1, 0.1]])
    points = rotated(module.mean + 0.1 * torch.randn(4, landmarks, 2), turn) + 0.5
    return module, points, torch.rand(4, landmarks), 0.05 * torch.rand(4, landmarks)


def test_an_untrained_completion_leaves_the_points() -> None:
    module = ShapeCompletion(19)
    shifts = module(torch.rand(2, 19, 2), torch.rand(2, 19), torch.rand(2, 19))
    assert torch.equal(shifts, torch.zeros(2, 19, 2))
    collapsed = module(torch.full((1, 19, 2), 0.5), torch.zeros(1, 19), torch.rand(1, 19))
    assert torch.equal(collapsed, torch.zeros(1, 19, 2))


def test_completion_turns_and_scales_with_the_face() -> None:
    module, points, visibility, uncertainty = completion()
    shifts = module(points, visibility, uncertainty)
    assert shifts.abs().max() > 0.01
    turn = torch.tensor([1.5, 0.6]).expand(4, 2)
    other = rotated(points, turn) + torch.tensor([0.3, -0.1])
    size = float(torch.linalg.vector_norm(turn[0]))
    torch.testing.assert_close(
        module(other, visibility, uncertainty * size), rotated(shifts, turn), rtol=1e-3, atol=1e-5
    )


def test_completion_tells_where_a_hidden_landmark_lies_from_the_seen_ones() -> None:
    # Of these faces the last landmark lies as far off the mean as the first, the other way.
    mean = torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1], [0, 0.5], [0, -0.5]])

    def faces(count: int) -> tuple[Any, Any, Any]:
        truth = mean + 0.05 * torch.randn(count, 6, 2)
        truth[:, 5] = mean[5] - (truth[:, 0] - mean[0])
        guess = truth.clone()
        guess[:, 5] = mean[5]
        visibility = torch.ones(count, 6)
        visibility[:, 5] = 0
        return 0.2 * guess + 0.5, visibility, 0.2 * truth + 0.5

    module = ShapeCompletion(6, mean, width=16, dropout=0.0)
    optimiser = torch.optim.Adam(module.parameters(), lr=3e-3)
    for _ in range(300):
        guess, visibility, truth = faces(64)
        loss = (guess + module(guess, visibility, torch.zeros(64, 6)) - truth).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    guess, visibility, truth = faces(256)
    completed = guess + module.eval()(guess, visibility, torch.zeros(256, 6))
    before, after = ((p - truth)[:, 5].norm(dim=1).mean() for p in (guess, completed))
    assert after < 0.5 * before


def test_completion_takes_seen_and_hidden_points_apart() -> None:
    module, points, _, uncertainty = completion()
    seen, hidden = torch.ones(4, 19), torch.zeros(4, 19)
    torch.nn.init.zeros_(module.shift.weight)
    module.linear.weight.data[:, 2 * 19 :] = 0  # only of what is seen
    assert module(points, seen, uncertainty).abs().max() > 0.01
    assert torch.equal(module(points, hidden, uncertainty), torch.zeros(4, 19, 2))


def test_a_landmark_that_no_face_has_is_taken_for_the_middle() -> None:
    mean = torch.tensor([[-1.0, 0], [1, 0], [0, 3], [torch.nan, torch.nan]])
    module = ShapeCompletion(4, mean)
    torch.testing.assert_close(module.mean[3], torch.zeros(2))
    assert torch.isfinite(module.mean).all()
    with pytest.raises(InputError, match=r"mean_shape must be \(29, 2\)"):
        HeatmapAadn(29, size=64, mean_shape=torch.zeros(68, 2))


def test_the_mean_face_is_fitted_by_what_is_seen() -> None:
    shape = torch.randn(5, 2)
    turn, centre = torch.tensor([[0.3, -0.4]]), torch.tensor([[0.2, 0.7]])
    points = rotated(shape[None], turn) + centre
    found = fit_similarity(shape, points, torch.rand(1, 5) + 0.1)
    torch.testing.assert_close(found, (centre, turn))
    points[0, 4] += 100  # far off, and of next to no weight
    near = fit_similarity(shape, points, torch.tensor([[1.0, 1, 1, 1, 1e-7]]))
    torch.testing.assert_close(near, (centre, turn), rtol=1e-3, atol=1e-3)


def test_the_points_do_not_bend_what_is_known_of_them() -> None:
    module = HeatmapAadn(19, size=64, layout=replace(LAYOUTS["whole"], width=16))
    torch.nn.init.normal_(module.shape.linear.weight)
    module(images()).points.sum().backward()  # type: ignore[no-untyped-call]
    assert module.visibility.weight.grad is None
    assert module.spread.weight.grad is None
    assert module.heatmap.weight.grad is not None


# Equations


def channel_attention_by_hand(module: ChannelAttention, f: Any) -> Any:
    w0, w1 = array(module.squeeze.weight), array(module.excite.weight)
    out = np.empty_like(f)
    for i, x in enumerate(f):
        average = w1 @ np.maximum(w0 @ x.mean(axis=(1, 2)), 0)
        maximum = w1 @ np.maximum(w0 @ x.max(axis=(1, 2)), 0)
        out[i] = sigmoid(average + maximum)[:, None, None] * x
    return out


def spatial_attention_by_hand(module: SpatialAttention, z: Any) -> Any:
    kernel = array(module.conv.weight)[0]  # (2, k, k)
    half = kernel.shape[1] // 2
    out = np.empty_like(z)
    for i, x in enumerate(z):
        pair = np.stack([x.mean(axis=0), x.max(axis=0)])
        padded = np.pad(pair, [(0, 0), (half, half), (half, half)])
        for row in range(x.shape[1]):
            for column in range(x.shape[2]):
                window = padded[:, row : row + 2 * half + 1, column : column + 2 * half + 1]
                out[i, :, row, column] = sigmoid((window * kernel).sum()) * x[:, row, column]
    return out


def test_channel_attention_eq_3() -> None:
    module, f = ChannelAttention(16, 4).double(), torch.randn(2, 16, 5, 6, dtype=torch.double)
    np.testing.assert_allclose(array(module(f)), channel_attention_by_hand(module, array(f)))


def test_spatial_attention_eq_4() -> None:
    module, z = SpatialAttention(7).double(), torch.randn(2, 16, 5, 6, dtype=torch.double)
    np.testing.assert_allclose(array(module(z)), spatial_attention_by_hand(module, array(z)))


@pytest.mark.parametrize("order", ORDERS)
def test_attentioned_distillation_eq_2(order: Order) -> None:
    module = AttentionedDistillationModule(16, 4, order).double().eval()
    f = torch.randn(2, 16, 5, 6, dtype=torch.double)
    clean, seen = module(f)

    def channel(x: Any) -> Any:
        assert isinstance(module.channel, ChannelAttention)
        return channel_attention_by_hand(module.channel, x)

    def spatial(x: Any) -> Any:
        assert isinstance(module.spatial, SpatialAttention)
        return spatial_attention_by_hand(module.spatial, x)

    x = array(f)
    attended = {
        "channel-spatial": lambda: spatial(channel(x)),
        "spatial-channel": lambda: channel(spatial(x)),
        "parallel": lambda: channel(x) + spatial(x),
        "channel": lambda: channel(x),
        "spatial": lambda: spatial(x),
        "none": lambda: np.zeros_like(x),
    }[order]()
    assert seen.shape == (2, 5, 6)
    np.testing.assert_allclose(array(clean), (attended + x) * array(seen)[:, None])


def test_distillation_masks_pathway_c() -> None:
    module = DistillationModule(16).eval()
    f = torch.randn(2, 16, 5, 6)
    clean, seen = module(f)
    torch.testing.assert_close(clean, module.features(f) * module.occlusion(f))
    torch.testing.assert_close(seen, module.occlusion(f)[:, 0])


def test_geometry_aware_against_a_loop() -> None:
    module, f = GeometryAwareModule(8, 3).double().eval(), torch.randn(2, 8, 4, 5).double()
    a, b = array(module.a(f)), array(module.b(f))
    for i, got in enumerate(array(module(f))):
        g = np.zeros((3, 3))
        for row in range(4):
            for column in range(5):
                g += np.outer(a[i, :, row, column], b[i, :, row, column]) / 20
        root = np.sign(g) * (np.sqrt(np.abs(g) + EPSILON) - np.sqrt(EPSILON))
        expected = root / np.sqrt((root**2).sum() + EPSILON)
        np.testing.assert_allclose(got, expected.ravel())


def test_signed_sqrt_and_normalise() -> None:
    x = torch.tensor([-4.0, 0.0, 9.0])
    torch.testing.assert_close(signed_sqrt(x), torch.tensor([-2.0, 0.0, 3.0]), atol=0.02, rtol=0)
    assert normalise(100 * x).norm().item() == pytest.approx(1, abs=1e-4)
    y = torch.tensor([[-1.0, -1e-3, 0.0, 2.0]], dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: normalise(signed_sqrt(t)), y, eps=1e-8)


@pytest.mark.parametrize("fill", [0.0, 1e-20])
def test_geometry_aware_gradient_at_zero(fill: float) -> None:
    g = torch.full((2, 9), fill, requires_grad=True)
    assert torch.autograd.grad(normalise(signed_sqrt(g)).sum(), g)[0].isfinite().all()
    module = GeometryAwareModule(8, 3)
    f = torch.zeros(2, 8, 4, 4, requires_grad=True)
    assert torch.autograd.grad(module(f).sum(), f)[0].isfinite().all()


# Low rank


@pytest.mark.parametrize("shape", [(40, 6), (6, 40), (5, 5)])
def test_nuclear_norm_against_svd(shape: tuple[int, int]) -> None:
    m = torch.randn(shape, dtype=torch.double, requires_grad=True)
    got, expected = nuclear_norm(m), torch.linalg.svdvals(m).sum()
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(
        torch.autograd.grad(got, m)[0], torch.autograd.grad(expected, m)[0], rtol=1e-6, atol=1e-8
    )
    assert torch.autograd.gradcheck(nuclear_norm, m)


def test_nuclear_norm_by_hand() -> None:
    assert nuclear_norm(torch.tensor([[3.0, 0.0], [0.0, -4.0], [0.0, 0.0]])).item() == 7.0


@pytest.mark.parametrize("rank", [0, 1, 3])
def test_nuclear_norm_of_deficient_rank(rank: int) -> None:
    m = (torch.randn(50, rank) @ torch.randn(rank, 8)).requires_grad_()
    norm = nuclear_norm(m)
    (gradient,) = torch.autograd.grad(norm, m)
    assert norm.item() == pytest.approx(torch.linalg.svdvals(m.double()).sum().item(), rel=1e-4)
    assert gradient.isfinite().all()
    assert torch.linalg.matrix_norm(gradient, 2) <= 1 + 1e-4  # a subgradient of the nuclear norm


def test_nuclear_norm_under_autocast() -> None:
    m = torch.randn(200, 16, requires_grad=True)
    expected = torch.autograd.grad(nuclear_norm(m), m)[0]
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(torch.autograd.grad(nuclear_norm(m), m)[0], expected)
    half = m.detach().bfloat16().requires_grad_()
    (gradient,) = torch.autograd.grad(nuclear_norm(half), half)
    torch.testing.assert_close(gradient.float(), expected, atol=0.02, rtol=0.1)


def test_low_rank_is_two_matrices_eq_1() -> None:
    module, x = LowRankModule(30, 4, 10).double(), torch.randn(3, 30).double()
    m = module.m.weight.T
    expected = x @ m @ module.fc.weight.T + module.fc.bias
    torch.testing.assert_close(module(x), expected)
    assert torch.linalg.matrix_rank(module.folded().weight) == 4
    torch.testing.assert_close(module.folded()(x), expected.detach())
    torch.testing.assert_close(module.nuclear_norm(), torch.linalg.svdvals(m).sum())


# Use


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("landmarks", [19, 68])
def test_folded_is_the_same(network: Callable[..., Any], landmarks: int) -> None:
    module = network(landmarks, size=64)
    module(images(4))  # batch statistics other than the initial ones
    module.eval()
    folded = module.folded()
    x = images()
    for got, expected in zip(folded(x), module(x), strict=True):
        if expected is None:
            assert got is None
        else:
            torch.testing.assert_close(got, expected.detach(), rtol=1e-4, atol=1e-5)
    assert count(folded) == 0
    assert count(module) > 0
    if network is not Resnet18:
        assert isinstance(folded.regression, LowRankModule) == (landmarks == 68)


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_channels_last_and_bfloat16(network: Callable[..., Any]) -> None:
    module, x = network(19, size=64).eval(), images()
    with torch.no_grad():
        expected = module(x)
        module = module.to(memory_format=torch.channels_last)
        x = x.to(memory_format=torch.channels_last)
        torch.testing.assert_close(module(x).points, expected.points, rtol=1e-4, atol=1e-5)
    module.train()
    with torch.autocast("cpu", torch.bfloat16):
        out = module(images(4))
        assert out.points.dtype == out.visibility.dtype == torch.float32
        loss = out.points.square().sum() + out.visibility.sum() + module.regularisation()
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


# ImageNet weights


def torchvision_shapes() -> dict[str, tuple[int, ...]]:
    """ResNet-18's state dictionary, written down from torchvision's rule."""

    def norm(name: str, channels: int) -> dict[str, tuple[int, ...]]:
        four = ("weight", "bias", "running_mean", "running_var")
        return {f"{name}.{key}": (channels,) for key in four} | {f"{name}.num_batches_tracked": ()}

    shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (64, 3, 7, 7)} | norm("bn1", 64)
    for layer, (before, after) in enumerate([(64, 64), (64, 128), (128, 256), (256, 512)], 1):
        for block in range(2):
            name = f"layer{layer}.{block}"
            first = before if block == 0 else after
            shapes |= {f"{name}.conv1.weight": (after, first, 3, 3)} | norm(f"{name}.bn1", after)
            shapes |= {f"{name}.conv2.weight": (after, after, 3, 3)} | norm(f"{name}.bn2", after)
            if block == 0 and layer > 1:
                shapes[f"{name}.downsample.0.weight"] = (after, before, 1, 1)
                shapes |= norm(f"{name}.downsample.1", after)
    return shapes | {"fc.weight": (1000, 512), "fc.bias": (1000,)}


def torchvision_state() -> dict[str, Any]:
    return {
        key: torch.zeros(shape, dtype=torch.long)
        if key.endswith("num_batches_tracked")
        else torch.rand(shape)
        for key, shape in torchvision_shapes().items()
    }


def trunk_keys(trunk: Any) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in trunk.state_dict().items()}


def test_trunk_has_torchvisions_keys() -> None:
    shapes = torchvision_shapes()
    assert len(shapes) == 122
    full = {key: shape for key, shape in shapes.items() if not key.startswith("fc.")}
    assert trunk_keys(Trunk(layer4_blocks=2)) == full
    paper = {key: shape for key, shape in full.items() if not key.startswith("layer4.1.")}
    assert trunk_keys(Trunk()) == paper


@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("counters", [True, False])
def test_load_trunk(tmp_path: Path, blocks: int, suffix: str, counters: bool) -> None:
    state = torchvision_state()
    if not counters:
        state = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    path = tmp_path / f"resnet18{suffix}"
    if suffix == ".pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    trunk = Trunk(blocks)
    result = pretrained.load_trunk(trunk, path)
    assert result is not None
    assert str(path) in result
    for key, value in trunk.state_dict().items():
        if key in state:
            assert torch.equal(value, state[key]), key


def test_no_weights() -> None:
    trunk = Trunk()
    before = trunk.conv1.weight.clone()
    assert pretrained.load_trunk(trunk, None) is None
    assert torch.equal(trunk.conv1.weight, before)


def change(state: dict[str, Any], how: str) -> None:
    if how == "missing":
        del state["layer2.0.downsample.0.weight"]
    elif how == "unexpected":
        state["layer5.0.conv1.weight"] = torch.zeros(1)
    else:
        state["conv1.weight"] = torch.zeros(64, 1, 7, 7)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing", "missing layer2.0.downsample.0.weight"),
        ("unexpected", "unexpected layer5.0.conv1.weight"),
        ("shape", r"conv1.weight is \(64, 1, 7, 7\), expected \(64, 3, 7, 7\)"),
    ],
)
def test_other_network(tmp_path: Path, how: str, message: str) -> None:
    state, trunk = torchvision_state(), Trunk()
    before = trunk.bn1.weight.clone()
    change(state, how)
    save_file(state, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match=message):
        pretrained.load_trunk(trunk, tmp_path / "other.safetensors")
    assert torch.equal(trunk.bn1.weight, before)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("length", [0, 5, 2000, -100])
def test_cut_file(tmp_path: Path, suffix: str, length: int) -> None:
    state, path = {"conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / f"cut{suffix}"
    if suffix == ".pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(WeightsError, match="cannot be read"):
        pretrained.load_trunk(Trunk(), path)


class Malice:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("save", [torch.save, lambda x, path: path.write_bytes(pickle.dumps(x))])
def test_malicious_pickle(tmp_path: Path, save: Callable[[Any, Path], Any]) -> None:
    path, target = tmp_path / "evil.pth", tmp_path / "touched"
    save({"conv1.weight": Malice(target)}, path)
    with pytest.raises(WeightsError, match="unsafe"):
        pretrained.load_trunk(Trunk(), path)
    assert not target.exists()


def test_no_file_and_no_dictionary(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no weights file"):
        pretrained.load_trunk(Trunk(), tmp_path / "none.pth")
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match="dictionary"):
        pretrained.load_trunk(Trunk(), tmp_path / "list.pth")


def test_fetch_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    def fetch(url: str, **options: Any) -> Any:
        calls.append((url, options["weights_only"]))
        return torchvision_state()

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", fetch)
    assert pretrained.URL in (pretrained.load_trunk(Trunk(), "resnet18") or "")
    assert calls == [(pretrained.URL, True)]

    def offline(url: str, **options: Any) -> Any:
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    with pytest.raises(WeightsError, match=r"no route to host.*give its path"):
        pretrained.load_trunk(Trunk(), "resnet18")

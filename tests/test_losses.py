"""Each term of the loss against a value computed by hand, and its gradient."""

import dataclasses
import math
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from aadn.errors import InputError  # noqa: E402
from aadn.models.default.heatmap import soft_argmax  # noqa: E402
from aadn.models.prediction import Prediction  # noqa: E402
from aadn.training.config import LossWeights  # noqa: E402
from aadn.training.losses import (  # noqa: E402
    SIGMA,
    heatmap_loss,
    squared_error,
    total_loss,
    uncertainty_loss,
    visible_map_loss,
)

NAN = math.nan
ZERO = dict.fromkeys(dataclasses.asdict(LossWeights()), 0.0)


def call(
    prediction: Prediction,
    points: object,
    visible: object,
    turned: object = None,
    **weights: float,
) -> float:
    unknown = torch.full_like(prediction.visibility, NAN)
    maps = torch.ones(len(prediction.points), 4, 4)
    loss, _ = total_loss(
        prediction,
        torch.tensor(points),
        torch.tensor(visible),
        unknown if turned is None else torch.tensor(turned),
        maps,
        maps,
        torch.tensor(7.0),
        {**ZERO, **weights},
    )
    return float(loss)


def test_eq_1_by_hand() -> None:
    # Two faces of two points; errors (3, 4) and (0, 1), then (1, 1) and none.
    error = torch.tensor([[[3.0, 4.0], [0.0, 1.0]], [[1.0, 1.0], [0.0, 0.0]]])
    assert float(squared_error(error)) == pytest.approx(((25 + 1) + (2 + 0)) / 2)
    prediction = Prediction(error, torch.zeros(2, 2))
    points = [[[0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]]
    got = call(prediction, points, [[1.0, 1.0]] * 2, squared=1, nuclear=0.5)
    assert got == pytest.approx(14 + 3.5)


def test_unlabelled_points_do_not_count() -> None:
    prediction = Prediction(torch.tensor([[[1.0, 1.0], [9.0, 9.0]]]), torch.zeros(1, 2))
    points = [[[0.0, 0.0], [NAN, NAN]]]
    assert call(prediction, points, [[1.0, NAN]], squared=1) == pytest.approx(2)
    assert call(prediction, points, [[1.0, NAN]], absolute=1) == pytest.approx(1)


def test_visibility_is_cross_entropy_over_the_known() -> None:
    prediction = Prediction(torch.zeros(1, 3, 2), torch.tensor([[2.0, -1.0, 5.0]]))
    got = call(prediction, [[[0.0, 0.0]] * 3], [[1.0, 0.0, NAN]], visibility=1)
    sigmoid = [1 / (1 + math.exp(-2)), 1 / (1 + math.exp(1))]
    assert got == pytest.approx(-(math.log(sigmoid[0]) + math.log(1 - sigmoid[1])) / 2, rel=1e-5)


def test_soft_argmax_finds_a_peak_in_crop_units() -> None:
    heatmaps = torch.full((1, 1, 8, 8), -50.0)
    heatmaps[0, 0, 2, 5] = 50
    assert soft_argmax(heatmaps)[0, 0].tolist() == pytest.approx([5.5 / 8, 2.5 / 8])
    heatmaps[0, 0, 2, 6] = 50
    assert soft_argmax(heatmaps)[0, 0].tolist() == pytest.approx([6 / 8, 2.5 / 8])


def test_heatmap_loss_is_lowest_for_the_gaussian_itself() -> None:
    point = torch.tensor([[[0.4, 0.6]]])
    x = torch.arange(16) + 0.5
    squared = (x[None, :] - 0.4 * 16) ** 2 + (x[:, None] - 0.6 * 16) ** 2
    ideal = (-0.5 * squared / SIGMA**2)[None, None]
    labelled = torch.ones(1, 1, dtype=torch.bool)
    lowest = float(heatmap_loss(ideal, point, labelled))
    entropy = 1 + math.log(2 * math.pi * SIGMA**2)
    assert lowest == pytest.approx(entropy, abs=0.02)
    assert float(heatmap_loss(ideal.roll(1, 3), point, labelled)) > lowest + 0.3
    nothing = torch.zeros(1, 1, dtype=torch.bool)
    assert float(heatmap_loss(ideal, point, nothing)) == 0


def test_heatmap_beyond_the_map_does_not_count() -> None:
    labelled = torch.ones(1, 1, dtype=torch.bool)
    point = torch.tensor([[[1.4, 0.5]]])
    assert float(heatmap_loss(torch.randn(1, 1, 16, 16), point, labelled)) == 0


def test_visible_map_loss_by_hand() -> None:
    predicted = torch.tensor([[[0.9, 0.2], [0.5, 0.5]]])
    true = torch.tensor([[[1.0, 0.0], [1.0, 1.0]]]).repeat_interleave(2, 1).repeat_interleave(2, 2)
    face = torch.tensor([[[1.0, 1.0], [0.0, 0.0]]]).repeat_interleave(2, 1).repeat_interleave(2, 2)
    expected = -(math.log(0.9) + math.log(0.8)) / 2
    assert float(visible_map_loss(predicted, face, true)) == pytest.approx(expected, rel=1e-5)


def test_uncertainty_is_the_likelihood_of_an_exponential_distribution() -> None:
    # Errors (3, 4) and (0, 2), of which 2 and 4 were expected; the third is not labelled.
    points = torch.tensor([[[3.0, 4.0], [0.0, 2.0], [9.0, 9.0]]], requires_grad=True)
    expected = torch.tensor([[2.0, 4.0, 7.0]], requires_grad=True)
    prediction = Prediction(points, torch.zeros(1, 3), uncertainty=expected)
    truth = [[[0.0, 0.0], [0.0, 0.0], [NAN, NAN]]]
    with torch.no_grad():
        got = call(prediction, truth, [[1.0, 1.0, NAN]], uncertainty=0.5)
    assert got == pytest.approx(0.5 * (math.log(2) + 5 / 2 + math.log(4) + 2 / 4) / 2)
    # A network without that head has no such term.
    assert call(Prediction(points, torch.zeros(1, 3)), truth, [[1.0] * 3], uncertainty=1) == 0
    labelled = torch.tensor([[True, True, False]])
    uncertainty_loss(expected, points, labelled).backward()  # type: ignore[no-untyped-call]
    assert points.grad is None  # the points are not moved by it
    assert expected.grad is not None
    # d/db (log b + d/b) = 1/b - d/b², over two landmarks
    wanted = [(1 / 2 - 5 / 4) / 2, (1 / 4 - 2 / 16) / 2, 0]
    assert expected.grad[0].tolist() == pytest.approx(wanted)
    none = torch.zeros(1, 3, dtype=torch.bool)
    assert float(uncertainty_loss(expected, points, none).detach()) == 0


def test_uncertainty_is_lowest_at_the_mean_distance() -> None:
    error = torch.tensor([[[1.0, 0.0], [0.0, 3.0], [3.0, 4.0]]])  # 1, 3 and 5: 3 on average
    labelled = torch.ones(1, 3, dtype=torch.bool)
    at = [float(uncertainty_loss(torch.full((1, 3), b), error, labelled)) for b in (2.8, 3, 3.2)]
    assert at[1] < min(at[0], at[2])


def test_gradients_agree_with_differences() -> None:
    torch.manual_seed(0)
    heatmaps = torch.randn(1, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    points = torch.rand(1, 3, 2, dtype=torch.float64) * 0.6 + 0.2
    labelled = torch.tensor([[True, True, False]])
    assert torch.autograd.gradcheck(lambda h: heatmap_loss(h, points, labelled), heatmaps)
    assert torch.autograd.gradcheck(lambda h: soft_argmax(h).square().sum(), heatmaps)


def test_weights_fill_in_the_networks_own() -> None:
    assert LossWeights(nuclear=0.1).for_model("aadn") == ZERO | {
        "squared": 1.0, "nuclear": 0.1, "visibility": 0.05
    }  # fmt: skip
    assert LossWeights(visibility=0.0).for_model("heatmap")["visibility"] == 0
    assert LossWeights().for_model("heatmap")["uncertainty"] == 0.05


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("resnet18", {"heatmap": 3.0}, "--loss.heatmap means nothing for resnet18"),
        ("resnet18", {"nuclear": 2.0}, "--loss.nuclear means nothing for resnet18"),
        ("heatmap", {"nuclear": 2.0}, "--loss.nuclear means nothing for heatmap"),
        ("aadn", {"uncertainty": 1.0}, "--loss.uncertainty means nothing for aadn"),
        ("heatmap", {"visible_map": -1.0}, "expected --loss.visible-map of 0 or more"),
        ("heatmap", {"absolute": float("nan")}, "expected --loss.absolute of 0 or more"),
    ],
)
def test_weights_that_mean_nothing(name: Any, weights: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        LossWeights(**weights).check(name)


def test_weights_that_a_network_may_have() -> None:
    LossWeights(nuclear=0.0, squared=1.0).check("heatmap")
    LossWeights(visible_map=0.3, absolute=1.0, nuclear=1e-4).check("odn")

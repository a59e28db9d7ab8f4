"""Heads fitted to landmarks, and what they hide of themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

pytest.importorskip("torch")

from heads import BALL, FLIP, head_file

from aadn.errors import InputError
from aadn.measures.head_fit import STEADY, fit_head, rotation_of
from aadn.training.head import HeadModel
from aadn.training.self_occlusion import SelfOcclusion


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> HeadModel:
    return HeadModel.load(head_file(tmp_path_factory.mktemp("head") / "head.npz"))


@pytest.fixture(scope="module")
def occlusion(model: HeadModel) -> SelfOcclusion:
    return SelfOcclusion(model)


def seen_from(
    model: HeadModel, yaw: float, pitch: float = 0.0, roll: float = 0.0
) -> NDArray[np.float64]:
    """The landmarks' pixels of a head, turned by degrees."""
    turn = rotation_of(np.array([0, 0, -np.radians(roll)])) @ rotation_of(
        np.array([-np.radians(pitch), 0, 0])
    )
    turn = turn @ rotation_of(np.array([0, np.radians(yaw), 0]))
    points = model.neutral[model.landmarks] @ turn.T
    return np.asarray(points[:, :2] * [6, -6] + [200, 150])


@settings(max_examples=25, deadline=None)
@given(st.floats(-70, 70), st.floats(-25, 25), st.floats(-40, 40))
def test_the_pose_of_a_head_is_found(
    model: HeadModel, yaw: float, pitch: float, roll: float
) -> None:
    fit = fit_head(model.points, seen_from(model, yaw, pitch, roll))
    assert fit is not None
    # A shape explains a little of it.
    np.testing.assert_allclose(fit.angles, [yaw, pitch, roll], atol=5)
    assert fit.scale == pytest.approx(6, rel=0.06)
    assert fit.residual < 0.01


def test_a_few_wrong_points_do_not_turn_the_head(model: HeadModel) -> None:
    points = seen_from(model, 30)
    points[[20, 40, 55]] += [25, -30]
    points[[30, 31]] = np.nan
    fit = fit_head(model.points, points)
    assert fit is not None
    assert fit.angles[0] == pytest.approx(30, abs=6)


def test_a_head_is_fitted_to_enough_points_only(model: HeadModel, occlusion: SelfOcclusion) -> None:
    points = seen_from(model, 0)
    points[list(STEADY[11:])] = np.nan
    assert fit_head(model.points, points) is None
    assert np.isnan(occlusion.turned(points)).all()


def test_a_ball_hides_its_far_side(model: HeadModel, occlusion: SelfOcclusion) -> None:
    assert not np.nansum(occlusion.turned(seen_from(model, 0)))
    turned = occlusion.turned(seen_from(model, 50))
    # It looks to the picture's right: what was there is behind its edge. Far from that the answer
    # is sure.
    turn = rotation_of(np.array([0, np.radians(50), 0]))
    depth = (model.neutral[model.landmarks] @ turn.T)[:, 2]
    lips = np.arange(68) >= 60  # take the state of other landmarks
    assert (turned[(depth < -0.4 * BALL) & ~lips] == 1).all()
    assert (turned[(depth > 0.5 * BALL) & ~lips] == 0).all()
    assert np.isnan(turned).any()


@settings(max_examples=20, deadline=None)
@given(st.floats(-90, 90), st.floats(-30, 30))
def test_a_mirrored_pose_hides_the_mirrored_landmarks(
    occlusion: SelfOcclusion, yaw: float, pitch: float
) -> None:
    if abs(yaw) > 1e-3:
        np.testing.assert_array_equal(occlusion.at(yaw, pitch)[FLIP], occlusion.at(-yaw, pitch))


def test_a_face_that_looks_into_the_camera_is_seen_whole(occlusion: SelfOcclusion) -> None:
    assert (occlusion.at(3, 2) == 0).all()


@pytest.mark.parametrize(
    "changes",
    [
        {"landmarks68": np.arange(5)},
        {"quads": np.array([[0, 1, 2, 10**6]])},
        {"expression_names": np.array(["smile"])},
        {"neutral": np.zeros((3, 3))},
    ],
)
def test_other_files_are_no_head(tmp_path: Path, changes: dict[str, NDArray[Any]]) -> None:
    with pytest.raises(InputError, match=r"expected a head model, an \.npz with neutral"):
        HeadModel.load(head_file(tmp_path / "a.npz", **changes))
    (tmp_path / "b.npz").write_bytes(b"no archive")
    with pytest.raises(InputError, match="expected a head model"):
        HeadModel.load(tmp_path / "b.npz")


def test_a_real_head_agrees_with_people(shared_data: Path) -> None:
    """MERL-RAV's people: brows, eyes, nose and mouth of half profiles, turned away or not."""
    occlusion = SelfOcclusion(HeadModel.load(shared_data / "face_model/ict_face.npz"))
    with np.load(shared_data / "layouts/merl_rav_labels.npz") as file:
        half = np.flatnonzero(np.char.endswith(file["pose"], "half"))[:150]
        points, hidden = file["points"][half].astype(np.float64), file["hidden_by_face"][half]
    points[hidden] = np.nan
    said = np.array([occlusion.turned(face) for face in points])[:, 17:]
    known = np.isfinite(said)
    assert known.mean() > 0.6
    assert (said[known] == hidden[:, 17:][known]).mean() > 0.93
    assert hidden[:, 17:][said == 1].mean() > 0.85

"""Augmentation: labels follow the picture, the seed decides, the device part does what it says."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from faces import drawn_face, write_faces

torch = pytest.importorskip("torch")

from aadn.data.folders import read_folders  # noqa: E402
from aadn.data.pts import read_pts, write_pts  # noqa: E402
from aadn.models.inputs import MEAN, STD  # noqa: E402
from aadn.schemes import IBUG68  # noqa: E402
from aadn.training import augment  # noqa: E402
from aadn.training.augment import MAP_CELLS, STILL, Draw, Ranges  # noqa: E402
from aadn.training.crops import CropSet, cut_crops  # noqa: E402


@pytest.fixture
def crops(tmp_path: Path) -> CropSet:
    return cut_crops(read_folders([write_faces(tmp_path, 6)]), IBUG68, 64)


LABELS = (np.ones((1, 68)), np.full((1, 68), np.nan), 1.5, np.ones(1), IBUG68)
"""All seen, unknown what is turned away, stored 1.5 times as wide and at the source's size."""


def pictures(crops: CropSet, draws: Draw, indices: list[int], epoch: int = 0) -> Any:
    batch = torch.utils.data.default_collate([draws[(epoch, i)] for i in indices])
    return augment.apply(torch.from_numpy(crops.images), batch)


def unnormalised(images: Any) -> np.ndarray:
    mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
    return np.asarray(((images * std + mean) * 255).permute(0, 2, 3, 1))


def _dots(size: int = 96) -> CropSet:
    """A crop set whose picture has a white dot at each of 68 points, black elsewhere."""
    rng = np.random.default_rng(0)
    points = np.stack([a.ravel() for a in np.meshgrid(np.arange(9), np.arange(8))], axis=1)[
        :68
    ] * 5.0 + [size / 2 - 20, size / 2 - 18]
    rng.shuffle(points)
    image = np.zeros((size, size, 3), np.uint8)
    for x, y in points.astype(int):
        image[y, x] = 255
    blurred = np.asarray(cv2.GaussianBlur(image, (3, 3), 0.8), np.uint8)
    return CropSet(
        blurred[None],
        points[None],
        np.ones((1, 68)),
        np.full((1, 68), np.nan),
        1.5,
        np.ones(1),
        IBUG68,
    )


@pytest.mark.parametrize("epoch", range(4))
def test_points_stay_on_their_dots(epoch: int) -> None:
    crops = _dots()
    draws = Draw(crops, 128, 5, Ranges(40, 0.2, 0.05, 0, 0.5, 0, 0, 0, 0), occluders=False)
    item = draws[(epoch, 0)]
    batch = torch.utils.data.default_collate([item])
    image = unnormalised(augment.apply(torch.from_numpy(crops.images), batch))[0, ..., 0]
    points = item["points"] * 128 - 0.5
    inside = ((points > 3) & (points < 124)).all(axis=1)
    assert inside.sum() > 30
    for x, y in points[inside]:
        column, row = round(float(x)), round(float(y))
        patch = image[row - 3 : row + 4, column - 3 : column + 4]
        rows, columns = np.mgrid[-3:4, -3:4]
        weight = np.clip(patch - 20, 0, None)
        assert weight.sum() > 0
        centre = (weight * columns).sum() / weight.sum() + column
        assert abs(centre - x) < 0.6
        assert abs((weight * rows).sum() / weight.sum() + row - y) < 0.6


def test_flip_swaps_left_and_right(crops: CropSet) -> None:
    plain = Draw(crops, 64, 0, STILL, occluders=False)[(0, 0)]["points"]
    mirrored = Draw(crops, 64, 0, replace(STILL, flip=1.0), occluders=False)
    points = mirrored[(0, 0)]["points"]
    expected = plain[IBUG68.flip] * [-1, 1] + [1, 0]
    np.testing.assert_allclose(points, expected, atol=1e-6)


def test_crops_know_their_scale(tmp_path: Path) -> None:
    folder = write_faces(tmp_path, 1)
    image = cv2.imread(str(folder / "face_0000.png"))
    assert image is not None
    points = read_pts(folder / "face_0000.pts")
    assert cv2.imwrite(str(folder / "large.png"), np.repeat(np.repeat(image, 2, 0), 2, 1))
    write_pts(folder / "large.pts", 2 * points + 0.5)
    crops = cut_crops(read_folders([folder]), IBUG68, 64)
    assert crops.scales[0] == pytest.approx(2 * crops.scales[1], rel=1e-4)
    across = np.ptp(points[:, 0]), np.ptp(crops.points[0, :, 0])
    assert across[1] == pytest.approx(crops.scales[0] * across[0], rel=1e-4)


@pytest.mark.parametrize("turn", [0.0, 30.0])
def test_mirrored_labels_keep_their_offset(crops: CropSet, turn: float) -> None:
    """Labels 2 source pixels to the right of the truth lie so on mirrored pictures as well."""
    scales = np.arange(len(crops.images)) / 2  # 1.5 of the fourth face
    labels = crops.points + np.array([2, 0]) * scales[:, None, None]
    ranges = replace(STILL, flip=1.0, rotation=turn)
    biased = replace(crops, points=labels, scales=scales)
    moved = Draw(biased, 64, 1, ranges, occluders=False, label_offset=2.0)[(0, 3)]
    truth = Draw(replace(crops, scales=scales), 64, 1, ranges, occluders=False)[(0, 3)]
    np.testing.assert_array_equal(moved["matrix"], truth["matrix"])
    # A step to the right in the source leads along the picture's turn, mirrored or not.
    step = np.linalg.inv(np.vstack([moved["matrix"], [0, 0, 1]]).astype(float))[:2, 0]
    offset = -step * 2 * 1.5 / 64
    assert offset[0] > 0
    np.testing.assert_allclose(
        moved["points"] - truth["points"], np.tile(offset, (68, 1)), atol=1e-6
    )
    plain = Draw(biased, 64, 1, replace(ranges, flip=0.0), occluders=False, label_offset=2.0)
    kept = Draw(biased, 64, 1, replace(ranges, flip=0.0), occluders=False)
    np.testing.assert_array_equal(plain[(0, 3)]["points"], kept[(0, 3)]["points"])


def test_what_is_unknown_stays_unknown_until_it_is_covered(crops: CropSet) -> None:
    visible = np.ones_like(crops.visible)
    visible[:, :34] = np.nan
    draws = Draw(replace(crops, visible=visible), 64, 3, STILL)
    seen = np.stack([draws[(e, e % 6)]["visible"] for e in range(20)])
    assert not (seen[:, :34] == 1).any()
    assert np.isnan(seen[:, :34]).any()
    assert (seen[:, :34] == 0).any()
    assert np.isfinite(seen[:, 34:]).all()


def test_the_map_follows_what_a_picture_hides_and_what_is_unknown(crops: CropSet) -> None:
    plain = Draw(crops, 64, 0, STILL, occluders=False)[(0, 0)]
    visible = np.ones_like(crops.visible)
    visible[:, 30], visible[:, 57] = 0, np.nan  # the nose's tip and the lower lip
    item = Draw(replace(crops, visible=visible), 64, 0, STILL, occluders=False)[(0, 0)]
    cells = (item["points"] * MAP_CELLS).astype(int)
    at = {name: tuple(cells[i, ::-1]) for name, i in (("tip", 30), ("lip", 57), ("brow", 21))}
    assert (plain["visible_map"] == 1).all()
    assert item["visible_map"][at["tip"]] < 0.1
    assert item["visible_map"][at["lip"]] == 1
    assert item["face"][at["lip"]] < 0.1 < plain["face"][at["lip"]]
    assert item["face"][at["tip"]] == plain["face"][at["tip"]] == 1
    # Neither reaches farther than the landmark's surroundings.
    assert item["visible_map"][at["brow"]] == 1
    assert item["face"][at["brow"]] == plain["face"][at["brow"]] > 0
    assert (item["visible_map"] < 1).sum() < 0.1 * (plain["face"] > 0).sum()


def test_an_epoch_has_its_rows(crops: CropSet) -> None:
    draws = Draw(crops, 64, 0, rows=np.array([2, 0, 2]))
    assert len(draws) == 3
    items = [draws[(0, row)] for row in range(3)]
    assert [item["index"] for item in items] == [2, 0, 2]
    assert not np.array_equal(items[0]["points"], items[2]["points"])  # drawn anew
    once = Draw(crops, 64, 0, STILL, occluders=False)[(0, 2)]["points"]
    again = Draw(crops, 64, 0, STILL, rows=np.array([2, 0, 2]), occluders=False)
    np.testing.assert_array_equal(again[(0, 0)]["points"], once)


def test_mirroring_ends_after_its_epochs(crops: CropSet) -> None:
    ranges = replace(STILL, flip=1.0)
    draws = Draw(crops, 64, 0, ranges, occluders=False, mirror_epochs=1)
    plain = Draw(crops, 64, 0, STILL, occluders=False)
    assert draws[(0, 0)]["matrix"][0, 0] < 0 < draws[(1, 0)]["matrix"][0, 0]
    np.testing.assert_allclose(draws[(1, 0)]["points"], plain[(1, 0)]["points"], atol=1e-6)


def test_unaugmented_crop_is_the_picture(crops: CropSet) -> None:
    draws = Draw(crops, 64, 0, STILL, occluders=False)
    item = draws[(0, 2)]
    batch = torch.utils.data.default_collate([item])
    image = unnormalised(augment.apply(torch.from_numpy(crops.images), batch))[0]
    inner = crops.images[2, 16:80, 16:80]  # a 64 px crop from the middle of 96
    np.testing.assert_allclose(image, inner, atol=0.6)


def test_same_seed_same_batch_whatever_the_number_of_workers(crops: CropSet) -> None:
    batches = []
    for workers in (0, 1, 2):
        loader = torch.utils.data.DataLoader(
            Draw(crops, 64, 7),
            batch_sampler=[[(e, i) for i in range(6)] for e in range(2)],
            num_workers=workers,
        )
        batches.append([augment.apply(torch.from_numpy(crops.images), b) for b in loader])
    for other in batches[1:]:
        for first, second in zip(batches[0], other, strict=True):
            assert torch.equal(first, second)
    assert not torch.equal(batches[0][0], batches[0][1])  # epochs differ


def test_hidden_landmarks_lie_under_occluders(crops: CropSet) -> None:
    draws = Draw(crops, 64, 3, STILL)
    hidden = 0
    for epoch in range(30):
        item = draws[(epoch, epoch % 6)]
        places = np.clip(np.rint(item["points"] * 64 - 0.5), 0, 63).astype(int)
        for (x, y), visible in zip(places, item["visible"], strict=True):
            if visible == 0:
                hidden += 1
                window = item["alpha"][max(0, y - 2) : y + 3, max(0, x - 2) : x + 3]
                assert window.max() > 127
    assert hidden > 100


def test_guesses_are_not_learned_from(crops: CropSet) -> None:
    """Their places serve to paint, and what hides them is known."""
    guessed = np.zeros(crops.points.shape[:2], bool)
    guessed[:, :20] = True
    turned = np.zeros_like(crops.turned)
    turned[:, 3] = 1
    for flip in (0.0, 1.0):
        ranges = replace(STILL, flip=flip)
        plain = Draw(replace(crops, turned=turned), 64, 0, ranges)[(0, 1)]
        item = Draw(replace(crops, turned=turned, guessed=guessed), 64, 0, ranges)[(0, 1)]
        unknown = guessed[1][IBUG68.flip] if flip else guessed[1]
        np.testing.assert_array_equal(np.isnan(item["points"]).all(axis=1), unknown)
        np.testing.assert_array_equal(item["points"][~unknown], plain["points"][~unknown])
        np.testing.assert_array_equal(item["visible"], plain["visible"])
        assert np.flatnonzero(item["turned"]).tolist() == [13 if flip else 3]


def test_points_beyond_the_picture_are_hidden() -> None:
    image, points = drawn_face(96)
    crops = CropSet(
        image[None],
        points[None] + [50, 0],
        np.ones((1, 68)),
        np.full((1, 68), np.nan),
        1.5,
        np.ones(1),
        IBUG68,
    )
    item = Draw(crops, 64, 0, STILL, occluders=False)[(0, 0)]
    outside = (item["points"] > 1).any(axis=1)
    assert outside.any()
    assert (item["visible"][outside] == 0).all()
    assert (item["visible"][~outside] == 1).all()


def test_unlabelled_points_stay_unlabelled() -> None:
    image, points = drawn_face(96)
    points[:5] = np.nan
    crops = CropSet(
        image[None],
        points[None],
        np.ones((1, 68)),
        np.full((1, 68), np.nan),
        1.5,
        np.ones(1),
        IBUG68,
    )
    draws = Draw(crops, 64, 0)
    for epoch in range(100):
        item = draws[(epoch, 0)]
        assert np.isnan(item["points"]).any(axis=1).sum() == 5
        assert np.isnan(item["visible"]).sum() == 5


def test_blur_keeps_the_mean_and_spreads_a_dot() -> None:
    images = torch.zeros(2, 3, 33, 33)
    images[:, :, 16, 16] = 1
    blurred = augment._blur(images, torch.tensor([0.0, 2.0]))
    assert torch.equal(blurred[0], images[0])
    assert float(blurred[1].sum()) == pytest.approx(3.0, abs=1e-4)
    x = torch.arange(33) - 16.0
    variance = float((blurred[1, 0].sum(0) * x**2).sum())
    assert variance == pytest.approx(4.0, abs=0.25)  # cut at 2.5 sigma


def test_low_resolution_removes_detail_and_keeps_the_mean() -> None:
    images = torch.rand(2, 3, 64, 64)
    low = augment._low_resolution(images, torch.tensor([0.0, 16.0]))
    assert torch.equal(low[0], images[0])
    assert float(low[1].std()) < 0.5 * float(images[1].std())
    assert float(low[1].mean()) == pytest.approx(float(images[1].mean()), abs=0.01)

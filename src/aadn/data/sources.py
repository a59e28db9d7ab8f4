"""Labelled faces to train on or to measure on: folders of pictures, and files of other tools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from aadn.data.annotations.convert import has_ljson_alone, read_annotations
from aadn.data.folders import read_folders
from aadn.data.samples import Sample
from aadn.errors import AnnotationError


def read_sources(sources: Sequence[str | Path], landmarks: int | None = None) -> list[Sample]:
    """Every labelled face of some folders and files.

    Args:
        sources: folders as `aadn.data.folders.read_folders` takes them, or whatever else
            `aadn.data.annotations.convert.read_annotations` reads, whose pictures lie where the
            file says, seen from its own folder.
        landmarks: how many each face must have; None for as many as the first one's source.

    Returns:
        Samples, those of folders with .pts files before others, each with its source, as given, as
        its part.

    Raises:
        AnnotationError: as those two do, and for faces with another number of landmarks.
    """
    paths = [Path(source) for source in sources]
    others = [path for path in paths if path.is_file() or has_ljson_alone(path)]
    folders = [path for path in paths if path not in others]
    samples = read_folders(folders, landmarks) if folders else []
    for path in others:
        found = read_annotations(path)
        wanted = landmarks or len((samples or found)[0].points)
        if len(found[0].points) != wanted:
            raise AnnotationError(
                f"{path}: expected {wanted} landmarks a face, got {len(found[0].points)}"
            )
        samples += [replace(sample, parts=(str(path),)) for sample in found]
    return samples

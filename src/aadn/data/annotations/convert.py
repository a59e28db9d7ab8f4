"""Annotations in any form that is known here: read by what a file is, written by name."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from aadn.data.annotations.coco import coco_json, read_coco
from aadn.data.annotations.cvat import cvat_labels, cvat_xml, read_cvat
from aadn.data.annotations.detections import read_detections
from aadn.data.annotations.imglab import imglab_xml, read_imglab
from aadn.data.annotations.label_studio import (
    label_studio_json,
    labelling_config,
    read_label_studio,
)
from aadn.data.annotations.ljson import ljson, read_ljson
from aadn.data.annotations.pictures import pictures_of, read_json, read_xml
from aadn.data.annotations.pts_folder import pts_files, read_pts_folder
from aadn.data.samples import Sample
from aadn.errors import AnnotationError, OutputError
from aadn.files import write_whole
from aadn.schemes import Scheme

Form = Literal["coco", "cvat", "imglab", "labelstudio", "ljson", "pts"]

FOLDERS: tuple[Form, ...] = ("ljson", "pts")
"""Forms of which each picture has a file of its own, beside it."""


def read_annotations(source: Path, images: Path | None = None) -> list[Sample]:
    """The labelled faces of a file or a folder.

    Args:
        source: a folder of pictures with .pts or .ljson files; an .ljson file; a JSON file of COCO,
            of Label Studio or of `aadn detect`; an XML file of CVAT or of dlib's imglab.
        images: the folder of the pictures that a file names; the file's own if left out.

    Raises:
        AnnotationError: for a source that is missing, of no such form or broken, for pictures that
            are not there, and for faces with different numbers of landmarks.
    """
    samples = _read(source, images)
    if not samples:
        raise AnnotationError(f"{source}: expected labelled faces, found none")
    counts = {len(sample.points) for sample in samples}
    if len(counts) > 1:
        raise AnnotationError(
            f"{source}: expected faces with equally many landmarks, got {min(counts)} and "
            f"{max(counts)}"
        )
    return samples


def _read(source: Path, images: Path | None) -> list[Sample]:
    folder = images or source.parent
    if source.is_dir():
        if has_ljson_alone(source):
            files = sorted(source.rglob("*.ljson"))
            return [sample for file in files for sample in read_ljson(file)]
        return read_pts_folder(source)
    suffix = source.suffix.lower()
    if suffix == ".ljson":
        return read_ljson(source, images)
    if suffix == ".xml":
        root = read_xml(source)
        readers = {"annotations": read_cvat, "dataset": read_imglab}
        if root.tag in readers:
            return readers[root.tag](root, source, folder)
    elif suffix == ".json":
        content = read_json(source)
        if isinstance(content, list):
            return read_label_studio(content, source, folder)
        if isinstance(content, dict) and "annotations" in content:
            return read_coco(content, source, folder)
        if isinstance(content, dict) and isinstance(content.get("images"), list):
            return read_detections(content, source, folder)
    kind = "nothing there" if not source.exists() else f"a {suffix or 'nameless'} file of none"
    raise AnnotationError(
        f"{source}: expected a folder with .pts or .ljson files, an .ljson file, a JSON file of "
        f"COCO, Label Studio or aadn detect, or an XML file of CVAT or imglab; got {kind}"
    )


def has_ljson_alone(folder: Path) -> bool:
    """Whether a folder, or one below it, has .ljson files and none has .pts files."""
    return any(folder.rglob("*.ljson")) and not any(folder.rglob("*.pts"))


def write_annotations(
    samples: Sequence[Sample], form: Form, out: Path, scheme: Scheme
) -> list[Path]:
    """Write labelled faces in a form; gives the files written, without the pictures.

    Args:
        samples: the faces, of `scheme`.
        form: its name.
        out: the file to write; a folder for those of FOLDERS, into which the pictures are copied.
        scheme: names, contours.

    Raises:
        ImageError: a picture cannot be read.
        AnnotationError: the form cannot have what the faces have.
        OutputError: it cannot be written.
    """
    if form in FOLDERS:
        return _write_folder(samples, form, out, scheme)
    folder = out.resolve().parent
    texts = {
        "coco": lambda: {out: coco_json(samples, scheme, folder)},
        "imglab": lambda: {out: imglab_xml(samples, scheme, folder)},
        "cvat": lambda: {
            out: cvat_xml(samples, scheme, folder),
            out.with_suffix(".labels.json"): cvat_labels(samples, scheme),
        },
        "labelstudio": lambda: {
            out: label_studio_json(samples, scheme, folder),
            out.with_suffix(".config.xml"): labelling_config(scheme),
        },
    }[form]()
    for file, text in texts.items():
        write_whole(file, text)
    return list(texts)


def _write_folder(samples: Sequence[Sample], form: Form, out: Path, scheme: Scheme) -> list[Path]:
    """Copy the pictures into a folder, unless they are there, and write a file beside each."""
    pictures = pictures_of(samples)
    names = [picture.file.name for picture in pictures]
    stems = [Path(name).stem for name in names]
    if twice := sorted({name for name in stems if stems.count(name) > 1}):
        raise AnnotationError(
            f"two pictures are called {twice[0]}, and would have one file of labels in {out}; "
            "rename one, or choose another form"
        )
    if form == "pts":
        texts = pts_files(pictures, names)
    else:
        texts = {f"{stem}.ljson": ljson(picture.faces, scheme)
                 for stem, picture in zip(stems, pictures, strict=True)}  # fmt: skip
    for picture, name in zip(pictures, names, strict=True):
        copy = out / name
        try:
            out.mkdir(parents=True, exist_ok=True)
            if not copy.exists() or not copy.samefile(picture.file):
                shutil.copyfile(picture.file, copy)
        except OSError as error:
            raise OutputError(
                f"cannot write {copy}: {error.strerror or error}; choose another place"
            ) from None
    for name, text in texts.items():
        write_whole(out / name, text)
    return [out / name for name in texts]

"""`aadn convert`: labelled faces from one tool's files into another's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from aadn.cli.common import check_writable
from aadn.data.annotations.convert import FOLDERS, Form, read_annotations, write_annotations
from aadn.errors import InputError
from aadn.schemes import Scheme, find_scheme, scheme_of


@dataclass(frozen=True)
class Convert:
    """Write labelled faces, or what `aadn detect --json` found, in another tool's form.

    Forms: coco (COCO's keypoints and COCO-WholeBody's face_kpts), cvat, imglab (dlib), labelstudio,
    ljson (menpo) and pts. States (seen, covered, turned away) go along.
    """

    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
    """A folder of pictures with .pts or .ljson files; a file of COCO, Label Studio or aadn detect
    (.json), of CVAT or imglab (.xml), or .ljson."""
    to: Form
    """The form to write."""
    out: Path
    """The file to write. For ljson and pts a folder: the pictures are copied into it. For cvat and
    labelstudio, what their project is set up with is written beside it."""
    images: Path | None = None
    """The folder of the pictures that the source names; the source's own if left out."""
    scheme: str | None = None
    """The landmark scheme, for names and contours: aflw19, cofw29, ibug68, wflw98, or a .toml file.
    If left out, the number of landmarks chooses among the known ones."""

    def run(self) -> int:
        """Read, write, say what."""
        if self.to not in FOLDERS:
            check_writable(self.out)
        samples = read_annotations(self.source, self.images)
        files = write_annotations(samples, self.to, self.out, self._scheme(len(samples[0].points)))
        pictures = len({sample.image for sample in samples})
        where = self.out if self.to in FOLDERS else ", ".join(map(str, files))
        print(f"{len(samples)} faces of {pictures} pictures: {where}")
        return 0

    def _scheme(self, landmarks: int) -> Scheme:
        if self.scheme is None:
            try:
                return scheme_of(landmarks)
            except InputError as error:
                raise InputError(f"{error}; describe it in a file for --scheme") from None
        scheme = find_scheme(self.scheme)
        if scheme.size != landmarks:
            raise InputError(
                f"{self.source} has faces of {landmarks} landmarks, {scheme.name} has {scheme.size}"
            )
        return scheme

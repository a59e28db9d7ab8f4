"""`aadn datasets`: the releases of data sets that can be read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from aadn.cli.common import UsageError
from aadn.data.release import Benchmark, describe, inspect
from aadn.data.releases import RELEASES
from aadn.errors import AnnotationError


@dataclass(frozen=True)
class Datasets:
    """List the releases that can be read, or say whether what lies in a folder is complete."""

    name: Annotated[Benchmark | None, tyro.conf.Positional] = None
    """A release to look at."""
    data: Path | None = None
    """The folder where it should lie."""

    def run(self) -> int:
        """Print; exit code 5 if the release is not complete."""
        chosen = RELEASES.values() if self.name is None else [RELEASES[self.name]]
        if self.data is None:
            print("\n".join(describe(release) for release in chosen), end="")
            return 0
        if self.name is None:
            raise UsageError("expected a release's name: `aadn datasets 300w --data FOLDER`")
        text, complete = inspect(RELEASES[self.name], self.data)
        print(text, end="")
        return 0 if complete else AnnotationError.exit_code

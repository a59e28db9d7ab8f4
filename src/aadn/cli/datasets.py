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
    """List the releases of data sets that can be read, or check whether a folder has all of one."""

    name: Annotated[Benchmark | None, tyro.conf.Positional] = None
    """A release; all of them if left out."""
    data: Path | None = None
    """The folder of that release, to check."""

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

"""`aadn bench`: how long it takes here, beside other libraries."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from aadn.bench.environments import UnavailableError, environment
from aadn.bench.measure import PEERS, Measures, document, machine
from aadn.cli.common import STDOUT, check_writable, complain, output, tell
from aadn.files import write_whole
from aadn.inference.weights import EMBEDDED, load_exported


@dataclass(frozen=True)
class Bench:
    """Measure how long it takes on this machine: a face, a picture, starting; and the memory.

    Things that are compared run in turn in one run, each in a process of its own. It takes about
    two minutes.

    Attributes:
        models: Names of embedded networks, or ONNX files; all that are embedded if left out.
        peers: Folder for other libraries, MediaPipe and dlib, to compare with: each gets an
            environment of its own there, a few hundred megabytes that are downloaded once.
        json: File for all results as JSON, or - to print these instead of the tables.
        out: File for the tables, as Markdown; they are printed too.
    """

    models: tuple[str, ...] = ()
    peers: Path | None = None
    json: Path | None = None
    out: Path | None = None

    def run(self) -> int:
        """Measure, print the tables, write the files."""
        for path in (self.json, self.out):
            if path is not None:
                check_writable(path)
        models = self.models or tuple(EMBEDDED)
        for model in models:
            load_exported(model)  # which says what is wrong with it
        environments = {}
        for peer in PEERS if self.peers else ():
            assert self.peers is not None
            tell(f"{peer.name}: looking for its environment, or making it")
            try:
                environments[peer] = environment(peer, self.peers)
            except UnavailableError as error:
                complain(f"warning: {peer.name} is left out: {error}")
        about = machine()
        text = "".join(f"- {name}: {value}\n" for name, value in about.items())
        json_file = output(self.json)
        say = tell if json_file == STDOUT else partial(print, flush=True)
        say(text)
        tables = []
        for one in Measures(models, environments).tables():
            tables.append(one)
            text += f"\n{one.markdown()}"
            say(one.markdown())
        if json_file is not None:
            write_whole(json_file, json.dumps(document(about, tables), indent=1) + "\n")
        if self.out is not None:
            write_whole(self.out, text)
        return 0

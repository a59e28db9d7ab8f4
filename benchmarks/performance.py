"""Put what `aadn bench` and peers.py measured into docs/performance.md, and plot error over time.

    aadn bench --peers PEERS --json bench.json
    python benchmarks/peers.py --data ../shared/data --environments PEERS --json peers.json
    python benchmarks/performance.py bench.json peers.json

The plot, docs/performance.png, has for each method the time of a face in its crop on one thread,
and its error on LFPW's test faces under a mask, where each finds its faces itself, of the points
that all have.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from aadn.bench.contest import Timing
from aadn.bench.measure import Row, Table
from aadn.evaluation.plots import plot_error_over_time
from aadn.files import write_whole

DOCS = Path(__file__).parents[1] / "docs"
PAGE, PLOT = DOCS / "performance.md", DOCS / "performance.png"
MARKS = "<!-- bench -->\n", "<!-- /bench -->\n"


def tables(document: dict[str, Any]) -> list[Table]:
    """The tables of `aadn bench --json`."""
    found = []
    for one in document["tables"]:
        rows = []
        for row in one["rows"]:
            timing = None if row["timing"] is None else Timing(**row["timing"])
            rows.append(Row(**{**row, "timing": timing}))
        found.append(Table(one["title"], one["reference"], rows))
    return found


def text(document: dict[str, Any]) -> str:
    """The tables as Markdown, and on what they were measured."""
    machine = document["machine"]
    on = (
        f"Measured on {machine['date']} with aadn {machine['aadn']} and Python "
        f"{machine['python']}: {machine['processor']}, {machine['cores']} cores.\n"
    )
    return "\n".join([on, *(table.markdown() for table in tables(document))])


def with_tables(page: str, document: dict[str, Any]) -> str:
    """The page's text with these tables between its marks."""
    head, rest = page.split(MARKS[0])
    return f"{head}{MARKS[0]}\n{text(document)}\n{MARKS[1]}{rest.split(MARKS[1])[1]}"


def points(document: dict[str, Any], peers: list[dict[str, Any]]) -> dict[str, tuple[float, float]]:
    """For each method the milliseconds of a face and the error under a mask."""
    (faces,) = (t for t in tables(document) if t.title == "A face in its crop, 1 thread")
    times = {row.name: 1e3 * row.timing.median for row in faces.rows if row.timing is not None}
    errors = {
        row["method"]: row["nme"]
        for row in peers
        if (row["boxes"], row["occluder"]) == ("detector", "mask")
    }
    return {name: (times[name], errors[name]) for name in times if name in errors}


def main() -> None:
    """Write the page and the plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bench", type=Path, help="of aadn bench --json")
    parser.add_argument("peers", type=Path, nargs="?", help="of peers.py --json")
    arguments = parser.parse_args()
    document = json.loads(arguments.bench.read_text("utf-8"))
    write_whole(PAGE, with_tables(PAGE.read_text("utf-8"), document))
    if arguments.peers is not None:
        plot_error_over_time(
            points(document, json.loads(arguments.peers.read_text("utf-8"))),
            PLOT,
            xlabel="a face in its crop, one thread: ms",
            ylabel="NME under a mask, % of the inter-ocular distance",
        )


if __name__ == "__main__":
    main()

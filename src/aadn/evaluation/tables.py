"""Markdown tables: the one place where numbers become text for reading."""

from __future__ import annotations

from collections.abc import Sequence


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, texts: Sequence[str] = ()
) -> str:
    """A Markdown table, its first column to the left and the others to the right; ends with "\\n".

    Columns named in `texts` go to the left too. Every row must have as many cells as the header
    (ValueError otherwise). A "|" in a cell is escaped.
    """
    sides = ["---", *("---" if name in texts else "---:" for name in header[1:])]
    lines = [header, sides, *rows]
    if any(len(line) != len(header) for line in lines):
        raise ValueError(f"expected {len(header)} cells in each row of a table")
    escaped = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in escaped)


def number(value: float | None, digits: int = 2) -> str:
    """A number for a cell: whole numbers as they are, others to `digits`; "–" for None."""
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}f}"

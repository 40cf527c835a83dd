"""Tables as Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any


def markdown_rows(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table that a benchmark printed: the keys of its rows are the headings."""
    return markdown_table(
        list(rows[0]),
        [["-" if value is None else str(value) for value in row.values()] for row in rows],
    )


def markdown_table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], *, align: str = "---:"
) -> str:
    """Cells under headings; the first column is of names, `align` is for all others."""
    rules = ["---", *[align] * (len(headings) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (headings, rules, *rows))

"""Tables: of measured rows, heading -> value, printed and as Markdown."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from squadlite.cli.output import print_table


def percent(shares: Iterable[float], digits: int = 1) -> float | None:
    """The mean of shares 0..1 in percent; None where there are none."""
    values = list(shares)
    return round(100 * statistics.fmean(values), digits) if values else None


def print_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print at least one row under headings, their keys; "-" stands for None."""
    print_table(list(rows[0]), _cells(rows))


def markdown_rows(rows: Sequence[Mapping[str, Any]]) -> str:
    """The same table as `print_rows` prints."""
    return markdown_table(list(rows[0]), _cells(rows))


def _cells(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    return [["-" if value is None else str(value) for value in row.values()] for row in rows]


def markdown_table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], *, align: str = "---:"
) -> str:
    """Cells under headings; the first column is of names, `align` is for all others."""
    rules = ["---", *[align] * (len(headings) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (headings, rules, *rows))

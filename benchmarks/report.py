"""
Writes the tables of README.md from the measurements in benchmarks/results.

    python -m benchmarks.report

Each table stands between `<!-- table: NAME -->` and `<!-- end -->`; NAME.json is the last line that
the benchmark of that name printed. Nothing between the marks is written by hand.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from squadlite.atomic import atomic_write

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
RESULTS = Path(__file__).with_name("results")
_TABLE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def fill_tables(text: str, results: Path = RESULTS) -> str:
    """
    Put every table into a text that has marks for it.

    Args:
        text: Markdown.
        results: the folder with NAME.json for each table named.

    Raises:
        KeyError: a table that nothing here makes.
        OSError: a result that isn't there.
    """

    def fill(match: re.Match[str]) -> str:
        begin, name, end = match.groups()
        result = json.loads((results / f"{name}.json").read_text(encoding="utf-8"))
        return f"{begin}\n{TABLES[name](result)}\n\n{end}"

    return _TABLE.sub(fill, text)


def _size_accuracy(result: Mapping[str, Any]) -> str:
    return _markdown(
        ["Setting", "MB", "EM", "F1", "F1 with answer", "F1 without"],
        [
            [
                row["name"],
                f"{row['bytes'] / 1e6:.2f}",
                *(f"{row[key]:.2f}" for key in ("exact", "f1", "HasAns_f1", "NoAns_f1")),
            ]
            for row in result["rows"]
        ],
    )


def _books(result: Mapping[str, Any]) -> str:
    rows = result["rows"]
    return _markdown(list(rows[0]), [[str(value) for value in row.values()] for row in rows])


def _start_to_answer(result: Mapping[str, Any]) -> str:
    medians = result["median_ms"]
    peers = {name: peer["median_ms"] for name, peer in result.get("peers", {}).items()}
    # A peer has every step that we have, and may have more.
    steps = next(iter(peers.values()), medians)
    return _markdown(
        ["Step", "Median ms", "Share", *(f"{name}, median ms" for name in peers)],
        [
            [
                step,
                f"{medians[step]:.0f}" if step in medians else "",
                f"{medians[step] / medians['total']:.0%}" if step in medians else "",
                *(f"{peer[step]:.0f}" for peer in peers.values()),
            ]
            for step in steps
        ],
    )


TABLES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "size_accuracy": _size_accuracy,
    "books": _books,
    "start_to_answer": _start_to_answer,
}


def _markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rules = ["---", *["---:"] * (len(headings) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (headings, rules, *rows))


def main() -> None:
    """Write README.md anew."""
    text = fill_tables(README.read_text(encoding="utf-8"))
    with atomic_write(README) as file:
        file.write(text.encode())


if __name__ == "__main__":
    main()

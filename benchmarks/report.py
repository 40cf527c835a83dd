"""
Writes the tables of README.md from the measurements in benchmarks/results.

    python -m benchmarks.report

Each table stands between `<!-- table: NAME -->` and `<!-- end -->`. A result is the last line that
a benchmark printed, or the report that a recipe wrote. Nothing between is written by hand.
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
        results: the folder with the results that the tables named are made of.

    Raises:
        KeyError: a table that nothing here makes.
        OSError: a result that isn't there.
    """

    def fill(match: re.Match[str]) -> str:
        begin, name, end = match.groups()
        file, make_table = TABLES[name]
        result = json.loads((results / file).read_text(encoding="utf-8"))
        return f"{begin}\n{make_table(result)}\n\n{end}"

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
    return "\n\n".join(
        f"`{folder['folder']}`:\n\n{_as_measured(folder['rows'])}" for folder in result["folders"]
    )


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


def _runtimes(result: Mapping[str, Any]) -> str:
    (model,) = result["models"]
    return _markdown(
        [
            "Runtime",
            "MB",
            "Load ms",
            "First answer ms",
            "Peak MB",
            "Question ms",
            "Agreement %",
            "F1",
        ],
        [
            [
                row["runtime"],
                f"{row['bytes'] / 1e6:.1f}",
                *(
                    f"{row[key]['median'] * scale:.0f}"
                    for key, scale in (
                        ("load_warm_s", 1e3),
                        ("first_answer_s", 1e3),
                        ("peak_rss", 1e-6),
                    )
                ),
                f"{min(cell['seconds']['median'] for cell in row['question']) * 1e3:.0f}",
                f"{row['answers']['agreement']:.1%}".removesuffix("%"),
                f"{row['answers']['f1']:.2f}",
            ]
            for row in model["runtimes"]
            if row["why_not"] is None
        ],
    )


def _forward(result: Mapping[str, Any]) -> str:
    (model,) = result["models"]
    rows = [row for row in model["runtimes"] if row["why_not"] is None]
    cells = [(cell["threads"], cell["batch"], cell["length"]) for cell in rows[0]["forward"]]
    return _markdown(
        ["Runtime", *(f"{threads} thr., {batch} x {length}" for threads, batch, length in cells)],
        [
            [
                row["runtime"],
                *(
                    f"{cell['seconds']['median'] * 1e3:.1f} ({cell['times_floor']:.1f})"
                    for cell in row["forward"]
                ),
            ]
            for row in rows
        ],
    )


def _growth(result: Mapping[str, Any]) -> str:
    return _as_measured(result["rows"])


def _training(result: Mapping[str, Any]) -> str:
    return _markdown(
        ["Trainer", "Tokens a second"],
        [[name, f"{speed:,.0f}"] for name, speed in result["tokens_per_second"].items()],
    )


def _recipe(result: Mapping[str, Any]) -> str:
    return _markdown(
        ["Stage", "Command", "Values", "MB", "EM", "F1", "F1 with answer", "Seconds"],
        [
            [
                stage["name"],
                stage["run"],
                f"{stage['num_parameters']:,}",
                f"{stage['n_bytes'] / 1e6:.1f}",
                *(f"{stage['scores'][key]:.2f}" for key in ("exact", "f1", "HasAns_f1")),
                f"{stage['seconds']:.0f}",
            ]
            for stage in result["stages"]
        ],
    )


# Name -> the result that it is made of, and how.
TABLES: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], str]]] = {
    "size_accuracy": ("size_accuracy.json", _size_accuracy),
    "books": ("books.json", _books),
    "start_to_answer": ("start_to_answer.json", _start_to_answer),
    "runtimes": ("runtimes.json", _runtimes),
    "forward": ("runtimes.json", _forward),
    "growth": ("growth.json", _growth),
    "training": ("training.json", _training),
    "minilm_l6": ("minilm_l6.json", _recipe),
}


def _as_measured(rows: Sequence[Mapping[str, Any]]) -> str:
    # The benchmark's own table: its keys are headings.
    return _markdown(
        list(rows[0]),
        [["-" if value is None else str(value) for value in row.values()] for row in rows],
    )


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

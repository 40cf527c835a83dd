"""
Writes the tables of README.md and docs/model-card.md from the measurements in benchmarks/results,
and from what the default model says of itself.

    python -m benchmarks.report

Each table stands between `<!-- table: NAME -->` and `<!-- end -->`. A result is the last line that
a benchmark printed, or the report that a recipe wrote. Nothing between is written by hand.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.model_card import (
    book_scores,
    load_summary,
    model_facts,
    squad_scores,
    training_data,
    training_stages,
)
from benchmarks.recipe_tables import paper_tables, recipe_stages, training_steps
from benchmarks.tables import markdown_rows, markdown_table
from squadlite.atomic import atomic_write
from squadlite.models import DEFAULT_MODEL

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
MODEL_CARD = ROOT / "docs" / "model-card.md"
RESULTS = Path(__file__).with_name("results")
_TABLE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def fill_tables(text: str) -> str:
    """
    Put every table into a text, in Markdown, that has marks for it.

    Raises:
        KeyError: a table that nothing here makes.
        OSError: a result that isn't there.
    """

    def fill(match: re.Match[str]) -> str:
        begin, name, end = match.groups()
        file, make_table = TABLES[name]
        result = _load(RESULTS / file)
        return f"{begin}\n{make_table(result)}\n\n{end}"

    return _TABLE.sub(fill, text)


def _load(path: Path) -> dict[str, Any]:
    if path.suffix == ".sqz":
        return load_summary(path)
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result


def _sizes(result: Mapping[str, Any]) -> str:
    return markdown_table(
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
        f"`{folder['folder']}`:\n\n{markdown_rows(folder['rows'])}" for folder in result["folders"]
    )


def _start_to_answer(result: Mapping[str, Any]) -> str:
    jobs = {entry["question"]: entry for entry in result["questions"]} | result["peers"]
    # A peer has every step that we have, and may have more.
    *_, longest = jobs.values()
    steps = [
        [
            step,
            *(
                f"{job['median_ms'][step]:.0f}" if step in job["median_ms"] else ""
                for job in jobs.values()
            ),
        ]
        for step in longest["median_ms"]
    ]
    passages = ["passages read", *(str(job["passages"]) for job in jobs.values())]
    memory = ["peak memory, MB", *(f"{job['peak_rss'] / 1e6:.0f}" for job in jobs.values())]
    return markdown_table(
        ["Step", *(f"{name}, median ms" for name in jobs)], [*steps, passages, memory]
    )


def _runtimes(result: Mapping[str, Any]) -> str:
    (model,) = result["models"]
    return markdown_table(
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
    return markdown_table(
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


def _rows(result: Mapping[str, Any]) -> str:
    return markdown_rows(result["rows"])


def _finding(result: Mapping[str, Any]) -> str:
    return markdown_rows([result["finding"]])


def _growing(result: Mapping[str, Any]) -> str:
    return markdown_rows([result["growing"]])


def _training(result: Mapping[str, Any]) -> str:
    return markdown_table(
        ["Trainer", "Tokens a second of the processor"],
        [[name, f"{speed:,.0f}"] for name, speed in result["tokens_per_processor_second"].items()],
    )


# Name -> the result that it is made of, or the model itself, and how.
TABLES: Mapping[str, tuple[str | Path, Callable[[Mapping[str, Any]], str]]] = {
    "size_accuracy": ("size_accuracy.json", _sizes),
    "frontier": ("frontier.json", _sizes),
    "books": ("books.json", _books),
    "start_to_answer": ("start_to_answer.json", _start_to_answer),
    "runtimes": ("runtimes.json", _runtimes),
    "forward": ("runtimes.json", _forward),
    "growth": ("growth.json", _rows),
    "formats": ("formats.json", _rows),
    "families": ("families.json", _rows),
    "finding": ("shelf.json", _finding),
    "growing": ("shelf.json", _growing),
    "training": ("training.json", _training),
    "minilm_l6": ("minilm_l6.json", recipe_stages),
    "paper_mpnet": ("paper_mpnet.json", training_steps),
    "paper_tables": ("tables_mpnet.json", paper_tables),
    "model": (DEFAULT_MODEL, model_facts),
    "model_data": (DEFAULT_MODEL, training_data),
    "model_stages": (DEFAULT_MODEL, training_stages),
    "model_books": ("books.json", book_scores),
    "model_squad": ("squad.json", squad_scores),
}


def main() -> None:
    """Write README.md and docs/model-card.md anew."""
    for path in (README, MODEL_CARD):
        text = fill_tables(path.read_text(encoding="utf-8"))
        with atomic_write(path) as file:
            file.write(text.encode())


if __name__ == "__main__":
    main()

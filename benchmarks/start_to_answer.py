"""
Where the time goes from starting `squadlite ask` to its answer, with the book's index there.

    python -m benchmarks.start_to_answer book.epub "Who keeps the lighthouse?"

Runs the real command and, interleaved with it, a bare interpreter and one that imports torch.
Rows: the interpreter alone; importing torch; loading the model (decoding and the tokenizer, without
torch's import); opening the index; retrieving; reading; and the rest, which is the other imports,
the command line and the exit. Medians of --runs runs, after one that is not counted.
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import click

from squadlite.cli.output import print_json, print_table
from squadlite.models import DEFAULT_MODEL

_MODULE = [sys.executable, "-m", "squadlite"]
_IMPORT_TORCH = """
import time
started = time.perf_counter()
import torch
print((time.perf_counter() - started) * 1000)
"""


@click.command()
@click.argument("book", type=click.Path(exists=True, path_type=Path))
@click.argument("question")
@click.option("--model", type=click.Path(exists=True, path_type=Path), default=DEFAULT_MODEL)
@click.option("--runs", default=7, show_default=True)
def main(book: Path, question: str, model: Path, runs: int) -> None:
    """Time QUESTION asked of BOOK from process start to answer."""
    ask = [*_MODULE, "ask", str(book), question, "--model", str(model), "--json"]
    rounds = [_measure(ask) for _ in range(runs + 1)][1:]
    medians = {name: statistics.median(entry[name] for entry in rounds) for name in rounds[0]}
    total = medians["total"]
    print_table(
        ["Step", "Median ms", "Share"],
        [[name, f"{value:.0f}", f"{value / total:.0%}"] for name, value in medians.items()],
    )
    rounded = {name: round(value, 1) for name, value in medians.items()}
    print_json({"benchmark": "start_to_answer", "runs": runs, "median_ms": rounded})


def _measure(ask: list[str]) -> dict[str, float]:
    interpreter, _ = _run([sys.executable, "-c", "pass"])
    torch_import = float(_run([sys.executable, "-c", _IMPORT_TORCH])[1])
    total, output = _run(ask)
    timing = json.loads(output)["timing"]
    steps = {
        "interpreter": interpreter,
        "import torch": torch_import,
        "load model": timing["load_ms"] - torch_import,
        "open index": timing["index_ms"],
        "retrieve": timing["retrieve_ms"],
        "read": timing["read_ms"],
    }
    return {**steps, "rest": total - sum(steps.values()), "total": total}


def _run(command: list[str]) -> tuple[float, str]:
    started = time.perf_counter()
    finished = subprocess.run(command, check=True, capture_output=True, encoding="utf-8")
    return (time.perf_counter() - started) * 1000, finished.stdout


if __name__ == "__main__":
    main()

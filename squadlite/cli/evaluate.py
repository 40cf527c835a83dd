"""`squadlite eval`: a model's scores on SQuAD data."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from squadlite.atomic import atomic_write
from squadlite.cli.output import (
    FiniteRange,
    compute_option,
    existing_file,
    existing_path,
    json_option,
    output_file,
    print_json,
    print_table,
    progress_bar,
    require_folder,
    show_notices,
    threads_option,
)

if TYPE_CHECKING:
    from squadlite.config import Compute


@click.command(name="eval")
@click.argument("model", type=existing_path)
@click.argument("data", type=existing_file)
@click.option(
    "--limit", type=click.IntRange(min=1), help="Ask only N questions, spread over the data."
)
@click.option(
    "--threshold",
    type=FiniteRange(),
    default=0.0,
    show_default=True,
    help="Give no answer where the null score is above the best span's by more than this.",
)
@compute_option("f32")
@click.option(
    "--predictions", type=output_file, help="Write the answers to this file: id -> text, as JSON."
)
@threads_option
@json_option
def evaluate(
    model: Path,
    data: Path,
    limit: int | None,
    threshold: float,
    compute: "Compute",
    predictions: Path | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """
    Score MODEL on the questions of DATA.

    MODEL is a .sqz file or a checkpoint folder, DATA a SQuAD 1.1 or 2.0 JSON file.

    \b
    Example:
      squadlite eval model.sqz dev-v2.0.json --limit 500
    """
    require_folder(predictions)

    from squadlite.answering.evaluate import evaluate as evaluate_reader
    from squadlite.answering.reader import Reader
    from squadlite.answering.squad import load_squad

    examples = load_squad(data)
    show_notices()
    reader = Reader.load(model, threads=threads, compute=compute)
    with progress_bar("Reading") as progress:
        result = evaluate_reader(
            reader, examples, limit=limit, threshold=threshold, progress=progress
        )
    if predictions is not None:
        with atomic_write(predictions) as file:
            file.write(json.dumps(result.predictions, ensure_ascii=False).encode())
    if as_json:
        print_json(
            {"model": str(model), "data": str(data), "threshold": threshold, **result.scores}
        )
    else:
        print_table(
            ["Score", "Value"],
            [[name, _format_score(name, value)] for name, value in result.scores.items()],
        )


def _format_score(name: str, value: float) -> str:
    return f"{value:.0f}" if name.endswith("total") else f"{value:.2f}"

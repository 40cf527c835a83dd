"""`squadlite bench`: size and speed of models, beside what people would use instead."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from squadlite.atomic import atomic_write
from squadlite.cli.output import (
    existing_file,
    existing_path,
    output_file,
    print_json,
    print_table,
    progress_bar,
    require_folder,
)
from squadlite.errors import BookError
from squadlite.library.query import Query

if TYPE_CHECKING:
    from squadlite.bench.kind import RuntimeKind

PASSAGES = 20
_STDOUT = Path("-")


def _numbers(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[int, ...] | None:
    # "1,8" -> (1, 8)
    if value is None:
        return None
    try:
        numbers = tuple(dict.fromkeys(int(part) for part in value.split(",")))
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < 1:
        raise click.BadParameter(f"{value!r} is not a list of whole numbers from 1 up, as 1,8 is.")
    return numbers


@click.command()
@click.argument("models", metavar="MODEL...", nargs=-1, required=True, type=existing_path)
@click.option("--peers", is_flag=True, help="Also run what people would use in squadlite's place.")
@click.option(
    "--runtime",
    "names",
    multiple=True,
    metavar="NAME",
    help="Run this runtime alone; may be given several times.",
)
@click.option(
    "--threads",
    metavar="N,N",
    callback=_numbers,
    help="Numbers of threads.  [default: 1 and one per core]",
)
@click.option(
    "--batch",
    metavar="N,N",
    callback=_numbers,
    default="1,8",
    show_default=True,
    help="Windows in a batch.",
)
@click.option(
    "--length",
    metavar="N,N",
    callback=_numbers,
    default="64,128,256,384",
    show_default=True,
    help="Tokens in a window; those that a model has no positions for are left out.",
)
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    default=7,
    show_default=True,
    help="Turns that each runtime gets at each setting.",
)
@click.option(
    "--starts",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Fresh processes of each runtime, for import, load and first answer.",
)
@click.option(
    "--book", type=existing_file, help=f"Time a whole question over {PASSAGES} passages of a book."
)
@click.option(
    "--question",
    default="What did they find there?",
    show_default=True,
    help="What the book is asked.",
)
@click.option(
    "--questions",
    type=existing_file,
    help="A SQuAD file: compare the answers to 500 of its questions with squadlite's in float32.",
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, writable=True, allow_dash=True, path_type=Path),
    help="Write all figures to this file as one line of JSON; - prints it in place of the tables.",
)
@click.option("--plot", type=output_file, help="Draw size against F1 and latency into this PNG.")
def bench(
    models: tuple[Path, ...],
    peers: bool,
    names: tuple[str, ...],
    threads: tuple[int, ...] | None,
    batch: tuple[int, ...],
    length: tuple[int, ...],
    rounds: int,
    starts: int,
    book: Path | None,
    question: str,
    questions: Path | None,
    json_file: Path | None,
    plot: Path | None,
) -> None:
    """
    Measure the size, speed and memory of each MODEL on this machine.

    MODEL is a .sqz file or a checkpoint folder. Runtimes take turns, each in a process of its own.
    Times are medians; ratios are to the least time that this machine could take, from its measured
    limits. --peers runs the same weights with other libraries (pip install 'squadlite[bench]').

    \b
    Examples:
      squadlite bench model.sqz --threads 1,2
      squadlite bench model.sqz --peers --book book.epub --questions dev-v2.0.json \\
        --json bench.json --plot bench.png
    """
    from squadlite.bench.plot import draw, require_matplotlib
    from squadlite.bench.report import make_tables
    from squadlite.bench.run import run_benchmark
    from squadlite.bench.settings import BenchSettings
    from squadlite.cores import usable_cores

    for output in (json_file, plot):
        require_folder(output)
    if plot is not None:
        require_matplotlib()
    settings = BenchSettings(
        kinds=_chosen_kinds(names, peers=peers),
        threads=threads or tuple(sorted({1, usable_cores()})),
        batches=batch,
        lengths=length,
        rounds=rounds,
        starts=starts,
        question=None if book is None else question,
        passages=() if book is None else _passages(book, question),
        questions=questions,
    )
    with progress_bar("Measuring") as progress:
        result = run_benchmark(models, settings, progress=progress)
    if json_file == _STDOUT:
        print_json(result)
    else:
        for table in make_tables(result):
            click.secho(f"\n{table.title}", bold=True)
            print_table(table.headings, table.rows)
        if json_file is not None:
            with atomic_write(json_file) as file:
                file.write(json.dumps(result, ensure_ascii=False).encode() + b"\n")
    if plot is not None:
        with atomic_write(plot) as file:
            file.write(draw(result))


def _chosen_kinds(names: tuple[str, ...], *, peers: bool) -> "list[RuntimeKind]":
    from squadlite.bench.runtimes import RUNTIMES

    for name in names:
        if name not in RUNTIMES:
            known = ", ".join(RUNTIMES)
            raise click.BadParameter(f"{name!r} is not one of {known}.", param_hint="--runtime")
    if names:
        return [RUNTIMES[name] for name in dict.fromkeys(names)]
    return [kind for kind in RUNTIMES.values() if peers or not kind.is_peer]


def _passages(book: Path, question: str) -> list[str]:
    from squadlite.library.index import BookIndex

    with BookIndex.open(book) as index:
        passages = [passage.text for passage in index.search(Query(question), PASSAGES)]
    if not passages:
        raise BookError(f"{book}: found no passage with a word of {question!r}")
    return passages

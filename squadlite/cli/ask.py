"""`squadlite ask`: questions to a book, cited answers back."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from squadlite.cli.answers import print_reply, reply_json
from squadlite.cli.output import (
    compute_option,
    existing_path,
    json_option,
    print_json,
    progress_bar,
    show_notices,
    threads_option,
)
from squadlite.cli.questions import load_questions, question_options, typed_questions

if TYPE_CHECKING:
    from squadlite.config import Compute
    from squadlite.library.bound import Bound
    from squadlite.library.index import BookIndex


@click.command()
@click.argument("book", type=existing_path)
@click.argument("question", required=False)
@question_options
@click.option(
    "--until",
    help='How far you have read: "Chapter 7", "page 123", "45%" or CHAPTER:OFFSET. Nothing that '
    "stands behind has any part in the answers.",
)
@compute_option("auto")
@threads_option
@json_option
def ask(
    book: Path,
    question: str | None,
    questions: Path | None,
    model: Path,
    top_k: int,
    passages: int | None,
    min_score: float | None,
    until: str | None,
    compute: "Compute",
    threads: int | None,
    as_json: bool,
) -> None:
    """
    Ask BOOK a QUESTION and cite the place that answers it.

    BOOK is an EPUB, PDF, MOBI, AZW3, FB2, DOCX, ODT, RTF, plain text, HTML or Markdown file. The
    first question to a book builds its index in the cache directory; later ones reuse it. Without
    a QUESTION you are asked for one after another, or they are read from a pipe, one a line.

    Beside each answer stands how sure it is: of a hundred answers at 70%, about seventy are right.
    Where the best one isn't sure enough, the book doesn't say, and you see the nearest guesses;
    --min-score says how sure is enough.

    \b
    Examples:
      squadlite ask book.epub "Who keeps the lighthouse?"
      squadlite ask book.epub
      squadlite ask book.epub "Who keeps the lighthouse?" --min-score 0.7
      squadlite ask book.epub "Who keeps the lighthouse?" --until "Chapter 7"
      squadlite ask book.epub --questions questions.jsonl > answers.jsonl
    """
    asked = load_questions(question, questions)

    from squadlite.library.index import BookIndex

    started = time.perf_counter()
    with progress_bar("Indexing the book") as progress:
        index = BookIndex.open(book, progress=progress)
    indexed = time.perf_counter()
    with index:
        bound = None if until is None else _parse_bound(until, index)
        # Loading the model takes longer than all the rest: only once the book is known to be good.
        from squadlite.answering.reader import Reader
        from squadlite.asking import DEFAULT_PASSAGES
        from squadlite.asking import ask as ask_book

        show_notices()
        reader = Reader.load(model, threads=threads, compute=compute)
        loaded = time.perf_counter()
        if reader.embedder is not None:
            with progress_bar("Reading the book") as progress:
                index.add_vectors(reader.embedder, progress=progress)
        index_s = indexed - started + time.perf_counter() - loaded
        known = index.known(bound)
        costs = {"load_ms": (loaded - indexed) * 1000, "index_ms": index_s * 1000}
        for item in typed_questions(index.title, as_json=as_json) if asked is None else asked:
            reply = ask_book(
                item.text,
                known,
                reader,
                top_k=top_k,
                passages=passages or DEFAULT_PASSAGES,
                min_score=min_score,
            )
            if as_json or questions is not None:
                print_json(reply_json(item, reply, costs))
            else:
                print_reply(reply, index.title, bounded=bound is not None)


def _parse_bound(place: str, index: "BookIndex") -> "Bound":
    from squadlite.library.bound import Bound

    return Bound.parse(place, index)

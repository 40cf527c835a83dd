"""
How well books are searched and questions about them answered.

    python -m benchmarks.books ../shared/books ../shared/data/book-questions

For each file NAME.jsonl of a folder the book NAME.epub is asked every question. Several folders may
be given, each for a table of its own. Rows: the books; "plain", the questions that are asked of a
whole book rather than written over one passage; "all". Columns, in percent where nothing else is
said:

- recall@N: the passage with the evidence is among the first N retrieved (answerable questions);
- EM, F1: SQuAD's exact match and F1 of the first answer, whether or not it is good enough to be
  given (answerable questions);
- hit@5: one of the first five answers has the words of a gold one (answerable questions);
- oracle F1: the best F1 among the first ORACLE_ANSWERS answers; what it has more than F1 is lost in
  ranking them (answerable questions);
- F1 all: F1 of all questions with what is really said: an unanswerable one has 1 for "the book
  doesn't say" and 0 otherwise, an answerable one 0 for "the book doesn't say";
- AUC, 0..1: how well the first answer's score tells right ones (F1 at least RIGHT_F1) from wrong
  ones and those to unanswerable questions;
- ECE, 0..1: the expected calibration error of this score as the probability of being right;
- says so: the share of answerable questions that got an answer;
- no-answer: the share of unanswerable questions that got "the book doesn't say";
- read: how many passages it took, on average;
- median, p95: seconds a question with the model loaded and the index warm;
- index: seconds to open the book and build its index.

Every offset of every answer is checked against the chapter's text. --plot draws how many of the
answers given are right when only the surest are (benchmarks/risk_coverage.py).
"""

import itertools
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from benchmarks.outcomes import (
    ORACLE_ANSWERS,
    RECALL_DEPTHS,
    Outcome,
    summarize,
    summarize_curve,
)
from benchmarks.risk_coverage import draw
from benchmarks.tables import print_rows
from squadlite.answering.reader import Reader
from squadlite.asking import DEFAULT_PASSAGES, Reply, ask, retrieve
from squadlite.atomic import atomic_write
from squadlite.bench.plot import require_matplotlib
from squadlite.cli.output import model_option, output_file, print_json, progress_bar, threads_option
from squadlite.config import COMPUTES, Compute
from squadlite.library.index import BookIndex
from tools.command import existing_folder, run
from tools.evidence import evidence_rank
from tools.measures import best_f1
from tools.questions import Question, load_questions


def check_offsets(index: BookIndex, reply: Reply) -> None:
    """Raise where an answer or its passage isn't the chapter's text at its offsets."""
    for answer in reply.answers:
        text = index.chapter(answer.chapter.index).text
        passage = answer.passage
        if (
            text[answer.start : answer.end] != answer.text
            or text[passage.start : passage.end] != passage.text
        ):
            raise click.ClickException(f"wrong offsets: {asdict(answer)}")


def measure(index: BookIndex, reader: Reader, question: Question, passages: int) -> Outcome:
    """Ask one question and look at the reply."""
    started = time.perf_counter()
    # Answers beyond the first few, which a reader isn't shown, take no time: all are compared.
    reply = ask(question.question, index, reader, top_k=ORACLE_ANSWERS, passages=passages)
    seconds = time.perf_counter() - started
    check_offsets(index, reply)
    found = retrieve(question.question, index, reader, max(RECALL_DEPTHS))
    return Outcome(
        question,
        reply,
        seconds,
        evidence_rank(index, question, found),
        best_f1([answer.text for answer in reply.answers], question.answers),
    )


def measure_folder(
    books: Path,
    questions: Mapping[str, Sequence[Question]],
    reader: Reader,
    passages: int,
    advance: Callable[[], None],
) -> tuple[list[dict[str, Any]], list[Outcome]]:
    """
    Ask all questions of a folder.

    Args:
        books: the folder of NAME.epub.
        questions: a book's NAME -> its questions.
        reader: the model that reads passages.
        passages: how many to read for a question.
        advance: called after each question.

    Returns:
        The rows of its table, and what each question came to.
    """
    rows = []
    outcomes = []
    index_seconds = 0.0
    for name, asked in questions.items():
        with tempfile.TemporaryDirectory() as cache:
            started = time.perf_counter()
            with BookIndex.open(books / f"{name}.epub", cache_dir=Path(cache)) as index:
                if reader.embedder is not None:
                    index.add_vectors(reader.embedder)
                seconds = time.perf_counter() - started
                of_book = []
                for question in asked:
                    of_book.append(measure(index, reader, question, passages))
                    advance()
        rows.append(summarize(name, of_book, seconds))
        outcomes += of_book
        index_seconds += seconds
    plain = [outcome for outcome in outcomes if outcome.question.is_plain]
    if plain:
        rows.append(summarize("plain", plain, None))
    rows.append(summarize("all", outcomes, index_seconds))
    return rows, outcomes


@click.command()
@click.argument("books", type=existing_folder)
@click.argument("folders", metavar="QUESTIONS...", nargs=-1, required=True, type=existing_folder)
@model_option
@click.option("--passages", default=DEFAULT_PASSAGES, show_default=True)
@click.option("--compute", type=click.Choice(COMPUTES), default="auto", show_default=True)
@threads_option
@click.option("--plot", type=output_file, help="Draw the risk-coverage curves into this PNG.")
@click.option("--details", is_flag=True, help="Print every question with its reply.")
def main(
    books: Path,
    folders: tuple[Path, ...],
    model: Path,
    passages: int,
    compute: Compute,
    threads: int | None,
    plot: Path | None,
    details: bool,
) -> None:
    """Ask every question of the files in QUESTIONS to the book of the same name in BOOKS."""
    if plot is not None:
        require_matplotlib()
    questions = [load_questions(folder) for folder in folders]
    n_questions = sum(len(asked) for of_folder in questions for asked in of_folder.values())
    reader = Reader.load(model, threads=threads, compute=compute)
    result: dict[str, Any] = {
        "benchmark": "books",
        "model": model.name,
        "passages": passages,
        "compute": compute,
        "folders": [],
    }
    outcomes = []
    with progress_bar("Asking") as progress:
        n_asked = itertools.count(1)
        for folder, of_folder in zip(folders, questions, strict=True):
            rows, found = measure_folder(
                books, of_folder, reader, passages, lambda: progress(next(n_asked), n_questions)
            )
            result["folders"].append(
                {
                    "folder": folder.resolve().name,
                    "rows": rows,
                    "risk_coverage": summarize_curve(found),
                }
            )
            outcomes += found
    if details:
        for outcome in outcomes:
            _print_details(outcome)
    for measured in result["folders"]:
        click.echo(f"\n{measured['folder']}")
        print_rows(measured["rows"])
    if plot is not None:
        with atomic_write(plot) as file:
            file.write(draw(result))
    print_json(result)


def _print_details(outcome: Outcome) -> None:
    question = outcome.question
    click.echo(f"{'ok ' if outcome.f1_of_reply > 0 else 'BAD'} {question.id} {question.question}")
    click.echo(f"      gold {question.answers}, evidence at rank {outcome.evidence_rank}")
    for answer in outcome.reply.answers[:3]:
        click.echo(f"      {answer.score:.3f} {answer.text!r} ({answer.chapter.title})")


if __name__ == "__main__":
    run(main)

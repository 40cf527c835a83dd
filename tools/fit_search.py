"""
What a cosine is worth in a search beside bm25, fitted to questions over books.

    python -m tools.fit_search MODEL.sqz OUTPUT.sqz --books BOOKS --questions QUESTIONS

Every answerable question is put to its book with each weight; the one counts that finds the
passage with the answer most often first, among the first 5 and among the first 30, the three shares
added up. Among equals the smallest: bm25 needs no model.

Source: format_spec.md, "embedding".
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from squadlite.answering.reader import Reader
from squadlite.asking import DEFAULT_PASSAGES
from squadlite.cli.output import print_json, print_table, progress_bar, threads_option
from squadlite.container import copy_sqz, open_sqz
from squadlite.errors import DatasetError
from squadlite.library.index import BookIndex
from squadlite.library.query import Query, query_words
from tools.command import books_option, existing_file, file_argument, questions_option, run
from tools.evidence import evidence_rank
from tools.questions import Question, find_book, load_questions

WEIGHTS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
DEPTHS = (1, 5, DEFAULT_PASSAGES)

# Weight -> the rank of each question's passage, from 1; None: not among those found.
Ranks = Mapping[float, Sequence[int | None]]


def rank_evidence(
    index: BookIndex, questions: Sequence[Question], reader: Reader
) -> dict[float, list[int | None]]:
    """
    Search a book for each of its answerable questions, with each of WEIGHTS.

    Args:
        index: of the book.
        questions: about it.
        reader: whose model embeds.

    Raises:
        DatasetError: a question whose evidence isn't in the book.
    """
    ranks: dict[float, list[int | None]] = {weight: [] for weight in WEIGHTS}
    embedder = reader.embedder
    if embedder is None:
        return ranks
    for question in questions:
        if not question.answers:
            continue
        related = reader.related_words.of(query_words(question.question))
        for weight in WEIGHTS:
            embedder.weight = weight
            found = index.search(
                Query(question.question, related=related, embedder=embedder), max(DEPTHS)
            )
            ranks[weight].append(evidence_rank(index, question, found))
    return ranks


def recall(ranks: Sequence[int | None], depth: int) -> float:
    """0..1: the share of questions whose passage is among the first `depth`."""
    return sum(rank is not None and rank <= depth for rank in ranks) / len(ranks)


def best_weight(ranks: Ranks) -> float:
    """The weight with the highest recall at DEPTHS together; the smallest among equals."""
    return max(
        sorted(ranks),
        key=lambda weight: sum(recall(ranks[weight], depth) for depth in DEPTHS),
    )


@click.command()
@click.argument("model", type=existing_file)
@file_argument
@books_option
@questions_option
@threads_option
def main(model: Path, output: Path, books: Path, questions: Path, threads: int | None) -> None:
    """
    Fit what a cosine is worth in MODEL's searches and write it with the model to OUTPUT, both
    .sqz files.

    \b
    Example:
      python -m tools.fit_search model.sqz fitted.sqz --books books --questions books
    """
    reader = Reader.load(model, threads=threads, compute="auto")
    if reader.embedder is None:
        raise DatasetError(f"{model}: found no 'embedding' in its metadata, expected vectors")
    ranks: dict[float, list[int | None]] = {weight: [] for weight in WEIGHTS}
    asked = load_questions(questions)
    with progress_bar("Searching") as progress, tempfile.TemporaryDirectory() as cache:
        for done, (name, of_book) in enumerate(asked.items(), start=1):
            with BookIndex.open(find_book(books, name), cache_dir=cache) as index:
                for weight, found in rank_evidence(index, of_book, reader).items():
                    ranks[weight] += found
            progress(done, len(asked))
    if not ranks[WEIGHTS[0]]:
        raise DatasetError(f"{questions}: found no question with an answer, expected some")
    weight = best_weight(ranks)
    rows = {
        number: {f"recall@{depth}": round(100 * recall(found, depth), 1) for depth in DEPTHS}
        for number, found in ranks.items()
    }
    print_table(
        ["Weight", *(f"recall@{depth}" for depth in DEPTHS)],
        [[str(number), *map(str, row.values())] for number, row in rows.items()],
    )
    with open_sqz(model) as file:
        embedding = {**file.metadata["embedding"], "weight": weight}
        copy_sqz(file, output, metadata={**file.metadata, "embedding": embedding})
    print_json({"weight": weight, "questions": len(ranks[weight]), **rows[weight]})


if __name__ == "__main__":
    run(main)

"""
Training data out of books and questions about them, with the passages that our own search finds.

    python -m tools.book_data OUTPUT.json --books BOOKS --questions QUESTIONS

QUESTIONS holds a file NAME.jsonl for each book NAME in BOOKS, one question a line: `id`,
`question`, `answers` (texts as they stand in the book; none where it doesn't say), `chapter` (the
file in the EPUB) and `evidence` (a snippet around the answer). What comes out is in SQuAD's format,
an article for each book, where a question is asked of several passages. The first letters of an id
tell which:

- b: the best retrieved passage that holds the answer at its place, or the first of the book that
  does where none was retrieved; for an unanswerable question the best passage retrieved;
- a: another cut of the chapter around the same answer;
- n0, n1, ...: retrieved passages in which the answer's words don't stand: first the best, then
  others drawn from all that were retrieved.

`tools.finetune --group-passages` normalises over all of a question's passages.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import click
import numpy as np

from squadlite.answering.reader import Reader
from squadlite.asking import retrieve
from squadlite.atomic import atomic_write
from squadlite.cli.output import progress_bar
from squadlite.library.index import BookIndex
from squadlite.library.passages import MAX_WORDS, split_passages
from squadlite.library.query import Query
from squadlite.library.search import Passage
from tools.command import (
    books_option,
    existing_path,
    file_argument,
    questions_option,
    run,
    seed_option,
)
from tools.evidence import find_place, fold, holds
from tools.questions import Question, find_book, load_questions

# Another cut has the answer in a passage of between half and all of the usual length.
_CUT_WORDS = (MAX_WORDS // 2, MAX_WORDS)

# (a book's index, a question, how many passages at most) -> passages, best first.
Search = Callable[[BookIndex, str, int], list[Passage]]


def search_words(index: BookIndex, question: str, limit: int) -> list[Passage]:
    """The passages that a question's words find, and nothing else."""
    return index.search(Query(question), limit)


def book_data(
    index: BookIndex,
    questions: Sequence[Question],
    *,
    negatives: int,
    retrieved: int,
    seed: int,
    search: Search = search_words,
) -> Iterator[tuple[str, Question, str, tuple[int, int] | None]]:
    """
    Ask a book's questions of passages with and without the answer.

    Args:
        index: of the book.
        questions: about it.
        negatives: passages without the answer for each question, where so many were found.
        retrieved: passages that the search is asked for.
        seed: decides, together with the question's id, what is drawn.
        search: what retrieves the passages; words alone unless another one is given.

    Yields:
        (id, question, passage, start and end of its answer or None).

    Raises:
        DatasetError: a question whose evidence isn't in the book.
    """
    for question in questions:
        generator = _generator(seed, question.id)
        found = search(index, question.question, retrieved)
        place = find_place(index, question) if question.answers else None
        if place is None:
            without = [passage.text for passage in found]
            if without:
                yield f"b{question.id}", question, without[0], None
            without = without[1:]
        else:
            chapter, start, end = place
            text = index.chapter(chapter).text
            around = [
                (passage.start, passage.end) for passage in found if holds(passage, *place)
            ] or [cut for cut in split_passages(text) if cut[0] <= start and end <= cut[1]]
            cuts = [*around[:1], _another_cut(text, start, end, generator)]
            for kind, (first, last) in zip("ba", cuts, strict=False):
                answer = start - first, end - first
                yield f"{kind}{question.id}", question, text[first:last], answer
            without = [passage.text for passage in found if not _holds(passage.text, question)]
        for number, passage in enumerate(_draw(without, negatives, generator)):
            yield f"n{number}{question.id}", question, passage, None


def _generator(seed: int, name: str) -> np.random.Generator:
    # Other questions in the file change nothing for this one.
    return np.random.default_rng([seed, *sha256(name.encode()).digest()])


def _another_cut(
    text: str, start: int, end: int, generator: np.random.Generator
) -> tuple[int, int]:
    # The passages of the chapter as another size cuts it.
    low, high = _CUT_WORDS
    words = int(generator.integers(low, high, endpoint=True))
    cuts = split_passages(text, min_words=words, max_words=words, overlap_words=words // 2)
    around = [cut for cut in cuts if cut[0] <= start and end <= cut[1]]
    return around[int(generator.integers(len(around)))] if around else (start, end)


def _holds(passage: str, question: Question) -> bool:
    folded = fold(passage)[0].lower()
    return any(fold(answer)[0].strip().lower() in folded for answer in question.answers)


def _draw(passages: list[str], number: int, generator: np.random.Generator) -> list[str]:
    # The best one, then any.
    best, others = passages[:1], passages[1:]
    order = generator.permutation(len(others)).tolist()
    return [*best, *(others[i] for i in order)][:number]


@click.command()
@file_argument
@books_option
@questions_option
@click.option("--negatives", type=click.IntRange(min=0), default=2, show_default=True)
@click.option("--retrieved", type=click.IntRange(min=1), default=30, show_default=True)
@click.option(
    "--searcher",
    type=existing_path,
    help="Model: search as `squadlite ask` does with it.  [default: by words alone]",
)
@seed_option
def main(
    output: Path,
    books: Path,
    questions: Path,
    negatives: int,
    retrieved: int,
    searcher: Path | None,
    seed: int,
) -> None:
    """
    Write training data about books and questions over them to the SQuAD file OUTPUT.

    \b
    Example:
      python -m tools.book_data train.json --books books --questions questions --negatives 3
    """
    articles: list[dict[str, Any]] = []
    asked = load_questions(questions)
    search: Search = search_words
    if searcher is not None:
        search = _search_with(Reader.load(searcher, compute="auto"))
    with progress_bar("Searching the books") as progress:
        for done, (name, of_book) in enumerate(asked.items(), start=1):
            with BookIndex.open(find_book(books, name)) as index:
                records = book_data(
                    index,
                    of_book,
                    negatives=negatives,
                    retrieved=retrieved,
                    seed=seed,
                    search=search,
                )
                articles.append(_article(f"book/{name}", records))
            progress(done, len(asked))
    with atomic_write(output) as stream:
        content = {"version": "v2.0", "data": articles}
        stream.write(json.dumps(content, ensure_ascii=False).encode() + b"\n")
    n_pairs = sum(len(p["qas"]) for article in articles for p in article["paragraphs"])
    click.echo(f"{output}: {n_pairs:,} questions and passages about {len(articles)} books")


def _search_with(reader: Reader) -> Search:
    def search(index: BookIndex, question: str, limit: int) -> list[Passage]:
        return retrieve(question, index, reader, limit)

    return search


def _article(
    title: str, records: Iterator[tuple[str, Question, str, tuple[int, int] | None]]
) -> dict[str, Any]:
    paragraphs: dict[str, list[dict[str, Any]]] = {}
    for identifier, question, passage, answer in records:
        answers = []
        if answer is not None:
            start, end = answer
            answers.append({"text": passage[start:end], "answer_start": start})
        paragraphs.setdefault(passage, []).append(
            {
                "id": identifier,
                "question": question.question,
                "is_impossible": not answers,
                "answers": answers,
            }
        )
    return {
        "title": title,
        "paragraphs": [{"context": text, "qas": qas} for text, qas in paragraphs.items()],
    }


if __name__ == "__main__":
    run(main)

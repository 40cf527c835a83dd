"""
The same books in other formats: do they give the same words, chapters and answers as the EPUBs?

    python -m benchmarks.formats ../shared/books CONVERTED --questions ../shared/data/book-questions

CONVERTED holds files named after the EPUBs, such as BOOK.azw3 and BOOK.old.mobi beside BOOK.epub;
Debian's calibre makes them (`ebook-convert BOOK.epub BOOK.azw3`). Columns, a row for each ending of
the names:

- books, words: what was read;
- same words %: words in runs of four that the EPUB has too, of all such runs in either;
- chapters, same titles %: of the EPUB's chapters, how many are there with their title, in order;
- read s, index s: CPU time to read the files, and to build indexes from them;
- same answers %: first answers that are those over the EPUB, case and punctuation aside;
- F1: of the first answers to the questions that the books answer (--questions).
"""

import difflib
import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from benchmarks.tables import percent, print_rows
from squadlite.answering.metrics import normalize_answer
from squadlite.answering.reader import Reader
from squadlite.asking import ask
from squadlite.cli.output import model_option, print_json, progress_bar, threads_option
from squadlite.library.book import Book, open_book
from squadlite.library.index import BookIndex
from tools.command import existing_folder, run
from tools.measures import best_f1
from tools.questions import Question, load_questions

RUN_WORDS = 4


def _cpu_seconds() -> float:
    """CPU time of this process and of those that it started, as for a PDF."""
    return sum(os.times()[:4])


@dataclass(frozen=True)
class Reading:
    """A file read and asked."""

    book: Book
    read_seconds: float
    index_seconds: float
    answers: list[str]
    f1: list[float]

    @classmethod
    def of(cls, path: Path, questions: Sequence[Question], reader: Reader | None) -> "Reading":
        """Read and index a file, and ask it the questions."""
        started = _cpu_seconds()
        book = open_book(path)
        read = _cpu_seconds()
        answers: list[str] = []
        f1: list[float] = []
        with (
            tempfile.TemporaryDirectory() as cache,
            BookIndex.open(path, cache_dir=cache) as index,
        ):
            indexed = _cpu_seconds()
            if reader is not None:
                for question in questions:
                    reply = ask(question.question, index, reader)
                    answers.append(normalize_answer(reply.answer or ""))
                    if question.answers:
                        first = [answer.text for answer in reply.answers[:1]]
                        f1.append(best_f1(first, question.answers))
        return cls(book, read - started, indexed - read, answers, f1)

    @property
    def words(self) -> list[str]:
        """The words of all chapters."""
        return " ".join(chapter.text for chapter in self.book.chapters).split()

    @property
    def titles(self) -> list[str]:
        """The chapters' titles."""
        return [chapter.title for chapter in self.book.chapters]


def same_words(first: Sequence[str], second: Sequence[str]) -> float:
    """The share of the runs of words in either text that are in both, 0 to 1."""
    runs, others = (
        Counter(zip(*(words[start:] for start in range(RUN_WORDS)), strict=False))
        for words in (first, second)
    )
    return (runs & others).total() / max(1, (runs | others).total())


def same_titles(expected: Sequence[str], found: Sequence[str]) -> int:
    """How many of the expected titles are found, in order."""
    matcher = difflib.SequenceMatcher(None, expected, found, autojunk=False)
    return sum(block.size for block in matcher.get_matching_blocks())


def summarize(ending: str, pairs: Sequence[tuple[Reading, Reading]]) -> dict[str, Any]:
    """A row of the table: each EPUB beside the same book in another format."""
    titles = sum(len(epub.titles) for epub, _ in pairs)
    answers = [
        first == second
        for epub, other in pairs
        for first, second in zip(epub.answers, other.answers, strict=True)
    ]
    f1 = [value for _, other in pairs for value in other.f1]
    return {
        "format": ending,
        "books": len(pairs),
        "words": sum(len(other.words) for _, other in pairs),
        "same words %": percent((same_words(epub.words, other.words) for epub, other in pairs), 2),
        "chapters": sum(len(other.titles) for _, other in pairs),
        "same titles %": round(
            100 * sum(same_titles(epub.titles, other.titles) for epub, other in pairs) / titles, 1
        ),
        "read s": round(sum(other.read_seconds for _, other in pairs), 2),
        "index s": round(sum(other.index_seconds for _, other in pairs), 2),
        "same answers %": percent(answers, 2),
        "F1": percent(f1, 2),
    }


@click.command()
@click.argument("epubs", type=existing_folder)
@click.argument("converted", type=existing_folder)
@click.option("--questions", type=existing_folder, help="Holds NAME.jsonl for each book NAME.")
@model_option
@threads_option
def main(
    epubs: Path, converted: Path, questions: Path | None, model: Path, threads: int | None
) -> None:
    """Compare the books in CONVERTED with those in EPUBS of the same names."""
    asked = load_questions(questions) if questions is not None else {}
    reader = Reader.load(model, compute="auto", threads=threads) if asked else None
    names = [path.stem for path in sorted(epubs.glob("*.epub")) if not asked or path.stem in asked]
    pairs: dict[str, list[tuple[Reading, Reading]]] = {}
    with progress_bar("Reading") as progress:
        for done, name in enumerate(names):
            progress(done, len(names))
            epub = Reading.of(epubs / f"{name}.epub", asked.get(name, []), reader)
            pairs.setdefault(".epub", []).append((epub, epub))
            for path in sorted(converted.glob(f"{name}.*")):
                other = Reading.of(path, asked.get(name, []), reader)
                pairs.setdefault(path.name.removeprefix(name), []).append((epub, other))
    if not pairs:
        raise click.ClickException(f"{epubs}: no EPUB to compare with")
    rows = [summarize(ending, pairs[ending]) for ending in sorted(pairs)]
    print_rows(rows)
    print_json({"benchmark": "formats", "rows": rows})


if __name__ == "__main__":
    run(main)

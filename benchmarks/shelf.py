"""
What a shelf of many books costs, and how well whole-shelf questions are answered.

    python -m benchmarks.shelf ../shared/books ../shared/data/book-questions \\
        ../shared/data/book-questions-valid --others ../shared/data/books-train-v2.0.json

Two shelves are made in a temporary folder (or in --folder, where a second run goes on):

- "growing": --size books, each of --book-words words: the chapters of BOOKS cut into pieces, which
  are mixed with a seed and put together anew. Columns: seconds to add (reading and indexing; and
  vectors), to add them all again unchanged, the library's MB, the peak memory of the process that
  added and of one that asks, and the median and 95th percentile seconds of whole questions, of one
  book and of the whole shelf, asked in turns with the model loaded.
- "finding" (--others): BOOKS that questions are over, and --n-others books more, put together from
  the passages of a SQuAD file of other books. Every question is put to its book and to the whole
  shelf. Columns in percent: the first answer's F1 of answerable questions, book given and not; how
  often the whole shelf's first answer is from the right book, of the questions answered and of the
  answerable ones; and how often the unanswerable ones got no answer.
"""

import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from itertools import chain
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.growth import in_new_process, peak_memory, write_epub
from benchmarks.tables import percent, print_rows
from squadlite.answering.reader import Reader
from squadlite.answering.squad import load_squad
from squadlite.asking import Reply, ask
from squadlite.cli.output import model_option, print_json, progress_bar
from squadlite.library.book import open_book
from squadlite.library.library import Library
from squadlite.library.structure import Chapter
from tools.assemble_books import book_name, merge_cuts
from tools.command import existing_file, existing_folder, run
from tools.measures import best_f1
from tools.questions import Question, find_book, load_questions

MB = 1_000_000
PIECE_WORDS = 2000
SEED = 7


def pieces(chapters: Sequence[Chapter]) -> list[Chapter]:
    """Chapters cut at paragraphs into pieces of PIECE_WORDS words or a little more."""
    found = []
    for chapter in chapters:
        paragraphs: list[str] = []
        for paragraph in chapter.text.split("\n\n"):
            paragraphs.append(paragraph)
            if sum(len(text.split()) for text in paragraphs) >= PIECE_WORDS:
                found.append(Chapter(0, chapter.title, "", "\n\n".join(paragraphs)))
                paragraphs = []
        if paragraphs:
            found.append(Chapter(0, chapter.title, "", "\n\n".join(paragraphs)))
    return found


def mixed(source: Sequence[Chapter]) -> Iterator[Chapter]:
    """All pieces in random order, and again in another one, without end."""
    generator = random.Random(SEED)
    while True:
        yield from generator.sample(source, len(source))


def make_books(folder: Path, source: Sequence[Chapter], size: int, words: int) -> None:
    """Write so many books of so many words, each of mixed pieces."""
    folder.mkdir(exist_ok=True)
    endless = mixed(source)
    for number in range(size):
        book: list[Chapter] = []
        while sum(len(piece.text.split()) for piece in book) < words:
            book.append(next(endless))
        path = folder / f"book-{number:04}.epub"
        if not path.exists():
            write_epub(path, book)


def make_others(folder: Path, data: Path, number: int) -> None:
    """Write so many books put together from the passages of a SQuAD file, each a part of one."""
    folder.mkdir(exist_ok=True)
    passages: dict[str, list[str]] = {}
    for example in load_squad(data):
        passages.setdefault(book_name(example.title), []).append(example.context)
    for position, (name, cuts) in enumerate(passages.items()):
        n_parts = number // len(passages) + (position < number % len(passages))
        for part, text in enumerate(_parts(merge_cuts(cuts), n_parts), start=1):
            path = folder / f"{name}-{part}.txt"
            path.write_text(f"{name} {part}\n\n{text}", encoding="utf-8")


def _parts(stretches: Sequence[str], number: int) -> Iterator[str]:
    total = sum(map(len, stretches))
    part: list[str] = []
    done, given = 0, 1
    for stretch in stretches:
        part.append(stretch)
        done += len(stretch)
        if done * number >= total * given:
            yield "\n\n".join(part)
            part, given = [], given + 1


def measure_adding(library: Path, books: Sequence[Path], model: Path) -> dict[str, float]:
    """Add books twice: seconds and the peak of memory."""
    reader = Reader.load(model, compute="auto")
    with Library(library) as shelf:
        started = time.perf_counter()
        shelf.add(books)
        indexed = time.perf_counter()
        if reader.embedder is not None:
            shelf.add_vectors(reader.embedder)
        embedded = time.perf_counter()
        shelf.add(books)
        scanned = time.perf_counter()
        return {
            "index s": round(indexed - started, 2),
            "vectors s": round(embedded - indexed, 2),
            "rescan s": round(scanned - embedded, 3),
            "add MB": round(peak_memory() / MB, 1),
            "library MB": round(shelf.status().n_bytes / MB, 1),
        }


def measure_asking(library: Path, questions: Sequence[str], model: Path) -> dict[str, float]:
    """Ask one book and all of them in turns: seconds and the peak of memory."""
    reader = Reader.load(model, compute="auto")
    seconds: dict[str, list[float]] = {"one": [], "all": []}
    with Library(library) as books:
        first = books.books()[0].id
        with books.shelf([first]) as one, books.shelf() as everything:
            for question in (questions[0], *questions):
                for name, shelf in (("one", one), ("all", everything)):
                    started = time.perf_counter()
                    ask(question, shelf, reader)
                    seconds[name].append(time.perf_counter() - started)
    # The first question warms up.
    return {
        f"{name} {figure}": round(value, 3)
        for name, measured in seconds.items()
        for figure, value in (
            ("p50 s", statistics.median(measured[1:])),
            ("p95 s", float(np.percentile(measured[1:], 95))),
        )
    } | {"ask MB": round(peak_memory() / MB, 1)}


def measure_finding(
    library: Path, asked: Sequence[tuple[Path, Question]], model: Path
) -> dict[str, Any]:
    """Put each question to its book and to the whole shelf, and compare the first answers."""
    reader = Reader.load(model, compute="auto")
    f1: dict[str, list[float]] = {"given": [], "found": []}
    right: list[bool] = []
    right_answered: list[bool] = []
    silent: dict[str, list[bool]] = {"given": [], "found": []}
    with Library(library) as books, books.shelf() as everything, progress_bar("Asking") as progress:
        shelves = {path: books.shelf([books.find(str(path)).id]) for path, _ in asked}
        for done, (path, question) in enumerate(asked):
            progress(done, len(asked))
            replies = {
                "given": ask(question.question, shelves[path], reader),
                "found": ask(question.question, everything, reader),
            }
            is_right = _is_from(replies["found"], path)
            if replies["found"].answer is not None:
                right_answered.append(is_right)
            if question.answers:
                right.append(is_right)
            for name, reply in replies.items():
                if question.answers:
                    first = [answer.text for answer in reply.answers[:1]]
                    f1[name].append(best_f1(first, question.answers))
                else:
                    silent[name].append(reply.answer is None)
        for shelf in shelves.values():
            shelf.close()
        n_books = len(books.books())
    return {
        "books": n_books,
        "questions": len(asked),
        "F1 given": percent(f1["given"]),
        "F1": percent(f1["found"]),
        "answered": len(right_answered),
        "right book, answered": percent(right_answered),
        "right book, answerable": percent(right),
        "no-answer given": percent(silent["given"]),
        "no-answer": percent(silent["found"]),
    }


def _is_from(reply: Reply, path: Path) -> bool:
    source = reply.answers[0].source if reply.answers else None
    return source is not None and source.path == str(path)


@click.command()
@click.argument("books", type=existing_folder)
@click.argument("folders", metavar="QUESTIONS...", nargs=-1, required=True, type=existing_folder)
@click.option("--size", default=100, show_default=True, help="Books of the growing shelf; 0: none.")
@click.option("--book-words", default=10_000, show_default=True)
@click.option("--ask-questions", default=50, show_default=True, help="Questions that are timed.")
@click.option(
    "--others",
    type=existing_file,
    help="The SQuAD file whose passages make the other books of the finding shelf.",
)
@click.option("--n-others", default=200, show_default=True)
@click.option("--limit", type=int, help="Ask so many of the questions, drawn with a seed.")
@model_option
@click.option(
    "--folder", type=existing_folder, help="Keep the shelves here, and go on with those there."
)
def main(
    books: Path,
    folders: tuple[Path, ...],
    size: int,
    book_words: int,
    ask_questions: int,
    others: Path | None,
    n_others: int,
    limit: int | None,
    model: Path,
    folder: Path | None,
) -> None:
    """Measure shelves made of BOOKS with the questions of the files in QUESTIONS."""
    by_book = [item for of_folder in folders for item in load_questions(of_folder).items()]
    asked = [
        (find_book(books, name).resolve(), question)
        for name, questions in by_book
        for question in questions
    ]
    random.Random(SEED).shuffle(asked)
    asked = asked[:limit]
    temporary = nullcontext(str(folder)) if folder else tempfile.TemporaryDirectory()
    result: dict[str, Any] = {"benchmark": "shelf"}
    with temporary as name:
        work = Path(name)
        if size:
            chapters = chain.from_iterable(
                open_book(path).chapters for path in sorted(books.glob("*.epub"))
            )
            made = work / "growing"
            make_books(made, pieces(list(chapters)), size, book_words)
            library = work / "growing.db"
            questions = [question.question for _, question in asked[:ask_questions]]
            result["growing"] = (
                {"books": size, "words": book_words}
                | in_new_process(measure_adding, library, sorted(made.iterdir()), model)
                | in_new_process(measure_asking, library, questions, model)
            )
            print_rows([result["growing"]])
        if others is not None:
            make_others(work / "others", others, n_others)
            library = work / "finding.db"
            wanted = {path for path, _ in asked}
            shelved = [*sorted(wanted), *sorted((work / "others").iterdir())]
            in_new_process(measure_adding, library, shelved, model)
            result["finding"] = measure_finding(library, asked, model)
            print_rows([result["finding"]])
    print_json(result)


if __name__ == "__main__":
    run(main)

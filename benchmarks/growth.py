"""
What a book costs as it grows: index time, index size, search time, memory.

    python -m benchmarks.growth ../shared/books ../shared/data/book-questions --ask

The books of a folder are read once, and their chapters, over and over, make the books measured: of
--words words each, and then --books books in one index, each --piece-words words of a real one.
They are written as EPUBs, so that what is timed is what a reader waits for. Since chapters come
again, the vocabulary grows more slowly than in a library of different books.

Everything is measured in processes of its own, so that peak memory belongs to one step. Columns:

- index s, Mwords/min: reading the book's file and building its index, which isn't there yet;
- index MB, build MB: the index file's size, and the peak memory of the process that built it;
- open ms: opening the index that is there, the book's file found unchanged; median of --opens;
- search ms, p95: finding the passages of a question, with the words that the model relates to it;
- peak MB: the peak memory of a process that opens the index and searches, without any model;
- ask s: a whole question with the model loaded (--ask).
"""

import itertools
import statistics
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from html import escape
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.tables import print_rows
from squadlite.bench.system import peak_rss
from squadlite.cli.output import model_option, print_json, progress_bar, threads_option
from squadlite.library.book import open_book
from squadlite.library.index import BookIndex
from squadlite.library.query import Query, query_words
from squadlite.library.structure import Chapter
from tools.command import existing_folder, run
from tools.questions import load_questions

# squadlite.asking imports what reads, for which processes that only search must not pay.
DEFAULT_PASSAGES = 30
MB = 1_000_000

Related = dict[str, float]


@dataclass(frozen=True)
class Setting:
    """What every measuring process is told: the book, where its index lives, how to count time."""

    book: Path
    cache: Path
    cpu_time: bool
    passages: int

    def open(self) -> BookIndex:
        """The book's index, built if it isn't there."""
        return BookIndex.open(self.book, cache_dir=self.cache)

    @property
    def clock(self) -> Callable[[], float]:
        """The clock in seconds."""
        return time.process_time if self.cpu_time else time.perf_counter


def measure_building(setting: Setting) -> dict[str, float]:
    """Build the index: seconds, its bytes and the peak of memory."""
    started = setting.clock()
    setting.open().close()
    seconds = setting.clock() - started
    (file,) = setting.cache.iterdir()
    return {"seconds": seconds, "bytes": file.stat().st_size, "peak": peak_memory()}


def measure_searching(
    setting: Setting, questions: Sequence[str], related: Sequence[Related], opens: int
) -> dict[str, float]:
    """Open the index and search: seconds each and the peak of memory."""
    opening, searching = [], []
    for _ in range(opens):
        started = setting.clock()
        index = setting.open()
        opening.append(setting.clock() - started)
        index.close()
    with setting.open() as index:
        for question, words in zip(questions, related, strict=True):
            started = setting.clock()
            index.search(Query(question, related=words), setting.passages)
            searching.append(setting.clock() - started)
    return {
        "open": statistics.median(opening),
        "search": statistics.median(searching),
        "search_p95": float(np.percentile(searching, 95)),
        "peak": peak_memory(),
    }


def measure_asking(
    setting: Setting, questions: Sequence[str], model: Path, threads: int | None
) -> float:
    """The median seconds of a whole question, the first one not counted."""
    from squadlite.answering.reader import Reader  # noqa: PLC0415
    from squadlite.asking import ask  # noqa: PLC0415

    reader = Reader.load(model, threads=threads, compute="auto")
    seconds = []
    with setting.open() as index:
        for question in (questions[0], *questions):
            started = setting.clock()
            ask(question, index, reader, passages=setting.passages)
            seconds.append(setting.clock() - started)
    return statistics.median(seconds[1:])


def related_words(questions: Sequence[str], model: Path) -> list[Related]:
    """The words that the model relates to each question's."""
    from squadlite.answering.reader import Reader  # noqa: PLC0415

    reader = Reader.load(model, compute="auto")
    return [reader.related_words.of(query_words(question)) for question in questions]


def peak_memory() -> int:
    """The most bytes of memory that this process has had in use."""
    peak = peak_rss()
    if peak is None:
        raise click.ClickException("peak memory: the system won't tell it")
    return peak


def in_new_process(work: Callable[..., Any], *arguments: Any) -> Any:
    """What `work` returns in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def take(chapters: Iterator[Chapter], words: int) -> list[Chapter]:
    """The next chapters, about so many words of them; the last one is cut at a paragraph."""
    taken: list[Chapter] = []
    for chapter in chapters:
        paragraphs = []
        for paragraph in chapter.text.split("\n\n"):
            paragraphs.append(paragraph)
            words -= len(paragraph.split())
            if words <= 0:
                break
        taken.append(Chapter(len(taken), chapter.title, chapter.href, "\n\n".join(paragraphs)))
        if words <= 0:
            break
    return taken


def write_epub(path: Path, chapters: Sequence[Chapter]) -> None:
    """Write an EPUB of these chapters, one page each."""
    names = [f"chapter-{number}.xhtml" for number in range(len(chapters))]
    items = "".join(
        f'<item id="{name}" href="{name}" media-type="application/xhtml+xml"/>' for name in names
    )
    spine = "".join(f'<itemref idref="{name}"/>' for name in names)
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf" version="3.0">'
        '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>Growth</dc:title>'
        f"</metadata><manifest>{items}</manifest><spine>{spine}</spine></package>"
    )
    container = (
        '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0">'
        '<rootfiles><rootfile full-path="book.opf" '
        'media-type="application/oebps-package+xml"/></rootfiles></container>'
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/epub+zip", zipfile.ZIP_STORED)
        archive.writestr("META-INF/container.xml", container)
        archive.writestr("book.opf", package)
        for name, chapter in zip(names, chapters, strict=True):
            archive.writestr(name, _page(chapter))


def _page(chapter: Chapter) -> str:
    paragraphs = (
        f"<p>{escape(paragraph).replace(chr(10), '<br/>')}</p>"
        for paragraph in chapter.text.split("\n\n")
    )
    return (
        '<html xmlns="http://www.w3.org/1999/xhtml"><head><title/></head><body>'
        f"{''.join(paragraphs)}</body></html>"
    )


def numbers(context: click.Context, option: click.Parameter, value: str) -> list[int]:
    """A list of whole numbers such as "1,10,100"."""
    try:
        return [int(number.replace("_", "")) for number in value.split(",") if number]
    except ValueError:
        raise click.BadParameter(f"{value!r}, expected whole numbers like 1,10,100") from None


@click.command()
@click.argument("books", type=existing_folder)
@click.argument("questions", type=existing_folder)
@click.option("--words", default="10000,100000,1000000", show_default=True, callback=numbers)
@click.option("--books", "book_counts", default="1,10,100,1000", show_default=True,
              callback=numbers)  # fmt: skip
@click.option("--piece-words", default=10_000, show_default=True, help="Words of each of --books.")
@click.option("--passages", default=DEFAULT_PASSAGES, show_default=True)
@click.option("--opens", default=7, show_default=True, help="How often each index is opened.")
@model_option
@click.option("--ask", is_flag=True, help="Measure whole questions too, which takes minutes.")
@click.option("--ask-questions", default=20, show_default=True, help="How many of them.")
@threads_option
@click.option("--cpu", is_flag=True, help="Count CPU time of all threads, for a busy machine.")
def main(
    books: Path,
    questions: Path,
    words: list[int],
    book_counts: list[int],
    piece_words: int,
    passages: int,
    opens: int,
    model: Path,
    ask: bool,
    ask_questions: int,
    threads: int | None,
    cpu: bool,
) -> None:
    """Measure books made of those in BOOKS with the questions of the files in QUESTIONS."""
    asked = [
        question.question for of_book in load_questions(questions).values() for question in of_book
    ]
    related = in_new_process(related_words, asked, model)
    chapters = [
        chapter for path in sorted(books.glob("*.epub")) for chapter in open_book(path).chapters
    ]
    if not chapters:
        raise click.ClickException(f"{books}: no EPUB, expected books to take chapters from")
    plans = [(1, size) for size in words] + [(count, piece_words) for count in book_counts]
    rows = []
    with progress_bar("Measuring") as progress:
        for done, (count, size) in enumerate(plans):
            progress(done, len(plans))
            source = itertools.cycle(chapters)
            whole = [chapter for _ in range(count) for chapter in take(source, size)]
            with tempfile.TemporaryDirectory() as folder:
                setting = Setting(Path(folder, "book.epub"), Path(folder, "cache"), cpu, passages)
                write_epub(setting.book, whole)
                row = describe(count, whole)
                row |= measured(setting, asked, related, opens, row["words"])
                if ask:
                    seconds = in_new_process(
                        measure_asking, setting, asked[:ask_questions], model, threads
                    )
                    row["ask s"] = round(seconds, 3)
            rows.append(row)
    print_rows(rows)
    print_json(
        {
            "benchmark": "growth",
            "clock": "cpu" if cpu else "wall",
            "passages": passages,
            "threads": threads,
            "rows": rows,
        }
    )


def describe(count: int, chapters: Sequence[Chapter]) -> dict[str, Any]:
    """What a book is, for its row."""
    words = sum(len(chapter.text.split()) for chapter in chapters)
    return {"books": count, "words": words, "chapters": len(chapters)}


def measured(
    setting: Setting, questions: list[str], related: list[Related], opens: int, words: int
) -> dict[str, Any]:
    """A row's measurements, but for whole questions."""
    built = in_new_process(measure_building, setting)
    searched = in_new_process(measure_searching, setting, questions, related, opens)
    return {
        "index s": round(built["seconds"], 3),
        "Mwords/min": round(words / built["seconds"] * 60 / 1e6, 1),
        "index MB": round(built["bytes"] / MB, 2),
        "build MB": round(built["peak"] / MB, 1),
        "open ms": round(searched["open"] * 1000, 2),
        "search ms": round(searched["search"] * 1000, 2),
        "p95": round(searched["search_p95"] * 1000, 2),
        "peak MB": round(searched["peak"] / MB, 1),
    }


if __name__ == "__main__":
    run(main)

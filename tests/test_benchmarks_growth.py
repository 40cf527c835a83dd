"""The growth benchmark: the books it makes are the words it was asked for, and can be read."""

import itertools
from pathlib import Path

from benchmarks.growth import DEFAULT_PASSAGES, peak_memory, take, write_epub
from benchmarks.transformers_ask import PASSAGES
from squadlite import asking
from squadlite.library.book import open_book
from squadlite.library.structure import Chapter

PARAGRAPH = "It was & <is> the salt road that they took, over the hills. " * 5


def chapters(count: int) -> list[Chapter]:
    text = "\n\n".join([PARAGRAPH.strip()] * 4 + ["A line\nand another"])
    return [Chapter(number, f"Chapter {number}", "", text) for number in range(count)]


def words(taken: list[Chapter]) -> int:
    return sum(len(chapter.text.split()) for chapter in taken)


def test_so_many_words_are_taken_up_to_the_end_of_a_paragraph() -> None:
    source = itertools.cycle(chapters(3))
    whole = words(chapters(1))
    assert words(take(source, 1)) == len(PARAGRAPH.split())
    assert whole * 7 <= words(take(source, whole * 7)) < whole * 7 + len(PARAGRAPH.split())
    assert [chapter.index for chapter in take(source, whole * 7)] == list(range(7))


def test_the_book_that_is_written_is_the_one_that_is_read(tmp_path: Path) -> None:
    path = tmp_path / "book.epub"
    write_epub(path, chapters(12))
    assert [chapter.text for chapter in open_book(path).chapters] == [
        chapter.text for chapter in chapters(12)
    ]


def test_what_must_not_import_the_reader_reads_as_many_passages_as_ask() -> None:
    assert DEFAULT_PASSAGES == PASSAGES == asking.DEFAULT_PASSAGES


def test_peak_memory_is_that_of_a_python_process() -> None:
    assert 5_000_000 < peak_memory() < 1 << 40

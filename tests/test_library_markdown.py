"""Markdown books."""

import time
from pathlib import Path

from squadlite.library.book import Book, open_book

PROSE = "It was a long road and a cold one. " * 10


def read(tmp_path: Path, source: str) -> Book:
    path = tmp_path / "a-book.md"
    path.write_text(source, encoding="utf-8")
    return open_book(path)


def test_both_kinds_of_heading_make_chapters(tmp_path: Path) -> None:
    book = read(tmp_path, f"# The Road\n\n## One\n\n{PROSE}\n\nTwo\n---\n\n{PROSE}\n")
    assert book.title == "The Road"
    assert [chapter.title for chapter in book.chapters] == ["One", "Two"]


def test_marks_are_taken_off_and_text_is_kept(tmp_path: Path) -> None:
    source = (
        "A *very* **long** `road` to [Eddin](https://example.org), ![map](m.png)\nand home.\n\n"
        "* salt\n* pepper\n\n> quoted\n\n```\ncode\nlines\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    )
    assert read(tmp_path, source).chapters[0].text == (
        "A very long road to Eddin, and home.\n\nsalt\n\npepper\n\nquoted\n\ncode\nlines\n\n"
        "a | b\n\n1 | 2"
    )


def test_front_matter_names_the_book(tmp_path: Path) -> None:
    book = read(tmp_path, f'---\ntitle: "The Road"\nauthor: A. Writer\nlang: de\n---\n\n{PROSE}')
    assert (book.title, book.author, book.language) == ("The Road", "A. Writer", "de")
    assert book.chapters[0].text == PROSE.strip()


def test_front_matter_without_a_title_names_none(tmp_path: Path) -> None:
    assert read(tmp_path, f"---\ntitle: \n---\n\n# The Road\n\n{PROSE}").title == "The Road"


def test_spaces_in_front_matter_are_looked_at_once(tmp_path: Path) -> None:
    title = f"The{' ' * 300_000}Road"
    started = time.monotonic()
    assert read(tmp_path, f"---\ntitle: {title}\n---\n\n{PROSE}").title == title
    assert time.monotonic() - started < 10


def test_html_inside_is_only_text(tmp_path: Path) -> None:
    source = "One <b>bold</b> word.\n\n<script>alert(1)</script>\n\n<p>A paragraph.</p>\n"
    assert read(tmp_path, source).chapters[0].text == "One bold word.\n\nA paragraph."


def test_a_rule_at_the_top_is_not_front_matter(tmp_path: Path) -> None:
    assert read(tmp_path, f"---\n\n{PROSE}").chapters[0].text == PROSE.strip()

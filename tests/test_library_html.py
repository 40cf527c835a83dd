"""Books of one HTML page: title, author, chapters by headings."""

from pathlib import Path

from squadlite.library.book import Book, open_book

PROSE = "<p>" + "It was a long road and a cold one. " * 10 + "</p>"


def read(tmp_path: Path, source: str) -> Book:
    path = tmp_path / "a-book.html"
    path.write_text(source, encoding="utf-8")
    return open_book(path)


def test_title_author_and_language_come_from_the_head(tmp_path: Path) -> None:
    book = read(
        tmp_path,
        "<html lang='de'><head><title>The  Road</title><meta name='Author' content='A. Writer'>"
        f"</head><body>{PROSE}</body></html>",
    )
    assert (book.title, book.author, book.language) == ("The Road", "A. Writer", "de")


def test_a_gutenberg_title_is_cut_in_two(tmp_path: Path) -> None:
    title = "The Project Gutenberg eBook of The Salt Road, by A. Writer"
    book = read(tmp_path, f"<html><head><title>{title}</title></head><body>{PROSE}")
    assert (book.title, book.author) == ("The Salt Road", "A. Writer")


def test_gutenbergs_number_identifies_the_book(tmp_path: Path) -> None:
    header = "<p>Release date: May 1, 1999 [eBook #1661]</p><p>*** START OF THE PROJECT GUTENBERG"
    book = read(tmp_path, f"<html><body>{header}</p>{PROSE}")
    assert book.identifier == "http://www.gutenberg.org/1661"
    assert read(tmp_path, f"<html><body><p>[eBook #1]</p>{PROSE}").identifier == ""


def test_without_a_title_the_first_heading_names_the_book(tmp_path: Path) -> None:
    assert read(tmp_path, f"<html><h1>The Road</h1>{PROSE}").title == "The Road"
    assert read(tmp_path, f"<html>{PROSE}").title == "a-book"


def test_chapters_are_the_headings_that_divide_the_book(tmp_path: Path) -> None:
    book = read(
        tmp_path,
        "<html><body><h1>The Road</h1><h2>by A. Writer</h2><h2>Contents</h2>"
        "<ul><li><a href='#a'>One</a></li></ul>"
        f"<h3 id='a'>One</h3>{PROSE}<h4>Inside</h4>{PROSE}<h3 id='b'>Two</h3>{PROSE}",
    )
    assert [(chapter.title, chapter.href) for chapter in book.chapters] == [
        ("One", "#a"),
        ("Two", "#b"),
    ]
    assert "Inside" in book.chapters[0].text


def test_a_preface_without_a_heading_is_a_chapter(tmp_path: Path) -> None:
    book = read(tmp_path, f"<html><title>T</title>{PROSE}<h2>One</h2>{PROSE}<h2>Two</h2>{PROSE}")
    assert [chapter.title for chapter in book.chapters] == ["T", "One", "Two"]


def test_no_text_under_any_heading_is_lost(tmp_path: Path) -> None:
    source = (
        f"<html>{PROSE}<h2>One</h2><p>alpha</p><h2>Two</h2>{PROSE}<h2>Three</h2>{PROSE}<h2>x</h2>"
    )
    text = " ".join(chapter.text for chapter in read(tmp_path, source).chapters)
    for word in ("One", "alpha", "Two", "Three"):
        assert word in text


def test_control_characters_that_come_by_reference_are_dropped(tmp_path: Path) -> None:
    book = read(tmp_path, f"<html><title>A&#27;[31m Title</title><p>al&#x7;pha&#27;[0m</p>{PROSE}")
    assert book.title == "A[31m Title"
    assert book.chapters[0].text.startswith("alpha[0m\n")

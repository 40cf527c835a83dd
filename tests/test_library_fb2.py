"""FictionBooks: which sections become chapters, and what the description says of the book."""

import base64
import time
import zipfile
from pathlib import Path

import pytest

from squadlite.errors import BrokenBookError, UnsupportedBookError
from squadlite.library import fb2 as fb2_module
from squadlite.library.book import Book, open_book
from squadlite.library.structure import Cover

PROSE = "<p>" + "It was a long road and a cold one. " * 10 + "</p>"
START = (
    '<FictionBook xmlns="http://www.gribuser.ru/xml/fictionbook/2.0"'
    ' xmlns:l="http://www.w3.org/1999/xlink">'
)


def section(title: str, body: str = PROSE, name: str = "") -> str:
    title = f"<title><p>{title}</p></title>" if title else ""
    return f'<section id="{name}">{title}{body}</section>'


def fb2(*bodies: str, description: str = "", binaries: str = "") -> str:
    return (
        f"{START}<description>{description}</description>{''.join(bodies)}{binaries}</FictionBook>"
    )


def read(tmp_path: Path, *sections: str, **parts: str) -> Book:
    path = tmp_path / "a-book.fb2"
    path.write_text(fb2(f"<body>{''.join(sections)}</body>", **parts), encoding="utf-8")
    return open_book(path)


def titles(book: Book) -> list[str]:
    return [chapter.title for chapter in book.chapters]


def test_sections_with_titles_are_chapters(tmp_path: Path) -> None:
    book = read(tmp_path, section("One</p><p>The Road", name="c1"), section("Two", name="c2"))
    assert [(c.index, c.title, c.href) for c in book.chapters] == [
        (0, "One The Road", "#c1"),
        (1, "Two", "#c2"),
    ]
    assert book.chapters[0].text.startswith("One\nThe Road\n\nIt was")


def test_a_part_heads_its_first_chapter(tmp_path: Path) -> None:
    book = read(
        tmp_path,
        section("Part I", section("One") + section("Two")),
        section("Part II", section("Three")),
    )
    assert titles(book) == ["One", "Two", "Three"]
    assert book.chapters[2].text.startswith("Part II\n\nThree\n\nIt was")


def test_text_keeps_its_verses_quotations_and_tables(tmp_path: Path) -> None:
    poem = (
        "<poem><title><p>The Salt</p></title><stanza><v>One line</v><v>and <style name='x'>one"
        "</style> more</v></stanza><stanza><v>A third</v></stanza><text-author>Anon</text-author>"
        "</poem>"
    )
    body = (
        f"<epigraph><p>Mind the goat.</p></epigraph>{PROSE}{poem}<subtitle>* * *</subtitle>"
        "<cite><p>He said so.</p></cite><empty-line/><p>A<emphasis>b</emphasis>c</p>"
        "<table><tr><th>salt</th><td>six</td></tr></table><annotation><p>Aside.</p></annotation>"
    )
    paragraphs = read(tmp_path, section("One", body)).chapters[0].text.split("\n\n")
    assert paragraphs[:2] == ["One", "Mind the goat."]
    assert paragraphs[3:] == [
        "The Salt",
        "One line\nand one more",
        "A third",
        "Anon",
        "* * *",
        "He said so.",
        "Abc",
        "salt | six",
        "Aside.",
    ]


def test_notes_stand_behind_the_text(tmp_path: Path) -> None:
    text = 'Salt<a l:href="#n1" type="note">1</a> is white.'
    path = tmp_path / "book.fb2"
    notes = f"<title><p>Remarks</p></title>{section('1', '<p>Not all of it.</p>')}"
    path.write_text(
        fb2(
            f"<body>{section('One', f'<p>{text}</p>{PROSE}')}{section('Two')}</body>",
            f'<body name="notes">{notes}</body>',
            f'<body name="comments">{section("2", "<p>Nor this.</p>")}</body>',
        )
    )
    book = open_book(path)
    assert titles(book) == ["One", "Two", "Remarks", "Comments"]
    assert "Salt is white." in book.chapters[0].text
    assert book.chapters[2].text == "1\n\nNot all of it."


def test_bold_paragraphs_head_sections_without_titles(tmp_path: Path) -> None:
    bold = "<p><strong>One</strong></p>"
    in_title = f"<title><empty-line/><p><strong>Two</strong></p>{PROSE}</title>"
    book = read(
        tmp_path,
        section("", f"<empty-line/>{bold}{PROSE}"),
        section("", in_title),
        section("", f"<p><strong>It</strong> was</p>{PROSE}"),
    )
    assert titles(book) == ["One", "Two"]
    assert "It was\n\nIt was a long" in book.chapters[1].text


def test_the_text_of_sections_in_sections_is_gathered_once(tmp_path: Path) -> None:
    started = time.monotonic()
    text = f"<p>{'It was a long road. ' * 200_000}</p>"
    (chapter,) = read(tmp_path, f"{'<section>' * 240}{text}{'</section>' * 240}").chapters
    assert len(chapter.text) == 4_000_000 - 1
    assert time.monotonic() - started < 20


def test_what_stands_around_the_text_is_left_out(tmp_path: Path) -> None:
    book = read(
        tmp_path,
        "<title><p>A. Writer</p><p>The Salt Road</p></title>",
        section("The Salt Road", "<p>by A. Writer</p>"),
        section("Imprint", "<p>Made by hand.</p>"),
        section("List of Illustrations", "<p>A goat</p>"),
        section("One"),
        section("Two"),
        description="<title-info><book-title>The Salt Road</book-title></title-info>",
    )
    assert titles(book) == ["One", "Two"]


DESCRIPTION = """<title-info>
<author><first-name>Ada</first-name><middle-name>B.</middle-name><last-name>Writer</last-name></author>
<author><nickname>salt</nickname></author><author><nickname/></author>
<book-title>The  Salt Road</book-title><lang>en</lang>
<coverpage><image l:href="#c.png"/></coverpage></title-info>
<src-title-info><book-title>Weg</book-title></src-title-info>
<document-info><id>id-1</id></document-info><publish-info><isbn>978</isbn></publish-info>"""
PNG = b"\x89PNG\r\n\x1a\n and what follows"
BINARY = f'<binary content-type="x" id="c.png">\n{base64.b64encode(PNG).decode()}\n</binary>'


def test_the_description_names_the_book(tmp_path: Path) -> None:
    other = BINARY.replace("c.png", "d.png").replace("iVBO", "AAAA")
    book = read(tmp_path, section("One"), description=DESCRIPTION, binaries=other + BINARY)
    assert (book.title, book.author, book.language, book.identifier) == (
        "The Salt Road",
        "Ada B. Writer, salt",
        "en",
        "id-1",
    )
    assert book.cover == Cover("image/png", PNG)


@pytest.mark.parametrize("binary", ["", BINARY.replace("c.png", "no"), BINARY.replace("iV", "i=")])
def test_a_cover_that_is_not_there_is_none(tmp_path: Path, binary: str) -> None:
    assert read(tmp_path, section("One"), description=DESCRIPTION, binaries=binary).cover is None


def test_a_book_without_a_description_has_its_file_name(tmp_path: Path) -> None:
    book = read(tmp_path, section(""))
    assert (book.title, book.author, book.identifier, book.cover) == ("a-book", "", "", None)


@pytest.mark.parametrize("encoding", ["windows-1251", "koi8-r", "utf-8", "utf-16"])
def test_the_declared_encoding_is_read(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "book.fb2"
    source = fb2(f"<body>{section('Соль')}</body>")
    path.write_bytes(f'<?xml version="1.0" encoding="{encoding}"?>{source}'.encode(encoding))
    assert open_book(path).chapters[0].text.startswith("Соль\n\nIt was")


def test_a_book_of_images_is_refused_as_one(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedBookError, match="3 images and hardly a word"):
        read(tmp_path, section("", "<p>End.</p>"), binaries=BINARY * 3)


def test_a_zipped_book_is_read(tmp_path: Path) -> None:
    path = tmp_path / "road.fb2.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Road.FB2", fb2(f"<body>{section('One')}</body>"))
    assert open_book(path).title == "road"
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("two.fb2", "x")
    with pytest.raises(UnsupportedBookError, match="2 FictionBooks in one archive"):
        open_book(path)


def test_text_beyond_the_limit_is_refused_whatever_the_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fb2_module, "MAX_ITEM_BYTES", 2000)
    binaries = f"<binary id='x'>{'A' * 5000}</binary>"
    assert titles(read(tmp_path, section("One"), binaries=binaries)) == ["a-book"]
    with pytest.raises(BrokenBookError, match="bytes of text, at most 2000"):
        read(tmp_path, *[section("One")] * 10)
    monkeypatch.setattr(fb2_module, "MAX_TOTAL_BYTES", 1000)
    with pytest.raises(BrokenBookError, match="bytes, at most 1000"):
        read(tmp_path, section("One"), binaries=binaries)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("<FictionBookshelf/>", "not a FictionBook's XML"),
        ("<html><FictionBook/></html>", "not a FictionBook's XML"),
        (f"{START}</FictionBook>", "no text in the FictionBook"),
        (fb2("<body><section><p> </p></section></body>"), "no text in the FictionBook"),
    ],
)
def test_a_book_without_text_says_what_is_missing(
    tmp_path: Path, source: str, message: str
) -> None:
    path = tmp_path / "book.fb2"
    path.write_text(source)
    with pytest.raises(BrokenBookError, match=message):
        open_book(path)

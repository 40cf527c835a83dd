"""Kinds of file: told by content first, and named where they can't be read."""

import zipfile
from pathlib import Path

import pytest
from epubs import book_of

from squadlite.errors import BookError, BrokenBookError, UnsupportedBookError
from squadlite.library import book as book_module
from squadlite.library.book import open_book
from squadlite.library.kinds import Kind, detect_kind


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("book.txt", b"Once upon a time.", Kind.TEXT),
        ("book", b"PKD wrote it. CONTENTS follow.", Kind.TEXT),
        ("book.txt", b"CONTENTS\n\nTPZ", Kind.TEXT),
        ("book.txt", b"<!DOCTYPE html><p>Once</p>", Kind.HTML),
        ("book.txt", b"\xef\xbb\xbf\n<HTML>\n<p>Once</p>", Kind.HTML),
        ("book.htm", b"<h1>Once</h1><p>upon a time", Kind.HTML),
        ("book.html", b"No tags at all", Kind.TEXT),
        ("book.html", "<html><body>Zoë".encode("utf-16"), Kind.HTML),
        ("book.xml", b'<?xml version="1.0"?><FictionBook xmlns="x">', Kind.FB2),
        ("book.fb2", "<FictionBook/>".encode("utf-16"), Kind.FB2),
        ("book.pdf", b"%PDF-1.7\n", Kind.PDF),
        ("book.dat", b"\r\nTo follow:\r\n%PDF-1.4\n", Kind.PDF),
        ("book.doc", b"{\\rtf1 text}", Kind.RTF),
        ("book.dat", b"\0" * 60 + b"BOOKMOBI", Kind.MOBI),
        ("book.pdb", b"\0" * 60 + b"TEXtREAd", Kind.MOBI),
        ("book.md", b"# Once", Kind.MARKDOWN),
        ("book.MARKDOWN", b"# Once", Kind.MARKDOWN),
        ("book.txt", "соль".encode("utf-16"), Kind.TEXT),
        ("book.txt", "salt".encode("utf-16-be"), Kind.TEXT),
        ("book.txt", "соль и дорога".encode("koi8-r"), Kind.TEXT),
    ],
)
def test_what_we_read(tmp_path: Path, name: str, content: bytes, kind: Kind) -> None:
    (tmp_path / name).write_bytes(content)
    assert detect_kind(tmp_path / name) is kind


def test_an_epub_under_any_name(tmp_path: Path) -> None:
    path = book_of(tmp_path / "book.txt", {"one.xhtml": "<p>Once upon a time.</p>"})
    assert detect_kind(path) is Kind.EPUB
    assert open_book(path).chapters[0].text == "Once upon a time."


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"TPZ0", "Topaz"),
        (b"CONT\x02\0", "KFX"),
        (b"\xeaDRMION\xee", "KFX"),
        (b"\xd0\xcf\x11\xe0\xa1", "a Word document"),
        (b"ITSF\x03\0", "CHM"),
        (b"AT&TFORM", "DjVu"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"\x89PNG\r\n", "a PNG image"),
        (b"SQLite format 3\0", "SQLite"),
        (b"\0" * 257 + b"ustar", "a TAR archive"),
        (bytes(range(256)) * 4, "not text"),
    ],
)
def test_what_we_do_not_read_is_named(tmp_path: Path, content: bytes, named: str) -> None:
    path = tmp_path / "book.dat"
    path.write_bytes(content)
    with pytest.raises(UnsupportedBookError, match=named) as caught:
        open_book(path)
    for kind in (
        "EPUB",
        "PDF",
        "MOBI",
        "AZW3",
        "FB2",
        "DOCX",
        "ODT",
        "RTF",
        "plain text",
        "HTML",
        "Markdown",
    ):
        assert kind in str(caught.value).partition("squadlite reads ")[2]


@pytest.mark.parametrize(
    ("member", "named"),
    [
        ("book.kfx", "KFX"),
        ("photo.jpg", "a ZIP archive"),
    ],
)
def test_other_archives_are_named(tmp_path: Path, member: str, named: str) -> None:
    path = tmp_path / "book.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, "x")
    with pytest.raises(UnsupportedBookError, match=named):
        open_book(path)


@pytest.mark.parametrize(
    ("member", "kind"), [("word/document.xml", Kind.DOCX), ("content.xml", Kind.ODT)]
)
def test_documents_are_told_by_what_their_archive_holds(
    tmp_path: Path, member: str, kind: Kind
) -> None:
    path = tmp_path / "book.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, "x")
    assert detect_kind(path) is kind


@pytest.mark.parametrize("name", ["comic.cbz", "comic.zip"])
def test_an_archive_of_images_is_a_comic(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        archive.writestr("ComicInfo.xml", "<ComicInfo/>")
        archive.writestr("1.jpg", "x")
        archive.writestr("2.PNG", "x")
    with pytest.raises(UnsupportedBookError, match="a comic, images without text"):
        open_book(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "start"), [("a.cbr", b"Rar!"), ("a.cb7", b"7z\xbc\xaf"), ("a.CBZ", b"PK\x03\x04")]
)
def test_comics_in_other_archives_are_known_by_their_name(
    tmp_path: Path, name: str, start: bytes
) -> None:
    (tmp_path / name).write_bytes(start)
    if start.startswith(b"PK"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("page one", "x")
    with pytest.raises(UnsupportedBookError, match="a comic, images without text"):
        open_book(tmp_path / name)


def test_an_epub_that_is_no_archive_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "book.epub"
    path.write_text("Once upon a time.")
    with pytest.raises(BrokenBookError, match="not a ZIP archive"):
        open_book(path)


def test_a_text_beyond_the_limit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "book.txt"
    path.write_text("Once upon a time.")
    monkeypatch.setattr(book_module, "MAX_TEXT_BYTES", 10)
    with pytest.raises(BrokenBookError, match="17 bytes of text, at most 10"):
        open_book(path)


@pytest.mark.parametrize("content", [b" \n\t\n", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("name", ["book.txt", "book.md", "book.html"])
def test_a_file_without_words_is_broken(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BrokenBookError, match="no text"):
        open_book(tmp_path / name)


def test_a_path_that_cannot_be_is_a_book_error() -> None:
    with pytest.raises(BookError, match="can't be read"):
        open_book("bo\0ok.txt")

"""OpenDocument texts: headings, notes, tables and what is passed over."""

from pathlib import Path

import pytest
from documents import OPEN, write_odt

from squadlite.errors import BrokenBookError, ProtectedBookError, UnsupportedBookError
from squadlite.library.book import open_book
from squadlite.library.structure import Cover

PROSE = "Once upon a time there was a carrier of salt, and this is her story. " * 6
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


def text_of(tmp_path: Path, body: str) -> str:
    book = open_book(write_odt(tmp_path / "book.odt", body))
    return "\n--\n".join(chapter.text for chapter in book.chapters)


def test_headings_make_the_chapters_and_metadata_names_the_book(tmp_path: Path) -> None:
    body = (
        f'<text:h text:outline-level="1">The Well</text:h><text:p>{PROSE}</text:p>'
        f'<text:p text:style-name="P1">The Pass</text:p><text:p>{PROSE}</text:p>'
    )
    metadata = (
        "<dc:title>The Salt Road</dc:title><dc:creator>An Editor</dc:creator>"
        "<meta:initial-creator>A. Writer</meta:initial-creator><dc:language>en-GB</dc:language>"
    )
    members: dict[str, str | bytes] = {"Thumbnails/thumbnail.png": PNG}
    book = open_book(write_odt(tmp_path / "x.odt", body, metadata=metadata, members=members))
    assert (book.title, book.author, book.language) == ("The Salt Road", "A. Writer", "en-GB")
    assert book.cover == Cover("image/png", PNG)
    assert [chapter.title for chapter in book.chapters] == ["The Well", "The Pass"]
    assert book.chapters[0].text == f"The Well\n\n{PROSE.strip()}"


def test_without_metadata_the_file_and_the_styles_say(tmp_path: Path) -> None:
    book = open_book(write_odt(tmp_path / "salt.odt", f"<text:p>{PROSE}</text:p>"))
    assert (book.title, book.author, book.language, book.cover) == ("salt", "", "de-AT", None)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("one<text:line-break/>two<text:tab/>three<text:s text:c='900000000'/>four",
         "one\ntwo three four"),
        ("a <text:span>salt</text:span> road<!-- unseen --> here", "a salt road here"),
        ("see <text:a>the well</text:a>.", "see the well."),
        ("seen<text:annotation><text:p>remark</text:p></text:annotation> text", "seen text"),
        ("<text:ruby><text:ruby-base>塩</text:ruby-base><text:ruby-text>しお</text:ruby-text>"
         "</text:ruby>", "塩"),
        ("on <text:soft-page-break/>this page", "on this page"),
        ("e\u0301te\u0301 &amp; &#x1F9C2;", "été & 🧂"),
    ],
)  # fmt: skip
def test_what_a_paragraph_says(tmp_path: Path, body: str, text: str) -> None:
    assert text_of(tmp_path, f"<text:p>{body}</text:p>") == text


def test_notes_stand_behind_their_paragraph(tmp_path: Path) -> None:
    inner = "<text:note><text:note-body><text:p>Deeper.</text:p></text:note-body></text:note>"
    note = (
        "<text:note><text:note-citation>1</text:note-citation><text:note-body>"
        f"<text:p>A note.{inner}</text:p></text:note-body></text:note>"
    )
    body = f"<text:p>Salt{note} is dear.</text:p><text:p>More.</text:p>"
    assert text_of(tmp_path, body) == "Salt is dear.\n\nA note.\n\nMore."


def test_a_table_is_a_line_a_row_unless_it_is_layout(tmp_path: Path) -> None:
    def row(*cells: str) -> str:
        return (
            "<table:table-row>"
            + "".join(f"<table:table-cell>{cell}</table:table-cell>" for cell in cells)
            + "</table:table-row>"
        )

    body = (
        f"<table:table>{row('<text:p>Ada</text:p>', '', '<text:p>12 marks</text:p>')}"
        f"{row('<text:p>One.</text:p><text:p>Two.</text:p>', '<text:p>Three.</text:p>')}"
        "</table:table>"
    )
    assert text_of(tmp_path, body) == "Ada | 12 marks\n\nOne.\n\nTwo.\n\nThree."


def test_lists_are_paragraphs_and_boxes_too(tmp_path: Path) -> None:
    body = (
        "<text:list>\n <text:list-item>\n  <text:p>First</text:p>\n </text:list-item>"
        "<text:list-item><text:p>Second</text:p></text:list-item></text:list>"
        "<text:p>Before.<draw:frame><draw:text-box><text:p>Boxed.</text:p></draw:text-box>"
        "</draw:frame>After.</text:p>"
    )
    assert text_of(tmp_path, body) == "First\n\nSecond\n\nBefore.\n\nBoxed.\n\nAfter."


def test_deleted_text_and_the_table_of_contents_are_left_out(tmp_path: Path) -> None:
    body = (
        "<text:tracked-changes><text:changed-region><text:deletion><text:p>Gone.</text:p>"
        "</text:deletion></text:changed-region></text:tracked-changes>"
        "<text:table-of-content><text:index-body><text:p>The Well 1</text:p></text:index-body>"
        "</text:table-of-content><text:p>The text.</text:p>"
    )
    assert text_of(tmp_path, body) == "The text."


def test_a_document_locked_with_a_password_is_refused_as_locked(tmp_path: Path) -> None:
    manifest = (
        '<m:manifest xmlns:m="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"><m:file-entry '
        'm:full-path="content.xml"><m:encryption-data/></m:file-entry></m:manifest>'
    )
    members: dict[str, str | bytes] = {
        "META-INF/manifest.xml": manifest,
        "content.xml": bytes(range(256)),
    }
    with pytest.raises(ProtectedBookError, match="locked with a password"):
        open_book(write_odt(tmp_path / "x.odt", "", members=members))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no OpenDocument, expected one"),
        ("\0\1", "no OpenDocument, expected one"),
        (f"<office:document-content {OPEN}><office:body><office:text/></office:body>"
         "</office:document-content>", "no text in the document"),
    ],
)  # fmt: skip
def test_a_document_that_says_nothing_is_broken(tmp_path: Path, content: str, message: str) -> None:
    path = write_odt(tmp_path / "x.odt", "", members={"content.xml": content})
    with pytest.raises(BrokenBookError, match=message):
        open_book(path)


def test_a_document_of_pictures_is_refused_as_one(tmp_path: Path) -> None:
    members: dict[str, str | bytes] = {f"Pictures/{n}.png": PNG for n in range(9)}
    path = write_odt(tmp_path / "x.odt", "<text:p>Page one</text:p>", members=members)
    with pytest.raises(UnsupportedBookError, match="9 images and hardly a word"):
        open_book(path)


def test_a_spreadsheet_is_refused_as_another_kind(tmp_path: Path) -> None:
    content = (
        f"<office:document-content {OPEN}><office:body><office:spreadsheet/></office:body>"
        "</office:document-content>"
    )
    with pytest.raises(UnsupportedBookError, match="an OpenDocument of another kind"):
        open_book(write_odt(tmp_path / "x.ods", "", members={"content.xml": content}))


def test_styles_that_go_round_in_circles_are_no_headings(tmp_path: Path) -> None:
    styles = "".join(
        f'<style:style style:name="{name}" style:parent-style-name="{parent}"/>'
        for name, parent in (("A", "B"), ("B", "A"))
    )
    body = f'<text:p text:style-name="A">{PROSE}</text:p>'
    path = write_odt(tmp_path / "x.odt", body, styles=styles)
    assert open_book(path).chapters[0].text == PROSE.strip()

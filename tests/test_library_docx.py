"""Word documents: headings, notes, tables and what is passed over."""

from pathlib import Path

import pytest
from documents import RELATIONSHIPS, WORD, word_paragraph, write_docx

from squadlite.errors import BrokenBookError, UnsupportedBookError
from squadlite.library.book import open_book
from squadlite.library.structure import Cover

PROSE = "Once upon a time there was a carrier of salt, and this is her story. " * 6
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


def text_of(tmp_path: Path, body: str, members: dict[str, str | bytes] | None = None) -> str:
    path = write_docx(tmp_path / "book.docx", body, members=members)
    return "\n--\n".join(chapter.text for chapter in open_book(path).chapters)


def test_headings_make_the_chapters_and_metadata_names_the_book(tmp_path: Path) -> None:
    body = "".join(
        word_paragraph(title, style) + word_paragraph(PROSE)
        for title, style in (("The Well", "H1"), ("The Pass", "Mine"))
    )
    core = (
        "<dc:title>The Salt Road</dc:title><dc:creator>A. Writer</dc:creator>"
        "<dc:language>en-GB</dc:language><dc:identifier>isbn:1</dc:identifier>"
    )
    path = write_docx(
        tmp_path / "x.docx", body, core=core, members={"docProps/thumbnail.jpeg": PNG}
    )
    book = open_book(path)
    assert (book.title, book.author, book.language) == ("The Salt Road", "A. Writer", "en-GB")
    assert (book.identifier, book.cover) == ("isbn:1", Cover("image/png", PNG))
    assert [chapter.title for chapter in book.chapters] == ["The Well", "The Pass"]
    assert book.chapters[0].text == f"The Well\n\n{PROSE.strip()}"


def test_without_metadata_the_file_and_the_styles_say(tmp_path: Path) -> None:
    book = open_book(write_docx(tmp_path / "salt.docx", word_paragraph(PROSE)))
    assert (book.title, book.author, book.language, book.cover) == ("salt", "", "de-AT", None)


def test_a_heading_is_known_by_its_name_or_its_own_level(tmp_path: Path) -> None:
    own = '<w:p><w:pPr><w:outlineLvl w:val="1"/></w:pPr><w:r><w:t>Own</w:t></w:r></w:p>'
    body = (
        word_paragraph("Named", "Named") + word_paragraph(PROSE) + own + word_paragraph(PROSE)
        + word_paragraph("Round", "Round")
    )  # fmt: skip
    book = open_book(write_docx(tmp_path / "x.docx", body))
    assert [chapter.title for chapter in book.chapters] == ["Named", "Own"]


def test_a_chapter_is_found_by_its_bookmark(tmp_path: Path) -> None:
    heading = word_paragraph("{}", "H1").replace("<w:r>", '<w:bookmarkStart w:name="_Toc{}"/><w:r>')
    body = "".join(heading.format(n, n) + word_paragraph(PROSE) for n in (1, 2))
    chapters = open_book(write_docx(tmp_path / "x.docx", body)).chapters
    assert [chapter.href for chapter in chapters] == ["#_Toc1", "#_Toc2"]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<w:r><w:t>one</w:t><w:br/><w:t>two</w:t><w:tab/><w:t>three</w:t></w:r>",
         "one\ntwo three"),
        ("<w:r><w:t>well</w:t><w:noBreakHyphen/><w:t>known</w:t><w:softHyphen/></w:r>",
         "well-known"),
        ("<w:r><w:t>kept </w:t></w:r><w:del><w:r><w:delText>gone</w:delText></w:r></w:del>"
         "<w:ins><w:r><w:t>new</w:t></w:r></w:ins>", "kept new"),
        ("<w:moveFrom><w:r><w:t>old</w:t></w:r></w:moveFrom><w:moveTo><w:r><w:t>moved</w:t></w:r>"
         "</w:moveTo>", "moved"),
        ("<w:r><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></w:r><w:r><w:rPr>"
         '<w:vanish w:val="0"/></w:rPr><w:t>seen</w:t></w:r>', "seen"),
        ('<w:r><w:instrText>PAGE</w:instrText></w:r><w:fldSimple w:instr="X"><w:r><w:t>7</w:t>'
         "</w:r></w:fldSimple>", "7"),
        ("<w:r><mc:AlternateContent><mc:Choice><w:t>once</w:t></mc:Choice><mc:Fallback>"
         "<w:t>once</w:t></mc:Fallback></mc:AlternateContent></w:r>", "once"),
        ("<w:r><w:t>text</w:t><a:p><a:t>drawing</a:t></a:p></w:r>", "text"),
        ("<w:r><w:t>e\u0301te\u0301 &amp; &#x1F9C2; \ufeff</w:t></w:r>", "été & 🧂"),
    ],
)  # fmt: skip
def test_what_a_paragraph_says(tmp_path: Path, body: str, text: str) -> None:
    assert text_of(tmp_path, f"<w:p>{body}</w:p>") == text


def test_notes_stand_behind_their_paragraph_once(tmp_path: Path) -> None:
    reference = '<w:r><w:{}Reference w:id="2"/></w:r>'
    members: dict[str, str | bytes] = {
        f"word/{kind}s.xml": (
            f'<w:{kind}s {WORD}><w:{kind} w:id="0"><w:p/></w:{kind}>'
            f'<w:{kind} w:id="2">{word_paragraph(f"A {kind}.")}</w:{kind}></w:{kind}s>'
        )
        for kind in ("footnote", "endnote")
    }
    body = (
        f"<w:p><w:r><w:t>Salt</w:t></w:r>{reference.format('footnote')}"
        f"<w:r><w:t> is dear.</w:t></w:r>{reference.format('endnote')}</w:p>"
        f"<w:p><w:r><w:t>More.</w:t></w:r>{reference.format('footnote')}</w:p>"
    )
    assert text_of(tmp_path, body, members) == "Salt is dear.\n\nA footnote.\n\nA endnote.\n\nMore."


def test_a_table_is_a_line_a_row_unless_it_is_layout(tmp_path: Path) -> None:
    def row(*cells: str) -> str:
        return f"<w:tr>{''.join(f'<w:tc>{cell}</w:tc>' for cell in cells)}</w:tr>"

    body = (
        f"<w:tbl>{row(word_paragraph('Ada'), word_paragraph(''), word_paragraph('12 marks'))}"
        f"{row(word_paragraph('Rusk'), word_paragraph('6 marks'))}</w:tbl>"
        f"<w:tbl>{row(word_paragraph('One.') + word_paragraph('Two.'), word_paragraph('Three.'))}"
        "</w:tbl>"
    )
    assert text_of(tmp_path, body) == "Ada | 12 marks\n\nRusk | 6 marks\n\nOne.\n\nTwo.\n\nThree."


def test_a_text_box_is_a_paragraph_of_its_own(tmp_path: Path) -> None:
    box = f"<w:pict><w:txbxContent>{word_paragraph('Boxed.')}</w:txbxContent></w:pict>"
    body = f"<w:p><w:r><w:t>Before.</w:t></w:r><w:r>{box}</w:r><w:r><w:t>After.</w:t></w:r></w:p>"
    assert text_of(tmp_path, body) == "Before.\n\nBoxed.\n\nAfter."


def test_the_table_of_contents_is_left_out(tmp_path: Path) -> None:
    gallery = (
        "<w:sdt><w:sdtPr><w:docPartObj><w:docPartGallery w:val='Table of Contents'/></w:docPartObj>"
        f"</w:sdtPr><w:sdtContent>{word_paragraph('The Well 1')}</w:sdtContent></w:sdt>"
    )
    body = gallery + word_paragraph("The Pass 9", "T1") + word_paragraph("The text.")
    assert text_of(tmp_path, body) == "The text."


def test_the_document_may_have_any_name(tmp_path: Path) -> None:
    document = f"<w:document {WORD}><w:body>{word_paragraph('Here.')}</w:body></w:document>"
    members: dict[str, str | bytes] = {
        "_rels/.rels": RELATIONSHIPS.format("/word/document2.xml"),
        "word/document2.xml": document,
        "word/document.xml": "<nothing/>",
    }
    assert text_of(tmp_path, "", members) == "Here."


def test_entities_are_not_expanded(tmp_path: Path) -> None:
    bomb = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(12))
    document = (
        f'<!DOCTYPE x [<!ENTITY e0 "lol"><!ENTITY f SYSTEM "file:///etc/passwd">{bomb}]>'
        f"<w:document {WORD}><w:body>{word_paragraph('Safe &e12; &f; text.')}</w:body></w:document>"
    )
    assert "root:" not in text_of(tmp_path, "", {"word/document.xml": document})


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("", "no Word document, expected one"),
        ("\0\1\2", "no Word document, expected one"),
        (f"<w:document {WORD}/>", "no text in the document"),
        ("<w:p", "no "),
    ],
)
def test_a_document_that_says_nothing_is_broken(
    tmp_path: Path, document: str, message: str
) -> None:
    path = write_docx(tmp_path / "x.docx", "", members={"word/document.xml": document})
    with pytest.raises(BrokenBookError, match=message):
        open_book(path)


def test_a_document_of_pictures_is_refused_as_one(tmp_path: Path) -> None:
    members: dict[str, str | bytes] = {f"word/media/{n}.png": PNG for n in range(9)}
    path = write_docx(tmp_path / "x.docx", word_paragraph("Page one"), members=members)
    with pytest.raises(UnsupportedBookError, match="9 images and hardly a word"):
        open_book(path)


def test_a_damaged_thumbnail_is_no_cover(tmp_path: Path) -> None:
    members: dict[str, str | bytes] = {"docProps/thumbnail.jpeg": b"x" * 2000}
    path = write_docx(tmp_path / "x.docx", word_paragraph("Text."), members=members)
    data = bytearray(path.read_bytes())
    start = data.index(b"docProps/thumbnail.jpeg") + len("docProps/thumbnail.jpeg")
    data[start : start + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    assert open_book(path).cover is None


def test_a_document_locked_with_a_password_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.docx"
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
    with pytest.raises(UnsupportedBookError, match="or one locked with a password"):
        open_book(path)

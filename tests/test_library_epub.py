"""EPUB books: which pages become chapters, with which titles and places."""

import json
import time
import zipfile
from pathlib import Path

import pytest
from epubs import book_of, package, page, write_epub

from squadlite.errors import BrokenBookError, ProtectedBookError, UnsupportedBookError
from squadlite.library.book import open_book
from squadlite.library.markup import MAX_LINE_CHARACTERS
from squadlite.library.structure import MAX_COVER_BYTES, Cover

PROSE = "<p>Once upon a time there was a carrier of salt, and this is her story.</p>"
TITLES = {
    "the-time-machine": [
        *["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"],
        "Epilogue",
        "Endnotes",
    ],
    "the-adventures-of-sherlock-holmes": [
        "A Scandal in Bohemia",
        "The Redheaded League",
        "A Case of Identity",
        "The Boscombe Valley Mystery",
        "The Five Orange Pips",
        "The Man with the Twisted Lip",
        "The Adventure of the Blue Carbuncle",
        "The Adventure of the Speckled Band",
        "The Adventure of the Engineer’s Thumb",
        "The Adventure of the Noble Bachelor",
        "The Adventure of the Beryl Coronet",
        "The Adventure of the Copper Beeches",
    ],
}


def titles(path: Path) -> list[str]:
    return [chapter.title for chapter in open_book(path).chapters]


@pytest.mark.parametrize("name", TITLES)
def test_real_books_give_their_chapters_and_nothing_around_them(shared: Path, name: str) -> None:
    assert titles(shared / "books" / f"{name}.epub") == TITLES[name]


def test_title_author_language_and_places_of_a_real_book(shared: Path) -> None:
    book = open_book(shared / "books" / "alices-adventures-in-wonderland.epub")
    assert (book.title, book.author) == ("Alice’s Adventures in Wonderland", "Lewis Carroll")
    assert book.language == "en-GB"
    assert book.chapters[1].href == "epub/text/chapter-1.xhtml"
    assert book.chapters[1].title == "I: Down the Rabbit-Hole"
    assert [chapter.index for chapter in book.chapters] == list(range(13))


def test_the_sample_book_has_its_six_chapters_and_every_piece_of_evidence() -> None:
    folder = Path(__file__).parent / "books"
    book = open_book(folder / "the-salt-road.epub")
    assert len(book.chapters) == 6
    assert book.chapters[0].title == "The Widow’s Contract"
    texts = {chapter.href: chapter.text for chapter in book.chapters}
    lines = (folder / "the-salt-road.jsonl").read_text(encoding="utf-8").splitlines()
    for question in map(json.loads, lines):
        if question["answers"]:
            assert question["evidence"] in texts[question["chapter"]]


def test_epub_2_takes_its_titles_from_the_ncx(tmp_path: Path) -> None:
    ncx = """<!DOCTYPE ncx PUBLIC "-//NISO//DTD ncx 2005-1//EN" "http://www.daisy.org/z3986.dtd">
    <ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap>
    <navPoint><navLabel><text>The   First</text></navLabel><content src="a%20b.xhtml"/></navPoint>
    <navPoint><navLabel><text>The Second</text></navLabel><content src="c.xhtml"/></navPoint>
    </navMap></ncx>"""
    item = '<item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/>'
    path = write_epub(
        tmp_path / "book.epub",
        {
            "OPS/book.opf": package(["a%20b.xhtml", "c.xhtml"], extra=item),
            "OPS/toc.ncx": ncx,
            "OPS/a b.xhtml": page(PROSE),
            "OPS/c.xhtml": page(PROSE),
        },
    )
    assert [(c.title, c.href) for c in open_book(path).chapters] == [
        ("The First", "OPS/a b.xhtml"),
        ("The Second", "OPS/c.xhtml"),
    ]


def nav_book(tmp_path: Path, nav: str, pages: dict[str, str]) -> Path:
    item = '<item id="n" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>'
    return write_epub(
        tmp_path / "book.epub",
        {
            "OPS/book.opf": package(list(pages), extra=item),
            "OPS/nav.xhtml": page(f'<nav epub:type="toc"><ol>{nav}</ol></nav>'),
            **{f"OPS/{name}": page(body) for name, body in pages.items()},
        },
    )


def test_a_page_with_several_entries_is_cut_at_each(tmp_path: Path) -> None:
    nav = '<li><a href="all.xhtml#one">One</a></li><li><a href="all.xhtml#two">Two</a></li>'
    body = f'<p>Dedicated to nobody.</p><h2 id="one">1</h2>{PROSE}<p><a id="two"/>Second part.</p>'
    chapters = open_book(nav_book(tmp_path, nav, {"all.xhtml": body})).chapters
    assert [(chapter.title, chapter.href) for chapter in chapters] == [
        ("all", "OPS/all.xhtml"),
        ("One", "OPS/all.xhtml#one"),
        ("Two", "OPS/all.xhtml#two"),
    ]
    assert chapters[2].text == "Second part."


def test_an_entry_for_the_whole_page_keeps_it_whole(tmp_path: Path) -> None:
    nav = (
        '<li><a href="all.xhtml">All</a><ol><li><a href="all.xhtml#one">One</a></li>'
        '<li><a href="all.xhtml#two">Two</a></li></ol></li>'
    )
    body = f'<h2 id="one">1</h2>{PROSE}<h2 id="two">2</h2>{PROSE}'
    assert titles(nav_book(tmp_path, nav, {"all.xhtml": body})) == ["All"]


def test_without_a_table_of_contents_headings_and_then_file_names_are_titles(
    tmp_path: Path,
) -> None:
    pages = {"one.xhtml": f"<h1>The <i>Very</i><br/>First</h1>{PROSE}", "part-2.xhtml": PROSE}
    assert titles(book_of(tmp_path / "book.epub", pages)) == ["The Very First", "part-2"]


@pytest.mark.parametrize(
    "skipped",
    [
        '<section epub:type="titlepage"><h1>A Book</h1><p>by A. Writer</p></section>',
        '<section epub:type="colophon"><p>Set in type by hand in the year 1900.</p></section>',
        '<div><section role="doc-toc"><p>One, two, three</p></section></div>',
        "<p>Copyright 1999 by A. Writer. All rights reserved.</p>",
        "<p>ISBN 978-3-16-148410-0</p>",
        '<p><a href="a.xhtml">Chapter one</a></p><p><a href="b.xhtml">Chapter two</a></p>',
    ],
)
def test_pages_around_the_text_are_left_out(tmp_path: Path, skipped: str) -> None:
    path = book_of(tmp_path / "book.epub", {"x.xhtml": skipped, "one.xhtml": PROSE})
    assert titles(path) == ["one"]


def test_the_guide_says_what_a_page_is(tmp_path: Path) -> None:
    guide = '<guide><reference type="copyright-page" href="x.xhtml"/></guide>'
    pages = {"x.xhtml": "<p>Printed in Leeds.</p>", "one.xhtml": PROSE}
    assert titles(book_of(tmp_path / "book.epub", pages, after=guide)) == ["one"]


def test_a_long_page_is_kept_whatever_it_is_called(tmp_path: Path) -> None:
    pages = {"cover.xhtml": f'<section epub:type="titlepage">{PROSE * 100}</section>'}
    assert titles(book_of(tmp_path / "book.epub", {**pages, "one.xhtml": PROSE})) == [
        "cover",
        "one",
    ]


def test_a_book_of_nothing_but_title_pages_keeps_them(tmp_path: Path) -> None:
    pages = {"titlepage.xhtml": PROSE}
    assert titles(book_of(tmp_path / "book.epub", pages)) == ["titlepage"]


def test_notes_and_pages_outside_the_reading_order_stay(tmp_path: Path) -> None:
    pages = {
        "one.xhtml": PROSE,
        "endnotes.xhtml": '<section epub:type="endnotes"><p>It was not so.</p></section>',
    }
    assert titles(book_of(tmp_path / "book.epub", pages)) == ["one", "endnotes"]


def test_a_missing_page_is_passed_over(tmp_path: Path) -> None:
    path = write_epub(
        tmp_path / "book.epub",
        {"OPS/book.opf": package(["gone.xhtml", "one.xhtml"]), "OPS/one.xhtml": page(PROSE)},
    )
    assert titles(path) == ["one"]


def test_a_page_that_is_not_well_formed_is_read_all_the_same(tmp_path: Path) -> None:
    body = "<p>One & two<p>three <b>four</p><script src='x'/><p>five &nbsp;six &mdash; seven</p>"
    path = book_of(tmp_path / "book.epub", {"one.xhtml": body})
    text = open_book(path).chapters[0].text
    assert text == "One & two\n\nthree four\n\nfive six — seven"


@pytest.mark.parametrize(
    "href", ["../../one.xhtml", "/OPS/one.xhtml", "C:/one.xhtml", "http://host/one.xhtml", "\\one"]
)
def test_links_out_of_the_archive_lead_nowhere(tmp_path: Path, href: str) -> None:
    path = write_epub(
        tmp_path / "book.epub",
        {"OPS/book.opf": package([href]), "OPS/one.xhtml": page(PROSE), "one.xhtml": page(PROSE)},
    )
    with pytest.raises(BrokenBookError, match="none of the 1 pages"):
        open_book(path)


def test_project_gutenbergs_licence_is_left_out(tmp_path: Path) -> None:
    body = (
        '<section class="pg-boilerplate pgheader"><p>Use it freely.</p></section>'
        f"{PROSE}<p>*** END OF THE PROJECT GUTENBERG EBOOK ***</p><p>Section 1. Terms</p>"
    )
    text = open_book(book_of(tmp_path / "book.epub", {"one.xhtml": body})).chapters[0].text
    assert "freely" not in text
    assert text.endswith("her story.")


ENCRYPTED = """<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container"
 xmlns:enc="http://www.w3.org/2001/04/xmlenc#"><enc:EncryptedData>
<enc:EncryptionMethod Algorithm="{}"/></enc:EncryptedData></encryption>"""


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("META-INF/rights.xml", "<rights/>"),
        ("META-INF/license.lcpl", "{}"),
        ("META-INF/sinf.xml", "<sinf/>"),
        (
            "META-INF/encryption.xml",
            ENCRYPTED.format("http://www.w3.org/2001/04/xmlenc#aes128-cbc"),
        ),
    ],
)
def test_a_locked_book_is_refused_as_locked(tmp_path: Path, name: str, content: str) -> None:
    files = {"OPS/book.opf": package(["a.xhtml"]), "OPS/a.xhtml": page(PROSE), name: content}
    with pytest.raises(ProtectedBookError, match="DRM"):
        open_book(write_epub(tmp_path / "book.epub", files))


@pytest.mark.parametrize(
    "algorithm", ["http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC"]
)
def test_obfuscated_fonts_lock_nothing(tmp_path: Path, algorithm: str) -> None:
    files = {
        "OPS/book.opf": package(["a.xhtml"]),
        "OPS/a.xhtml": page(PROSE),
        "META-INF/encryption.xml": ENCRYPTED.format(algorithm),
    }
    assert titles(write_epub(tmp_path / "book.epub", files)) == ["a"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"META-INF/container.xml": "<container/>"}, "names no package document"),
        ({"META-INF/container.xml": "garbage"}, "names no package document"),
        ({"OPS/book.opf": "garbage"}, "not an XML package document"),
        ({"OPS/book.opf": "<html/>"}, "not an XML package document"),
        ({"OPS/book.opf": package([])}, "none of the 0 pages"),
        ({"OPS/book.opf": package(["a.xhtml"]), "OPS/a.xhtml": page("<img/>")}, "no text"),
        ({"OPS/book.opf": package(["a.xhtml"]), "OPS/a.xhtml": b""}, "no text"),
    ],
)
def test_a_book_without_text_says_what_is_missing(
    tmp_path: Path, files: dict[str, str | bytes], message: str
) -> None:
    with pytest.raises(BrokenBookError, match=message):
        open_book(write_epub(tmp_path / "book.epub", files))


def test_an_archive_without_a_container_is_a_broken_epub(tmp_path: Path) -> None:
    path = tmp_path / "book.epub"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/epub+zip")
    with pytest.raises(BrokenBookError, match=r"no META-INF/container\.xml"):
        open_book(path)


def test_pages_that_are_not_linear_are_pages_all_the_same(tmp_path: Path) -> None:
    path = book_of(tmp_path / "book.epub", {"one.xhtml": PROSE, "notes.xhtml": PROSE})
    opf = package(["one.xhtml", "notes.xhtml"]).replace('idref="i1"', 'idref="i1" linear="no"')
    files = {"OPS/book.opf": opf, "OPS/one.xhtml": page(PROSE), "OPS/notes.xhtml": page(PROSE)}
    assert titles(write_epub(path, files)) == ["one", "notes"]


IDENTIFIERS = (
    '<dc:identifier id="isbn">9783161484100</dc:identifier>'
    '<dc:identifier id="uid">urn:uuid:1</dc:identifier>'
)


def test_the_identifier_is_the_one_that_the_package_calls_unique(tmp_path: Path) -> None:
    opf = package(["a.xhtml"], metadata=IDENTIFIERS)
    opf = opf.replace("<package ", '<package unique-identifier="uid" ')
    path = write_epub(tmp_path / "book.epub", {"OPS/book.opf": opf, "OPS/a.xhtml": page(PROSE)})
    assert open_book(path).identifier == "urn:uuid:1"


PNG = b"\x89PNG\r\n\x1a\n and what follows"
COVER_ITEM = '<item id="c" href="c.img" media-type="image/png" {}/>'


def cover_of(folder: Path, image: bytes, *, item: str = "", metadata: str = "") -> Cover | None:
    opf = package(["a.xhtml"], extra=COVER_ITEM.format(item), metadata=metadata)
    files: dict[str, str | bytes] = {
        "OPS/book.opf": opf,
        "OPS/a.xhtml": page(PROSE),
        "OPS/c.img": image,
    }
    return open_book(write_epub(folder / "book.epub", files)).cover


def test_the_cover_is_the_image_that_is_marked_or_named(tmp_path: Path) -> None:
    cover = Cover("image/png", PNG)
    assert cover_of(tmp_path, PNG) is None
    assert cover_of(tmp_path, PNG, item='properties="cover-image"') == cover
    assert cover_of(tmp_path, PNG, metadata='<meta name="cover" content="c"/>') == cover
    assert cover_of(tmp_path, PNG, metadata='<meta name="cover" content="no"/>') is None


@pytest.mark.parametrize(
    ("image", "media_type"),
    [
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"<svg/>", None),
        (PNG + bytes(MAX_COVER_BYTES), None),
    ],
)
def test_a_cover_is_known_by_its_first_bytes(
    tmp_path: Path, image: bytes, media_type: str | None
) -> None:
    cover = cover_of(tmp_path, image, item='properties="cover-image"')
    assert (cover and cover.media_type) == media_type


def test_a_book_of_images_is_refused_as_one(tmp_path: Path) -> None:
    images = "".join(
        f'<item id="c{number}" href="{number}.png" media-type="image/png"/>' for number in range(9)
    )
    files: dict[str, str | bytes] = {f"OPS/{number}.png": PNG for number in range(9)}
    files["OPS/a.xhtml"] = page("<p>All rights reserved by nobody.</p>")
    files["OPS/book.opf"] = package(["a.xhtml"], extra=images)
    with pytest.raises(UnsupportedBookError, match="9 images and hardly a word"):
        open_book(write_epub(tmp_path / "book.epub", files))


def test_elements_in_one_another_are_not_each_read_to_the_end(tmp_path: Path) -> None:
    name = "".join(f"<i>{number}</i> " for number in range(100_000))
    authors = f"{'<dc:creator>of ' * 200}{name}{'</dc:creator>' * 200}"
    path = book_of(tmp_path / "a.epub", {"a.xhtml": PROSE}, metadata=authors)
    started = time.monotonic()
    assert len(open_book(path).author) < 201 * MAX_LINE_CHARACTERS
    assert time.monotonic() - started < 10

"""PDF files: chapters, pages and metadata, and what is refused; in a process that may die."""

import textwrap
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pdfs import Entry, Line, Pdf, lines, pdf_file

from squadlite.errors import BookError, BrokenBookError, ProtectedBookError, UnsupportedBookError
from squadlite.library import pdf, pdf_text
from squadlite.library.book import open_book
from squadlite.library.structure import PageStart

PROSE = textwrap.wrap(
    "Once upon a time there was a carrier of salt. She went over the pass every autumn, and this "
    "is the story of the year in which she did not. It begins in the village under the hill, where "
    "the well had gone dry. Nobody there had seen so hot a summer, nor would they see one again. "
    "She packed her mule at night and left before the first cock had crowed. Of what she carried "
    "it was said that nobody knew but her and the one whom she carried it to.",
    width=70,
)


def chapter(title: str, *, size: float = 16) -> list[Line]:
    """A page of its own words: lines that come again on every page are no chapter's."""
    prose = [f"{line[: -1 - len(title)]} {title}" for line in PROSE]
    return [Line(title, y=720, size=size), *lines(prose, top=680)]


def test_the_outline_makes_the_chapters_and_labels_the_pages(tmp_path: Path) -> None:
    made = Pdf(
        [chapter("1"), lines(PROSE), chapter("2")],
        outline=[Entry("The Well", 0), Entry("The Pass", 2)],
        info={"Title": "The Salt Road", "Author": "A. Writer"},
        catalog="/Lang(en-GB)/PageLabels<</Nums[0<</S/r/St 3>>1<</S/D/St 10>>]>>",
        trailer="/ID[<0123AB><4567CD>]",
    )
    book = open_book(made.write(tmp_path / "book.pdf"))
    assert (book.title, book.author, book.language) == ("The Salt Road", "A. Writer", "en-GB")
    assert book.identifier == "0123ab"
    assert [(c.title, c.href) for c in book.chapters] == [
        ("The Well", "#page=1"),
        ("The Pass", "#page=3"),
    ]
    first, second = book.chapters
    assert [page.label for page in first.pages] == ["iii", "10"]
    assert first.text[first.pages[1].start :].startswith("Once upon a time")
    assert second.pages == (PageStart("11", 0),)


def test_larger_type_makes_the_chapters_where_there_is_no_outline(tmp_path: Path) -> None:
    pages = [chapter(title) for title in ("The Well", "The Pass", "The Sea")]
    book = open_book(Pdf(pages).write(tmp_path / "book.pdf"))
    assert [chapter.title for chapter in book.chapters] == ["The Well", "The Pass", "The Sea"]
    assert [chapter.pages[0].label for chapter in book.chapters] == ["1", "2", "3"]
    assert book.title == "book"


def test_headings_of_the_size_of_the_text_are_told_by_their_words(tmp_path: Path) -> None:
    pages = [chapter(f"CHAPTER {number}", size=10) for number in ("I", "III", "IX")]
    book = open_book(Pdf(pages).write(tmp_path / "book.pdf"))
    assert [c.title for c in book.chapters] == ["CHAPTER I", "CHAPTER III", "CHAPTER IX"]


def test_the_chapters_of_parts_are_chapters(tmp_path: Path) -> None:
    made = Pdf(
        [[Line("PART ONE", size=20)], chapter("I"), chapter("II"), chapter("III")],
        outline=[
            Entry("Part One", 0, under=(Entry("1", 1), Entry("2", 2))),
            Entry("Afterword", 3, under=(Entry("A Note", 3, 640),)),
        ],
    )
    chapters = open_book(made.write(tmp_path / "book.pdf")).chapters
    assert [chapter.title for chapter in chapters] == ["1", "2", "Afterword"]
    assert chapters[0].text.startswith("PART ONE\n\nI\n\nOnce")


def test_titles_and_labels_tell_a_terminal_nothing(tmp_path: Path) -> None:
    title = b"\xfe\xff" + "The \x9b31mSalt\x07 Road".encode("utf-16-be")
    label = b"\xfe\xff" + "\x9b31m".encode("utf-16-be")
    made = Pdf(
        [chapter("The Well")],
        info={"Title": title.decode("latin-1")},
        catalog=f"/PageLabels<</Nums[0<</S/r/P<{label.hex()}>>>]>>",
    )
    book = open_book(made.write(tmp_path / "book.pdf"))
    assert book.title == "The 31mSalt Road"
    assert book.chapters[0].pages[0].label == "31mi"


def test_a_title_that_is_a_file_name_is_none(tmp_path: Path) -> None:
    made = Pdf([lines(PROSE)], info={"Title": "Microsoft Word - salt final.docx"})
    assert open_book(made.write(tmp_path / "salt.pdf")).title == "salt"


def test_a_mark_behind_rubbish_is_a_pdf_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "book.dat"
    path.write_bytes(b"\r\nrubbish\r\n" + Pdf([lines(PROSE)]).to_bytes())
    assert "carrier of salt" in open_book(path).chapters[0].text


def test_a_page_that_lies_on_its_side_is_read_upright(tmp_path: Path) -> None:
    turned = [
        Line(text, matrix=f"0 1 -1 0 {100 + 12 * place} 72") for place, text in enumerate(PROSE)
    ]
    stamp = Line("stamp of a library", x=300, y=400)
    path = Pdf([[*turned, stamp]], page_entries="/Rotate 90").write(tmp_path / "book.pdf")
    assert open_book(path).chapters[0].text == " ".join(PROSE)


def test_the_raised_number_of_a_note_is_left_out(tmp_path: Path) -> None:
    page = [*lines(PROSE), Line("She had salt.", y=600), Line("12", x=150, y=604, size=6)]
    page.append(Line("It cost 10", y=560))
    page.append(Line("6", x=132, y=564, size=6))
    text = open_book(Pdf([page]).write(tmp_path / "book.pdf")).chapters[0].text
    assert "She had salt." in text
    assert "12" not in text
    assert "It cost 106" in text


@pytest.mark.parametrize(
    ("handler", "reason"),
    [("Standard", "locked with a password"), ("EBX_HANDLER", "locked by DRM")],
)
def test_a_locked_file_is_refused_as_locked(tmp_path: Path, handler: str, reason: str) -> None:
    key = "<" + "00" * 32 + ">"
    encrypt = f"/Encrypt<</Filter/{handler}/V 2/R 3/Length 128/P -4/O{key}/U{key}>>"
    made = Pdf([lines(PROSE)], trailer=f"{encrypt}/ID[<01><01>]")
    with pytest.raises(ProtectedBookError, match=reason):
        open_book(made.write(tmp_path / "book.pdf"))


def test_a_scan_is_refused_as_one(tmp_path: Path) -> None:
    made = Pdf([[Line("1")]], image_pages=5)
    with pytest.raises(UnsupportedBookError, match="6 pages of images and hardly a word"):
        open_book(made.write(tmp_path / "book.pdf"))


def test_text_without_known_letters_is_refused(tmp_path: Path) -> None:
    """As fonts give it that number their letters on their own."""
    to_unicode = b"1 beginbfrange\n<20> <7e> <e020>\nendbfrange\n"
    stream = b"90 0 obj\n<</Length %d>>\nstream\n%sendstream\nendobj\n"
    stream %= (len(to_unicode), to_unicode)
    font = b"/BaseFont/Courier/Encoding/WinAnsiEncoding"
    data = Pdf([lines(PROSE)], compress=False).to_bytes()
    data = data.replace(font, font + b"/ToUnicode 90 0 R")
    path = tmp_path / "book.pdf"
    path.write_bytes(data.replace(b"xref\n", stream + b"xref\n", 1))
    with pytest.raises(UnsupportedBookError, match="its fonts don't say which letters they draw"):
        open_book(path)


def test_pictures_between_pages_of_text_are_passed_over(tmp_path: Path) -> None:
    made = Pdf([lines(PROSE)], image_pages=3)
    assert open_book(made.write(tmp_path / "book.pdf")).chapters[0].text == " ".join(PROSE)


def test_pages_without_anything_are_broken(tmp_path: Path) -> None:
    with pytest.raises(BrokenBookError, match="no text in any of 2 pages"):
        open_book(Pdf([[], []]).write(tmp_path / "book.pdf"))


@pytest.mark.parametrize(
    "content",
    [
        b"%PDF-1.7\n",
        b"%PDF-1.7\n" + bytes(range(256)) * 20,
        Pdf([]).to_bytes(),
        Pdf([lines(PROSE)]).to_bytes()[:300],
        b"%PDF-1.7\n1 0 obj<</Type/Catalog/Pages 1 0 R/Kids[1 0 R]/Count 9>>endobj\n"
        b"trailer<</Root 1 0 R>>",
    ],
)
def test_what_is_no_whole_pdf_is_broken(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "book.pdf"
    path.write_bytes(content)
    with pytest.raises(BrokenBookError):
        open_book(path)


def test_an_outline_that_goes_round_in_circles_ends(tmp_path: Path) -> None:
    made = Pdf([chapter("1"), chapter("2")], outline=[Entry("One", 0), Entry("Two", 1)])
    data = made.to_bytes()
    # The second entry's next one is the first.
    at = data.index(b"<</Title(Two)")
    first = data.rindex(b" 0 obj", 0, data.index(b"<</Title(One)"))
    number = data[data.rindex(b"\n", 0, first) + 1 : first]
    path = tmp_path / "book.pdf"
    path.write_bytes(data[: at + 2] + b"/Next " + number + b" 0 R" + data[at + 2 :])
    assert [chapter.title for chapter in open_book(path).chapters] == ["One", "Two"]


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ("MAX_PAGES", "3 pages, expected at most 2"),
        ("MAX_PAGE_CHARACTERS", "page 1: .* characters, expected at most 2"),
        ("MAX_PAGE_OBJECTS", "page 1: 7 objects, expected at most 2"),
        ("MAX_CHARACTERS", "more than 2 characters"),
        ("MAX_PIECES", "more than 2 pieces"),
    ],
)
def test_a_file_beyond_a_limit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, message: str
) -> None:
    path = Pdf([lines(PROSE)] * 3).write(tmp_path / "book.pdf")
    monkeypatch.setattr(pdf_text, limit, 2)
    with pytest.raises(pdf_text.RefusedError, match=message) as caught:
        list(pdf_text.describe(str(path)))
    assert caught.value.kind == "broken"


def test_a_process_that_takes_too_long_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Pdf([lines(PROSE)]).write(tmp_path / "book.pdf")
    monkeypatch.setattr(pdf, "MAX_SECONDS", 0.001)
    with pytest.raises(BrokenBookError, match=r"not read after 0.001 seconds"):
        open_book(path)


def test_a_bomb_is_stopped_by_the_limit_of_memory(tmp_path: Path) -> None:
    packer = zlib.compressobj(9)
    start = packer.compress(b"") + packer.flush(zlib.Z_FULL_FLUSH)
    chunk = packer.compress(b"( ) Tj\n" * 150_000) + packer.flush(zlib.Z_FULL_FLUSH)
    stream = start + chunk * 1_200
    path = tmp_path / "book.pdf"
    path.write_bytes(
        pdf_file(
            [
                b"<</Type/Catalog/Pages 2 0 R>>",
                b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
                b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R>>",
                b"<</Filter/FlateDecode/Length %d>>stream\n%s\nendstream" % (len(stream), stream),
            ],
            "/Root 1 0 R",
        )
    )
    with pytest.raises(BrokenBookError, match="beyond the limits of memory"):
        open_book(path)


def test_a_process_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Pdf([lines(PROSE)]).write(tmp_path / "book.pdf")
    hidden = tmp_path / "pypdfium2"
    hidden.mkdir()
    (hidden / "__init__.py").write_text("raise ImportError('no PDFium for this machine')")
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    with pytest.raises(BookError, match=r"can't be read .*no PDFium for this machine"):
        open_book(path)


def test_pdfs_are_read_in_several_threads_at_once(tmp_path: Path) -> None:
    path = Pdf([chapter("The Well"), chapter("The Pass")]).write(tmp_path / "book.pdf")
    with ThreadPoolExecutor(4) as threads:
        books = list(threads.map(open_book, [path] * 8))
    assert all(book == books[0] for book in books)
    assert [chapter.title for chapter in books[0].chapters] == ["The Well", "The Pass"]

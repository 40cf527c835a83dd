"""Kindle and Palm books: compression, tables, chapters, what the header says of the book."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mobis import (
    CONTENTS_TAGS,
    NONE,
    HuffmanPacker,
    backwards,
    contents,
    cut,
    exth,
    first_record,
    index,
    kf8_records,
    pack_palmdoc,
    palm_database,
    write_mobi,
)

from squadlite.errors import BookError, BrokenBookError, ProtectedBookError, UnsupportedBookError
from squadlite.library.book import Book, open_book
from squadlite.library.mobi import compression
from squadlite.library.mobi.compression import (
    DamagedRecordError,
    HuffmanUnpacker,
    unpack_palmdoc,
)
from squadlite.library.mobi.index import IndexEntry, read_index
from squadlite.library.structure import Cover

PROSE = b"<p>" + b"It was a long road and a cold one. " * 10 + b"</p>"
BREAK = b"<mbp:pagebreak/>"
PNG = b"\x89PNG\r\n\x1a\n and what follows"


def titles(book: Book) -> list[str]:
    return [chapter.title for chapter in book.chapters]


@given(st.binary(max_size=300) | st.text("ab é\n", max_size=600).map(str.encode))
def test_palmdoc_gives_back_what_was_packed(text: bytes) -> None:
    assert unpack_palmdoc(pack_palmdoc(text)) == text


def test_palmdoc_repeats_what_it_is_just_writing() -> None:
    assert unpack_palmdoc(b"ab" + struct.pack(">H", 0x8000 | 2 << 3 | 7)) == b"ab" * 6


@pytest.mark.parametrize(
    "packed", [b"a\x80\x10", b"a\x80\x00", bytes(compression.MAX_RECORD_BYTES + 1)]
)
def test_palmdoc_refuses_what_leads_nowhere(packed: bytes) -> None:
    with pytest.raises(DamagedRecordError):
        unpack_palmdoc(packed)


LETTERS = [bytes((byte,)) for byte in b"abcdefghijklmnoprstuvwy .<>/hIEP1"]
PHRASES: list[bytes | tuple[int, ...]] = [b" a", b"the salt", *LETTERS, (1, 0, 2), (35, 35)]
# Codes shorter and longer than the byte by which the HUFF record is entered.
LENGTHS = {2: 1, 4: 3, 7: 20, 11: len(PHRASES) - 24}


@given(st.lists(st.sampled_from([b"the salt", b" a", b"the salt aa", b"P", b"x", *LETTERS])))
def test_huffman_gives_back_what_was_packed(words: list[bytes]) -> None:
    text = b"".join(words).replace(b"x", b"")
    packer = HuffmanPacker(PHRASES, LENGTHS)
    assert len(packer.cdics) == 3
    assert HuffmanUnpacker(packer.huff, packer.cdics)(packer.pack(text)) == text


def test_phrases_within_phrases_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    doubled: list[bytes | tuple[int, ...]] = [b"salt", *((n, n) for n in range(63))]
    packer = HuffmanPacker(doubled[:20], {5: 20})
    unpack = HuffmanUnpacker(packer.huff, packer.cdics)
    with pytest.raises(DamagedRecordError, match="bytes of text"):
        unpack(packer.pack(b"salt" * 2**16))
    looped = HuffmanPacker([b"a", (1,)], {1: 2})
    unpack = HuffmanUnpacker(looped.huff, looped.cdics)
    with pytest.raises(DamagedRecordError, match="32 deep"):
        unpack(b"\0")
    monkeypatch.setattr(compression, "MAX_DICTIONARY_BYTES", 10)
    unpack = HuffmanUnpacker(packer.huff, packer.cdics)
    with pytest.raises(DamagedRecordError, match="a dictionary beyond 10 bytes"):
        unpack(packer.pack(b"salt" * 4))


def test_a_damaged_dictionary_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    packer = HuffmanPacker(PHRASES, LENGTHS)
    packed = packer.pack(b"the salt")
    for huff, cdics in (
        (packer.huff[:100], packer.cdics),
        (b"HOFF" + packer.huff[4:], packer.cdics),
        (packer.huff, [packer.cdics[0][:20]]),
        (packer.huff, [b"CDIX" + packer.cdics[0][4:]]),
        (packer.huff, []),
        (packer.huff[:24] + bytes(len(packer.huff) - 24), packer.cdics),
    ):
        with pytest.raises(DamagedRecordError):
            HuffmanUnpacker(huff, cdics)(packed)
    with pytest.raises(DamagedRecordError, match="bytes packed"):
        HuffmanUnpacker(packer.huff, packer.cdics)(bytes(compression.MAX_RECORD_BYTES + 1))
    monkeypatch.setattr(compression, "MAX_PHRASES", 30)
    with pytest.raises(DamagedRecordError, match="37 phrases, at most 30"):
        HuffmanUnpacker(packer.huff, packer.cdics)


def test_an_empty_phrase_is_damage() -> None:
    packer = HuffmanPacker([b"", b"a"], {1: 2})
    with pytest.raises(DamagedRecordError, match="phrase 0 is empty"):
        HuffmanUnpacker(packer.huff, packer.cdics)(b"\xff")


def test_an_index_gives_its_rows_and_strings() -> None:
    tags = ((1, 1, 1), (6, 2, 12))
    rows = [(b"one", {1: (5,), 6: (1, 2)}), (b"", {6: (1, 2, 3, 300, 5, 70000)})]
    records = index(tags, rows, [b"first", b"second"])
    table = read_index(records.__getitem__, 0)
    assert table.entries == [IndexEntry(name, dict(values)) for name, values in rows]
    assert (table.string(0), table.string(6), table.string(50), table.string(1 << 17)) == (
        b"first",
        b"second",
        b"",
        b"",
    )


def mobi6(*parts: bytes) -> bytes:
    return b"<html><head><guide></guide></head><body>" + b"".join(parts) + b"</body></html>"


def test_chapters_are_the_lines_of_the_table_of_contents(tmp_path: Path) -> None:
    markup = mobi6(
        b"<h1>A Book</h1><p>by A. Writer</p>",
        BREAK + b"<h2>1</h2>" + PROSE,
        BREAK + PROSE,
        BREAK + b"<h2>2</h2>" + PROSE + b"<p>An aside.</p>" + PROSE,
    )
    second = markup.index(b"<h2>2")
    table = contents(
        ("One", markup.index(b"<h2>1"), 0),
        ("Two", second, 0),
        ("Inside", markup.index(b"An aside"), 1),
    )
    book = open_book(write_mobi(tmp_path / "a.mobi", markup, table=table))
    assert [(c.title, c.href) for c in book.chapters] == [
        ("One", f"#filepos{markup.index(BREAK)}"),
        ("Two", f"#filepos{second - len(BREAK)}"),
    ]
    assert book.chapters[0].text.count("It was a long road") == 20
    assert "An aside." in book.chapters[1].text


def test_a_page_of_several_chapters_is_cut_at_each(tmp_path: Path) -> None:
    markup = mobi6(PROSE, b"<p class='x'>First</p>", PROSE, b"<p>Second</p>", PROSE)
    inside_a_tag = markup.index(b"class='x'")
    table = contents(("One", inside_a_tag, 0), ("Two", markup.index(b"<p>Second"), 0))
    book = open_book(write_mobi(tmp_path / "a.mobi", markup, table=table))
    assert titles(book) == ["A Book", "One", "Two"]
    assert book.chapters[1].text.startswith("First\n\nIt was")
    assert book.chapters[1].href == f"#filepos{inside_a_tag}"


def test_the_oldest_books_have_their_contents_on_a_page(tmp_path: Path) -> None:
    links = (
        b"<p><a filepos=%010d>The <b>First</b></a></p><p><a filepos=%010d>Second &amp; last</a></p>"
    )
    reference = b'<reference title="Contents" type="toc"  filepos=%010d />'

    def markup(*places: int) -> bytes:
        head = b"<html><head><guide>" + reference % places[0] + b"</guide></head><body>"
        chapters = BREAK + b"<p>1</p>" + PROSE + BREAK + b"<p>2</p>" + PROSE
        return head + BREAK + b"<p>Contents</p>" + links % places[1:] + chapters

    draft = markup(0, 0, 0)
    source = markup(draft.index(b"<p>Contents"), draft.index(b"<p>1"), draft.index(b"<p>2"))
    assert titles(open_book(write_mobi(tmp_path / "a.mobi", source))) == [
        "The First",
        "Second & last",
    ]


def test_without_a_table_of_contents_headings_make_the_chapters(tmp_path: Path) -> None:
    markup = mobi6(b"<h2>One</h2>", PROSE, BREAK, b"<h2>Two</h2>", PROSE)
    assert titles(open_book(write_mobi(tmp_path / "a.mobi", markup))) == ["One", "Two"]


def test_what_stands_around_the_text_is_left_out(tmp_path: Path) -> None:
    pages = [
        b"<p>A Book</p><p>by A. Writer</p>",
        b"<p>Made by hand.</p>",
        b"<p><a filepos=00001>One</a></p><p><a filepos=00002>Two</a></p>",
        b"<h2>One</h2><p>Salt<a filepos=00009><sup>1</sup></a> is white.</p>" + PROSE,
    ]
    markup = mobi6(*(BREAK + page for page in pages))
    table = contents(("Imprint", markup.index(b"<p>Made"), 0), ("One", markup.index(b"<h2>"), 0))
    book = open_book(write_mobi(tmp_path / "a.mobi", markup, table=table))
    assert titles(book) == ["One"]
    assert "Salt is white." in book.chapters[0].text


def test_the_header_names_the_book(tmp_path: Path) -> None:
    values = [
        (100, b"A. Writer"),
        (100, "Zoë B.".encode()),
        (104, b"978"),
        (113, b"B00"),
        (503, b"The Salt Road"),
        (524, b"en-GB"),
        (201, struct.pack(">I", 1)),
    ]
    path = write_mobi(
        tmp_path / "a.mobi", mobi6(PROSE), values=values, images=[b"\xff\xd8\xff", PNG]
    )
    book = open_book(path)
    assert (book.title, book.author, book.language, book.identifier) == (
        "The Salt Road",
        "A. Writer, Zoë B.",
        "en-GB",
        "978",
    )
    assert book.cover == Cover("image/png", PNG)


@pytest.mark.parametrize("cover", [struct.pack(">I", 70), b"\0", struct.pack(">I", NONE)])
def test_a_book_without_an_extended_header_has_its_name_and_language(
    tmp_path: Path, cover: bytes
) -> None:
    book = open_book(
        write_mobi(tmp_path / "a.mobi", mobi6(PROSE), values=[(201, cover)], images=[PNG])
    )
    assert (book.title, book.author, book.language, book.cover) == ("A Book", "", "en", None)
    assert open_book(write_mobi(tmp_path / "a.mobi", mobi6(PROSE), title=b"")).title == "a"


def test_a_title_tells_a_terminal_nothing(tmp_path: Path) -> None:
    path = write_mobi(tmp_path / "a.mobi", mobi6(PROSE), title=b"A \x1b[31mBook")
    assert open_book(path).title == "A [31mBook"


@pytest.mark.parametrize(
    ("code_page", "encoding"),
    [(65001, "utf-8"), (1252, "cp1252"), (1251, "cp1251"), (936, "gbk"), (0, "utf-8")],
)
def test_the_code_page_is_read(tmp_path: Path, code_page: int, encoding: str) -> None:
    word = "Zoë" if encoding in ("utf-8", "cp1252") else "Соль"
    source = mobi6(f"<p>{word}</p>".encode(encoding), PROSE)
    path = write_mobi(tmp_path / "a.mobi", source, numbers={28: code_page})
    assert open_book(path).chapters[0].text.startswith(f"{word}\n\nIt was")


def test_a_character_cut_in_two_and_what_stands_behind_the_text(tmp_path: Path) -> None:
    # One flag for the bytes of a character, two for entries with their size behind them.
    before = PROSE + b"<p>Zo"
    records = [
        before + b"\xc3" + b"\0" + b"xx" + backwards(3) + b"y" * 200 + backwards(202),
        b"\xab is here.</p>" + b"\0" + backwards(1) + backwards(1),
    ]
    head = first_record(1, 2, numbers={240: 0b111})
    path = tmp_path / "a.mobi"
    path.write_bytes(palm_database([head, *records]))
    assert open_book(path).chapters[0].text.endswith("Zoë is here.")


@pytest.mark.parametrize("kind", ["palmdoc", "huffman"])
def test_compressed_books_are_read(tmp_path: Path, kind: str) -> None:
    text = b"<p>" + b"the salt is a fine thing to have. " * 300 + b"</p>"
    texts = cut(text)
    packer = HuffmanPacker(PHRASES, LENGTHS)
    if kind == "palmdoc":
        records = [first_record(2, len(texts)), *map(pack_palmdoc, texts)]
    else:
        numbers = {112: 1 + len(texts), 116: 1 + len(packer.cdics)}
        records = [first_record(17480, len(texts), numbers=numbers), *map(packer.pack, texts)]
        records += [packer.huff, *packer.cdics]
    path = tmp_path / "a.mobi"
    path.write_bytes(palm_database(records))
    (chapter,) = open_book(path).chapters
    assert chapter.text == ("the salt is a fine thing to have. " * 300).strip()


PAGE = b"<html><body><div></div></body></html>"
INTO = PAGE.index(b"</div>")


def kf8_files() -> list[tuple[bytes, int, list[bytes]]]:
    return [
        (
            PAGE,
            INTO,
            [b"<h1>One</h1><p>It was long" + b" and cold" * 60, b" but fine.</p>" + PROSE],
        ),
        (PAGE, INTO, [b"<p id='x'>Second.</p>" + PROSE]),
    ]


def kf8_table() -> list[bytes]:
    labels = [b"The First", b"The Second"]
    rows = [
        (b"0", {1: (99,), 3: (0,), 4: (0,), 6: (0, 0)}),
        (b"1", {1: (99,), 3: (10,), 4: (0,), 6: (2, 0)}),
    ]
    return index(CONTENTS_TAGS, rows, labels)


def test_kf8_is_put_together_from_skeletons_and_fragments(tmp_path: Path) -> None:
    path = tmp_path / "a.azw3"
    path.write_bytes(palm_database(kf8_records(kf8_files(), kf8_table())))
    book = open_book(path)
    assert titles(book) == ["The First", "The Second"]
    assert book.chapters[0].text.startswith("One\n\nIt was long and cold")
    assert "and cold but fine.\n\nIt was a long road" in book.chapters[0].text
    assert book.chapters[1].text.startswith("Second.\n\nIt was a long road")
    assert "color" not in book.chapters[1].text


def test_kf8_with_damaged_tables_is_one_page(tmp_path: Path) -> None:
    records = kf8_records(kf8_files(), kf8_table())
    skeletons = next(n for n, record in enumerate(records) if record.startswith(b"INDX"))
    records[skeletons] = b"INDY" + records[skeletons][4:]
    path = tmp_path / "a.azw3"
    path.write_bytes(palm_database(records))
    text = book_text(path)
    assert "Second." in text
    assert "color" not in text


def test_overlapping_skeletons_are_not_believed(tmp_path: Path) -> None:
    records = kf8_records(kf8_files())
    skeletons = next(n for n, record in enumerate(records) if record.startswith(b"INDX"))
    rows = [(b"SKEL%010d" % n, {1: (0,), 6: (0, 4000)}) for n in range(100)]
    records[skeletons : skeletons + 2] = index(((1, 1, 3), (6, 2, 12)), rows)
    path = tmp_path / "a.azw3"
    path.write_bytes(palm_database(records))
    assert open_book(path).chapters[0].text.count("Second.") == 1


def test_of_a_book_in_both_formats_the_newer_is_read(tmp_path: Path) -> None:
    old = [first_record(1, 1), mobi6(b"<p>The older text.</p>"), PNG, b"BOUNDARY"]
    values = [(121, struct.pack(">I", len(old))), (201, bytes(4))]
    old[0] = first_record(1, 1, numbers={108: 2}, extended=exth(*values))
    path = tmp_path / "a.mobi"
    path.write_bytes(palm_database([*old, *kf8_records(kf8_files(), kf8_table())]))
    book = open_book(path)
    assert titles(book) == ["The First", "The Second"]
    assert book.cover == Cover("image/png", PNG)
    path.write_bytes(palm_database(old))  # the newer one cut off
    assert book_text(path) == "The older text."


def book_text(path: Path) -> str:
    return "\n\n".join(chapter.text for chapter in open_book(path).chapters)


@pytest.mark.parametrize("kind", [b"TEXtREAd", b"BOOKMOBI"])
def test_a_palmdoc_text_is_read_as_text(tmp_path: Path, kind: bytes) -> None:
    text = b"CHAPTER I\n\nIt was a long road.\n\nCHAPTER II\n\nAnd a cold one."
    text = text.replace(b"road.", b"road. " * 70).replace(b"one.", b"one. " * 70)
    head = struct.pack(">HHIHHHH", 2, 0, len(text), 1, 4096, 0, 0)
    path = tmp_path / "a.pdb"
    path.write_bytes(palm_database([head, pack_palmdoc(text)], kind=kind))
    assert titles(open_book(path)) == ["CHAPTER I", "CHAPTER II"]


def test_a_locked_book_is_refused_as_locked(tmp_path: Path) -> None:
    path = tmp_path / "a.azw"
    path.write_bytes(palm_database([first_record(2, 1, encryption=2), b"\x93\x01"]))
    with pytest.raises(ProtectedBookError, match=r"locked by DRM \(encryption 2\)"):
        open_book(path)


def test_a_book_of_images_is_refused_as_one(tmp_path: Path) -> None:
    pages = b"<mbp:pagebreak/>".join([b"<img recindex=00001>"] * 9)
    with pytest.raises(UnsupportedBookError, match="9 images and hardly a word"):
        open_book(write_mobi(tmp_path / "a.mobi", pages + b"<p>The end.</p>"))


def test_a_print_replica_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedBookError, match="print replica"):
        open_book(write_mobi(tmp_path / "a.azw4", b"%MOP" + bytes(100)))


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([b"short"], "a first record of 5 bytes"),
        ([first_record(3, 1), b"x"], "compression 3, expected one of 1, 2, 17480"),
        ([first_record(1, 9), b"x"], "record 2, expected 0 to 1"),
        ([first_record(2, 1), b"\x80\x08"], "record 1: damaged"),
        ([first_record(17480, 1), b"x"], "record 0: damaged"),
        ([first_record(1, 1), b"<p></p>"], "no text in any of 1 pages"),
        ([first_record(1, 1), BREAK * 10_000], "10001 pages, at most 10000"),
    ],
)
def test_a_broken_book_says_what_is_wrong(
    tmp_path: Path, records: list[bytes], message: str
) -> None:
    path = tmp_path / "a.mobi"
    path.write_bytes(palm_database(records))
    with pytest.raises(BrokenBookError, match=message):
        open_book(path)


def test_text_beyond_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from squadlite.library.mobi import reader, records

    path = write_mobi(tmp_path / "a.mobi", mobi6(PROSE * 30))
    monkeypatch.setattr(reader, "MAX_TEXT_BYTES", 5000)
    with pytest.raises(BrokenBookError, match="more than 5000 bytes of text"):
        open_book(path)
    monkeypatch.setattr(records, "MAX_FILE_BYTES", 5000)
    with pytest.raises(BrokenBookError, match="bytes, at most 5000"):
        open_book(path)


def test_truncations_and_flipped_bits_do_no_harm(tmp_path: Path) -> None:
    whole = palm_database(kf8_records(kf8_files(), kf8_table(), values=[(100, b"A. Writer")]))
    path = tmp_path / "a.azw3"
    for position in range(0, len(whole), 7):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << (position % 8)
        for damaged in (whole[:position] if position % 3 == 0 else b"", bytes(flipped)):
            path.write_bytes(damaged)
            try:
                assert all(chapter.text for chapter in open_book(path).chapters)
            except BookError as error:
                assert "\n" not in str(error)

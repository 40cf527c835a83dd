"""Damaged and hostile FictionBooks and Kindle books: a book or a BookError, in bounded memory."""

import random
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mobis import HuffmanPacker, contents, first_record, index, kf8_records, palm_database

from benchmarks.fuzz_books import damage, try_copies
from squadlite.errors import BookError, BrokenBookError
from squadlite.library.book import open_book
from squadlite.library.mobi import reader

MiB = 1 << 20
FUZZ = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
PROSE = "<p>Once upon a time there was a carrier of salt, and this is her story.</p>"
DESCRIPTION = (
    "<description><title-info><book-title>A Book</book-title>"
    '<coverpage><image l:href="#c"/></coverpage></title-info></description>'
)
FB2 = (
    '<?xml version="1.0" encoding="windows-1251"?>'
    '<FictionBook xmlns="x" xmlns:l="http://www.w3.org/1999/xlink">{}</FictionBook>'
)
PAGE = b"<html><body><div></div></body></html>"


def small_fb2() -> bytes:
    section = f"<section><title><p>One</p></title>{PROSE * 5}<cite>{PROSE}</cite></section>"
    notes = f'<body name="notes">{section}</body><binary id="c">iVBORw0KGgo=</binary>'
    return FB2.format(f"{DESCRIPTION}<body>{section * 3}</body>{notes}").encode()


def small_azw3() -> bytes:
    files = [(PAGE, PAGE.index(b"</div>"), [PROSE.encode() * 5, PROSE.encode()])] * 3
    table = contents(("One", 20, 0), ("Two", 500, 0))
    return palm_database(kf8_records(files, table, values=[(100, b"A. Writer")]))


def small_huffman_mobi() -> bytes:
    letters = [bytes((byte,)) for byte in range(32, 127)]
    packer = HuffmanPacker([b"salt", b"the ", *letters], {2: 1, 5: 10, 9: len(letters) - 9})
    text = packer.pack(PROSE.encode() * 5)
    head = first_record(17480, 1, numbers={112: 2, 116: 1 + len(packer.cdics)})
    return palm_database([head, text, packer.huff, *packer.cdics])


WHOLE = {"a.fb2": small_fb2(), "a.azw3": small_azw3(), "a.mobi": small_huffman_mobi()}


@pytest.mark.parametrize("name", WHOLE)
def test_what_is_damaged_is_a_book_to_begin_with(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(WHOLE[name])
    assert "her story" in open_book(tmp_path / name).chapters[0].text


@FUZZ
@pytest.mark.parametrize("name", WHOLE)
@given(seed=st.integers(0, 2**32))
def test_a_damaged_book_does_no_harm(tmp_path: Path, name: str, seed: int) -> None:
    path = tmp_path / name
    path.write_bytes(damage(WHOLE[name], random.Random(seed)))
    try:
        assert all(chapter.text for chapter in open_book(path).chapters)
    except BookError as error:
        assert "\n" not in str(error)


@pytest.mark.slow
@pytest.mark.parametrize("name", WHOLE)
def test_twenty_thousand_damaged_books_do_no_harm(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(WHOLE[name])
    outcome = try_copies(tmp_path / name, 7, range(20_000))
    assert outcome.faults == []
    assert outcome.read > 1000


PIECES = """
<section> </section> <title> </title> <p> </p> <strong> </strong> <poem> <stanza> <v> </v> <a
l:href='#x' type='note'> </a> <style> </style> <body> </body> <body\tname='n'> <binary\tid='c'>
</binary> <empty-line/> <!--\t--> <?pi\t?> &nbsp; &#0; text <:x> <h1> <image/> <annotation>
"""
FRAGMENTS = st.lists(st.sampled_from([*PIECES.split(), " ", "word " * 40]), max_size=60).map(
    lambda pieces: "".join(pieces).replace("\t", " ")
)


@FUZZ
@given(text=FRAGMENTS)
def test_a_crafted_fictionbook_does_no_harm(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.fb2"
    path.write_text(FB2.format(f"{DESCRIPTION}<body>{text}"))
    try:
        open_book(path)
    except BookError as error:
        assert "\n" not in str(error)


def test_entities_of_a_fictionbook_are_neither_expanded_nor_fetched(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret")
    doctype = f'<!DOCTYPE x [<!ENTITY a "haha"><!ENTITY f SYSTEM "{secret.as_uri()}">]>'
    path = tmp_path / "a.fb2"
    path.write_text(doctype + FB2.format(f"<body><section>{PROSE}<p>&a; &f;</p></section></body>"))
    text = open_book(path).chapters[0].text
    assert "her story" in text
    assert "secret" not in text
    assert "haha" not in text


def test_sections_nested_without_end_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "a.fb2"
    path.write_text(FB2.format("<body>" + "<section><title>" * 20_000 + PROSE))
    with pytest.raises(BrokenBookError):
        open_book(path)


def test_binaries_without_end_are_read_in_time(tmp_path: Path) -> None:
    path = tmp_path / "a.fb2"
    path.write_text(FB2.format(f"<body><section>{PROSE}</section></body>") + "<binary " * 500_000)
    assert "her story" in open_book(path).chapters[0].text


def peak_of_refusing(path: Path, message: str) -> int:
    tracemalloc.start()
    try:
        with pytest.raises(BrokenBookError, match=message):
            open_book(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_zipped_fictionbook_that_is_a_bomb_stops_at_the_ratio(tmp_path: Path) -> None:
    path = tmp_path / "a.fb2.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.fb2", FB2.format("<body>" + "salt " * 6_000_000))
    assert peak_of_refusing(path, "zip bomb") < 16 * MiB


def test_a_palmdoc_bomb_stops_at_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_TEXT_BYTES", MiB)
    record = b"salt" + struct.pack(">H", 0x8000 | 4 << 3 | 7) * 15_000
    path = tmp_path / "a.mobi"
    path.write_bytes(palm_database([first_record(2, 50), *[record] * 50]))
    assert peak_of_refusing(path, "bytes of text") < 8 * MiB


def test_a_huffman_bomb_stops_at_the_limit(tmp_path: Path) -> None:
    doubled: list[bytes | tuple[int, ...]] = [b"salt", *((n, n) for n in range(14))]
    packer = HuffmanPacker(doubled, {4: 15})
    head = first_record(17480, 1, numbers={112: 2, 116: 1 + len(packer.cdics)})
    path = tmp_path / "a.mobi"
    text = packer.pack(b"salt" * 2**15) * 60_000
    path.write_bytes(palm_database([head, text, packer.huff, *packer.cdics]))
    assert peak_of_refusing(path, "bytes of text") < 16 * MiB


@pytest.mark.parametrize("offset", [84, 88, 112, 116, 244, 248, 252, 192, 240, 20])
@pytest.mark.parametrize("number", [0, 1, 0x7FFFFFFF, 0xFFFFFFFE])
def test_numbers_in_the_header_are_not_believed(tmp_path: Path, offset: int, number: int) -> None:
    whole = bytearray(small_azw3())
    (start,) = struct.unpack_from(">I", whole, 78)
    struct.pack_into(">I", whole, start + offset, number)
    (tmp_path / "a.azw3").write_bytes(whole)
    try:
        assert open_book(tmp_path / "a.azw3").chapters
    except BookError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("count", [0, 1, 0xFFFF, 0xFFFFFFFF])
@pytest.mark.parametrize("offset", [4, 20, 24, 52, 192 + 4, 192 + 8])
def test_numbers_in_an_index_are_not_believed(tmp_path: Path, offset: int, count: int) -> None:
    records = kf8_records([(PAGE, PAGE.index(b"</div>"), [PROSE.encode()])])
    first = next(n for n, record in enumerate(records) if record.startswith(b"INDX"))
    for number in (first, first + 1):
        damaged = bytearray(records[number])
        if offset + 4 <= len(damaged):
            struct.pack_into(">I", damaged, offset, count)
        path = tmp_path / "a.azw3"
        path.write_bytes(palm_database([*records[:number], bytes(damaged), *records[number + 1 :]]))
        assert "her story" in open_book(path).chapters[0].text


def test_a_table_of_many_lines_is_read_in_time(tmp_path: Path) -> None:
    lines = [(f"Line {number}", 20 * number, 0) for number in range(2_000)]
    markup = b"".join((b"<p>word %d</p>" % number).ljust(20) for number in range(len(lines)))
    texts = [markup[start : start + 4096] for start in range(0, len(markup), 4096)]
    head = first_record(1, len(texts), numbers={244: 1 + len(texts)})
    path = tmp_path / "a.mobi"
    path.write_bytes(palm_database([head, *texts, *contents(*lines)]))
    assert len(open_book(path).chapters) == 2_000


def test_more_values_than_a_row_may_have_are_refused(tmp_path: Path) -> None:
    rows = [(b"one", {6: tuple(range(4000))})]
    records = kf8_records([(PAGE, PAGE.index(b"</div>"), [PROSE.encode()])])
    first = next(n for n, record in enumerate(records) if record.startswith(b"INDX"))
    records[first : first + 2] = index(((1, 1, 1), (6, 2, 12)), rows)
    path = tmp_path / "a.azw3"
    path.write_bytes(palm_database(records))
    assert "her story" in open_book(path).chapters[0].text

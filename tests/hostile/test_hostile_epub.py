"""Damaged and hostile e-books: any bytes give a book or a BookError, and never harm."""

import random
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from epubs import CONTAINER, book_of, package, page, write_epub
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from squadlite.errors import BookError, BrokenBookError
from squadlite.library import archive
from squadlite.library.book import open_book

PROSE = "<p>Once upon a time there was a carrier of salt, and this is her story.</p>"
SAMPLE = Path(__file__).parent.parent / "books" / "the-salt-road.epub"
FUZZ = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def read_anyway(path: Path) -> None:
    """Open a book that may be anything; only a BookError may come out of it, in one line."""
    try:
        book = open_book(path)
    except BookError as error:
        assert "\n" not in str(error)
    else:
        assert all(chapter.text for chapter in book.chapters)


def small_epub(folder: Path) -> bytes:
    return book_of(folder / "small.epub", {"one.xhtml": PROSE, "two.xhtml": PROSE}).read_bytes()


def test_every_truncation_gives_a_broken_book(tmp_path: Path) -> None:
    whole = small_epub(tmp_path)
    path = tmp_path / "cut.epub"
    for size in range(0, len(whole), 3):
        path.write_bytes(whole[:size])
        with pytest.raises(BrokenBookError):
            open_book(path)


def test_flipped_bits_do_no_harm(tmp_path: Path) -> None:
    whole = small_epub(tmp_path)
    path = tmp_path / "flipped.epub"
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << (position % 8)
        path.write_bytes(damaged)
        read_anyway(path)


@FUZZ
@given(seed=st.integers(0, 2**32), edits=st.integers(1, 30))
def test_a_mutated_book_does_no_harm(tmp_path: Path, seed: int, edits: int) -> None:
    chance = random.Random(seed)
    damaged = bytearray(SAMPLE.read_bytes())
    for _ in range(edits):
        start = chance.randrange(len(damaged))
        damaged[start : start + chance.randrange(8)] = chance.randbytes(chance.randrange(8))
    path = tmp_path / "mutated.epub"
    path.write_bytes(damaged)
    read_anyway(path)


@FUZZ
@given(
    content=st.binary(max_size=2000), name=st.sampled_from(["b.epub", "b.txt", "b.html", "b.md"])
)
def test_any_bytes_under_any_name_do_no_harm(tmp_path: Path, content: bytes, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    read_anyway(path)


MARKUP = st.text("<>/&;\"'= abpx:1#!-[]?\n\0\ud800\u2028", max_size=200).map(
    lambda text: text.encode("utf-8", "surrogatepass")
)
PIECES = """
<p> </p> <a\tid='x'\thref='#x'> </a> <sup> <br/> <td> <tr> <pre> <ruby> <rt> <h2> </h2> <!--\t-->
<?pi\t?> &nbsp; &bogus; &#0; &#xD800; text <nav\tepub:type='toc'> <html
<!DOCTYPE\tx\t[<!ENTITY\ta\t'b'>]> <![CDATA[ ]]>
"""
FRAGMENTS = st.lists(st.sampled_from([*PIECES.split(" "), " ", "\n"]), max_size=40).map(
    lambda pieces: "".join(pieces).replace("\t", " ").encode()
)


@FUZZ
@given(container=MARKUP | FRAGMENTS, opf=MARKUP | FRAGMENTS, text=MARKUP | FRAGMENTS)
@pytest.mark.parametrize("crafted", ["container", "opf", "page", "nav"])
def test_crafted_documents_do_no_harm(
    tmp_path: Path, crafted: str, container: bytes, opf: bytes, text: bytes
) -> None:
    item = '<item id="n" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>'
    files: dict[str, str | bytes] = {
        "META-INF/container.xml": container if crafted == "container" else CONTAINER,
        "OPS/book.opf": opf if crafted == "opf" else package(["one.xhtml"], extra=item),
        "OPS/one.xhtml": text if crafted == "page" else page(PROSE),
        "OPS/nav.xhtml": text if crafted == "nav" else page(""),
    }
    read_anyway(write_epub(tmp_path / "crafted.epub", files))


def test_a_zip_bomb_stops_at_the_ratio(tmp_path: Path) -> None:
    path = book_of(tmp_path / "bomb.epub", {"one.xhtml": "<p>" + "salt " * 6_000_000 + "</p>"})
    tracemalloc.start()
    with pytest.raises(BrokenBookError, match="zip bomb"):
        open_book(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 * archive.MiB


def test_a_declared_size_is_not_believed(tmp_path: Path) -> None:
    path = book_of(tmp_path / "bomb.epub", {"one.xhtml": "<p>" + "salt " * 6_000_000 + "</p>"})
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as whole:
        header = whole.getinfo("OPS/one.xhtml")
    name = content.rindex(b"OPS/one.xhtml")  # the entry in the central directory
    struct.pack_into("<II", content, name - 46 + 20, header.compress_size, 100)
    path.write_bytes(content)
    with pytest.raises(BrokenBookError):
        open_book(path)


def test_the_size_of_one_page_and_of_all_is_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = {f"{number}.xhtml": PROSE for number in range(10)}
    path = book_of(tmp_path / "book.epub", pages)
    monkeypatch.setattr(archive, "MAX_ITEM_BYTES", 100)
    with pytest.raises(BrokenBookError, match="more than 100 bytes"):
        open_book(path)
    monkeypatch.setattr(archive, "MAX_ITEM_BYTES", archive.MiB)
    monkeypatch.setattr(archive, "MAX_TOTAL_BYTES", 2500)
    with pytest.raises(BrokenBookError, match="bytes of text"):
        open_book(path)


def test_the_number_of_files_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = book_of(tmp_path / "book.epub", {"one.xhtml": PROSE})
    monkeypatch.setattr(archive, "MAX_ENTRIES", 2)
    with pytest.raises(BrokenBookError, match="4 files inside, at most 2"):
        open_book(path)


def test_a_huge_central_directory_is_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = book_of(tmp_path / "book.epub", {f"{n}.xhtml": PROSE for n in range(100)})
    monkeypatch.setattr(archive, "MAX_DIRECTORY_BYTES", 1000)
    with pytest.raises(BrokenBookError, match="directory of"):
        open_book(path)


def test_entities_are_neither_expanded_nor_fetched(tmp_path: Path) -> None:
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret")
    doctype = f'<!DOCTYPE html [<!ENTITY l0 "ha">{laughs}<!ENTITY f SYSTEM "{secret.as_uri()}">]>'
    files: dict[str, str | bytes] = {
        "OPS/book.opf": doctype + package(["one.xhtml"]),
        "OPS/one.xhtml": doctype + page(f"{PROSE}<p>&l11; &f;</p>"),
    }
    text = open_book(write_epub(tmp_path / "book.epub", files)).chapters[0].text
    assert "secret" not in text
    assert "hahaha" not in text
    assert "her story" in text


def test_a_member_there_twice_is_ambiguous(tmp_path: Path) -> None:
    path = book_of(tmp_path / "book.epub", {"one.xhtml": PROSE})
    with (
        pytest.warns(UserWarning, match="Duplicate name"),
        zipfile.ZipFile(path, "a") as twice,
    ):
        twice.writestr("OPS/one.xhtml", page(PROSE))
    with pytest.raises(BrokenBookError, match="there are 2 of it"):
        open_book(path)


def test_an_encrypted_member_is_named(tmp_path: Path) -> None:
    path = book_of(tmp_path / "book.epub", {"one.xhtml": PROSE})
    content = bytearray(path.read_bytes())
    content[content.rindex(b"OPS/one.xhtml") - 46 + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(BrokenBookError, match=r"'OPS/one\.xhtml': encrypted"):
        open_book(path)


def test_a_wrong_checksum_is_damage(tmp_path: Path) -> None:
    path = book_of(tmp_path / "book.epub", {"one.xhtml": PROSE})
    content = bytearray(path.read_bytes())
    content[content.rindex(b"OPS/one.xhtml") - 46 + 16] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(BrokenBookError, match=r"'OPS/one\.xhtml': damaged"):
        open_book(path)


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    path = write_epub(tmp_path / "book.epub", {"OPS/book.opf": package(["one.xhtml"])})
    with zipfile.ZipFile(path, "a") as links:
        link = zipfile.ZipInfo("OPS/one.xhtml")
        link.external_attr = 0o120777 << 16
        links.writestr(link, "/etc/passwd")
    with pytest.raises(BrokenBookError, match="none of the 1 pages"):
        open_book(path)


def test_nothing_is_written_for_names_that_climb_out(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    files = {"../climbed.txt": "x", "/absolute.txt": "x", "C:\\drive.txt": "x"}
    path = write_epub(
        inside / "book.epub",
        {"OPS/book.opf": package(["one.xhtml"]), "OPS/one.xhtml": page(PROSE), **files},
    )
    assert open_book(path).chapters[0].text.endswith("her story.")
    assert [found.name for found in tmp_path.rglob("*")] == ["inside", "book.epub"]


def test_elements_nested_without_end_do_no_harm(tmp_path: Path) -> None:
    body = "<div>" * 20_000 + PROSE + "</div>" * 20_000
    read_anyway(book_of(tmp_path / "book.epub", {"one.xhtml": body, "two.xhtml": PROSE}))


def test_a_member_without_a_name_is_passed_over(tmp_path: Path) -> None:
    path = book_of(tmp_path / "book.epub", {"one.xhtml": PROSE, "zzz": PROSE})
    assert len(open_book(path).chapters) == 2
    # zipfile ends a name at its first NUL.
    path.write_bytes(path.read_bytes().replace(b"OPS/zzz", b"\0PS/zzz"))
    assert len(open_book(path).chapters) == 1


def test_a_table_of_contents_of_many_lines_is_read_in_time(tmp_path: Path) -> None:
    lines = "".join(f'<li><a href="one.xhtml#a{n}">{n}</a></li>' for n in range(20_000))
    anchors = "".join(f'<p id="a{n}">word</p>' for n in range(20_000))
    item = '<item id="n" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>'
    files: dict[str, str | bytes] = {
        "OPS/book.opf": package(["one.xhtml"], extra=item),
        "OPS/nav.xhtml": page(f'<nav epub:type="toc"><ol>{lines}</ol></nav>'),
        "OPS/one.xhtml": page(anchors),
    }
    path = tmp_path / "book.epub"
    write_epub(path, files)
    assert len(open_book(path).chapters) == 20_000

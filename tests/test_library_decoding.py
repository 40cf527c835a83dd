"""Decoding: bytes of unknown encoding."""

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from squadlite.library.decoding import decode

TEXT = "Zoë’s café — naïve, 3 £"


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", b""),
        ("utf-8", codecs.BOM_UTF8),
        ("utf-16-le", codecs.BOM_UTF16_LE),
        ("utf-16-be", codecs.BOM_UTF16_BE),
        ("utf-32-le", codecs.BOM_UTF32_LE),
        ("utf-32-be", codecs.BOM_UTF32_BE),
        ("cp1252", b""),
    ],
)
def test_the_encodings_of_books(encoding: str, mark: bytes) -> None:
    assert decode(mark + TEXT.encode(encoding)) == TEXT


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark(encoding: str) -> None:
    assert decode("Plain letters".encode(encoding)) == "Plain letters"


def test_bytes_that_cp1252_lacks_are_latin_1() -> None:
    assert decode(b"caf\xe9 \x81") == "café "


def test_line_ends_and_control_characters_are_cleaned() -> None:
    assert decode(b"one\r\ntwo\rthree\0\x1b") == "one\ntwo\nthree"


@pytest.mark.parametrize("name", ["no-such-codec", "hex", "utf-16", "idna", "unicode_escape"])
def test_a_declaration_that_cannot_be_is_passed_over(name: str) -> None:
    source = f'<?xml version="1.0" encoding="{name}"?><p>Zoë</p>'
    assert decode(source.encode(), declared=True) == source


def test_a_damaged_byte_costs_one_letter_of_what_is_declared() -> None:
    source = '<?xml version="1.0" encoding="windows-1251"?><p>Соль {}</p>'
    damaged = source.format("").encode("cp1251").replace(b" <", b" \x98<")
    assert decode(damaged, declared=True) == source.format("\ufffd")


def test_latin_1_is_read_as_what_it_mostly_is() -> None:
    data = b'<meta charset="iso-8859-1">\x93quoted\x94'
    assert decode(data, declared=True).endswith("“quoted”")


@given(st.binary(), st.booleans())
def test_any_bytes_give_text_that_can_be_stored(data: bytes, declared: bool) -> None:
    text = decode(data, declared=declared)
    assert "\0" not in text
    text.encode("utf-8")


@given(st.binary(), st.sampled_from(["utf-7", "utf-8", "gb18030", "iso2022_jp", "cp037"]))
def test_any_declared_bytes_give_text(data: bytes, name: str) -> None:
    decode(b'<?xml encoding="' + name.encode() + b'"?>' + data, declared=True).encode("utf-8")

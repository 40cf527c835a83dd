"""The header of a Kindle book, in its first record: how its text is kept, and what it is."""

import struct
from dataclasses import dataclass, field, replace
from enum import IntEnum

from squadlite.library.markup import clean_line
from squadlite.library.mobi.records import Bytes

NO_RECORD = 0xFFFFFFFF
MAX_EXTH_RECORDS = 10_000
_PALMDOC = struct.Struct(">HHIHHHH")
_MOBI_OFFSET = 16
_EXTH_FLAG = 0x40
# Where the numbers of the MOBI header stand in the record; four bytes each.
_HEADER_LENGTH = 20
_CODE_PAGE = 28
_VERSION = 36
_TITLE = (84, 88)  # its offset and length
_LOCALE = 92
_FIRST_IMAGE = 108
_HUFF = (112, 116)  # its first record and the number of them
_EXTH_FLAGS = 128
_FDST = 192
_TRAILING_FLAGS = 240
_CONTENTS_INDEX = 244
_FRAGMENT_INDEX = 248
_SKELETON_INDEX = 252
KF8 = 8

_CODE_PAGES = {65001: "utf-8", 932: "cp932", 936: "gbk", 949: "cp949", 950: "big5"}
_SINGLE_BYTE_CODE_PAGES = frozenset([437, 850, 852, 866, 874, *range(1250, 1259)])
# The low bits of Windows' locale number name the language.
_LANGUAGES = {
    1: "ar", 2: "bg", 3: "ca", 4: "zh", 5: "cs", 6: "da", 7: "de", 8: "el", 9: "en", 10: "es",
    11: "fi", 12: "fr", 13: "he", 14: "hu", 15: "is", 16: "it", 17: "ja", 18: "ko", 19: "nl",
    20: "no", 21: "pl", 22: "pt", 24: "ro", 25: "ru", 27: "sk", 29: "sv", 31: "tr", 34: "uk",
}  # fmt: skip


class Compression(IntEnum):
    """How the text's records are compressed."""

    NONE = 1
    PALMDOC = 2
    HUFFMAN = 17480  # "DH"


class Exth(IntEnum):
    """The records of the extended header that we read."""

    AUTHOR = 100
    ISBN = 104
    ASIN = 113
    KF8_HEADER = 121  # the record of the newer book's header, in files that hold two
    COVER = 201  # counts from the first image
    TITLE = 503
    LANGUAGE = 524


@dataclass(frozen=True)
class Header:
    """
    What the first record of a book says; numbers of records count from this one.

    Attributes:
        compression, text_records, encryption: of the text; encryption is 0 for books without DRM.
        version: of the format: 8 is KF8; None where there is only PalmDOC's header.
        encoding: Python's name for the text's; "" unknown.
        trailing_flags: what stands behind the text in each of its records.
        first_image, contents, fragments, skeletons, fdst: records; None where there are none.
        huff: the HUFF record and how many records it and its CDICs are.
        title, language: "" where they aren't there.
        exth: the extended header: values by type, in order.
    """

    compression: int
    text_records: int
    encryption: int
    version: int | None = None
    encoding: str = ""
    trailing_flags: int = 0
    first_image: int | None = None
    contents: int | None = None
    fragments: int | None = None
    skeletons: int | None = None
    fdst: int | None = None
    huff: tuple[int, int] = (0, 0)
    title: str = ""
    language: str = ""
    exth: dict[int, list[bytes]] = field(default_factory=dict)

    def texts(self, kind: Exth) -> list[str]:
        """The values of one type of the extended header that have text."""
        texts = [clean_line(self.decode(value)) for value in self.exth.get(kind, [])]
        return [text for text in texts if text]

    def number(self, kind: Exth) -> int | None:
        """The first value of one type as a number; None where there is none."""
        value = next(iter(self.exth.get(kind, [])), b"")
        number = int.from_bytes(value, "big") if len(value) == 4 else NO_RECORD
        return None if number == NO_RECORD else number

    def decode(self, data: Bytes) -> str:
        """Text of the book, whose damaged characters don't stop it."""
        return bytes(data).decode(self.encoding or "cp1252", errors="replace")


def read_header(record: Bytes) -> Header | None:
    """
    Read a book's first record.

    Returns:
        None for one too short to be a header.
    """
    if len(record) < _PALMDOC.size:
        return None
    compression, _, _, text_records, _, encryption, _ = _PALMDOC.unpack_from(record)
    if bytes(record[_MOBI_OFFSET : _MOBI_OFFSET + 4]) != b"MOBI":
        return Header(compression, text_records, encryption)
    end = min(_MOBI_OFFSET + (_number(record, _HEADER_LENGTH, len(record)) or 0), len(record))

    def number(offset: int) -> int:
        return _number(record, offset, end)

    def record_number(offset: int) -> int | None:
        value = number(offset) if offset + 4 <= end else NO_RECORD
        return None if value == NO_RECORD else value

    version = number(_VERSION)
    is_kf8 = version == KF8
    code_page = number(_CODE_PAGE)
    encoding = _CODE_PAGES.get(code_page, "")
    if code_page in _SINGLE_BYTE_CODE_PAGES:
        encoding = f"cp{code_page}"
    header = Header(
        compression=compression,
        text_records=text_records,
        encryption=encryption,
        version=version,
        encoding=encoding,
        trailing_flags=number(_TRAILING_FLAGS) & 0xFFFF,
        first_image=record_number(_FIRST_IMAGE),
        contents=record_number(_CONTENTS_INDEX),
        fragments=record_number(_FRAGMENT_INDEX) if is_kf8 else None,
        skeletons=record_number(_SKELETON_INDEX) if is_kf8 else None,
        fdst=record_number(_FDST) if is_kf8 else None,
        huff=(number(_HUFF[0]), number(_HUFF[1])),
        language=_LANGUAGES.get(number(_LOCALE) & 0xFF, ""),
        exth=_read_exth(record, end) if number(_EXTH_FLAGS) & _EXTH_FLAG else {},
    )
    start, size = number(_TITLE[0]), number(_TITLE[1])
    return replace(header, title=clean_line(header.decode(record[start : start + size])))


def _number(record: Bytes, offset: int, end: int) -> int:
    """Four bytes as a number; 0 beyond the end."""
    return int.from_bytes(record[offset : offset + 4], "big") if offset + 4 <= end else 0


def _read_exth(record: Bytes, start: int) -> dict[int, list[bytes]]:
    """The extended header, as far as it is whole."""
    values: dict[int, list[bytes]] = {}
    if bytes(record[start : start + 4]) != b"EXTH":
        return values
    count = min(_number(record, start + 8, len(record)), MAX_EXTH_RECORDS)
    place = start + 12
    for _ in range(count):
        size = _number(record, place + 4, len(record))
        if size < 8 or place + size > len(record):
            break
        value = bytes(record[place + 8 : place + size])
        values.setdefault(_number(record, place, len(record)), []).append(value)
        place += size
    return values

"""INDX records: the tables of a Kindle book, such as its contents and the parts of its text."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from squadlite.library.mobi.records import Bytes

ReadRecord = Callable[[int], Bytes]

MAX_ENTRIES = 50_000
MAX_VALUES = 16  # of one tag in a row
_DATA_RECORDS = 24  # in the first record, as are the next two
_TAGX = 4
_STRING_RECORDS = 52
_IDXT = 20  # in a record of entries: where the entries' offsets stand
_COUNT = 24
_STRING_RECORD_BYTES = 0x10000


class DamagedIndexError(ValueError):
    """Records that are no index; the caller, who knows the file, decides what it means."""


@dataclass(frozen=True)
class IndexEntry:
    """A row of an index: its name, and its values by the number of their tag."""

    name: bytes
    values: dict[int, tuple[int, ...]]

    def value(self, tag: int, place: int = 0) -> int | None:
        """One of a tag's values; None where the row doesn't have it."""
        values = self.values.get(tag, ())
        return values[place] if place < len(values) else None


@dataclass(frozen=True)
class _Tag:
    """A column: how many values it has each time, and which bits of the control bytes count it."""

    number: int
    width: int
    mask: int
    is_end: bool


@dataclass(frozen=True)
class Index:
    """The rows of an index and its strings."""

    entries: list[IndexEntry]
    strings: list[Bytes]

    def string(self, offset: int) -> bytes:
        """The string at this offset; b"" where there is none."""
        number, place = divmod(offset, _STRING_RECORD_BYTES)
        if number >= len(self.strings):
            return b""
        record = self.strings[number]
        try:
            size, place = read_varint(record, place)
        except DamagedIndexError:
            return b""
        return bytes(record[place : place + size])


def read_index(read_record: ReadRecord, number: int) -> Index:
    """
    Read an index.

    Args:
        read_record: gives a record of the book by its number.
        number: the index's first record; its rows and then its strings follow in others.

    Raises:
        DamagedIndexError: not an index, or more than MAX_ENTRIES rows.
    """
    first = read_record(number)
    _check_magic(first, b"INDX", 0)
    header_bytes = _number(first, _TAGX)
    tags, control_bytes = _read_tags(first, header_bytes)
    data_records, string_records = _number(first, _DATA_RECORDS), _number(first, _STRING_RECORDS)
    entries: list[IndexEntry] = []
    for data in range(number + 1, number + 1 + data_records):
        for entry in _read_entries(read_record(data), tags, control_bytes):
            if len(entries) == MAX_ENTRIES:
                raise DamagedIndexError(f"more than {MAX_ENTRIES} rows")
            entries.append(entry)
    start = number + 1 + data_records
    return Index(entries, [read_record(start + string) for string in range(string_records)])


def _read_tags(record: Bytes, start: int) -> tuple[list[_Tag], int]:
    _check_magic(record, b"TAGX", start)
    size, control_bytes = _number(record, start + 4), _number(record, start + 8)
    rows = bytes(record[start + 12 : start + min(size, len(record))])
    if len(rows) % 4 or not 1 <= control_bytes <= len(rows):
        raise DamagedIndexError(f"{control_bytes} control bytes for {len(rows)} bytes of tags")
    tags = [
        _Tag(number, width, mask, is_end == 1)
        for number, width, mask, is_end in struct.iter_unpack("4B", rows)
    ]
    if sum(tag.is_end for tag in tags) > control_bytes:
        raise DamagedIndexError(f"tags for more than {control_bytes} control bytes")
    return tags, control_bytes


def _read_entries(record: Bytes, tags: list[_Tag], control_bytes: int) -> Iterator[IndexEntry]:
    _check_magic(record, b"INDX", 0)
    idxt, count = _number(record, _IDXT), _number(record, _COUNT)
    _check_magic(record, b"IDXT", idxt)
    if idxt + 4 + 2 * count > len(record):
        raise DamagedIndexError(f"{count} rows in a record of {len(record)} bytes")
    offsets = record[idxt + 4 : idxt + 4 + 2 * count]
    starts = [int.from_bytes(offsets[at : at + 2], "big") for at in range(0, len(offsets), 2)]
    for start, end in pairwise([*starts, idxt]):
        row = bytes(record[start:end])
        name_end = 1 + (row[0] if row else 0)
        if name_end + control_bytes > len(row):
            raise DamagedIndexError(f"a row of {len(row)} bytes, expected a name and its values")
        controls = row[name_end : name_end + control_bytes]
        yield IndexEntry(
            row[1:name_end], _read_values(row, name_end + control_bytes, controls, tags)
        )


def _read_values(
    row: bytes, place: int, controls: bytes, tags: list[_Tag]
) -> dict[int, tuple[int, ...]]:
    """The values of a row: first how many each tag has, and then the values themselves."""
    control = 0
    counted: list[tuple[_Tag, int | None, int]] = []  # tag, number of values, or else of bytes
    for tag in tags:
        if tag.is_end:
            control += 1
            continue
        bits = controls[control] & tag.mask if control < len(controls) else 0
        if bits == 0:
            continue
        if bits == tag.mask and tag.mask.bit_count() > 1:
            size, place = read_varint(row, place)
            counted.append((tag, None, size))
        else:
            lowest_bit = tag.mask & -tag.mask
            counted.append((tag, bits // lowest_bit * tag.width, 0))
    values: dict[int, tuple[int, ...]] = {}
    for tag, count, size in counted:
        found: list[int] = []
        end = place + size
        while len(found) < count if count is not None else place < end:
            if len(found) == MAX_VALUES:
                raise DamagedIndexError(f"more than {MAX_VALUES} values of one tag")
            value, place = read_varint(row, place)
            found.append(value)
        values[tag.number] = tuple(found)
    return values


def read_varint(data: Bytes, place: int) -> tuple[int, int]:
    """
    Read a number of seven bits a byte, the last byte marked by its highest bit.

    Returns:
        The number, and the place behind it.

    Raises:
        DamagedIndexError: the data end before it does.
    """
    number = 0
    for byte in data[place : place + 4]:
        number = number << 7 | byte & 0x7F
        place += 1
        if byte & 0x80:
            return number, place
    raise DamagedIndexError(f"a number without an end at byte {place}")


def _number(record: Bytes, offset: int) -> int:
    if offset + 4 > len(record):
        raise DamagedIndexError(f"a record of {len(record)} bytes, expected {offset + 4} at least")
    return int.from_bytes(record[offset : offset + 4], "big")


def _check_magic(record: Bytes, magic: bytes, offset: int) -> None:
    if bytes(record[offset : offset + len(magic)]) != magic:
        raise DamagedIndexError(f"no {magic.decode()} where one is named")

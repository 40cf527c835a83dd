"""Small Kindle and Palm books made on the spot, with encoders of what only Amazon writes."""

import struct
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path

Pack = Callable[[bytes], bytes]
RECORD_BYTES = 4096
NONE = 0xFFFFFFFF


def palm_database(records: Sequence[bytes], *, kind: bytes = b"BOOKMOBI") -> bytes:
    """A PalmDB file of these records."""
    head = b"book".ljust(60, b"\0") + kind + bytes(8) + struct.pack(">H", len(records))
    place = len(head) + 8 * len(records) + 2
    entries = b""
    for number, record in enumerate(records):
        entries += struct.pack(">II", place, number)
        place += len(record)
    return head + entries + bytes(2) + b"".join(records)


def exth(*values: tuple[int, bytes]) -> bytes:
    """An extended header."""
    rows = b"".join(struct.pack(">II", kind, 8 + len(value)) + value for kind, value in values)
    return b"EXTH" + struct.pack(">II", 12 + len(rows), len(values)) + rows


def first_record(
    compression: int,
    text_records: int,
    *,
    encryption: int = 0,
    numbers: dict[int, int] | None = None,
    title: bytes = b"A Book",
    extended: bytes = b"",
) -> bytes:
    """
    The first record of a MOBI book.

    Args:
        compression, text_records, encryption: as PalmDOC's header has them.
        numbers: what stands at these offsets, where it isn't what a book without tables has.
        title: the full name.
        extended: the extended header.
    """
    header = bytearray(264 + 16)
    struct.pack_into(
        ">HHIHHHH", header, 0, compression, 0, 0, text_records, RECORD_BYTES, encryption, 0
    )
    struct.pack_into(">4sII", header, 16, b"MOBI", len(header) - 16, 2)
    fields = {
        28: 65001,
        36: 6,
        84: len(header) + len(extended),
        88: len(title),
        92: 9,
        **dict.fromkeys((108, 244, 248, 252, 192), NONE),
        128: 0x40 if extended else 0,
        **(numbers or {}),
    }
    for offset, number in fields.items():
        struct.pack_into(">I", header, offset, number)
    return bytes(header) + extended + title


def varint(number: int) -> bytes:
    """A number forwards: seven bits a byte, the last byte marked."""
    groups = [number & 0x7F | 0x80]
    while number := number >> 7:
        groups.append(number & 0x7F)
    return bytes(reversed(groups))


def backwards(number: int) -> bytes:
    """A number to be read from its end: the first byte marked."""
    groups = [number & 0x7F]
    while number := number >> 7:
        groups.append(number & 0x7F)
    groups[-1] |= 0x80
    return bytes(reversed(groups))


Row = tuple[bytes, dict[int, Sequence[int]]]
# Number, values each time, mask.
Tag = tuple[int, int, int]
CONTENTS_TAGS: tuple[Tag, ...] = ((1, 1, 1), (3, 1, 2), (4, 1, 4), (6, 2, 8))
SKELETON_TAGS: tuple[Tag, ...] = ((1, 1, 3), (6, 2, 12))
FRAGMENT_TAGS: tuple[Tag, ...] = ((2, 1, 1), (6, 2, 8))


def index(tags: Sequence[Tag], rows: Sequence[Row], strings: Sequence[bytes] = ()) -> list[bytes]:
    """The records of an index: its head, its rows in one record, its strings in another."""
    tagx = b"".join(bytes((*tag, 0)) for tag in tags) + b"\0\0\0\1"
    first = bytearray(192)
    first[:4] = b"INDX"
    for offset, number in ((4, 192), (24, 1), (52, 1 if strings else 0)):
        struct.pack_into(">I", first, offset, number)
    first += b"TAGX" + struct.pack(">II", 12 + len(tagx), 1) + tagx
    data = bytearray(192)
    data[:4] = b"INDX"
    starts = []
    for name, values in rows:
        starts.append(len(data))
        data += bytes((len(name),)) + name + _row(tags, values)
    struct.pack_into(">II", data, 20, len(data), len(rows))
    data += b"IDXT" + b"".join(struct.pack(">H", start) for start in starts)
    text = b"".join(varint(len(string)) + string for string in strings)
    return [bytes(first), bytes(data), *([text] if strings else [])]


def _row(tags: Sequence[Tag], values: dict[int, Sequence[int]]) -> bytes:
    control, sizes, numbers = 0, b"", b""
    for number, width, mask in tags:
        found = b"".join(varint(value) for value in values.get(number, ()))
        count, most = len(values.get(number, ())) // width, mask // (mask & -mask)
        if count >= most > 1:  # as many as the mask can say, or more: the bytes are counted
            control |= mask
            sizes += varint(len(found))
        else:
            control |= count * (mask & -mask)
        numbers += found
    return bytes((control,)) + sizes + numbers


def contents(*lines: tuple[str, int, int]) -> list[bytes]:
    """A table of contents: title, place and depth of each line."""
    labels = [title.encode() for title, _, _ in lines]
    places = [0, *accumulate(len(varint(len(label)) + label) for label in labels)][:-1]
    rows = [
        (b"%03d" % number, {1: (place,), 3: (label,), 4: (depth,)})
        for number, ((_, place, depth), label) in enumerate(zip(lines, places, strict=True))
    ]
    return index(CONTENTS_TAGS, rows, labels)


def cut(text: bytes) -> list[bytes]:
    """Text as its records hold it."""
    return [text[start : start + RECORD_BYTES] for start in range(0, len(text), RECORD_BYTES)]


def write_mobi(
    path: Path,
    markup: bytes,
    *,
    table: Sequence[bytes] = (),
    images: Sequence[bytes] = (),
    values: Sequence[tuple[int, bytes]] = (),
    numbers: dict[int, int] | None = None,
    title: bytes = b"A Book",
) -> Path:
    """
    Write a MOBI book of the older kind, its text as it is.

    Args:
        path: the file.
        markup: the text.
        table: the records of its table of contents.
        images: records behind the text.
        values: the extended header's.
        numbers: of the header (see `first_record`).
        title: the full name.
    """
    texts = cut(markup)
    fields = dict(numbers or {})
    if table:
        fields[244] = 1 + len(texts) + len(images)
    if images:
        fields[108] = 1 + len(texts)
    head = first_record(
        1, len(texts), numbers=fields, title=title, extended=exth(*values) if values else b""
    )
    path.write_bytes(palm_database([head, *texts, *images, *table]))
    return path


def kf8_records(
    files: Sequence[tuple[bytes, int, Sequence[bytes]]],
    table: Sequence[bytes] = (),
    *,
    values: Sequence[tuple[int, bytes]] = (),
    numbers: dict[int, int] | None = None,
) -> list[bytes]:
    """
    The records of a KF8 book.

    Args:
        files: each a skeleton, where its fragments go into it, and the fragments.
        table: the records of its table of contents.
        values: the extended header's.
        numbers: of the header (see `first_record`).
    """
    text = b""
    skeletons: list[Row] = []
    fragments: list[Row] = []
    for number, (skeleton, place, parts) in enumerate(files):
        extent = (len(text), len(skeleton))
        skeletons.append((b"SKEL%010d" % number, {1: (len(parts),) * 2, 6: extent * 2}))
        into = len(text) + place
        text += skeleton
        for part in parts:
            fragments.append((b"%010d" % into, {2: (0,), 6: (0, len(part))}))
            into += len(part)
            text += part
    flow = len(text)
    texts = cut(text + b"p { color: red }")
    tables: list[list[bytes]] = [
        index(SKELETON_TAGS, skeletons),
        index(FRAGMENT_TAGS, fragments),
        [b"FDST" + struct.pack(">IIIIII", 12, 2, 0, flow, flow, flow + 16)],
        list(table),
    ]
    places = [1 + len(texts) + sum(map(len, tables[:number])) for number in range(len(tables))]
    fields = {36: 8, 252: places[0], 248: places[1], 192: places[2]}
    if table:
        fields[244] = places[3]
    head = first_record(
        1,
        len(texts),
        numbers={**fields, **(numbers or {})},
        extended=exth(*values) if values else b"",
    )
    return [head, *texts, *(record for records in tables for record in records)]


def pack_palmdoc(text: bytes) -> bytes:
    """Compress a record as PalmDOC does."""
    packed = bytearray()
    place = 0
    while place < len(text):
        found, length = _match(text, place)
        byte = text[place]
        if length >= 3:
            pair = 0x8000 | (place - found) << 3 | (length - 3)
            packed += struct.pack(">H", pair)
            place += length
        elif byte == 0x20 and text[place + 1 : place + 2].isalpha():
            packed.append(text[place + 1] | 0x80)
            place += 2
        elif byte == 0 or 9 <= byte < 0x80:
            packed.append(byte)
            place += 1
        else:
            run = text[place : place + 8]
            packed += bytes((len(run),)) + run
            place += len(run)
    return bytes(packed)


def _match(text: bytes, place: int) -> tuple[int, int]:
    """The longest repetition of 3 to 10 bytes that a pair can name."""
    for length in range(min(10, len(text) - place), 2, -1):
        found = text.rfind(text[place : place + length], max(0, place - 2047), place + length - 1)
        if found >= 0:
            return found, length
    return 0, 0


class HuffmanPacker:
    """
    Compresses as HUFF/CDIC does: the dictionary in the order of its codes, shorter ones first.

    Args:
        phrases: the dictionary's; a tuple is a phrase made of phrases, by their numbers.
        lengths: how many codes there are of each length.
        index_bits: a CDIC record holds two to the power of so many phrases.
    """

    def __init__(
        self,
        phrases: Sequence[bytes | tuple[int, ...]],
        lengths: dict[int, int],
        *,
        index_bits: int = 4,
    ) -> None:
        self._codes: list[tuple[int, int]] = []
        lowest = {length: 1 << length for length in range(1, 33)}
        highest = dict.fromkeys(range(1, 33), 0)
        free = 1  # codes at and above it are taken, at the length before
        for length in range(1, 33):
            free <<= 1
            count = lengths.get(length, 0)
            highest[length] = free - 1 + len(self._codes)
            self._codes += [(free - 1 - number, length) for number in range(count)]
            free -= count
            lowest[length] = free
        assert len(self._codes) == len(phrases)
        self._texts = [phrase if isinstance(phrase, bytes) else b"" for phrase in phrases]
        for number, phrase in enumerate(phrases):
            if isinstance(phrase, tuple):
                self._texts[number] = b"".join(self._texts[part] for part in phrase)
        self.huff = self._huff(lowest, highest)
        self.cdics = list(self._cdics(phrases, index_bits))

    def _huff(self, lowest: dict[int, int], highest: dict[int, int]) -> bytes:
        def length_of(code: int) -> int:
            return next((n for n in range(1, 33) if code >= lowest[n] << (32 - n)), 33)

        table = b""
        for byte in range(256):
            first = length_of(byte << 24 | 0xFFFFFF)
            is_certain = first == length_of(byte << 24) and first <= 8
            entry = min(first, 31) | (0x80 | highest[first] << 8 if is_certain else 0)
            table += struct.pack(">I", entry)
        limits = b"".join(struct.pack(">II", lowest[n], highest[n]) for n in range(1, 33))
        return struct.pack(">4sIII", b"HUFF", 24, 24, 24 + 1024) + bytes(8) + table + limits

    def _cdics(
        self, phrases: Sequence[bytes | tuple[int, ...]], index_bits: int
    ) -> Iterator[bytes]:
        for start in range(0, len(phrases), 1 << index_bits):
            some = phrases[start : start + (1 << index_bits)]
            offsets, data = b"", b""
            for phrase in some:
                is_text = isinstance(phrase, bytes)
                content = phrase if isinstance(phrase, bytes) else self._pack_codes(phrase)
                offsets += struct.pack(">H", 2 * len(some) + len(data))
                data += struct.pack(">H", len(content) | 0x8000 * is_text) + content
            yield struct.pack(">4sIII", b"CDIC", 16, len(phrases), index_bits) + offsets + data

    def _pack_codes(self, numbers: Sequence[int]) -> bytes:
        bits = "".join(f"{code:0{length}b}" for code, length in (self._codes[n] for n in numbers))
        bits += "0" * (-len(bits) % 8)
        return int(bits or "0", 2).to_bytes(len(bits) // 8, "big")

    def pack(self, text: bytes) -> bytes:
        """Compress a record; its characters must be in the dictionary."""
        by_size = sorted(range(len(self._texts)), key=lambda n: -len(self._texts[n]))
        numbers = []
        place = 0
        while place < len(text):
            number = next(n for n in by_size if text.startswith(self._texts[n], place))
            numbers.append(number)
            place += len(self._texts[number])
        return self._pack_codes(numbers)

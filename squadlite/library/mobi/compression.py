"""The two compressions of text records: PalmDOC, and Mobipocket's Huffman code (HUFF/CDIC)."""

import re
import struct
from collections.abc import Sequence

from squadlite.library.mobi.records import Bytes

# A record holds 4096 bytes of text, some programs' a few more.
MAX_RECORD_BYTES = 1 << 16
MAX_DICTIONARY_BYTES = 32 << 20
MAX_PHRASES = 1 << 18
MAX_DEPTH = 32

_CODED = re.compile(rb"[\x01-\x08\x80-\xff]")
_SPACED = [bytes((0x20, letter)) for letter in range(0x40, 0x80)]
_HUFF_HEADER = struct.Struct(">4sIII")
_CDIC_HEADER = struct.Struct(">4sIII")
_MAX_CODE_BITS = 32
_LITERAL_PHRASE = 0x8000


class DamagedRecordError(ValueError):
    """A record that doesn't decompress; the caller, who knows the file, tells the user."""


def unpack_palmdoc(record: Bytes) -> bytes:
    """
    Decompress a PalmDOC record.

    A byte is itself, the number of bytes that follow as they are (1-8), a space and a letter
    (0xC0-0xFF), or the first of two that name a distance back (11 bits) and a length (3-10).

    Raises:
        DamagedRecordError: a distance beyond the start, or more than MAX_RECORD_BYTES; what they
            unpack to is five times as much at most.
    """
    if len(record) > MAX_RECORD_BYTES:
        raise DamagedRecordError(f"{len(record)} bytes packed, at most {MAX_RECORD_BYTES}")
    record = bytes(record)
    text = bytearray()
    position, end = 0, len(record)
    while position < end:
        byte = record[position]
        if byte >= 0xC0:
            text += _SPACED[byte - 0xC0]
            position += 1
        elif byte >= 0x80:
            if position + 1 == end:
                break
            pair = byte << 8 | record[position + 1]
            distance, length = pair >> 3 & 0x7FF, (pair & 7) + 3
            start = len(text) - distance
            if distance == 0 or start < 0:
                raise DamagedRecordError(f"{distance} bytes back at byte {len(text)}")
            if length <= distance:
                text += text[start : start + length]
            else:
                text += (text[start:] * length)[:length]
            position += 2
        elif 1 <= byte <= 8:
            text += record[position + 1 : position + 1 + byte]
            position += 1 + byte
        else:
            coded = _CODED.search(record, position)
            stop = coded.start() if coded else end
            text += record[position:stop]
            position = stop
    return bytes(text)


class HuffmanUnpacker:
    """
    Decompresses records in Mobipocket's Huffman code.

    Each code stands for a phrase of a dictionary, and a phrase may be in such codes itself. The
    code is canonical: codes of a length lie between two limits, and longer codes below shorter.

    Args:
        huff: the HUFF record: what each first byte tells, and the limits of each length.
        cdics: the CDIC records: the phrases.

    Raises:
        DamagedRecordError: not such records.
    """

    def __init__(self, huff: Bytes, cdics: Sequence[Bytes]) -> None:
        self._read_codes(huff)
        self._phrases: list[Bytes] = []
        self._is_literal: list[bool] = []
        for cdic in cdics:
            self._read_phrases(cdic)
        self._unpacked: dict[int, bytes] = {}
        self._room = MAX_DICTIONARY_BYTES

    def _read_codes(self, huff: Bytes) -> None:
        try:
            magic, _, by_byte, by_length = _HUFF_HEADER.unpack_from(huff)
            first_bytes = struct.unpack_from(">256I", huff, by_byte)
            limits = struct.unpack_from(">64I", huff, by_length)
        except struct.error as error:
            raise DamagedRecordError(f"HUFF record of {len(huff)} bytes") from error
        if magic != b"HUFF":
            raise DamagedRecordError("no HUFF record where the header says")
        # By the first byte of a code: its length, whether it is certain, and the highest code
        # of this length, at the top of 32 bits as all that follow.
        self._by_byte = [
            (entry & 0x1F, bool(entry & 0x80), _highest(entry >> 8, entry & 0x1F))
            for entry in first_bytes
        ]
        lengths = range(1, _MAX_CODE_BITS + 1)
        pairs = list(zip(lengths, limits[::2], limits[1::2], strict=True))
        self._lowest = [0, *(low << (_MAX_CODE_BITS - bits) for bits, low, _ in pairs)]
        self._highest = [0, *(_highest(high, bits) for bits, _, high in pairs)]

    def _read_phrases(self, cdic: Bytes) -> None:
        try:
            magic, header_bytes, total, index_bits = _CDIC_HEADER.unpack_from(cdic)
            count = min(1 << min(index_bits, 16), max(0, total - len(self._phrases)))
            if len(self._phrases) + count > MAX_PHRASES:
                raise DamagedRecordError(f"{total} phrases, at most {MAX_PHRASES}")
            offsets = struct.unpack_from(f">{count}H", cdic, header_bytes)
            for offset in offsets:
                (size,) = struct.unpack_from(">H", cdic, header_bytes + offset)
                start = header_bytes + offset + 2
                self._is_literal.append(bool(size & _LITERAL_PHRASE))
                self._phrases.append(cdic[start : start + (size & ~_LITERAL_PHRASE)])
        except struct.error as error:
            raise DamagedRecordError(f"CDIC record of {len(cdic)} bytes") from error
        if magic != b"CDIC":
            raise DamagedRecordError("no CDIC record where the header says")

    def __call__(self, record: Bytes) -> bytes:
        """
        Decompress a record.

        Raises:
            DamagedRecordError: a code or phrase that isn't there, more than MAX_RECORD_BYTES, or
                phrases within phrases beyond MAX_DEPTH or MAX_DICTIONARY_BYTES.
        """
        return self._unpack(record, MAX_DEPTH)

    def _unpack(self, packed: Bytes, depth: int) -> bytes:
        if depth == 0:
            raise DamagedRecordError(f"phrases within phrases, {MAX_DEPTH} deep")
        if len(packed) > MAX_RECORD_BYTES:
            raise DamagedRecordError(f"{len(packed)} bytes packed, at most {MAX_RECORD_BYTES}")
        padded = bytes(packed) + bytes(8)
        text = bytearray()
        place, end = 0, 8 * len(packed)
        while place < end:
            window = int.from_bytes(padded[place >> 3 : (place >> 3) + 5], "big")
            code = window >> 8 - (place & 7) & 0xFFFFFFFF
            length, is_certain, highest = self._by_byte[code >> 24]
            if not is_certain:
                while length < _MAX_CODE_BITS and code < self._lowest[length]:
                    length += 1
                highest = self._highest[length]
            if length == 0 or highest < code:
                raise DamagedRecordError(f"no code begins with {code:08x}")
            place += length
            if place > end:
                break  # what fills the last byte
            text += self._phrase((highest - code) >> (_MAX_CODE_BITS - length), depth)
            if len(text) > MAX_RECORD_BYTES:
                raise DamagedRecordError(f"more than {MAX_RECORD_BYTES} bytes of text")
        return bytes(text)

    def _phrase(self, number: int, depth: int) -> Bytes:
        if number >= len(self._phrases):
            raise DamagedRecordError(f"phrase {number}, expected 0 to {len(self._phrases) - 1}")
        if not self._phrases[number]:
            raise DamagedRecordError(f"phrase {number} is empty")  # else time had no bound
        if self._is_literal[number]:
            return self._phrases[number]
        if number not in self._unpacked:
            unpacked = self._unpack(self._phrases[number], depth - 1)
            self._room -= len(unpacked)
            if self._room < 0:
                raise DamagedRecordError(f"a dictionary beyond {MAX_DICTIONARY_BYTES} bytes")
            self._unpacked[number] = unpacked
        return self._unpacked[number]


def _highest(code: int, bits: int) -> int:
    """The highest number of 32 bits that begins with this code of so many."""
    return ((code + 1) << (_MAX_CODE_BITS - bits)) - 1

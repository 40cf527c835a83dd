"""A PalmDB: the numbered records that every book for Palm and Kindle is kept in."""

import struct
from itertools import pairwise
from pathlib import Path

from squadlite.errors import BrokenBookError

Bytes = bytes | memoryview  # a record, or a piece of one

MAX_FILE_BYTES = 128 << 20
_HEADER_BYTES = 78
_COUNT_OFFSET = 76
_ENTRY_BYTES = 8


class PalmDatabase:
    """
    The records of a PalmDB file, which lie one behind the other.

    Args:
        path: the file, at most MAX_FILE_BYTES.

    Raises:
        BrokenBookError: not a whole PalmDB.
        OSError: the file can't be read.
    """

    def __init__(self, path: Path) -> None:
        self._name = path.name
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise self.broken(f"{size} bytes, at most {MAX_FILE_BYTES}")
        self._data = memoryview(path.read_bytes())
        if size < _HEADER_BYTES:
            raise self.broken(f"{size} bytes, expected a header of {_HEADER_BYTES}")
        (count,) = struct.unpack_from(">H", self._data, _COUNT_OFFSET)
        end = _HEADER_BYTES + _ENTRY_BYTES * count
        if count == 0 or end > size:
            raise self.broken(f"{count} records in {size} bytes: cut off, or no book")
        entries = struct.iter_unpack(">II", self._data[_HEADER_BYTES:end])
        self._starts = [start for start, _ in entries] + [size]
        if self._starts[0] < end or any(start > stop for start, stop in pairwise(self._starts)):
            raise self.broken(f"records outside its {size} bytes or out of order: cut off")

    def __len__(self) -> int:
        return len(self._starts) - 1

    def record(self, number: int) -> memoryview:
        """
        The bytes of one record.

        Raises:
            BrokenBookError: no record of this number.
        """
        if not 0 <= number < len(self):
            raise self.broken(f"record {number}, expected 0 to {len(self) - 1}")
        return self._data[self._starts[number] : self._starts[number + 1]]

    def broken(self, reason: str) -> BrokenBookError:
        """An error that names the file."""
        return BrokenBookError(f"{self._name}: {reason}")

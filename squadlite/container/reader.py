"""
Reading a .sqz file: open, list, read one tensor, verify.

Opening maps the file and touches its preamble and header alone; a tensor's bytes are touched when
it is read. Any bytes give a result or a FormatError.

Source: format_spec.md, "Reading".
"""

import mmap
import os
import stat
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from squadlite.closing import Closing
from squadlite.container.codecs import Codec
from squadlite.container.header import Header, TensorInfo
from squadlite.container.layout import (
    DIGEST_BYTES,
    PREAMBLE_BYTES,
    Preamble,
    aligned,
)
from squadlite.errors import (
    CodecError,
    DigestError,
    FormatError,
    PreambleError,
    TensorError,
    TruncatedFileError,
)

_CHUNK_BYTES = 2**20
# Characters of what is wrong with a file: where a name belongs a header may hold a megabyte.
_MAX_REASON = 500


class SqzFile(Closing):
    """
    An open .sqz file; a context manager that closes it. Made by `open_sqz`.

    The file stays mapped while it is open: replace it by renaming (as `write_sqz` does), don't
    overwrite it in place.

    Attributes:
        path: the file.
        version: (major, minor) of its format.
        model: the header's model configuration.
        tokenizer: the header's tokenizer settings.
        metadata: the header's free metadata.
        tensors: name -> TensorInfo, in file order.
    """

    def __init__(self, path: Path, mapped: mmap.mmap) -> None:
        self.path = path
        self._map = mapped
        file_bytes = len(mapped)
        preamble = Preamble.from_bytes(mapped[:PREAMBLE_BYTES], file_bytes)
        data = mapped[preamble.header_offset : preamble.header_offset + preamble.header_bytes]
        if not preamble.matches(data):
            raise DigestError("header: digest of preamble and header doesn't match their bytes")
        header = Header.from_bytes(data, preamble.version)
        if preamble.header_offset != aligned(header.data_end):
            raise PreambleError(
                f"preamble: header at byte {preamble.header_offset}, "
                f"but the tensors end at {header.data_end}"
            )
        self.version = preamble.version
        self.model: dict[str, Any] = header.model
        self.tokenizer: dict[str, Any] = header.tokenizer
        self.metadata: dict[str, Any] = header.metadata
        self.tensors: Mapping[str, TensorInfo] = MappingProxyType(
            {tensor.name: tensor for tensor in header.tensors}
        )
        self._preamble = preamble

    def __repr__(self) -> str:
        state = "closed" if self._map.closed else f"{len(self.tensors)} tensors"
        return f"<SqzFile {str(self.path)!r}, {state}>"

    @property
    def digest(self) -> str:
        """
        Names all of the file.

        SHA-256, in hex, of the preamble's fields and the header, in which each tensor's digest is.
        """
        return self._preamble.digest.hex()

    def close(self) -> None:
        """Unmap the file. What was read stays valid; closing twice is fine."""
        self._map.close()

    def read(self, name: str) -> np.ndarray:
        """
        Read one tensor, its digest checked.

        Args:
            name: one of `tensors`.

        Returns:
            A new array: float32, or the stored integer dtype.

        Raises:
            TensorError: no tensor of that name.
            DigestError: its bytes were changed.
            CodecError: its bytes are not what its codec writes.
            ValueError: the file is closed.
        """
        data = self.read_stored(name)
        tensor = self.tensors[name]
        try:
            return tensor.codec.decode(data, tensor.shape)
        except CodecError as error:
            raise CodecError(f"{self.path}: tensor {name!r}: {error}") from error

    def read_stored(self, name: str) -> bytes:
        """
        Read one tensor as its codec wrote it, its digest checked.

        Raises:
            TensorError, DigestError, ValueError: as for `read`.
        """
        tensor = self.tensors.get(name)
        if tensor is None:
            raise TensorError(f"tensor {name!r}: not among the {len(self.tensors)} of {self.path}")
        # A copy, so that what is decoded is what was checked, even if the file is overwritten.
        data = self._bytes(tensor.offset, tensor.end)
        if sha256(data).hexdigest() != tensor.digest:
            raise DigestError(
                f"{self.path}: tensor {name!r}: digest of bytes {tensor.offset}..{tensor.end} "
                "doesn't match them"
            )
        return data

    def encoder(self, name: str) -> Codec:
        """
        The codec that wrote a tensor, ready to write another in the same way.

        Raises:
            TensorError, DigestError, CodecError, ValueError: as for `read`.
        """
        data = self.read_stored(name)
        tensor = self.tensors[name]
        try:
            return tensor.codec.encoder(data, tensor.shape)
        except CodecError as error:
            raise CodecError(f"{self.path}: tensor {name!r}: {error}") from error

    def verify(self) -> None:
        """
        Check every byte: the file digest, the zero bytes between, and every tensor by reading it.

        Raises:
            DigestError: bytes were changed.
            TensorError: bytes between the tensors are not zero.
            CodecError: a tensor's bytes are not what its codec writes.
            ValueError: the file is closed.
        """
        for name in self.tensors:
            self.read(name)
        for start, stop in self._gaps():
            if any(self._bytes(start, stop)):
                raise TensorError(f"{self.path}: padding: bytes {start}..{stop} must be zero")
        digest = sha256()
        end = self._preamble.file_bytes - DIGEST_BYTES
        for start in range(0, end, _CHUNK_BYTES):
            digest.update(self._bytes(start, min(start + _CHUNK_BYTES, end)))
        if digest.digest() != self._bytes(end, self._preamble.file_bytes):
            raise DigestError(
                f"{self.path}: digest in the last 32 bytes doesn't match the bytes before it"
            )

    def _bytes(self, start: int, stop: int) -> bytes:
        if self._map.closed:
            raise ValueError(f"read from {self.path} after it was closed")
        # Touching a map beyond the end of its file kills the process; a file that was cut short
        # since it was opened is the likely way to get there.
        if self._map.size() < self._preamble.file_bytes:
            raise TruncatedFileError(f"file was cut to {self._map.size()} bytes while it was open")
        return self._map[start:stop]

    def _gaps(self) -> Iterator[tuple[int, int]]:
        end = PREAMBLE_BYTES
        for tensor in self.tensors.values():
            yield end, tensor.offset
            end = tensor.end
        yield end, self._preamble.header_offset


def open_sqz(path: str | Path) -> SqzFile:
    """
    Open a .sqz file and check its preamble and header.

    Args:
        path: a regular file.

    Returns:
        The open file; close it, or use it as a context manager.

    Raises:
        FormatError: not a .sqz file that we read; the message starts with the path.
        OSError: the file is missing or can't be read.
    """
    path = Path(path)
    try:
        mapped = _map_file(path)
        try:
            return SqzFile(path, mapped)
        except BaseException:
            mapped.close()
            raise
    except FormatError as error:
        raise type(error)(f"{path}: {error!s:.{_MAX_REASON}}") from error


def _map_file(path: Path) -> mmap.mmap:
    # Before opening: a pipe would wait for a writer, a folder gives another error on each system.
    if not stat.S_ISREG(path.stat().st_mode):
        raise PreambleError("not a regular file")
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            raise TruncatedFileError("file is empty")
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

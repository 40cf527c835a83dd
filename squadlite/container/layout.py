"""
Where things lie in a .sqz file: constants, limits and the preamble.

    0    preamble      128 bytes: magic, version, positions, digest of itself and the header
    128  tensor data   each tensor at the next multiple of 64, in header order, zero bytes between
    ...  header        canonical JSON, at the next multiple of 64; from version 2 on compressed
    ...  file digest   SHA-256 of every byte before it; the last 32 bytes of the file

Source: format_spec.md, "Layout" and "Preamble". Everything is little-endian.
"""

import struct
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType
from typing import Self

from squadlite.errors import PreambleError, TruncatedFileError, VersionError

# A byte above 127, CR LF, ctrl-Z and LF: a transfer that takes the file for text changes one.
MAGIC = b"\x89SQZ\r\n\x1a\n"
# What becomes of it: line ends changed, the high bit dropped, taken for Latin-1 or bad UTF-8.
_MAGIC_AS_TEXT = (b"\x89SQZ", b"\tSQZ", b"\xc2\x89SQZ", b"\xef\xbf\xbdSQZ")
# The minor version that we know of each major version that we read.
MINOR_VERSIONS = MappingProxyType({1: 0, 2: 0})

ALIGNMENT = 64
PREAMBLE_BYTES = 128
DIGEST_BYTES = 32

MAX_HEADER_BYTES = 2**20  # stored, and of its text
MAX_HEADER_DEPTH = 16
MAX_HEADER_NODES = 2**16
MAX_DIMENSIONS = 8
MAX_VALUES = 2**31 - 1
MAX_NAME_LENGTH = 200
# What a file may decode to: 32 times its tensor data (one bit a value), and an allowance for
# tensors that are made from a seed.
MAX_EXPANSION = 32
EXPANSION_ALLOWANCE = 2**27

_VERSION = struct.Struct("<8sHH")
_PREAMBLE = struct.Struct("<8sHHIQQQ56s")
_RESERVED = bytes(56)


def aligned(position: int) -> int:
    """The first multiple of ALIGNMENT at or after `position`, in bytes."""
    return -(-position // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True, kw_only=True)
class Preamble:
    """
    The positions that the first 128 bytes of a file declare.

    Attributes:
        version: (major, minor) of the format, the major one of MINOR_VERSIONS.
        header_offset: first byte of the header, a multiple of ALIGNMENT.
        header_bytes: length of the header, 1..MAX_HEADER_BYTES.
        file_bytes: length of the whole file, the file digest included.
        digest: SHA-256 of the first 96 bytes of the preamble followed by the header.
    """

    version: tuple[int, int]
    header_offset: int
    header_bytes: int
    file_bytes: int
    digest: bytes

    @classmethod
    def for_header(cls, header: bytes, header_offset: int, version: tuple[int, int]) -> Self:
        """The preamble of a file whose header, as stored, lies at `header_offset`."""
        file_bytes = header_offset + len(header) + DIGEST_BYTES
        fields = _pack_fields(version, header_offset, len(header), file_bytes)
        return cls(
            version=version,
            header_offset=header_offset,
            header_bytes=len(header),
            file_bytes=file_bytes,
            digest=sha256(fields + header).digest(),
        )

    def to_bytes(self) -> bytes:
        """The 128 bytes that start a file."""
        fields = _pack_fields(self.version, self.header_offset, self.header_bytes, self.file_bytes)
        return fields + self.digest

    @classmethod
    def from_bytes(cls, data: bytes, file_bytes: int) -> Self:
        """
        Read and check a preamble.

        Args:
            data: the first 128 bytes of the file, or all of a shorter one.
            file_bytes: how long the file really is.

        Raises:
            PreambleError: wrong magic, nonzero reserved bytes or positions that can't be.
            VersionError: another major version.
            TruncatedFileError: the file is shorter or longer than it says.
        """
        if not data.startswith(MAGIC):
            _refuse_magic(data)
        if len(data) >= _VERSION.size:
            _, major, minor = _VERSION.unpack_from(data)
            if major not in MINOR_VERSIONS:
                known = " and ".join(f"{known}.x" for known in MINOR_VERSIONS)
                raise VersionError(
                    f"preamble: file has format version {major}.{minor}, "
                    f"this squadlite reads {known}"
                )
        if len(data) < PREAMBLE_BYTES:
            raise TruncatedFileError(
                f"preamble: file ends after {len(data)} bytes, expected {PREAMBLE_BYTES}"
            )
        _, major, minor, flags, header_offset, header_bytes, stated_bytes, reserved = (
            _PREAMBLE.unpack_from(data)
        )
        if flags or reserved != _RESERVED:
            raise PreambleError("preamble: reserved bytes 12-15 and 40-95 must be zero")
        if not 1 <= header_bytes <= MAX_HEADER_BYTES:
            raise PreambleError(
                f"preamble: header of {header_bytes} bytes, expected 1..{MAX_HEADER_BYTES}"
            )
        if header_offset < PREAMBLE_BYTES or header_offset % ALIGNMENT:
            raise PreambleError(
                f"preamble: header at byte {header_offset}, "
                f"expected a multiple of {ALIGNMENT} from {PREAMBLE_BYTES} on"
            )
        if stated_bytes != header_offset + header_bytes + DIGEST_BYTES:
            raise PreambleError(
                f"preamble: file length {stated_bytes}, but header and file digest end at "
                f"{header_offset + header_bytes + DIGEST_BYTES}"
            )
        if file_bytes != stated_bytes:
            raise TruncatedFileError(
                f"file has {file_bytes} bytes, its preamble says {stated_bytes}"
            )
        return cls(
            version=(major, minor),
            header_offset=header_offset,
            header_bytes=header_bytes,
            file_bytes=stated_bytes,
            digest=data[_PREAMBLE.size : PREAMBLE_BYTES],
        )

    def matches(self, header: bytes) -> bool:
        """Whether the digest is that of this preamble and `header`."""
        return self.digest == sha256(self.to_bytes()[: _PREAMBLE.size] + header).digest()


def _pack_fields(
    version: tuple[int, int], header_offset: int, header_bytes: int, file_bytes: int
) -> bytes:
    return _PREAMBLE.pack(MAGIC, *version, 0, header_offset, header_bytes, file_bytes, _RESERVED)


def _refuse_magic(data: bytes) -> None:
    found = data[: len(MAGIC)]
    if MAGIC.startswith(found):
        raise TruncatedFileError(
            f"preamble: file ends after {len(found)} bytes, expected {PREAMBLE_BYTES}"
        )
    if found.startswith(_MAGIC_AS_TEXT):
        raise PreambleError(
            "preamble: line ends or high bytes were changed; the file was copied as text, "
            "copy it again as binary"
        )
    raise PreambleError(f"preamble: not a .sqz file (starts with {found!r}, expected {MAGIC!r})")

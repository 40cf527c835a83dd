"""A ZIP archive from anywhere, read within limits and never unpacked to disk."""

import io
import stat
import zipfile
import zlib
from collections import Counter
from pathlib import Path

from squadlite.closing import Closing
from squadlite.errors import BrokenBookError
from squadlite.library.structure import MAX_COVER_BYTES, Cover

MiB = 1 << 20
MAX_DIRECTORY_BYTES = 4 * MiB
MAX_ENTRIES = 20_000
MAX_ITEM_BYTES = 32 * MiB
MAX_TOTAL_BYTES = 128 * MiB
MAX_RATIO = 150
# Small items of one repeated character are harmless, whatever their ratio.
RATIO_FREE_BYTES = 1 * MiB
CHUNK_BYTES = 64 * 1024

# What zipfile and its decompressors raise on damaged bytes.
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    NotImplementedError,
    ValueError,
    OverflowError,
    IndexError,
)


class BoundedReader(io.BufferedReader):
    """A file that refuses the one huge read by which zipfile loads a central directory."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as any file does, at most MAX_DIRECTORY_BYTES."""
        if size is not None and size > MAX_DIRECTORY_BYTES:
            raise zipfile.BadZipFile(f"directory of {size} bytes, at most {MAX_DIRECTORY_BYTES}")
        return super().read(size)


class BookArchive(Closing):
    """
    The members of a ZIP archive by name.

    Nothing is written to disk and nothing is trusted: sizes and the compression ratio are checked
    on the bytes that really come out, so a zip bomb stops at the limit.

    Args:
        path: the archive's file.

    Raises:
        BrokenBookError: not a readable ZIP archive, or more than MAX_ENTRIES members.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._remaining = MAX_TOTAL_BYTES
        self._file = BoundedReader(io.FileIO(path))
        try:
            self._zip = zipfile.ZipFile(self._file)
        except DAMAGE as error:
            self._file.close()
            raise BrokenBookError(
                f"{path.name}: damaged or cut off, not a whole ZIP archive ({error})"
            ) from error
        members = [info for info in self._zip.infolist() if _is_file(info)]
        if len(members) > MAX_ENTRIES:
            self.close()
            raise BrokenBookError(
                f"{path.name}: {len(members)} files inside, at most {MAX_ENTRIES}"
            )
        self._members = {info.filename: info for info in members}
        self._copies = Counter(info.filename for info in members)
        self._spellings = {name.casefold(): name for name in self._members}

    def names(self) -> list[str]:
        """The members' names, in the order of the archive."""
        return list(self._members)

    def find(self, name: str) -> str | None:
        """The member of this name, or one that differs in case only; None where there is none."""
        if name in self._members:
            return name
        return self._spellings.get(name.casefold())

    def read(self, name: str, *, limit: int | None = None) -> bytes:
        """
        The bytes of one member.

        Args:
            name: as `find` gives it.
            limit: how many bytes it may have; None: MAX_ITEM_BYTES.

        Raises:
            KeyError: no member of this name.
            BrokenBookError: damaged, encrypted, ambiguous or beyond a limit.
        """
        info = self._members[name]
        if self._copies[name] > 1:
            raise self._broken(name, f"there are {self._copies[name]} of it, expected one")
        if info.flag_bits & 0x1:
            raise self._broken(name, "encrypted, expected a plain file")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise self._broken(
                name, f"compression {info.compress_type}, expected stored or deflate"
            )
        try:
            return self._inflate(info, MAX_ITEM_BYTES if limit is None else limit)
        except (*DAMAGE, RuntimeError) as error:
            raise self._broken(name, f"damaged ({error})") from error

    def read_cover(self, name: str | None) -> Cover | None:
        """The picture in a member as `find` gives it; None where there is none that we can show."""
        if name is None:
            return None
        try:
            return Cover.from_image(self.read(name, limit=MAX_COVER_BYTES))
        except BrokenBookError:
            return None  # the text is what matters

    def _inflate(self, info: zipfile.ZipInfo, limit: int) -> bytes:
        limit = min(limit, self._remaining)
        packed = min(info.compress_size, self._path.stat().st_size)
        ratio_limit = max(RATIO_FREE_BYTES, MAX_RATIO * packed)
        content = bytearray()
        with self._zip.open(info) as member:
            while chunk := member.read(CHUNK_BYTES):
                content += chunk
                if len(content) > limit:
                    raise self._broken(info.filename, f"more than {limit} bytes of text")
                if len(content) > ratio_limit:
                    raise self._broken(
                        info.filename,
                        f"{packed} bytes unpack to more than {len(content)}: "
                        f"a zip bomb, expected at most {MAX_RATIO} to 1",
                    )
        self._remaining -= len(content)
        return bytes(content)

    def _broken(self, name: str, reason: str) -> BrokenBookError:
        return BrokenBookError(f"{self._path.name}: {name!r}: {reason}")

    def close(self) -> None:
        """Close the archive's file."""
        self._zip.close()
        self._file.close()


def _is_file(info: zipfile.ZipInfo) -> bool:
    # Not is_dir(), which fails on a member without a name.
    nameless_or_folder = not info.filename or info.filename.endswith("/")
    return not nameless_or_folder and not stat.S_ISLNK(info.external_attr >> 16)

"""Books that are sent here: kept in a folder beside the library, and added to it one at a time."""

import asyncio
import itertools
import os
import queue
import shutil
import tempfile
import threading
import unicodedata
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

from squadlite.errors import SquadliteError
from squadlite.library.library import Library, LibraryBook
from squadlite.library.vectors import TextEmbedder
from squadlite.progress import Progress
from squadlite.server.events import Event
from squadlite.server.replies import busy, failure, one_line

MAX_UPLOAD_BYTES = 256 << 20
MAX_WAITING = 8
_REMEMBERED = 64
_POLL_SECONDS = 0.1
_RETRY_SECONDS = 10
_LONGEST_NAME = 120
_LONGEST_SUFFIX = 12
_JOIN_SECONDS = 5.0


# Raised where work reports its progress.
_STOPPING = SquadliteError("the server is stopping")


@dataclass
class Upload:
    """
    A book on its way into the library.

    Attributes:
        id: names it to who sent it.
        path: its file, which is whole.
        progress: how far it is.
        outcome: the event that says what became of it; None until then.
    """

    id: str
    path: Path
    progress: Event = field(default=Event("progress", {"done": 0, "total": 1, "what": "Waiting"}))
    outcome: Event | None = None


class UploadDesk:
    """
    Takes files and adds them to the library, one after another, in a thread of its own.

    Args:
        path: the library's file.
        embedder: the model whose vectors a book has before it can be asked; None: it has none.
        describe: gives a book's JSON.
    """

    def __init__(
        self, path: Path, embedder: TextEmbedder | None, describe: Callable[[LibraryBook], object]
    ) -> None:
        self._path = path
        self._embedder = embedder
        self._describe = describe
        self.folder = path.absolute().with_name(f"{path.name}.books")
        self._numbers = itertools.count(1)
        self._uploads: OrderedDict[str, Upload] = OrderedDict()
        self._arriving = 0
        self._queue: queue.Queue[Upload | None] = queue.Queue()
        self._is_closed = False
        self._thread = threading.Thread(target=self._work, name="uploads", daemon=True)
        self._thread.start()

    def is_shown(self, book: LibraryBook) -> bool:
        """Whether a book is one that is whole, or wasn't sent here."""
        return self.is_ready(book) or not self._has(book.paths[0])

    def is_ready(self, book: LibraryBook) -> bool:
        """Whether a book can be asked: has all that the model needs."""
        return book.is_current and (self._embedder is None or book.vectors == self._embedder.digest)

    @contextmanager
    def arriving(self) -> Iterator["ArrivingFile"]:
        """
        A file to be filled, which is removed unless `accept` takes it.

        Raises:
            HTTPException: too many are on their way.
            OSError: it can't be written.
        """
        if self._is_closed or self._arriving + self._queue.qsize() >= MAX_WAITING:
            raise busy("too many books are being added", _RETRY_SECONDS)
        self._arriving += 1
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=self.folder)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    yield ArrivingFile(Path(name), file)
            finally:
                Path(name).unlink(missing_ok=True)
        finally:
            self._arriving -= 1

    def accept(self, arrived: "ArrivingFile", name: str) -> Upload:
        """
        Have a file added to the library.

        Args:
            arrived: the file, all of it.
            name: as who sent it calls it.

        Raises:
            HTTPException: the server is stopping, and nobody would add it.
            OSError: it can't be kept.
        """
        if self._is_closed:
            raise busy(str(_STOPPING), _RETRY_SECONDS)
        arrived.file.flush()
        os.fsync(arrived.file.fileno())
        # The same book again is the same file; others of its name don't stand in its way.
        path = self.folder / arrived.digest.hexdigest()[:16] / safe_name(name)
        path.parent.mkdir(exist_ok=True)
        arrived.path.replace(path)
        upload = Upload(f"u{next(self._numbers)}", path)
        self._uploads[upload.id] = upload
        while len(self._uploads) > _REMEMBERED:
            self._uploads.popitem(last=False)
        self._queue.put(upload)
        return upload

    def find(self, identifier: str) -> Upload | None:
        """An upload of late."""
        return self._uploads.get(identifier)

    async def events(self, upload: Upload) -> AsyncIterator[Event]:
        """What becomes of an upload: "progress" each time it changes, then "book" or "error"."""
        shown = None
        while upload.outcome is None:
            if shown != upload.progress:
                shown = upload.progress
                yield shown
            await asyncio.sleep(_POLL_SECONDS)
        yield upload.outcome

    def forget(self, book: LibraryBook) -> None:
        """Remove the files of a book that has been removed, as far as they were sent here."""
        for path in filter(self._has, book.paths):
            shutil.rmtree(path.parent, ignore_errors=True)

    def close(self) -> None:
        """Stop: a book that is indexed gets its vectors at the next start, others are dropped."""
        self._is_closed = True
        self._queue.put(None)
        self._thread.join(_JOIN_SECONDS)

    def _has(self, path: Path) -> bool:
        return path.parent.parent == self.folder.resolve()

    def _work(self) -> None:
        try:
            self._finish_books()
        except Exception as error:  # noqa: BLE001 - uploads are to be taken all the same
            failure(error, "books without all that they need")
        while (upload := self._queue.get()) is not None and not self._is_closed:
            upload.outcome = self._add(upload)
        for upload in self._uploads.values():
            if upload.outcome is None:
                self._discard(upload)
                upload.outcome = Event("error", {"error": str(_STOPPING)})

    def _finish_books(self) -> None:
        """Index anew what an earlier squadlite did, and make vectors where there are none."""
        with Library(self._path) as library:
            library.add(book.paths[0] for book in library.books() if not book.is_current)
            self._add_vectors(library, lambda done, total: None)

    def _add(self, upload: Upload) -> Event:
        def tell(what: str) -> Progress:
            def progress(done: int, total: int) -> None:
                upload.progress = Event("progress", {"done": done, "total": total, "what": what})

            return progress

        try:
            with Library(self._path) as library:
                tell("Indexing")(0, 1)
                (report,) = library.add([upload.path])
                if report.book is not None:
                    self._add_vectors(library, tell("Reading"))
                    return Event("book", self._describe(library.find(str(report.book))))
            message = one_line(report.detail)
        except Exception as error:  # noqa: BLE001 - the next book is another
            message = failure(error, "a book that was sent")
        self._discard(upload)
        return Event("error", {"error": message})

    def _discard(self, upload: Upload) -> None:
        """Remove a file, unless it is a book's, or nobody can tell."""
        with suppress(SquadliteError, OSError), Library(self._path) as library:
            if all(upload.path.resolve() not in book.paths for book in library.books()):
                upload.path.unlink()
                upload.path.parent.rmdir()  # which fails where the book has another name too

    def _add_vectors(self, library: Library, progress: Progress) -> None:
        def advance(done: int, total: int) -> None:
            if self._is_closed:
                raise _STOPPING
            progress(done, total)

        if self._embedder is not None:
            library.add_vectors(self._embedder, progress=advance)


class ArrivingFile:
    """
    A file that is being written.

    Attributes:
        path, file: the file.
        digest: of what has been written.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self.file = file
        self.digest = sha256()

    def write(self, piece: bytes) -> None:
        """Write what comes next."""
        self.file.write(piece)
        self.digest.update(piece)


def safe_name(name: str) -> str:
    """
    A name for a file that some client calls so: of one folder, of bounded length and plain.

    Args:
        name: percent-encoded UTF-8, maybe with folders.
    """
    name = unquote(name, errors="replace").replace("\\", "/").rpartition("/")[2]
    plain = "".join(
        letter if letter not in '<>:"|?*' and unicodedata.category(letter)[0] != "C" else "_"
        for letter in name
    ).strip(". ")
    stem, dot, suffix = plain.rpartition(".")
    if not stem or len(suffix) > _LONGEST_SUFFIX:
        stem, dot, suffix = plain, "", ""
    # Folders hold names of 255 bytes, and a character has up to four.
    stem = stem.encode()[:_LONGEST_NAME].decode(errors="ignore").strip(". ")
    return f"{stem or 'book'}{dot}{suffix}"

"""Opening a book of any kind that squadlite reads."""

from pathlib import Path

from squadlite.errors import BookError, BrokenBookError
from squadlite.library.structure import Book, Chapter

__all__ = ["Book", "Chapter", "check_book_file", "open_book"]

MAX_TEXT_BYTES = 128 << 20


def open_book(path: str | Path) -> Book:
    """
    Read a book of any `Kind`, told apart by content, then by extension.

    Raises:
        BookError: no such file, or it can't be read.
        UnsupportedBookError: a kind of file we don't read.
        ProtectedBookError: locked by DRM.
        BrokenBookError: damaged, hostile or without text.
    """
    # The readers are imported here, because an indexed book is opened without any of them.
    from squadlite.library.docx import read_docx  # noqa: PLC0415
    from squadlite.library.epub import read_epub  # noqa: PLC0415
    from squadlite.library.fb2 import read_fb2  # noqa: PLC0415
    from squadlite.library.html import read_html  # noqa: PLC0415
    from squadlite.library.kinds import Kind, detect_kind  # noqa: PLC0415
    from squadlite.library.markdown import read_markdown  # noqa: PLC0415
    from squadlite.library.mobi.reader import read_mobi  # noqa: PLC0415
    from squadlite.library.odt import read_odt  # noqa: PLC0415
    from squadlite.library.pdf import read_pdf  # noqa: PLC0415
    from squadlite.library.rtf import read_rtf  # noqa: PLC0415
    from squadlite.library.text import read_text  # noqa: PLC0415

    path = check_book_file(path)
    try:
        kind = detect_kind(path)
        containers = {
            Kind.EPUB: read_epub,
            Kind.PDF: read_pdf,
            Kind.DOCX: read_docx,
            Kind.ODT: read_odt,
            Kind.FB2: read_fb2,
            Kind.MOBI: read_mobi,
        }
        if kind in containers:
            return containers[kind](path)
        texts = {
            Kind.RTF: read_rtf,
            Kind.HTML: read_html,
            Kind.MARKDOWN: read_markdown,
            Kind.TEXT: read_text,
        }
        return texts[kind](path, _read_bounded(path))
    except OSError as error:
        raise BookError(f"{path}: can't be read ({error})") from error


def _read_bounded(path: Path) -> bytes:
    size = path.stat().st_size
    if size > MAX_TEXT_BYTES:
        raise BrokenBookError(f"{path.name}: {size} bytes of text, at most {MAX_TEXT_BYTES}")
    return path.read_bytes()


def check_book_file(path: str | Path) -> Path:
    """
    The path of a book, if there is a file with something in it.

    Raises:
        BookError: there is no such file, or it can't be read.
        BrokenBookError: it is empty.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            # A pipe would be empty when it is read again, and a device has no end.
            found = "a folder" if path.is_dir() else "a pipe or a device"
            raise BookError(f"{path}: {found}, expected a book's file")
        with path.open("rb") as file:
            first = file.read(1)
    except (OSError, ValueError) as error:
        raise BookError(f"{path}: can't be read ({error})") from error
    if not first:
        raise BrokenBookError(f"{path.name}: an empty file, expected a book")
    return path

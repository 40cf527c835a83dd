"""Telling what kind of book a file is: by its content, and by its name where content can't tell."""

import io
import re
import zipfile
from enum import Enum
from pathlib import Path

from squadlite.errors import BrokenBookError, UnsupportedBookError
from squadlite.library.archive import DAMAGE, BoundedReader

_READ = "squadlite reads EPUB, PDF, MOBI, AZW3, FB2, DOCX, ODT, RTF, plain text, HTML and Markdown"


class Kind(Enum):
    """The kinds of book that squadlite reads."""

    EPUB = "EPUB"
    PDF = "PDF"
    FB2 = "FictionBook"
    MOBI = "MOBI, AZW3 or PalmDOC"
    DOCX = "DOCX"
    ODT = "ODT"
    RTF = "RTF"
    HTML = "HTML"
    MARKDOWN = "Markdown"
    TEXT = "plain text"


# How files begin that are books, or are taken for them; a name stands for a kind we don't read.
_SIGNATURES: tuple[tuple[int, bytes, Kind | str], ...] = (
    (60, b"BOOKMOBI", Kind.MOBI),
    (60, b"TEXtREAd", Kind.MOBI),
    (0, b"TPZ0", "a Kindle book (Topaz)"),
    (0, b"CONT\x02\0", "a Kindle book (KFX)"),
    (0, b"\xeaDRMION\xee", "a Kindle book (KFX)"),
    (0, b"{\\rtf", Kind.RTF),
    (0, b"\xd0\xcf\x11\xe0", "a Word document (DOC), or one locked with a password"),
    (0, b"ITSF\x03\0", "a help file (CHM)"),
    (0, b"AT&TFORM", "a DjVu file"),
    (0, b"L\0R\0F\0", "a Sony book (LRF)"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"7z\xbc\xaf", "a 7-Zip archive"),
    (0, b"Rar!", "a RAR archive"),
    (257, b"ustar", "a TAR archive"),
    (0, b"\x89PNG", "a PNG image"),
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (0, b"SQLite format 3\0", "a SQLite database"),
)
_ZIP_KINDS: tuple[tuple[str, Kind | str], ...] = (
    ("word/", Kind.DOCX),
    ("content.xml", Kind.ODT),
    (".fb2", Kind.FB2),
    (".kfx", "a Kindle book (KFX)"),
)
_ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
# As other readers do, we take a file for a PDF if its mark stands somewhere near the start.
_PDF_MARK = b"%PDF-"
_PDF_MARK_BYTES = 1024
_EPUB_START = b"mimetypeapplication/epub+zip"
_HTML = re.compile(rb"<!doctype\s+html|<html[\s>]|<head[\s>]|<body[\s>]", re.IGNORECASE)
_TAG = re.compile(rb"<(?:p|div|h[1-6]|br)\b[^>]*>", re.IGNORECASE)
_CONTROL_BYTES = bytes(set(range(32)) - {7, 8, 9, 10, 11, 12, 13, 26, 27})
_MAX_CONTROL_SHARE = 0.02
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")
_COMIC = "a comic, images without text"
_COMIC_EXTENSIONS = frozenset([".cbz", ".cbr", ".cb7", ".cbt", ".cba"])
_IMAGE_EXTENSIONS = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".avif", ".bmp", ".tif", ".tiff")
_HTML_EXTENSIONS = frozenset([".html", ".htm", ".xhtml"])
_MARKDOWN_EXTENSIONS = frozenset([".md", ".markdown", ".mdown", ".mkd"])
_HEAD_BYTES = 4096


def detect_kind(path: Path) -> Kind:
    """
    Tell what kind of book a file is.

    Raises:
        UnsupportedBookError: a kind of file we don't read, by name where we know it.
        BrokenBookError: an .epub that is no archive.
        OSError: the file can't be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head.startswith(_ZIP_STARTS):
        return Kind.EPUB if _EPUB_START in head else _archive_kind(path)
    if _PDF_MARK in head[:_PDF_MARK_BYTES]:
        return Kind.PDF
    for position, signature, kind in _SIGNATURES:
        if head.startswith(signature, position):
            return _readable(path, kind)
    if path.suffix.lower() == ".epub":
        raise BrokenBookError(f"{path.name}: not a ZIP archive, expected an EPUB")
    if _looks_binary(head):
        raise UnsupportedBookError(f"{path.name}: not text, and no book we know; {_READ}")
    return _text_kind(path, head)


def refuse_images(path: Path, *, words: int, images: int) -> None:
    """
    Refuse a book whose pages are images, told by having fewer words than images.

    Raises:
        UnsupportedBookError: it is one.
    """
    if words < images:
        raise UnsupportedBookError(
            f"{path.name}: {images} images and hardly a word (a comic or a scan); "
            "squadlite reads text"
        )


def _text_kind(path: Path, head: bytes) -> Kind:
    text = head.replace(b"\0", b"")  # UTF-16, as far as tags go
    if b"<FictionBook" in text:
        return Kind.FB2
    extension = path.suffix.lower()
    if extension in _MARKDOWN_EXTENSIONS:
        return Kind.MARKDOWN
    if _HTML.search(text) or (extension in _HTML_EXTENSIONS and _TAG.search(text)):
        return Kind.HTML
    return Kind.TEXT


def _looks_binary(head: bytes) -> bool:
    if head.startswith(_WIDE_MARKS):
        return False
    controls = len(head) - len(head.translate(None, _CONTROL_BYTES))
    zeros = head.count(0)
    if zeros and zeros == controls and head[::2].count(0) in (0, zeros):
        return False  # UTF-16 without a mark
    return controls > _MAX_CONTROL_SHARE * len(head)


def _archive_kind(path: Path) -> Kind:
    """What a ZIP archive holds; damaged ones pass for an EPUB, whose reader says what is wrong."""
    try:
        with BoundedReader(io.FileIO(path)) as file, zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except DAMAGE:
        return Kind.EPUB
    if "META-INF/container.xml" in names or path.suffix.lower() == ".epub":
        return Kind.EPUB
    names = [name.lower() for name in names]
    for part, kind in _ZIP_KINDS:
        if any(name.startswith(part) or name.endswith(part) for name in names):
            return _readable(path, kind)
    images = sum(name.endswith(_IMAGE_EXTENSIONS) for name in names)
    return _readable(path, _COMIC if 2 * images > len(names) > 1 else "a ZIP archive")


def _readable(path: Path, kind: Kind | str) -> Kind:
    """The kind, if it is one that we read."""
    if isinstance(kind, Kind):
        return kind
    if path.suffix.lower() in _COMIC_EXTENSIONS:
        kind = _COMIC
    raise UnsupportedBookError(f"{path.name}: {kind}; {_READ}")

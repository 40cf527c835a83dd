"""PDF files: pages of lines at places, read in a process of their own (`pdf_text.py`)."""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from squadlite.errors import BookError, BrokenBookError, ProtectedBookError, UnsupportedBookError
from squadlite.library.frontmatter import is_contents, is_publishers_page, is_title_page
from squadlite.library.gutenberg import read_header, without_licence
from squadlite.library.markup import clean_line, title_from_name
from squadlite.library.pdf_layout import PlacedBlock, lay_out
from squadlite.library.pdf_page import Page, Piece
from squadlite.library.sections import has_prose, is_division, split_chapters
from squadlite.library.structure import Block, Book, Chapter, count_words, join_blocks, page_starts
from squadlite.library.text import mark_headings

MAX_SECONDS = 300
_PACKAGE = Path(__file__).resolve().parent.parent
# Text that its fonts don't say the letters of comes out as signs that no book has.
_MAX_UNKNOWN_SHARE = 0.3
_UNKNOWN = re.compile("[\ue000-\uf8ff\ufffd\x00-\x08\x0e-\x1f]")
# Fewer words a page than these, and a scan's stamps and page numbers are all that is text.
_MIN_WORDS_PER_PAGE = 3
_FILE_TITLE = re.compile(
    r"\.(?:docx?|odt|rtf|indd|qxd|tex|dvi|pdf|html?|txt|pages)$", re.IGNORECASE
)
_PLACE_TOLERANCE = 3.0
_TITLE_SLACK = 40
# An entry's place is among so many blocks of its page.
_MAX_LOOKED_AT = 400
_MAX_BARE_WORDS = 15
_REFUSALS = {"broken": BrokenBookError, "protected": ProtectedBookError}


@dataclass(frozen=True)
class _Entry:
    """An entry of the outline, which is a PDF's table of contents."""

    depth: int
    title: str
    page: int
    baseline: float | None


@dataclass(frozen=True)
class _Document:
    """What a PDF file says of itself, and its pages."""

    title: str
    author: str
    language: str
    identifier: str
    outline: list[_Entry]
    pages: list[Page]
    images: int


def read_pdf(path: Path) -> Book:
    """
    Read a PDF file.

    Chapters are those of the outline, else they begin at headings: what is larger than the text,
    or looks like "CHAPTER I". Each knows where its pages begin, by the labels that the file gives
    them, else by their number.

    Raises:
        BrokenBookError: damaged or hostile.
        ProtectedBookError: locked by a password or DRM.
        UnsupportedBookError: a scan without text, or text that can't be told from its fonts.
    """
    document = _read_document(path)
    _refuse_images(document, path)
    placed = lay_out(document.pages)
    found = [one.block for one in placed]
    header = read_header(found)
    kept = {id(block) for block in without_licence(found)}
    placed = [one for one in placed if id(one.block) in kept]
    if not placed:
        raise BrokenBookError(f"{path.name}: no text in any of {len(document.pages)} pages")
    title = document.title or header.title or title_from_name(path)
    return Book(
        title=title,
        author=document.author or header.author,
        language=document.language or header.language,
        chapters=_outlined_chapters(placed, document.outline, book_title=title)
        or _headed_chapters([one.block for one in placed], book_title=title),
        identifier=document.identifier,
    )


# The process


def _read_document(path: Path) -> _Document:
    """Read the file in a process of its own, as pdf_text.py says why."""
    # What is importable here is there too, wherever it comes from.
    importable = [str(_PACKAGE.parent), *filter(None, sys.path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(importable)}
    command = [sys.executable, "-P", "-m", "squadlite.library.pdf_text", str(path.resolve())]
    # A file, not a pipe, so that a process that neither ends nor prints can be waited for.
    with tempfile.TemporaryFile() as output:
        try:
            finished = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.PIPE,
                env=environment,
                timeout=MAX_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise BrokenBookError(
                f"{path.name}: not read after {MAX_SECONDS} seconds, expected less"
            ) from error
        output.seek(0)
        return _parse(output, finished, path)


def _parse(
    output: IO[bytes], finished: "subprocess.CompletedProcess[bytes]", path: Path
) -> _Document:
    head: dict[str, Any] | None = None
    pages: list[Page] = []
    images = 0
    for line in output:
        try:
            record = json.loads(line)
        except ValueError:
            break  # cut off where the process died
        if "refused" in record:
            raise _REFUSALS[record["refused"]](f"{path.name}: {record['reason']}")
        if head is None:
            head = record
            continue
        pieces = tuple(Piece(*piece) for piece in record["pieces"])
        pages.append(Page(clean_line(record["label"]), pieces))
        images += record["images"]
    if head is None or len(pages) < head["pages"]:
        raise _death(finished, path)
    return _Document(
        title=_title(head["title"]),
        author=clean_line(head["author"]),
        language=clean_line(head["language"]),
        identifier=head["identifier"],
        outline=[_Entry(depth, clean_line(t), page, y) for depth, t, page, y in head["outline"]],
        pages=pages,
        images=images,
    )


def _death(finished: "subprocess.CompletedProcess[bytes]", path: Path) -> BookError:
    """Why the process ended before the book did."""
    if finished.returncode > 0:
        lines = finished.stderr.decode("utf-8", "replace").strip().splitlines()
        reason = lines[-1] if lines else f"exit code {finished.returncode}"
        if "MemoryError" not in reason:
            return BookError(f"{path.name}: can't be read ({reason})")
    return BrokenBookError(
        f"{path.name}: damaged, or beyond the limits of memory and time that a PDF is read within"
    )


def _title(title: str) -> str:
    """The document's title, unless it is what a word processor calls its file."""
    title = clean_line(title)
    return "" if _FILE_TITLE.search(title) or title.casefold() == "untitled" else title


def _refuse_images(document: _Document, path: Path) -> None:
    text = "".join(piece.text for page in document.pages for piece in page.pieces)
    words = sum(len(piece.text.split()) for page in document.pages for piece in page.pieces)
    pages = len(document.pages)
    if document.images and words < _MIN_WORDS_PER_PAGE * pages:
        raise UnsupportedBookError(
            f"{path.name}: {pages} pages of images and hardly a word (a scan or a comic); "
            "squadlite reads text, which a program for text recognition can add"
        )
    if len(_UNKNOWN.findall(text)) > _MAX_UNKNOWN_SHARE * len(text):
        raise UnsupportedBookError(
            f"{path.name}: its fonts don't say which letters they draw; squadlite reads text, "
            "which a program for text recognition can add"
        )


# Chapters


def _headed_chapters(blocks: list[Block], *, book_title: str) -> tuple[Chapter, ...]:
    chapters = split_chapters(blocks, book_title=book_title)
    if len(chapters) > 1:
        return chapters
    return split_chapters(mark_headings(blocks), book_title=book_title)


def _outlined_chapters(
    placed: list[PlacedBlock], outline: list[_Entry], *, book_title: str
) -> tuple[Chapter, ...]:
    """The chapters of the outline; none where it doesn't divide the book."""
    by_page: dict[int, list[int]] = {}
    for index, one in enumerate(placed):
        by_page.setdefault(one.page, []).append(index)
    cuts: dict[int, _Entry] = {}
    for entry in _chapter_entries(outline):
        start = _find(placed, by_page, entry)
        if start is not None:
            # Of several entries for one place the last is the chapter, not its part.
            cuts[start] = entry
    parts = list(_parts([one.block for one in placed], cuts, book_title))
    if len(parts) < 2:
        return ()
    return tuple(
        Chapter(index, title, href, join_blocks(blocks), page_starts(blocks))
        for index, (title, href, blocks) in enumerate(parts)
    )


def _chapter_entries(outline: list[_Entry]) -> Iterator[_Entry]:
    """The entries of the first depth that has several, and those of its parts ("Part II")."""
    numbers = Counter(entry.depth for entry in outline)
    depth = min((depth for depth, number in numbers.items() if number > 1), default=0)
    in_division = False
    for entry in outline:
        if entry.depth <= depth:
            in_division = is_division(entry.title)
        if entry.depth <= depth or (in_division and entry.depth == depth + 1):
            yield entry


def _find(placed: list[PlacedBlock], by_page: dict[int, list[int]], entry: _Entry) -> int | None:
    """The block that an entry leads to: the heading of its title, else what stands there."""
    title = _plain(entry.title)
    here = by_page.get(entry.page, [])[:_MAX_LOOKED_AT]
    for index in here:
        block = placed[index].block
        own = _plain(block.text[: len(entry.title) + _TITLE_SLACK])
        if title and (own == title or (block.level and own.startswith(title))):
            return index
    for index in here:
        if entry.baseline is None or placed[index].baseline > entry.baseline - _PLACE_TOLERANCE:
            return index
    following = min((page for page in by_page if page > entry.page), default=None)
    return None if following is None else by_page[following][0]


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", " ", text).casefold().strip()


def _parts(
    blocks: list[Block], cuts: dict[int, _Entry], book_title: str
) -> Iterator[tuple[str, str, list[Block]]]:
    """Title, href and blocks of each chapter, without the pages around the text."""
    starts = sorted(cuts)
    if not starts:
        return
    waiting = blocks[: starts[0]]
    if has_prose(waiting) and not is_publishers_page("", set(), waiting):
        yield book_title, "", waiting
    waiting = []
    for start, end in zip(starts, [*starts[1:], len(blocks)], strict=True):
        entry, own = cuts[start], blocks[start:end]
        name = "-".join(entry.title.split())
        if (
            is_contents(own)
            or is_publishers_page(name, set(), own)
            or is_title_page(book_title, own)
        ):
            continue
        if end < len(blocks) and count_words(own) <= _MAX_BARE_WORDS:
            waiting += own  # a part's title, which goes to its first chapter
            continue
        yield entry.title, f"#page={entry.page + 1}", waiting + own
        waiting = []

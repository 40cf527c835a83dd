"""The pages of a Kindle book and its table of contents, both by their place in the markup."""

import html
import re
from bisect import bisect_left
from dataclasses import dataclass
from itertools import islice

from squadlite.errors import BrokenBookError
from squadlite.library.markup import clean_line
from squadlite.library.mobi.header import Header
from squadlite.library.mobi.index import DamagedIndexError, Index, ReadRecord, read_index

_PAGE_BREAK = re.compile(rb"<\s*mbp:pagebreak", re.IGNORECASE)
_PAGE_END = re.compile(rb"</(?:body|html)\s{0,9}>", re.IGNORECASE)
_CONTENTS_REFERENCE = re.compile(rb"<reference\b[^<>]{0,500}\btype\s*=\s*[\"']?toc\b[^<>]*>", re.I)
_FILEPOS = re.compile(rb"\bfilepos\s*=\s*[\"']?(\d{1,10})", re.IGNORECASE)
_LINK = re.compile(
    rb"<a\b[^<>]{0,500}?\bfilepos\s*=\s*[\"']?(\d{1,10})[^<>]*>(.{0,500}?)</a\b", re.I | re.S
)
_TAG = re.compile(rb"<[^<>]*>")
# Tags of the tables' columns.
_PLACE, _LABEL, _DEPTH, _FRAGMENT_PLACE = 1, 3, 4, 6
_FRAGMENT_COUNT, _EXTENT = 1, 6
_FDST_FLOWS = 12
_MAX_TAG_BYTES = 1000


@dataclass(frozen=True)
class Page:
    """A page: where it starts in the book's markup, and its markup."""

    start: int
    markup: bytes


@dataclass(frozen=True)
class Line:
    """A line of the table of contents: the place in the markup that it names."""

    title: str
    place: int
    depth: int


def read_pages(
    markup: bytes, header: Header, read_record: ReadRecord
) -> tuple[list[Page], list[Line]]:
    """
    Cut a book's markup into pages, and read its table of contents.

    Older books break their pages with a tag. KF8 keeps each file of the book as a skeleton and the
    fragments that go into it; places then count in the files put together. Where its tables are
    damaged, the markup is one page; a damaged table of contents has no lines.

    Args:
        markup: the text of all records.
        header: the book's.
        read_record: gives a record by its number from the header's.

    Returns:
        The pages, and the lines in the order of their places.
    """
    fragment_places: list[int] = []
    if header.skeletons is None:
        markup = _without_ends(markup)
        starts = [0, *(found.start() for found in _PAGE_BREAK.finditer(markup))]
        pages = [
            Page(start, markup[start:end])
            for start, end in zip(starts, [*starts[1:], len(markup)], strict=True)
        ]
    else:
        skeletons = _read_table(read_record, header.skeletons)
        fragments = _read_table(read_record, header.fragments)
        fragment_places = [_number(entry.name) for entry in fragments.entries]
        pages = _put_together(markup, skeletons, fragments)
        if not pages:
            end = _first_flow(header, read_record, len(markup))
            pages = [Page(0, _without_ends(markup[:end]))]
    contents = _read_table(read_record, header.contents)
    lines = _lines(contents, fragment_places, header) or _lines_within(pages, header)
    return pages, sorted(lines, key=_place)


def _without_ends(markup: bytes) -> bytes:
    """Markup of several pages in a row, of which a parser would read the first alone."""
    return _PAGE_END.sub(lambda found: b" " * len(found[0]), markup)


def _read_table(read_record: ReadRecord, number: int | None) -> Index:
    """A table; an empty one where there is none that can be read."""
    if number is None:
        return Index([], [])
    try:
        return read_index(read_record, number)
    except (DamagedIndexError, BrokenBookError):
        return Index([], [])


def _put_together(markup: bytes, skeletons: Index, fragments: Index) -> list[Page]:
    """
    The files of a KF8 book: each skeleton, with its fragments behind it put into it.

    Returns:
        No file where they are not one behind the other, as they are written.
    """
    pages = []
    waiting = iter(fragments.entries)
    end = 0
    for skeleton in skeletons.entries:
        start, size = skeleton.value(_EXTENT), skeleton.value(_EXTENT, 1)
        if start is None or size is None or start < end:
            return []
        end = skeleton_end = start + size
        pieces, done, place = [], start, start
        for fragment in islice(waiting, skeleton.value(_FRAGMENT_COUNT) or 0):
            length = fragment.value(_EXTENT, 1) or 0
            # Fragments come in order, so what precedes the last one is done with.
            before = max(0, _number(fragment.name) - place)
            cut = min(done + before, skeleton_end)
            pieces += [markup[done:cut], markup[end : end + length]]
            done = cut
            place += before + length
            end += length
        pages.append(Page(start, b"".join([*pieces, markup[done:skeleton_end]])))
    return pages


def _number(name: bytes) -> int:
    """The place that a fragment's name is, in decimal digits."""
    return int(name) if name.isdigit() and len(name) <= 10 else 0


def _first_flow(header: Header, read_record: ReadRecord, end: int) -> int:
    """Where the text ends and style sheets begin."""
    if header.fdst is None:
        return end
    try:
        record = bytes(read_record(header.fdst))
    except BrokenBookError:
        return end
    stop = record[_FDST_FLOWS + 4 : _FDST_FLOWS + 8]
    is_whole = record.startswith(b"FDST") and len(stop) == 4
    return min(int.from_bytes(stop, "big"), end) if is_whole else end


def _lines(contents: Index, fragment_places: list[int], header: Header) -> list[Line]:
    lines = []
    for entry in contents.entries:
        label = entry.value(_LABEL)
        title = "" if label is None else clean_line(header.decode(contents.string(label)))
        place = entry.value(_PLACE)
        fragment = entry.value(_FRAGMENT_PLACE)
        if fragment is not None and fragment < len(fragment_places):
            place = fragment_places[fragment] + (entry.value(_FRAGMENT_PLACE, 1) or 0)
        if title and place is not None:
            lines.append(Line(title, place, entry.value(_DEPTH) or 0))
    return lines


def _lines_within(pages: list[Page], header: Header) -> list[Line]:
    """The links on the page that the guide calls the contents: all that the oldest books have."""
    guide = _CONTENTS_REFERENCE.search(pages[0].markup)
    found = guide and _FILEPOS.search(guide[0])
    if not found:
        return []
    place = int(found[1])
    contents = [page for page in pages if page.start <= place < page.start + len(page.markup)]
    lines = []
    for page in contents:
        for link in _LINK.finditer(page.markup, place - page.start):
            title = clean_line(html.unescape(header.decode(_TAG.sub(b"", link[2]))))
            if title:
                lines.append(Line(title, int(link[1]), 0))
    return lines


def lines_of(page: Page, lines: list[Line]) -> list[Line]:
    """Those of the lines, which are in the order of their places, that lead into a page."""
    end = page.start + len(page.markup)
    first = bisect_left(lines, page.start, key=_place)
    return lines[first : bisect_left(lines, end, key=_place)]


def _place(line: Line) -> int:
    return line.place


def with_anchors(page: Page, lines: list[Line]) -> bytes:
    """The page's markup with an anchor (see `anchor_of`) where each of its lines leads."""
    pieces, start = [], 0
    for line in lines:
        cut = max(start, _outside_tags(page.markup, line.place - page.start))
        pieces += [page.markup[start:cut], b'<a id="%s"></a>' % anchor_of(line.place).encode()]
        start = cut
    return b"".join([*pieces, page.markup[start:]])


def anchor_of(place: int) -> str:
    """The name of a place in the markup."""
    return f"filepos{place}"


def _outside_tags(markup: bytes, place: int) -> int:
    """A place in the markup, or the start of the tag that it is in."""
    tag = markup.rfind(b"<", max(0, place - _MAX_TAG_BYTES), place)
    return place if tag < 0 or b">" in markup[tag:place] else tag

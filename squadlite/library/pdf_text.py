"""
What a PDF file holds, printed as JSON lines: the process that `pdf.py` starts for each file.

PDFium is large, is not thread safe, and its time and memory on a hostile file have no bound of
their own. In a process of its own it shares nothing with other threads, the system bounds it, and
if it dies, one book is broken and nothing else.

The first line describes the document, then comes one line a page; a line with "refused" ends it.
"""

import ctypes
import json
import math
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pypdfium2.raw as pdfium

MiB = 1 << 20
MAX_MEMORY_BYTES = 1024 * MiB
MAX_CPU_SECONDS = 240
MAX_PAGES = 10_000
MAX_PAGE_OBJECTS = 200_000
MAX_PAGE_CHARACTERS = 200_000
MAX_CHARACTERS = 32 * MiB
MAX_PIECES = 1_000_000
MAX_OUTLINE_ENTRIES = 10_000
MAX_OUTLINE_DEPTH = 8
# A gap or a step back of so much of the font's size ends a piece of a line: a gutter may be there.
PIECE_GAP = 0.9
BOLD_WEIGHT = 600
# What is smaller than this part of the line, and raised, may be the mark of a note.
SMALL = 0.8
MAX_NOTE_MARK = 8

_LINE_ENDS = frozenset([0x0A, 0x0D])
# PDFium's mark of a hyphen at a line's end.
_LINE_END_HYPHEN = 0x02
_HYPHENS = frozenset("-\u00ad‐")
_NOTE_MARKS = frozenset("0123456789*†‡§")


class RefusedError(Exception):
    """A file that can't be read: its kind of refusal, and why."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


def limit_process() -> None:
    """Bound this process's memory and time, where the system can."""
    try:
        import resource  # noqa: PLC0415
    except ImportError:  # Windows; there the parent's time limit alone holds
        return
    for limit, value in (
        (resource.RLIMIT_AS, MAX_MEMORY_BYTES),
        (resource.RLIMIT_CPU, MAX_CPU_SECONDS),
        (resource.RLIMIT_CORE, 0),
    ):
        _, most = resource.getrlimit(limit)
        bound = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(limit, (bound, most))


def describe(path: str) -> Iterator[dict[str, Any]]:
    """
    Describe a PDF file: the document, then its pages.

    Args:
        path: the file.

    Raises:
        RefusedError: encrypted, damaged, or beyond a limit.
    """
    pdfium.FPDF_InitLibrary()
    try:
        document = pdfium.FPDF_LoadDocument(path.encode("utf-8", "surrogateescape"), None)
        if not document:
            raise _refusal(pdfium.FPDF_GetLastError())
        try:
            yield from _describe_document(document)
        finally:
            pdfium.FPDF_CloseDocument(document)
    finally:
        pdfium.FPDF_DestroyLibrary()


def _refusal(error: int) -> RefusedError:
    if error == pdfium.FPDF_ERR_PASSWORD:
        return RefusedError("protected", "locked with a password, which squadlite doesn't ask for")
    if error == pdfium.FPDF_ERR_SECURITY:
        return RefusedError("protected", "locked by DRM of a kind that can't be read")
    return RefusedError("broken", "damaged or cut off, not a whole PDF file")


def _describe_document(document: Any) -> Iterator[dict[str, Any]]:
    pages = pdfium.FPDF_GetPageCount(document)
    if pages < 1:
        raise RefusedError("broken", "no pages")
    if pages > MAX_PAGES:
        raise RefusedError("broken", f"{pages} pages, expected at most {MAX_PAGES}")
    yield {
        "title": _meta(document, b"Title"),
        "author": _meta(document, b"Author"),
        "language": _utf16(lambda *buffer: pdfium.FPDFCatalog_GetLanguage(document, *buffer)),
        "identifier": _identifier(document),
        "pages": pages,
        "outline": list(_outline(document)),
    }
    characters = pieces = 0
    for number in range(pages):
        page = _describe_page(document, number)
        pieces += len(page["pieces"])
        characters += sum(len(piece[0]) for piece in page["pieces"])
        if characters > MAX_CHARACTERS:
            raise RefusedError("broken", f"more than {MAX_CHARACTERS} characters of text")
        if pieces > MAX_PIECES:
            raise RefusedError("broken", f"more than {MAX_PIECES} pieces of lines")
        yield page


def _utf16(get: Any) -> str:
    """Text that PDFium writes into a buffer, of which it says the size first."""
    size = get(None, 0)
    if not 2 < size <= MiB:
        return ""
    buffer = ctypes.create_string_buffer(size)
    get(ctypes.cast(buffer, ctypes.POINTER(pdfium.FPDF_WCHAR)), size)
    return buffer.raw[: size - 2].decode("utf-16-le", "replace")


def _meta(document: Any, name: bytes) -> str:
    return _utf16(lambda buffer, size: pdfium.FPDF_GetMetaText(document, name, buffer, size))


def _identifier(document: Any) -> str:
    """The identifier that a PDF keeps from its first version on, in hexadecimal."""
    size = pdfium.FPDF_GetFileIdentifier(document, pdfium.FILEIDTYPE_PERMANENT, None, 0)
    if not 1 < size <= 256:
        return ""
    buffer = ctypes.create_string_buffer(size)
    pdfium.FPDF_GetFileIdentifier(document, pdfium.FILEIDTYPE_PERMANENT, buffer, size)
    return buffer.raw[: size - 1].hex()


def _outline(document: Any) -> Iterator[list[Any]]:
    """Depth, title, page and place on it (as pieces count, downwards) of each outline entry."""
    seen: set[int] = set()
    waiting = [(pdfium.FPDFBookmark_GetFirstChild(document, None), 0)]
    while waiting and len(seen) < MAX_OUTLINE_ENTRIES:
        bookmark, depth = waiting.pop()
        if not bookmark or ctypes.addressof(bookmark.contents) in seen:
            continue
        seen.add(ctypes.addressof(bookmark.contents))
        waiting.append((pdfium.FPDFBookmark_GetNextSibling(document, bookmark), depth))
        if depth < MAX_OUTLINE_DEPTH:
            waiting.append((pdfium.FPDFBookmark_GetFirstChild(document, bookmark), depth + 1))
        title = _utf16(
            lambda *buffer, bookmark=bookmark: pdfium.FPDFBookmark_GetTitle(bookmark, *buffer)
        )
        target = pdfium.FPDFBookmark_GetDest(document, bookmark)
        page = pdfium.FPDFDest_GetDestPageIndex(document, target) if target else -1
        if title.strip() and page >= 0:
            yield [depth, title, page, _height(target)]


def _height(target: Any) -> float | None:
    has_x, has_y, has_zoom = (ctypes.c_int() for _ in range(3))
    x, y, zoom = (ctypes.c_float() for _ in range(3))
    found = pdfium.FPDFDest_GetLocationInPage(target, has_x, has_y, has_zoom, x, y, zoom)
    return -y.value if found and has_y.value and math.isfinite(y.value) else None


def _describe_page(document: Any, number: int) -> dict[str, Any]:
    label = _utf16(lambda *buffer: pdfium.FPDF_GetPageLabel(document, number, *buffer))
    described = {"label": label or str(number + 1), "images": 0, "pieces": []}
    page = pdfium.FPDF_LoadPage(document, number)
    if not page:
        return described  # a damaged page; the others are read
    try:
        objects = pdfium.FPDFPage_CountObjects(page)
        if objects > MAX_PAGE_OBJECTS:
            raise RefusedError(
                "broken",
                f"page {number + 1}: {objects} objects, expected at most {MAX_PAGE_OBJECTS}",
            )
        text = pdfium.FPDFText_LoadPage(page)
        if not text:
            return described
        try:
            pieces = _pieces(text, number)
        finally:
            pdfium.FPDFText_ClosePage(text)
        described["images"] = 0 if pieces else _count_images(page, objects)
        described["pieces"] = _upright(pieces)
        return described
    finally:
        pdfium.FPDF_ClosePage(page)


def _count_images(page: Any, objects: int) -> int:
    kinds = (
        pdfium.FPDFPageObj_GetType(pdfium.FPDFPage_GetObject(page, index))
        for index in range(objects)
    )
    return sum(kind == pdfium.FPDF_PAGEOBJ_IMAGE for kind in kinds)


class _Style:
    """What the characters of one text object have in common."""

    def __init__(self, text: Any, index: int) -> None:
        matrix = pdfium.FS_MATRIX()
        pdfium.FPDFText_GetMatrix(text, index, matrix)
        size = pdfium.FPDFText_GetFontSize(text, index) * math.hypot(matrix.c, matrix.d)
        self.size = size if math.isfinite(size) and size > 0 else 1.0
        # How many quarters of a turn the line runs turned to the left.
        angle = math.atan2(matrix.b, matrix.a)
        self.turn = round(angle / (math.pi / 2)) % 4 if math.isfinite(angle) else 0
        x, y = ctypes.c_double(), ctypes.c_double()
        pdfium.FPDFText_GetCharOrigin(text, index, x, y)
        # Turned upright, and downwards, as everything that stands in a piece.
        self.baseline = (-y.value, x.value, y.value, -x.value)[self.turn]
        self.bold = pdfium.FPDFText_GetFontWeight(text, index) >= BOLD_WEIGHT


class _Piece:
    """A part of a line: characters beside each other, turned upright."""

    def __init__(self, style: _Style) -> None:
        self.turn = style.turn
        self.size = style.size
        self.baseline = style.baseline
        self.characters: list[str] = []
        self.styles: list[_Style] = []
        self.left = math.inf
        self.right = self.end = -math.inf

    def takes(self, style: _Style, left: float) -> bool:
        """Whether a character stands right behind the others."""
        largest = max(self.size, style.size)
        return (
            style.turn == self.turn
            and abs(style.baseline - self.baseline) < 0.5 * largest
            and abs(left - self.end) < PIECE_GAP * largest
        )

    def add(self, character: str, style: _Style, left: float, right: float) -> None:
        """Add a character that is no space."""
        self.characters.append(character)
        self.styles.append(style)
        if style.size > self.size:
            self.size, self.baseline = style.size, style.baseline
        self.left, self.right = min(self.left, left), max(self.right, right)
        self.end = right

    def add_space(self, style: _Style) -> None:
        """Add a space, which has no place of its own."""
        self.characters.append(" ")
        self.styles.append(style)

    def drop_space(self) -> None:
        """Take back spaces at the end, which PDFium puts before some hyphens."""
        while self.characters and self.characters[-1] == " ":
            self.characters.pop()
            self.styles.pop()

    def described(self) -> list[Any]:
        """Text, left, right, baseline, size, and whether it is bold."""
        printed = [style for style, c in zip(self.styles, self.characters, strict=True) if c != " "]
        # Not the largest: a chapter's first letter may be that.
        usual = Counter(printed).most_common(1)[0][0]
        self.size, self.baseline = usual.size, usual.baseline
        text = "".join(self._without_note_marks())
        # What UTF-16 tells in two halves, PDFium does too.
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").strip()
        bold = sum(style.bold for style in printed) > 0.9 * len(printed)
        place = (round(value, 2) for value in (self.left, self.right, self.baseline, self.size))
        return [text, *place, bold]

    def _without_note_marks(self) -> Iterator[str]:
        """The characters but for small raised numbers behind a word: marks of notes."""
        for index, character in enumerate(self.characters):
            if not (character in _NOTE_MARKS and self._is_raised(index) and self._word_at(index)):
                yield character

    def _is_raised(self, index: int) -> bool:
        style = self.styles[index]
        return style.size < SMALL * self.size and style.baseline < self.baseline

    def _word_at(self, index: int) -> bool:
        """Whether a word or a stop stands before a mark, or nothing: then it is the note's own."""
        first = max(index - MAX_NOTE_MARK, 0)
        while index > first and self._is_raised(index):
            index -= 1
        if index == 0 and self._is_raised(0):
            return True
        before = "".join(self.characters[max(index - 2, 0) : index + 1])
        return before[-1:] in ".,;:!?\"'”’)" or (len(before) == 3 and before.isalpha())


def _pieces(text: Any, number: int) -> list[_Piece]:
    count = pdfium.FPDFText_CountChars(text)
    if count > MAX_PAGE_CHARACTERS:
        raise RefusedError(
            "broken",
            f"page {number + 1}: {count} characters, expected at most {MAX_PAGE_CHARACTERS}",
        )
    pieces: list[_Piece] = []
    styles: dict[int, _Style] = {}
    box = pdfium.FS_RECTF()
    piece: _Piece | None = None
    for index in range(count):
        code = pdfium.FPDFText_GetUnicode(text, index)
        if code in _LINE_ENDS:
            piece = None
            continue
        owner = pdfium.FPDFText_GetTextObject(text, index)
        address = ctypes.addressof(owner.contents) if owner else 0
        style = styles.get(address)
        if style is None:
            style = styles[address] = _Style(text, index)
        character = "-" if code == _LINE_END_HYPHEN else chr(min(code, sys.maxunicode))
        if character.isspace():
            if piece is not None:
                piece.add_space(style)
            continue
        pdfium.FPDFText_GetLooseCharBox(text, index, box)
        left, right = (
            (box.left, box.right),
            (box.bottom, box.top),
            (-box.right, -box.left),
            (-box.top, -box.bottom),
        )[style.turn]
        if not all(map(math.isfinite, (left, right, style.baseline))):
            continue
        if character in _HYPHENS and piece is not None and left - piece.end < style.size / 5:
            piece.drop_space()
        if piece is None or not piece.takes(style, left):
            piece = _Piece(style)
            pieces.append(piece)
        piece.add(character, style, left, right)
    return pieces


def _upright(pieces: list[_Piece]) -> list[list[Any]]:
    """The pieces that are turned as most of the text is."""
    lengths = [0] * 4
    for piece in pieces:
        lengths[piece.turn] += len(piece.characters)
    turn = lengths.index(max(lengths))
    return [piece.described() for piece in pieces if piece.turn == turn]


def main(path: str) -> None:
    """Print what the file at `path` holds."""
    limit_process()
    try:
        for line in describe(path):
            print(json.dumps(line), flush=False)
    except RefusedError as refused:
        print(json.dumps({"refused": refused.kind, "reason": refused.reason}))


if __name__ == "__main__":
    main(sys.argv[1])

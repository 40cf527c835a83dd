"""Plain text books: lines joined into paragraphs, chapters found by their headings."""

import re
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from squadlite.errors import BrokenBookError
from squadlite.library.decoding import decode
from squadlite.library.gutenberg import read_header, without_licence
from squadlite.library.markup import clean_line, title_from_name
from squadlite.library.sections import split_chapters
from squadlite.library.structure import Block, Book

_NUMBER = (
    r"(?:[IVXLC]{1,9}|\d{1,3}|(?:THE )?(?:ONE|TWO|THREE|FOUR|FIVE|SIX|SEVEN|EIGHT|NINE|TEN|ELEVEN"
    r"|TWELVE|(?:THIR|FOUR|FIF|SIX|SEVEN|EIGH|NINE)TEEN|(?:TWEN|THIR|FOR|FIF)TY(?:[- ]\w+)?"
    r"|FIRST|SECOND|THIRD|FOURTH|FIFTH|SIXTH|SEVENTH|EIGHTH|NINTH|TENTH|LAST))"
)
_KEYWORD = (
    r"(?:CHAPTER|ADVENTURE|STORY|TALE|LETTER|STAVE|CANTO|ACT|SCENE|SECTION|EPISODE|LECTURE|ESSAY"
    r"|KAPITEL|CHAPITRE|CAP[IÍ]TULO|CAPITOLO|HOOFDSTUK)"
)
_DIVISION = rf"(?:PART|BOOK|VOLUME|TOME|BAND|TEIL|LIVRE) (?:THE )?{_NUMBER}"
_NAMED = (
    r"(?:PROLOGUE|EPILOGUE|PREFACE|INTRODUCTION|FOREWORD|AFTERWORD|CONCLUSION|APPENDIX|INTERLUDE)"
)
_TITLE = r"[.:,]?(?:[ \t]*[—–-]+[ \t]*|[ \t]+|\n)\S.*"

# What a heading may look like, strongest first. The strongest kind that a book has twice or more
# makes its chapters.
_SIGNS = (
    ("numbered", re.compile(rf"{_KEYWORD} {_NUMBER}(?:[.:]?|{_TITLE})", re.IGNORECASE | re.DOTALL)),
    (
        "numbered",
        re.compile(r"(?:[IVXLC]{1,9}|\d{1,3})[.:](?:[ \t]+|\n)[^a-z\n]\S.*", re.DOTALL),
    ),
    ("division", re.compile(rf"{_DIVISION}(?:[.:]?|{_TITLE})", re.IGNORECASE | re.DOTALL)),
    ("named", re.compile(rf"{_NAMED}[.:]?|{_NAMED}[.:] \S.*", re.IGNORECASE)),
    ("bare", re.compile(r"(?:[IVXLC]{1,9}|\d{1,3})\.?")),
    ("capitals", re.compile(r"[^a-z]*[^\W\d_a-z]{2}[^a-z]*")),
)
_MAX_HEADING_CHARACTERS = 90
_MAX_HEADING_LINES = 3
_MAX_TITLE_WORDS = 12
# A run of headings with nothing between is a table of contents from this length on.
_CONTENTS_RUN = 3
# Lines beyond this length were never wrapped by hand.
_LONGEST_WRAP = 120
# A line that left so much of the width free was broken on purpose.
_FULL_SHARE = 0.8
_EMPHASIS = re.compile(r"(?<!\w)_([^_]+)_(?!\w)")


@dataclass(frozen=True)
class _Paragraph:
    """Lines with none that is blank between them."""

    lines: tuple[str, ...]
    kind: str = ""

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def read_text(path: Path, data: bytes) -> Book:
    """
    Read a plain text book.

    Wrapped lines are joined, verse keeps its lines. Project Gutenberg's header and licence are
    set apart; chapters begin at headings such as "CHAPTER I", "I. A TITLE" or lines in capitals.

    Raises:
        BrokenBookError: no text.
    """
    paragraphs = _paragraphs(decode(data))
    as_blocks = [Block(paragraph.text) for paragraph in paragraphs]
    header = read_header(as_blocks)
    kept = {id(block) for block in without_licence(as_blocks)}
    paragraphs = [p for p, block in zip(paragraphs, as_blocks, strict=True) if id(block) in kept]
    if not paragraphs:
        raise BrokenBookError(f"{path.name}: no text in the file")
    width = _wrap_width(paragraphs)
    blocks = [
        Block(" ".join(paragraph.lines), level=1)
        if paragraph.kind
        else Block(_unwrap(paragraph.lines, width))
        for paragraph in _mark_chapters(paragraphs)
    ]
    title = header.title or title_from_name(path)
    return Book(
        title=title,
        author=header.author,
        language=header.language,
        chapters=split_chapters(blocks, book_title=title),
        identifier=header.identifier,
    )


def mark_headings(blocks: list[Block]) -> list[Block]:
    """The blocks of a book without headings, those that look like a chapter's made headings."""
    paragraphs = [_Paragraph(tuple(block.text.split("\n"))) for block in blocks]
    kinds = [_heading_kind(paragraph) for paragraph in paragraphs]
    _drop_contents(paragraphs, kinds)
    chosen = _chapter_kinds(kinds)
    return [
        replace(block, level=1 if kind in chosen else 0)
        for block, kind in zip(blocks, kinds, strict=True)
    ]


def _paragraphs(text: str) -> list[_Paragraph]:
    groups: list[list[str]] = [[]]
    for line in text.replace("\f", "\n\n").split("\n"):
        cleaned = clean_line(line)
        if cleaned:
            groups[-1].append(cleaned)
        elif groups[-1]:
            groups.append([])
    paragraphs = [_Paragraph(tuple(lines)) for lines in groups if lines]
    if _wrap_width(paragraphs) > _LONGEST_WRAP:
        # Every line is a paragraph of its own.
        return [_Paragraph((line,)) for paragraph in paragraphs for line in paragraph.lines]
    return paragraphs


def _wrap_width(paragraphs: list[_Paragraph]) -> int:
    """The width to which most lines are filled."""
    lengths = sorted(len(line) for paragraph in paragraphs for line in paragraph.lines)
    return lengths[len(lengths) * 9 // 10] if lengths else 0


def _unwrap(lines: tuple[str, ...], width: int) -> str:
    """Join lines that were wrapped; keep those broken on purpose, such as verse."""
    room = _FULL_SHARE * width
    on_purpose = sum(
        len(line) + 1 + len(following.split(" ", 1)[0]) <= room
        for line, following in pairwise(lines)
    )
    verse = on_purpose * 2 > len(lines) - 1
    return _EMPHASIS.sub(r"\1", ("\n" if verse else " ").join(lines))


def _mark_chapters(paragraphs: list[_Paragraph]) -> list[_Paragraph]:
    """Set `kind` of the paragraphs that are chapters' headings, and of no others."""
    kinds = [_heading_kind(paragraph) for paragraph in paragraphs]
    _drop_contents(paragraphs, kinds)
    chosen = _chapter_kinds(kinds)
    marked: list[_Paragraph] = []
    skip = False
    for index, paragraph in enumerate(paragraphs):
        if skip:
            skip = False
            continue
        if kinds[index] not in chosen:
            marked.append(paragraph)
            continue
        lines = paragraph.lines
        if _wants_title(paragraph) and _is_title(paragraphs, kinds, index + 1):
            lines = (_with_stop(lines), *paragraphs[index + 1].lines)
            skip = True
        marked.append(replace(paragraph, lines=lines, kind=kinds[index]))
    return marked


def _heading_kind(paragraph: _Paragraph) -> str:
    text = paragraph.text
    if len(text) > _MAX_HEADING_CHARACTERS or len(paragraph.lines) > _MAX_HEADING_LINES:
        return ""
    return next((kind for kind, sign in _SIGNS if sign.fullmatch(text)), "")


def _drop_contents(paragraphs: list[_Paragraph], kinds: list[str]) -> None:
    """Unmark the headings of a table of contents: a run of them, most of which come again."""
    last = {_plain(p.text): index for index, p in enumerate(paragraphs) if kinds[index]}
    start = 0
    while start < len(kinds):
        end = start
        while end < len(kinds) and kinds[end]:
            end += 1
        if end - start >= _CONTENTS_RUN:
            for index in range(start, end):
                if index + 1 < end or last[_plain(paragraphs[index].text)] > index:
                    kinds[index] = ""
        start = end + 1


def _plain(text: str) -> str:
    return re.sub(r"\W+", " ", text).casefold().strip()


def _chapter_kinds(kinds: list[str]) -> frozenset[str]:
    """The kinds of heading at which this book's chapters begin."""
    for strongest in ("numbered", "bare", "division", "capitals"):
        if kinds.count(strongest) >= 2:
            return frozenset(["named", "division", strongest])
    return frozenset(["named", "numbered", "division"])


def _wants_title(paragraph: _Paragraph) -> bool:
    return (
        re.fullmatch(rf"(?:{_KEYWORD} )?{_NUMBER}[.:]?", paragraph.text, re.IGNORECASE) is not None
    )


def _is_title(paragraphs: list[_Paragraph], kinds: list[str], index: int) -> bool:
    """Whether a paragraph is the title under a heading that has only a number."""
    if index + 1 >= len(paragraphs) or kinds[index] not in ("", "capitals"):
        return False
    text = paragraphs[index].text
    words = text.split()
    if len(words) > _MAX_TITLE_WORDS or len(paragraphs[index].lines) > 2 or text[-1] in '.,;:”"':
        return False
    return all(word[0].isupper() or not word[0].isalpha() or len(word) < 6 for word in words)


def _with_stop(lines: tuple[str, ...]) -> str:
    number = " ".join(lines).rstrip(".:")
    return f"{number}."

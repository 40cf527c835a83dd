"""How far into a book its reader has come: what stands behind is not to be told."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from squadlite.errors import BoundError
from squadlite.library.numerals import roman_number

if TYPE_CHECKING:
    from squadlite.library.index import BookIndex

_ACCEPTED = (
    'a chapter by title or number ("Chapter 7", "VII"), a page ("page 123"), a share of the book '
    '("45%") or CHAPTER:OFFSET as answers count them ("6:1200")'
)
_NUMBER_WORDS = (
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
    "twenty",
)  # fmt: skip
_ROMAN_NUMBER = (
    "(?=[ivxlcdm])m{0,3}(?:c[md]|d?c{0,3})(?:x[cl]|l?x{0,3})(?:i[xv]|v?i{0,3})(?![ivxlcdm])"
)
# A number alone stands before a mark or at the end: “I Go to Sea” isn't the first chapter. Without
# regard for case "ı" would be an "i", but that only ASCII is looked for.
_TITLE = re.compile(
    rf"(chapter\s+)?(\d{{1,6}}|(?a:{'|'.join(_NUMBER_WORDS)}|{_ROMAN_NUMBER}))"
    r"(?(1)\b|(?=\s*(?:[.:)—–]|\s-\s|$)))[\s.:)—–-]*(.*)",
    re.IGNORECASE | re.DOTALL,
)
_SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,9})?)\s*%")
_PAGE = re.compile(r"(?:page|p\.|p(?=\s))\s*(\S.*)", re.IGNORECASE)
_POSITION = re.compile(r"(\d{1,9}):(\d{1,9})")
_WORD = re.compile(r"\w+")
_LONGEST_WORD = 40

Place = tuple[int, int]


@dataclass(frozen=True, order=True)
class Bound:
    """
    Where the known part of a book ends.

    Args:
        chapter: the chapters before this one, counted from 0, are known to the end.
        end: of this one, the first `end` characters of its text are known; later ones aren't.

    Raises:
        ValueError: a number below 0.
    """

    chapter: int
    end: int

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 0:
                raise ValueError(f"{name} is {value}, expected at least 0")

    @classmethod
    def parse(cls, text: str, index: "BookIndex") -> Self:
        """
        Understand a place as a person names it.

        A chapter is known to its end, and so is a page. A share is of the book's characters, less
        the word that it falls into. Chapters are found by their title, by the number in it
        (7, VII, Seven), or, in a book whose titles have no numbers, by counting them from 1. Case
        and marks make no difference.

        Args:
            text: such as "Chapter 7", "The Toll at Thief Bridge", "page 123", "45%" or "6:1200".
            index: the book's.

        Raises:
            BoundError: the book has no such place, or several chapters of that name.
        """
        places = _find(text.strip(), index)
        if not places:
            raise BoundError(
                f"{_shown(text)}: found no such place in the book, expected {_ACCEPTED}"
            )
        if len(places) > 1:
            ends = ", ".join(f"{chapter}:{end}" for chapter, end in places)
            raise BoundError(
                f"{_shown(text)}: {len(places)} chapters are called so, expected the end of one "
                f"of them: {ends}"
            )
        return cls(*places[0])


def _find(text: str, index: "BookIndex") -> list[Place]:
    """The places that a text may mean."""
    if match := _SHARE.fullmatch(text):
        return _find_share(index, float(match.group(1)))
    if match := _POSITION.fullmatch(text):
        return _find_position(index, int(match.group(1)), int(match.group(2)))
    chapters = _find_chapters(text, [chapter.title for chapter in index.chapters])
    if chapters:
        return [_end_of_chapter(index, chapter) for chapter in chapters]
    if match := _PAGE.fullmatch(text):
        return _find_page(index, match.group(1))
    return []


def _find_chapters(text: str, titles: list[str]) -> list[int]:
    words = _words(text)
    if not words:
        return []
    if same := [chapter for chapter, title in enumerate(titles) if _words(title) == words]:
        return same
    number, name = _split_title(text)
    split = [_split_title(title) for title in titles]
    if number is None:
        return [chapter for chapter, (_, title) in enumerate(split) if title == words]
    if name:
        return [chapter for chapter, title in enumerate(split) if title == (number, name)]
    if any(title is not None for title, _ in split):
        return [chapter for chapter, (title, _) in enumerate(split) if title == number]
    return [number - 1] if 0 < number <= len(titles) else []


def _split_title(title: str) -> tuple[int | None, list[str]]:
    """A title's number, if it begins with one, and the words of the rest."""
    match = _TITLE.match(title.strip())
    if match is None:
        return None, _words(title)
    return _number(match.group(2).lower()), _words(match.group(3))


def _number(text: str) -> int:
    if text.isdigit():
        return int(text)
    if text in _NUMBER_WORDS:
        return _NUMBER_WORDS.index(text) + 1
    return roman_number(text)


def _words(text: str) -> list[str]:
    return _WORD.findall(re.sub("['’‘]", "", text.casefold()))


def _find_share(index: "BookIndex", percent: float) -> list[Place]:
    if percent > 100:
        return []
    texts = [index.chapter(chapter.index).text for chapter in index.chapters]
    left = int(sum(map(len, texts)) * percent / 100)
    chapter = 0
    while left > len(texts[chapter]):
        left -= len(texts[chapter])
        chapter += 1
    return [(chapter, _end_of_word(texts[chapter], left))]


def _end_of_word(text: str, end: int) -> int:
    """Where the last word ends that is whole at `end`."""
    if text[end : end + 1].strip():
        begun = re.search(r"\s\S*\Z", text[max(0, end - _LONGEST_WORD) : end])
        return end - len(begun.group()) if begun else end
    return end


def _find_position(index: "BookIndex", chapter: int, end: int) -> list[Place]:
    if chapter >= len(index.chapters) or (chapter, end) > _end_of_chapter(index, chapter):
        return []
    return [(chapter, end)]


def _find_page(index: "BookIndex", label: str) -> list[Place]:
    pages = [
        (page.label.casefold(), chapter.index, page.start)
        for chapter in index.chapters
        for page in index.chapter(chapter.index).pages
    ]
    labels = [page[0] for page in pages]
    if label.casefold() not in labels:
        return []
    number = labels.index(label.casefold())
    # A page that goes on in the next chapter is that one's first, too.
    while labels[number : number + 2] == labels[number : number + 1] * 2:
        number += 1
    _, chapter, _ = pages[number]
    for _, next_chapter, start in pages[number + 1 : number + 2]:
        if next_chapter == chapter:
            return [(chapter, start)]
    return [_end_of_chapter(index, chapter)]


def _end_of_chapter(index: "BookIndex", chapter: int) -> Place:
    return chapter, len(index.chapter(chapter).text)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")

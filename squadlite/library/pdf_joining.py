"""The lines of a PDF's paragraph joined, without the hyphens that only their ends need."""

import re
from collections import Counter
from itertools import pairwise

from squadlite.library.pdf_page import Page
from squadlite.library.pdf_reading_order import Line
from squadlite.library.structure import Block, PageStart

_HYPHENS = ("-", "‐")
_WORD = re.compile(r"[^\W\d_]+(?:[-‐’'][^\W\d_]+)*")
_LAST_WORD = re.compile(rf"{_WORD.pattern}\Z")
_MAX_WORD = 60
_END = _MAX_WORD + 1  # a word and its hyphen


def join_lines(lines: list[Line], level: int, hyphens: "Hyphens", pages: list[Page]) -> Block:
    """
    Join the lines of a paragraph; verse keeps them apart.

    Args:
        lines: the paragraph's.
        level: its own as a heading; 0 for text.
        hyphens: the book's.
        pages: the book's, whose labels the block's pages have.
    """
    broken = sum(line.has_room(following) for line, following in pairwise(lines))
    separator = "\n" if broken * 2 > len(lines) - 1 and not level else " "
    pieces: list[str] = []
    length = 0
    text = lines[0].text
    starts = [PageStart(pages[lines[0].page].label, 0)]
    for last, line in pairwise(lines):
        if text.endswith("—") and not text.endswith(" —") and separator == " ":
            pass  # a dash between words, not between spaces
        elif not text.endswith(_HYPHENS) or not line.text[0].isalpha():
            text += separator
        elif not hyphens.stay(text, line.text):
            text = text[:-1]
        if line.page != last.page:
            starts.append(PageStart(pages[line.page].label, length + len(text)))
        text += line.text
        # Only the end is looked at again: the whole isn't to be copied for each line.
        pieces.append(text[:-_END])
        length += len(pieces[-1])
        text = text[-_END:]
    return Block("".join([*pieces, text]), level, pages=tuple(starts))


class Hyphens:
    """
    Which hyphens at the ends of lines belong to their word.

    The words of the book tell: "happen" is one of them without its hyphen, "well-known" with it.
    Of "easy-chair" both halves are, which tells something where lines are not hyphenated.

    Args:
        lines: of all pages, in reading order.
    """

    def __init__(self, lines: list[Line]) -> None:
        # Not the first and the last of a line, which may be parts of words.
        self._words = Counter(word for line in lines for word in _WORD.findall(line.text)[1:-1])
        known = [
            self._known(last.text, line.text)
            for last, line in pairwise(lines)
            if last.text.endswith(_HYPHENS)
        ]
        self._hyphenates = sum(known) > 0

    def stay(self, text: str, following: str) -> bool:
        """Whether the hyphen that `text` ends with is its word's, and not its line's."""
        known = self._known(text, following)
        if known:
            return known < 0
        first, second = _halves(text, following)
        if not first or not following[0].islower():
            return True
        are_words = self._words[first] and self._words[second] and min(len(first), len(second)) > 2
        return bool(are_words) and not self._hyphenates

    def _known(self, text: str, following: str) -> int:
        """How much more often the book has a word without the hyphen than with it."""
        first, second = _halves(text, following)
        return self._words[first + second] - self._words[f"{first}-{second}"]


def _halves(text: str, following: str) -> tuple[str, str]:
    """The parts of the word that a line's end divides; both "" where there is none."""
    first, second = _LAST_WORD.search(text[:-1][-_MAX_WORD:]), _WORD.match(following)
    return (first[0], second[0]) if first and second else ("", "")

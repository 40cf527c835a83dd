"""Chapters cut into passages of a size that a model reads well."""

import re
from collections.abc import Iterator

from squadlite.library.sentences import split_sentences

# Chosen by benchmarks/books.py: shorter ones are found less often, longer ones read more slowly.
MIN_WORDS = 150
MAX_WORDS = 200
OVERLAP_WORDS = 50

# Chinese and Japanese write no spaces: there a character counts as a word. A run of more than 40
# characters is no word either; it must not make a passage as long as it likes.
_UNSPACED = re.compile("[぀-ヿ㐀-鿿豈-﫿]")
_MAX_WORD_CHARACTERS = 40
_WORD = re.compile(
    rf"{_UNSPACED.pattern}|[^\s{_UNSPACED.pattern[1:-1]}]{{1,{_MAX_WORD_CHARACTERS}}}"
)


def split_passages(
    text: str,
    *,
    min_words: int = MIN_WORDS,
    max_words: int = MAX_WORDS,
    overlap_words: int = OVERLAP_WORDS,
) -> list[tuple[int, int]]:
    """
    Cut a chapter into passages of whole sentences.

    A passage ends with a paragraph where one ends between `min_words` and `max_words`, else with
    the last sentence that fits. A sentence of more than `max_words` is cut between words.

    Args:
        text: a chapter's text.
        min_words: a passage may be shorter only at the chapter's end, or before a long sentence.
        max_words: no passage is longer.
        overlap_words: so many words at most, in whole sentences, also begin the next passage.

    Returns:
        (start, end) of each passage in the text, in order. No word is in none of them.

    Raises:
        ValueError: sizes that can't be met.
    """
    if not 0 < min_words <= max_words or not 0 <= overlap_words < min_words:
        raise ValueError(
            f"passages of {min_words}-{max_words} words with {overlap_words} overlapping: "
            "expected 0 < min_words <= max_words and 0 <= overlap_words < min_words"
        )
    units = list(_units(text, max_words))
    passages = []
    first = 0
    while first < len(units):
        last = _last_unit(text, units, first, min_words, max_words)
        passages.append((units[first][0], units[last][1]))
        first = _next_first(units, first, last, max_words, overlap_words)
    return passages


def _next_first(
    units: list[tuple[int, int, int]], first: int, last: int, max_words: int, overlap_words: int
) -> int:
    """Where the passage after units[first:last + 1] begins: further on, with room for more."""
    following = last + 1
    if following == len(units):
        return following
    room = min(overlap_words, max_words - units[following][2])
    start = following
    while start - 1 > first and units[start - 1][2] <= room:
        start -= 1
        room -= units[start][2]
    return start


def _last_unit(
    text: str, units: list[tuple[int, int, int]], first: int, min_words: int, max_words: int
) -> int:
    words = 0
    last = first
    paragraph_end = None
    for index in range(first, len(units)):
        words += units[index][2]
        if words > max_words and index > first:
            break
        last = index
        if words >= min_words and _ends_paragraph(text, units, index):
            paragraph_end = index
    else:
        return last
    return last if paragraph_end is None else paragraph_end


def _ends_paragraph(text: str, units: list[tuple[int, int, int]], index: int) -> bool:
    return index + 1 == len(units) or "\n\n" in text[units[index][1] : units[index + 1][0]]


def _units(text: str, max_words: int) -> Iterator[tuple[int, int, int]]:
    """Start, end and number of words of each sentence, those beyond `max_words` in pieces."""
    has_unspaced = _UNSPACED.search(text) is not None
    for start, end in split_sentences(text):
        spaced = text[start:end].split()
        if (
            not has_unspaced
            and len(spaced) <= max_words
            and max(map(len, spaced)) <= _MAX_WORD_CHARACTERS
        ):
            yield start, end, len(spaced)
            continue
        words = [match.span() for match in _WORD.finditer(text, start, end)]
        for first in range(0, len(words), max_words):
            piece = words[first : first + max_words]
            yield piece[0][0], piece[-1][1], len(piece)

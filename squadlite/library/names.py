"""Names in running text: capitalised words in a row, told from words that only begin a sentence."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Self

from squadlite.library.name_words import (
    BEFORE_OF,
    FIRST_OF_PLACES,
    HONOURS,
    LAST_OF_PLACES,
    NO_NAMES,
    TITLES,
    Title,
)

_ABBREVIATED = (
    "Mr|Messrs|Mrs|Ms|Dr|Prof|Rev|Revd|St|Capt|Col|Gen|Maj|Lt|Lieut|Serjt|Sergt|Sgt|Hon|Mme|Mlle"
)
# What may stand between the words of a name.
_PARTICLES = "of the|of|de la|de|du|des|del|della|di|da|van der|van|von der|von|der|den|ter|le|la"
_ARTICLES = frozenset(["le", "la"])
_MAX_WORDS = 6
_MAX_CHARACTERS = 40

# Of Latin, Greek and Cyrillic: all that Unicode has would take long to compile.
_EXTENDED_LATIN = "".join(filter(str.isupper, map(chr, range(0x100, 0x180))))
_CAPITAL = f"[A-ZÀ-ÖØ-ÞΑ-ΩЀ-Я{_EXTENDED_LATIN}]"
_LETTER = r"[^\W\d_]"
_WORD = rf"(?:(?:{_CAPITAL}|d)['’])?{_CAPITAL}{_LETTER}++(?:-{_CAPITAL}{_LETTER}++)*+(?!-?\w)"
_PART = rf"(?:(?:{_ABBREVIATED})\.|(?:{_CAPITAL}\.)++|{_WORD})"
_RUN = re.compile(rf"\b{_PART}(?:[ \u00a0]++(?:(?:{_PARTICLES})[ \u00a0]++)?{_PART}){{0,9}}+")
_ANY_WORD = re.compile(rf"{_LETTER}+")
# Behind this a sentence, a line or something quoted begins: a capital says nothing there.
_BEGINNING = re.compile(
    r"(?:\n|[.!?…:;。][\"'”’)\]»]*\s)[\s_*]*[\"'“‘«(\[_*—–-]*$|(?:\s'|[\"“‘«(\[_*—–-]\s?)$"
)
_LOOK_BACK = 12

_SIGNS_OF_ENGLISH = ("the", "and", "of", "to")
_ENGLISH_SHARE = 0.06
_CAPITALISED_SHARE = 1


@dataclass(frozen=True)
class Name:
    """
    A name, as it is written in some place.

    Attributes:
        words: without titles; a title alone is the word itself, as in "the Queen".
        titles: those before them.
    """

    words: tuple[str, ...]
    titles: frozenset[Title]

    @classmethod
    def parse(cls, words: list[str]) -> Self:
        """The name that capitalised words make."""
        words = [word.title() if _is_shouted(word) else word for word in words]
        first = 0
        while first < len(words) and (_title(words, first) or words[first] in _ARTICLES):
            first += 1
        if first and (first == len(words) or words[first] == "of"):
            first -= 1
        before = words[: first or 1]
        titles = (_title(words, number) for number in range(len(before)))
        return cls(tuple(words[first:]), frozenset(title for title in titles if title))

    @property
    def is_title(self) -> bool:
        """Whether it is a title alone."""
        return len(self.words) == 1 and self.titles == {TITLES.get(_plain(self.words[0]))}

    @property
    def is_of_place(self) -> bool:
        """Whether it is one as streets, islands and houses have: "Baker Street", "Port Royal"."""
        first, last = self.words[0].lower(), self.words[-1].lower()
        return len(self.words) > 1 and (last in LAST_OF_PLACES or first in FIRST_OF_PLACES)


@dataclass(frozen=True)
class Mention:
    """
    Where a name stands.

    Attributes:
        name: as it is written there.
        chapter, start, end: the place, titles included.
        begins: whether a sentence, a line or something quoted begins there.
    """

    name: Name
    chapter: int
    start: int
    end: int
    begins: bool


class NameFinder:
    """
    Finds what may be a name in the text of a book.

    Args:
        texts: with the numbers of the chapters.

    Attributes:
        is_english: whether it looks as if it was English.
    """

    def __init__(self, texts: Iterable[tuple[int, str]]) -> None:
        self._words: Counter[str] = Counter()
        self._runs: list[tuple[int, int, str, bool]] = []
        for chapter, text in texts:
            self._words.update(_ANY_WORD.findall(text))
            for match in _RUN.finditer(text):
                start = match.start()
                before = text[max(0, start - _LOOK_BACK) : start]
                begins = start == 0 or _BEGINNING.search(before) is not None
                self._runs.append((chapter, start, match[0], begins))
        english = sum(self._words[word] for word in _SIGNS_OF_ENGLISH)
        self.is_english = english >= _ENGLISH_SHARE * self._words.total()
        # How often a word has a capital that no beginning gives it, alone and in company.
        self._alone: Counter[str] = Counter()
        self._capitalised: Counter[str] = Counter()
        runs = Counter((text, begins) for _, _, text, begins in self._runs)
        for (text, begins), count in runs.items():
            words = text.split()[begins:]
            for word in words:
                if not _is_shouted(word):
                    self._capitalised[word] += count
                    self._alone[word] += count if len(words) == 1 else 0
        self._split_runs = {run: list(self._split(*run)) for run in runs}
        self._counts: Counter[Name] = Counter()
        for run, names in self._split_runs.items():
            for _, _, name in names:
                self._counts[name] += runs[run]

    def names(self) -> Iterator[Name]:
        """All that seem to be names, most frequent first."""
        return (name for name, _ in self._counts.most_common() if self._is_name(name))

    def mentions(self, names: Collection[Name]) -> Iterator[Mention]:
        """Every place of some of the names, in order."""
        places = {
            run: [place for place in split if place[2] in names]
            for run, split in self._split_runs.items()
        }
        for chapter, start, text, begins in self._runs:
            for first, end, name in places[text, begins]:
                yield Mention(name, chapter, start + first, start + end, begins and first == 0)

    def _is_name(self, name: Name) -> bool:
        """Whether it is more than common words that begin a sentence or are stressed."""
        if all(_plain(word) in NO_NAMES or word.endswith(".") for word in name.words):
            return False
        if any(_plain(word) in HONOURS for word in name.words):
            return False
        if len(name.words) == 1 and not name.titles:
            # The Time Traveller makes no name of “Time”; “Watson” is never small.
            word = name.words[0]
            is_never_small = word.lower() not in self._words
            return self._is_mostly(self._capitalised if is_never_small else self._alone, word)
        if name.is_title or name.is_of_place:
            return True
        return any(self._is_mostly(self._capitalised, word) for word in name.words)

    def _is_mostly(self, capitalised: Counter[str], word: str) -> bool:
        return capitalised[word] > _CAPITALISED_SHARE * self._words[word.lower()]

    def _split(self, text: str, begins: bool) -> Iterator[tuple[int, int, Name]]:
        """The names in capitalised words in a row, with start and end."""
        parts = list(re.finditer(r"\S+", text))
        # “But Holmes”: the first word is there for the sentence.
        if begins and len(parts) > 1 and not self._may_begin(parts[0][0]):
            del parts[0]
        first = 0
        for number, part in enumerate(parts):
            if part[0] == "of" and _plain(parts[number - 1][0]) not in BEFORE_OF:
                yield from _name(parts[first:number])
                first = number + 1
        yield from _name(parts[first:])

    def _may_begin(self, word: str) -> bool:
        plain = _plain(word)
        return plain in TITLES or (
            plain not in NO_NAMES and self._is_mostly(self._capitalised, word)
        )


def _name(parts: list[re.Match[str]]) -> Iterator[tuple[int, int, Name]]:
    """The name that these words make, if any, with start and end."""
    words = [part[0] for part in parts]
    # What the name before it leaves, and “Spanish” before “Admiral”.
    while len(words) > 1 and (
        words[0] in ("of", "the") or (_plain(words[0]) in NO_NAMES and _title(words, 1) is not None)
    ):
        del parts[0], words[0]
    if 0 < len(words) <= _MAX_WORDS and max(map(len, words)) <= _MAX_CHARACTERS:
        yield parts[0].start(), parts[-1].end(), Name.parse(words)


def _title(words: list[str], number: int) -> Title | None:
    """The title that one of a name's words is, if it is one."""
    word = _plain(words[number])
    # “M. de Rivarol”: elsewhere it is a name’s first letter.
    if word == "m" and number == 0 and len(words) > 1 and words[1][0].islower():
        word = "monsieur"
    return TITLES.get(word)


def _plain(word: str) -> str:
    """A word as the lists have it."""
    return word.rstrip(".").lower()


def _is_shouted(word: str) -> bool:
    return word.isupper() and len(word) > 1 and "." not in word

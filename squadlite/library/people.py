"""Who's who: the people and places that a book names, told by the words around their names."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import islice

from squadlite.library.bound import Bound
from squadlite.library.clues import Clues
from squadlite.library.name_words import Title
from squadlite.library.names import Mention, Name, NameFinder
from squadlite.library.structure import Chapter

MAX_PEOPLE = 100
# So many of the most frequent names are looked at: those that share a word are compared.
_MAX_NAMES = 1000
_LEAST_COUNT = 3

# How much there must be of what speaks for a person or a place, in each of its places.
_LEAST_PERSON = 0.05
_LEAST_PLACE = 0.05
# What is called “the …” is a person or a place only if more speaks for it: ships and machines are
# in, off and at places too, and "had" and "went" stand behind them.
_LEAST_THE_PERSON = 0.7
_LEAST_THE_PLACE = 0.15
_LEAST_OF_PLACE = 0.5

# A short name is that of one of several if all others together have fewer places by so many times.
_TIMES_MORE = 4
_SHOWN_SHARE = 0.01
_RANK_SHARE = 0.02
_LEAST_PRONOUNS = 3

_WOMEN = frozenset(["woman", "wife", "girl"])


class NameKind(StrEnum):
    """What a name names."""

    PERSON = "person"
    PLACE = "place"


@dataclass(frozen=True)
class Person:
    """
    Somebody, or some place, that a book names.

    Attributes:
        name: the fullest of the names that are usual in the book.
        kind: which of both.
        count: how often it is named, by all names.
        chapter, offset: where first, in the chapter's text.
        names: all that it is called, most frequent first.
    """

    name: str
    kind: NameKind
    count: int
    chapter: int
    offset: int
    names: tuple[str, ...]


def find_people(chapters: Iterable[Chapter], until: Bound | None = None) -> tuple[Person, ...]:
    """
    Find whom a book names, and which places.

    A name is capitalised inside sentences, and seldom written small. A short one is joined to a
    longer one where only that comes into question: "Holmes" and "Mr. Holmes" to "Sherlock Holmes".
    Titles, words of speech, and what stands before or behind say whether it is a person or a place;
    what nothing speaks for is left out. In a text that isn't English titles and words of speech
    alone count, and fewer are found.

    Args:
        chapters: the book's.
        until: how far the book is known: all is as if it ended there. None: to its end.

    Returns:
        At most MAX_PEOPLE, the most frequent ones first.
    """
    texts = dict(_known_texts(chapters, until))
    finder = NameFinder(texts.items())
    entries = {name: _Entry() for name in islice(finder.names(), _MAX_NAMES)}
    for mention in finder.mentions(entries):
        text = texts[mention.chapter]
        entries[mention.name].read(mention, text, is_english=finder.is_english)
    people = [entry.person() for entry in _join(entries) if entry.is_known]
    people.sort(key=lambda person: (-person.count, person.chapter, person.offset))
    return tuple(people[:MAX_PEOPLE])


def _known_texts(chapters: Iterable[Chapter], until: Bound | None) -> Iterator[tuple[int, str]]:
    for chapter in chapters:
        if until is None or chapter.index < until.chapter:
            yield chapter.index, chapter.text
        elif chapter.index == until.chapter:
            yield chapter.index, chapter.text[: until.end]
        else:
            return


@dataclass
class _Entry:
    """What is known of somebody or something, by some names."""

    names: Counter[tuple[Name, str]] = field(default_factory=Counter)
    first: tuple[int, int] = (0, 0)
    is_inside: bool = False
    clues: Clues = field(default_factory=Clues)

    def read(self, mention: Mention, text: str, *, is_english: bool) -> None:
        """Take the next place of its name."""
        if not self.names:
            self.first = mention.chapter, mention.start
        written = " ".join(text[mention.start : mention.end].split())
        self.names[mention.name, written] += 1
        self.is_inside |= not mention.begins
        self.clues.read(mention, text, is_english=is_english)

    def join(self, other: "_Entry") -> None:
        """Take what is known by other names."""
        self.names += other.names
        self.first = min(self.first, other.first)
        self.is_inside |= other.is_inside
        self.clues.add(other.clues)

    def untitled(self) -> "_Entry":
        """The same, its names taken for ones without titles."""
        names = Counter[tuple[Name, str]]()
        for (name, written), count in self.names.items():
            names[Name(name.words, frozenset()), written] += count
        return replace(self, names=names)

    @property
    def count(self) -> int:
        return self.names.total()

    @property
    def titles(self) -> set[Title]:
        return {title for name, _ in self.names for title in name.titles}

    @property
    def ranks(self) -> set[str]:
        """Those that it is called by, now and then at least."""
        counts: Counter[str] = Counter()
        for (name, _), count in self.names.items():
            for title in name.titles:
                counts[title.rank] += count
        least = _RANK_SHARE * self.count
        return {rank for rank, count in counts.items() if rank and count >= least}

    @property
    def bearers(self) -> set[str]:
        """Whom titles, or else pronouns, speak of; empty where nothing tells."""
        if bearers := {title.bearer for title in self.titles} - {""}:
            return bearers
        he, she = self.clues.he, self.clues.she
        if max(he, she) < _LEAST_PRONOUNS or max(he, she) < _TIMES_MORE * min(he, she):
            return set()
        return {"man" if he > she else "woman"}

    @property
    def is_called_the(self) -> bool:
        return 2 * self.clues.articles > self.count

    @property
    def kind(self) -> NameKind | None:
        """What it is; None where too little speaks for either."""
        person, place = self.clues.person, self.clues.place
        if person > place:
            least = _LEAST_THE_PERSON if self.is_called_the else _LEAST_PERSON
            return NameKind.PERSON if person >= least * self.count else None
        least = _LEAST_THE_PLACE if self.is_called_the else _LEAST_PLACE
        is_place = place > person and place >= max(least * self.count, _LEAST_OF_PLACE)
        return NameKind.PLACE if is_place else None

    @property
    def is_known(self) -> bool:
        """Whether enough is known to tell of it."""
        is_named = self.is_inside and self.count >= (2 if self.titles else _LEAST_COUNT)
        return is_named and self.kind is not None

    def person(self) -> Person:
        """What is told of it."""
        counts: Counter[str] = Counter()
        lengths: dict[str, int] = {}
        for (name, written), count in self.names.items():
            counts[written] += count
            lengths[written] = 0 if name.is_title else len(name.words)
        names = tuple(
            name for name, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        )
        least = max(2, _SHOWN_SHARE * self.count)
        usual = [name for name in names if counts[name] >= least] or names
        fullest = max(usual, key=lengths.__getitem__)
        assert self.kind is not None
        return Person(fullest, self.kind, self.count, *self.first, names)


class _Register:
    """Everybody and everything told apart so far."""

    def __init__(self) -> None:
        self.entries: list[_Entry] = []
        self._by_word: defaultdict[str, list[_Entry]] = defaultdict(list)

    def enter(self, words: tuple[str, ...], entry: _Entry) -> None:
        """Join a name to the one longer one that it may be short for; else it is somebody new."""
        candidates = [other for other in self._by_word[words[0]] if _may_be(words, entry, other)]
        if not entry.titles and len(candidates) > 1:
            # A family name alone is the man’s, whose wife and daughter have titles.
            men = [other for other in candidates if not other.bearers & _WOMEN]
            candidates = men or candidates
        if (longer := _most_frequent(candidates)) is not None:
            longer.join(entry)
        else:
            self._add(words, entry)

    def enter_title(self, words: tuple[str, ...], entry: _Entry) -> None:
        """Join a title to the one who bears it; else it is a name of its own, where it can be."""
        bearers = [other for other in self.entries if entry.ranks & other.ranks]
        bearer = _most_frequent(bearers) if entry.is_called_the else None
        if bearer is not None:
            bearer.join(entry)
        elif entry.ranks and entry.count > sum(other.count for other in bearers):
            self._add(words, entry)

    def _add(self, words: tuple[str, ...], entry: _Entry) -> None:
        self.entries.append(entry)
        for word in words:
            self._by_word[word].append(entry)


def _join(entries: dict[Name, _Entry]) -> list[_Entry]:
    """Put together the entries of names that are the same person's or place's."""
    by_words: defaultdict[tuple[str, ...], list[Name]] = defaultdict(list)
    for name in entries:
        by_words[name.words].append(name)
    register = _Register()
    titles = []
    for words in sorted(by_words, key=lambda words: (-len(words), words)):
        titled: list[_Entry] = []
        plain = []
        for name in by_words[words]:
            entry = entries[name]
            if name.is_title and len(by_words[words]) == 1:
                titles.append((words, entry))
            elif name.is_title:
                # “Colonel Bishop”: here it is no title.
                plain.append(entry.untitled())
            elif not name.titles:
                plain.append(entry)
            else:
                same = (other for other in titled if _agree(entry.bearers, other.bearers))
                if (known := next(same, None)) is not None:
                    known.join(entry)
                else:
                    titled.append(entry)
        for entry in titled + plain:
            register.enter(words, entry)
    for words, entry in titles:
        register.enter_title(words, entry)
    return register.entries


def _may_be(words: tuple[str, ...], entry: _Entry, other: _Entry) -> bool:
    """Whether a name may be short for another."""
    longer = [name.words for name, _ in other.names]
    if not any(set(words) <= set(name) for name in longer):
        return False
    # “Squire Cass” isn’t his son, “Mr. Godfrey Cass”.
    if entry.ranks and not entry.ranks & other.ranks:
        return False
    if words in longer:
        # “Toller” isn’t Mrs. Toller; else it is the same name, with a title or without.
        return _agree(entry.bearers, other.bearers) if entry.titles else other.bearers != {"wife"}
    return _agree(entry.bearers, other.bearers) and _is_likely(entry, other)


def _is_likely(entry: _Entry, other: _Entry) -> bool:
    """Whether it is no chance that a name is part of another."""
    kinds = {entry.kind, other.kind} - {None}
    if NameKind.PLACE in kinds:
        # “Horn” is Cape Horn, but Africa isn’t South Africa.
        return len(kinds) == 1 and other.count > entry.count
    return other.count > 1 or bool(other.titles)


def _agree(bearers: set[str], others: set[str]) -> bool:
    """Whether they may be one person's."""
    if not bearers or not others or bearers & others:
        return True
    return "man" not in bearers | others and "woman" in bearers | others


def _most_frequent(entries: list[_Entry]) -> _Entry | None:
    """The only one, or the one that is named by far most often."""
    if not entries:
        return None
    best = max(entries, key=lambda entry: entry.count)
    others = sum(entry.count for entry in entries) - best.count
    return best if best.count >= _TIMES_MORE * others else None

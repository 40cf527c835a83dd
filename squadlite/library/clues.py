"""What the words around a name say of whom or what it names. They are English, as a rule."""

import re
from dataclasses import dataclass

from squadlite.library.name_words import DESCRIBING, DOES, IS, OWNED, SPEAKS, WHO
from squadlite.library.names import Mention

_BEFORE_PLACES = {
    "in": 1.0, "into": 1.0, "near": 1.0, "throughout": 1.0, "off": 0.7, "at": 0.5, "through": 0.5,
    "across": 0.5, "outside": 0.5, "within": 0.5, "reached": 0.5, "down": 0.5, "up": 0.5,
    "from": 0.3, "to": 0.3, "around": 0.3, "round": 0.3,
}  # fmt: skip

_AROUND = 24
_FOLLOWING = re.compile(r"(['’]s?\b)?(,?)(?: ([^\W\d_]*))?")
_ADDRESSED_FIRST = re.compile(r"[,!]")
_ADDRESSED_LAST = re.compile(r"[,.!?—]+[”\"’']")
# The first pronoun behind a name, before another name, speech or sentence.
_PRONOUN = re.compile(r"[^.!?;“”\"A-Z]{1,60}?\b(?:(he|him|his|himself)|(?:she|hers?|herself))\b")


@dataclass
class Clues:
    """
    How much speaks for what, added up over the places of a name.

    Attributes:
        person, place: for either.
        he, she: how often such a word follows.
        articles: how often "the" stands before it.
    """

    person: float = 0.0
    place: float = 0.0
    he: int = 0
    she: int = 0
    articles: int = 0

    def add(self, other: "Clues") -> None:
        """Add what speaks of the same person or place by another name."""
        self.person += other.person
        self.place += other.place
        self.he += other.he
        self.she += other.she
        self.articles += other.articles

    def read(self, mention: Mention, text: str, *, is_english: bool) -> None:
        """
        Add what the words around a name say.

        Args:
            mention: the name's place.
            text: the chapter's.
            is_english: whether words other than titles and said-words mean what they do in English.
        """
        self.person += 2 * bool(mention.name.titles)
        before = text[max(0, mention.start - _AROUND) : mention.start]
        words = before.split() if before[-1:].isspace() else []
        self.articles += words[-1:] in (["the"], ["The"])
        while words and words[-1] in DESCRIBING:
            words.pop()
        previous = words[-1].lower() if words else ""
        following = _FOLLOWING.match(text, mention.end, mention.end + _AROUND)
        owner, comma, next_word = following.groups("") if following else ("", "", "")
        if previous in SPEAKS or next_word in SPEAKS:
            self.person += 3
        if not is_english:
            return
        self.place += 2.5 * mention.name.is_of_place
        if owner:
            self.person += 2 if next_word in OWNED else 0.3
        elif previous in _BEFORE_PLACES:
            self.place += _BEFORE_PLACES[previous]
        elif next_word in WHO or (not comma and _acts(next_word)):
            self.person += 1
        elif not comma and next_word in IS:
            self.person += 0.3
        if _is_addressed(before, text, mention.end):
            self.person += 2
        if pronoun := _PRONOUN.match(text, mention.end):
            self.he += pronoun[1] is not None
            self.she += pronoun[1] is None


def _acts(word: str) -> bool:
    return word in DOES or (word.endswith("ed") and word.islower())


def _is_addressed(before: str, text: str, end: int) -> bool:
    """Whether somebody is spoken to by the name: “Watson, come!”, “Come, Watson.”"""
    if before[-1:] in ("“", '"', "‘"):
        return _ADDRESSED_FIRST.match(text, end) is not None
    return before.endswith(", ") and _ADDRESSED_LAST.match(text, end) is not None

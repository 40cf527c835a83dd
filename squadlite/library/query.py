"""Queries: what is looked for of a question in plain language."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from squadlite.library.vectors import TextEmbedder

_WORD = re.compile(r"\w+")
_APOSTROPHE = re.compile("[’‘ʼ`´]")
_CONTRACTION = re.compile(r"\b(\w+?)(?:n't|'(?:s|d|m|ll|re|ve|t))\b")
_INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff]")

_FUNCTION_WORDS = """
a an the and or but if of at by for with about against between into through during before after to
from in on off over under is are was were be been being am do does did doing done have has had
having what which who whom whose when where why how that this these those i me my we us our you
your he him his she her it its they them their as so than too very can could will would shall
should may might must not no nor there here then
"""
STOP_WORDS = frozenset(_FUNCTION_WORDS.split())


@dataclass(frozen=True)
class Query:
    """
    What passages are searched by.

    Args:
        question: any text.
        related: words that are not in the question but may stand in its answer's passage, each with
            its weight in 0..1.
        embedder: a model by whose vectors passages are found too, whatever their words; those that
            an index doesn't hold are made. None: words alone count.
    """

    question: str
    related: Mapping[str, float] = field(default_factory=dict)
    embedder: "TextEmbedder | None" = None


def query_words(question: str) -> list[str]:
    """
    The words of a question that its answer's passage may hold.

    Any text is accepted. Words that every passage holds are left out, unless there are no others;
    “Alice’s” gives "alice", "don't" gives "do".

    Returns:
        Lower-case words in the order of the question, each once; empty where it has no word.
    """
    text = _APOSTROPHE.sub("'", _INVISIBLE.sub("", question)).lower()
    words = list(dict.fromkeys(_WORD.findall(_CONTRACTION.sub(r"\1", text))))
    return [word for word in words if word not in STOP_WORDS] or words

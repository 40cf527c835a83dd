"""Where sentences begin and end, in running text and in dialogue."""

import re

_CLOSERS = "\"'”’»)]"
# A stop, what closes after it, and the first letter of the next sentence behind quotation marks. It
# begins with one set of characters, which is looked for several times faster than one of two. Of
# stops in a row only the first is looked at: from each of them the row would be gone through anew.
_STOP = re.compile(
    rf"""[.!?…。！？](?:
        (?<=[.!?…])(?<![.!?…]{{2}})[.!?…]*+[{re.escape(_CLOSERS)}]*+(?=\s)
        | (?<=[。！？])[。！？]*[」』”’）]*
    )(?=\s+["'“”‘’«(\[—–-]*(\w)?|)""",
    re.VERBOSE,
)
_PARAGRAPH_BREAK = re.compile(r"\n\s*\n")
_LAST_WORD = re.compile(r"\w[\w.]*$")
_LAST_WORD_CHARACTERS = 24
_INITIALS = re.compile(r"[^\W\d_]|(?:[^\W\d_]\.)+[^\W\d_]")
_ABBREVIATED = """
mr mrs ms messrs mme mmes mlle mlles dr st ste prof rev revd hon capt col gen lt lieut sgt serjt maj
cpl adm gov pres sen bros mt ft vs viz cf ed eds jan feb aug sept oct nov dec
"""
_ABBREVIATIONS = frozenset(_ABBREVIATED.split())
_BEFORE_NUMBERS = frozenset(["no", "nos", "vol", "ch", "chap", "fig", "p", "pp", "art", "op"])


def split_sentences(text: str) -> list[tuple[int, int]]:
    """
    Find the sentences of a text.

    A stop after an abbreviation or an initial ends nothing, and neither does one that a small
    letter follows (“What?” said he); a blank line always ends a sentence.

    Returns:
        (start, end) pairs in order, without the space between them; text[start:end] is never
        empty. Together they hold every character that isn't whitespace.
    """
    sentences = []
    start = 0
    for end in [*_borders(text), len(text)]:
        piece = text[start:end]
        stripped = piece.strip()
        if stripped:
            left = start + len(piece) - len(piece.lstrip())
            sentences.append((left, left + len(stripped)))
        start = end
    return sentences


def _borders(text: str) -> list[int]:
    breaks = [match.end() for match in _PARAGRAPH_BREAK.finditer(text)]
    stops = [match.end() for match in _STOP.finditer(text) if _ends_sentence(text, match)]
    return sorted({*breaks, *stops})


def _ends_sentence(text: str, stop: re.Match[str]) -> bool:
    letter = stop[1] or ""
    if letter.islower():
        return False
    return stop[0] != "." or not _is_abbreviated(text, stop.start(), before_number=letter.isdigit())


def _is_abbreviated(text: str, end: int, *, before_number: bool) -> bool:
    """Whether the word that ends at `end`, before its stop, is one that a stop abbreviates."""
    found = _LAST_WORD.search(text[max(0, end - _LAST_WORD_CHARACTERS) : end])
    if found is None:
        return False
    word = found[0]
    if _INITIALS.fullmatch(word):
        return word[0].isupper() and word != "I"
    if word.lower() in _BEFORE_NUMBERS:
        return before_number
    return word.lower() in _ABBREVIATIONS

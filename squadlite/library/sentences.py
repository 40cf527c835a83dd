"""Where sentences begin and end, in running text and in dialogue."""

import re

# A stop, what may close after it, and the space before the next sentence.
_STOP = re.compile(r"""(?:[.!?…]+["'”’»)\]]*(?=\s)|[。！？]+[」』”’）]*)""")
_PARAGRAPH_BREAK = re.compile(r"\n\s*\n")
_NEXT_WORD = re.compile(r"\s+[\"'“”‘’«(\[—–-]*(\w)?")
_LAST_WORD = re.compile(r"(\w[\w.]*)$")
_ABBREVIATIONS = frozenset(
    """mr mrs ms messrs mme mlle mlles dr st ste prof rev revd hon capt col gen lt lieut sgt serjt
    maj cpl adm esq sr jr bros co corp inc ltd vs viz cf no nos vol vols ch chap fig figs pp ed eds
    mt ft jan feb mar apr jun jul aug sept sep oct nov dec e.g i.e etc""".split()
)
# Abbreviations that also end sentences: the next word decides, and after these a capital does.
_OFTEN_LAST = frozenset(["etc", "esq", "jr", "sr", "co", "inc", "ltd"])
_WORD_WINDOW = 24


def split_sentences(text: str) -> list[tuple[int, int]]:
    """
    Find the sentences of a text.

    A stop after an abbreviation or an initial, or one that a small letter follows (“What?” said
    he), ends nothing; a blank line always ends a sentence.

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
    following = _NEXT_WORD.match(text, stop.end())
    if following is None:
        return True
    letter = following[1]
    if letter is not None and letter.islower():
        return False
    if not stop[0].startswith(".") or len(stop[0].rstrip("\"'”’»)]")) > 1:
        return True
    before = text[max(0, stop.start() - _WORD_WINDOW) : stop.start()]
    word = _LAST_WORD.search(before)
    if word is None:
        return True
    if len(word[1]) == 1 and word[1].isupper() and word[1] != "I":
        return False
    abbreviation = word[1].lower()
    if "." in abbreviation and all(len(part) == 1 for part in abbreviation.split(".")):
        return abbreviation not in ("e.g", "i.e") and len(stop[0]) > 1
    return abbreviation not in _ABBREVIATIONS or abbreviation in _OFTEN_LAST

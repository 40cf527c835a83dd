"""What a question's words say of its answer's shape: a name or none, a place, a time, a number."""

import re
from collections.abc import Sequence
from enum import Enum


class QuestionKind(Enum):
    """What is asked for."""

    PERSON = "person"
    IDENTITY = "identity"  # of somebody whose name stands in the question: "Who is Mr. Filby?"
    PLACE = "place"
    TIME = "time"
    NUMBER = "number"
    OTHER = "other"


# Patterns as text: re compiles those that a question needs, and keeps them.

# The first that a question matches is its kind.
_KINDS = (
    (QuestionKind.NUMBER, r"\bhow (?:many|much|old|far|tall|long|often)\b"),
    (QuestionKind.TIME, r"\bwhen\b|\bwh(?:at|ich) (?:year|month|day|date|hour|time)\b"),
    (QuestionKind.PLACE, r"\bwhere\b|\bwh(?:at|ich) (?:town|city|country|village)\b"),
    (QuestionKind.PERSON, r"\bwho(?:m|se)?\b"),
)
_WHO_IS = r"\s*[Ww]ho(?:['’]s| is| was| are| were) (?:the )?"
_WORD = r"(?:\b[dl]['’])?([^\W\d_][\w'’-]*)"
# Small words of names. An article isn't one: "the Squire" says who somebody is, and "Cass" doesn't.
_OF_NAMES = frozenset(
    ("and", "da", "de", "della", "der", "di", "du", "la", "le", "of", "van", "von")
)
_NUMBER = (
    r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|twenty|thirty|"
    r"forty|fifty|sixty|seventy|eighty|ninety|hundreds?|thousands?|millions?|dozens?|once|twice|"
    r"half|quarter|couple|several|many|few|no|none|an?)\b"
)
_TIME = (
    r"\d|\b(?:years?|months?|weeks?|days?|hours?|minutes?|morning|noon|afternoon|evening|night|"
    r"midnight|\w+day|today|tomorrow|yesterday|spring|summer|autumn|winter|january|february|march|"
    r"april|may|june|july|august|september|october|november|december|o.?clock|dawn|sunset|century|"
    r"when|before|after|during|until|till|since|while|as soon as|once|age|time)\b"
)
_PREPOSITION = (
    r"(?:in|on|at|to|from|near|under|over|behind|beside|beyond|between|by|inside|into|outside|"
    r"upon|within|among|across|along|above|below|before|through|towards?)\b"
)
_CAPITAL = r"\b[A-Z]"


def question_kind(question: str, passages: Sequence[str] = ()) -> QuestionKind:
    """
    The kind of a question.

    Args:
        question: any text, taken for English.
        passages: of the book: where somebody is asked for in lower case, what they mostly write
            with a capital is a name.

    Returns:
        OTHER where nothing tells.
    """
    if (begin := re.match(_WHO_IS, question)) and _is_name(question[begin.end() :], passages):
        return QuestionKind.IDENTITY
    folded = question.lower()
    return next((kind for kind, sign in _KINDS if re.search(sign, folded)), QuestionKind.OTHER)


def has_shape(kind: QuestionKind, answer: str) -> bool | None:
    """
    Whether an answer has the shape that a kind of question asks for.

    Args:
        kind: the question's.
        answer: as it stands in the text.

    Returns:
        PERSON: something is capitalised. IDENTITY: it isn't a name alone. PLACE: something is
        capitalised, or it begins with a preposition. TIME and NUMBER: a digit or a word of that
        kind. None for OTHER, which asks for no shape.
    """
    folded = answer.lower()
    match kind:
        case QuestionKind.PERSON:
            return bool(re.search(_CAPITAL, answer))
        case QuestionKind.IDENTITY:
            return not _is_name(answer)
        case QuestionKind.PLACE:
            return bool(re.search(_CAPITAL, answer) or re.match(_PREPOSITION, folded))
        case QuestionKind.TIME:
            return bool(re.search(_TIME, folded))
        case QuestionKind.NUMBER:
            return bool(re.search(_NUMBER, folded))
        case QuestionKind.OTHER:
            return None


def _is_name(text: str, passages: Sequence[str] = ()) -> bool:
    """Whether a text is a name alone; of one in lower case passages tell, where there are any."""
    words = [word for word in re.findall(_WORD, text) if word not in _OF_NAMES]
    if text.islower():
        return bool(words) and all(_has_capital(word, passages) for word in words)
    return bool(words) and all(word[0].isupper() for word in words)


def _has_capital(word: str, passages: Sequence[str]) -> bool:
    """Whether passages write a word with a capital more often than not."""
    sign = re.compile(rf"\b{re.escape(word)}\b", re.IGNORECASE)
    found: list[str] = [form for passage in passages for form in sign.findall(passage)]
    n_capitals = sum(form[0].isupper() for form in found)
    return 2 * n_capitals > len(found)

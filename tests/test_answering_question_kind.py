import pytest
from hypothesis import given
from hypothesis import strategies as st

from squadlite.answering.question_kind import QuestionKind, has_shape, question_kind


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("Who keeps the lighthouse?", QuestionKind.PERSON),
        ("To whom was the letter sent?", QuestionKind.PERSON),
        ("Whose hat is it?", QuestionKind.PERSON),
        ("Who is Mr. Filby?", QuestionKind.IDENTITY),
        ("who was Jean de la Tour d’Auvergne", QuestionKind.IDENTITY),
        ("Who's the Duchess?", QuestionKind.IDENTITY),
        ("Who are Box and Cox?", QuestionKind.IDENTITY),
        ("Who is Élise?", QuestionKind.IDENTITY),
        ("Who is Eppie's father?", QuestionKind.PERSON),
        ("Who is the father of Eppie?", QuestionKind.PERSON),
        ("Who is late?", QuestionKind.PERSON),
        ("Who is the?", QuestionKind.PERSON),
        ("WHO IS IN THE HOUSE?", QuestionKind.PERSON),
        ("Where does Silas live?", QuestionKind.PLACE),
        ("In which town was he born?", QuestionKind.PLACE),
        ("When did the ship sail?", QuestionKind.TIME),
        ("In what year did she die?", QuestionKind.TIME),
        ("How many children were there?", QuestionKind.NUMBER),
        ("HOW OLD was he when the war began?", QuestionKind.NUMBER),
        ("Why did he leave?", QuestionKind.OTHER),
        ("What whooshed by?", QuestionKind.OTHER),
        ("", QuestionKind.OTHER),
    ],
)
def test_a_questions_kind_is_told_by_its_words(question: str, kind: QuestionKind) -> None:
    assert question_kind(question) is kind


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("who is silas marner", QuestionKind.IDENTITY),
        ("Who is marner?", QuestionKind.IDENTITY),
        ("who's the squire?", QuestionKind.IDENTITY),
        ("who was the squire of raveloe?", QuestionKind.IDENTITY),
        ("who is the weaver?", QuestionKind.PERSON),
        ("who is the", QuestionKind.PERSON),
        ("who is silas's friend?", QuestionKind.PERSON),
        ("who is moriarty?", QuestionKind.PERSON),
        ("Who is the Weaver?", QuestionKind.IDENTITY),
    ],
)
def test_in_a_question_without_capitals_the_book_tells_what_is_a_name(
    question: str, kind: QuestionKind
) -> None:
    passages = [
        "Silas Marner, the weaver, had a friend. Weaver though he was, the weaver owed",
        "the Squire of Raveloe nothing. “No squire, ” said Marner, “is the Squire.”",
    ]
    assert question_kind(question, passages) is kind


@pytest.mark.parametrize(
    ("kind", "answer", "expected"),
    [
        (QuestionKind.PERSON, "old Mr. Lammeter", True),
        (QuestionKind.PERSON, "arrogant and conceited", False),
        (QuestionKind.IDENTITY, "a linen-weaver", True),
        (QuestionKind.IDENTITY, "the Squire", True),
        (QuestionKind.IDENTITY, "Squire Cass", False),
        (QuestionKind.IDENTITY, "Duke of York", False),
        (QuestionKind.IDENTITY, "42", True),
        (QuestionKind.PLACE, "in a cottage", True),
        (QuestionKind.PLACE, "Raveloe", True),
        (QuestionKind.PLACE, "inside", True),
        (QuestionKind.PLACE, "his snuffbox", False),
        (QuestionKind.TIME, "1847", True),
        (QuestionKind.TIME, "the next Thursday", True),
        (QuestionKind.TIME, "a snuffbox", False),
        (QuestionKind.NUMBER, "seventeen", True),
        (QuestionKind.NUMBER, "272 guineas", True),
        (QuestionKind.NUMBER, "the someone", False),
        (QuestionKind.OTHER, "anything", None),
    ],
)
def test_a_shape_is_a_name_or_none_a_preposition_or_a_number(
    kind: QuestionKind, answer: str, expected: bool | None
) -> None:
    assert has_shape(kind, answer) is expected


@given(st.text(), st.text())
def test_any_text_has_a_kind_and_a_shape_unless_none_is_asked_for(
    question: str, answer: str
) -> None:
    kind = question_kind(question)
    assert (has_shape(kind, answer) is None) == (kind is QuestionKind.OTHER)

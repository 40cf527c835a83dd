import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_teachers import MPNET_PIECES, byte_pair_backend, word_piece_backend
from tiny_training import PIECES, PLACES, WORDS

from squadlite.answering.reader import ReaderSettings
from squadlite.answering.squad import SquadExample
from squadlite.answering.tokenizer import TokenizedText, Tokenizer
from squadlite.answering.tokenizer_spec import TokenizerSpec
from squadlite.answering.windows import Template
from tools.alignment import (
    NOWHERE,
    Aligner,
    TeacherTokenizer,
    TeacherWindow,
    same_tokens,
)
from tools.data import Feature, make_features
from tools.transformers_teacher import Encoder

STUDENT = Tokenizer(TokenizerSpec(vocab=PIECES))
NARROW = ReaderSettings(max_seq_length=20, max_question_length=6, doc_stride=4)

MPNET = TeacherTokenizer(
    Encoder(word_piece_backend(MPNET_PIECES, "<s>", "</s>", 2)),
    Template(before=(0,), between=(2, 2), after=(2,), context_type=0, pad_id=1),
)
BYTE_PAIRS = TeacherTokenizer(
    Encoder(byte_pair_backend(["north lighthouse keeps"] * 9)),
    Template(before=(0,), between=(2, 2), after=(2,), context_type=0, pad_id=1),
)

# Words that the student knows, cuts and doesn't know, white space, and characters of several bytes.
TEXTS = st.lists(
    st.sampled_from(
        [*PLACES, *WORDS, "lights", "norths", "keep", "e\u0301", "日本", "  ", "\u200b", "한"]
    ),
    min_size=1,
    max_size=30,
).map(" ".join)


def features_of(question: str, context: str) -> tuple[list[SquadExample], list[Feature]]:
    examples = [
        SquadExample("0", "who keeps?", "the north", (), ""),
        SquadExample("1", question, context, (), ""),
    ]
    return examples, make_features(examples, STUDENT, NARROW)


def student_of(character: int, student: np.ndarray, *, is_start: bool) -> int:
    """Slow: the token that holds a character, else the next for a start, the last for an end."""
    tokens = range(len(student))
    if is_start:
        return next((i for i in tokens if student[i, 1] > character), len(student) - 1)
    return next((i for i in reversed(tokens) if student[i, 0] <= character), 0)


def check(window: TeacherWindow, example: SquadExample, teacher: TeacherTokenizer) -> None:
    """Compare with a walk over the teacher's tokens one by one."""
    feature = window.feature.window
    parts = (
        (example.question, 0, len(feature.question_ids), 1),
        (
            example.context,
            feature.first_token,
            feature.first_token + len(feature.context_ids),
            feature.context_start,
        ),
    )
    expected: list[tuple[int, int, int]] = []
    for number, (text, first, last, place) in enumerate(parts):
        special = teacher.template.between if number else teacher.template.before
        home = feature.context_start - 1 if number else 0
        expected += [(i, home, home) if k == 0 else (i, -1, -1) for k, i in enumerate(special)]
        student = STUDENT.encode(text).offsets[first:last]
        (tokens,) = teacher.encode_batch([text])
        shown = [
            (int(i), int(start), int(end))
            for i, (start, end) in zip(tokens.ids, tokens.offsets, strict=True)
            if len(student) and end > student[0, 0] and start < student[-1, 1]
        ]
        if [pair[1:] for pair in shown] == [tuple(pair) for pair in student.tolist()]:
            expected += [(i, place + k, place + k) for k, (i, _, _) in enumerate(shown)]
            continue
        expected += [
            (
                i,
                place + student_of(start, student, is_start=True),
                place + student_of(end - 1, student, is_start=False),
            )
            for i, start, end in shown
        ]
    home = len(window.feature) - 1
    expected += [(i, home, home) for i in teacher.template.after]
    found = list(
        zip(window.ids.tolist(), window.starts.tolist(), window.ends.tolist(), strict=True)
    )
    assert found == expected


@settings(deadline=None)
@given(question=TEXTS, context=TEXTS)
@pytest.mark.parametrize("teacher", [MPNET, BYTE_PAIRS], ids=["word pieces", "byte pairs"])
def test_windows_are_laid_out_as_a_walk_over_the_characters_lays_them(
    teacher: TeacherTokenizer, question: str, context: str
) -> None:
    examples, features = features_of(question, context)
    for window in Aligner(examples, STUDENT, teacher)(features):
        check(window, examples[window.feature.window.pair], teacher)


@settings(deadline=None)
@given(question=TEXTS, context=TEXTS)
def test_the_same_pieces_correspond_one_to_one(question: str, context: str) -> None:
    examples, features = features_of(question, context)
    for window in Aligner(examples, STUDENT, MPNET)(features):
        kept = window.starts != NOWHERE
        assert window.starts[kept].tolist() == list(range(len(window.feature)))
        np.testing.assert_array_equal(window.starts, window.ends)


@settings(deadline=None)
@given(question=TEXTS, context=TEXTS)
def test_a_teacher_with_the_students_tokens_reads_the_students_windows(
    question: str, context: str
) -> None:
    examples, features = features_of(question, context)
    own = TeacherTokenizer.of(STUDENT)
    for one, other in zip(
        same_tokens(features, own.template), Aligner(examples, STUDENT, own)(features), strict=True
    ):
        for name in ("ids", "type_ids", "starts", "ends"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_pieces_of_one_character_correspond_one_to_one() -> None:
    def pieces(texts: list[str]) -> list[TokenizedText]:
        offsets = np.array([[0, 1], [0, 1], [0, 1]])
        return [TokenizedText(np.array([5, 6, 7]), offsets, np.zeros(3, bool)) for _ in texts]

    class OneCharacter(Tokenizer):
        encode_batch = staticmethod(pieces)

    student = OneCharacter(STUDENT.spec)
    examples = [SquadExample("0", "한", "한", (), "")]
    features = make_features(examples, student, NARROW)
    teacher = TeacherTokenizer(pieces, MPNET.template)
    (window,) = Aligner(examples, student, teacher)(features)
    assert window.starts.tolist() == [0, 1, 2, 3, 4, NOWHERE, 5, 6, 7, 8]


def test_a_special_tokens_name_is_plain_text() -> None:
    (tokens,) = MPNET.encode_batch(["north [MASK] </s>"])
    assert not {0, 1, 2} & set(tokens.ids.tolist())

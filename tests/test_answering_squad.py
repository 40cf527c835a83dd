import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from squadlite.answering.squad import GoldAnswer, load_squad, mismatched_answers
from squadlite.errors import DatasetError

CONTEXT = "Rusk keeps the bridge toll, and has red hair."


def question(**changes: Any) -> dict[str, Any]:
    answers = [{"text": "red", "answer_start": 36}, {"text": "red hair", "answer_start": 36}]
    return {"id": "q1", "question": "What hair?", "answers": answers} | changes


def dataset(*qas: Any) -> dict[str, Any]:
    return {
        "version": "v2.0",
        "data": [{"title": "T", "paragraphs": [{"context": CONTEXT, "qas": list(qas)}]}],
    }


def write(folder: Path, content: Any) -> Path:
    path = folder / "data.json"
    path.write_text(json.dumps(content))
    return path


def test_reads_answerable_and_unanswerable_questions(tmp_path: Path) -> None:
    unanswerable = question(
        id="q2", answers=[], is_impossible=True, plausible_answers=[{"text": "x"}]
    )
    first, second = load_squad(
        write(tmp_path, dataset(question(is_impossible=False), unanswerable))
    )
    assert (first.id, first.question, first.context, first.title) == (
        ("q1", "What hair?", CONTEXT, "T")
    )
    assert first.answers == (GoldAnswer("red", 36), GoldAnswer("red hair", 36))
    assert first.has_answer
    assert not second.has_answer


def test_reads_squad_1_without_is_impossible(tmp_path: Path) -> None:
    assert load_squad(write(tmp_path, dataset(question())))[0].has_answer


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "found list, expected an object"),
        ({}, "field 'data': found nothing, expected list"),
        ({"data": {}}, "field 'data': found dict, expected list"),
        ({"data": []}, "found no question"),
        ({"data": [{}]}, r"data\[0\]: field 'paragraphs'"),
        ({"data": [{"paragraphs": [{"qas": []}]}]}, r"paragraphs\[0\]: field 'context'"),
        (dataset("x"), r"qas\[0\]: found str, expected an object"),
        (dataset(question(id=5)), r"qas\[0\]: field 'id': found int, expected str"),
        (dataset(question(question=None)), "question 'q1': field 'question': found NoneType"),
        (dataset(question(answers="red")), "question 'q1': field 'answers'"),
        (dataset(question(answers=[{"text": "red"}])), r"answers\[0\]: field 'answer_start'"),
        (dataset(question(answers=[{"text": "r", "answer_start": True}])), "found bool"),
        (dataset(question(is_impossible=True)), "is_impossible is True, but it has 2 answers"),
        (dataset(question(answers=[], is_impossible=False)), "is False, but it has 0 answers"),
        (dataset(question(), question()), "question 'q1': its id stands in the file twice"),
    ],
)
def test_says_where_the_structure_breaks(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        load_squad(write(tmp_path, content))
    assert "data.json" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_is_not_json_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "data.json"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="not JSON"):
        load_squad(path)


SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
NAMES = st.sampled_from(
    ["data", "paragraphs", "context", "qas", "id", "question", "answers", "text", "answer_start"]
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3)
)


@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_any_json_is_a_dataset_or_a_dataset_error(
    tmp_path_factory: pytest.TempPathFactory, content: Any
) -> None:
    path = write(tmp_path_factory.getbasetemp(), content)
    with suppress(DatasetError):
        assert load_squad(path)


def test_answers_that_stand_elsewhere_are_reported(tmp_path: Path) -> None:
    answers = [
        {"text": "red", "answer_start": 36},
        {"text": "red", "answer_start": 35},
        {"text": "hair.", "answer_start": -5},
        {"text": "hair", "answer_start": 900},
    ]
    examples = load_squad(write(tmp_path, dataset(question(answers=answers))))
    assert list(mismatched_answers(examples)) == [
        "question 'q1': found ' re' at 35, expected 'red'",
        "question 'q1': found '' at -5, expected 'hair.'",
        "question 'q1': found '' at 900, expected 'hair'",
    ]


def test_the_real_dev_set_is_whole(shared: Path) -> None:
    examples = load_squad(shared / "data" / "cs224n-dev-v2.0.json")
    assert len(examples) == 6078
    assert sum(not example.has_answer for example in examples) == 3168
    assert list(mismatched_answers(examples)) == []

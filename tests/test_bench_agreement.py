"""Answers beside the reference's."""

import json
from pathlib import Path

import pytest

from squadlite.bench.agreement import compare


@pytest.fixture
def data(tmp_path: Path) -> Path:
    questions = [
        {"id": str(number), "question": "Who?", "answers": answers}
        for number, answers in enumerate(
            [[{"text": "the cat", "answer_start": 0}], [], [{"text": "sat", "answer_start": 8}], []]
        )
    ]
    paragraph = {"context": "the cat sat", "qas": questions}
    path = tmp_path / "squad.json"
    path.write_text(json.dumps({"data": [{"title": "", "paragraphs": [paragraph]}]}))
    return path


def test_agreement_counts_equal_answers_and_equal_silence(data: Path) -> None:
    ours = {"0": ("the cat", -3.0), "1": ("cat", 2.0), "2": ("sat", -1.0)}
    same = {"0": ("the cat", -2.0), "1": ("sat", 5.0), "2": ("sat", -9.0)}  # silent on 1 too
    other = {"0": ("cat", -2.0), "1": ("cat", 1.0), "2": ("sat", 0.5)}
    compared = compare({"ours": ours, "same": same, "other": other}, data, reference="ours")
    assert compared["ours"].agreement == compared["same"].agreement == 1.0
    assert compared["other"].agreement == pytest.approx(1 / 3)
    assert compared["ours"].f1 == compared["ours"].exact == 100.0
    assert compared["other"].f1 == pytest.approx(200 / 3)  # articles don't count
    assert {answers.questions for answers in compared.values()} == {3}


def test_without_the_reference_there_are_scores_alone(data: Path) -> None:
    compared = compare({"other": {"1": ("cat", 1.0)}}, data, reference="ours")
    assert compared["other"].agreement is None
    assert compared["other"].f1 == 100.0

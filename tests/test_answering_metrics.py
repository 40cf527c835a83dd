"""The scores against a slow and plain second version of the official script's logic."""

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from squadlite.answering.metrics import exact_match, normalize_answer, squad_scores, token_f1
from squadlite.answering.squad import GoldAnswer, SquadExample

WORDS = st.lists(
    st.sampled_from(["the", "a", "red", "hair", "Hair,", "an", "1890", "theatre", "–", "...", "é"]),
    max_size=4,
).map(" ".join)
# A few values only, so that there are ties and values at the threshold.
DIFFS = st.sampled_from([-2.5, -1.0, -0.5, 0.0, 0.5, 3.0, float("inf")])


def make(number: int, *gold: str) -> SquadExample:
    return SquadExample(f"q{number}", "?", "", tuple(GoldAnswer(text, 0) for text in gold), "")


@st.composite
def datasets(draw: st.DrawFn) -> tuple[list[SquadExample], dict[str, str], dict[str, float]]:
    golds = draw(st.lists(st.lists(WORDS, max_size=3), min_size=1, max_size=8))
    examples = [make(number, *gold) for number, gold in enumerate(golds)]
    predictions = {example.id: draw(WORDS) for example in examples}
    return examples, predictions, {example.id: draw(DIFFS) for example in examples}


def slow_words(text: str) -> list[str]:
    kept = "".join(character for character in text.lower() if character not in string.punctuation)
    for article in ("the", "an", "a"):
        kept = " ".join("" if word == article else word for word in kept.split())
    return kept.split()


def slow_f1(gold: str, predicted: str) -> float:
    gold_words, predicted_words = slow_words(gold), slow_words(predicted)
    if not gold_words or not predicted_words:
        return float(gold_words == predicted_words)
    left = list(gold_words)
    common = 0
    for word in predicted_words:
        if word in left:
            left.remove(word)
            common += 1
    return 2 * common / (len(gold_words) + len(predicted_words))


def slow_scores(
    examples: list[SquadExample],
    predictions: dict[str, str],
    diffs: dict[str, float],
    threshold: float,
) -> dict[str, float]:
    raw: dict[str, dict[str, float]] = {"exact": {}, "f1": {}}
    for example in examples:
        golds = [answer.text for answer in example.answers if slow_words(answer.text)] or [""]
        predicted = predictions[example.id]
        raw["exact"][example.id] = max(
            float(slow_words(gold) == slow_words(predicted)) for gold in golds
        )
        raw["f1"][example.id] = max(slow_f1(gold, predicted) for gold in golds)

    def after_threshold(name: str, example: SquadExample) -> float:
        if diffs[example.id] > threshold:
            return 0.0 if example.answers else 1.0
        return raw[name][example.id]

    result: dict[str, float] = {}
    groups = {
        "": examples,
        "HasAns_": [example for example in examples if example.answers],
        "NoAns_": [example for example in examples if not example.answers],
    }
    for prefix, group in groups.items():
        if group:
            for name in raw:
                total = sum(after_threshold(name, example) for example in group)
                result[f"{prefix}{name}"] = 100 * total / len(group)
            result[f"{prefix}total"] = len(group)
    by_id = {example.id: example for example in examples}
    for name, scores in raw.items():
        current = best = float(len(groups["NoAns_"]))
        best_threshold = 0.0
        for question_id in sorted(diffs, key=diffs.__getitem__):
            if by_id[question_id].answers:
                current += scores[question_id]
            elif predictions[question_id]:
                current -= 1
            if current > best:
                best, best_threshold = current, diffs[question_id]
        result[f"best_{name}"] = 100 * best / len(examples)
        result[f"best_{name}_thresh"] = best_threshold
    return result


@given(datasets(), DIFFS)
def test_scores_equal_the_slow_version(drawn: Any, threshold: float) -> None:
    examples, predictions, diffs = drawn
    found = squad_scores(examples, predictions, diffs, threshold=threshold)
    expected = slow_scores(examples, predictions, diffs, threshold)
    assert found.keys() == expected.keys()
    assert found == pytest.approx(expected)


@given(st.text(), st.text())
def test_f1_is_symmetric_and_a_proportion(gold: str, predicted: str) -> None:
    f1 = token_f1(gold, predicted)
    assert 0 <= f1 <= 1
    assert f1 == pytest.approx(token_f1(predicted, gold))
    assert f1 >= exact_match(gold, predicted)
    assert exact_match(gold, gold) == token_f1(gold, gold) == 1


@pytest.mark.parametrize(
    ("text", "normalized"),
    [
        ("The  Time-Machine!", "timemachine"),
        ("a theatre; an ANT", "theatre ant"),
        ("Rusk's “red” hair", "rusks “red” hair"),
        ("a.the b", "athe b"),  # punctuation goes before articles do
        ("the.", ""),
        ("\tan\u00a0x\n", "x"),
    ],
)
def test_normalizing(text: str, normalized: str) -> None:
    assert normalize_answer(text) == normalized


def test_the_best_of_the_gold_answers_counts() -> None:
    scores = squad_scores([make(0, "red", "bright red hair")], {"q0": "red hair"}, {"q0": -1.0})
    assert scores["exact"] == 0
    assert scores["f1"] == pytest.approx(80)


def test_an_answer_of_articles_alone_is_no_answer_to_compare_with() -> None:
    # It still makes the question one that has an answer.
    scores = squad_scores([make(0, "the", "x")], {"q0": ""}, {"q0": -1.0})
    assert (scores["HasAns_exact"], scores["HasAns_total"]) == (0, 1)
    assert squad_scores([make(0, "the")], {"q0": ""}, {"q0": -1.0})["exact"] == 100


def test_a_difference_at_the_threshold_still_answers() -> None:
    arguments: Any = [make(0, "x")], {"q0": "x"}, {"q0": 0.5}
    assert squad_scores(*arguments, threshold=0.5)["exact"] == 100
    assert squad_scores(*arguments, threshold=0.4)["exact"] == 0


def test_the_best_threshold_lies_where_answers_stop_being_right() -> None:
    examples = [make(0, "x"), make(1), make(2, "y"), make(3)]
    predictions = {"q0": "x", "q1": "wrong", "q2": "y", "q3": "wrong"}
    diffs = {"q0": -3.0, "q1": 2.0, "q2": 1.0, "q3": 5.0}
    scores = squad_scores(examples, predictions, diffs)
    assert (scores["exact"], scores["best_exact"], scores["best_exact_thresh"]) == (75, 100, 1.0)


def test_only_groups_that_exist_are_scored() -> None:
    assert "NoAns_total" not in squad_scores([make(0, "x")], {"q0": "x"}, {"q0": 0.0})
    assert "HasAns_total" not in squad_scores([make(0)], {"q0": ""}, {"q0": 0.0})


def test_nothing_to_score_and_missing_predictions_are_mistakes() -> None:
    with pytest.raises(ValueError, match="no examples"):
        squad_scores([], {}, {})
    with pytest.raises(ValueError, match="'q0' has no prediction"):
        squad_scores([make(0)], {}, {"q0": 0.0})

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqz_files import write_tiny

from squadlite.answering.candidates import FEATURES
from squadlite.answering.confidence import (
    RELEVANCE_WEIGHT,
    ChoiceModel,
    MarginRule,
    load_confidence,
)
from squadlite.answering.reader import Reader
from squadlite.answering.spans import span_score
from squadlite.container import copy_sqz, open_sqz
from squadlite.errors import CheckpointError, HeaderError

SAID: dict[str, Any] = {
    "weights": {"margin": 0.5, "log_rank": -1},
    "bias": -1.0,
    "slope": 0.9,
    "intercept": 0.1,
    "threshold": 0.3,
}
MODEL = ChoiceModel.from_metadata(SAID)


def rows(*found: dict[str, float]) -> np.ndarray:
    return np.array([[values.get(name, 0.0) for name in FEATURES] for values in found])


def test_without_numbers_of_its_own_a_model_is_judged_by_its_margin() -> None:
    features = rows({"margin": 2.0, "relevance": 1.0}, {"margin": 3.0, "relevance": 0.5})
    scores = MarginRule().answer_scores(features, np.array([0, 1]))
    expected = [span_score(2.0), span_score(3.0 - 0.5 * RELEVANCE_WEIGHT)]
    assert scores.tolist() == pytest.approx(expected)
    assert MarginRule().answer_scores(features, np.array([0, 0])).tolist() == [max(scores)]


def test_an_answers_score_is_the_formats_formula() -> None:
    features = rows({"margin": 4.0}, {"margin": 1.0, "log_rank": 2.0}, {"margin": 2.0})
    utilities = [0.5 * 4 - 1, 0.5 * 1 - 2 - 1, 0.5 * 2 - 1]
    everything = 1 + sum(map(math.exp, utilities))
    for answer, places in enumerate([[0, 2], [1]]):
        chance = sum(math.exp(utilities[place]) for place in places) / everything
        log_odds = 0.9 * math.log(chance / (1 - chance)) + 0.1
        score = MODEL.answer_scores(features, np.array([0, 1, 0]))[answer]
        assert score == pytest.approx(1 / (1 + math.exp(-log_odds)))
    assert MODEL.place_scores(features).tolist() == pytest.approx(utilities)


@given(
    st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.integers(0, 3)), max_size=9),
    st.floats(-1e6, 1e6),
)
def test_scores_are_probabilities_whatever_the_numbers(
    found: list[tuple[float, float, int]], weight: float
) -> None:
    features = rows(*({"margin": margin, "cosine": cosine} for margin, cosine, _ in found))
    features = features.reshape(-1, len(FEATURES))
    answers = np.unique([number for _, _, number in found], return_inverse=True)[1]
    model = ChoiceModel({"margin": weight, "cosine": 1e6}, 1e6, 1e6, -1e6, 1.0)
    for confidence in (model, MarginRule()):
        scores = confidence.answer_scores(features, answers.astype(np.int64))
        assert len(scores) == len({number for _, _, number in found})
        assert ((scores >= 0) & (scores <= 1)).all()


def test_what_is_written_is_read() -> None:
    assert ChoiceModel.from_metadata(MODEL.to_metadata()) == MODEL


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": {"magin": 1.0}}, "weights: found 'magin', expected one of margin"),
        ({"weights": []}, r"weights: found \[\], expected an object"),
        ({"weights": {"margin": "1"}}, "margin: found '1', expected a number"),
        ({"weights": {"margin": True}}, "margin: found True, expected a number"),
        ({"weights": {"margin": 1e7}}, "margin: found 1"),
        ({"bias": None}, "bias: found None, expected a number"),
        ({"bias": math.nan}, "bias: found nan"),
        ({"intercept": -math.inf}, "intercept: found -inf"),
        ({"slope": 0.0}, "slope: found 0.0, expected above 0"),
        ({"threshold": 1.5}, "threshold: found 1.5, expected 0..1"),
        ({"more": 1}, "expected an object of weights, bias"),
    ],
)
def test_metadata_that_breaks_a_rule_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(HeaderError, match=f"metadata: answering: .*{message}"):
        ChoiceModel.from_metadata(SAID | change)


@pytest.mark.parametrize("value", [None, 3, [], {}, {"weights": {}}])
def test_what_is_no_object_of_its_members_is_refused(value: object) -> None:
    with pytest.raises(HeaderError, match="expected an object of weights, bias"):
        ChoiceModel.from_metadata(value)


def with_metadata(path: Path, metadata: dict[str, Any]) -> Path:
    write_tiny(path)
    with open_sqz(path) as file:
        copy_sqz(file, path, metadata=metadata)
    return path


def test_a_file_says_how_sure_to_be(tmp_path: Path) -> None:
    path = tmp_path / "model.sqz"
    assert load_confidence(with_metadata(path, {"answering": SAID})) == MODEL
    assert isinstance(load_confidence(with_metadata(path, {})), MarginRule)
    assert isinstance(load_confidence(tmp_path), MarginRule)


@pytest.mark.parametrize("value", [None, {"weights": {"unknown": 1}}])
def test_a_reader_refuses_a_file_that_says_it_wrongly(tmp_path: Path, value: object) -> None:
    path = with_metadata(tmp_path / "model.sqz", {"answering": value})
    with pytest.raises(HeaderError, match=r"model\.sqz: metadata: answering: "):
        Reader.load(path)


def test_a_checkpoint_folder_says_it_in_its_own_file(tmp_path: Path) -> None:
    file = tmp_path / "squadlite.json"
    file.write_text(json.dumps({"answering": SAID}), encoding="utf-8")
    assert load_confidence(tmp_path) == MODEL
    file.write_text(json.dumps({"answering": SAID | {"slope": 0}}), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"squadlite\.json: .*slope: found 0"):
        load_confidence(tmp_path)
